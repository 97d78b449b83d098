//! What a manifest is asked for by.

use artifact::Digest;
use artifact::name::{Repository, Tag};

use crate::error::{Fault, RegistryError};

/// A tag or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(Tag),
    Digest(Digest),
}

impl Reference {
    pub(crate) fn parse(repository: &Repository, text: &str) -> Result<Self, RegistryError> {
        let digest = text.parse().map(Self::Digest);
        digest.or_else(|_| text.parse().map(Self::Tag)).map_err(|_| {
            RegistryError::new(repository, "naming a manifest", Fault::Reference(artifact::digest::shortened(text)))
        })
    }
}

impl std::fmt::Display for Reference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

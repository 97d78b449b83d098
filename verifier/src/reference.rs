//! What a person names: an image in a registry, or in an OCI layout.

use std::path::PathBuf;
use std::str::FromStr;

use artifact::Digest;
use artifact::digest::shortened;
use artifact::name::{Pinned, Repository, Tag};

/// An image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// `host/repository:tag`: what it means can change, so currency is asked for.
    Tagged(Repository, Tag),
    /// `host/repository@sha256:…`.
    Pinned(Pinned),
    /// `oci:FOLDER@sha256:…`.
    Layout(PathBuf, Digest),
}

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("{:?}: HOST/REPO:TAG, HOST/REPO@sha256:… or oci:FOLDER@sha256:… is expected", shortened(text));
        if let Some(rest) = text.strip_prefix("oci:") {
            let (folder, digest) = rest.rsplit_once('@').ok_or_else(expected)?;
            return Ok(Self::Layout(folder.into(), digest.parse().map_err(|e| format!("{e}"))?));
        }
        if text.contains('@') {
            return text.parse().map(Self::Pinned).map_err(|e| format!("{e}"));
        }
        let (repository, tag) = text.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).ok_or_else(expected)?;
        Ok(Self::Tagged(repository.parse().map_err(|e| format!("{e}"))?, tag.parse().map_err(|e| format!("{e}"))?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_says_whether_it_can_change() {
        let digest = Digest::of(b"x");
        assert!(matches!("127.0.0.1:5000/a:latest".parse(), Ok(Reference::Tagged(..))));
        assert!(matches!(format!("r.example/a@{digest}").parse(), Ok(Reference::Pinned(_))));
        assert!(matches!(format!("oci:/tmp/x@{digest}").parse(), Ok(Reference::Layout(..))));
        for wrong in ["busybox", "r.example/a", "127.0.0.1:5000/a", "oci:/tmp/x", "r.example/a:t@sha256:00", ""] {
            assert!(wrong.parse::<Reference>().is_err(), "{wrong}");
        }
    }
}

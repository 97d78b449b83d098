//! Where an image and what is attached to it are read from: a registry, or an OCI layout on disk.

use std::path::PathBuf;

use artifact::Digest;
use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::oci::{self, Descriptor, Manifest};
use registry::Client;

use crate::bundle::{LIMIT, MEDIA_TYPE};

/// How many referrers are looked at: attaching more hides nothing, it fails.
const REFERRERS: usize = 1000;

/// A place to read from.
#[derive(Debug)]
pub enum Source<'a> {
    /// A repository in a registry.
    Registry(&'a Client, Repository),
    /// An OCI layout.
    Layout(PathBuf),
}

impl Source<'_> {
    /// The manifest of a digest; its bytes have that digest.
    ///
    /// # Errors
    /// A text for a person.
    pub async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        match self {
            Self::Registry(client, repository) => {
                let found = client.manifest(repository, &digest.to_string()).await.map_err(|e| e.to_string())?;
                match found {
                    Some((bytes, there)) if there == *digest => Ok(bytes),
                    Some((_, there)) => Err(format!("the registry gave {there} for {digest}")),
                    None => Err(format!("{repository} has no {digest}")),
                }
            }
            Self::Layout(folder) => {
                Layout::open(folder).read_digest(digest, oci::MANIFEST_LIMIT).map_err(|e| e.to_string())
            }
        }
    }

    /// Every Sigstore bundle that is attached to an image.
    ///
    /// # Errors
    /// A text for a person.
    pub async fn bundles(&self, subject: &Digest) -> Result<Vec<Vec<u8>>, String> {
        let mut bundles = Vec::new();
        for digest in self.referrers(subject).await? {
            let manifest = Manifest::parse(&self.manifest(&digest).await?).map_err(|e| e.to_string())?;
            let ours = manifest.artifact_type.as_deref() == Some(MEDIA_TYPE)
                && manifest.subject.as_ref().is_some_and(|s| s.digest == *subject);
            if let ([layer], true) = (&manifest.layers[..], ours) {
                bundles.push(self.blob(layer).await?);
            }
        }
        Ok(bundles)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>, String> {
        let listed: Vec<Descriptor> = match self {
            Self::Registry(client, repository) => {
                client.referrers(repository, subject).await.map_err(|e| e.to_string())?.manifests
            }
            Self::Layout(folder) => Layout::open(folder).index().map_err(|e| e.to_string())?.manifests,
        };
        if listed.len() > REFERRERS {
            return Err(format!("{} referrers, and at most {REFERRERS} are looked at", listed.len()));
        }
        // A bundle hangs on an image manifest; what else strangers attach (an index, say) is no concern of ours.
        let manifests = listed.into_iter().filter(|d| d.media_type == oci::MANIFEST && d.digest != *subject);
        Ok(manifests.map(|d| d.digest).collect())
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, String> {
        match self {
            Self::Registry(client, repository) => {
                client.blob(repository, descriptor, LIMIT).await.map_err(|e| e.to_string())
            }
            Self::Layout(folder) => Layout::open(folder).read(descriptor, LIMIT).map_err(|e| e.to_string()),
        }
    }
}

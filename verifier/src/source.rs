//! Where an image and what is attached to it are read from: a registry, or an OCI layout on disk.

use std::path::PathBuf;

use artifact::Digest;
use artifact::failure::Retry;
use artifact::layout::{Layout, LayoutError};
use artifact::name::Repository;
use artifact::oci::{self, Descriptor, Manifest};
use registry::{Client, RegistryError};

use crate::bundle::{LIMIT, MEDIA_TYPE};
use crate::report::Unread;

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

/// What is attached to an image.
#[derive(Debug, Default)]
pub struct Attached {
    /// Every Sigstore bundle.
    pub bundles: Vec<Bundle>,
    /// How many things hang there that are no such bundle.
    pub others: usize,
}

/// A Sigstore bundle that is attached to an image.
#[derive(Debug)]
pub struct Bundle {
    /// The manifest that attaches it.
    pub manifest: Digest,
    /// The bundle.
    pub bytes: Vec<u8>,
    /// What the list of referrers says wrongly of that manifest.
    pub misnamed: Option<&'static str>,
}

impl Source<'_> {
    /// The manifest of a digest; its bytes have that digest.
    ///
    /// # Errors
    /// Not there, or other bytes.
    pub async fn manifest(&self, digest: &Digest) -> Result<Vec<u8>, Unread> {
        match self {
            Self::Registry(client, repository) => {
                let found = client.manifest(repository, &digest.to_string()).await.map_err(|e| unanswered(&e))?;
                match found {
                    Some((bytes, there)) if there == *digest => Ok(bytes),
                    Some((_, there)) => Err(Unread::Wrong(format!("the registry gave {there} for {digest}"))),
                    None => Err(Unread::Wrong(format!("{repository} has no {digest}"))),
                }
            }
            Self::Layout(folder) => {
                Layout::open(folder).read_digest(digest, oci::MANIFEST_LIMIT).map_err(|e| broken(&e))
            }
        }
    }

    /// Hashes what a manifest lists, where that costs no transfer: in a layout. `None`: it was not read.
    ///
    /// # Errors
    /// Missing, or other bytes.
    pub fn content(&self, manifest: &Manifest) -> Result<Option<u64>, Unread> {
        let Self::Layout(folder) = self else { return Ok(None) };
        let (layout, mut size) = (Layout::open(folder), 0_u64);
        for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
            layout.stream(blob).and_then(artifact::layout::BlobReader::finish).map_err(|e| broken(&e))?;
            size = size.saturating_add(blob.size);
        }
        Ok(Some(size))
    }

    /// Everything that is attached to an image.
    ///
    /// # Errors
    /// Something that is listed is not there, or has other bytes; or the list can't be read.
    pub async fn attached(&self, subject: &Digest) -> Result<Attached, Unread> {
        let mut attached = Attached::default();
        for listed in self.referrers(subject).await? {
            let bytes = self.manifest(&listed.digest).await?;
            let manifest =
                Manifest::parse(&bytes).map_err(|e| Unread::Wrong(format!("referrer {}: {e}", listed.digest)))?;
            if manifest.subject.as_ref().is_none_or(|s| s.digest != *subject) {
                continue;
            }
            let is_bundle = manifest.artifact_type.as_deref() == Some(MEDIA_TYPE);
            let ([layer], true) = (&manifest.layers[..], is_bundle) else {
                attached.others += 1;
                continue;
            };
            let misnamed = [
                (listed.size != bytes.len() as u64, "size"),
                (listed.artifact_type.is_some() && listed.artifact_type != manifest.artifact_type, "artifactType"),
            ];
            attached.bundles.push(Bundle {
                manifest: listed.digest,
                bytes: self.blob(layer).await?,
                misnamed: misnamed.iter().find(|(wrong, _)| *wrong).map(|(_, what)| *what),
            });
        }
        Ok(attached)
    }

    async fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>, Unread> {
        let listed: Vec<Descriptor> = match self {
            Self::Registry(client, repository) => {
                client.referrers(repository, subject).await.map_err(|e| unanswered(&e))?.manifests
            }
            Self::Layout(folder) => {
                let layout = Layout::open(folder);
                layout.check_marker().and_then(|()| layout.index()).map_err(|e| broken(&e))?.manifests
            }
        };
        if listed.len() > REFERRERS {
            return Err(Unread::Wrong(format!("{} referrers, and at most {REFERRERS} are looked at", listed.len())));
        }
        // A bundle hangs on an image manifest; what else strangers attach (an index, say) is no concern of ours.
        Ok(listed.into_iter().filter(|d| d.media_type == oci::MANIFEST && d.digest != *subject).collect())
    }

    async fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Unread> {
        match self {
            Self::Registry(client, repository) => {
                client.blob(repository, descriptor, LIMIT).await.map_err(|e| unanswered(&e))
            }
            Self::Layout(folder) => Layout::open(folder).read(descriptor, LIMIT).map_err(|e| broken(&e)),
        }
    }
}

fn unanswered(error: &RegistryError) -> Unread {
    match error.retry() {
        Retry::Later => Unread::Unavailable(error.to_string()),
        Retry::Never | Retry::Halt => Unread::Wrong(error.to_string()),
    }
}

fn broken(error: &LayoutError) -> Unread {
    Unread::Wrong(error.to_string())
}

//! The image itself: every document and blob of it, by its digest, from a store.

use std::collections::BTreeMap;

use artifact::Digest;
use artifact::failure::{Failure, Retry};
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Descriptor, ImageConfig, Index, Manifest};
use audit::entry::Release;

/// An image, or an index of images.
#[derive(Debug)]
pub(super) struct Image {
    /// What is published under a name.
    pub root: Descriptor,
    /// Every manifest and index, by its digest.
    pub documents: BTreeMap<Digest, Descriptor>,
    /// Configurations and layers, by their digests.
    pub blobs: BTreeMap<Digest, Descriptor>,
    /// The source date, as the image has it.
    pub created: String,
}

impl Image {
    /// Reads what was released. Blobs are hashed when they are copied.
    ///
    /// # Errors
    /// It is not there any more, or not what it was.
    pub(super) fn open(store: &Layout, release: &Release) -> Result<Self, Failure> {
        let root = Descriptor::new("", release.digest, 0);
        let mut image = Self { root, documents: BTreeMap::new(), blobs: BTreeMap::new(), created: String::new() };
        image.root = image.read(store, release, &release.digest, 0)?;
        Ok(image)
    }

    fn read(&mut self, store: &Layout, release: &Release, digest: &Digest, depth: u8) -> Result<Descriptor, Failure> {
        let failed = |e: LayoutError| unread(store, release, &e);
        let bytes = store.read_digest(digest, oci::MANIFEST_LIMIT).map_err(failed)?;
        let media_type = match (Manifest::parse(&bytes), Index::parse(&bytes)) {
            (Ok(manifest), _) => {
                let config = store.read(&manifest.config, oci::CONFIG_LIMIT).map_err(failed)?;
                let config = ImageConfig::parse(&config).map_err(|e| failed(e.into()))?;
                if self.created.is_empty() {
                    self.created = config.created.unwrap_or_default();
                }
                for blob in manifest.layers.iter().chain([&manifest.config]) {
                    self.blobs.insert(blob.digest, blob.clone());
                }
                manifest.media_type
            }
            (Err(_), Ok(index)) if depth == 0 => {
                for child in &index.manifests {
                    self.read(store, release, &child.digest, depth + 1)?;
                }
                index.media_type
            }
            (Err(e), _) => return Err(failed(e.into())),
        };
        let document = Descriptor::new(&media_type, *digest, bytes.len() as u64);
        self.documents.insert(*digest, document.clone());
        Ok(document)
    }
}

/// Why the image could not be read, and what to do.
pub(super) fn unread(store: &Layout, release: &Release, error: &LayoutError) -> Failure {
    let gone = matches!(error, LayoutError::Io { cause, .. } if cause.kind() == std::io::ErrorKind::NotFound);
    if gone {
        let (digest, folder) = (&release.digest, store.root().display());
        let text = format!(
            "{folder} does not hold all of {digest} ({error}). Releases go from the comparer's store by `countersign gc`; fetch \
             it from where it was published and name that folder with --image: \
             skopeo copy --preserve-digests docker://{}@{digest} oci:FOLDER",
            release.repository
        );
        return Failure::never("image-gone", text);
    }
    match Failure::of_input("image-unread", error) {
        failure if failure.retry == Retry::Later => failure,
        failure => Failure::halt("image-broken", failure.message),
    }
}

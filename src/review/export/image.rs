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

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::lane::LaneName;
    use audit::entry::PromotionId;

    fn release(digest: Digest) -> Release {
        Release {
            promotion: PromotionId(digest),
            lane: LaneName::Public,
            trial: true,
            project: "app".parse().unwrap(),
            attempt: String::new(),
            permit: 0,
            digest,
            repository: "registry.example/app".parse().unwrap(),
            tags: Vec::new(),
            previous: None,
            referrers: Vec::new(),
            at: "2026-11-23T10:00:00Z".parse().unwrap(),
        }
    }

    fn image(layout: &Layout, word: &str) -> Descriptor {
        let config = serde_json::json!({
            "created": "2026-01-01T00:00:00Z", "architecture": word, "os": "linux", "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
        });
        let config = layout.put(oci::CONFIG, config.to_string().as_bytes()).unwrap();
        let layer = layout.put(oci::LAYER, word.as_bytes()).unwrap();
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer],
        });
        layout.put(oci::MANIFEST, manifest.to_string().as_bytes()).unwrap()
    }

    fn index(layout: &Layout, of: Vec<Descriptor>) -> Descriptor {
        let bytes = artifact::json::canonical("index", &Index::of(of)).unwrap();
        layout.put(oci::INDEX, &bytes).unwrap()
    }

    #[test]
    fn an_index_is_taken_with_every_image_in_it_and_none_with_an_index_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let (one, two) = (image(&layout, "amd64"), image(&layout, "arm64"));
        let both = index(&layout, vec![one.clone(), two.clone()]);
        let read = Image::open(&layout, &release(both.digest)).unwrap();
        assert_eq!((&read.root, read.created.as_str()), (&both, "2026-01-01T00:00:00Z"));
        assert_eq!(read.documents.len(), 3);
        assert_eq!(read.blobs.len(), 4);
        let alone = Image::open(&layout, &release(one.digest)).unwrap();
        assert_eq!((alone.root, alone.documents.len(), alone.blobs.len()), (one.clone(), 1, 2));
        let nested = index(&layout, vec![both]);
        let refused = Image::open(&layout, &release(nested.digest)).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.retry), ("image-broken", Retry::Halt));
        std::fs::remove_file(layout.path(&two.digest)).unwrap();
        let both = index(&layout, vec![one, two]);
        let gone = Image::open(&layout, &release(both.digest)).unwrap_err();
        assert_eq!((gone.code.as_str(), gone.retry), ("image-gone", Retry::Never));
        assert!(gone.message.contains("--image"), "{gone}");
    }
}

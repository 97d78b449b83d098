//! Whole images: manifest, configuration and layers, into a store.

use artifact::Digest;
use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::oci::{self, CONFIG_LIMIT, Descriptor, Index, Manifest};
use serde::Deserialize;

use crate::Client;
use crate::error::{Fault, RegistryError};

/// The most bytes of an image's layers together, compressed: far more than images have, and less than disks do.
pub const IMAGE_LIMIT: u64 = 32 << 30;

/// An image in a store, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pulled {
    /// The index, when one was asked for.
    pub index: Option<Descriptor>,
    /// The manifest of this platform. When an index was asked for, the one that it names.
    pub manifest: Descriptor,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

/// How GOARCH calls this machine's architecture.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        other => other,
    }
}

impl Client {
    /// The manifest of this platform that a tag or a digest leads to, directly or through one index. `None`: there is none.
    ///
    /// # Errors
    /// When the registry can't be asked, or what it has is neither manifest nor index, or not for this platform.
    pub async fn resolve(
        &self,
        repository: &Repository,
        reference: &str,
    ) -> Result<Option<(Vec<u8>, Digest)>, RegistryError> {
        let Some((bytes, digest)) = self.manifest(repository, reference).await? else { return Ok(None) };
        let error = |fault: Fault| RegistryError::new(repository, format!("resolving {reference}"), fault);
        match media_type(&bytes).as_str() {
            oci::MANIFEST | oci::DOCKER_MANIFEST => Ok(Some((bytes, digest))),
            oci::INDEX => {
                let index = Index::parse(&bytes).map_err(|e| error(e.into()))?;
                let here = |m: &&Descriptor| {
                    m.platform.as_ref().is_some_and(|p| p.os == "linux" && p.architecture == architecture())
                };
                let (oci, docker) = (oci::MANIFEST, oci::DOCKER_MANIFEST);
                let mut fitting =
                    index.manifests.iter().filter(here).filter(|m| [oci, docker].contains(&&*m.media_type));
                let (Some(one), None) = (fitting.next(), fitting.next()) else {
                    let text = format!("the index does not name exactly one image for linux/{}", architecture());
                    return Err(error(Fault::Image(text)));
                };
                let digest = one.digest.to_string();
                self.manifest(repository, &digest).await?.map(Some).ok_or_else(|| error(Fault::Missing))
            }
            "" => {
                let text = "it says no mediaType, so it could be read as something else; push it with a tool that does";
                Err(error(Fault::Image(text.to_owned())))
            }
            other => {
                let what = artifact::digest::shortened(other);
                Err(error(Fault::Image(format!(
                    "media type {what:?}; name an OCI image, or its digest for one platform"
                ))))
            }
        }
    }

    /// Pulls an image by its digest into a store: this platform's, when the digest is an index's. What is there already is
    /// not pulled again.
    ///
    /// # Errors
    /// Missing, not an image, larger than [`IMAGE_LIMIT`], other bytes, or as the network and the file system say.
    pub async fn pull_image(
        &self,
        repository: &Repository,
        digest: &Digest,
        store: &Layout,
    ) -> Result<Pulled, RegistryError> {
        let error = |fault: Fault| RegistryError::new(repository, format!("pulling image {digest}"), fault);
        let found = self.resolve(repository, &digest.to_string()).await?;
        let (bytes, named) = found.ok_or_else(|| error(Fault::Missing))?;
        let index = self.index(repository, digest, &named, store).await?;
        let parsed = Manifest::parse(&bytes).map_err(|e| error(e.into()))?;
        let total = parsed.layers.iter().fold(0_u64, |sum, layer| sum.saturating_add(layer.size));
        if total > IMAGE_LIMIT {
            return Err(error(Fault::TooLarge(IMAGE_LIMIT)));
        }
        self.pull_blob(repository, &parsed.config, store, CONFIG_LIMIT).await?;
        for layer in &parsed.layers {
            self.pull_blob(repository, layer, store, IMAGE_LIMIT).await?;
        }
        // Last, so that a store that has the manifest has the image.
        let manifest = store.put(&parsed.media_type, &bytes).map_err(|e| error(e.into()))?;
        Ok(Pulled { index, manifest, config: parsed.config, layers: parsed.layers })
    }

    /// Keeps the index that led from the digest that was asked for to the one that was named: who checks the image later has
    /// nothing else to check it by.
    async fn index(
        &self,
        repository: &Repository,
        asked: &Digest,
        named: &Digest,
        store: &Layout,
    ) -> Result<Option<Descriptor>, RegistryError> {
        if asked == named {
            return Ok(None);
        }
        let error = |fault: Fault| RegistryError::new(repository, format!("pulling index {asked}"), fault);
        let found = self.manifest(repository, &asked.to_string()).await?;
        let (bytes, _) = found.ok_or_else(|| error(Fault::Missing))?;
        store.put(oci::INDEX, &bytes).map(Some).map_err(|e| error(e.into()))
    }
}

/// What a document says it is; nothing when it doesn't.
fn media_type(bytes: &[u8]) -> String {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Says {
        #[serde(default)]
        media_type: String,
    }
    artifact::json::parse_foreign::<Says>("manifest", bytes).map(|s| s.media_type).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, local};
    use serde_json::json;

    async fn push_image(client: &Client, repository: &Repository, word: &str) -> (Vec<u8>, Digest) {
        let config = client.push_bytes(repository, format!("{{\"{word}\":1}}").as_bytes()).await.unwrap();
        let layer = client.push_bytes(repository, word.as_bytes()).await.unwrap();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer, layer],
        }))
        .unwrap();
        let digest = Digest::of(&manifest);
        client.push_manifest(repository, &digest.to_string(), oci::MANIFEST, &manifest).await.unwrap();
        (manifest, digest)
    }

    fn index(entries: &[(&str, Digest, u64)]) -> Vec<u8> {
        let manifests: Vec<_> = entries
            .iter()
            .map(|(arch, digest, size)| {
                json!({"mediaType": oci::MANIFEST, "digest": digest, "size": size,
                    "platform": {"os": "linux", "architecture": arch}})
            })
            .collect();
        serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": manifests})).unwrap()
    }

    #[test]
    fn an_image_is_pulled_whole_and_an_index_is_resolved() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        local(async {
            let client = peer.client();
            let (ours, digest) = push_image(&client, &repository, "ours").await;
            let (theirs, other) = push_image(&client, &repository, "theirs").await;
            let both = index(&[(architecture(), digest, ours.len() as u64), ("other", other, theirs.len() as u64)]);
            client.push_manifest(&repository, "both", oci::INDEX, &both).await.unwrap();
            let resolved = client.resolve(&repository, "both").await.unwrap();
            assert_eq!(resolved, Some((ours.clone(), digest)));
            assert_eq!(client.resolve(&repository, "none").await.unwrap(), None);
            for asked in [digest, Digest::of(&both)] {
                let pulled = client.pull_image(&repository, &asked, &store).await.unwrap();
                assert_eq!(pulled.manifest.digest, digest);
                assert_eq!(pulled.layers.len(), 2);
                for blob in pulled.layers.iter().chain([&pulled.config, &pulled.manifest]) {
                    store.read(blob, 1 << 20).unwrap();
                }
            }
            let elsewhere = index(&[("other", other, theirs.len() as u64)]);
            client.push_manifest(&repository, "elsewhere", oci::INDEX, &elsewhere).await.unwrap();
            let error = client.resolve(&repository, "elsewhere").await.unwrap_err();
            assert!(matches!(error.fault(), Fault::Image(_)), "{error}");
        });
    }
}

//! Publishing: blobs, the manifest by its digest, referrers, legacy tags, and the tag last; then everything is read back.

use artifact::digest::Digest;
use artifact::failure::{Failure, Retry};
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor, Manifest};
use artifact::statement::permit::Terms;
use artifact::{Moment, json};
use registry::{Client, RegistryError};
use serde_json::json;

use crate::bundle::MEDIA_TYPE;
use crate::legacy::{self, Layer};

/// The empty configuration of an artifact (OCI image specification, "Guidance for an empty descriptor").
const EMPTY: &[u8] = b"{}";

/// One bundle to attach.
#[derive(Debug)]
pub(crate) struct Attached {
    /// The statement's type.
    pub predicate_type: String,
    /// The bundle, verbatim.
    pub bytes: Vec<u8>,
}

/// A release on its way to a registry.
#[derive(Debug)]
pub(crate) struct Publication<'a> {
    /// Where to, and what.
    pub terms: &'a Terms,
    /// What comparers packed.
    pub rebuilds: &'a Layout,
    /// The bundles.
    pub bundles: Vec<Attached>,
    /// The layers of `.sig`.
    pub signatures: Vec<Layer>,
    /// The layers of `.att`.
    pub attestations: Vec<Layer>,
    /// The source date: when what is attached was made, for what asks.
    pub created: Moment,
}

impl Publication<'_> {
    /// Publishes, reads back, and gives the digests of the referrers. May be done again: what is there stays.
    ///
    /// # Errors
    /// When the registry does not take it, or gives back something else.
    pub(crate) async fn publish(&self, client: &Client) -> Result<Vec<Digest>, Failure> {
        let manifest = self.push_image(client).await?;
        let mut referrers = Vec::new();
        for bundle in &self.bundles {
            referrers.push(self.attach(client, bundle, manifest.len() as u64).await?);
        }
        self.push_legacy(client, "sig", &self.signatures).await?;
        self.push_legacy(client, "att", &self.attestations).await?;
        self.read_back_referrers(client, &referrers).await?;
        // Only now may anybody find it by a name.
        for tag in &self.terms.tags {
            let repository = &self.terms.repository;
            client.push_manifest(repository, tag.as_str(), oci::MANIFEST, &manifest).await.map_err(failed)?;
        }
        for tag in &self.terms.tags {
            let there = client.manifest(&self.terms.repository, tag.as_str()).await.map_err(failed)?;
            if there.map(|(_, digest)| digest) != Some(self.terms.digest) {
                let text = format!("{}:{tag} was written, and names something else now", self.terms.repository);
                return Err(Failure::later("tag-not-read-back", text));
            }
        }
        Ok(referrers)
    }

    async fn push_image(&self, client: &Client) -> Result<Vec<u8>, Failure> {
        let broken = |e: artifact::layout::LayoutError| Failure::of_store("rebuild-broken", &e);
        let bytes = self.rebuilds.read_digest(&self.terms.digest, oci::MANIFEST_LIMIT).map_err(broken)?;
        let manifest = Manifest::parse(&bytes).map_err(|e| Failure::halt("rebuild-broken", e))?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            client.push_blob(&self.terms.repository, blob, self.rebuilds).await.map_err(failed)?;
        }
        let digest = self.terms.digest.to_string();
        client.push_manifest(&self.terms.repository, &digest, oci::MANIFEST, &bytes).await.map_err(failed)?;
        self.expect(client, &self.terms.digest, &bytes).await?;
        Ok(bytes)
    }

    /// Attaches a bundle as a referrer; where the registry has no referrers API, in the fallback tag's index as well.
    async fn attach(&self, client: &Client, bundle: &Attached, subject_size: u64) -> Result<Digest, Failure> {
        let repository = &self.terms.repository;
        let manifest = self.referrer(bundle, subject_size)?;
        client.push_bytes(repository, EMPTY).await.map_err(failed)?;
        client.push_bytes(repository, &bundle.bytes).await.map_err(failed)?;
        let descriptor = Descriptor::of(oci::MANIFEST, &manifest);
        let digest = descriptor.digest.to_string();
        let pushed = client.push_manifest(repository, &digest, oci::MANIFEST, &manifest).await.map_err(failed)?;
        if !pushed.oci_subject {
            let mut listed = descriptor.clone();
            listed.artifact_type = Some(MEDIA_TYPE.to_owned());
            listed.annotations = self.annotations(bundle);
            client.add_fallback_referrer(repository, &self.terms.digest, listed).await.map_err(failed)?;
        }
        self.expect(client, &descriptor.digest, &manifest).await?;
        Ok(descriptor.digest)
    }

    fn annotations(&self, bundle: &Attached) -> std::collections::BTreeMap<String, String> {
        [
            ("dev.sigstore.bundle.content", "dsse-envelope".to_owned()),
            ("dev.sigstore.bundle.predicateType", bundle.predicate_type.clone()),
            ("org.opencontainers.image.created", self.created.to_string()),
        ]
        .map(|(k, v)| (k.to_owned(), v))
        .into()
    }

    fn referrer(&self, bundle: &Attached, subject_size: u64) -> Result<Vec<u8>, Failure> {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "artifactType": MEDIA_TYPE,
            "config": Descriptor::of(oci::EMPTY, EMPTY),
            "layers": [Descriptor::of(MEDIA_TYPE, &bundle.bytes)],
            "subject": Descriptor::new(oci::MANIFEST, self.terms.digest, subject_size),
            "annotations": self.annotations(bundle),
        });
        json::canonical("referrer", &manifest).map_err(|e| Failure::halt("referrer-broken", e))
    }

    async fn push_legacy(&self, client: &Client, suffix: &str, layers: &[Layer]) -> Result<(), Failure> {
        let repository = &self.terms.repository;
        let tag = legacy::tag(&self.terms.digest, suffix);
        let there = client.manifest(repository, &tag).await.map_err(failed)?;
        let next = legacy::with_layers(there.as_ref().map(|(bytes, _)| bytes.as_slice()), layers)
            .map_err(|e| Failure::never("legacy-tag", format!("{repository}:{tag}: {e}")))?;
        let Some(legacy::Changed { manifest, config }) = next else { return Ok(()) };
        for bytes in layers.iter().map(|l| &l.bytes).chain([&config]) {
            client.push_bytes(repository, bytes).await.map_err(failed)?;
        }
        client.push_manifest(repository, &tag, oci::MANIFEST, &manifest).await.map_err(failed)?;
        match client.manifest(repository, &tag).await.map_err(failed)? {
            Some((there, _)) if there == manifest => Ok(()),
            _ => {
                let text = format!("{repository}:{tag} was written, and names something else: another writer is at it");
                Err(Failure::later("legacy-tag-not-read-back", text))
            }
        }
    }

    async fn read_back_referrers(&self, client: &Client, ours: &[Digest]) -> Result<(), Failure> {
        let index = client.referrers(&self.terms.repository, &self.terms.digest).await.map_err(failed)?;
        match ours.iter().find(|digest| !index.manifests.iter().any(|m| m.digest == **digest)) {
            None => Ok(()),
            Some(lost) => Err(Failure::later(
                "referrer-not-read-back",
                format!(
                    "{}: {lost} was attached, and is not listed; another writer may have replaced it",
                    self.terms.repository
                ),
            )),
        }
    }

    async fn expect(&self, client: &Client, digest: &Digest, bytes: &[u8]) -> Result<(), Failure> {
        let there = client.manifest(&self.terms.repository, &digest.to_string()).await.map_err(failed)?;
        match there {
            Some((there, _)) if there == bytes => Ok(()),
            _ => Err(Failure::later(
                "not-read-back",
                format!("{}@{digest} is not what was written", self.terms.repository),
            )),
        }
    }
}

fn failed(error: RegistryError) -> Failure {
    match error.retry() {
        Retry::Later => Failure::later("registry-unavailable", error),
        Retry::Never | Retry::Halt => Failure::never("registry-refused", error),
    }
}

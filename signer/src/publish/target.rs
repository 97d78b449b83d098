//! One repository on its way to a whole release: everything but its names.

use std::time::Duration;

use artifact::attached;
use artifact::digest::Digest;
use artifact::failure::Failure;
use artifact::layout::LayoutError;
use artifact::name::Repository;
use artifact::oci::{self, Descriptor, Manifest};
use registry::{Client, Fault, Listing, RegistryError};

use super::{Attached, Publication, ROUNDS, failed};
use crate::legacy::{self, Layer};

/// A bundle's manifest, and how an index lists it.
struct Referrer {
    manifest: Vec<u8>,
    listed: Descriptor,
}

/// A repository that a release is published to.
pub(super) struct Target<'a> {
    pub publication: &'a Publication<'a>,
    pub client: &'a Client,
    pub repository: &'a Repository,
}

impl Target<'_> {
    /// Brings everything there, by its digest, and reads it back; gives the digests of the referrers.
    pub(super) async fn complete(&self) -> Result<Vec<Digest>, Failure> {
        let subject_size = self.image().await?;
        let referrers = self.attach(subject_size).await?;
        self.add_layers("sig", &self.publication.signatures).await?;
        self.add_layers("att", &self.publication.attestations).await?;
        Ok(referrers)
    }

    /// Hangs what there is on an image that is there, and reads it back; gives the digests of the referrers.
    pub(super) async fn more(&self) -> Result<Vec<Digest>, Failure> {
        let digest = &self.publication.terms.digest;
        let there = self.client.manifest(self.repository, &digest.to_string()).await.map_err(failed)?;
        let Some((manifest, _)) = there else {
            return Err(Failure::never("release-gone", format!("{} has no {digest} any more", self.repository)));
        };
        let referrers = self.attach(manifest.len() as u64).await?;
        self.add_layers("sig", &self.publication.signatures).await?;
        self.add_layers("att", &self.publication.attestations).await?;
        Ok(referrers)
    }

    /// The image, whole; gives the size of its manifest.
    async fn image(&self) -> Result<u64, Failure> {
        let Publication { terms, rebuilds, beside, .. } = self.publication;
        let broken = |e: LayoutError| Failure::of_store("rebuild-broken", &e);
        let bytes = rebuilds.read_digest(&terms.digest, oci::MANIFEST_LIMIT).map_err(broken)?;
        let manifest = Manifest::parse(&bytes).map_err(|e| Failure::halt("rebuild-broken", e))?;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            self.client.push_blob(self.repository, blob, rebuilds, beside).await.map_err(failed)?;
        }
        self.put(&bytes).await?;
        // A registry may forget what it took, and some take a manifest without its blobs.
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            if !self.client.has_blob(self.repository, blob).await.map_err(failed)? {
                return Err(self.lost(&blob.digest));
            }
        }
        self.client.blob(self.repository, &manifest.config, oci::CONFIG_LIMIT).await.map_err(failed)?;
        Ok(bytes.len() as u64)
    }

    /// Puts the image's manifest by its digest unless it is there, and reads it back.
    async fn put(&self, bytes: &[u8]) -> Result<(), Failure> {
        let digest = &self.publication.terms.digest;
        if self.has_manifest(digest).await? {
            return Ok(());
        }
        let name = digest.to_string();
        self.client.push_manifest(self.repository, &name, oci::MANIFEST, bytes).await.map_err(failed)?;
        match self.client.manifest(self.repository, &name).await.map_err(failed)? {
            Some(_) => Ok(()),
            None => Err(self.lost(digest)),
        }
    }

    /// Whether a manifest is there by its digest. Some registries keep what they got of one that was cut on its way: that is
    /// none, and is put again.
    async fn has_manifest(&self, digest: &Digest) -> Result<bool, Failure> {
        match self.client.manifest(self.repository, &digest.to_string()).await {
            Ok(there) => Ok(there.is_some()),
            Err(error) if matches!(error.fault(), Fault::Mismatch { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    fn lost(&self, digest: &Digest) -> Failure {
        Failure::later("not-read-back", format!("{}@{digest} was written, and is not there", self.repository))
    }

    /// Attaches the bundles as referrers, and reads the list of them back; where the registry has no referrers API, in the
    /// fallback tag's index as well. What another writer of that index erased meanwhile is put there again.
    async fn attach(&self, subject_size: u64) -> Result<Vec<Digest>, Failure> {
        let mut ours = Vec::new();
        self.client.push_bytes(self.repository, attached::EMPTY).await.map_err(failed)?;
        for bundle in &self.publication.bundles {
            self.client.push_bytes(self.repository, &bundle.bytes).await.map_err(failed)?;
            ours.push(self.referrer(bundle, subject_size)?);
        }
        for round in 0..=ROUNDS {
            let listed = self.referrers().await?;
            let mut missing = Vec::new();
            for referrer in &ours {
                let there = listed.lists(&referrer.listed) && self.has_manifest(&referrer.listed.digest).await?;
                missing.extend((!there).then_some(referrer));
            }
            match missing.first() {
                None => break,
                Some(lost) if round == ROUNDS => {
                    let text = format!(
                        "{}: {} was attached {ROUNDS} times, and is not listed; find the other writer",
                        self.repository, lost.listed.digest
                    );
                    return Err(Failure::later("referrer-not-read-back", text));
                }
                Some(_) => self.pause(round).await,
            }
            for referrer in missing {
                self.attach_one(referrer).await?;
            }
        }
        Ok(ours.into_iter().map(|referrer| referrer.listed.digest).collect())
    }

    async fn attach_one(&self, referrer: &Referrer) -> Result<(), Failure> {
        let name = referrer.listed.digest.to_string();
        let pushed = self.client.push_manifest(self.repository, &name, oci::MANIFEST, &referrer.manifest).await;
        if !pushed.map_err(failed)?.oci_subject {
            let (subject, entry) = (&self.publication.terms.digest, referrer.listed.clone());
            self.client.add_fallback_referrer(self.repository, subject, entry).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Gives another writer, or a slow registry, time; more with each round.
    async fn pause(&self, round: u32) {
        if round > 0 {
            tokio::time::sleep(Duration::from_millis(50 << round)).await;
        }
    }

    async fn referrers(&self) -> Result<Listing, Failure> {
        self.client.listing(self.repository, &self.publication.terms.digest).await.map_err(failed)
    }

    fn referrer(&self, bundle: &Attached, subject_size: u64) -> Result<Referrer, Failure> {
        let subject = Descriptor::new(oci::MANIFEST, self.publication.terms.digest, subject_size);
        let (layer, created) = (Descriptor::of(attached::BUNDLE, &bundle.bytes), self.publication.created.to_string());
        let (manifest, listed) = attached::referrer(&layer, &bundle.predicate_type, &subject, &created)
            .map_err(|e| Failure::halt("referrer-broken", e))?;
        Ok(Referrer { manifest, listed })
    }

    /// Adds layers to a legacy tag, beside those of others, and reads it back. A tag has no compare-and-set: when another
    /// writer was in between, it is done again.
    async fn add_layers(&self, suffix: &str, layers: &[Layer]) -> Result<(), Failure> {
        let tag = attached::legacy_tag(&self.publication.terms.digest, suffix);
        // Before the tag is read, so that little time passes until it is written.
        for layer in layers {
            self.client.push_bytes(self.repository, &layer.bytes).await.map_err(failed)?;
        }
        for round in 0..=ROUNDS {
            let there = self.client.manifest(self.repository, &tag).await.map_err(failed)?;
            let next = legacy::with_layers(there.as_ref().map(|(bytes, _)| bytes.as_slice()), layers)
                .map_err(|e| Failure::never("legacy-tag", format!("{}:{tag}: {e}", self.repository)))?;
            let Some(legacy::Changed { manifest, config }) = next else { return Ok(()) };
            if round == ROUNDS {
                break;
            }
            self.pause(round).await;
            self.client.push_bytes(self.repository, &config).await.map_err(failed)?;
            let put = self.client.push_manifest(self.repository, &tag, oci::MANIFEST, &manifest).await;
            put.map_err(|e: RegistryError| self.not_written(&tag, e))?;
        }
        let text = format!(
            "{}:{tag} was written {ROUNDS} times, and replaced by another writer each time; find the other writer",
            self.repository
        );
        Err(Failure::later("legacy-tag-contended", text))
    }
}

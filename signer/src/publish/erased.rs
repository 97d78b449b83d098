//! Whether the release before this one is still whole. A tag has no compare-and-set: what another writer erases from a shared
//! tag, or a cleanup from a registry, can only be detected, and the next release is when we look.

use artifact::oci::{Descriptor, Index, Manifest};
use artifact::{Digest, attached};
use registry::Client;

use super::Publication;

impl Publication<'_> {
    /// What every release has, and the one before this one has no more. It keeps nothing from being published.
    pub(super) async fn erased(&self, client: &Client) -> Vec<String> {
        let Some(previous) = self.terms.previous.filter(|p| *p != self.terms.digest) else { return Vec::new() };
        let place = format!("{}@{previous}", self.terms.repository);
        let gone = match self.look(client, &previous).await {
            Ok(gone) => gone,
            Err(error) => vec![format!("it could not be looked at: {error}")],
        };
        gone.into_iter().map(|what| format!("the release before this one, {place}: {what}")).collect()
    }

    async fn look(&self, client: &Client, previous: &Digest) -> Result<Vec<String>, registry::RegistryError> {
        let repository = &self.terms.repository;
        if client.manifest(repository, &previous.to_string()).await?.is_none() {
            return Ok(vec!["the image itself is gone".to_owned()]);
        }
        let listed = client.referrers(repository, previous).await?;
        let mut gone = Vec::new();
        for bundle in self.bundles.iter().filter(|b| !has_bundle(&listed, &b.predicate_type)) {
            gone.push(format!("no bundle of {} is attached any more", bundle.predicate_type));
        }
        for suffix in ["sig", "att"] {
            let tag = attached::legacy_tag(previous, suffix);
            let layers = match client.manifest(repository, &tag).await? {
                None => Vec::new(),
                Some((bytes, _)) => Manifest::parse(&bytes).map(|m| m.layers).unwrap_or_default(),
            };
            let whole = match suffix {
                "sig" => layers.iter().any(|l| l.media_type == attached::SIMPLE_SIGNING),
                _ => self.attestations.iter().all(|ours| layers.iter().any(|l| says_the_same(l, &ours.descriptor))),
            };
            if !whole {
                gone.push(format!("the tag {tag} has lost what was signed"));
            }
        }
        Ok(gone)
    }
}

/// By the annotation alone: some registries list another artifact type than a manifest has.
fn has_bundle(listed: &Index, predicate_type: &str) -> bool {
    listed.manifests.iter().any(|m| m.annotations.get(attached::PREDICATE).is_some_and(|p| p == predicate_type))
}

/// Whether two layers hold statements of one type.
fn says_the_same(there: &Descriptor, ours: &Descriptor) -> bool {
    let of = |layer: &Descriptor| layer.annotations.get("predicateType").cloned();
    there.media_type == ours.media_type && of(there) == of(ours)
}

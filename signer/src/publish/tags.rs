//! The names of a release, written last: each only when it does not name the release already, and never against a registry
//! that keeps its tags.

use artifact::Digest;
use artifact::failure::Failure;
use artifact::name::Tag;
use artifact::oci;
use registry::{Fault, RegistryError};

use super::failed;
use super::target::Target;

impl Target<'_> {
    /// Gives the image its tags, and reads each back.
    pub(super) async fn name(&self) -> Result<(), Failure> {
        let digest = self.publication.terms.digest;
        let broken = |e: artifact::layout::LayoutError| Failure::of_store("rebuild-broken", &e);
        let manifest = self.publication.rebuilds.read_digest(&digest, oci::MANIFEST_LIMIT).map_err(broken)?;
        for tag in &self.publication.terms.tags {
            if self.named(tag).await? == Some(digest) {
                continue;
            }
            let put = self.client.push_manifest(self.repository, tag.as_str(), oci::MANIFEST, &manifest).await;
            if let Err(error) = put {
                self.not_named(tag, error).await?;
            }
        }
        for tag in &self.publication.terms.tags {
            if self.named(tag).await? != Some(digest) {
                let text = format!("{}:{tag} was written, and names something else now", self.repository);
                return Err(Failure::later("tag-not-read-back", text));
            }
        }
        Ok(())
    }

    async fn named(&self, tag: &Tag) -> Result<Option<Digest>, Failure> {
        let there = self.client.manifest(self.repository, tag.as_str()).await.map_err(failed)?;
        Ok(there.map(|(_, digest)| digest))
    }

    /// A tag that was not taken: done all the same, when it names the image; refused for good, when it names another one and
    /// the registry keeps its tags.
    async fn not_named(&self, tag: &Tag, error: RegistryError) -> Result<(), Failure> {
        if !keeps_tags(&error) {
            return Err(failed(error));
        }
        match self.named(tag).await? {
            Some(there) if there == self.publication.terms.digest => Ok(()),
            Some(there) => Err(Failure::never(
                "tag-immutable",
                format!(
                    "{}:{tag} names {there}, and this registry does not let a tag name something else: give the project \
                     tags with {{commit}} only, or let the registry overwrite this one ({error})",
                    self.repository
                ),
            )),
            None => Err(failed(error)),
        }
    }

    /// A legacy tag that was not taken. It has to grow with each signer, so a registry that keeps it is refused.
    pub(super) fn not_written(&self, tag: &str, error: RegistryError) -> Failure {
        match keeps_tags(&error) {
            true => Failure::never(
                "tag-immutable",
                format!("{}:{tag} can't be written: let the registry overwrite sha256-* ({error})", self.repository),
            ),
            false => failed(error),
        }
    }
}

/// Whether this can be how a registry says that it keeps a tag. They say it with any of these, and what was written just
/// before by the same login was taken.
fn keeps_tags(error: &RegistryError) -> bool {
    matches!(error.fault(), Fault::Status { status: 400 | 403 | 405 | 409 | 412 | 422, .. })
}

//! Publishing: blobs, the manifest by its digest, referrers, legacy tags, and the tag last; then everything is read back.
//!
//! May be done again from any point: what is there is shown, and not sent a second time. A second run over a whole release
//! writes nothing.

use artifact::Moment;
use artifact::digest::Digest;
use artifact::failure::{Failure, Retry};
use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::statement::permit::Terms;
use registry::{Client, Fault, RegistryError};

use crate::legacy::Layer;
use target::Target;

mod erased;
mod tags;
mod target;
#[cfg(test)]
mod tests;

/// How often something shared is written, and read back, before another writer is blamed.
const ROUNDS: u32 = 5;

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
    /// Repositories that may hold some of the image's blobs already.
    pub beside: Vec<Repository>,
    /// Where the same is published as well.
    pub replicas: Vec<Repository>,
}

/// What was published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// The digests of what is attached to the image.
    pub referrers: Vec<Digest>,
    /// What is gone of the release before this one, each in words.
    pub erased: Vec<String>,
}

impl Publication<'_> {
    /// Publishes to every target, and reads back. A target is found by a name only when all of it is there; one that
    /// fails does not keep the others from being published, and is what is answered.
    ///
    /// # Errors
    /// When a registry does not take it, or gives back something else.
    pub(crate) async fn publish(&self, client: &Client) -> Result<Published, Failure> {
        let mut failures = Vec::new();
        let (mut complete, mut referrers) = (Vec::new(), Vec::new());
        for repository in std::iter::once(&self.terms.repository).chain(&self.replicas) {
            let target = Target { publication: self, client, repository };
            match target.complete().await {
                Ok(attached) => {
                    complete.push(target);
                    referrers = attached;
                }
                Err(failure) => failures.push(failure),
            }
        }
        // Before a name leads past it.
        let erased = self.erased(client).await;
        for target in complete {
            // Only now may anybody find it by a name.
            if let Err(failure) = target.name().await {
                failures.push(failure);
            }
        }
        match worst(failures) {
            Some(failure) => Err(failure),
            None => Ok(Published { referrers, erased }),
        }
    }
}

impl Publication<'_> {
    /// Hangs bundles and layers on an image that is there already, at each target, beside what hangs there; no tag is touched.
    /// May be done again.
    ///
    /// # Errors
    /// The image is not there, or as [`Publication::publish`].
    pub(crate) async fn attach_more(&self, client: &Client) -> Result<Vec<Digest>, Failure> {
        let (mut failures, mut referrers) = (Vec::new(), Vec::new());
        for repository in std::iter::once(&self.terms.repository).chain(&self.replicas) {
            match (Target { publication: self, client, repository }).more().await {
                Ok(attached) => referrers = attached,
                Err(failure) => failures.push(failure),
            }
        }
        worst(failures).map_or(Ok(referrers), Err)
    }
}

/// The failure that says most about what comes next: a halt, then a refusal, then the first.
fn worst(failures: Vec<Failure>) -> Option<Failure> {
    let weight = |failure: &Failure| match failure.retry {
        Retry::Halt => 0,
        Retry::Never => 1,
        Retry::Later => 2,
    };
    failures.into_iter().min_by_key(weight)
}

/// What a registry's failure means for a release. An odd answer refuses no release: the registry, or what stands before
/// it, is to be mended, and the release waits.
fn failed(error: RegistryError) -> Failure {
    match (error.retry(), error.fault()) {
        (Retry::Halt, _) => Failure::halt("rebuild-broken", error),
        (Retry::Later, _) => Failure::later("registry-unavailable", error),
        (Retry::Never, Fault::Status { status: 400.., .. } | Fault::TooLarge(_)) => {
            Failure::never("registry-refused", error)
        }
        (Retry::Never, _) => Failure::later("registry-odd", error),
    }
}

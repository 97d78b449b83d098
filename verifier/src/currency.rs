//! Currency: what the log says a tag names, by the word of the image key. A registry can roll a tag back, and who leads a
//! pass can write down any release; neither can sign that an image may be named so.

use std::path::Path;

use artifact::name::{Repository, Tag};
use artifact::{Digest, Moment};
use audit::checkpoint::SignedCheckpoint;
use audit::reader::Log;
use audit::released::Vouched;

use crate::trust::Trust;

/// Reads the whole log, verified, and says what a tag names by it, and at which size. `proofs` are the checkpoints that
/// the image's bundles are proved under: a log that does not begin with what they say is older, or another.
///
/// # Errors
/// A text for a person: the log is not what was recorded, is not the one of the bundles, or never named this tag.
pub fn current(
    folder: &Path,
    trust: &Trust,
    (repository, tag): (&Repository, &Tag),
    proofs: &[SignedCheckpoint],
) -> Result<(Digest, u64), String> {
    let (log, vouched) = Log::fold(folder, &trust.log, Vouched::by(&trust.image), |vouched, entry| {
        if let Some(body) = entry.body() {
            vouched.read(body);
        }
    })
    .map_err(|e| e.to_string())?;
    if let Some(policy) = &trust.log_policy {
        policy.judge(log.checkpoint(), Moment::now()).map_err(|e| e.to_string())?;
    }
    for proof in proofs {
        let at = folder.display();
        log.prover().begins_with(proof).map_err(|e| format!("{at} is not the log that the image is proved by: {e}"))?;
    }
    let size = log.checkpoint().size();
    let named = vouched.named(repository, tag);
    named.map(|digest| (digest, size)).ok_or_else(|| {
        format!("the log of {size} entries has no release of {repository}:{tag} that the image key vouches for")
    })
}

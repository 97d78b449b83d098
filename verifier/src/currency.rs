//! Currency: what the log says a tag names, by the word of the image key. A registry can roll a tag back, and who leads a
//! pass can write down any release; neither can sign that an image may be named so.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::key::KeyId;
use artifact::name::{Repository, Tag};
use artifact::{Digest, Moment};
use audit::checkpoint::SignedCheckpoint;
use audit::entry::Body;
use audit::reader::Log;
use audit::released::Vouched;

use crate::trust::Trust;

/// What a log says, read whole.
#[derive(Debug)]
pub struct Said {
    log: Log,
    vouched: Vouched,
    revoked: BTreeMap<Digest, String>,
}

/// Reads the whole log, verified. `proofs` are the checkpoints that the image's bundles are proved under: a log that does not
/// begin with what they say is older, or another.
///
/// # Errors
/// A text for a person: the log is not what was recorded, or is not the one of the bundles.
pub fn read(folder: &Path, trust: &Trust, proofs: &[SignedCheckpoint]) -> Result<Said, String> {
    let nothing = || (Vouched::by(&trust.image, &trust.log), BTreeMap::new());
    let (log, (vouched, revoked)) = Log::read(folder, &trust.log, nothing, |(vouched, revoked), entry| {
        let Some(body) = entry.body() else { return };
        vouched.read(entry.index, body);
        // Whoever had it written down: a revocation that nobody ordered takes an image away, and lets none through.
        if let Body::Revocation(says) = body {
            let text = || format!("revoked by entry {} at {}: {}", entry.index, says.at, says.reason);
            revoked.entry(says.digest).or_insert_with(text);
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
    Ok(Said { log, vouched, revoked })
}

impl Said {
    /// How many entries it has.
    pub fn size(&self) -> u64 {
        self.log.checkpoint().size()
    }

    /// The rotation that the trust file does not have: its entry, and the key that counts for nothing from there on.
    pub fn rotated(&self) -> Option<(u64, KeyId)> {
        self.vouched.rotated()
    }

    /// That an image was revoked: by which entry, when and why.
    pub fn revoked(&self, digest: &Digest) -> Option<&str> {
        self.revoked.get(digest).map(String::as_str)
    }

    /// What a tag names.
    ///
    /// # Errors
    /// The log never named this tag.
    pub fn named(&self, (repository, tag): (&Repository, &Tag)) -> Result<Digest, String> {
        let size = self.size();
        self.vouched.named(repository, tag).ok_or_else(|| {
            format!("the log of {size} entries has no release of {repository}:{tag} that the image key vouches for")
        })
    }
}

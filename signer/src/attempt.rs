//! What is recorded under a permit already, admitted and sorted: used again, never made a second time.

use artifact::Digest;
use artifact::failure::Failure;
use artifact::key::PublicKey;
use audit::entry::{Attempt, Body, Bundle, Signature};
use audit::keys::HouseKeys;
use audit::leaf::RekorLeaf;
use audit::merkle::TreeHash;
use audit::recorded::{LastSeen, Proven, Recorded, RecordedError};

use crate::bundle;
use crate::statements::ToSign;

/// The most attempts under one permit. Each one more than the first is an answer that was lost.
pub(crate) const ATTEMPTS: usize = 16;

/// The entries of the attempts under one permit.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The attempts, the newest last. Vault is asked at most once for each: when the answer is lost, another one is recorded.
    pub attempts: Vec<Attempt>,
    /// Their signatures.
    pub signatures: Vec<Signature>,
    /// The leaves of its signatures.
    pub leaves: Vec<Recorded<RekorLeaf>>,
    /// Its bundles.
    pub bundles: Vec<Bundle>,
}

impl Made {
    /// Takes the next entry, which is recorded.
    pub(crate) fn take(
        &mut self,
        seen: &mut LastSeen,
        keys: &HouseKeys,
        proven: &Proven,
        consistency: &[TreeHash],
    ) -> Result<(), RecordedError> {
        // What was signed before the key of today came into force was signed with another one, and is made again.
        let counts = |index: u64| index >= keys.image.since();
        if proven.salt.is_none() {
            let leaf = seen.admit_raw(&keys.log, proven, consistency)?;
            self.leaves.extend(counts(leaf.index()).then_some(leaf));
            return Ok(());
        }
        let recorded = seen.admit(&keys.log, proven, consistency)?;
        let counts = counts(recorded.index());
        match recorded.into_value() {
            Body::Attempt(attempt) => self.attempts.push(attempt),
            Body::Signature(signature) => self.signatures.extend(counts.then_some(signature)),
            Body::Bundle(bundle) => self.bundles.push(bundle),
            _ => {}
        }
        Ok(())
    }

    /// Lets go of what does not hold. That something is recorded says who wrote it down, not that it is true: anybody
    /// whom the keeper hears can have an entry with any bytes.
    pub(crate) fn keep_sound(&mut self, to_sign: &[ToSign], key: &PublicKey, keys: &HouseKeys) {
        let digests: Vec<Digest> = to_sign.iter().map(|s| Digest::of(&s.payload)).collect();
        self.attempts.retain(|a| a.statements == digests);
        let attempts: Vec<String> = self.attempts.iter().map(|a| a.id.clone()).collect();
        let of = |id: &str| attempts.iter().any(|attempt| attempt == id);
        self.signatures.retain(|s| {
            let over = |t: &&ToSign| t.payload_type == s.payload_type && t.payload == s.payload.0;
            let signed = to_sign.iter().find(over);
            of(&s.attempt) && signed.is_some_and(|t| key.verify(&t.message(), &s.signature.0).is_ok())
        });
        let mut bundles = std::mem::take(&mut self.bundles);
        bundles.retain(|b| {
            let statement = to_sign.iter().find(|t| t.is_statement() && t.predicate_type == b.predicate_type);
            let signed = statement.and_then(|t| Some((t, self.signature(t)?)));
            signed.is_some_and(|(t, s)| {
                s.attempt == b.attempt && bundle::holds(&b.bundle.0, t, &s.signature.0, key, &keys.log)
            })
        });
        self.bundles = bundles;
    }

    /// Whether everything is signed: then nothing new will be.
    pub(crate) fn complete(&self, to_sign: &[ToSign]) -> bool {
        to_sign.iter().all(|t| self.signature(t).is_some())
    }

    /// Whether there was such an attempt.
    pub(crate) fn knows(&self, attempt: &str) -> bool {
        self.attempts.iter().any(|a| a.id == attempt)
    }

    /// The first recorded signature over a payload.
    pub(crate) fn signature(&self, to_sign: &ToSign) -> Option<&Signature> {
        self.signatures.iter().find(|s| s.payload_type == to_sign.payload_type && s.payload.0 == to_sign.payload)
    }

    /// The recorded leaf with these bytes.
    pub(crate) fn leaf(&self, bytes: &[u8]) -> Option<&Recorded<RekorLeaf>> {
        self.leaves.iter().find(|leaf| leaf.value().as_bytes() == bytes)
    }

    /// The recorded bundle of a statement.
    pub(crate) fn bundle(&self, predicate_type: &str, subject: &Digest) -> Option<&Bundle> {
        self.bundles.iter().find(|b| b.predicate_type == predicate_type && b.subject == *subject)
    }
}

/// What a receipt's fault means for the house.
pub(crate) fn not_recorded(error: &RecordedError) -> Failure {
    match error {
        RecordedError::RolledBack { .. } | RecordedError::Forked { .. } => Failure::halt("log-rolled-back", error),
        _ => Failure::never("not-recorded", error),
    }
}

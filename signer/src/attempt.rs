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

/// The entries of one attempt.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// The attempt.
    pub attempt: Option<Attempt>,
    /// Its signatures.
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
        if proven.salt.is_none() {
            self.leaves.push(seen.admit_raw(&keys.log, proven, consistency)?);
            return Ok(());
        }
        match seen.admit(&keys.log, proven, consistency)?.into_value() {
            // The first attempt under a permit is the attempt; the state says so as well.
            Body::Attempt(attempt) => {
                self.attempt.get_or_insert(attempt);
            }
            Body::Signature(signature) => self.signatures.push(signature),
            Body::Bundle(bundle) => self.bundles.push(bundle),
            _ => {}
        }
        Ok(())
    }

    /// Lets go of what does not hold. That something is recorded says who wrote it down, not that it is true: anybody
    /// whom the keeper hears can have an entry with any bytes.
    pub(crate) fn keep_sound(&mut self, to_sign: &[ToSign], key: &PublicKey, keys: &HouseKeys) {
        let digests: Vec<Digest> = to_sign.iter().map(|s| Digest::of(&s.payload)).collect();
        self.attempt.take_if(|a| a.statements != digests);
        let attempt = self.attempt.as_ref().map(|a| a.id.clone());
        let of = |id: &str| attempt.as_deref() == Some(id);
        self.signatures.retain(|s| {
            let over = |t: &&ToSign| t.payload_type == s.payload_type && t.payload == s.payload.0;
            let signed = to_sign.iter().find(over);
            of(&s.attempt) && signed.is_some_and(|t| key.verify(&t.message(), &s.signature.0).is_ok())
        });
        let mut bundles = std::mem::take(&mut self.bundles);
        bundles.retain(|b| {
            let statement = to_sign.iter().find(|t| t.is_statement() && t.predicate_type == b.predicate_type);
            let signed = statement.and_then(|t| Some((t, self.signature(&b.attempt, t)?)));
            of(&b.attempt) && signed.is_some_and(|(t, s)| bundle::holds(&b.bundle.0, t, &s.signature.0, key, &keys.log))
        });
        self.bundles = bundles;
    }

    /// Whether everything is signed: then nothing new will be.
    pub(crate) fn complete(&self, to_sign: &[ToSign]) -> bool {
        let attempt = self.attempt.as_ref().map(|a| a.id.as_str());
        attempt.is_some_and(|attempt| to_sign.iter().all(|t| self.signature(attempt, t).is_some()))
    }

    /// The recorded signature over a payload.
    pub(crate) fn signature(&self, attempt: &str, to_sign: &ToSign) -> Option<&Signature> {
        self.signatures
            .iter()
            .find(|s| s.attempt == attempt && s.payload_type == to_sign.payload_type && s.payload.0 == to_sign.payload)
    }

    /// The recorded leaf with these bytes.
    pub(crate) fn leaf(&self, bytes: &[u8]) -> Option<&Recorded<RekorLeaf>> {
        self.leaves.iter().find(|leaf| leaf.value().as_bytes() == bytes)
    }

    /// The recorded bundle of a statement.
    pub(crate) fn bundle(&self, attempt: &str, predicate_type: &str, subject: &Digest) -> Option<&Bundle> {
        self.bundles
            .iter()
            .find(|b| b.attempt == attempt && b.predicate_type == predicate_type && b.subject == *subject)
    }
}

/// What a receipt's fault means for the house.
pub(crate) fn not_recorded(error: &RecordedError) -> Failure {
    match error {
        RecordedError::RolledBack { .. } | RecordedError::Forked { .. } => Failure::halt("log-rolled-back", error),
        _ => Failure::never("not-recorded", error),
    }
}

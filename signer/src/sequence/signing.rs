//! What a release and a resigning have in common: an attempt, its signatures, the bundles, what is hung on the image; each
//! recorded before the next, and nothing that is recorded made again.

use artifact::digest::{Base64, hex};
use artifact::dsse::Envelope;
use artifact::failure::Failure;
use artifact::layout::Layout;
use artifact::statement::permit::Terms;
use artifact::{Digest, Moment};
use audit::door::Submission;
use audit::entry::{Attempt, Bundle, PromotionId, Signature};
use audit::keys::HouseKeys;
use audit::recorded::{LastSeen, Proven};
use registry::Client;

use super::{Recorder, Signer, lost};
use crate::attempt::{ATTEMPTS, Made, not_recorded};
use crate::bundle;
use crate::key::ImageKey;
use crate::legacy;
use crate::publish::{Attached, Publication};
use crate::statements::{SIGN, ToSign};

/// What is to be signed for an image, and what is recorded of that.
pub(super) struct Signing {
    pub promotion: PromotionId,
    /// The index of the permit's entry.
    pub permit: u64,
    pub terms: Terms,
    pub to_sign: Vec<ToSign>,
    pub made: Made,
    pub seen: LastSeen,
}

impl Signing {
    /// The attempt to sign under. What is not signed yet needs one of its own, recorded first: an older one may have had its
    /// answer, which is lost, and nobody signs twice for one attempt.
    pub(super) fn attempt(&mut self, keys: &HouseKeys, recorder: &mut dyn Recorder) -> Result<String, Failure> {
        if !self.made.complete(&self.to_sign) {
            if self.made.attempts.len() >= ATTEMPTS {
                let permit = self.permit;
                let text = format!(
                    "{ATTEMPTS} attempts under the permit at {permit}, and none had its answer: it must expire first"
                );
                return Err(Failure::later("attempts-exhausted", text));
            }
            let mut raw = [0; 16];
            getrandom::fill(&mut raw).map_err(|e| Failure::later("no-random-numbers", e))?;
            let attempt = Attempt {
                promotion: self.promotion,
                id: hex(&raw),
                permit: self.permit,
                statements: self.to_sign.iter().map(|s| Digest::of(&s.payload)).collect(),
                at: Moment::now(),
            };
            self.record(keys, recorder, vec![Submission::Body(attempt.into())])?;
        }
        self.made.attempts.last().map(|a| a.id.clone()).ok_or_else(lost)
    }

    /// Signs what is not signed yet, in one go, and records the signatures with their leaves before anything else happens
    /// with them.
    pub(super) fn sign(
        &mut self,
        attempt: &str,
        key: &dyn ImageKey,
        keys: &HouseKeys,
        recorder: &mut dyn Recorder,
    ) -> Result<(), Failure> {
        let missing: Vec<&ToSign> = self.to_sign.iter().filter(|s| self.made.signature(s).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let messages: Vec<Vec<u8>> = missing.iter().map(|s| s.message()).collect();
        let signatures = key.sign(&messages, attempt)?;
        let public = key.public();
        let mut submissions = Vec::new();
        for ((statement, message), signature) in missing.into_iter().zip(&messages).zip(signatures) {
            // Whoever keeps the key is not believed either.
            public
                .verify(message, &signature)
                .map_err(|e| Failure::later("signature-wrong", format!("signing: {e}")))?;
            let entry = Signature {
                promotion: self.promotion,
                attempt: attempt.to_owned(),
                payload_type: statement.payload_type.to_owned(),
                payload: Base64(statement.payload.clone()),
                signature: Base64(signature.clone()),
                key: public.id(),
                key_kept: key.kept().to_owned(),
                at: Moment::now(),
            };
            submissions.push(Submission::Body(entry.into()));
            if statement.is_statement() {
                submissions.push(Submission::Raw(Base64(bundle::rekor_leaf(message, &signature, &public)?)));
            }
        }
        self.record(keys, recorder, submissions)
    }

    /// Assembles the bundles that are not there yet, and records them: what is attached is these very bytes.
    pub(super) fn bundle(
        &mut self,
        key: &dyn ImageKey,
        keys: &HouseKeys,
        recorder: &mut dyn Recorder,
    ) -> Result<(), Failure> {
        let (public, subject) = (key.public(), self.terms.digest);
        let mut submissions = Vec::new();
        for statement in self.to_sign.iter().filter(|s| s.is_statement()) {
            if self.made.bundle(&statement.predicate_type, &subject).is_some() {
                continue;
            }
            let signature = self.made.signature(statement).ok_or_else(lost)?;
            let leaf = bundle::rekor_leaf(&statement.message(), &signature.signature.0, &public)?;
            let leaf = self.made.leaf(&leaf).ok_or_else(lost)?;
            let bytes = bundle::bundle(&statement.payload, &signature.signature.0, &public, leaf, &keys.log)?;
            let entry = Bundle {
                promotion: self.promotion,
                attempt: signature.attempt.clone(),
                subject,
                predicate_type: statement.predicate_type.clone(),
                bundle: Base64(bytes),
                at: Moment::now(),
            };
            submissions.push(Submission::Body(entry.into()));
        }
        self.record(keys, recorder, submissions)
    }

    /// Everything that hangs on the image, ready to be published. `created` dates what is attached.
    pub(super) fn publication<'a>(
        &'a self,
        signer: &Signer<'_>,
        rebuilds: &'a Layout,
        created: Moment,
    ) -> Result<Publication<'a>, Failure> {
        let mut publication = Publication {
            terms: &self.terms,
            rebuilds,
            bundles: Vec::new(),
            signatures: Vec::new(),
            attestations: Vec::new(),
            created,
            beside: Vec::new(),
            replicas: signer.config.replicas.of(&self.terms.repository).to_vec(),
        };
        for statement in &self.to_sign {
            let signature = &self.made.signature(statement).ok_or_else(lost)?.signature.0;
            if !statement.is_statement() {
                publication.signatures.push(legacy::signature_layer(&statement.payload, signature));
                continue;
            }
            let predicate_type = statement.predicate_type.clone();
            let bundle = self.made.bundle(&predicate_type, &self.terms.digest).ok_or_else(lost)?;
            if predicate_type != SIGN {
                let envelope = Envelope::new(statement.payload.clone(), signature.clone()).to_bytes();
                publication.attestations.push(legacy::attestation_layer(&envelope, &predicate_type));
            }
            publication.bundles.push(Attached { predicate_type, bytes: bundle.bundle.0.clone() });
        }
        Ok(publication)
    }

    /// Has entries recorded, and admits each: nothing goes on from what is not proved.
    pub(super) fn record(
        &mut self,
        keys: &HouseKeys,
        recorder: &mut dyn Recorder,
        submissions: Vec<Submission>,
    ) -> Result<(), Failure> {
        if submissions.is_empty() {
            return Ok(());
        }
        let (proven, consistency) = recorder.proven(submissions, self.seen.size())?;
        for one in &proven {
            let taken = self.made.take(&mut self.seen, keys, one, &consistency);
            taken.map_err(|e| not_recorded(&e))?;
        }
        Ok(())
    }
}

/// What came back of entries that were to be recorded.
pub(super) type Came = (Vec<Proven>, Vec<audit::merkle::TreeHash>);

impl dyn Recorder + '_ {
    /// Has entries recorded, and gives each with its receipt, and the proof from the size that was seen.
    ///
    /// # Errors
    /// The coordinator is gone, or does not bring back what it was given.
    pub(super) fn proven(&mut self, submissions: Vec<Submission>, seen: u64) -> Result<Came, Failure> {
        let appended = self.record(submissions.clone(), seen)?;
        if appended.receipts.len() != submissions.len() || appended.salts.len() != submissions.len() {
            return Err(lost());
        }
        let mut proven = Vec::new();
        for ((submission, receipt), salt) in submissions.into_iter().zip(appended.receipts).zip(appended.salts) {
            let content = match submission {
                Submission::Body(body) => Base64(body.to_bytes().map_err(|e| Failure::halt("entry-broken", e))?),
                Submission::Raw(raw) => raw,
            };
            proven.push(Proven { content, salt, receipt });
        }
        Ok((proven, appended.consistency))
    }
}

/// Runs what talks to registries, on this thread.
pub(super) fn at_registries<T>(
    signer: &Signer<'_>,
    work: impl AsyncFnOnce(&Client) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let client = Client::new(&signer.config.registry).map_err(|e| Failure::later("registry-client", e))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|e| Failure::later("runtime", e))?.block_on(work(&client))
}

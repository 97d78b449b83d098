//! Signing a release again with the key of today, because people ordered it: the very same payloads, each with a signature that
//! counts where it stands in the log. Attempt first, then signatures, bundles, what hangs on the image, and the entry that says
//! so; no tag is touched. Killed anywhere and asked again, it goes on with what is recorded.

use artifact::digest::{Base64, hex};
use artifact::failure::Failure;
use artifact::layout::Layout;
use artifact::statement::permit::Terms;
use artifact::{Digest, Moment, dsse, json};
use audit::door::Submission;
use audit::entry::{Attempt, Body, Order, Permit, PromotionId, Release, Resigning, Signature};
use audit::recorded::LastSeen;
use audit::released::{self, Vouched};
use policy::order::Action;
use registry::Client;
use serde_json::Value;

use super::{Recorder, Signer, bundle_entry, lost, record};
use crate::attempt::{Made, not_recorded};
use crate::bundle;
use crate::door::{Answer, ResignAsk};
use crate::key::ImageKey;
use crate::legacy;
use crate::publish::{Attached, Publication};
use crate::state::Store;
use crate::statements::{SIGN, SIMPLE_SIGNING, ToSign};

/// One release that is signed again.
struct Again {
    order: u64,
    permit: u64,
    promotion: PromotionId,
    terms: Terms,
    to_sign: Vec<ToSign>,
    made: Made,
    seen: LastSeen,
}

impl Signer<'_> {
    /// Signs a release again.
    ///
    /// # Errors
    /// Nobody ordered it by this room's list, it is no release that an image key vouched for, or what kept it from being done.
    pub fn resign(
        &self,
        ask: &ResignAsk,
        key: &dyn ImageKey,
        store: &dyn Store,
        recorder: &mut dyn Recorder,
    ) -> Result<Answer, Failure> {
        let public = key.public();
        if public != *self.keys.image.current() {
            return Err(Failure::halt("wrong-image-key", "the image key is not the one that keys.toml pins"));
        }
        let mut memory = store.load()?;
        let mut again = self.admit_again(ask, memory.seen)?;
        again.made.keep_sound(&again.to_sign, &public, self.keys);
        let attempt = self.attempt_again(&mut again, recorder)?;
        // By compare-and-set: of two signers at once, one goes on.
        memory.seen = again.seen;
        store.swap(&mut memory)?;
        self.sign_again(&mut again, &attempt, key, recorder)?;
        self.bundle_again(&mut again, key, recorder)?;
        let referrers = self.attach(&again)?;
        let (digest, promotion, order) = (again.terms.digest, again.promotion, again.order);
        let said = Resigning { promotion, order, attempt, digest, referrers, at: Moment::now() };
        self.take(&mut again, recorder, vec![Submission::Body(said.into())])?;
        memory.seen = again.seen;
        store.swap(&mut memory)?;
        Ok(Answer::Resigned { digest })
    }

    /// The order, the release, and what it was signed with.
    fn admit_again(&self, ask: &ResignAsk, mut seen: LastSeen) -> Result<Again, Failure> {
        let recorded = |e| not_recorded(&e);
        let (log, proof) = (&self.keys.log, &ask.consistency);
        let order = seen.admit(log, &ask.order, proof).and_then(|r| r.of_kind::<Order>()).map_err(recorded)?;
        let current = self.keys.image.current().id();
        if !matches!(self.counted(order.value())?, Action::Resign { key } if key == current) {
            return Err(unfit("the order is one for something else"));
        }
        let permit = seen.admit(log, &ask.permit, proof).and_then(|r| r.of_kind::<Permit>()).map_err(recorded)?;
        let mut signed = Vec::new();
        for proven in &ask.signed {
            let entry = seen.admit(log, proven, proof).map_err(recorded)?;
            signed.push((entry.index(), entry.into_value()));
        }
        let release = seen.admit(log, &ask.release, proof).and_then(|r| r.of_kind::<Release>()).map_err(recorded)?;
        let to_sign = self.signed_then(&signed, release.value(), permit.value(), permit.index())?;
        let mut made = Made::default();
        for proven in &ask.made {
            made.take(&mut seen, self.keys, proven, proof).map_err(recorded)?;
        }
        made.attempts.retain(|a| a.permit == permit.index());
        let (order, promotion) = (order.index(), release.value().promotion);
        let terms = permit.value().terms.clone();
        Ok(Again { order, permit: permit.index(), promotion, terms, to_sign, made, seen })
    }

    /// What was signed for a release, each payload by the image key that was in force where its signature stands.
    fn signed_then(
        &self,
        signed: &[(u64, Body)],
        release: &Release,
        permit: &Permit,
        index: u64,
    ) -> Result<Vec<ToSign>, Failure> {
        let terms = &permit.terms;
        let same = release.permit == index
            && release.promotion == permit.promotion
            && (release.digest, &release.repository, &release.tags) == (terms.digest, &terms.repository, &terms.tags);
        if !same {
            return Err(unfit("the release is one under another permit"));
        }
        let mut vouched = Vouched::by(&self.keys.image, &self.keys.log);
        for (index, body) in signed {
            vouched.read(*index, body);
        }
        if !vouched.vouches(release) {
            return Err(unfit("no image key of that time vouches for the release"));
        }
        let attempt = signed.iter().find_map(|(_, body)| match body {
            Body::Attempt(attempt) if attempt.id == release.attempt && attempt.permit == index => Some(attempt),
            _ => None,
        });
        let attempt = attempt.ok_or_else(|| unfit("the release's attempt is missing"))?;
        let by = |digest: &Digest| -> Option<&Signature> {
            signed.iter().find_map(|(index, body)| match body {
                Body::Signature(s) if Digest::of(&s.payload.0) == *digest => {
                    let key = self.keys.image.at(*index)?.key;
                    released::signed(s, key).then_some(s)
                }
                _ => None,
            })
        };
        let payload = |digest| by(digest).and_then(|s| payload_of(s, &release.digest));
        let all = attempt.statements.iter().map(payload).collect::<Option<Vec<_>>>();
        all.filter(|all| !all.is_empty())
            .ok_or_else(|| unfit("a statement of it has no signature that counts, or is of another image"))
    }

    /// A new attempt when anything is to be signed still, because the answer to an older one may be lost; or the newest.
    fn attempt_again(&self, again: &mut Again, recorder: &mut dyn Recorder) -> Result<String, Failure> {
        if !again.made.complete(&again.to_sign) {
            let mut raw = [0; 16];
            getrandom::fill(&mut raw).map_err(|e| Failure::later("no-random-numbers", e))?;
            let attempt = Attempt {
                promotion: again.promotion,
                id: hex(&raw),
                permit: again.permit,
                statements: again.to_sign.iter().map(|s| Digest::of(&s.payload)).collect(),
                at: Moment::now(),
            };
            self.take(again, recorder, vec![Submission::Body(attempt.into())])?;
        }
        again.made.attempts.last().map(|a| a.id.clone()).ok_or_else(lost)
    }

    fn sign_again(
        &self,
        again: &mut Again,
        attempt: &str,
        key: &dyn ImageKey,
        recorder: &mut dyn Recorder,
    ) -> Result<(), Failure> {
        let public = key.public();
        let missing: Vec<_> = again.to_sign.iter().filter(|s| again.made.signature(s).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let messages: Vec<_> = missing.iter().map(|statement| statement.message()).collect();
        let signatures = key.sign(&messages, attempt)?;
        let mut submissions = Vec::new();
        for ((statement, message), signature) in missing.iter().zip(&messages).zip(signatures) {
            public
                .verify(message, &signature)
                .map_err(|e| Failure::later("signature-wrong", format!("signing: {e}")))?;
            let entry = Signature {
                promotion: again.promotion,
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
        self.take(again, recorder, submissions)
    }

    fn bundle_again(&self, again: &mut Again, key: &dyn ImageKey, recorder: &mut dyn Recorder) -> Result<(), Failure> {
        let (public, subject, promotion) = (key.public(), again.terms.digest, again.promotion);
        let mut submissions = Vec::new();
        for statement in again.to_sign.iter().filter(|s| s.is_statement()) {
            if again.made.bundle(&statement.predicate_type, &subject).is_some() {
                continue;
            }
            let signature = again.made.signature(statement).ok_or_else(lost)?;
            let leaf = bundle::rekor_leaf(&statement.message(), &signature.signature.0, &public)?;
            let leaf = again.made.leaf(&leaf).ok_or_else(lost)?;
            let bytes = bundle::bundle(&statement.payload, &signature.signature.0, &public, leaf, &self.keys.log)?;
            submissions.push(Submission::Body(bundle_entry(promotion, &signature.attempt, subject, statement, bytes)));
        }
        self.take(again, recorder, submissions)
    }

    /// Hangs what is new on the image, beside what hangs there.
    fn attach(&self, again: &Again) -> Result<Vec<Digest>, Failure> {
        let rebuilds = Layout::open(self.state.join("public/compare/out"));
        let created = again.made.attempts.last().map_or(again.terms.decided, |a| a.at);
        let mut publication = Publication {
            terms: &again.terms,
            rebuilds: &rebuilds,
            bundles: Vec::new(),
            signatures: Vec::new(),
            attestations: Vec::new(),
            created,
            beside: Vec::new(),
            replicas: self.config.replicas.of(&again.terms.repository).to_vec(),
        };
        for statement in &again.to_sign {
            let signature = &again.made.signature(statement).ok_or_else(lost)?.signature.0;
            if !statement.is_statement() {
                publication.signatures.push(legacy::signature_layer(&statement.payload, signature));
                continue;
            }
            let predicate_type = statement.predicate_type.clone();
            let bundle = again.made.bundle(&predicate_type, &again.terms.digest).ok_or_else(lost)?;
            if predicate_type != SIGN {
                let envelope = dsse::Envelope::new(statement.payload.clone(), signature.clone()).to_bytes();
                publication.attestations.push(legacy::attestation_layer(&envelope, &predicate_type));
            }
            publication.bundles.push(Attached { predicate_type, bytes: bundle.bundle.0.clone() });
        }
        let client = Client::new(&self.config.registry).map_err(|e| Failure::later("registry-client", e))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::later("runtime", e))?;
        runtime.block_on(publication.attach_more(&client))
    }

    /// Has entries recorded, and admits each.
    fn take(
        &self,
        again: &mut Again,
        recorder: &mut dyn Recorder,
        submissions: Vec<Submission>,
    ) -> Result<(), Failure> {
        if submissions.is_empty() {
            return Ok(());
        }
        let (proven, consistency) = record::proven(recorder, submissions, again.seen.size())?;
        for one in &proven {
            let taken = again.made.take(&mut again.seen, self.keys, one, &consistency);
            taken.map_err(|e| not_recorded(&e))?;
        }
        Ok(())
    }
}

/// What a recorded signature is over, when it is of this image.
fn payload_of(signature: &Signature, digest: &Digest) -> Option<ToSign> {
    let payload = signature.payload.0.clone();
    let says: Value = json::parse_foreign("payload", &payload).ok()?;
    let text = |pointer: &str| says.pointer(pointer).and_then(Value::as_str);
    match signature.payload_type.as_str() {
        dsse::IN_TOTO if text("/subject/0/digest/sha256") == Some(&digest.hex()) => {
            let predicate_type = text("/predicateType")?.to_owned();
            Some(ToSign { payload_type: dsse::IN_TOTO, predicate_type, payload })
        }
        SIMPLE_SIGNING if text("/critical/image/docker-manifest-digest") == Some(&digest.to_string()) => {
            Some(ToSign { payload_type: SIMPLE_SIGNING, predicate_type: String::new(), payload })
        }
        _ => None,
    }
}

fn unfit(why: &str) -> Failure {
    Failure::never("not-resigned", format!("{why}; nothing was signed"))
}

#[cfg(test)]
mod tests;

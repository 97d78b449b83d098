//! Signing a release again with the key of today, because people ordered it: the very same payloads, each with a signature that
//! counts where it stands in the log. Attempt first, then signatures, bundles, what hangs on the image, and the entry that says
//! so; no tag is touched. Killed anywhere and asked again, it goes on with what is recorded.

use artifact::attached::SIMPLE_SIGNING;
use artifact::failure::Failure;
use artifact::layout::Layout;
use artifact::{Digest, Moment, dsse, json};
use audit::door::Submission;
use audit::entry::{Body, Order, Permit, Release, Resigning, Signature};
use audit::recorded::LastSeen;
use audit::released::{self, Vouched};
use policy::order::Action;
use serde_json::Value;

use super::signing::{Signing, at_registries};
use super::{Recorder, Signer};
use crate::attempt::{Made, not_recorded};
use crate::door::{Answer, ResignAsk};
use crate::key::ImageKey;
use crate::state::Store;
use crate::statements::ToSign;

/// One release that is signed again.
struct Again {
    order: u64,
    signing: Signing,
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
        let Again { order, ref mut signing } = again;
        signing.made.keep_sound(&signing.to_sign, &public, self.keys);
        let attempt = signing.attempt(self.keys, recorder)?;
        // By compare-and-set: of two signers at once, one goes on.
        memory.seen = signing.seen;
        store.swap(&mut memory)?;
        signing.sign(&attempt, key, self.keys, recorder)?;
        signing.bundle(key, self.keys, recorder)?;
        let referrers = self.attach(signing)?;
        let (digest, promotion) = (signing.terms.digest, signing.promotion);
        let said = Resigning { promotion, order, attempt, digest, referrers, at: Moment::now() };
        signing.record(self.keys, recorder, vec![Submission::Body(said.into())])?;
        memory.seen = signing.seen;
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
        let signing = Signing { promotion, permit: permit.index(), terms, to_sign, made, seen };
        Ok(Again { order, signing })
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

    /// Hangs what is new on the image, beside what hangs there.
    fn attach(&self, signing: &Signing) -> Result<Vec<Digest>, Failure> {
        let rebuilds = Layout::open(self.state.join("public/compare/out"));
        let created = signing.made.attempts.last().map_or(signing.terms.decided, |a| a.at);
        let publication = signing.publication(self, &rebuilds, created)?;
        at_registries(self, async |client| publication.attach_more(client).await)
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

//! Taking up another version of the image key, because people ordered it. This room counts them by its own list, and looks
//! whether its key of that version is the one that was ordered. The memory goes first: killed after that, neither key signs an
//! image until the rotation is recorded, and asked again it is recorded by the same order.

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::lane::LaneName;
use artifact::{Moment, key::PublicKey};
use audit::door::Submission;
use audit::entry::{Order, Rotation};
use audit::rotation::{attempt, statement};
use policy::order::Action;

use super::{Recorder, Signer, lost};
use crate::attempt::not_recorded;
use crate::door::{Answer, RotateAsk};
use crate::key::{ImageKey, Versions};
use crate::state::{Store, TakenUp};

/// What people ordered.
struct Ordered {
    key: PublicKey,
    version: u64,
}

impl Signer<'_> {
    /// Takes up the version that was ordered, and has that recorded.
    ///
    /// # Errors
    /// Nobody ordered it by this room's list, the version is another key, or what kept it from being done.
    pub fn rotate(
        &self,
        ask: &RotateAsk,
        versions: &dyn Versions,
        store: &dyn Store,
        recorder: &mut dyn Recorder,
    ) -> Result<Answer, Failure> {
        let mut memory = store.load()?;
        let recorded = |e| not_recorded(&e);
        let order = memory.seen.admit(&self.keys.log, &ask.order, &ask.consistency).map_err(recorded)?;
        let order = order.of_kind::<Order>().map_err(recorded)?;
        let index = order.index();
        let Ordered { key, version } = self.ordered(order.value())?;
        let taken = match memory.key.clone().filter(|taken| taken.order == index && taken.version == version) {
            Some(taken) => taken,
            None => TakenUp { version, before: memory.key_version(versions.first()), order: index },
        };
        if taken.version <= taken.before {
            let text =
                format!("version {version} of the image key was ordered, and version {} is in use", taken.before);
            return Err(Failure::never("key-version", text));
        }
        let (old, new) = (versions.version(taken.before)?, versions.version(version)?);
        if old.public() != *self.keys.image.current() {
            return Err(Failure::halt("wrong-image-key", "the image key is not the one that keys.toml pins"));
        }
        if new.public() != key {
            let (ours, theirs) = (new.public().id(), key.id());
            let text = format!("version {version} of the image key is {ours}, and the order says {theirs}");
            return Err(Failure::never("key-version", text));
        }
        if memory.key.as_ref() != Some(&taken) {
            memory.key = Some(taken.clone());
            store.swap(&mut memory)?;
        }
        recorder.say("the order counts here, and the key is the one that was ordered");
        let before = old.public().id();
        let message = statement(&self.keys.log, index, &before, &key, version);
        // Whoever keeps the keys hears which order it is for.
        let sign = |key: &dyn ImageKey, version: u64| -> Result<Base64, Failure> {
            let attempt = attempt(index, version);
            let signature = key.sign(std::slice::from_ref(&message), &attempt)?.pop().ok_or_else(lost)?;
            key.public().verify(&message, &signature).map_err(|e| Failure::later("signature-wrong", e))?;
            Ok(Base64(signature))
        };
        let (by_before, by_key) = (sign(&*old, taken.before)?, sign(&*new, version)?);
        let rotation = Rotation { order: index, before, key, version, by_before, by_key, at: Moment::now() };
        let submissions = vec![Submission::Body(rotation.into())];
        let (proven, consistency) = recorder.proven(submissions, memory.seen.size())?;
        let proven = proven.first().ok_or_else(lost)?;
        let index = memory.seen.admit(&self.keys.log, proven, &consistency).map_err(recorded)?.index();
        store.swap(&mut memory)?;
        Ok(Answer::Rotated { index })
    }

    /// What an order says, once its people count here.
    pub(super) fn counted(&self, order: &Order) -> Result<Action, Failure> {
        let refused = |why: String| Failure::never("not-ordered", format!("{why}. Nothing was done"));
        let by = self.rules.orders().ok_or_else(|| refused("signer-rules.toml has no [orders]".to_owned()))?;
        let says = order.sound().map_err(|e| refused(format!("the order: {e}")))?;
        let signatures: Vec<_> = order.signatures.iter().map(|s| s.signature.0.clone()).collect();
        by.signers(&says, &order.statement.0, &signatures, order.at)
            .map_err(|e| refused(format!("the order, by signer-rules.toml: {e}")))?;
        match says.lane {
            LaneName::Public => Ok(says.action),
            _ => Err(refused("the order is for another lane".to_owned())),
        }
    }

    fn ordered(&self, order: &Order) -> Result<Ordered, Failure> {
        match self.counted(order)? {
            Action::Rotate { before, .. } if before != self.keys.image.current().id() => {
                Err(not_ordered(&format!("the order rotates key {before}, which keys.toml does not pin for today")))
            }
            Action::Rotate { key, version, .. } => Ok(Ordered { key, version }),
            _ => Err(not_ordered("the order is one for something else")),
        }
    }
}

fn not_ordered(why: &str) -> Failure {
    Failure::never("not-ordered", format!("{why}. The image key is the one it was"))
}

#[cfg(test)]
pub(super) mod tests;

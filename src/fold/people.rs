//! What people ordered, and what came of it.

use std::collections::{BTreeMap, BTreeSet};

use artifact::Digest;
use artifact::lane::LaneName;
use audit::entry::{Body, Order, PromotionId, Revocation};
use policy::order::Action;

use super::Fold;

/// Orders and their effects.
#[derive(Debug, Default)]
pub struct People {
    /// The entries in which nonces were used up.
    nonces: BTreeMap<String, u64>,
    /// Orders that were taken up and not carried out so far.
    standing: BTreeMap<u64, policy::Order>,
    /// Bodies that are there and may be forgotten, and the promotion they are of.
    forgettable: BTreeMap<u64, Option<PromotionId>>,
    /// Bodies that are gone.
    gone: BTreeSet<u64>,
    /// Entries that say something was forgotten which is there: a pass ended before it was deleted.
    undeleted: BTreeMap<u64, Vec<u64>>,
    revoked: BTreeMap<Digest, (u64, Revocation)>,
}

impl People {
    /// Orders that were taken up and not carried out so far: a pass ended in between.
    pub fn standing(&self) -> impl Iterator<Item = (u64, &policy::Order)> {
        self.standing.iter().map(|(index, order)| (*index, order))
    }

    /// Entries that say something was forgotten which is still there.
    pub fn undeleted(&self) -> impl Iterator<Item = u64> {
        self.undeleted.keys().copied()
    }

    /// The entry in which a nonce was used up.
    pub fn used(&self, nonce: &str) -> Option<u64> {
        self.nonces.get(nonce).copied()
    }

    /// That an image was revoked, and the index of the entry that says so.
    pub fn revocation(&self, digest: &Digest) -> Option<(u64, &Revocation)> {
        self.revoked.get(digest).map(|(index, revocation)| (*index, revocation))
    }

    pub(super) fn gone(&mut self, index: u64, kind: u8) {
        if Body::may_be_forgotten(kind) {
            self.gone.insert(index);
        }
    }

    pub(super) fn deleted(&mut self, forgotten: u64) {
        for index in self.undeleted.remove(&forgotten).into_iter().flatten() {
            self.forgettable.remove(&index);
            self.gone.insert(index);
        }
    }

    /// Why an entry that says this would be void: nobody ordered it.
    pub(super) fn effect_fault(&self, body: &Body) -> Option<&'static str> {
        let ordered = |index: &u64| self.standing.get(index).map(|order| (&order.action, &order.reason));
        let right = match body {
            Body::Forgotten(says) => {
                matches!(ordered(&says.order), Some((Action::Forget { indexes }, _)) if *indexes == says.indexes)
            }
            Body::Revocation(says) => matches!(ordered(&says.order), Some((Action::Revoke { digest }, reason))
                if *digest == says.digest && *reason == says.reason),
            _ => true,
        };
        (!right).then_some("what no order of people asked for")
    }

    /// Takes the next entry, which counts.
    pub(super) fn apply(&mut self, index: u64, body: &Body) {
        if Body::may_be_forgotten(body.kind()) {
            self.forgettable.insert(index, body.promotion());
        }
        match body {
            Body::Order(order) => {
                if let Ok(order) = order.sound() {
                    self.nonces.insert(order.nonce.clone(), index);
                    self.standing.insert(index, order);
                }
            }
            Body::Forgotten(forgotten) => {
                self.standing.remove(&forgotten.order);
                if forgotten.indexes.iter().any(|gone| self.forgettable.contains_key(gone)) {
                    self.undeleted.insert(index, forgotten.indexes.clone());
                }
            }
            Body::Revocation(revocation) => {
                self.standing.remove(&revocation.order);
                self.revoked.entry(revocation.digest).or_insert_with(|| (index, revocation.clone()));
            }
            // What was ordered for the key before can't be done any more.
            Body::Rotation(rotation) => self.standing.retain(
                |_, order| !matches!(&order.action, Action::Rotate { before: key, .. } | Action::Resign { key } if *key == rotation.before),
            ),
            _ => {}
        }
    }
}

impl Fold {
    /// Why an order would be void. Whose keys signed it was asked when it was recorded, by the rules of that day.
    pub fn order_fault(&self, order: &Order) -> Option<&'static str> {
        let Ok(says) = order.sound() else { return Some("an order that its people did not sign") };
        if says.lane != LaneName::Public || says.expires <= order.at {
            return Some("an order of another lane, or one that had expired");
        }
        if self.people.used(&says.nonce).is_some() {
            return Some("an order that was used before");
        }
        match &says.action {
            Action::Forget { indexes } => {
                let may = |index: &u64| self.people.gone.contains(index) || self.may_forget(*index).is_ok();
                (!indexes.iter().all(may)).then_some("an order to forget what never goes")
            }
            Action::Revoke { .. } => None,
            Action::Rotate { before, .. } => self.rotate_fault(before),
            Action::Resign { key } => self.rotate_fault(key),
        }
    }

    /// Whether what is ordered can be done here and now.
    ///
    /// # Errors
    /// Why it can't, for a person.
    pub fn may(&self, action: &Action) -> Result<(), String> {
        match action {
            Action::Forget { indexes } => indexes.iter().try_for_each(|index| self.may_forget(*index)),
            Action::Revoke { digest } => match self.people.revocation(digest) {
                Some((index, _)) => Err(format!("{digest} was revoked already, by entry {index}")),
                None => Ok(()),
            },
            Action::Rotate { before, key, .. } => self.may_rotate(before, key),
            Action::Resign { key } => self.may_resign(key),
        }
    }

    fn may_forget(&self, index: u64) -> Result<(), String> {
        if self.people.gone.contains(&index) {
            return Err(format!("entry {index} was forgotten already"));
        }
        let Some(promotion) = self.people.forgettable.get(&index) else {
            return Err(format!(
                "entry {index} is not there, or is never forgotten: only facts, failed, halted and configuration are"
            ));
        };
        let in_flight = promotion
            .and_then(|id| self.promotion(&id))
            .is_some_and(|p| self.waiting(&p.opened.project).any(|id| id == p.opened.promotion));
        match in_flight {
            true => Err(format!("entry {index} is of a promotion in flight: let it end first")),
            false => Ok(()),
        }
    }
}

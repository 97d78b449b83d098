//! Rotations of the image key. The keys that count are those of `keys.toml`, which only the operator changes: a rotation that
//! is not in there yet ends what the earlier key can do, and begins nothing.

use std::collections::BTreeMap;

use artifact::key::{KeyId, PublicKey};
use audit::entry::{Body, Rotation};
use audit::reader::Entry;
use policy::order::Action;

use super::Fold;

/// Orders to rotate, and the newest rotation.
#[derive(Debug, Default)]
pub(super) struct Rotations {
    /// The entries of orders that stand, for the signer to see.
    ordered: BTreeMap<u64, Entry>,
    newest: Option<(u64, Rotation)>,
}

impl Rotations {
    /// Takes the next entry, which counts.
    pub(super) fn apply(&mut self, entry: &Entry, body: &Body) {
        match body {
            Body::Order(order) if order.sound().is_ok_and(|says| matches!(says.action, Action::Rotate { .. })) => {
                self.ordered.insert(entry.index, entry.clone());
            }
            Body::Rotation(rotation) => {
                self.ordered.clear();
                self.newest = Some((entry.index, rotation.clone()));
            }
            _ => {}
        }
    }
}

impl Fold {
    /// The entry of an order to rotate that stands.
    pub fn rotate_order(&self, index: u64) -> Option<&Entry> {
        self.rotations.ordered.get(&index)
    }

    /// The rotation that `keys.toml` does not have yet, and the index of its entry.
    pub fn unpinned(&self) -> Option<(u64, &Rotation)> {
        let (index, rotation) = self.rotations.newest.as_ref()?;
        self.keys.image.called(&rotation.key.id()).is_none().then_some((*index, rotation))
    }

    /// Why an entry that says this would be void.
    pub(super) fn rotation_fault(&self, index: u64, says: &Rotation) -> Option<&'static str> {
        let ordered = self.people.standing().find(|(order, _)| *order == says.order).map(|(_, order)| &order.action);
        let Some(Action::Rotate { before, key, version }) = ordered else {
            return Some("a rotation that no order of people asked for");
        };
        if (before, key, version) != (&says.before, &says.key, &says.version) {
            return Some("a rotation to another key than was ordered");
        }
        let image = &self.keys.image;
        let Some(old) = image.called(&says.before) else {
            return Some("a rotation from a key that is not the house's");
        };
        if says.verify(&self.keys.log, old.key).is_err() {
            return Some("a rotation that both keys did not sign");
        }
        // What keys.toml says already is what it must say.
        let pinned = match image.called(&says.key.id()) {
            Some(new) => new.from == index && old.until == Some(index),
            None => old.until.is_none() && self.unpinned().is_none(),
        };
        (!pinned).then_some("a rotation that keys.toml does not have so")
    }

    /// Why an order to rotate would be void. Whether the key is the one of that day is asked of the rotation.
    pub(super) fn rotate_fault(&self, before: &KeyId) -> Option<&'static str> {
        self.keys.image.called(before).is_none().then_some("an order to rotate a key that is not the house's")
    }

    /// Whether the key can be rotated here and now.
    pub(super) fn may_rotate(&self, before: &KeyId, key: &PublicKey) -> Result<(), String> {
        if let Some((index, _)) = self.unpinned() {
            return Err(format!(
                "the image key was rotated by entry {index}, and keys.toml does not have it: run countersign keys"
            ));
        }
        let current = self.keys.image.current().id();
        if current != *before {
            return Err(format!(
                "it rotates key {before}, and images are signed with key {current} now: write it anew"
            ));
        }
        let shared = [&self.keys.intake, self.keys.log.key()].into_iter().chain(&self.keys.comparers).any(|k| k == key);
        match self.keys.image.called(&key.id()) {
            Some(_) => Err(format!("key {} was in force already: a key does not come back", key.id())),
            None if shared => Err(format!("key {} is another room's", key.id())),
            None => Ok(()),
        }
    }
}

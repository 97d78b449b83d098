//! Bodies that are gone: each must be named by a later entry that says it was forgotten, and that by an order of people.

use std::collections::BTreeMap;

use artifact::Digest;
use policy::order::Action;

use super::{Content, LogError};
use crate::entry::Body;
use crate::tiles::{self, Tiles};

/// What is gone, until an entry accounts for it.
#[derive(Debug, Default)]
pub(super) struct Forgetting {
    gone: BTreeMap<u64, (u8, Digest)>,
    /// What people ordered to be forgotten, by the index of the order's entry.
    ordered: BTreeMap<u64, Vec<u64>>,
}

impl Forgetting {
    /// Takes the next entry.
    pub(super) fn see(&mut self, index: u64, content: &Content) {
        match content {
            Content::Forgotten(commitment) => {
                self.gone.insert(index, (commitment.kind(), *commitment.digest()));
            }
            Content::Ours { body: Body::Order(order), .. } => {
                if let Ok(policy::Order { action: Action::Forget { indexes }, .. }) = order.sound() {
                    self.ordered.insert(index, indexes);
                }
            }
            Content::Ours { body: Body::Forgotten(forgotten), .. } => {
                if self.ordered.remove(&forgotten.order).as_ref() != Some(&forgotten.indexes) {
                    return;
                }
                // What decisions and releases say never goes, whatever an entry says.
                self.gone
                    .retain(|index, (kind, _)| !(Body::may_be_forgotten(*kind) && forgotten.indexes.contains(index)));
            }
            Content::Ours { .. } | Content::Rekor(_) => {}
        }
    }

    /// Whether everything that is gone was accounted for.
    pub(super) fn check(self, tiles: &Tiles) -> Result<(), LogError> {
        match self.gone.first_key_value() {
            None => Ok(()),
            Some((index, (_, digest))) => {
                let what = format!(
                    "missing (the body of entry {index}), and no later entry says that it was forgotten by an order"
                );
                Err(tiles::broken(&tiles.body_path(digest), what))
            }
        }
    }
}

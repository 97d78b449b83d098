//! Signing releases again with the key of today, because people ordered it. What was signed with an earlier key stays good.

use artifact::key::KeyId;
use audit::entry::{Attempt, PromotionId, Resigning};
use audit::reader::{Content, Entry};
use policy::order::Action;

use super::{Fold, Promotion};

/// What became of signing a release again.
#[derive(Debug, Clone, Default)]
pub struct Again {
    /// The index of the release's entry.
    pub release: Option<u64>,
    /// The indexes of what it was signed with: attempts and signatures.
    pub signed: Vec<u64>,
    /// The newest attempt to sign it again.
    attempt: Option<Attempt>,
    /// What is recorded under that attempt.
    pub entries: Vec<Entry>,
    /// The entry that says it was signed again.
    done: Option<u64>,
}

impl Again {
    /// The release is recorded, and these entries are what stood under its permit. The first such entry counts.
    pub(super) fn released(&mut self, index: u64, under_permit: &[Entry]) {
        if self.release.is_some() {
            return;
        }
        let ours = |entry: &&Entry| matches!(entry.body().map(|b| b.name()), Some("attempt" | "signature"));
        self.release = Some(index);
        self.signed = under_permit.iter().filter(ours).map(|entry| entry.index).collect();
    }

    pub(super) fn begin(&mut self, attempt: Attempt) {
        self.attempt = Some(attempt);
        self.entries.clear();
    }

    pub(super) fn end(&mut self, index: u64) {
        self.done = Some(index);
        self.attempt = None;
        self.entries = Vec::new();
    }

    fn signatures(&self) -> usize {
        let signature =
            |entry: &&Entry| matches!(&entry.content, Content::Ours { body, .. } if body.name() == "signature");
        self.entries.iter().filter(signature).count()
    }
}

impl Promotion {
    /// The attempt of this name, if signatures under it count now.
    pub(super) fn signing(&self, id: &str) -> Option<&Attempt> {
        let attempts = if self.release.is_some() { self.again.attempt.as_slice() } else { &self.attempts };
        attempts.iter().find(|attempt| attempt.id == id)
    }
}

impl Fold {
    /// The order to sign releases again that stands, for the key of today.
    pub fn resign_order(&self) -> Option<u64> {
        let current = self.keys.image.current().id();
        let ours = |action: &Action| matches!(action, Action::Resign { key } if *key == current);
        self.people.standing().find(|(_, order)| ours(&order.action)).map(|(index, _)| index)
    }

    /// The current releases whose newest signatures are of an earlier key, the oldest first; none that was revoked.
    pub fn to_resign(&self) -> impl Iterator<Item = PromotionId> {
        self.promotions().filter(|(_, promotion)| self.is_due(promotion)).map(|(id, _)| *id)
    }

    fn is_due(&self, promotion: &Promotion) -> bool {
        let Some(release) = &promotion.release else { return false };
        let named = |tag| self.tag(&release.repository, tag) == Some(release.digest);
        self.of_earlier_key(promotion)
            && self.people.revocation(&release.digest).is_none()
            && release.tags.iter().any(named)
    }

    fn of_earlier_key(&self, promotion: &Promotion) -> bool {
        let newest = promotion.again.done.or(promotion.again.release);
        newest.is_some_and(|index| index < self.keys.image.since())
    }

    /// Why an attempt on what is released would be void.
    pub(super) fn again_fault(&self, promotion: &Promotion, attempt: &Attempt) -> Option<&'static str> {
        let same = promotion.attempts.iter().any(|first| first.statements == attempt.statements);
        if promotion.permit_index != Some(attempt.permit) || !same {
            return Some("an attempt to sign something else again");
        }
        if self.resigned_by_none(promotion) {
            return Some("an attempt to sign again that no order of people asked for");
        }
        None
    }

    /// Why an entry that says a release was signed again would be void.
    pub(super) fn resigning_fault(&self, promotion: &Promotion, says: &Resigning) -> Option<&'static str> {
        let again = &promotion.again;
        let Some(attempt) = again.attempt.as_ref().filter(|a| a.id == says.attempt) else {
            return Some("a release signed again without an attempt");
        };
        let digest = promotion.release.as_ref().map(|release| release.digest);
        if digest != Some(says.digest) || again.signatures() < attempt.statements.len() {
            return Some("a release signed again without signatures");
        }
        (!self.ordered_again(says.order)).then_some("a release signed again that no order of people asked for")
    }

    fn ordered_again(&self, index: u64) -> bool {
        self.people.standing().any(|(order, says)| order == index && matches!(says.action, Action::Resign { .. }))
    }

    /// Folded with a later day's keys, a release of then may have been due for a key that is an earlier one now.
    fn resigned_by_none(&self, promotion: &Promotion) -> bool {
        let ordered = self.people.standing().any(|(_, order)| matches!(order.action, Action::Resign { .. }));
        !ordered || promotion.again.release.is_none()
    }

    /// Whether releases can be signed again here and now.
    pub(super) fn may_resign(&self, key: &KeyId) -> Result<(), String> {
        let current = self.keys.image.current().id();
        if self.unpinned().is_some() || current != *key {
            return Err(format!("it is for key {key}, and images are signed with key {current} now: write it anew"));
        }
        match self.resign_order() {
            Some(index) => Err(format!("the order of entry {index} says so already")),
            None if self.to_resign().next().is_none() => {
                Err("no current release is signed with an earlier key".to_owned())
            }
            None => Ok(()),
        }
    }
}

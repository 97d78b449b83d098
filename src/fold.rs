//! State is a fold over the log: what is known of each promotion, by its entries and nothing else.
//!
//! That an entry is there says that somebody had it written down, not that it is true. What a room's signature must vouch
//! for counts only with it (`sound.rs`); the rest is void, and changes nothing.

mod people;
mod resigning;
mod rotation;
mod sound;

use std::collections::BTreeMap;

use artifact::name::{ProjectName, Repository, Tag};
use artifact::statement::comparison::Comparison;
use artifact::{Digest, Moment};
use audit::entry::{Attempt, Body, Facts, Kind as _, Opened, Permit, PromotionId, Rebuild, Refusal, Release};
use audit::keys::HouseKeys;
use audit::reader::{Content, Entry};
use audit::released::Vouched;

pub use people::People;
use resigning::Again;
use rotation::Rotations;

/// The most entries under one permit: attempts, four signatures, three leaves, three bundles, each made again a few times.
const KEPT: usize = 64;
/// The most bytes of them.
const KEPT_BYTES: usize = 1 << 20;

/// Where a promotion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Begun; no facts yet.
    Opened,
    /// Facts and dossier are there.
    Prepared,
    /// The rebuild is there, and no permit that still holds.
    Rebuilt,
    /// A permit holds, or signatures were made under one that did.
    Permitted,
    /// Published. The end.
    Released,
    /// Refused. The end.
    Refused,
}

impl Stage {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Prepared => "prepared",
            Self::Rebuilt => "rebuilt",
            Self::Permitted => "permitted",
            Self::Released => "released",
            Self::Refused => "refused",
        }
    }
}

/// What the log says of one promotion.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// How it began.
    pub opened: Opened,
    /// What intake saw, until the promotion ended.
    pub facts: Option<Facts>,
    /// What the comparer found, until the promotion ended.
    pub rebuild: Option<Rebuild>,
    /// The newest permit.
    pub permit: Option<Permit>,
    /// The index of its entry.
    pub permit_index: Option<u64>,
    /// Its entry, until the promotion ended.
    pub permit_entry: Option<Entry>,
    /// The attempts under the newest permit, the newest last.
    pub attempts: Vec<Attempt>,
    /// What was recorded under the newest permit: attempt, signatures, leaves, bundles.
    pub under_permit: Vec<Entry>,
    /// Whether a signature is among that, one of the image key.
    pub signed: bool,
    /// Its dossier.
    pub dossier: Option<Digest>,
    /// The manifest of its rebuild.
    pub rebuilt: Option<Digest>,
    /// How often a room was lost over it.
    pub failures: u64,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// What was published.
    pub release: Option<Release>,
    /// Its entry, what it was signed with, and what became of signing it again.
    pub again: Again,
}

impl Promotion {
    /// Where it is.
    pub fn stage(&self, now: Moment) -> Stage {
        if self.release.is_some() {
            Stage::Released
        } else if self.refusal.is_some() {
            Stage::Refused
        } else if self.facts.is_none() && !self.signed {
            // Facts that were forgotten are gathered again: nothing can be decided or signed without them.
            Stage::Opened
        } else if self.permit.as_ref().is_some_and(|p| self.signed || now < p.terms.expires) {
            Stage::Permitted
        } else if self.rebuild.is_some() {
            Stage::Rebuilt
        } else {
            Stage::Prepared
        }
    }
}

/// Every promotion, and what each tag names.
#[derive(Debug)]
pub struct Fold {
    keys: HouseKeys,
    promotions: BTreeMap<PromotionId, Promotion>,
    order: Vec<PromotionId>,
    vouched: Vouched,
    /// The promotion whose sound signature was the last entry of ours.
    last: Option<PromotionId>,
    void: BTreeMap<u64, &'static str>,
    /// Some facts were forgotten: what rested on them can't be held against them.
    forgotten_facts: bool,
    configuration: BTreeMap<String, Digest>,
    posture: BTreeMap<String, serde_json::Value>,
    people: People,
    rotations: Rotations,
}

impl Fold {
    /// Nothing was read yet; the rooms sign with these keys.
    pub fn new(keys: &HouseKeys) -> Self {
        Self {
            keys: keys.clone(),
            promotions: BTreeMap::new(),
            order: Vec::new(),
            vouched: Vouched::by(&keys.image, &keys.log),
            last: None,
            void: BTreeMap::new(),
            forgotten_facts: false,
            configuration: BTreeMap::new(),
            posture: BTreeMap::new(),
            people: People::default(),
            rotations: Rotations::default(),
        }
    }

    /// What people ordered, and what came of it.
    pub fn people(&self) -> &People {
        &self.people
    }

    /// The keeper has deleted what this entry says was forgotten.
    pub fn deleted(&mut self, forgotten: u64) {
        self.people.deleted(forgotten);
    }

    /// Entries that change nothing, and why: whoever had them written down was not this house's coordinator.
    pub fn void(&self) -> &BTreeMap<u64, &'static str> {
        &self.void
    }

    /// One promotion.
    pub fn promotion(&self, id: &PromotionId) -> Option<&Promotion> {
        self.promotions.get(id)
    }

    /// Every promotion, the oldest first.
    pub fn promotions(&self) -> impl DoubleEndedIterator<Item = (&PromotionId, &Promotion)> {
        self.order.iter().filter_map(|id| self.promotions.get_key_value(id))
    }

    /// The newest promotion of a project that has not ended. One that a later release has overtaken is left behind: a tag
    /// would go back to an older commit.
    pub fn unfinished(&self, project: &ProjectName) -> Option<PromotionId> {
        self.waiting(project).next()
    }

    /// Every promotion of a project that has not ended and was not overtaken, the newest first.
    fn waiting<'a>(&'a self, project: &'a ProjectName) -> impl Iterator<Item = PromotionId> + 'a {
        let of = self.promotions().rev().filter(move |(_, p)| p.opened.project == *project);
        of.take_while(|(_, p)| p.release.is_none()).filter(|(_, p)| p.refusal.is_none()).map(|(id, _)| *id)
    }

    /// What a tag names, by the log and the image key.
    pub fn tag(&self, repository: &Repository, tag: &Tag) -> Option<Digest> {
        self.vouched.named(repository, tag)
    }

    /// The digest that a file of the configuration had in the newest pass that recorded it.
    pub fn configuration(&self, file: &str) -> Option<Digest> {
        self.configuration.get(file).copied()
    }

    /// What a room said of itself when that was recorded last.
    pub fn posture(&self, room: &str) -> Option<&serde_json::Value> {
        self.posture.get(room)
    }

    /// Takes the next entry.
    pub fn apply(&mut self, entry: Entry) {
        let index = entry.index;
        let fault = match &entry.content {
            Content::Rekor(_) => self.apply_leaf(entry),
            Content::Forgotten(commitment) => {
                self.forgotten_facts |= commitment.kind() == Facts::KIND;
                self.people.gone(index, commitment.kind());
                None
            }
            Content::Ours { body, .. } => {
                let body = body.clone();
                self.apply_body(entry, body)
            }
        };
        if let Some(why) = fault {
            self.void.insert(index, why);
        }
    }

    /// Leaves follow the signatures they belong to, in the same append.
    fn apply_leaf(&mut self, entry: Entry) -> Option<&'static str> {
        let promotion = self.last.and_then(|id| self.promotions.get_mut(&id));
        let Some(promotion) = promotion else { return Some("a leaf that follows no signature") };
        promotion.keep(entry)
    }

    fn apply_body(&mut self, entry: Entry, body: Body) -> Option<&'static str> {
        self.last = None;
        let vouched = self.vouched.read(entry.index, &body);
        if !vouched {
            return Some("a release that the image key does not vouch for");
        }
        if let Some(why) = self.fault(entry.index, &body) {
            return Some(why);
        }
        self.people.apply(entry.index, &body);
        self.rotations.apply(&entry, &body);
        if let Body::Opened(opened) = body {
            let id = opened.promotion;
            if !self.promotions.contains_key(&id) {
                self.order.push(id);
                self.promotions.insert(id, Promotion::new(opened));
            }
            return None;
        }
        match body {
            Body::Configuration(configuration) => {
                self.configuration.insert(configuration.file, configuration.digest);
                return None;
            }
            Body::Posture(posture) => {
                self.posture.extend(posture.hellos.into_iter().filter_map(|hello| Some((room_of(&hello)?, hello))));
                return None;
            }
            _ => {}
        }
        if let Body::Signature(signature) = &body {
            self.last = Some(signature.promotion);
        }
        let promotion = body.promotion().and_then(|id| self.promotions.get_mut(&id))?;
        promotion.apply(entry, body)
    }
}

/// The dossier that a rebuild is of, as its comparison says, which was verified.
fn dossier_of(rebuild: &Rebuild) -> Option<Digest> {
    let envelope = artifact::dsse::Envelope::parse(&rebuild.comparison.0).ok()?;
    let statement = artifact::statement::Statement::<Comparison>::parse(&envelope.payload.0).ok()?;
    Some(statement.predicate.dossier)
}

/// Which room a Hello is of.
pub fn room_of(hello: &serde_json::Value) -> Option<String> {
    hello.get("room")?.as_str().map(str::to_owned)
}

impl Promotion {
    fn new(opened: Opened) -> Self {
        Self {
            opened,
            facts: None,
            rebuild: None,
            permit: None,
            permit_index: None,
            permit_entry: None,
            attempts: Vec::new(),
            under_permit: Vec::new(),
            signed: false,
            dossier: None,
            rebuilt: None,
            failures: 0,
            refusal: None,
            release: None,
            again: Again::default(),
        }
    }

    fn apply(&mut self, entry: Entry, body: Body) -> Option<&'static str> {
        match body {
            Body::Facts(facts) => {
                self.dossier = Some(facts.dossier);
                self.facts = Some(facts);
            }
            Body::Rebuild(rebuild) => {
                self.rebuilt = Some(rebuild.rebuild);
                // The facts may have been forgotten; the comparison says it as well.
                self.dossier = dossier_of(&rebuild).or(self.dossier);
                self.rebuild = Some(rebuild);
            }
            Body::Permit(permit) => {
                self.permit = Some(permit);
                self.permit_index = Some(entry.index);
                self.permit_entry = Some(entry);
                self.under_permit.clear();
                self.attempts.clear();
                self.signed = false;
            }
            Body::Attempt(attempt) if self.release.is_some() => {
                self.again.begin(attempt);
                return self.keep(entry);
            }
            Body::Attempt(attempt) => {
                self.attempts.push(attempt);
                return self.keep(entry);
            }
            Body::Signature(_) => {
                self.signed |= self.release.is_none();
                return self.keep(entry);
            }
            Body::Bundle(_) => return self.keep(entry),
            Body::Refusal(refusal) => {
                self.refusal = Some(refusal);
                self.let_go();
            }
            Body::Resigning(_) => self.again.end(entry.index),
            Body::Release(release) => {
                self.again.released(entry.index, &self.under_permit);
                self.release = Some(release);
                self.let_go();
            }
            Body::Failed(_) => self.failures += 1,
            Body::Opened(_) | Body::Posture(_) | Body::Halted(_) | Body::Order(_) | Body::Configuration(_) => {}
            Body::Forgotten(_) | Body::Collected(_) | Body::Revocation(_) | Body::Rotation(_) => {}
        }
        None
    }

    /// Keeps what the signer gets to see again, up to what one frame to it can carry.
    fn keep(&mut self, entry: Entry) -> Option<&'static str> {
        let size = |entry: &Entry| match &entry.content {
            Content::Ours { bytes, .. } => bytes.len(),
            Content::Rekor(leaf) => leaf.as_bytes().len(),
            Content::Forgotten(_) => 0,
        };
        let list = if self.release.is_some() { &mut self.again.entries } else { &mut self.under_permit };
        let kept: usize = list.iter().map(size).sum();
        if list.len() >= KEPT || kept + size(&entry) > KEPT_BYTES {
            return Some("more than a release has under one permit");
        }
        list.push(entry);
        None
    }

    /// What has ended needs its evidence no more; the log still holds it.
    fn let_go(&mut self) {
        self.facts = None;
        self.rebuild = None;
        self.permit_entry = None;
        self.under_permit = Vec::new();
    }
}

#[cfg(test)]
mod tests;

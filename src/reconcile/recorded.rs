//! What our log has of attempts.

use std::collections::{BTreeMap, BTreeSet};

use artifact::key::KeyId;
use artifact::{Digest, Moment};
use audit::entry::{Body, Kind as _, Order, Rotation};
use audit::reader::{Content, Entry};
use audit::vault_audit::Place;
use policy::order::Action;
use serde::Deserialize;

use super::TRANSIT;

/// What is recorded, in the log's order.
#[derive(Debug, Default)]
pub struct Recorded {
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// The newest key in Vault that was configured.
    pub newest: Option<Place>,
    /// How many attempts, and how many signatures, were forgotten.
    pub(super) forgotten: (u64, u64),
    /// How many signatures count for nothing.
    pub(super) void: u64,
}

/// An attempt.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Its entry.
    pub entry: u64,
    /// Its id.
    pub id: String,
    /// When it was recorded.
    pub at: Moment,
    /// How many statements it announced.
    pub statements: u64,
    /// Why it counts for nothing.
    pub void: Option<&'static str>,
    /// The statements whose signatures are recorded.
    pub signatures: BTreeSet<Digest>,
    /// The keys they are by.
    pub keys: BTreeSet<KeyId>,
    /// Where those are kept.
    pub kept: BTreeSet<String>,
    /// When the last of them was recorded.
    pub signed: Option<Moment>,
    /// The version that signer.toml pinned.
    pub version: Option<u64>,
    /// Where signer.toml said that the key is.
    pub configured: Configured,
}

/// Where signer.toml says that the key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Configured {
    /// No signer.toml is recorded that can be read.
    Unknown,
    /// In a transit engine.
    Transit(Place),
    /// Elsewhere.
    Elsewhere,
}

/// Whether an attempt was made with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// With this one, as far as is known.
    This,
    /// With another, or one that is kept elsewhere.
    Elsewhere,
}

impl Attempt {
    /// Whether it was made with this key.
    pub fn whose(&self, place: &Place) -> Whose {
        let by_kept = self.kept.iter().any(|kept| kept != TRANSIT);
        let by_place = match &self.configured {
            Configured::Unknown => false,
            Configured::Transit(configured) => configured != place,
            // What a signature says counts for more: whoever reads this may have a part of the log's configuration only.
            Configured::Elsewhere => self.kept.is_empty(),
        };
        if by_kept || by_place { Whose::Elsewhere } else { Whose::This }
    }

    /// When Vault must have been asked, if signatures are recorded, by a clock that differs by so many seconds.
    pub fn period(&self, slack: u64) -> (Moment, Moment) {
        (self.at.minus_seconds(slack), self.signed.unwrap_or(self.at).plus_seconds(slack))
    }
}

impl Recorded {
    /// Reads a log's entries; `void` says which count for nothing, and why.
    pub fn of(entries: &[Entry], void: &BTreeMap<u64, &'static str>) -> Self {
        let mut recorded = Self::default();
        let (mut configured, mut pinned_first, mut taken_up) = (Configured::Unknown, None, None);
        for entry in entries {
            let version = taken_up.or(pinned_first);
            match &entry.content {
                Content::Forgotten(commitment) if commitment.kind() == audit::entry::Attempt::KIND => {
                    recorded.forgotten.0 += 1;
                }
                Content::Forgotten(commitment) if commitment.kind() == audit::entry::Signature::KIND => {
                    recorded.forgotten.1 += 1;
                }
                Content::Forgotten(_) | Content::Rekor(_) => {}
                Content::Ours { body, .. } => match body {
                    Body::Configuration(said) if said.file == "signer.toml" => {
                        (configured, pinned_first) = pinned(&said.text);
                        if let Configured::Transit(place) = &configured {
                            recorded.newest = Some(place.clone());
                        }
                    }
                    Body::Attempt(attempt) => recorded.attempts.push(Attempt {
                        entry: entry.index,
                        id: attempt.id.clone(),
                        at: attempt.at,
                        statements: attempt.statements.len() as u64,
                        void: void.get(&entry.index).copied(),
                        signatures: BTreeSet::new(),
                        keys: BTreeSet::new(),
                        kept: BTreeSet::new(),
                        signed: None,
                        version,
                        configured: configured.clone(),
                    }),
                    Body::Order(order) if !void.contains_key(&entry.index) => {
                        recorded.rotations(entry.index, order, version, &configured);
                    }
                    // From here on the signer's memory says which version signs, and signer.toml the first one.
                    Body::Rotation(rotation) if !void.contains_key(&entry.index) => {
                        recorded.rotated(rotation);
                        taken_up = Some(rotation.version);
                    }
                    Body::Signature(signature) => match void.contains_key(&entry.index) {
                        true => recorded.void += 1,
                        false => recorded.signature(signature),
                    },
                    _ => {}
                },
            }
        }
        recorded
    }

    /// An order to rotate the image key has each of both versions sign once, for an attempt of that name.
    fn rotations(&mut self, index: u64, order: &Order, before: Option<u64>, configured: &Configured) {
        let Ok(says) = order.sound() else { return };
        let Action::Rotate { version, .. } = says.action else { return };
        for one in before.into_iter().chain([version]) {
            self.attempts.push(Attempt {
                entry: index,
                id: audit::rotation::attempt(index, one),
                at: order.at,
                statements: 1,
                void: None,
                signatures: BTreeSet::new(),
                keys: BTreeSet::new(),
                kept: BTreeSet::new(),
                signed: None,
                version: Some(one),
                configured: configured.clone(),
            });
        }
    }

    /// A rotation has both signatures.
    fn rotated(&mut self, rotation: &Rotation) {
        let keys = [rotation.before, rotation.key.id()];
        let of = |attempt: &&mut Attempt| attempt.entry == rotation.order && attempt.id.starts_with("rotation-");
        for (attempt, key) in self.attempts.iter_mut().filter(of).zip(keys) {
            // One signature each; what it is over is the order's matter.
            attempt.signatures.insert(Digest::of(attempt.id.as_bytes()));
            attempt.keys.insert(key);
            attempt.signed = Some(rotation.at);
        }
    }

    fn signature(&mut self, signature: &audit::entry::Signature) {
        // Ids are random; of two attempts of one id, the second is void.
        let named = |attempt: &&mut Attempt| attempt.id == signature.attempt && attempt.void.is_none();
        let Some(attempt) = self.attempts.iter_mut().find(named) else { return };
        attempt.signatures.insert(Digest::of(&signature.payload.0));
        attempt.keys.insert(signature.key);
        attempt.kept.insert(signature.key_kept.clone());
        attempt.signed = attempt.signed.max(Some(signature.at));
    }

    /// What of the log could not be looked at.
    pub fn not_checked(&self) -> Vec<String> {
        let mut not = Vec::new();
        let (attempts, signatures) = self.forgotten;
        if attempts + signatures > 0 {
            not.push(format!("{attempts} attempts and {signatures} signatures, which were forgotten by order"));
        }
        if self.void > 0 {
            not.push(format!(
                "{} recorded signatures that count for nothing, as `log verify` and `show` say",
                self.void
            ));
        }
        if self.attempts.iter().any(|a| a.version.is_none() && a.whose_is_unknown()) {
            not.push("which version was pinned, for attempts before which no signer.toml is recorded".to_owned());
        }
        not
    }
}

impl Attempt {
    fn whose_is_unknown(&self) -> bool {
        self.configured == Configured::Unknown && self.kept.iter().all(|kept| kept == TRANSIT)
    }
}

/// What is read of signer.toml here; the signer reads all of it.
#[derive(Deserialize)]
struct SignerToml {
    vault: Option<VaultTable>,
}

#[derive(Deserialize)]
struct VaultTable {
    namespace: Option<String>,
    transit: Option<TransitTable>,
}

#[derive(Deserialize)]
struct TransitTable {
    #[serde(default = "transit")]
    mount: String,
    key: String,
    version: u64,
}

fn transit() -> String {
    "transit".to_owned()
}

/// Where a signer.toml says that the key is, and which version it pins.
fn pinned(text: &str) -> (Configured, Option<u64>) {
    match toml::from_str::<SignerToml>(text) {
        Err(_) => (Configured::Unknown, None),
        Ok(SignerToml { vault: Some(VaultTable { namespace, transit: Some(transit) }) }) => {
            let place = Place::new(namespace.as_deref(), &transit.mount, &transit.key);
            (Configured::Transit(place), Some(transit.version))
        }
        Ok(_) => (Configured::Elsewhere, None),
    }
}

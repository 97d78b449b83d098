//! The house's public keys (`keys.toml`): written once from what the rooms say, then pinned by the operator.

use std::fmt;
use std::str::FromStr;

use artifact::key::PublicKey;
use artifact::settings::{self, SettingsError};
use serde::{Deserialize, Serialize};

use crate::note::Vkey;

/// Why the keys were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Not such a file; the message has line and column.
    #[error("{0}")]
    Toml(#[from] SettingsError),
    /// A key of the wrong kind.
    #[error("{field}: {expected} is expected. `countersign keys` writes this file")]
    Kind {
        /// Which.
        field: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// One key in two roles: who holds it could speak for both.
    #[error("one key stands in two places; each room has its own. `countersign keys` writes this file")]
    Shared,
}

/// The keys that the rooms sign with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HouseKeys {
    /// Intake's, for facts: Ed25519.
    pub intake: PublicKey,
    /// The comparers', for comparisons and provenance: Ed25519, at least one.
    pub comparers: Vec<PublicKey>,
    /// The log's.
    pub log: Vkey,
    /// The one for images: P-256.
    pub image: PublicKey,
}

impl HouseKeys {
    fn check(&self) -> Result<(), KeysError> {
        let ed25519 = |key: &PublicKey| matches!(key, PublicKey::Ed25519(_));
        let wrong = |field, expected| Err(KeysError::Kind { field, expected });
        if !ed25519(&self.intake) {
            return wrong("intake", "an Ed25519 key");
        }
        if self.comparers.is_empty() || !self.comparers.iter().all(ed25519) {
            return wrong("comparers", "a list of at least one Ed25519 key");
        }
        if ed25519(&self.image) {
            return wrong("image", "a P-256 key");
        }
        let all: Vec<_> = [&self.intake, self.log.key(), &self.image].into_iter().chain(&self.comparers).collect();
        let shared = all.iter().enumerate().any(|(n, key)| all[..n].contains(key));
        if shared { Err(KeysError::Shared) } else { Ok(()) }
    }
}

impl FromStr for HouseKeys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let keys: Self = settings::parse(text)?;
        keys.check()?;
        Ok(keys)
    }
}

impl fmt::Display for HouseKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# The public keys of this house's rooms. What is signed with another key is refused.")?;
        writeln!(f, "intake = \"\"\"\n{}\"\"\"", self.intake)?;
        writeln!(f, "comparers = [")?;
        for key in &self.comparers {
            writeln!(f, "\"\"\"\n{key}\"\"\",")?;
        }
        writeln!(f, "]\nlog = \"{}\"", toml_text(&self.log.to_string()))?;
        writeln!(f, "image = \"\"\"\n{}\"\"\"", self.image)
    }
}

/// A log's name may hold quotation marks; PEM holds nothing that TOML would read.
fn toml_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::key::{Ed25519Key, P256Key};

    fn ed25519() -> PublicKey {
        Ed25519Key::generate().unwrap().public()
    }

    fn keys() -> HouseKeys {
        let log = Vkey::new("a.example/\"log\\", &Ed25519Key::generate().unwrap()).unwrap();
        let image = P256Key::generate().unwrap().public();
        HouseKeys { intake: ed25519(), comparers: vec![ed25519(), ed25519()], log, image }
    }

    #[test]
    fn the_keys_come_back() {
        let keys = keys();
        assert_eq!(keys.to_string().parse::<HouseKeys>().unwrap(), keys);
    }

    #[test]
    fn a_key_of_another_kind_or_in_two_roles_is_refused() {
        let good = keys();
        for wrong in [
            HouseKeys { intake: good.image.clone(), ..good.clone() },
            HouseKeys { image: ed25519(), ..good.clone() },
            HouseKeys { comparers: Vec::new(), ..good.clone() },
            HouseKeys { comparers: vec![good.image.clone()], ..good.clone() },
            HouseKeys { comparers: vec![good.intake.clone()], ..good.clone() },
            HouseKeys { comparers: vec![ed25519(), good.log.key().clone()], ..good.clone() },
        ] {
            assert!(wrong.to_string().parse::<HouseKeys>().is_err(), "{wrong:?}");
        }
        assert!(format!("{good}more = 1\n").parse::<HouseKeys>().is_err());
    }
}

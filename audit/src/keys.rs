//! The house's public keys (`keys.toml`): written once from what the rooms say, then pinned by the operator.

use std::fmt;
use std::str::FromStr;

use artifact::key::PublicKey;
use artifact::settings::{self, SettingsError};
use serde::Deserialize;

use crate::image_keys::{ImageKeys, ImageKeysError, Retired};
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
    /// Image keys that can't be meant.
    #[error("{0}. `countersign keys` writes this file")]
    Image(#[from] ImageKeysError),
    /// One key in two roles: who holds it could speak for both.
    #[error("one key stands in two places; each room has its own. `countersign keys` writes this file")]
    Shared,
}

/// The keys that the rooms sign with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HouseKeys {
    /// Intake's, for facts: Ed25519.
    pub intake: PublicKey,
    /// The comparers', for comparisons and provenance: Ed25519, at least one.
    pub comparers: Vec<PublicKey>,
    /// The log's.
    pub log: Vkey,
    /// Those for images, one after the other: P-256.
    pub image: ImageKeys,
}

/// The file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    intake: PublicKey,
    comparers: Vec<PublicKey>,
    log: Vkey,
    image: PublicKey,
    #[serde(default)]
    image_from: u64,
    #[serde(default)]
    retired: Vec<Retired>,
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
        let image = self.image.all().map(|one| one.key);
        let all: Vec<_> = [&self.intake, self.log.key()].into_iter().chain(image).chain(&self.comparers).collect();
        let shared = all.iter().enumerate().any(|(n, key)| all[..n].contains(key));
        if shared { Err(KeysError::Shared) } else { Ok(()) }
    }
}

impl FromStr for HouseKeys {
    type Err = KeysError;

    fn from_str(text: &str) -> Result<Self, KeysError> {
        let Written { intake, comparers, log, image, image_from, retired } = settings::parse(text)?;
        let image = ImageKeys::new(image, image_from, retired)?;
        let keys = Self { intake, comparers, log, image };
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
        write!(f, "{}", self.image)
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

    fn p256() -> PublicKey {
        P256Key::generate().unwrap().public()
    }

    fn keys() -> HouseKeys {
        let log = Vkey::new("a.example/\"log\\", &Ed25519Key::generate().unwrap()).unwrap();
        let image = p256().into();
        HouseKeys { intake: ed25519(), comparers: vec![ed25519(), ed25519()], log, image }
    }

    #[test]
    fn the_keys_come_back() {
        let keys = keys();
        assert_eq!(keys.to_string().parse::<HouseKeys>().unwrap(), keys);
        assert!(!keys.to_string().contains("image_from") && !keys.to_string().contains("retired"));
        let twice = keys.image.rotated(p256(), 7).unwrap().rotated(p256(), 42).unwrap();
        let rotated = HouseKeys { image: twice, ..keys };
        assert_eq!(rotated.to_string().parse::<HouseKeys>().unwrap(), rotated);
        // Tables say the same as what is printed.
        let (head, _) =
            rotated.to_string().split_once("retired = [").map(|(h, t)| (h.to_owned(), t.to_owned())).unwrap();
        let table = |r: &Retired| {
            format!("[[retired]]\nfrom = {}\nuntil = {}\nkey = \"\"\"\n{}\"\"\"\n", r.from, r.until, r.key)
        };
        let tables: String = rotated.image.retired().iter().map(table).collect();
        assert_eq!((head + &tables).parse::<HouseKeys>().unwrap(), rotated);
    }

    #[test]
    fn a_key_of_another_kind_or_in_two_roles_is_refused() {
        let good = keys();
        for wrong in [
            HouseKeys { intake: good.image.current().clone(), ..good.clone() },
            HouseKeys { image: ed25519().into(), ..good.clone() },
            HouseKeys { comparers: Vec::new(), ..good.clone() },
            HouseKeys { comparers: vec![good.image.current().clone()], ..good.clone() },
            HouseKeys { comparers: vec![good.intake.clone()], ..good.clone() },
            HouseKeys { comparers: vec![ed25519(), good.log.key().clone()], ..good.clone() },
        ] {
            assert!(wrong.to_string().parse::<HouseKeys>().is_err(), "{wrong:?}");
        }
        assert!(format!("{good}more = 1\n").parse::<HouseKeys>().is_err());
        let rotated = HouseKeys { image: good.image.rotated(p256(), 7).unwrap(), ..good.clone() }.to_string();
        for (old, new) in [
            ("until = 7", "until = 8"),
            ("until = 7", "until = -7"),
            ("from = 0,", ""),
            ("image_from = 7", "image_from = 6"),
            ("image_from = 7\n", ""),
            ("from = 0", "more = 0"),
        ] {
            let wrong = rotated.replacen(old, new, 1);
            assert!(wrong != rotated && wrong.parse::<HouseKeys>().is_err(), "{new}");
        }
    }
}

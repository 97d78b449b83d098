//! `trust.toml`: whom a verifier trusts. Holds no secret.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use artifact::key::PublicKey;
use audit::note::Vkey;
use registry::Hosts;
use serde::Deserialize;

/// The most bytes of the file: a few keys and names.
const LIMIT: u64 = 1 << 20;

/// Whom to trust.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trust {
    /// The key for images: ECDSA P-256, PEM.
    pub image: PublicKey,
    /// The log's key, as a verifier key of C2SP signed notes.
    pub log: Vkey,
    /// Intake's key, as `keys.toml` has it; not needed for images.
    #[serde(default)]
    pub intake: Option<PublicKey>,
    /// The comparers' keys, as `keys.toml` has them; not needed for images.
    #[serde(default)]
    pub comparers: Vec<PublicKey>,
    /// The name that verdicts must be in.
    pub verifier_id: String,
    /// The name that provenance must be in.
    pub builder_id: String,
    /// Where the log can be read, `file:///…`: for the currency of tags.
    #[serde(default)]
    pub log_source: Option<String>,
    /// The registries that may be contacted.
    #[serde(default)]
    pub registry: Hosts,
}

impl Trust {
    /// Reads the file.
    ///
    /// # Errors
    /// A text for a person: the file, and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let named = |e: String| format!("{}: {e}", path.display());
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(|e| named(e.to_string()))?;
        file.take(LIMIT + 1).read_to_string(&mut text).map_err(|e| named(e.to_string()))?;
        if text.len() as u64 > LIMIT {
            return Err(named(format!("more than {LIMIT} bytes")));
        }
        let trust: Self = artifact::settings::parse(&text).map_err(|e| named(e.to_string()))?;
        trust.check().map_err(named)?;
        Ok(trust)
    }

    fn check(&self) -> Result<(), String> {
        if let PublicKey::Ed25519(_) = &self.image {
            return Err("image must be an ECDSA P-256 key".to_owned());
        }
        // As in keys.toml: who holds one key could speak for two.
        let all: Vec<_> =
            [&self.image, self.log.key()].into_iter().chain(&self.intake).chain(&self.comparers).collect();
        if all.iter().enumerate().any(|(n, key)| all[..n].contains(key)) {
            return Err("one key stands in two places; each room has its own".to_owned());
        }
        for (field, name) in [("verifier_id", &self.verifier_id), ("builder_id", &self.builder_id)] {
            if name.is_empty() {
                return Err(format!("{field} is empty: it names whom to trust"));
            }
        }
        self.log_folder().map(drop)
    }

    /// The folder of the log.
    ///
    /// # Errors
    /// A text for a person: not a `file://` address with an absolute path.
    pub fn log_folder(&self) -> Result<Option<PathBuf>, String> {
        let Some(source) = &self.log_source else { return Ok(None) };
        let path = source.strip_prefix("file://").filter(|p| p.starts_with('/'));
        path.map(|p| Some(PathBuf::from(p))).ok_or_else(|| format!("log_source {source:?}: file:///… is expected"))
    }
}

//! `trust.toml`: whom a verifier trusts. Holds no secret.

use std::path::{Path, PathBuf};

use artifact::key::PublicKey;
use audit::note::Vkey;
use registry::Hosts;
use serde::Deserialize;

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
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let trust: Self = artifact::settings::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        match &trust.image {
            PublicKey::P256(_) => Ok(trust),
            PublicKey::Ed25519(_) => Err(format!("{}: image must be an ECDSA P-256 key", path.display())),
        }
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

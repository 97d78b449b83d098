//! `signer.toml`: in whose name, with which key, to which registries.

use std::path::Path;

use registry::Hosts;
use serde::Deserialize;

/// The signer's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// The operator's name for this perimeter's verdicts, a URI.
    pub verifier_id: String,
    /// Where the image key is kept.
    pub key: KeyKept,
    /// The registries that may be contacted.
    #[serde(default)]
    pub registry: Hosts,
}

/// Where an image key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKept {
    /// In a file of the signer's own: for trying, and said in what is signed.
    File,
}

impl SignerConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// A text for a person: the file, and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        artifact::settings::parse(&text).map_err(|e| format!("{}: {e}", path.display()))
    }
}

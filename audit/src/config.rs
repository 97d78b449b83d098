//! `keeper.toml`.

use artifact::settings::{self, SettingsError};
use serde::Deserialize;

/// The keeper's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeeperConfig {
    /// The log's name, for good: it stands in every checkpoint. A URL without its scheme is customary.
    pub origin: String,
}

impl KeeperConfig {
    /// Reads the text of `keeper.toml`.
    ///
    /// # Errors
    /// With line and column, what is wrong.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        settings::parse(text)
    }
}

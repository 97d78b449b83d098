//! `keeper.toml`.

use artifact::settings::{self, SettingsError};
use policy::OrderRules;
use serde::Deserialize;

use crate::log_policy::LogPolicy;

/// The keeper's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeeperConfig {
    /// The log's name, for good: it stands in every checkpoint. A host name: cosign takes no other.
    pub origin: String,
    /// The witnesses whose cosignatures are kept beside the log's own signature, and how many must be there: a policy of
    /// C2SP tlog-policy. The log need not be listed: its key is made later than this file.
    #[serde(default)]
    pub policy: Option<LogPolicy>,
    /// Who may order that a body be deleted: the keeper's own copy, so that who leads a pass can't. `None`: nobody may.
    #[serde(default)]
    pub orders: Option<OrderRules>,
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

//! `signer.toml`: in whose name, with which key, to which registries.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use artifact::name::Repository;
use registry::Hosts;
use serde::Deserialize;

use crate::vault::settings::VaultSettings;

/// The signer's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignerConfig {
    /// The operator's name for this perimeter's verdicts, a URI.
    pub verifier_id: String,
    /// Where the image key is kept.
    pub key: KeyKept,
    /// How Vault is reached, when it is.
    #[serde(default)]
    pub vault: Option<VaultSettings>,
    /// The registries that may be contacted.
    #[serde(default)]
    pub registry: Hosts,
    /// Where releases are published as well.
    #[serde(default)]
    pub replicas: Replicas,
}

/// By repository, other repositories that get the same image with everything that is attached: a second site, say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<Repository, Vec<Repository>>")]
pub struct Replicas(BTreeMap<Repository, Vec<Repository>>);

impl Replicas {
    /// The replicas of a repository.
    pub fn of(&self, repository: &Repository) -> &[Repository] {
        self.0.get(repository).map_or(&[], Vec::as_slice)
    }
}

impl TryFrom<BTreeMap<Repository, Vec<Repository>>> for Replicas {
    type Error = String;

    fn try_from(all: BTreeMap<Repository, Vec<Repository>>) -> Result<Self, String> {
        let mut named = BTreeSet::new();
        for (repository, replicas) in &all {
            if all.contains_key(repository) && replicas.is_empty() {
                return Err(format!("replicas: {repository} has none: leave the line out"));
            }
            if let Some(twice) = replicas.iter().find(|r| all.contains_key(r) || !named.insert(*r)) {
                return Err(format!("replicas: {twice} is published to already: two releases would share its tags"));
            }
        }
        Ok(Self(all))
    }
}

/// Where an image key is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyKept {
    /// In a file of the signer's own, and what it remembers in another: for trying, and said in what is signed.
    File,
    /// In Vault's transit engine, which signs; what the signer remembers lies in Vault as well.
    VaultTransit,
    /// In Vault's KV engine, fetched for one job; what the signer remembers lies in Vault as well.
    VaultKv,
}

impl SignerConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// A text for a person: the file, and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let config: Self = artifact::settings::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        config.check().map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let transit = self.vault.as_ref().map(|vault| vault.transit.is_some());
        match (self.key, transit) {
            (KeyKept::File, None) | (KeyKept::VaultTransit, Some(true)) | (KeyKept::VaultKv, Some(false)) => {}
            (KeyKept::File, Some(_)) => return Err("key = \"file\" and [vault] exclude each other".to_owned()),
            (KeyKept::VaultTransit, _) => {
                return Err("key = \"vault-transit\" needs [vault] with vault.transit".to_owned());
            }
            (KeyKept::VaultKv, None) => return Err("key = \"vault-kv\" needs [vault]".to_owned()),
            (KeyKept::VaultKv, Some(true)) => {
                return Err("key = \"vault-kv\" and vault.transit exclude each other".to_owned());
            }
        }
        let named = self.vault.iter().flat_map(|vault| vault.registry.keys());
        match named.into_iter().find(|registry| !self.registry.lists(registry)) {
            Some(registry) => Err(format!("vault.registry names {registry:?}, and [registry] does not list it")),
            None => Ok(()),
        }
    }
}

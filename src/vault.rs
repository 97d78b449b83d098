//! `countersign vault`: what Vault must let the signer do, for whoever administers it.

use artifact::failure::Failure;
use serde::Deserialize;
use signer::vault::needs;
use signer::vault::settings::VaultSettings;

use crate::cli::Places;
use crate::status::Status;

/// The one table of `signer.toml` that this command is about; the signer reads the whole.
#[derive(Deserialize)]
struct SignerToml {
    vault: Option<VaultSettings>,
}

/// Prints the policy of the signer's role.
///
/// # Errors
/// Exit status 2: no `[vault]`, or not its format.
pub fn policy(places: &Places) -> Result<(), Failure> {
    let path = places.config.join("signer.toml");
    let usage = |e: String| Failure::never(Status::USAGE, format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| usage(e.to_string()))?;
    let SignerToml { vault } = artifact::settings::parse(&text).map_err(|e| usage(e.to_string()))?;
    let vault = vault.ok_or_else(|| usage("there is no [vault] in it: the key is a file".to_owned()))?;
    if !places.json {
        print!("{}", needs::policy(&vault));
        return Ok(());
    }
    let needs: Vec<_> = needs::needs(&vault)
        .into_iter()
        .map(|need| serde_json::json!({"path": need.path, "capabilities": need.capabilities, "why": need.why}))
        .collect();
    println!("{}", serde_json::Value::from(needs));
    Ok(())
}

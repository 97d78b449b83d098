//! Vault's audit log and ours, as a real signer leaves them.

use std::thread::sleep;
use std::time::Duration;

use demo::Vault;
use demo::command::Ran;
use demo::vault::KEY;
use serde_json::Value;

use super::signs::Vaulted;
use crate::scene::Scene;

/// Lays the audit log beside the scene's, the clocks being one.
pub(super) fn reconcile(scene: &Scene, vault: &Vault) -> Ran {
    let audit = vault.audit();
    let words = ["log", "reconcile", "--json", "--clocks", "0", "--vault-audit", audit.to_str().unwrap()];
    scene.world.perimeter.countersign(&words).unwrap()
}

/// Lets the second end, and has Vault write a line, so that its log covers what was before.
pub(super) fn later(vault: &Vault) {
    sleep(Duration::from_millis(1100));
    vault.read(&format!("transit/keys/{KEY}")).unwrap();
    sleep(Duration::from_millis(1100));
}

#[test]
fn what_the_signer_did_matches_vaults_audit_log_and_what_it_did_not_is_found() {
    let vaulted = Vaulted::pinned("vault-transit");
    vaulted.scene.green("one");
    vaulted.scene.once(0);
    // Vault is gone, and comes back: the attempt that could not be asked for was never in its log.
    later(&vaulted.vault);
    vaulted.scene.green("two");
    vaulted.vault.seal().unwrap();
    vaulted.scene.once(3);
    vaulted.vault.unseal().unwrap();
    vaulted.scene.once(0);
    later(&vaulted.vault);
    let clean = reconcile(&vaulted.scene, &vaulted.vault);
    assert_eq!(clean.status, 0, "{}{}", clean.stdout, clean.stderr);
    let report = clean.json().unwrap();
    assert_eq!((&report["attempts"]["matched"], &report["signs"]), (&2.into(), &2.into()), "{report}");
    assert_eq!((&report["attempts"]["outside"], &report["attempts"]["lost"]), (&0.into(), &0.into()), "{report}");
    assert_eq!(report["not_checked"], Value::Array(Vec::new()), "signer.toml is recorded: {report}");

    vaulted.vault.sign(&artifact::Digest::of(b"on the side"), None).unwrap();
    let found = reconcile(&vaulted.scene, &vaulted.vault);
    assert_eq!(found.status, 4, "{}{}", found.stdout, found.stderr);
    assert_eq!(found.json().unwrap()["findings"][0]["code"], "no-attempt", "{}", found.stdout);
}

//! A real OpenBao, as the signer has it: what the tests of it stand on.

mod both;
mod core;
mod logins;
mod rotation;
mod signs;

use std::fs;

use artifact::Digest;
use demo::Vault;
use demo::vault::{HEADER, KEY};
use serde_json::{Value, json};

/// The lines of an audit log.
pub fn lines(path: &std::path::Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_vault_keeps_its_key_over_a_restart_and_names_attempts_in_its_audit() {
    let folder = tempfile::tempdir().unwrap();
    let mut vault = Vault::start(folder.path()).unwrap();
    let public = |vault: &Vault| {
        let key = vault.read(&format!("transit/keys/{KEY}")).unwrap();
        (key["data"]["latest_version"].as_u64().unwrap(), key["data"]["keys"]["1"]["public_key"].clone())
    };
    let before = public(&vault);
    assert!(before.1.as_str().unwrap().starts_with("-----BEGIN PUBLIC KEY-----"), "{before:?}");
    let digest = Digest::of(b"a statement");
    let signed = vault.sign(&digest, Some("00112233445566778899aabbccddeeff")).unwrap();
    assert!(signed["signature"].as_str().unwrap().starts_with("vault:v1:"), "{signed}");
    vault.sign(&digest, None).unwrap();

    vault.restart().unwrap();
    assert!(vault.sign(&digest, None).is_err(), "it is sealed after a restart");
    vault.unseal().unwrap();
    assert_eq!(public(&vault), before);
    assert_eq!(vault.rotate().unwrap(), 2);

    // The attempt's id stands there as it is; everything else of the request that a client chose is hashed.
    let path = format!("transit/sign/{KEY}/sha2-256");
    let signs: Vec<Value> =
        lines(&vault.audit()).into_iter().filter(|l| l["request"]["path"] == path.as_str()).collect();
    let named: Vec<&Value> = signs.iter().map(|l| &l["request"]["headers"][HEADER]).collect();
    let id = json!(["00112233445566778899aabbccddeeff"]);
    assert_eq!(named.iter().filter(|n| ***n == id).count(), 2, "a request and its response: {named:?}");
    assert!(signs.iter().all(|l| !l.to_string().contains("vault:v1:")), "no signature stands in the audit");
}

#[test]
fn a_login_by_approle_has_the_policy_it_was_given_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let vault = Vault::start(folder.path()).unwrap();
    vault.policy("sign", &format!("path \"transit/keys/{KEY}\" {{ capabilities = [\"read\"] }}")).unwrap();
    let (role, secret) = vault.approle("signer", "sign").unwrap();
    let login = json!({ "role_id": role, "secret_id": fs::read_to_string(secret).unwrap() });
    let auth = vault.write("auth/approle/login", &login).unwrap()["auth"].clone();
    assert_eq!((&auth["policies"], &auth["lease_duration"]), (&json!(["sign"]), &json!(300)), "{auth}");
    let as_signer = |path: &str| {
        let mut command = vault.command(&["read", "-format=json", path]);
        demo::command::ran(command.env("BAO_TOKEN", auth["client_token"].as_str().unwrap())).unwrap().status
    };
    assert_eq!((as_signer(&format!("transit/keys/{KEY}")), as_signer("sys/mounts")), (0, 2));
}

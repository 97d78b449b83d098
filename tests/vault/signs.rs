//! Releases whose image key is Vault's: signed over TLS, by a role that can do nothing else, and found again by each attempt.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use artifact::Digest;
use demo::Vault;
use demo::command::run;
use demo::vault::{HEADER, KEY};
use serde_json::{Value, json};

use super::lines;
use crate::scene::Scene;

/// The role's policy, and the role.
pub(super) const ROLE: &str = "countersign-signer";

/// What lies in a file that the signer's own uid reads.
fn readable(path: &Path) -> PathBuf {
    fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    path.to_owned()
}

/// A scene whose signer has this Vault, by AppRole, with the policy that our own command prints.
pub(super) struct Vaulted {
    pub(super) scene: Scene,
    pub(super) vault: Vault,
    pub(super) _folder: tempfile::TempDir,
}

impl Vaulted {
    pub(super) fn new(key: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let vault = Vault::start(folder.path()).unwrap();
        let mut scene = Scene::unpinned();
        scene.world.settings.kept = vault.kept(key, ROLE).unwrap();
        scene.world.configure().unwrap();
        let vaulted = Self { scene, vault, _folder: folder };
        vaulted.vault.policy(ROLE, &vaulted.policy()).unwrap();
        vaulted
    }

    pub(super) fn pinned(key: &'static str) -> Self {
        let vaulted = Self::new(key);
        vaulted.scene.world.keys().unwrap();
        vaulted
    }

    /// The policy that our own command prints.
    pub(super) fn policy(&self) -> String {
        run(&mut self.scene.world.perimeter.command(&["vault", "policy"])).unwrap().stdout
    }

    /// Configures another login.
    pub(super) fn login(&mut self, login: &str, files: &[&Path]) {
        let kept = &mut self.scene.world.settings.kept;
        kept.vault = self.vault.table(kept.key, login);
        kept.files = files.iter().map(|file| readable(file)).chain([self.vault.ca()]).collect();
        self.scene.world.configure().unwrap();
    }

    /// How often Vault was asked to sign, by attempt.
    fn signs(&self) -> BTreeMap<String, usize> {
        let path = format!("transit/sign/{KEY}/sha2-256");
        let mut signs = BTreeMap::new();
        for line in lines(&self.vault.audit()) {
            if line["type"] == "request" && line["request"]["path"] == path.as_str() {
                let id = line["request"]["headers"][HEADER][0].as_str().unwrap_or("none").to_owned();
                *signs.entry(id).or_default() += 1;
            }
        }
        signs
    }

    /// The tokens that are good, the root's own among them.
    pub(super) fn tokens(&self) -> usize {
        let listed = run(&mut self.vault.command(&["list", "-format=json", "auth/token/accessors"])).unwrap();
        listed.json().unwrap().as_array().unwrap().len()
    }

    pub(super) fn said(&self, status: i32, words: &[&str]) {
        let ran = self.scene.once(status);
        for word in words {
            assert!(ran.stderr.contains(word), "{word}: {}", ran.stderr);
        }
    }

    /// The ids of the attempts that are recorded.
    pub(super) fn attempts(&self) -> Vec<String> {
        let entries = self.scene.entries();
        let attempts = entries.iter().filter(|e| e["kind"] == "attempt");
        attempts.map(|e| e["what"].as_str().unwrap().split(' ').next().unwrap().to_owned()).collect()
    }
}

#[test]
fn vault_signs_a_release_and_knows_which_attempt_it_was_for() {
    let vaulted = Vaulted::pinned("vault-transit");
    let scene = &vaulted.scene;
    scene.green("one");
    scene.once(0);
    scene.verify(":latest", 0);
    // One request for everything that is signed, and it is the attempt's.
    let signs = vaulted.signs();
    assert_eq!((signs.values().collect::<Vec<_>>(), signs.len()), (vec![&1], 1), "{signs:?}");
    assert_eq!(signs.into_keys().collect::<Vec<_>>(), vaulted.attempts());
    let signatures: Vec<Value> = scene.entries().into_iter().filter(|e| e["kind"] == "signature").collect();
    assert_eq!(signatures.len(), 4);
    // No token outlives its job.
    assert_eq!(vaulted.tokens(), 1);
    // A second pass asks Vault for nothing, and a second release for its own.
    scene.once(0);
    assert_eq!(vaulted.signs().len(), 1);
    scene.green("two");
    scene.once(0);
    scene.verify(":latest", 0);
    assert_eq!(vaulted.signs().len(), 2);
}

#[test]
fn a_vault_that_is_sealed_or_gone_stops_the_pass_and_the_next_one_goes_on() {
    let mut vaulted = Vaulted::pinned("vault-transit");
    vaulted.scene.green("one");
    vaulted.vault.seal().unwrap();
    vaulted.said(3, &["vault-not-ready", "sealed"]);
    assert_eq!(vaulted.scene.released("latest"), None);
    vaulted.vault.unseal().unwrap();
    vaulted.vault.stop();
    vaulted.said(3, &["vault-unreachable"]);
    vaulted.vault.restart().unwrap();
    vaulted.said(3, &["vault-not-ready", "sealed"]);
    vaulted.vault.unseal().unwrap();
    vaulted.scene.once(0);
    vaulted.scene.verify(":latest", 0);
    assert_eq!(vaulted.signs().len(), 1);
}

#[test]
fn a_token_that_can_do_more_or_less_is_refused_and_the_path_is_named() {
    let vaulted = Vaulted::pinned("vault-transit");
    let policy = vaulted.policy();
    vaulted.scene.green("one");
    for (more, named) in [
        ("path \"sys/mounts/*\" { capabilities = [\"read\"] }", "read sys/mounts/*"),
        (
            "path \"transit/keys/countersign/rotate\" { capabilities = [\"update\"] }",
            "update transit/keys/countersign/rotate",
        ),
        ("path \"secret/data/*\" { capabilities = [\"read\"] }", "read secret/data/*"),
        ("path \"*\" { capabilities = [\"sudo\", \"read\"] }", "sudo *"),
        // Wildcards within a path, which no list of rules shows.
        (
            "path \"transit/+/countersign/sha2-512\" { capabilities = [\"update\"] }",
            "update transit/sign/countersign/sha2-512",
        ),
        ("path \"+/data/x\" { capabilities = [\"read\"] }", "read secret/data/x"),
    ] {
        vaulted.vault.policy(ROLE, &format!("{policy}\n{more}\n")).unwrap();
        vaulted.said(3, &["vault-token-too-mighty", named]);
    }
    let default = json!({ "token_policies": [ROLE], "token_no_default_policy": false });
    vaulted.vault.policy(ROLE, &policy).unwrap();
    vaulted.vault.write(&format!("auth/approle/role/{ROLE}"), &default).unwrap();
    vaulted.said(3, &["vault-token-too-mighty", "auth/token/renew-self", "token_no_default_policy=true"]);
    let only = json!({ "token_policies": [ROLE], "token_no_default_policy": true });
    vaulted.vault.write(&format!("auth/approle/role/{ROLE}"), &only).unwrap();
    let less = policy.replace(
        "path \"transit/sign/countersign/sha2-256\" {\n  capabilities = [\"update\"]",
        "path \"transit/sign/countersign/sha2-256\" {\n  capabilities = [\"deny\"]",
    );
    vaulted.vault.policy(ROLE, &less).unwrap();
    vaulted.said(3, &["vault-token-too-weak", "update transit/sign/countersign/sha2-256"]);
    assert_eq!(vaulted.signs().len(), 0);
    assert_eq!(vaulted.tokens(), 1, "a token that is refused is revoked");
    vaulted.vault.policy(ROLE, &policy).unwrap();
    vaulted.scene.once(0);
}

#[test]
fn a_key_that_vault_would_give_away_or_that_is_another_is_not_used() {
    let vaulted = Vaulted::pinned("vault-transit");
    vaulted.scene.green("one");
    // A version that Vault made since is not taken up by itself.
    vaulted.vault.rotate().unwrap();
    vaulted.scene.once(0);
    vaulted.scene.verify(":latest", 0);
    let config = vaulted.scene.world.perimeter.config().join("signer.toml");
    let text = fs::read_to_string(config).unwrap();
    vaulted.scene.green("two");
    vaulted.scene.world.perimeter.write("signer.toml", &text.replace("version = 1", "version = 2")).unwrap();
    vaulted.said(4, &["wrong-image-key"]);
    vaulted.scene.world.perimeter.write("signer.toml", &text.replace("version = 1", "version = 3")).unwrap();
    vaulted.said(3, &["vault-key-version", "there are: 1, 2"]);
    vaulted.scene.world.perimeter.write("signer.toml", &text).unwrap();
    vaulted.vault.write(&format!("transit/keys/{KEY}/config"), &json!({ "exportable": true })).unwrap();
    vaulted.said(3, &["vault-key-exportable"]);
}

#[test]
fn a_memory_that_was_taken_away_or_put_back_halts_the_house() {
    let removed = "was put back, or the entry was removed";
    for (place, of_log, said) in [
        ("data", true, "was deleted"),
        ("metadata", true, removed),
        ("data", false, "was deleted"),
        ("metadata", false, removed),
    ] {
        let vaulted = Vaulted::pinned("vault-transit");
        vaulted.scene.green("one");
        vaulted.scene.once(0);
        let tag = format!("{}:latest", vaulted.scene.line.release);
        let entry = if of_log { "log".to_owned() } else { format!("tags/{}", Digest::of(tag.as_bytes()).hex()) };
        run(&mut vaulted.vault.command(&["delete", &format!("secret/{place}/countersign/state/{entry}")])).unwrap();
        vaulted.scene.green("two");
        vaulted.said(4, &[said, &entry]);
        assert_eq!(vaulted.signs().len(), 1);
    }
}

#[test]
fn a_key_that_is_fetched_signs_as_well_and_a_registrys_login_comes_from_vault() {
    let mut vaulted = Vaulted::new("vault-kv");
    let pem = run(std::process::Command::new("openssl").args([
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
    ]));
    let pem = pem.unwrap().stdout;
    vaulted.vault.write("secret/data/countersign/key", &json!({ "data": { "private_key": pem } })).unwrap();
    let registry = vaulted.scene.world.production.host();
    let kept = &mut vaulted.scene.world.settings.kept;
    kept.vault = kept.vault.replace("[vault.kv]", &format!("[vault.registry]\n\"{registry}\" = \"prod\"\n[vault.kv]"));
    vaulted.scene.world.configure().unwrap();
    vaulted.vault.policy(ROLE, &vaulted.policy()).unwrap();
    let keys = vaulted.scene.world.perimeter.countersign(&["keys"]).unwrap();
    assert_eq!(keys.status, 3, "{}", keys.stderr);
    assert!(keys.stderr.contains("vault-registry-login") && keys.stderr.contains("registry/prod"), "{}", keys.stderr);
    let login = json!({ "data": { "username": "countersign", "password": "not needed here" } });
    vaulted.vault.write("secret/data/countersign/registry/prod", &login).unwrap();
    vaulted.scene.world.keys().unwrap();
    vaulted.scene.green("one");
    vaulted.scene.once(0);
    let verified = vaulted.scene.verify(":latest", 0);
    assert!(verified.stdout.contains("vault-kv"), "{}", verified.stdout);
}

//! What the signer needs of Vault, and nothing else: the policy of its role, and what its token is measured by.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::settings::VaultSettings;

/// One path, and what may be done there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The path, as a policy spells it; with `*` at the end, all that begin so.
    pub path: String,
    /// The capabilities, as Vault names them.
    pub capabilities: &'static [&'static str],
    /// Why.
    pub why: &'static str,
}

/// A key that is kept as a value: the entry's name below the signer's folder.
pub const KEY: &str = "key";
/// The signer's memory: the entry's name below its folder.
pub const LOG: &str = "state/log";
/// What it remembers of a tag: the folder's name below its folder.
pub const TAGS: &str = "state/tags";
/// Registries' logins: the folder's name below its folder.
pub const REGISTRY: &str = "registry";
/// How an attempt is named to Vault.
pub const HEADER: &str = "X-Countersign-Attempt";

/// Everything the signer needs, by these settings.
pub fn needs(settings: &VaultSettings) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut need = |path: String, capabilities, why| needs.push(Need { path, capabilities, why });
    let data = format!("{}/data/{}", settings.kv.mount, settings.kv.path);
    match &settings.transit {
        Some(t) => {
            need(format!("{}/sign/{}/sha2-256", t.mount, t.key), &["update"], "signing digests, with this key");
            need(format!("{}/keys/{}", t.mount, t.key), &["read"], "the public key of the pinned version");
        }
        None => need(format!("{data}/{KEY}"), &["read"], "the image key itself: it leaves Vault"),
    }
    let remember: &[&str] = &["create", "read", "update"];
    need(format!("{data}/{LOG}"), remember, "the last checkpoint that was seen, by compare-and-set");
    need(format!("{data}/{TAGS}/*"), remember, "the last permit of each tag, by compare-and-set");
    let names: BTreeSet<_> = settings.registry.values().collect();
    for name in names {
        need(format!("{data}/{REGISTRY}/{name}"), &["read"], "a registry's login");
    }
    need("auth/token/revoke-self".to_owned(), &["update"], "the token ends with the job");
    need("sys/internal/ui/resultant-acl".to_owned(), &["read"], "what this token can do is measured");
    need("sys/capabilities-self".to_owned(), &["update"], "and again where a policy has wildcards within a path");
    needs
}

/// The policy of the signer's role.
pub fn policy(settings: &VaultSettings) -> String {
    let mut text = String::from(
        "# What Countersign's signer needs, and nothing else. Give it to the role alone, with\n\
         # token_no_default_policy=true: the signer refuses a token that can do more.\n",
    );
    for Need { path, capabilities, why } in needs(settings) {
        let list: Vec<String> = capabilities.iter().map(|c| format!("\"{c}\"")).collect();
        let _ = write!(text, "\n# {why}\npath \"{path}\" {{\n  capabilities = [{}]\n}}\n", list.join(", "));
    }
    text
}

/// Paths that a token with too much would most likely reach, for what a listing does not show.
pub fn probes(settings: &VaultSettings) -> Vec<String> {
    let kv = &settings.kv;
    let mut paths: Vec<String> = [
        "sys/mounts/x",
        "sys/auth/x",
        "sys/policies/acl/x",
        "sys/policy/x",
        "sys/audit/x",
        "sys/config/auditing/request-headers/x",
        "sys/raw/x",
        "sys/seal",
        "sys/step-down",
        "sys/storage/raft/snapshot",
        "sys/generate-root/attempt",
        "sys/rotate",
        "sys/leases/revoke-prefix/x",
        "auth/token/create",
        "auth/token/create-orphan",
        "auth/token/revoke",
        "auth/approle/role/x",
        "auth/approle/role/x/secret-id",
        "identity/entity",
        "cubbyhole/x",
    ]
    .map(str::to_owned)
    .into();
    for verb in ["data", "metadata", "delete", "undelete", "destroy"] {
        for below in [kv.path.to_string(), format!("{}/{LOG}", kv.path), format!("{}x", kv.path), "x".to_owned()] {
            paths.push(format!("{}/{verb}/{below}", kv.mount));
        }
        paths.push(format!("{}/{verb}/{}/{TAGS}/x", kv.mount, kv.path));
        paths.push(format!("{}/{verb}/{}/{KEY}", kv.mount, kv.path));
    }
    if let Some(t) = &settings.transit {
        for way in ["", "/config", "/rotate", "/trim", "/import", "/import_version"] {
            paths.push(format!("{}/keys/{}{way}", t.mount, t.key));
        }
        for way in [
            "backup/K",
            "export/signing-key/K",
            "export/public-key/K",
            "restore/K",
            "sign/K",
            "sign/K/sha2-512",
            "hmac/K",
            "keys/x",
            "sign/x/sha2-256",
            "keys",
        ] {
            paths.push(format!("{}/{}", t.mount, way.replace('K', t.key.as_str())));
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: &str) -> VaultSettings {
        let text = "address = \"https://v\"\nlogin.agent.token_file = \"/t\"\nkv.path = \"countersign\"\n";
        toml::from_str(&format!("{text}{more}")).unwrap()
    }

    #[test]
    fn the_policy_of_a_transit_key_lets_nothing_of_it_out() {
        let text = policy(&settings("transit = {key = \"k\", version = 2}\nregistry.\"r.example\" = \"prod\"\n"));
        assert!(text.contains("path \"transit/sign/k/sha2-256\" {\n  capabilities = [\"update\"]\n}"), "{text}");
        assert!(
            text.contains("path \"secret/data/countersign/registry/prod\" {\n  capabilities = [\"read\"]"),
            "{text}"
        );
        assert!(!text.contains("countersign/key") && !text.contains("delete") && !text.contains("sudo"), "{text}");
    }

    #[test]
    fn the_policy_of_a_key_that_is_a_value_names_it() {
        let text = policy(&settings(""));
        assert!(text.contains("path \"secret/data/countersign/key\" {\n  capabilities = [\"read\"]"), "{text}");
        assert!(!text.contains("transit/"), "{text}");
    }
}

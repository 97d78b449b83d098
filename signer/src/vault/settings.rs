//! The `[vault]` table of `signer.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where Debian and its kin keep the certificate authorities that a host trusts.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How Vault is reached, and what of it is the signer's.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSettings {
    /// `https://HOST[:PORT]`: the active node, or what leads to it without a redirect.
    pub address: Address,
    /// The certificate authorities that count, in PEM; by default the host's own.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The namespace, where there are any.
    #[serde(default)]
    pub namespace: Option<Name>,
    /// How long one job may wait for a Vault that is sealed, starting or busy, in seconds.
    #[serde(default = "wait_seconds")]
    pub wait_seconds: u64,
    /// How the signer shows who it is.
    pub login: LoginBy,
    /// The engine with the image key, where it is kept there.
    #[serde(default)]
    pub transit: Option<Transit>,
    /// The signer's own place in a KV engine, version 2.
    pub kv: Kv,
    /// Registries whose logins lie in the KV engine: by `host[:port]`, the name of the entry below `PATH/registry/`, with the
    /// fields `username` and `password`.
    #[serde(default)]
    pub registry: BTreeMap<String, Name>,
}

fn wait_seconds() -> u64 {
    60
}

impl VaultSettings {
    /// The file with the certificate authorities that count.
    pub fn authorities(&self) -> &Path {
        self.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA))
    }

    /// The files that lie outside of the configuration.
    pub fn outside(&self) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = self.ca.iter().cloned().collect();
        files.extend(match &self.login {
            LoginBy::Approle(login) => vec![login.secret_id_file.clone()],
            LoginBy::Kubernetes(login) => vec![login.token_file.clone()],
            LoginBy::Certificate(login) => vec![login.certificate.clone(), login.key.clone()],
            LoginBy::Agent(login) => vec![login.token_file.clone()],
        });
        files
    }
}

/// How the signer shows who it is: one of these.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum LoginBy {
    /// By a role and its secret id.
    Approle(Approle),
    /// By a pod's service account.
    Kubernetes(Kubernetes),
    /// By a TLS certificate.
    Certificate(Certificate),
    /// By the token that Vault's or OpenBao's agent keeps in a file. The agent revokes it, not the signer.
    Agent(Agent),
}

/// AppRole.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approle {
    /// Where the method is mounted.
    #[serde(default = "approle")]
    pub mount: Name,
    /// The role's id: not a secret.
    pub role_id: String,
    /// The file with the secret id, or with the token that wraps it.
    pub secret_id_file: PathBuf,
    /// The role's name, when the file holds a wrapping token: it is good for one job, and only for a secret id of this role.
    #[serde(default)]
    pub wrapped_for: Option<Name>,
}

fn approle() -> Name {
    Name("approle".to_owned())
}

/// A pod's service account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kubernetes {
    /// Where the method is mounted.
    #[serde(default = "kubernetes")]
    pub mount: Name,
    /// The role.
    pub role: Name,
    /// The file with the service account's token.
    pub token_file: PathBuf,
}

fn kubernetes() -> Name {
    Name("kubernetes".to_owned())
}

/// A TLS certificate.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Where the method is mounted.
    #[serde(default = "cert")]
    pub mount: Name,
    /// The role.
    pub role: Name,
    /// The certificate, in PEM.
    pub certificate: PathBuf,
    /// Its key, in PEM.
    pub key: PathBuf,
}

fn cert() -> Name {
    Name("cert".to_owned())
}

/// An agent's token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// The file.
    pub token_file: PathBuf,
}

/// The image key in a transit engine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transit {
    /// Where the engine is mounted.
    #[serde(default = "transit")]
    pub mount: Name,
    /// The key's name.
    pub key: Name,
    /// The key's version that is used until people have another one taken up: what Vault made since signs nothing.
    pub version: u64,
}

fn transit() -> Name {
    Name("transit".to_owned())
}

/// A place in a KV engine, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kv {
    /// Where the engine is mounted.
    #[serde(default = "secret")]
    pub mount: Name,
    /// The signer's own folder in it: nobody else writes there.
    pub path: Name,
    /// With a key that is a value: the version of its entry that is used until another one is taken up.
    #[serde(default = "first")]
    pub key_version: u64,
}

fn first() -> u64 {
    1
}

fn secret() -> Name {
    Name("secret".to_owned())
}

/// `https://HOST[:PORT]`, or `http://` for loopback addresses: nothing behind it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Address(String);

impl Address {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it goes without TLS: then it is this host.
    pub fn is_plain(&self) -> bool {
        self.0.starts_with("http://")
    }
}

impl TryFrom<String> for Address {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (plain, place) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(place), _) => (false, place),
            (_, Some(place)) => (true, place),
            _ => return Err("an address begins with https://"),
        };
        let (host, port) = place.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).unwrap_or((place, "443"));
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
        if bare.is_empty() || !bare.chars().all(named) || port.parse::<u16>().is_err() {
            return Err("an address is https://HOST[:PORT], with nothing behind it");
        }
        let loopback = bare == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        if plain && !loopback {
            return Err("http:// is for loopback addresses only: use https://, and name a certificate authority in ca");
        }
        Ok(Self(text))
    }
}

/// A mount, a path or a name in Vault: words of letters, digits, `.`, `_` and `-`, joined by `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Name(String);

impl Name {
    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let word = |w: &str| !w.is_empty() && !w.starts_with('.') && w.chars().all(known);
        match text.len() <= 200 && text.split('/').all(word) {
            true => Ok(Self(text)),
            false => Err("a name in Vault is made of letters, digits, `.`, `_` and `-`, with `/` between words"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = "address = \"https://vault.example:8200\"\nca = \"/ca.pem\"\n[login.approle]\nrole_id = \"r\"\n\
        secret_id_file = \"/s\"\n[transit]\nkey = \"countersign\"\nversion = 1\n[kv]\npath = \"countersign\"\n";

    fn parse(text: &str) -> Result<VaultSettings, toml::de::Error> {
        toml::from_str(text)
    }

    #[test]
    fn settings_are_read_as_written() {
        let read = parse(WHOLE).unwrap();
        assert_eq!(read.outside(), [PathBuf::from("/ca.pem"), PathBuf::from("/s")]);
        assert_eq!((read.kv.mount.as_str(), read.transit.unwrap().mount.as_str()), ("secret", "transit"));
        assert!(matches!(read.login, LoginBy::Approle(a) if a.mount.as_str() == "approle" && a.wrapped_for.is_none()));
    }

    #[test]
    fn settings_that_can_not_be_meant_are_refused() {
        for (what, by) in [
            ("https://vault.example:8200", "http://vault.example:8200"),
            ("https://vault.example:8200", "https://vault.example:8200/v1"),
            ("https://vault.example:8200", "https://u@vault.example:8200"),
            ("https://vault.example:8200", "https://"),
            ("https://vault.example:8200", "https://vault.example:http"),
            ("https://vault.example:8200", "ftp://vault.example"),
            ("path = \"countersign\"", "path = \"../countersign\""),
            ("path = \"countersign\"", "path = \"/countersign\""),
            ("path = \"countersign\"", "path = \"a?b\""),
            ("path = \"countersign\"", ""),
            ("version = 1", "version = \"latest\""),
            ("version = 1", ""),
            ("[login.approle]", "[login.password]"),
            ("ca = \"/ca.pem\"", "skip_verify = true"),
        ] {
            assert!(parse(&WHOLE.replace(what, by)).is_err(), "{by}");
        }
        for good in ["http://127.0.0.1:8200", "http://[::1]:8200", "https://[2001:db8::1]:8200", "https://vault"] {
            parse(&WHOLE.replace("https://vault.example:8200", good)).expect(good);
        }
    }
}

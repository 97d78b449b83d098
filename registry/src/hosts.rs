//! Which registries may be contacted, and how: the `[registry."HOST[:PORT]"]` tables of a room's configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use artifact::name::Repository;
use serde::Deserialize;

/// Where Debian and its kin keep the certificate authorities that a host trusts.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A registry that may be contacted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// HTTP without TLS: for loopback addresses only.
    #[serde(default)]
    pub plain_http: bool,
    /// The certificate authorities that count, in PEM; by default the host's own.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The user to log in as.
    #[serde(default)]
    pub username: Option<String>,
    /// The file with the user's password, or token.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// A login that came from elsewhere than this configuration, for as long as this value lives.
    #[serde(skip)]
    pub login: Option<Login>,
}

/// A user and the password. It is never printed, and its bytes are erased when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password, or token.
    pub password: zeroize::Zeroizing<String>,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login({:?})", self.username)
    }
}

/// Why a list of registries was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("registry.{host:?}: {why}")]
pub struct HostsError {
    host: String,
    why: &'static str,
}

/// The registries that may be contacted: `host[:port]`, as it stands in a repository's name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, Host>")]
pub struct Hosts(BTreeMap<String, Host>);

impl Hosts {
    /// Every host, by its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Host)> {
        self.0.iter().map(|(name, host)| (name.as_str(), host))
    }

    /// Whether this `host[:port]` may be contacted.
    pub fn lists(&self, registry: &str) -> bool {
        self.0.contains_key(registry)
    }

    /// Has a listed registry be entered with this login. `false`: it is not listed, or the login can't be one.
    pub fn log_in(&mut self, registry: &str, login: Login) -> bool {
        let wrong = |text: &str| text.is_empty() || text.chars().any(char::is_control);
        let sound = !wrong(&login.username) && !login.username.contains(':') && !wrong(&login.password);
        match self.0.get_mut(registry).filter(|_| sound) {
            Some(host) => host.login.replace(login).is_none(),
            None => false,
        }
    }

    /// The files that these registries need and that lie outside of the configuration.
    pub fn outside(&self) -> Vec<PathBuf> {
        self.0.values().flat_map(|h| h.ca.iter().chain(&h.password_file)).cloned().collect()
    }
}

impl Host {
    /// The file with the certificate authorities that count.
    pub(crate) fn authorities(&self) -> &Path {
        self.ca.as_deref().unwrap_or(Path::new(SYSTEM_CA))
    }
}

impl TryFrom<BTreeMap<String, Host>> for Hosts {
    type Error = HostsError;

    fn try_from(hosts: BTreeMap<String, Host>) -> Result<Self, HostsError> {
        for (name, host) in &hosts {
            check(name, host).map_err(|why| HostsError { host: artifact::digest::shortened(name), why })?;
        }
        Ok(Self(hosts))
    }
}

fn check(name: &str, host: &Host) -> Result<(), &'static str> {
    if name.contains('/') || format!("{name}/x").parse::<Repository>().is_err() {
        return Err("not a registry: host[:port], in lower case");
    }
    if host.plain_http && !is_loopback(name) {
        return Err("plain_http is for loopback addresses only: leave it out, and name a certificate authority in ca");
    }
    if host.plain_http && host.ca.is_some() {
        return Err("plain_http and ca exclude each other");
    }
    if host.ca.iter().chain(&host.password_file).any(|p| !p.is_absolute()) {
        return Err("ca and password_file must be absolute paths");
    }
    match (&host.username, &host.password_file) {
        (Some(user), Some(_)) if user.contains(':') || user.chars().any(char::is_control) => {
            Err("username holds a character that no user's name may hold")
        }
        (Some(_), Some(_)) | (None, None) => Ok(()),
        _ => Err("username and password_file go together: write both or neither"),
    }
}

/// Whether a `host[:port]` is this machine whatever a name server says.
pub(crate) fn is_loopback(name: &str) -> bool {
    let host = name.split_once(':').map_or(name, |(host, _)| host);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct File {
        registry: Hosts,
    }

    fn parse(text: &str) -> Result<Hosts, toml::de::Error> {
        toml::from_str::<File>(text).map(|f| f.registry)
    }

    #[test]
    fn hosts_are_read_as_written() {
        let text = "[registry.\"127.0.0.1:5000\"]\nplain_http = true\n[registry.\"r.example\"]\nca = \"/ca.pem\"\nusername = \"u\"\npassword_file = \"/p\"\n";
        let hosts = parse(text).unwrap();
        assert!(hosts.lists("127.0.0.1:5000") && hosts.lists("r.example") && !hosts.lists("r.example:443"));
        assert_eq!(hosts.outside(), [PathBuf::from("/ca.pem"), PathBuf::from("/p")]);
    }

    #[test]
    fn hosts_that_can_not_be_meant_are_refused() {
        for text in [
            "[registry.\"r.example\"]\nplain_http = true",
            "[registry.\"128.0.0.1:5000\"]\nplain_http = true",
            "[registry.\"localhost.evil.example\"]\nplain_http = true",
            "[registry.\"r.example/x\"]",
            "[registry.\"R.example\"]",
            "[registry.\"u@r.example\"]",
            "[registry.\"r.example\"]\nusername = \"u\"",
            "[registry.\"r.example\"]\npassword_file = \"/p\"",
            "[registry.\"r.example\"]\nca = \"ca.pem\"",
            "[registry.\"r.example\"]\ninsecure = true",
            "[registry.\"r.example\"]\nusername = \"a:b\"\npassword_file = \"/p\"",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}

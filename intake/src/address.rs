//! Addresses of repositories and folders: https, ssh and file, and no other way that git knows.

use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use artifact::digest::shortened;
use serde::{Deserialize, Deserializer};

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Address {
    /// On this host: an absolute folder.
    File(PathBuf),
    /// `https://host[:port]/path`.
    Https(String),
    /// `ssh://[user@]host[:port]/path`.
    Ssh(String),
}

/// The text is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no address: {why}")]
pub(crate) struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let fault = |why| AddressError { text: shortened(text), why };
        if text.len() > 1000 || text.chars().any(|c| c.is_control() || c.is_whitespace() || "%?#\\\"'`$".contains(c)) {
            return Err(fault("a space, a control character or one of % ? # \\ \" ' ` $"));
        }
        if let Some(path) = text.strip_prefix("file://") {
            return Self::file(Path::new(path)).ok_or_else(|| fault("file:// and an absolute path without . or .."));
        }
        let (is_https, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("ssh", rest)) => (false, rest),
            _ => return Err(fault("https://, ssh:// or file:// is expected")),
        };
        let (authority, path) = rest.split_once('/').ok_or_else(|| fault("a path is missing"))?;
        let (user, host) = authority.rsplit_once('@').map_or((None, authority), |(user, host)| (Some(user), host));
        if is_https && user.is_some() {
            return Err(fault("a user's name in https://: it would stand in every log"));
        }
        let plain =
            |t: &str| t.bytes().all(|c| c.is_ascii_alphanumeric() || b"-._".contains(&c)) && !t.starts_with('-');
        let (name, port) = host.split_once(':').unwrap_or((host, "1"));
        let host_ok =
            !name.is_empty() && plain(name) && port.parse::<u16>().is_ok_and(|p| p != 0 && p.to_string() == port);
        if !host_ok || !user.is_none_or(|u| !u.is_empty() && plain(u)) || path.is_empty() {
            return Err(fault("[user@]host[:port]/path is expected"));
        }
        Ok(if is_https { Self::Https(text.to_owned()) } else { Self::Ssh(text.to_owned()) })
    }
}

impl Address {
    /// A folder on this host; `None` when its path is not absolute and plain.
    pub(crate) fn file(path: &Path) -> Option<Self> {
        let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
        (path.is_absolute() && plain).then(|| Self::File(path.to_owned()))
    }

    /// What git calls the protocol.
    pub(crate) fn protocol(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Https(_) => "https",
            Self::Ssh(_) => "ssh",
        }
    }

    /// The folder, of an address on this host.
    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::File(path) => Some(path),
            _ => None,
        }
    }

    /// As git reads it: a path's bytes that are not plain are escaped, since git takes the escapes back.
    pub(crate) fn url(&self) -> String {
        use fmt::Write as _;
        match self {
            Self::Https(url) | Self::Ssh(url) => url.clone(),
            Self::File(path) => path.as_os_str().as_bytes().iter().fold("file://".to_owned(), |mut url, &byte| {
                let plain = byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
                // Writing to a String does not fail.
                let _ = if plain { write!(url, "{}", byte as char) } else { write!(url, "%{byte:02X}") };
                url
            }),
        }
    }

    /// The address that a relative one (`../lib.git`, as in `.gitmodules`) means, seen from this one.
    pub(crate) fn join(&self, relative: &str) -> Result<Self, AddressError> {
        let mut base = self.to_string().trim_end_matches('/').to_owned();
        let mut rest = relative;
        loop {
            if let Some(after) = rest.strip_prefix("./") {
                rest = after;
            } else if let Some(after) = rest.strip_prefix("../") {
                rest = after;
                base.truncate(base.rfind('/').unwrap_or(0));
            } else {
                return format!("{base}/{rest}").parse();
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file://{}", path.display()),
            Self::Https(url) | Self::Ssh(url) => f.write_str(url),
        }
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_trick_git_or_ssh_are_refused() {
        for wrong in [
            "",
            "/srv/git",
            "http://h/x",
            "git://h/x",
            "ext::sh -c x",
            "file://relative",
            "file:///a/../b",
            "https://user@h/x",
            "https://h",
            "https://h/",
            "https:///x",
            "ssh://-oProxyCommand=x/y",
            "ssh://-u@h/y",
            "ssh://h:0/y",
            "ssh://h:+22/y",
            "ssh://h:022/y",
            "ssh://h:x/y",
            "ssh://h/$(x)",
            "https://h/x y",
            "https://h/%2e",
            "https://h/x\n",
        ] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong:?}");
        }
        for right in ["https://forge.example:8443/a/b.git", "ssh://git@forge.example/a", "file:///srv/git/x.git"] {
            assert_eq!(right.parse::<Address>().unwrap().to_string(), right);
        }
    }

    #[test]
    fn a_path_reaches_git_as_it_is() {
        assert_eq!(Address::file(Path::new("/a b/100%")).unwrap().url(), "file:///a%20b/100%25");
    }

    #[test]
    fn relative_addresses_are_resolved_as_git_does() {
        let from: Address = "https://h/a/b.git".parse().unwrap();
        assert_eq!(from.join("../lib.git").unwrap().to_string(), "https://h/a/lib.git");
        assert_eq!(from.join("./lib.git").unwrap().to_string(), "https://h/a/b.git/lib.git");
        assert_eq!(from.join("../../c/lib.git").unwrap().to_string(), "https://h/c/lib.git");
        assert!(from.join("../../../../../x").is_err());
    }
}

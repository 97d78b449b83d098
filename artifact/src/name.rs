//! Names: projects, branches, registries, repositories and tags, each with its own type and one spelling.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, shortened, text_serde};

/// Why a name was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {rule}")]
pub struct NameError {
    kind: &'static str,
    rule: &'static str,
    text: String,
}

/// A name that is a checked text.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $rule:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NameError { kind: $kind, rule: $rule, text: shortened(text) })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        text_serde!($name);
    };
}

name!(
    /// A project: the operator's short name for what is promoted. It becomes a folder's name, so it is narrow.
    ProjectName,
    "project name",
    "1 to 64 of a-z, 0-9 and -, beginning with a letter",
    |t| {
        t.len() <= 64
            && t.starts_with(|c: char| c.is_ascii_lowercase())
            && t.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }
);

name!(
    /// A branch without `refs/heads/`, by a narrower rule than git's own.
    BranchName,
    "branch name",
    "1 to 200 of letters, digits and -_./+, no .., no //, no component beginning or ending with . or ending in .lock",
    |t| {
        !t.is_empty()
            && t.len() <= 200
            && t.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_./+".contains(&c))
            && !t.starts_with('-')
            && !t.contains("..")
            && t.split('/').all(|p| !p.is_empty() && !p.starts_with('.') && !p.ends_with('.') && !p.ends_with(".lock"))
    }
);

name!(
    /// A tag of a repository (OCI distribution, "Pulling manifests").
    Tag,
    "tag",
    "1 to 128 of letters, digits and _.-, not beginning with . or -",
    |t| {
        !t.is_empty()
            && t.len() <= 128
            && !t.starts_with(['.', '-'])
            && t.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-".contains(&c))
    }
);

name!(
    /// A registry and a repository in it: `host[:port]/path`, no tag and no digest. The host is always written:
    /// no registry is meant by default.
    Repository,
    "repository",
    "host[:port]/path in lower case, as OCI distribution writes it",
    |t| {
        let Some((host, path)) = t.split_once('/') else { return false };
        let (name, port) = host.split_once(':').unwrap_or((host, "443"));
        // One spelling: no sign, no leading zero.
        let port_ok = port.parse::<u16>().is_ok_and(|number| number != 0 && number.to_string() == port);
        let host_ok = !name.is_empty()
            && name.split('.').all(|p| {
                !p.is_empty() && !p.starts_with('-') && p.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            })
            // "library/busybox" would be a path of some default registry, which we don't have.
            && (host.contains(['.', ':']) || name == "localhost")
            && port_ok;
        let component = |p: &str| {
            let edge = |c: Option<u8>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
            edge(p.bytes().next())
                && edge(p.bytes().next_back())
                && p.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
        };
        t.len() <= 255 && host_ok && path.split('/').all(component)
    }
);

impl Repository {
    /// The registry: `host[:port]`.
    pub fn registry(&self) -> &str {
        self.0.split_once('/').map_or("", |(host, _)| host)
    }

    /// The path of the repository in its registry.
    pub fn path(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, path)| path)
    }
}

/// An image by its digest: `repository@sha256:…`. It can mean only one image.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pinned {
    /// Where it is.
    pub repository: Repository,
    /// What it is.
    pub digest: Digest,
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.digest)
    }
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Pinned {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let error = || NameError { kind: "pinned image", rule: "host/path@sha256:…", text: shortened(text) };
        let (repository, digest) = text.split_once('@').ok_or_else(error)?;
        Ok(Self { repository: repository.parse()?, digest: digest.parse().map_err(|_| error())? })
    }
}

text_serde!(Pinned);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_trick_are_refused() {
        for wrong in ["", "..", "a/b", "A", "-a", "a b", "a\u{0430}", "9a"] {
            assert!(wrong.parse::<ProjectName>().is_err(), "{wrong:?}");
        }
        for wrong in ["", "-x", "a..b", "a//b", "/a", "a/", ".a", "a/.b", "a.lock", "a b", "a~1", "a^", "a:b", "a\n"] {
            assert!(wrong.parse::<BranchName>().is_err(), "{wrong:?}");
        }
        for wrong in [
            "busybox",
            "library/busybox",
            "r.example/A",
            "r.example/",
            "r.example//a",
            "r.example/../a",
            "r.example:0/a",
            "r.example:+80/a",
            "r.example:080/a",
            "r.example/a:tag",
            "r.example/a@sha256:00",
            "-r.example/a",
            "user@r.example/a",
        ] {
            assert!(wrong.parse::<Repository>().is_err(), "{wrong:?}");
        }
        for right in ["localhost/a", "127.0.0.1:5000/a/b-c_d.e", "registry.example:5000/x"] {
            assert!(right.parse::<Repository>().is_ok(), "{right:?}");
        }
    }
}

//! Which runtime this is, and what is known of it.

use std::path::{Path, PathBuf};
use std::process::Command;

/// When the table below was last looked over.
const LOOKED_OVER: &str = "2026-11-23";

/// A runtime on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runtime {
    /// The program.
    pub path: PathBuf,
    /// `runc`, `crun` …
    pub name: String,
    /// Its version; the distribution's revision where there is one.
    pub version: String,
    /// What is known of it.
    pub verdict: Verdict,
    /// What is known against it.
    pub advisories: Vec<String>,
}

/// What is known of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every escape in our table is fixed in it.
    KnownGood,
    /// One of them is not.
    KnownBroken,
    /// Our table does not know it.
    Unknown,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KnownGood => "known-good",
            Self::KnownBroken => "known-broken",
            Self::Unknown => "unknown",
        }
    }
}

/// Why a runtime is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// It is not there.
    #[error("{0} is not in /usr/sbin, /usr/bin, /sbin or /bin. On Debian: apt-get install {0}")]
    Missing(String),
    /// It does not say what it is.
    #[error("{name} --version: {why}")]
    Silent {
        /// The runtime.
        name: String,
        /// What came of asking.
        why: String,
    },
    /// It is not known to be good, and the operator has not accepted it by name.
    #[error(
        "{name} {version} is {verdict} ({why}). Install a fixed version, or accept this one by name in builder.toml: \
         accept = [\"{name} {version}\"]"
    )]
    Refused {
        /// The runtime.
        name: String,
        /// Its version.
        version: String,
        /// What is known of it.
        verdict: &'static str,
        /// What is known against it.
        why: String,
    },
}

/// Escapes from runc that are fixed from these versions on, by minor version.
const RUNC: &[(&str, &[[u32; 3]])] = &[
    ("CVE-2024-21626", &[[1, 1, 12], [1, 2, 0]]),
    ("CVE-2025-31133, CVE-2025-52565, CVE-2025-52881", &[[1, 2, 8], [1, 3, 3], [1, 4, 0]]),
];

/// Distribution revisions that carry a fix which their version number does not show.
const BACKPORTED: &[(&str, &str)] = &[("1.1.5+ds1-1+deb12u1", "CVE-2024-21626")];

impl Runtime {
    /// Finds a runtime and asks what it is.
    ///
    /// # Errors
    /// Not there, silent, or refused.
    pub fn probe(name: &str, accept: &[String]) -> Result<Self, ProbeError> {
        let path = find(name).ok_or_else(|| ProbeError::Missing(name.to_owned()))?;
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let silent = |why: String| ProbeError::Silent { name: name.clone(), why };
        let asked = Command::new(&path).arg("--version").output().map_err(|e| silent(e.to_string()))?;
        let text = String::from_utf8_lossy(&asked.stdout).into_owned();
        let version = upstream_version(&text).ok_or_else(|| silent(format!("no version in {text:?}")))?;
        let (verdict, advisories) = judge(&name, &version);
        let runtime = Self { path, name, version, verdict, advisories };
        runtime.accepted(accept)
    }

    fn accepted(self, accept: &[String]) -> Result<Self, ProbeError> {
        let Self { name, version, .. } = &self;
        if self.verdict == Verdict::KnownGood || accept.contains(&format!("{name} {version}")) {
            return Ok(self);
        }
        let why = match self.advisories.is_empty() {
            true => format!("our table of {LOOKED_OVER} does not know it"),
            false => format!("{}, by our table of {LOOKED_OVER}", self.advisories.join(", ")),
        };
        Err(ProbeError::Refused { name: self.name, version: self.version, verdict: self.verdict.as_str(), why })
    }
}

fn find(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|p| p.is_file());
    }
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].iter().map(|folder| Path::new(folder).join(name)).find(|p| p.is_file())
}

/// `runc version 1.1.5+ds1` in the first line, with the distribution's revision when it gives one.
fn upstream_version(text: &str) -> Option<String> {
    let first = text.lines().next()?;
    let version = first.split_whitespace().skip_while(|w| *w != "version").nth(1)?;
    let revision = text.lines().find_map(|l| l.strip_prefix("commit: "));
    let plain = version.bytes().all(|c| c.is_ascii_alphanumeric() || b".+~-".contains(&c));
    if !plain || version.len() > 64 {
        return None;
    }
    // Debian's revision stands in the commit line; it begins with the version.
    Some(revision.filter(|r| r.starts_with(version)).unwrap_or(version).to_owned())
}

fn judge(name: &str, version: &str) -> (Verdict, Vec<String>) {
    if name != "runc" {
        return (Verdict::Unknown, Vec::new());
    }
    let Some(number) = number(version) else { return (Verdict::Unknown, Vec::new()) };
    let against: Vec<String> = RUNC
        .iter()
        .filter(|(advisory, fixed)| {
            let backported = BACKPORTED.iter().any(|(v, a)| *v == version && a == advisory);
            !backported && !is_fixed(number, fixed)
        })
        .map(|(advisory, _)| (*advisory).to_owned())
        .collect();
    (if against.is_empty() { Verdict::KnownGood } else { Verdict::KnownBroken }, against)
}

/// Fixed: in its own minor version from a patch on, or in every later minor version.
fn is_fixed(version: [u32; 3], fixed: &[[u32; 3]]) -> bool {
    match fixed.iter().find(|f| f[..2] == version[..2]) {
        Some(f) => version[2] >= f[2],
        None => fixed.iter().all(|f| f[..2] < version[..2]),
    }
}

/// The three numbers; a release candidate counts as the version before.
fn number(version: &str) -> Option<[u32; 3]> {
    if version.contains("-rc") || version.contains("~rc") {
        return None;
    }
    let core = version.split(['+', '-', '~']).next()?;
    let mut parts = core.split('.').map(str::parse::<u32>);
    let number = [parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?];
    parts.next().is_none().then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_escapes_are_told_by_version_and_revision() {
        let verdict = |version| judge("runc", version).0;
        for good in ["1.2.8", "1.3.3", "1.4.0", "1.5.1", "2.0.0"] {
            assert_eq!(verdict(good), Verdict::KnownGood, "{good}");
        }
        for broken in ["1.0.3", "1.1.5+ds1-1+deb12u1", "1.1.12", "1.1.99", "1.2.7", "1.3.2"] {
            assert_eq!(verdict(broken), Verdict::KnownBroken, "{broken}");
        }
        for unknown in ["1.4.0-rc.2", "banana", "1.2", "1.2.3.4"] {
            assert_eq!(verdict(unknown), Verdict::Unknown, "{unknown}");
        }
        assert_eq!(judge("crun", "1.8.1").0, Verdict::Unknown);
        assert!(!judge("runc", "1.1.5+ds1-1+deb12u1").1.contains(&"CVE-2024-21626".to_owned()));
    }

    #[test]
    fn what_is_not_known_to_be_good_is_accepted_by_its_full_name_only() {
        let runtime = Runtime {
            path: "/usr/sbin/runc".into(),
            name: "runc".into(),
            version: "1.1.5".into(),
            verdict: Verdict::KnownBroken,
            advisories: vec!["CVE-2025-31133".into()],
        };
        for wrong in [vec![], vec!["runc".to_owned()], vec!["runc 1.1.50".to_owned()], vec!["crun 1.1.5".to_owned()]] {
            assert!(runtime.clone().accepted(&wrong).is_err(), "{wrong:?}");
        }
        assert!(runtime.accepted(&["runc 1.1.5".to_owned()]).is_ok());
    }
}

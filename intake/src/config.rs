//! `intake.toml`: where source, evidence and candidates are pulled from, and which witnesses see the log. What is not
//! listed is not reached.

use std::path::{Path, PathBuf};

use artifact::name::{ProjectName, Repository};
use audit::cosignature::WitnessKey;
use registry::{Hosts, Prefix};
use serde::{Deserialize, Deserializer};

use crate::address::Address;

/// Intake's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntakeConfig {
    #[serde(default)]
    orders: Option<PathBuf>,
    #[serde(default)]
    project: Vec<Project>,
    #[serde(default)]
    ssh: Option<Ssh>,
    #[serde(default)]
    https: Option<Https>,
    #[serde(default)]
    registry: Hosts,
    #[serde(default)]
    witness: Vec<Witness>,
}

/// A witness of the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Witness {
    /// Its key, as the policy in `keeper.toml` has it.
    pub(crate) vkey: WitnessKey,
    /// Its submission prefix (C2SP tlog-witness).
    url: String,
    /// The certificate authorities that count, in PEM, instead of the host's own.
    #[serde(default)]
    ca: Option<PathBuf>,
}

impl Witness {
    /// Where it is asked.
    pub(crate) fn prefix(&self) -> Result<Prefix, String> {
        Prefix::parse(&self.url, self.ca.as_deref())
    }
}

/// Where a project comes from.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    pub(crate) name: ProjectName,
    pub(crate) source: Address,
    pub(crate) evidence: Vec<EvidenceSource>,
    pub(crate) candidate: Repository,
    #[serde(default)]
    pub(crate) submodules: Vec<Address>,
}

/// How ssh proves both sides.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ssh {
    key: PathBuf,
    known_hosts: PathBuf,
}

/// Whom https:// repositories are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Https {
    /// The certificate authorities that count, in PEM, instead of the host's own.
    ca: PathBuf,
}

/// Where evidence lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EvidenceSource {
    /// A folder on this host.
    Folder(PathBuf),
    /// A git repository; what is on its `HEAD` counts.
    Repository(Address),
}

/// Why the configuration was not accepted.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {why}")]
pub struct ConfigError {
    path: PathBuf,
    why: String,
}

impl IntakeConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// Missing, not this format, or something that can't be meant; the text names line and field.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let fault = |why: String| ConfigError { path: path.to_owned(), why };
        let text = std::fs::read_to_string(path).map_err(|e| fault(e.to_string()))?;
        let config: Self = artifact::settings::parse(&text).map_err(|e| fault(e.to_string()))?;
        config.check().map_err(fault)?;
        Ok(config)
    }

    /// A project, by its name.
    pub(crate) fn project(&self, name: &ProjectName) -> Option<&Project> {
        self.project.iter().find(|p| p.name == *name)
    }

    /// A witness, by its key.
    pub(crate) fn witness(&self, vkey: &str) -> Option<&Witness> {
        self.witness.iter().find(|w| w.vkey.to_string() == vkey)
    }

    /// The folder of people's orders.
    pub(crate) fn orders(&self) -> Option<&Path> {
        self.orders.as_deref()
    }

    /// The registries that may be contacted.
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.registry
    }

    /// The command that git runs for ssh: this key, these hosts, no questions, nobody's own configuration.
    pub(crate) fn ssh_command(&self) -> Option<String> {
        let Ssh { key, known_hosts } = self.ssh.as_ref()?;
        Some(format!(
            "ssh -F /dev/null -i {} -o IdentitiesOnly=yes -o UserKnownHostsFile={} -o GlobalKnownHostsFile=/dev/null \
             -o StrictHostKeyChecking=yes -o UpdateHostKeys=no -o BatchMode=yes -o ConnectTimeout=15 \
             -o ForwardAgent=no -o ClearAllForwardings=yes -o PermitLocalCommand=no",
            key.display(),
            known_hosts.display()
        ))
    }

    /// The certificate authorities that count for git, when they are not the host's own.
    pub(crate) fn https_ca(&self) -> Option<&Path> {
        self.https.as_ref().map(|https| https.ca.as_path())
    }

    /// The files and folders that intake reads outside of the configuration and its own stores.
    pub fn outside(&self) -> Vec<PathBuf> {
        let mut paths = self.registry.outside();
        for project in &self.project {
            paths.extend(
                std::iter::once(&project.source).chain(&project.submodules).filter_map(|a| Some(a.path()?.into())),
            );
            paths.extend(project.evidence.iter().filter_map(|e| Some(e.path()?.to_owned())));
        }
        paths.extend(self.ssh.iter().flat_map(|ssh| [ssh.key.clone(), ssh.known_hosts.clone()]));
        paths.extend(self.https_ca().map(Path::to_owned));
        paths.extend(self.witness.iter().filter_map(|w| w.ca.clone()));
        paths.extend(self.orders.clone());
        paths.sort();
        paths.dedup();
        paths
    }

    fn check(&self) -> Result<(), String> {
        for (at, project) in self.project.iter().enumerate() {
            let fault = |why: &str| Err(format!("project {}: {why}", project.name));
            if self.project[..at].iter().any(|p| p.name == project.name) {
                return fault("listed twice");
            }
            if project.evidence.is_empty() {
                return fault("evidence is empty: no test result could be found");
            }
            if !self.registry.lists(project.candidate.registry()) {
                let host = project.candidate.registry();
                return fault(&format!("candidate: {host} is not listed; add [registry.\"{host}\"]"));
            }
            let is_ssh = |a: &Address| matches!(a, Address::Ssh(_));
            let by_ssh = std::iter::once(&project.source).chain(&project.submodules).any(is_ssh)
                || project.evidence.iter().any(|e| matches!(e, EvidenceSource::Repository(a) if is_ssh(a)));
            if by_ssh && self.ssh.is_none() {
                return fault("ssh:// needs the table [ssh] with key and known_hosts");
            }
        }
        if let Some(folder) = self.orders().filter(|folder| !folder.is_absolute()) {
            return Err(format!("orders: {}: an absolute path is expected", folder.display()));
        }
        for (at, witness) in self.witness.iter().enumerate() {
            let fault = |why: &str| Err(format!("witness {}: {why}", witness.vkey.name()));
            if self.witness[..at].iter().any(|w| w.vkey == witness.vkey) {
                return fault("listed twice");
            }
            if let Err(why) = witness.prefix() {
                return fault(&why);
            }
        }
        if let Some(ca) = self.https_ca().filter(|ca| !is_plain(ca)) {
            return Err(format!("https: {}: an absolute path of letters, digits and /._- is expected", ca.display()));
        }
        match self.ssh.iter().flat_map(|s| [&s.key, &s.known_hosts]).find(|p| !is_plain(p)) {
            Some(path) => {
                Err(format!("ssh: {}: an absolute path of letters, digits and /._- is expected", path.display()))
            }
            None => Ok(()),
        }
    }
}

/// A path that a shell reads as one word: git has one start ssh.
fn is_plain(path: &Path) -> bool {
    let plain = |t: &str| t.bytes().all(|c| c.is_ascii_alphanumeric() || b"/._-".contains(&c));
    path.is_absolute() && path.to_str().is_some_and(plain)
}

impl EvidenceSource {
    fn path(&self) -> Option<&Path> {
        match self {
            Self::Folder(path) => Some(path),
            Self::Repository(address) => address.path(),
        }
    }
}

impl std::fmt::Display for EvidenceSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "file://{}", path.display()),
            Self::Repository(address) => write!(f, "git+{address}"),
        }
    }
}

impl<'de> Deserialize<'de> for EvidenceSource {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        let (is_git, rest) = text.strip_prefix("git+").map_or((false, text.as_str()), |rest| (true, rest));
        match (is_git, rest.parse().map_err(serde::de::Error::custom)?) {
            (true, address) => Ok(Self::Repository(address)),
            (false, Address::File(path)) => Ok(Self::Folder(path)),
            (false, _) => {
                Err(serde::de::Error::custom("evidence is a folder, file://…, or a repository, git+https://…"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
orders = "/srv/orders"
[[project]]
name = "hello"
source = "ssh://git@forge.example/hello.git"
evidence = ["file:///srv/evidence/hello", "git+file:///srv/evidence.git"]
candidate = "127.0.0.1:5000/hello"
submodules = ["file:///srv/git/lib.git"]
[ssh]
key = "/etc/x/id"
known_hosts = "/etc/x/known_hosts"
[https]
ca = "/etc/x/ca.pem"
[registry."127.0.0.1:5000"]
plain_http = true
[[witness]]
vkey = "w.example/1+e49b0a06+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
url = "https://w.example/submit"
ca = "/etc/x/w.pem"
"#;

    fn load(text: &str) -> Result<IntakeConfig, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("intake.toml");
        std::fs::write(&path, text).unwrap();
        IntakeConfig::load(&path)
    }

    #[test]
    fn a_configuration_says_what_it_needs_outside() {
        let config = load(GOOD).unwrap();
        let paths = [
            "/etc/x/ca.pem",
            "/etc/x/id",
            "/etc/x/known_hosts",
            "/etc/x/w.pem",
            "/srv/evidence/hello",
            "/srv/evidence.git",
            "/srv/git/lib.git",
            "/srv/orders",
        ];
        assert_eq!(config.outside(), paths.map(PathBuf::from));
        assert!(config.ssh_command().unwrap().contains("StrictHostKeyChecking=yes"));
        assert!(load("").unwrap().outside().is_empty());
    }

    #[test]
    fn a_configuration_that_can_not_be_meant_is_refused() {
        for (from, to) in [
            ("plain_http = true", "plain_http = true\ninsecure = true"),
            ("[registry.\"127.0.0.1:5000\"]", "[registry.\"127.0.0.1:5001\"]"),
            ("[\"file:///srv/evidence/hello\", \"git+file:///srv/evidence.git\"]", "[]"),
            ("\"file:///srv/evidence/hello\"", "\"https://h/x\""),
            ("\"/srv/orders\"", "\"orders\""),
            ("\"/etc/x/ca.pem\"", "\"ca.pem\""),
            ("key = \"/etc/x/id\"", "key = \"/etc/x/id; rm\""),
            ("[ssh]\nkey = \"/etc/x/id\"\nknown_hosts = \"/etc/x/known_hosts\"\n", ""),
            ("name = \"hello\"", "name = \"Hello\""),
        ] {
            assert!(GOOD.contains(from), "{from}");
            assert!(load(&GOOD.replace(from, to)).is_err(), "{to}");
        }
        assert!(load(&format!("{GOOD}{}", GOOD.split("[ssh]").next().unwrap())).is_err());
    }
}

//! What a perimeter for trying is configured with, and the files that say so.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use artifact::key::PublicKey;
use artifact::name::{Pinned, Repository};

use crate::binaries::runtime;
use crate::trouble::Trouble;

/// In whose name provenance is made.
pub const BUILDER_ID: &str = "https://countersign.example/builder";
/// In whose name verdicts are made.
pub const VERIFIER_ID: &str = "https://countersign.example/signer";

/// A project: where it comes from, where it goes, and what must hold.
#[derive(Debug, Clone)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The bare repository.
    pub source: PathBuf,
    /// The folder of signed test results.
    pub evidence: PathBuf,
    /// Where CI leaves its images.
    pub candidate: Repository,
    /// What must hold.
    pub rules: Rules,
}

/// What must hold before an image is countersigned.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The branch that is promoted.
    pub branch: String,
    /// Where releases go.
    pub repository: Repository,
    /// Under which tags.
    pub tags: Vec<String>,
    /// The jobs that must have passed.
    pub required_jobs: Vec<String>,
    /// `commit-signature`, `test-result`.
    pub proofs: Vec<String>,
    /// Who may sign test results.
    pub result_keys: Vec<PublicKey>,
    /// Who may sign commits.
    pub allowed_signers: String,
    /// The bases that recipes may use.
    pub bases: Vec<Pinned>,
    /// `bit-for-bit`, `same-layers` or `same-filesystem`.
    pub least_level: String,
    /// The OCI runtimes that count.
    pub runtimes: Vec<String>,
    /// How old evidence may be.
    pub evidence_hours: u64,
    /// How old the look at the branch may be.
    pub branch_minutes: u64,
    /// How long a permit holds.
    pub permit_minutes: u64,
    /// How many comparers must agree.
    pub comparers: u64,
    /// Whether two runs must agree.
    pub deterministic: bool,
    /// Whether a branch whose history was rewritten may be promoted.
    pub rewritten_history: bool,
}

impl Rules {
    /// The rules that a careful operator would begin with.
    pub fn strict(repository: Repository) -> Self {
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        Self {
            branch: crate::forge::BRANCH.to_owned(),
            repository,
            tags: words(&["latest", "{commit}"]),
            required_jobs: words(&["build", "test"]),
            proofs: words(&["commit-signature", "test-result"]),
            result_keys: Vec::new(),
            allowed_signers: String::new(),
            bases: Vec::new(),
            least_level: "bit-for-bit".to_owned(),
            runtimes: words(&["runc"]),
            evidence_hours: 24,
            branch_minutes: 15,
            permit_minutes: 10,
            comparers: 1,
            deterministic: true,
            rewritten_history: false,
        }
    }

    fn write(&self, name: &str, file: &mut String) {
        let strings = |list: &[String]| array(list.iter().map(String::as_str));
        let keys: Vec<String> = self.result_keys.iter().map(ToString::to_string).collect();
        let bases: Vec<String> = self.bases.iter().map(ToString::to_string).collect();
        let lines = [
            ("name", quoted(name)),
            ("branch", quoted(&self.branch)),
            ("repository", quoted(&self.repository.to_string())),
            ("tags", strings(&self.tags)),
            ("required_jobs", strings(&self.required_jobs)),
            ("proofs", strings(&self.proofs)),
            ("result_keys", strings(&keys)),
            ("allowed_signers", quoted(&self.allowed_signers)),
            ("bases", strings(&bases)),
            ("least_level", quoted(&self.least_level)),
            ("runtimes", strings(&self.runtimes)),
            ("evidence_hours", self.evidence_hours.to_string()),
            ("branch_minutes", self.branch_minutes.to_string()),
            ("permit_minutes", self.permit_minutes.to_string()),
            ("comparers", self.comparers.to_string()),
            ("deterministic", self.deterministic.to_string()),
            ("rewritten_history", self.rewritten_history.to_string()),
        ];
        file.push_str("\n[[project]]\n");
        for (field, value) in lines {
            let _ = writeln!(file, "{field} = {value}");
        }
    }
}

/// Everything that a perimeter is configured with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The projects.
    pub projects: Vec<Project>,
    /// Every registry, on loopback and over plain HTTP.
    pub registries: Vec<String>,
    /// The first uid of the rooms, when it is not the launcher's own default.
    pub uid_base: Option<u32>,
    /// How long a room may take for one answer, when it is not the default.
    pub answer_seconds: Option<u64>,
    /// What `builder.toml` says beside the runtime, as TOML.
    pub builder: String,
    /// The log's witnesses.
    pub witnesses: Witnesses,
    /// Who may order what, and where orders lie.
    pub orders: Option<Orders>,
    /// Where the signer keeps its key and its memory.
    pub kept: Kept,
}

/// Where the signer keeps its key and its memory.
#[derive(Debug, Clone)]
pub struct Kept {
    /// `file`, `vault-transit` or `vault-kv`.
    pub key: &'static str,
    /// What `signer.toml` says of Vault, as TOML.
    pub vault: String,
    /// The files that the signer must see for it.
    pub files: Vec<PathBuf>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { key: "file", vault: String::new(), files: Vec::new() }
    }
}

/// The log's witnesses.
#[derive(Debug, Clone, Default)]
pub struct Witnesses {
    /// The policy in `keeper.toml` (C2SP tlog-policy); empty: none.
    pub policy: String,
    /// Whom intake asks: key, submission prefix.
    pub asked: Vec<(String, String)>,
    /// Whether nothing is signed without a quorum.
    pub required: bool,
}

/// Who may order what.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The folder.
    pub folder: PathBuf,
    /// In the format of ssh-keygen(1).
    pub allowed_signers: String,
    /// How many people each order needs.
    pub people: u64,
    /// How many releases are signed again in a pass; `None`: as many as the house does by itself.
    pub resign_per_pass: Option<usize>,
}

impl Orders {
    /// The table, as rules have it, or the keeper.
    fn table(&self, actions: &[&str]) -> String {
        let mut text = format!("\n[orders]\nallowed_signers = {}\n", quoted(&self.allowed_signers));
        for action in actions {
            let _ = writeln!(text, "{action} = {}", self.people);
        }
        text
    }
}

impl Settings {
    /// The files, by name.
    ///
    /// # Errors
    /// When this host has no runtime.
    pub fn files(&self) -> Result<[(&'static str, String); 8], Trouble> {
        let rules = self.rules();
        Ok([
            ("countersign.toml", self.countersign()),
            ("rules.toml", rules.clone()),
            ("signer-rules.toml", rules),
            ("intake.toml", self.intake()),
            ("builder.toml", self.builder()?),
            ("compare.toml", format!("builder_id = \"{BUILDER_ID}\"\nbuilder = \"builder-1\"\n")),
            ("keeper.toml", self.keeper() + &self.ordered(&["forget"])),
            ("signer.toml", self.signer()),
        ])
    }

    fn signer(&self) -> String {
        let Kept { key, vault, .. } = &self.kept;
        format!("verifier_id = \"{VERIFIER_ID}\"\nkey = \"{key}\"\n{}\n{vault}", self.hosts())
    }

    /// The trust file of verifiers: the keys, and the names that may speak.
    pub fn trust(&self, keys: &str, log: &Path) -> String {
        let source = quoted(&format!("file://{}", log.display()));
        let names = format!("verifier_id = \"{VERIFIER_ID}\"\nbuilder_id = \"{BUILDER_ID}\"\nlog_source = {source}\n");
        format!("{}\n{names}{}", keys.trim_end(), self.hosts())
    }

    fn builder(&self) -> Result<String, Trouble> {
        // A builder may take no longer than an answer.
        let limit = self.answer_seconds.map(|seconds| format!("minutes = 0\nseconds = {}\n", (seconds / 2).max(1)));
        let limit = limit.unwrap_or_default();
        Ok(format!("runtime = \"runc\"\naccept = [{}]\n{limit}{}", quoted(&runtime()?), self.builder))
    }

    fn keeper(&self) -> String {
        let mut file = "origin = \"log.countersign.example\"\n".to_owned();
        if !self.witnesses.policy.is_empty() {
            let _ = writeln!(file, "policy = {}", quoted(&self.witnesses.policy));
        }
        file
    }

    fn countersign(&self) -> String {
        let mut file = "version = 1\n".to_owned();
        if let Some(base) = self.uid_base {
            let _ = writeln!(file, "uid_base = {base}");
        }
        if let Some(seconds) = self.answer_seconds {
            let _ = writeln!(file, "answer_seconds = {seconds}");
        }
        if self.witnesses.required {
            file.push_str("witnesses = \"required\"\n");
        }
        if let Some(count) = self.orders.as_ref().and_then(|orders| orders.resign_per_pass) {
            let _ = writeln!(file, "resign_per_pass = {count}");
        }
        let seen =
            self.projects.iter().flat_map(|p| [&p.source, &p.evidence]).chain(self.orders.iter().map(|o| &o.folder));
        let seen: Vec<String> = seen.map(|path| path.display().to_string()).collect();
        let _ = writeln!(file, "[expose]\nintake = {}", array(seen.iter().map(String::as_str)));
        let files: Vec<String> = self.kept.files.iter().map(|path| path.display().to_string()).collect();
        let _ = writeln!(file, "signer = {}", array(files.iter().map(String::as_str)));
        file
    }

    fn rules(&self) -> String {
        let mut file = "version = 1\n".to_owned();
        for project in &self.projects {
            project.rules.write(&project.name, &mut file);
        }
        file + &self.ordered(&["forget", "revoke"])
    }

    fn ordered(&self, actions: &[&str]) -> String {
        self.orders.as_ref().map(|orders| orders.table(actions)).unwrap_or_default()
    }

    fn intake(&self) -> String {
        let folder = self.orders.as_ref().map(|o| format!("orders = {}\n", quoted(&o.folder.display().to_string())));
        let mut file = folder.unwrap_or_default();
        for project in &self.projects {
            let address = |path: &Path| quoted(&format!("file://{}", path.display()));
            let _ = writeln!(
                file,
                "[[project]]\nname = {}\nsource = {}\nevidence = [{}]\ncandidate = {}\n",
                quoted(&project.name),
                address(&project.source),
                address(&project.evidence),
                quoted(&project.candidate.to_string())
            );
        }
        for (vkey, url) in &self.witnesses.asked {
            let _ = writeln!(file, "[[witness]]\nvkey = {}\nurl = {}\n", quoted(vkey), quoted(url));
        }
        file + &self.hosts()
    }

    fn hosts(&self) -> String {
        self.registries.iter().map(|host| format!("[registry.{}]\nplain_http = true\n", quoted(host))).collect()
    }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn array<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_toml_and_says_what_was_set() {
        let key = artifact::key::Ed25519Key::generate().unwrap().public();
        let mut rules = Rules::strict("127.0.0.1:5/prod/a".parse().unwrap());
        rules.result_keys.push(key.clone());
        rules.allowed_signers = "ann@example.org namespaces=\"git\" ssh-ed25519 AAAA\n".to_owned();
        let project = Project {
            name: "a".to_owned(),
            source: "/srv/a.git".into(),
            evidence: "/srv/a.evidence".into(),
            candidate: "127.0.0.1:4/a".parse().unwrap(),
            rules,
        };
        let registries = vec!["127.0.0.1:4".to_owned(), "127.0.0.1:5".to_owned()];
        let settings = Settings { projects: vec![project], registries, uid_base: Some(5), ..Settings::default() };
        let files: std::collections::BTreeMap<_, _> = settings.files().unwrap().into_iter().collect();
        let parsed = |name: &str| files[name].parse::<toml::Table>().unwrap();
        let rules = &parsed("rules.toml")["project"][0];
        assert_eq!(rules["result_keys"][0].as_str().unwrap().parse::<PublicKey>().unwrap(), key);
        assert!(rules["allowed_signers"].as_str().unwrap().ends_with("AAAA\n"));
        assert_eq!(parsed("intake.toml")["project"][0]["source"].as_str(), Some("file:///srv/a.git"));
        assert_eq!(parsed("signer.toml")["registry"]["127.0.0.1:4"]["plain_http"].as_bool(), Some(true));
        assert_eq!(parsed("countersign.toml")["expose"]["intake"].as_array().unwrap().len(), 2);
        let trust = settings.trust("image = \"x\"\n", Path::new("/log")).parse::<toml::Table>().unwrap();
        assert_eq!(trust["log_source"].as_str(), Some("file:///log"));
        for name in files.keys() {
            parsed(name);
        }
    }
}

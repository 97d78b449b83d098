//! Rules: what must hold before an image is countersigned. TOML, written by the operator; unknown fields are errors.

use artifact::git::Commit;
use artifact::key::PublicKey;
use artifact::name::{BranchName, NameError, Pinned, ProjectName, Repository, Tag};
use artifact::settings::{self, SettingsError};
use artifact::statement::comparison::Level;
use artifact::{CommitId, Digest};
use serde::{Deserialize, Deserializer};

use crate::allowed_signers::AllowedSigners;
use crate::order::OrderRules;

/// The most bytes of a file of rules.
pub const LIMIT: usize = 1 << 20;

/// Why rules were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// More bytes than [`LIMIT`].
    #[error("the rules have {0} bytes, and the limit is {LIMIT}")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("the rules are not UTF-8")]
    NotUtf8,
    /// Not rules. The text names line and column.
    #[error("rules: {0}")]
    Toml(#[from] SettingsError),
    /// Rules for orders that can't be meant.
    #[error("rules: orders: {0}")]
    Orders(&'static str),
    /// Rules that can't be meant.
    #[error("rules: project {project}: {why}")]
    Content {
        /// Which project.
        project: String,
        /// What is wrong, and what to write.
        why: String,
    },
}

/// The rules of a perimeter, and the digest of the bytes they were read from.
#[derive(Debug, Clone)]
pub struct Rules {
    digest: Digest,
    projects: Vec<ProjectRules>,
    orders: Option<OrderRules>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    #[serde(default)]
    project: Vec<ProjectRules>,
    #[serde(default)]
    orders: Option<OrderRules>,
}

/// The rules of one project.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectRules {
    /// The project.
    pub name: ProjectName,
    /// The branch that is promoted.
    pub branch: BranchName,
    /// Where releases go.
    pub repository: Repository,
    /// Under which tags.
    pub tags: Vec<TagTemplate>,
    /// The jobs that must have passed in the newest test result, by name.
    pub required_jobs: Vec<String>,
    /// What must be proved by a signature that intake can't make.
    pub proofs: Vec<Proof>,
    /// The keys that may sign test results.
    #[serde(default)]
    pub result_keys: Vec<PublicKey>,
    /// Who may sign commits.
    #[serde(default, deserialize_with = "allowed_signers")]
    pub allowed_signers: AllowedSigners,
    /// The base images that recipes may use.
    pub bases: Vec<Pinned>,
    /// The least level of a comparison.
    pub least_level: Level,
    /// The runtimes that count, by name.
    pub runtimes: Vec<String>,
    /// How old the newest test result may be, in hours.
    #[serde(default = "a_day")]
    pub evidence_hours: u64,
    /// How long ago the branch may have been looked at, in minutes.
    #[serde(default = "a_quarter")]
    pub branch_minutes: u64,
    /// How long a permit holds, in minutes.
    #[serde(default = "a_permit")]
    pub permit_minutes: u64,
    /// How many comparers, each with a key of its own, must have found the same.
    #[serde(default = "one")]
    pub comparers: usize,
    /// Whether both runs of the recipe must leave the same tree.
    #[serde(default = "yes")]
    pub deterministic: bool,
    /// Whether a branch whose history was rewritten may be promoted.
    #[serde(default)]
    pub rewritten_history: bool,
}

fn a_day() -> u64 {
    24
}
fn a_quarter() -> u64 {
    15
}
fn a_permit() -> u64 {
    10
}
fn one() -> usize {
    1
}
fn yes() -> bool {
    true
}

fn allowed_signers<'de, D: Deserializer<'de>>(d: D) -> Result<AllowedSigners, D::Error> {
    AllowedSigners::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
}

/// What can be proved by a signature that intake can't make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The commit's own SSH signature, by an allowed signer.
    CommitSignature,
    /// A test result signed with a listed key.
    TestResult,
}

/// A tag as rules write it: a tag, or `{commit}` for the commit's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagTemplate {
    /// As it stands.
    Fixed(Tag),
    /// The commit's id.
    Commit,
}

impl TagTemplate {
    /// The tag for a commit.
    ///
    /// # Errors
    /// Never for an id that was parsed: all its digits may stand in a tag.
    pub fn tag(&self, commit: &CommitId) -> Result<Tag, NameError> {
        match self {
            Self::Fixed(tag) => Ok(tag.clone()),
            Self::Commit => commit.as_str().parse(),
        }
    }
}

impl<'de> Deserialize<'de> for TagTemplate {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.as_str() {
            "{commit}" => Ok(Self::Commit),
            _ => text.parse().map(Self::Fixed).map_err(serde::de::Error::custom),
        }
    }
}

impl Rules {
    /// Reads rules.
    ///
    /// # Errors
    /// Too large, not TOML, an unknown field, or rules that would let anything through.
    pub fn parse(bytes: &[u8]) -> Result<Self, RulesError> {
        if bytes.len() > LIMIT {
            return Err(RulesError::TooLarge(bytes.len()));
        }
        let file: File = settings::parse(std::str::from_utf8(bytes).map_err(|_| RulesError::NotUtf8)?)?;
        let fault = |project: &str, why: &str| RulesError::Content { project: project.to_owned(), why: why.to_owned() };
        if file.version != 1 {
            return Err(fault("(all)", "version must be 1"));
        }
        for (at, project) in file.project.iter().enumerate() {
            if file.project[..at].iter().any(|p| p.name == project.name) {
                return Err(fault(project.name.as_str(), "listed twice"));
            }
            project.check().map_err(|why| fault(project.name.as_str(), why))?;
        }
        file.orders.as_ref().map_or(Ok(()), OrderRules::check).map_err(RulesError::Orders)?;
        Ok(Self { digest: Digest::of(bytes), projects: file.project, orders: file.orders })
    }

    /// The digest of the bytes that were read.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Who may order what; `None`: nobody may order anything.
    pub fn orders(&self) -> Option<&OrderRules> {
        self.orders.as_ref()
    }

    /// The rules of one project.
    pub fn project(&self, name: &ProjectName) -> Option<&ProjectRules> {
        self.projects.iter().find(|p| p.name == *name)
    }

    /// Every project, in the order of the file.
    pub fn projects(&self) -> &[ProjectRules] {
        &self.projects
    }
}

impl ProjectRules {
    /// Rules that would let anything through can't be meant.
    fn check(&self) -> Result<(), &'static str> {
        let wrong = [
            (self.tags.is_empty(), "tags is empty: the release could not be found"),
            (self.required_jobs.is_empty(), "required_jobs is empty: name the jobs that make a commit green"),
            (self.proofs.is_empty(), "proofs is empty: ask for commit-signature, test-result or both"),
            (self.result_keys.is_empty(), "result_keys is empty: no test result could count"),
            (
                self.proofs.contains(&Proof::CommitSignature) && self.allowed_signers.is_empty(),
                "proofs asks for commit-signature and allowed_signers is empty",
            ),
            (self.bases.is_empty(), "bases is empty: every recipe needs one"),
            (self.least_level == Level::Diverged, "least_level can't be diverged"),
            (self.runtimes.is_empty(), "runtimes is empty: name the OCI runtimes that count"),
            (self.comparers == 0, "comparers can't be 0"),
            (!(1..=24 * 366).contains(&self.evidence_hours), "evidence_hours must be 1 to 8784"),
            (!(1..=24 * 60).contains(&self.branch_minutes), "branch_minutes must be 1 to 1440"),
            (!(1..=60).contains(&self.permit_minutes), "permit_minutes must be 1 to 60"),
        ];
        match wrong.iter().find(|(wrong, _)| *wrong) {
            Some((_, why)) => Err(why),
            None => Ok(()),
        }
    }

    /// The commit's signature by these rules' allowed signers; the reason when it does not count.
    ///
    /// # Errors
    /// As [`crate::source::verify_commit`].
    pub fn verify_commit(
        &self,
        commit: &Commit,
    ) -> Result<artifact::statement::facts::CommitSignature, crate::source::SourceError> {
        crate::source::verify_commit(commit, &self.allowed_signers)
    }
}

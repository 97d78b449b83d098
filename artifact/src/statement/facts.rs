//! Facts: what intake saw outside, signed with intake's key.

use serde::{Deserialize, Serialize};

use super::Predicate;
use crate::digest::{CommitId, Digest};
use crate::key::KeyId;
use crate::lane::LaneName;
use crate::moment::Moment;
use crate::name::{BranchName, Pinned, ProjectName};

/// What intake saw. Subject: the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Facts {
    /// The lane they were seen in.
    pub lane: LaneName,
    /// Whether this perimeter is one for trying: started by an ordinary user.
    pub trial: bool,
    /// The project.
    pub project: ProjectName,
    /// The repository's address, as the operator wrote it.
    pub source: String,
    /// The commit.
    pub commit: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// The branch it was looked for on.
    pub branch: BranchName,
    /// Where it is on that branch, by git. A CI's word for it is never asked.
    pub position: Position,
    /// The branch's head when intake looked.
    pub head: CommitId,
    /// When intake looked.
    pub branch_checked: Moment,
    /// Whether the branch's head was ever, in intake's memory, replaced by a commit that does not descend from it.
    pub rewritten: bool,
    /// The commit's own signature, as intake verified it.
    pub commit_signature: Option<CommitSignature>,
    /// The test results that were there, each verified against the listed keys.
    pub results: Vec<TestResult>,
    /// Evidence that was there and that intake could not use: why, each.
    pub unusable: Vec<String>,
    /// The image that CI left. `None`: there is none.
    pub candidate: Option<Pinned>,
    /// The dossier for the rebuild.
    pub dossier: Digest,
    /// The recipe's digest: the bytes of `.countersign.toml` at this commit.
    pub recipe: Digest,
    /// The bases that the recipe asks for, each fetched and checked.
    pub bases: Vec<Pinned>,
    /// When these facts were stated.
    pub stated: Moment,
    /// 16 random bytes in hexadecimal, asked for by the coordinator: facts hold for one job.
    pub nonce: String,
}

impl Predicate for Facts {
    const TYPE: &'static str = "urn:countersign:facts:v1";
}

/// Where a commit is on a branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Position {
    /// It is the branch's head.
    Head,
    /// It is an ancestor of the head by first parents only.
    FirstParentAncestor,
    /// It is not on the branch in either way.
    Elsewhere,
}

/// A commit's own signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitSignature {
    /// `ssh`: an SSHSIG against the rules' allowed signers.
    pub scheme: String,
    /// The principal that the allowed signers name for the key.
    pub principal: String,
}

/// One test result, as intake read it from a verified envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TestResult {
    /// The digest of the envelope's bytes as received, which are in the dossier.
    pub envelope: Digest,
    /// Which listed key signed it.
    pub key: KeyId,
    /// The word it gives: `PASSED`, `WARNED`, `FAILED`, or whatever stands there.
    pub result: String,
    /// The tests that passed.
    pub passed: Vec<String>,
    /// The tests that passed with warnings.
    pub warned: Vec<String>,
    /// The tests that failed.
    pub failed: Vec<String>,
    /// The run it speaks of.
    pub run: String,
    /// Which attempt of that run; the newest counts.
    pub attempt: u64,
    /// When the run ended, by CI's clock.
    pub finished: Moment,
}

//! Comparisons: our rebuild against CI's candidate, and against itself. Signed by a comparer.

use serde::{Deserialize, Serialize};

use super::Predicate;
use super::sandbox::{Runs, Sandbox};
use crate::digest::{CommitId, Digest};
use crate::lane::LaneName;
use crate::moment::Moment;
use crate::name::ProjectName;

/// The most differences that are listed; the count says how many there are.
pub const LISTED: usize = 200;

/// What a comparer found. Subject: the rebuild's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Comparison {
    /// The lane.
    pub lane: LaneName,
    /// Whether this perimeter is one for trying.
    pub trial: bool,
    /// The project.
    pub project: ProjectName,
    /// The commit.
    pub commit: CommitId,
    /// The dossier that was built from.
    pub dossier: Digest,
    /// The nonce of the facts of this job.
    pub nonce: String,
    /// The manifest of the image we packed.
    pub rebuild: Digest,
    /// The manifest of the image CI left.
    pub candidate: Digest,
    /// How equal they are.
    pub level: Level,
    /// How the candidate differs from the rebuild: at most [`LISTED`], the security-relevant first.
    pub differences: Vec<Difference>,
    /// How many there are.
    pub differences_total: u64,
    /// The two runs.
    pub runs: Runs,
    /// How the second run differs from the first: at most [`LISTED`].
    pub run_differences: Vec<Difference>,
    /// How many there are.
    pub run_differences_total: u64,
    /// What the recipe ran in.
    pub sandbox: Sandbox,
    /// The builder host, by the operator's name for it.
    pub builder: String,
    /// When the comparison was made.
    pub finished: Moment,
}

impl Predicate for Comparison {
    const TYPE: &'static str = "urn:countersign:comparison:v1";
}

/// How equal two images are. Greater is more equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// They differ in what matters.
    Diverged,
    /// The flattened trees and the runtime configuration are equal; time stamps and compression may differ.
    SameFilesystem,
    /// The layers before compression, and the configuration, are equal.
    SameLayers,
    /// The manifests are the same bytes.
    BitForBit,
}

impl std::fmt::Display for Level {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Diverged => "diverged",
            Self::SameFilesystem => "same-filesystem",
            Self::SameLayers => "same-layers",
            Self::BitForBit => "bit-for-bit",
        })
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Difference {
    /// The path, without a leading slash; or `config.NAME` for the runtime configuration. Control characters and
    /// bytes that are no UTF-8 are escaped (`\x1b`).
    pub path: String,
    /// What differs: `only-in-rebuild`, `only-in-candidate`, `type`, `content`, `mode`, `setuid`, `owner`,
    /// `capability`, `xattr`, `link-target`, `hard-link`, `device`, `config`.
    pub kind: String,
    /// On our side.
    pub rebuild: String,
    /// On the other side.
    pub candidate: String,
}

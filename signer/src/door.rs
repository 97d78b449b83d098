//! The signer's door: a dialogue. The coordinator asks for a release; the signer has things recorded, one step at a time,
//! and answers when the image is published.

use artifact::Digest;
use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::key::PublicKey;
use artifact::name::{ProjectName, Repository, Tag};
use audit::door::{Appended, Submission};
use audit::entry::Reason;
use audit::merkle::TreeHash;
use audit::recorded::Proven;
use serde::{Deserialize, Serialize};

/// What the coordinator says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// What is the image key of today? Asked when it is not in the room's first frame, because somebody else keeps it.
    Current,
    /// What was the last checkpoint you saw?
    State,
    /// Release this.
    Release(Box<ReleaseAsk>),
    /// What you wanted recorded is recorded.
    Recorded(Appended),
    /// Sign a release again with the key of today.
    Resign(Box<ResignAsk>),
    /// Take up another version of the image key.
    Rotate(Box<RotateAsk>),
    /// Which key is this version of the image key?
    Key {
        /// From 1.
        version: u64,
    },
}

/// A release that is to be signed again, and everything that shows what it was signed with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResignAsk {
    /// The order's entry.
    pub order: Proven,
    /// The permit's entry.
    pub permit: Proven,
    /// The release's attempt and signatures.
    pub signed: Vec<Proven>,
    /// The release's entry.
    pub release: Proven,
    /// What is recorded of signing it again already, in the log's order: an attempt, signatures, leaves, bundles.
    pub made: Vec<Proven>,
    /// The proof from the last checkpoint this signer saw to the one that the receipts are under.
    pub consistency: Vec<TreeHash>,
}

/// An order of people to rotate the image key, and the proof that it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateAsk {
    /// The order's entry.
    pub order: Proven,
    /// The proof from the last checkpoint this signer saw to the one that the receipt is under.
    pub consistency: Vec<TreeHash>,
}

/// Everything a release is judged by, and the proofs that it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseAsk {
    /// The project.
    pub project: ProjectName,
    /// The permit's entry.
    pub permit: Proven,
    /// What is recorded under this permit already, in the log's order: an attempt, signatures, leaves, bundles.
    pub recorded: Vec<Proven>,
    /// The proof from the last checkpoint this signer saw to the one that the receipts are under.
    pub consistency: Vec<TreeHash>,
    /// Intake's signed facts.
    pub facts: Base64,
    /// The commit object, without its header.
    pub commit_object: Base64,
    /// The test results as received.
    pub results: Vec<Base64>,
    /// The signed comparisons.
    pub comparisons: Vec<Base64>,
    /// The signed provenances, one a comparer.
    pub provenances: Vec<Base64>,
}

/// What the signer says after its Hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// The size of the last checkpoint it saw; 0 at first.
    State {
        /// How many entries the log had.
        seen: u64,
    },
    /// What it is doing: for a person, not for a program.
    Progress {
        /// One line.
        text: String,
    },
    /// Record these before I go on.
    Record {
        /// The entries, in this order.
        submissions: Vec<Submission>,
        /// The size that the proof is to begin at.
        since: u64,
    },
    /// Published, read back and recorded.
    Released {
        /// The manifest.
        digest: Digest,
        /// Where.
        repository: Repository,
        /// Under which tags.
        tags: Vec<Tag>,
    },
    /// Taken up, and recorded.
    Rotated {
        /// The index of the rotation's entry.
        index: u64,
    },
    /// Signed again, attached and recorded.
    Resigned {
        /// The image's manifest.
        digest: Digest,
    },
    /// The key that was asked for.
    Key {
        /// It.
        key: PublicKey,
    },
    /// Judged again, and refused.
    Refused {
        /// Every reason.
        reasons: Vec<Reason>,
    },
    /// It could not be done.
    Failed(Failure),
}

//! The doors of both rooms: what the builder and the comparer are asked, and what they answer.

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::oci::Descriptor;
use artifact::statement::comparison::Level;
use artifact::statement::sandbox::Sandbox;
use artifact::{Digest, Moment};
use serde::{Deserialize, Serialize};

/// What the builder is asked: run this dossier's recipe, twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildAsk {
    /// The dossier in intake's store.
    pub dossier: Digest,
    /// The nonce of the job's facts: names the work folder of this run.
    pub nonce: String,
}

/// What the builder left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Built {
    /// The trees of the two runs: uncompressed tars in the builder's store, not yet canonical.
    pub trees: [Descriptor; 2],
    /// What the recipe ran in.
    pub sandbox: Sandbox,
    /// What differed between the two environments.
    pub varied: Vec<String>,
    /// What this host could not vary.
    pub not_varied: Vec<String>,
    /// When the first run started.
    pub started: Moment,
    /// When the second run ended.
    pub finished: Moment,
}

/// What the comparer is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ComparerAsk {
    /// Pack what was built, compare it, attest.
    Compare(Box<CompareAsk>),
    /// Count what no kept rebuild leads to in the comparer's store, and remove it when that is asked.
    Collect {
        /// The rebuilds to keep.
        keep: Vec<Digest>,
        /// Remove the rest.
        remove: bool,
    },
}

/// What to pack and compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareAsk {
    /// The dossier in intake's store.
    pub dossier: Digest,
    /// The candidate's manifest in intake's store of candidates. `None` when there is nothing to compare with, as
    /// for `countersign build`: then no comparison is attested.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Digest>,
    /// The nonce of the job's facts.
    pub nonce: String,
    /// What the builder answered.
    pub built: Built,
}

/// What the comparer made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// The signed comparison, when there was a candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Base64>,
    /// The signed provenance.
    pub provenance: Base64,
    /// The manifest of the image that was packed, in the comparer's store.
    pub rebuild: Digest,
    /// The level that was reached, when there was a candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// Whether the two runs left the same tree.
    pub runs_equal: bool,
}

/// A frame from either room after its Hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer<T> {
    /// What it is doing: for a person, not for a program.
    Progress {
        /// One line.
        text: String,
    },
    /// It is done.
    Done(T),
    /// It could not be done.
    Failed(Failure),
}

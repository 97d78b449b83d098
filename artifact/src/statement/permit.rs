//! A permit's terms, as they are written down. The permit itself, which only a decision can make, is `policy`'s.

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest};
use crate::lane::LaneName;
use crate::moment::Moment;
use crate::name::{ProjectName, Repository, Tag};
use crate::statement::comparison::Level;

/// What a permit permits: one image, in one place, until a moment some minutes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terms {
    /// The lane.
    pub lane: LaneName,
    /// Whether this perimeter is one for trying.
    pub trial: bool,
    /// The project.
    pub project: ProjectName,
    /// The commit.
    pub commit: CommitId,
    /// The manifest to publish: our rebuild, never CI's image.
    pub digest: Digest,
    /// Where to.
    pub repository: Repository,
    /// Under which tags.
    pub tags: Vec<Tag>,
    /// What the tags named before, as the log has it.
    pub previous: Option<Digest>,
    /// The level the comparison reached.
    pub level: Level,
    /// The digest of the rules that were applied.
    pub rules: Digest,
    /// The digest of the facts' envelope.
    pub facts: Digest,
    /// The digests of the comparisons' envelopes.
    pub comparisons: Vec<Digest>,
    /// When the branch was last looked at.
    pub branch_checked: Moment,
    /// When it was decided.
    pub decided: Moment,
    /// Until when it may be used.
    pub expires: Moment,
}

//! The keeper's door: what it is asked, and what it answers.
//!
//! The keeper says Hello when it holds the log's lock and has verified the log. A Hello without a key is followed by
//! [`Answer::Failed`], which says why there is no log to serve.

use artifact::digest::Base64;
use artifact::failure::Failure;
use serde::{Deserialize, Serialize};

use crate::cosignature::WitnessKey;
use crate::entry::Body;
use crate::log_policy::Cosigned;
use crate::merkle::TreeHash;

/// The most entries in one [`Ask::Append`]: a promotion's step writes fewer than ten.
pub const SUBMISSIONS: usize = 64;

/// The most proofs in one [`Ask::Prove`].
pub const INDEXES: usize = 256;

/// What the keeper is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Append these, in this order, all or none. What is answered is durable.
    Append {
        /// 1 to [`SUBMISSIONS`].
        submissions: Vec<Submission>,
        /// A size that whoever relies on the answer has seen: the answer proves consistency from there. 0: from nothing.
        since: u64,
    },
    /// Prove, under the current checkpoint, what is there already.
    Prove {
        /// 0 to [`INDEXES`].
        indexes: Vec<u64>,
        /// As in [`Ask::Append`].
        since: u64,
    },
    /// What to ask the witnesses that have not cosigned the current checkpoint.
    Unwitnessed {
        /// Sizes that witnesses named themselves; then those alone are meant. None: all of them, from what is known here.
        known: Vec<Known>,
    },
    /// Keep these cosignatures of the current checkpoint, once each is verified.
    Cosign {
        /// What the witnesses answered.
        answers: Vec<Signed>,
    },
    /// Delete the bodies that an entry says were forgotten, with their salts. Done again, it does nothing.
    Forget {
        /// The index of the entry `forgotten`.
        forgotten: u64,
    },
}

/// How much of the log a witness says that it has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    /// Which.
    pub witness: WitnessKey,
    /// So many entries.
    pub size: u64,
}

/// What a witness answered when it cosigned, as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Which.
    pub witness: WitnessKey,
    /// Lines of a note; at most [`LINES`] bytes.
    pub lines: String,
}

/// The most bytes of a witness's answer: its cosignature, and some of its other keys.
pub const LINES: usize = 16 << 10;

/// An entry to append.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "one lives at a time, between a frame and its answer")]
pub enum Submission {
    /// One of ours: the keeper salts it, and keeps body and salt beside the log.
    Body(Body),
    /// A leaf shaped as Rekor's, verbatim.
    Raw(Base64),
}

/// What the keeper answers after its Hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To [`Ask::Append`].
    Appended(Appended),
    /// To [`Ask::Prove`].
    Proved(Proved),
    /// To [`Ask::Unwitnessed`].
    Unwitnessed(Unwitnessed),
    /// To [`Ask::Cosign`].
    Cosigned(Kept),
    /// To [`Ask::Forget`]: none of the bodies is there any more.
    Forgotten,
    /// It could not be done. When a write failed, or the log is not what was recorded, the keeper ends.
    Failed(Failure),
}

/// Entries that are durable, with the proof of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    /// The index of the first; the others follow.
    pub first: u64,
    /// A receipt for each, all under one checkpoint.
    pub receipts: Vec<String>,
    /// The proof that this checkpoint's tree begins with the one of size `since`.
    pub consistency: Vec<TreeHash>,
    /// The salt of each that is ours.
    pub salts: Vec<Option<Base64>>,
}

/// Proofs of what is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proved {
    /// The size of the log.
    pub size: u64,
    /// A receipt for each index, all under the current checkpoint.
    pub receipts: Vec<String>,
    /// The proof that this checkpoint's tree begins with the one of size `since`.
    pub consistency: Vec<TreeHash>,
}

/// Whom to ask. What is sent to them is made by the asker, from the log itself: nothing of a keeper's goes outside unseen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unwitnessed {
    /// The checkpoint, as the log alone signed it.
    pub checkpoint: String,
    /// The witnesses that have not cosigned it, each with the size from which it is to be led on.
    pub lacking: Vec<Known>,
    /// Witnesses that say they have seen more than there is, with what to make of that.
    pub ahead: Vec<String>,
    /// Why the policy's quorum is not met; `None` when it is, or when there is no policy.
    pub unmet: Option<String>,
}

/// Which cosignatures were kept. They are durable, and published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Those of these answers.
    pub cosigned: Vec<Cosigned>,
    /// What was not kept, and why; a line each.
    pub refused: Vec<String>,
    /// As in [`Unwitnessed`].
    pub unmet: Option<String>,
}

//! Verifying a whole log, and saying what that does not say.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::Moment;

use crate::checkpoint::SignedCheckpoint;
use crate::entry::Body;
use crate::log_policy::{Cosigned, LogPolicy, PolicyError};
use crate::merkle::TreeHash;
use crate::note::Vkey;
use crate::pack;
use crate::reader::{self, Content, Log, LogError};
use crate::sweep::{self, Swept};
use crate::tile;

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The log's name.
    pub origin: String,
    /// How many entries there are; each was hashed, and its body with it.
    pub size: u64,
    /// The root over them, which the checkpoint gives.
    pub root: TreeHash,
    /// How many there are of each kind; leaves shaped as Rekor's are `rekor`.
    pub kinds: BTreeMap<&'static str, u64>,
    /// How many bodies were deleted, each by an entry that says so.
    pub forgotten: u64,
    /// The size of the older checkpoint that the log was shown to begin with.
    pub since: Option<u64>,
    /// What was not checked, a line each.
    pub not_checked: Vec<String>,
    /// The checkpoint that all of this is under.
    pub checkpoint: SignedCheckpoint,
}

impl Verified {
    /// Says who cosigned the checkpoint, once that is enough for a policy; then it is no more among what was not checked.
    ///
    /// # Errors
    /// It is not enough, or a cosignature is wrong.
    pub fn witnessed(&mut self, policy: &LogPolicy, now: Moment) -> Result<Vec<Cosigned>, PolicyError> {
        let cosigned = policy.judge(&self.checkpoint, now)?;
        match policy.quorum() {
            Some(_) => self.not_checked.retain(|line| line != UNWITNESSED),
            None => self.not_checked.push("the policy asks for no witness (quorum none)".into()),
        }
        Ok(cosigned)
    }

    /// How many bodies were hashed.
    pub fn bodies(&self) -> u64 {
        let ours = self.kinds.iter().filter(|(kind, _)| **kind != REKOR).map(|(_, count)| count).sum::<u64>();
        ours - self.forgotten
    }
}

/// What no check of one copy tells.
const UNWITNESSED: &str = "whether others were shown another log: no witness cosigned it";

/// What leaves shaped as Rekor's count as.
const REKOR: &str = "rekor";

/// Reads and hashes all of a log: signature, tiles, entries, bodies; older partial tiles as well. `since` is a checkpoint
/// that somebody kept.
///
/// # Errors
/// The first thing that is not as recorded; or the log does not begin with what `since` says.
pub fn whole(folder: &Path, log: &Vkey, since: Option<&SignedCheckpoint>) -> Result<Verified, LogError> {
    reader::settled(folder, log, |checkpoint| at(folder, checkpoint, since))
}

fn at(folder: &Path, checkpoint: SignedCheckpoint, since: Option<&SignedCheckpoint>) -> Result<Verified, LogError> {
    let swept = sweep::sweep(folder, checkpoint.size())?;
    let packed = checkpoint.size() - checkpoint.size() % tile::WIDTH as u64;
    let (log, counted) = Log::fold_at(folder, checkpoint, Counted::default(), |counted, entry| {
        let kind = match &entry.content {
            Content::Ours { body, bytes, .. } => {
                counted.apart += u64::from(entry.index >= packed || !pack::holds(bytes.len()));
                body.name()
            }
            Content::Rekor(_) => REKOR,
            Content::Forgotten(commitment) => {
                counted.forgotten += 1;
                Body::name_of(commitment.kind()).unwrap_or_default()
            }
        };
        *counted.kinds.entry(kind).or_insert(0) += 1;
    })?;
    if let Some(since) = since {
        log.prover().begins_with(since)?;
    }
    let checkpoint = log.checkpoint();
    let mut verified = Verified {
        origin: checkpoint.origin().to_owned(),
        size: checkpoint.size(),
        root: *checkpoint.root(),
        kinds: counted.kinds,
        forgotten: counted.forgotten,
        since: since.map(SignedCheckpoint::size),
        not_checked: Vec::new(),
        checkpoint: checkpoint.clone(),
    };
    verified.not_checked = not_checked(&verified, &swept, counted.apart);
    Ok(verified)
}

/// What a log holds.
#[derive(Default)]
struct Counted {
    kinds: BTreeMap<&'static str, u64>,
    /// Bodies in files of their own.
    apart: u64,
    forgotten: u64,
}

fn not_checked(verified: &Verified, swept: &Swept, apart: u64) -> Vec<String> {
    let mut list = vec!["whether there is a newer checkpoint than the one that lies here".to_owned()];
    // Every log begins with nothing: a checkpoint of no entries tells nothing.
    if verified.since.unwrap_or(0) == 0 {
        list.push(
            "whether it was rewritten since you last saw it: keep this checkpoint, and give it next time (--since)"
                .into(),
        );
    }
    list.push(UNWITNESSED.into());
    list.push("the signatures in the bodies (facts, comparisons, provenance, bundles)".into());
    if verified.size == 0 {
        list.push("any entry: the log has none".into());
    }
    list.extend(swept.strays.iter().map(|name| format!("{name}: no part of the log at this size")));
    if swept.more > 0 {
        list.push(format!("{} more files that are no part of the log at this size", swept.more));
    }
    if verified.forgotten > 0 {
        let count = verified.forgotten;
        list.push(format!("what {count} entries said: their bodies were forgotten, by orders that the log holds"));
        list.push("whether the keys that signed those orders were those of people who might".into());
    }
    // A keeper may have appended since the folder was listed.
    match swept.bodies.saturating_sub(apart) {
        0 => {}
        extra => list.push(format!("{extra} files in body/ that no entry names")),
    }
    list
}

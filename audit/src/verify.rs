//! Verifying a whole log, and saying what that does not say.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::SignedCheckpoint;
use crate::merkle::TreeHash;
use crate::note::Vkey;
use crate::reader::{Content, Log, LogError};

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// How many entries there are; each was hashed, and its body with it.
    pub size: u64,
    /// The root over them, which the checkpoint gives.
    pub root: TreeHash,
    /// How many there are of each kind; leaves shaped as Rekor's are `rekor`.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The size of the older checkpoint that the log was shown to begin with.
    pub since: Option<u64>,
    /// What was not checked, a line each.
    pub not_checked: Vec<&'static str>,
}

/// Reads and hashes all of a log: signature, tiles, entries, bodies. `since` is a checkpoint that somebody kept.
///
/// # Errors
/// The first thing that is not as recorded; or the log does not begin with what `since` says.
pub fn whole(folder: &Path, log: &Vkey, since: Option<&SignedCheckpoint>) -> Result<Verified, LogError> {
    let (log, kinds) = Log::fold(folder, log, BTreeMap::new(), |kinds, entry| {
        let kind = match entry.content {
            Content::Ours { body, .. } => body.name(),
            Content::Rekor(_) => "rekor",
        };
        *kinds.entry(kind).or_insert(0) += 1;
    })?;
    if let Some(since) = since {
        log.prover().begins_with(since)?;
    }
    let mut not_checked = vec![
        "whether there is a newer checkpoint than the one that lies here",
        "whether others were shown another log: no witness cosigned it",
        "the signatures in the bodies (facts, comparisons, provenance, bundles)",
    ];
    if since.is_none() {
        not_checked
            .insert(1, "whether it was rewritten since you last saw it: keep this checkpoint, and give it next time");
    }
    let (size, root) = (log.checkpoint().size(), *log.checkpoint().root());
    Ok(Verified { size, root, kinds, since: since.map(SignedCheckpoint::size), not_checked })
}

//! Reading a log: everything is verified, or nothing is read.

use std::io;
use std::path::{Path, PathBuf};

use artifact::failure::{Failure, Retry};

use crate::ahead;
use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::clock::{Clock, WentBack};
use crate::edge::{self, Edge};
use crate::entry::Body;
use crate::leaf::{Commitment, LeafError, RekorLeaf, Salt};
use crate::merkle::ProofError;
use crate::note::Vkey;
use crate::prover::Prover;
use crate::recorded::Proven;
use crate::tile;
use crate::tiles::{self, Tiles};

mod bundle;
mod forgetting;

use bundle::Bundle;
use forgetting::Forgetting;

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file can't be read.
    #[error("{path}: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The checkpoint is not one of this log.
    #[error("{path}: {cause}")]
    Checkpoint {
        /// Where it lies.
        path: PathBuf,
        /// What is wrong with it.
        cause: CheckpointError,
    },
    /// A file is not what the checkpoint says it is.
    #[error("{path}: {what}")]
    Broken {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// An entry is not what was recorded.
    #[error("entry {index}: {cause}")]
    Entry {
        /// Which.
        index: u64,
        /// What is wrong with it.
        cause: LeafError,
    },
    /// An entry is older than one before it.
    #[error("entry {index}: {cause}")]
    Clock {
        /// Which.
        index: u64,
        /// What both say.
        cause: WentBack,
    },
    /// The tiles changed after they were read.
    #[error("no proof for {asked} among {size} entries can be made from the tiles ({cause}): they were changed")]
    Unproved {
        /// How many entries there are.
        size: u64,
        /// What was asked for.
        asked: u64,
        /// What is wrong with the proof.
        cause: ProofError,
    },
    /// The log does not begin with what an older checkpoint says.
    #[error(
        "the log does not begin with the {older} entries of the older checkpoint: it was rewritten, or there are two"
    )]
    Forked {
        /// The older checkpoint's size.
        older: u64,
    },
    /// The log has fewer entries than an older checkpoint of it.
    #[error("the log has {size} entries, and the older checkpoint has {older}: it was rolled back")]
    RolledBack {
        /// The older checkpoint's size.
        older: u64,
        /// How many there are.
        size: u64,
    },
    /// An entry or a size that the log does not have.
    #[error("the log has {size} entries, and {asked} was asked for")]
    Range {
        /// How many there are.
        size: u64,
        /// What was asked for.
        asked: u64,
    },
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match Self::of_store("log-broken", &error) {
            unread if unread.retry == Retry::Later => Self::later("log-unread", unread.message),
            broken => Self { message: format!("the log is not what was recorded: {error}"), ..broken },
        }
    }
}

/// An entry of a log that was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number, from 0.
    pub index: u64,
    /// What it is.
    pub content: Content,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most are bodies")]
pub enum Content {
    /// One of ours.
    Ours {
        /// What it says.
        body: Body,
        /// The very bytes.
        bytes: Vec<u8>,
        /// The salt they were committed to with.
        salt: Salt,
    },
    /// A leaf shaped as Rekor's.
    Rekor(RekorLeaf),
    /// One of ours whose body and salt were deleted, as another entry says.
    Forgotten(Commitment),
}

impl Entry {
    /// What it says, if it is one of ours.
    pub fn body(&self) -> Option<&Body> {
        match &self.content {
            Content::Ours { body, .. } => Some(body),
            Content::Rekor(_) | Content::Forgotten(_) => None,
        }
    }

    /// The entry with a receipt that the keeper gave, for who relies on it. `None`: what it said was forgotten.
    pub fn proven(&self, receipt: String) -> Option<Proven> {
        use artifact::digest::Base64;
        match &self.content {
            Content::Ours { bytes, salt, .. } => {
                Some(Proven { content: Base64(bytes.clone()), salt: Some(Base64(salt.raw().to_vec())), receipt })
            }
            Content::Rekor(leaf) => Some(Proven { content: Base64(leaf.as_bytes().to_vec()), salt: None, receipt }),
            Content::Forgotten(_) => None,
        }
    }

    /// The bytes of its leaf.
    pub fn leaf(&self) -> Vec<u8> {
        match &self.content {
            Content::Ours { body, bytes, salt } => Commitment::to(body.kind(), salt, bytes).to_bytes(),
            Content::Rekor(leaf) => leaf.as_bytes().to_vec(),
            Content::Forgotten(commitment) => commitment.to_bytes(),
        }
    }
}

/// A log at one checkpoint, all of it verified. A keeper may append meanwhile.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    checkpoint: SignedCheckpoint,
    edge: Edge,
    clock: Clock,
}

impl Log {
    /// Reads and verifies all of it, and hands each entry to `step`, in order. The fold's result is given only when
    /// everything held: what `step` saw before that is no reason to act. Memory stays flat however long the log is.
    ///
    /// # Errors
    /// The first thing that is not as recorded.
    pub fn fold<T>(
        folder: &Path,
        log: &Vkey,
        state: T,
        step: impl FnMut(&mut T, Entry),
    ) -> Result<(Self, T), LogError> {
        Self::fold_at(folder, latest(folder, log)?, state, step)
    }

    /// As [`Log::fold`], at a checkpoint that need not be the folder's.
    ///
    /// # Errors
    /// As [`Log::fold`].
    pub fn fold_at<T>(
        folder: &Path,
        checkpoint: SignedCheckpoint,
        mut state: T,
        mut step: impl FnMut(&mut T, Entry),
    ) -> Result<(Self, T), LogError> {
        let (mut edge, tiles) = (Edge::default(), Tiles::new(folder, checkpoint.size()));
        let bundles = checkpoint.size().div_ceil(tile::WIDTH as u64);
        let (mut forgetting, mut clock) = (Forgetting::default(), Clock::default());
        ahead::in_order(
            bundles,
            |n| Bundle::read(&tiles, n),
            |bundle: Result<Bundle, LogError>| {
                for (hash, found) in bundle?.entries {
                    let index = edge.size();
                    for completed in edge.push(hash).iter().filter(above_leaves) {
                        compare(&tiles, completed)?;
                    }
                    let content = found.content(&tiles, index)?;
                    forgetting.see(index, &content);
                    if let Content::Ours { body, .. } = &content {
                        clock.take(body).map_err(|cause| LogError::Clock { index, cause })?;
                    }
                    step(&mut state, Entry { index, content });
                }
                Ok(())
            },
        )?;
        forgetting.check(&tiles)?;
        for partial in edge.partials().filter(|tile| above_leaves(&tile)) {
            compare(&tiles, &partial)?;
        }
        if edge.size() != checkpoint.size() || edge.root() != *checkpoint.root() {
            let what = "its root is not the one over the entries that lie here: entries were changed, or it was";
            return Err(tiles::broken(&folder.join(tile::CHECKPOINT), what));
        }
        Ok((Self { folder: folder.to_owned(), checkpoint, edge, clock }, state))
    }

    /// As [`Log::fold`]; begun anew when the log grew while it was read and something was missing.
    ///
    /// # Errors
    /// As [`Log::fold`].
    pub fn read<T>(
        folder: &Path,
        log: &Vkey,
        begin: impl Fn() -> T,
        mut step: impl FnMut(&mut T, Entry),
    ) -> Result<(Self, T), LogError> {
        settled(folder, log, |checkpoint| Self::fold_at(folder, checkpoint, begin(), &mut step))
    }

    /// Reads and verifies all of it into memory.
    ///
    /// # Errors
    /// As [`Log::fold`].
    pub fn open(folder: &Path, log: &Vkey) -> Result<(Self, Vec<Entry>), LogError> {
        Self::read(folder, log, Vec::new, |entries, entry| entries.push(entry))
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The checkpoint it was read at.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// The right edge of its tree.
    pub fn edge(&self) -> &Edge {
        &self.edge
    }

    /// The newest time that its entries give.
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// Proofs from its tiles.
    pub fn prover(&self) -> Prover {
        Prover::new(&self.folder, self.checkpoint.clone())
    }
}

/// One entry of a log that was verified at this size.
///
/// # Errors
/// Not there, or not what was recorded.
pub fn entry(folder: &Path, size: u64, index: u64) -> Result<Content, LogError> {
    if index >= size {
        return Err(LogError::Range { size, asked: index });
    }
    let tiles = Tiles::new(folder, size);
    let (n, at) = (index / tile::WIDTH as u64, (index % tile::WIDTH as u64) as usize);
    let (_, found) = Bundle::read(&tiles, n)?.entries.swap_remove(at);
    found.content(&tiles, index)
}

/// The folder's own checkpoint, which its log has signed.
pub(crate) fn latest(folder: &Path, log: &Vkey) -> Result<SignedCheckpoint, LogError> {
    let path = folder.join(tile::CHECKPOINT);
    let note = tiles::read_note(&path)?.ok_or_else(|| tiles::broken(&path, "missing"))?;
    SignedCheckpoint::open(&note, log).map_err(|cause| LogError::Checkpoint { path, cause })
}

/// Reads at the folder's checkpoint; again, when that fails and there is a newer one: a body that was forgotten meanwhile is
/// accounted for only by that.
pub(crate) fn settled<T>(
    folder: &Path,
    log: &Vkey,
    mut read: impl FnMut(SignedCheckpoint) -> Result<T, LogError>,
) -> Result<T, LogError> {
    /// A log that grows faster than it is read is read at its newest size in the end, or not at all.
    const TRIES: usize = 3;
    let mut checkpoint = latest(folder, log)?;
    for _ in 1..TRIES {
        let error = match read(checkpoint.clone()) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let newer = latest(folder, log)?;
        if newer.size() <= checkpoint.size() {
            return Err(error);
        }
        checkpoint = newer;
    }
    read(checkpoint)
}

/// Level 0 is compared with the bundles already.
fn above_leaves((level, ..): &&edge::Tile) -> bool {
    *level > 0
}

/// Compares a tile with what the entries say it is.
fn compare(tiles: &Tiles, (level, n, expected): &edge::Tile) -> Result<(), LogError> {
    let (path, hashes) = tiles.hashes(*level, *n)?;
    if hashes == *expected {
        Ok(())
    } else {
        Err(tiles::broken(&path, "not the hashes of the entries: it was changed"))
    }
}

#[cfg(test)]
mod tests;

//! Reading a log: everything is verified, or nothing is read.

use std::io;
use std::path::{Path, PathBuf};

use artifact::failure::Failure;

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::entry::Body;
use crate::leaf::{LeafError, RekorLeaf, Salt};
use crate::merkle::TreeHash;
use crate::note::Vkey;
use crate::receipt::Receipt;
use crate::recorded::Proven;

/// Why a log was not read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file can't be read.
    #[error("{path}: {cause}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
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
        Self::halt("log-broken", format!("the log is not what was recorded: {error}"))
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
}

impl Entry {
    /// What it says, if it is one of ours.
    pub fn body(&self) -> Option<&Body> {
        match &self.content {
            Content::Ours { body, .. } => Some(body),
            Content::Rekor(_) => None,
        }
    }

    /// The entry with a receipt that the keeper gave, for who relies on it.
    pub fn proven(&self, receipt: String) -> Proven {
        use artifact::digest::Base64;
        match &self.content {
            Content::Ours { bytes, salt, .. } => {
                Proven { content: Base64(bytes.clone()), salt: Some(Base64(salt.raw().to_vec())), receipt }
            }
            Content::Rekor(leaf) => Proven { content: Base64(leaf.as_bytes().to_vec()), salt: None, receipt },
        }
    }
}

/// A log at one checkpoint, all of it verified. A keeper may append meanwhile.
#[derive(Debug)]
pub struct Log {
    folder: PathBuf,
    checkpoint: SignedCheckpoint,
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
        _state: T,
        _step: impl FnMut(&mut T, Entry),
    ) -> Result<(Self, T), LogError> {
        let path = folder.join("checkpoint");
        let note = std::fs::read_to_string(&path).map_err(|cause| LogError::Io { path: path.clone(), cause })?;
        SignedCheckpoint::open(&note, log).map_err(|cause| LogError::Checkpoint { path: path.clone(), cause })?;
        Err(LogError::Broken { path, what: "reading is not written yet".into() })
    }

    /// Reads and verifies all of it into memory.
    ///
    /// # Errors
    /// As [`Log::fold`].
    pub fn open(folder: &Path, log: &Vkey) -> Result<(Self, Vec<Entry>), LogError> {
        Self::fold(folder, log, Vec::new(), |entries, entry| entries.push(entry))
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The checkpoint it was read at.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// A receipt for an entry, verified before it is given.
    ///
    /// # Errors
    /// No such entry, or tiles that changed since they were read.
    pub fn prove(&self, index: u64) -> Result<Receipt, LogError> {
        Err(LogError::Range { size: self.checkpoint.size(), asked: index })
    }

    /// The proof that this log begins with the one of another size, verified before it is given.
    ///
    /// # Errors
    /// A size that is larger, or tiles that changed since they were read.
    pub fn prove_since(&self, size: u64) -> Result<Vec<TreeHash>, LogError> {
        Err(LogError::Range { size: self.checkpoint.size(), asked: size })
    }

    /// Verifies that this log begins with what an older checkpoint says.
    ///
    /// # Errors
    /// When it does not.
    pub fn begins_with(&self, older: &SignedCheckpoint) -> Result<(), LogError> {
        Err(LogError::Range { size: self.checkpoint.size(), asked: older.size() })
    }
}

//! Proofs from a log's tiles.

use std::path::Path;

use crate::checkpoint::SignedCheckpoint;
use crate::merkle::{self, ProofError, TreeHash};
use crate::reader::LogError;
use crate::receipt::Receipt;
use crate::tiles::Tiles;

/// Makes proofs under one checkpoint from a log's tiles, and verifies each before it is given.
#[derive(Debug)]
pub struct Prover {
    tiles: Tiles,
    checkpoint: SignedCheckpoint,
}

impl Prover {
    /// For a log's folder and a checkpoint of it.
    pub fn new(folder: &Path, checkpoint: SignedCheckpoint) -> Self {
        Self { tiles: Tiles::new(folder, checkpoint.size()), checkpoint }
    }

    /// A receipt for an entry.
    ///
    /// # Errors
    /// No such entry, or tiles that are not what the checkpoint says.
    pub fn prove(&mut self, index: u64) -> Result<Receipt, LogError> {
        let (size, root) = (self.checkpoint.size(), *self.checkpoint.root());
        if index >= size {
            return Err(LogError::Range { size, asked: index });
        }
        let leaf = self.tiles.node(0, index)?;
        let proof = merkle::prove_inclusion(index, size, &mut |height, n| self.tiles.node(height, n))?;
        merkle::verify_inclusion(&leaf, index, size, &proof, &root).map_err(|cause| self.unproved(index, cause))?;
        Ok(Receipt { extra: None, index, proof, checkpoint: self.checkpoint.note().to_owned() })
    }

    /// The root that the log had at a smaller size, and the proof that it begins with that.
    ///
    /// # Errors
    /// A larger size, or tiles that are not what the checkpoint says.
    pub fn prove_since(&mut self, older: u64) -> Result<(TreeHash, Vec<TreeHash>), LogError> {
        let (size, root) = (self.checkpoint.size(), *self.checkpoint.root());
        if older > size {
            return Err(LogError::Range { size, asked: older });
        }
        let old_root = merkle::root(older, &mut |height, n| self.tiles.node(height, n))?;
        let proof = merkle::prove_consistency(older, size, &mut |height, n| self.tiles.node(height, n))?;
        merkle::verify_consistency((older, &old_root), (size, &root), &proof)
            .map_err(|cause| self.unproved(older, cause))?;
        Ok((old_root, proof))
    }

    /// Verifies that the log begins with what an older checkpoint says.
    ///
    /// # Errors
    /// When it does not.
    pub fn begins_with(&mut self, older: &SignedCheckpoint) -> Result<(), LogError> {
        if older.size() > self.checkpoint.size() {
            return Err(LogError::RolledBack { older: older.size(), size: self.checkpoint.size() });
        }
        let (root, _) = self.prove_since(older.size())?;
        if root == *older.root() { Ok(()) } else { Err(LogError::Forked { older: older.size() }) }
    }

    fn unproved(&self, asked: u64, cause: ProofError) -> LogError {
        LogError::Unproved { size: self.checkpoint.size(), asked, cause }
    }
}

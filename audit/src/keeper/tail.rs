//! The partial bundle: its entries, and the bodies that will lie in its pack.

use std::path::{Path, PathBuf};

use crate::edge::Edge;
use crate::leaf::{Commitment, Leaf, LeafError};
use crate::merkle::TreeHash;
use crate::pack::{self, Salted};
use crate::reader::LogError;
use crate::store::Batch;
use crate::tile;
use crate::tiles::{self, Tiles};

/// The entries of the partial bundle. With their bodies: at most 16 MiB.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail {
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) slots: Vec<Option<Salted>>,
}

impl Tail {
    /// Reads the partial bundle, which was verified: it is compared with the edge once more.
    pub(super) fn read(folder: &Path, edge: &Edge) -> Result<Self, LogError> {
        let n = edge.size() / tile::WIDTH as u64;
        let tiles = Tiles::new(folder, edge.size());
        let leaves = match edge.size() % tile::WIDTH as u64 {
            0 => Vec::new(),
            _ => tiles.bundle(n)?.1,
        };
        let hashes: Vec<_> = leaves.iter().map(|leaf| TreeHash::leaf(leaf)).collect();
        let known = edge.partials().find(|(level, ..)| *level == 0).map(|(.., hashes)| hashes).unwrap_or_default();
        if hashes != known {
            let path = folder.join(tile::bundle_path(n, leaves.len()));
            return Err(tiles::broken(&path, "changed while it was read"));
        }
        let first = n * tile::WIDTH as u64;
        let slots = (first..).zip(&leaves).map(|(index, leaf)| slot(&tiles, index, leaf)).collect::<Result<_, _>>()?;
        Ok(Self { leaves, slots })
    }

    /// Puts the bodies of the entries from this one on in files of their own, until the bundle is full.
    pub(super) fn put_bodies(&self, from: usize, folder: &Path, batch: &mut Batch) {
        let paths = superseded(folder, &self.leaves[from..], &self.slots[from..]);
        for (path, (salt, body)) in paths.into_iter().zip(self.slots[from..].iter().flatten()) {
            batch.put(path, tiles::body_to_bytes(salt, body));
        }
    }

    pub(super) fn push(&mut self, leaf: Vec<u8>, slot: Option<Salted>) {
        self.leaves.push(leaf);
        self.slots.push(slot);
    }
}

/// The body that the pack will hold, if there is one.
fn slot(tiles: &Tiles, index: u64, leaf: &[u8]) -> Result<Option<Salted>, LogError> {
    let of_entry = |cause| LogError::Entry { index, cause };
    let Leaf::Ours(commitment) = Leaf::parse(leaf).map_err(of_entry)? else { return Ok(None) };
    let (_, found) = tiles.body(commitment.digest())?;
    let Some((salt, body)) = found.filter(|(_, body)| pack::holds(body.len())) else { return Ok(None) };
    match Commitment::to(commitment.kind(), &salt, &body) == commitment {
        true => Ok(Some((salt, body))),
        false => Err(of_entry(LeafError::Commitment)),
    }
}

/// Where the bodies of these slots lie until their pack is there: a path for each slot that is not empty, in order.
pub(super) fn superseded(folder: &Path, leaves: &[Vec<u8>], slots: &[Option<Salted>]) -> Vec<PathBuf> {
    let of = |(leaf, slot): (&Vec<u8>, &Option<Salted>)| match Leaf::parse(leaf) {
        Ok(Leaf::Ours(commitment)) if slot.is_some() => Some(folder.join(tiles::body_path(commitment.digest()))),
        _ => None,
    };
    leaves.iter().zip(slots).filter_map(of).collect()
}

/// Takes away what an interrupted run left of the bodies in the newest packs.
pub(super) fn tidy(folder: &Path, size: u64) -> Result<(), LogError> {
    /// One append fills no more bundles than these.
    const FILLED: u64 = 2;
    let (tiles, full) = (Tiles::new(folder, size), size / tile::WIDTH as u64);
    for n in full.saturating_sub(FILLED)..full {
        let (leaves, slots) = (tiles.bundle(n)?.1, tiles.pack(n)?.1.unwrap_or_default());
        for path in superseded(folder, &leaves, &slots) {
            // One that stays behind is only in the way.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(())
}

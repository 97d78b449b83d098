//! A bundle of entries, read: it says the same as its tile, and the bodies in its pack are those it commits to.

use super::{Content, LogError};
use crate::leaf::{Commitment, Leaf, LeafError};
use crate::merkle::TreeHash;
use crate::pack::{self, Salted, Slots};
use crate::tile;
use crate::tiles::{self, Tiles};

/// The entries of a bundle, each with its hash in the tree.
#[derive(Debug)]
pub(super) struct Bundle {
    pub(super) entries: Vec<(TreeHash, Found)>,
}

/// What was found of an entry.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "most are content")]
pub(super) enum Found {
    /// All of it.
    Content(Content),
    /// Its leaf. The body is looked for by whoever takes the entry, one at a time: it may be large.
    Apart(Commitment),
}

impl Bundle {
    /// Reads a bundle, its tile, and its pack when it is full.
    pub(super) fn read(tiles: &Tiles, n: u64) -> Result<Self, LogError> {
        let leaves = leaves(tiles, n)?;
        let mut slots = if leaves.len() == tile::WIDTH { required(tiles, n)? } else { Vec::new() };
        slots.resize(leaves.len(), None);
        let (first, mut entries) = (n * tile::WIDTH as u64, Vec::with_capacity(leaves.len()));
        for ((index, (leaf, hash)), slot) in (first..).zip(leaves).zip(slots) {
            let of_entry = |cause| LogError::Entry { index, cause };
            let found = match (Leaf::parse(&leaf).map_err(of_entry)?, slot) {
                (Leaf::Rekor(leaf), None) => Found::Content(Content::Rekor(leaf)),
                (Leaf::Rekor(_), Some(_)) => return Err(of_entry(LeafError::NoBody)),
                (Leaf::Ours(commitment), Some(slot)) => Found::Content(opened(commitment, slot).map_err(of_entry)?),
                (Leaf::Ours(commitment), None) => Found::Apart(commitment),
            };
            entries.push((hash, found));
        }
        Ok(Self { entries })
    }
}

impl Found {
    /// What the entry is. One whose body is nowhere counts as forgotten here; whether it may be, the whole log says.
    pub(super) fn content(self, tiles: &Tiles, index: u64) -> Result<Content, LogError> {
        let commitment = match self {
            Self::Content(content) => return Ok(content),
            Self::Apart(commitment) => commitment,
        };
        let n = index / tile::WIDTH as u64;
        let full = tile::width(0, n, tiles.size()) == tile::WIDTH;
        let (path, found) = tiles.body(commitment.digest())?;
        let found = match found {
            Some((_, body)) if full && pack::holds(body.len()) => {
                let (pack, _) = tiles.pack(n)?;
                let what = format!("lies apart, and must be in {} (entry {index})", pack.display());
                return Err(tiles::broken(&path, what));
            }
            // A keeper may have filled the bundle since.
            None if !full => {
                tiles.pack(n)?.1.and_then(|mut slots| slots.swap_remove((index % tile::WIDTH as u64) as usize))
            }
            found => found,
        };
        match found {
            Some(salted) => opened(commitment, salted).map_err(|cause| LogError::Entry { index, cause }),
            None => Ok(Content::Forgotten(commitment)),
        }
    }
}

fn opened(commitment: Commitment, (salt, bytes): Salted) -> Result<Content, LeafError> {
    let body = commitment.open(&salt, &bytes)?;
    Ok(Content::Ours { body, bytes, salt })
}

/// A pack that must be there.
fn required(tiles: &Tiles, n: u64) -> Result<Slots, LogError> {
    let (path, slots) = tiles.pack(n)?;
    slots.ok_or_else(|| tiles::broken(&path, "missing"))
}

/// The entries of a bundle with their hashes, once the bundle and its tile say the same: before a body is looked for by
/// what a changed entry says.
fn leaves(tiles: &Tiles, n: u64) -> Result<Vec<(Vec<u8>, TreeHash)>, LogError> {
    let (bundle, leaves) = tiles.bundle(n)?;
    let (tile, hashes) = tiles.hashes(0, n)?;
    let leaves: Vec<_> = leaves
        .into_iter()
        .map(|leaf| {
            let hash = TreeHash::leaf(&leaf);
            (leaf, hash)
        })
        .collect();
    match leaves.iter().zip(&hashes).position(|((_, found), expected)| found != expected) {
        None => Ok(leaves),
        Some(at) => {
            let index = n * tile::WIDTH as u64 + at as u64;
            let what = format!("entry {index} is not the one that {} has: one of the two was changed", tile.display());
            Err(tiles::broken(&bundle, what))
        }
    }
}

//! The right edge of a growing tree: all that is needed to append to it and to know its root, however large it is.

use crate::merkle::TreeHash;
use crate::tile::WIDTH;

/// A tile: its level, its number in the level, and its hashes.
pub type Tile = (u32, u64, Vec<TreeHash>);

/// The partial tiles of a tree, one a level.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: Vec<Vec<TreeHash>>,
}

impl Edge {
    /// How many entries the tree has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of an entry. The tiles that it completes are given, the lowest first: they never change again.
    pub fn push(&mut self, leaf: TreeHash) -> Vec<Tile> {
        self.size += 1;
        let (mut hash, mut completed) = (leaf, Vec::new());
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::new());
            }
            let tile = &mut self.levels[level];
            tile.push(hash);
            if tile.len() < WIDTH {
                break;
            }
            let full = std::mem::take(tile);
            hash = over(&full);
            let level = level as u32;
            completed.push((level, (self.size >> (8 * (level + 1))) - 1, full));
        }
        completed
    }

    /// The partial tiles; levels without one are left out.
    pub fn partials(&self) -> impl Iterator<Item = Tile> {
        let filled = self.levels.iter().enumerate().filter(|(_, hashes)| !hashes.is_empty());
        filled.map(|(level, hashes)| (level as u32, self.size >> (8 * (level as u32 + 1)), hashes.clone()))
    }

    /// The root.
    pub fn root(&self) -> TreeHash {
        // From the right, which is the lowest level: each perfect subtree takes in what lies right of it.
        let mut right = None;
        for hashes in &self.levels {
            for subtree in perfect(hashes).into_iter().rev() {
                right = Some(match right {
                    Some(right) => TreeHash::node(&subtree, &right),
                    None => subtree,
                });
            }
        }
        right.unwrap_or_else(TreeHash::empty)
    }
}

/// The hash over a power of two of neighbours.
pub fn over(hashes: &[TreeHash]) -> TreeHash {
    match hashes {
        [one] => *one,
        _ => {
            let (left, right) = hashes.split_at(hashes.len() / 2);
            TreeHash::node(&over(left), &over(right))
        }
    }
}

/// The hashes over the perfect subtrees of a partial tile, the largest and leftmost first.
fn perfect(mut hashes: &[TreeHash]) -> Vec<TreeHash> {
    let mut subtrees = Vec::new();
    while !hashes.is_empty() {
        let (left, rest) = hashes.split_at(1 << hashes.len().ilog2());
        subtrees.push(over(left));
        hashes = rest;
    }
    subtrees
}

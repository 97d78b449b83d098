//! Tiles and entry bundles (C2SP tlog-tiles): where they lie, and what is in them.

use crate::leaf;
use crate::merkle::TreeHash;

/// Hashes in a full tile, and entries in a full bundle.
pub const WIDTH: usize = 256;

/// The most bytes of an entry bundle.
pub const BUNDLE_LIMIT: usize = WIDTH * (2 + leaf::LIMIT);

/// The most bytes of a tile: 256 hashes.
pub const TILE_LIMIT: usize = WIDTH * 32;

/// The checkpoint's path in a log's folder.
pub const CHECKPOINT: &str = "checkpoint";

/// How many of a tile's hashes a tree of this size fills: 256, fewer, or none. Level 0 of the bundles is the same.
pub fn width(level: u32, n: u64, size: u64) -> usize {
    let hashes = size.checked_shr(8 * level).unwrap_or(0);
    // Not more than 256, so it fits.
    hashes.saturating_sub(n.saturating_mul(WIDTH as u64)).min(WIDTH as u64) as usize
}

/// A tile's path in a log's folder: `tile/L/x001/234`, and `.p/W` when it is partial.
pub fn path(level: u32, n: u64, width: usize) -> String {
    format!("tile/{level}/{}", tail(n, width))
}

/// An entry bundle's path in a log's folder.
pub fn bundle_path(n: u64, width: usize) -> String {
    format!("tile/entries/{}", tail(n, width))
}

/// The path of a full bundle's body pack in a log's folder.
pub fn pack_path(n: u64) -> String {
    format!("body/{}", tail(n, WIDTH))
}

fn tail(n: u64, width: usize) -> String {
    let mut path = format!("{:03}", n % 1000);
    let mut rest = n / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < WIDTH { format!("{path}.p/{width}") } else { path }
}

/// The bytes of a tile.
pub fn hashes_to_bytes(hashes: &[TreeHash]) -> Vec<u8> {
    hashes.iter().flat_map(|h| *h.raw()).collect()
}

/// The hashes of a tile of this width; `None` when there are more or fewer bytes.
pub fn hashes_from_bytes(bytes: &[u8], width: usize) -> Option<Vec<TreeHash>> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    let exact = rest.is_empty() && hashes.len() == width;
    exact.then(|| hashes.iter().map(|h| TreeHash::from_raw(*h)).collect())
}

/// The bytes of a bundle. Entries have at most 65,535 bytes ([`leaf::LIMIT`]).
pub fn bundle_to_bytes(entries: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(entries.iter().map(|e| 2 + e.len()).sum());
    for entry in entries {
        bytes.extend_from_slice(&(entry.len() as u16).to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    bytes
}

/// The entries of a bundle of this width; `None` when there are more or fewer, or the last one is cut.
pub fn bundle_from_bytes(mut bytes: &[u8], width: usize) -> Option<Vec<Vec<u8>>> {
    let mut entries = Vec::with_capacity(width);
    for _ in 0..width {
        let (length, rest) = bytes.split_first_chunk()?;
        let (entry, rest) = rest.split_at_checked(u16::from_be_bytes(*length).into())?;
        entries.push(entry.to_vec());
        bytes = rest;
    }
    bytes.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tlog_tiles::Tile;

    #[test]
    fn paths_are_as_the_specification_writes_them() {
        assert_eq!(path(0, 1_234_067, WIDTH), "tile/0/x001/x234/067");
        assert_eq!(path(1, 0, 17), "tile/1/000.p/17");
        assert_eq!(bundle_path(273, 112), "tile/entries/273.p/112");
        for (level, n, width) in [(0, 0, 256), (0, 999, 1), (2, 1000, 255), (5, 123_456_789, 256)] {
            let oracle = Tile::new(8, level, n, width, false).path();
            // The oracle speaks of other tile heights too: `tile/8/L/…`.
            assert_eq!(oracle.replacen("tile/8/", "tile/", 1), path(level.into(), n, width as usize));
        }
    }

    #[test]
    fn widths_are_as_the_specification_counts_them() {
        // "A tree of size 70,000": 273 full and one of 112, one full and one of 17, one of 1.
        assert_eq!((width(0, 272, 70_000), width(0, 273, 70_000), width(0, 274, 70_000)), (256, 112, 0));
        assert_eq!((width(1, 0, 70_000), width(1, 1, 70_000), width(2, 0, 70_000)), (256, 17, 1));
        assert_eq!((width(0, 0, 256), width(1, 0, 256), width(8, 0, u64::MAX)), (256, 1, 0));
    }

    #[test]
    fn a_bundle_is_whole_or_refused() {
        let entries = vec![b"one".to_vec(), Vec::new(), vec![7; leaf::LIMIT]];
        let bytes = bundle_to_bytes(&entries);
        assert_eq!(bundle_from_bytes(&bytes, 3).unwrap(), entries);
        assert_eq!(bundle_from_bytes(&bytes, 2), None);
        assert_eq!(bundle_from_bytes(&bytes, 4), None);
        assert_eq!(bundle_from_bytes(&bytes[..bytes.len() - 1], 3), None);
        let hashes = vec![TreeHash::leaf(b"a"), TreeHash::leaf(b"b")];
        let bytes = hashes_to_bytes(&hashes);
        assert_eq!(hashes_from_bytes(&bytes, 2).unwrap(), hashes);
        assert_eq!(hashes_from_bytes(&bytes, 1), None);
        assert_eq!(hashes_from_bytes(&bytes[..63], 2), None);
    }
}

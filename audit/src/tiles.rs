//! A log's folder, read: bundles, tiles and bodies at one size. Nothing here is believed before it was hashed.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};

use artifact::{Digest, regular};

use crate::edge;
use crate::leaf::Salt;
use crate::merkle::TreeHash;
use crate::pack::{self, Salted, Slots};
use crate::reader::LogError;
use crate::tile;
use crate::{entry, note};

/// A file that is not there, or all of one that has at most `limit` bytes. A pipe in its place is waited for by nobody.
pub(crate) fn read(path: &Path, limit: usize) -> Result<Option<Vec<u8>>, LogError> {
    match regular::read(path, limit as u64) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(LogError::Io { path: path.to_owned(), cause }),
    }
}

pub(crate) fn broken(path: &Path, what: impl Into<String>) -> LogError {
    LogError::Broken { path: path.to_owned(), what: what.into() }
}

/// The text of a checkpoint; `None` when there is no such file.
pub(crate) fn read_note(path: &Path) -> Result<Option<String>, LogError> {
    let Some(bytes) = read(path, note::LIMIT)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| broken(path, "not UTF-8"))
}

/// The path of a body and its salt in a log's folder.
pub(crate) fn body_path(digest: &Digest) -> String {
    format!("body/{}", digest.hex())
}

/// The bytes of a file that holds a body: its salt, then the body.
pub(crate) fn body_to_bytes(salt: &Salt, body: &[u8]) -> Vec<u8> {
    [&salt.raw()[..], body].concat()
}

/// A log's folder at one size.
#[derive(Debug)]
pub(crate) struct Tiles {
    folder: PathBuf,
    size: u64,
    read: HashMap<(u32, u64), Vec<TreeHash>>,
}

impl Tiles {
    pub(crate) fn new(folder: &Path, size: u64) -> Self {
        Self { folder: folder.to_owned(), size, read: HashMap::new() }
    }

    /// Where a body lies that has a file of its own.
    pub(crate) fn body_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(body_path(digest))
    }

    /// How many entries the log has.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The entries of a bundle, as far as this size has them, and where they lie.
    pub(crate) fn bundle(&self, n: u64) -> Result<(PathBuf, Vec<Vec<u8>>), LogError> {
        let width = tile::width(0, n, self.size);
        let (path, bytes, found) = self.fetch(width, tile::BUNDLE_LIMIT, |w| tile::bundle_path(n, w))?;
        let mut entries = tile::bundle_from_bytes(&bytes, found)
            .ok_or_else(|| broken(&path, format!("not a bundle of {found} entries: it was cut or changed")))?;
        entries.truncate(width);
        Ok((path, entries))
    }

    /// The hashes of a tile, as far as this size has them.
    pub(crate) fn hashes(&self, level: u32, n: u64) -> Result<(PathBuf, Vec<TreeHash>), LogError> {
        let width = tile::width(level, n, self.size);
        let (path, bytes, found) = self.fetch(width, tile::TILE_LIMIT, |w| tile::path(level, n, w))?;
        let mut hashes = tile::hashes_from_bytes(&bytes, found)
            .ok_or_else(|| broken(&path, format!("not a tile of {found} hashes: it was cut or changed")))?;
        hashes.truncate(width);
        Ok((path, hashes))
    }

    /// A partial file, or the full one that has taken its place since.
    fn fetch(
        &self,
        width: usize,
        limit: usize,
        path: impl Fn(usize) -> String,
    ) -> Result<(PathBuf, Vec<u8>, usize), LogError> {
        let own = self.folder.join(path(width));
        if let Some(bytes) = read(&own, limit)? {
            return Ok((own, bytes, width));
        }
        let full = self.folder.join(path(tile::WIDTH));
        match read(&full, limit)? {
            Some(bytes) => Ok((full, bytes, tile::WIDTH)),
            None => Err(broken(&own, "missing")),
        }
    }

    /// The hash over the entries `n·2^height` up to `(n+1)·2^height`: for proofs, which are verified before they are given.
    pub(crate) fn node(&mut self, height: u32, n: u64) -> Result<TreeHash, LogError> {
        let (level, within) = (height / 8, height % 8);
        let tile = n >> (8 - within);
        if !self.read.contains_key(&(level, tile)) {
            let (_, hashes) = self.hashes(level, tile)?;
            self.read.insert((level, tile), hashes);
        }
        let first = ((n << within) % tile::WIDTH as u64) as usize;
        let hashes = self.read.get(&(level, tile)).and_then(|tile| tile.get(first..first + (1 << within)));
        let hashes = hashes.ok_or(LogError::Range { size: self.size, asked: n << height })?;
        Ok(edge::over(hashes))
    }

    /// The slots of a full bundle's pack, and where it lies; `None` when there is none.
    pub(crate) fn pack(&self, n: u64) -> Result<(PathBuf, Option<Slots>), LogError> {
        let path = self.folder.join(tile::pack_path(n));
        let Some(bytes) = read(&path, pack::LIMIT)? else { return Ok((path, None)) };
        match pack::from_bytes(&bytes) {
            Some(slots) => Ok((path, Some(slots))),
            None => Err(broken(&path, "not a pack of 256 bodies: it was cut or changed")),
        }
    }

    /// A body that lies in a file of its own, with its salt, and where it lies.
    pub(crate) fn body(&self, digest: &Digest) -> Result<(PathBuf, Option<Salted>), LogError> {
        let path = self.folder.join(body_path(digest));
        let Some(mut bytes) = read(&path, 32 + entry::LIMIT)? else { return Ok((path, None)) };
        if bytes.len() < 32 {
            return Err(broken(&path, "shorter than a salt: it was cut"));
        }
        let body = bytes.split_off(32);
        let salt = <[u8; 32]>::try_from(bytes).map_err(|_| broken(&path, "no salt"))?;
        Ok((path, Some((Salt::from_raw(salt), body))))
    }
}

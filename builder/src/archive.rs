//! Reading one layer: tar entries from a stream that nobody has vouched for.
//!
//! What two container runtimes would read differently is refused, not interpreted: sparse files, a link with
//! content, two extended headers for one entry, two long names for one entry, data after half of the end mark, paths
//! that leave the root. A leading slash is none of these: all of them take it for the root of the image.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read};

use artifact::digest::shortened;
use artifact::oci;

use crate::header::{self, Extras};
use crate::tree::{Content, Kind, Scratch, Tree};

/// The most entries of all layers of an image together. The largest base images have some hundred thousand.
pub const ENTRIES: u64 = 1_000_000;

/// The most bytes of all layers together, before compression: the largest file a room may write.
pub const BYTES: u64 = 64 << 30;

/// The most bytes of names, link targets and attributes together: these are kept in memory.
pub const NAMES: u64 = 512 << 20;

/// The most bytes of one extended header: sixteen times the longest attribute that Linux takes.
const EXTENSION: u64 = 1 << 20;

/// Why a layer was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The stream was cut, or the scratch folder is full.
    #[error("the layer could not be read: {0}")]
    Io(#[from] io::Error),
    /// Something that we don't take.
    #[error("entry {entry} of the layer, {path:?}: {why}")]
    Entry {
        /// Its number, from one.
        entry: u64,
        /// Its path, shortened.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// More than a limit.
    #[error("the layers hold more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A media type that is no layer's.
    #[error("a layer of media type {0:?}")]
    MediaType(String),
}

/// What all layers of an image may still use up.
#[derive(Debug, Clone)]
pub struct Budget {
    entries: Allowance,
    bytes: Allowance,
    names: Allowance,
}

/// How much of something there may be, and how much there was.
#[derive(Debug, Clone)]
struct Allowance {
    what: &'static str,
    limit: u64,
    used: u64,
}

impl Allowance {
    fn of(what: &'static str, limit: u64) -> Self {
        Self { what, limit, used: 0 }
    }

    fn take(&mut self, more: u64) -> Result<(), ArchiveError> {
        self.used = self.used.saturating_add(more);
        if self.used > self.limit {
            return Err(ArchiveError::TooMuch { what: self.what, limit: self.limit });
        }
        Ok(())
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            entries: Allowance::of("entries", ENTRIES),
            bytes: Allowance::of("bytes", BYTES),
            names: Allowance::of("bytes of names", NAMES),
        }
    }
}

impl Budget {
    /// For an image that should be equal to this one: several times as much of everything, for layers that hide one
    /// another, and no more. A stranger's image can't fill a disk that ours fits on.
    pub fn beside(tree: &Tree) -> Self {
        const TIMES: u64 = 8;
        let limit = |ours: u64, least: u64, most: u64| ours.saturating_mul(TIMES).saturating_add(least).min(most);
        let (mut bytes, mut names) = (0_u64, 0_u64);
        for (path, node) in tree {
            let (content, target) = match &node.kind {
                Kind::File(content) => (content.size, 0),
                Kind::Symlink(target) => (0, target.len()),
                _ => (0, 0),
            };
            let xattrs: usize = node.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
            bytes = bytes.saturating_add(content);
            names += (path.len() + target + xattrs) as u64;
        }
        Self {
            entries: Allowance::of("entries", limit(tree.len() as u64, 10_000, ENTRIES)),
            bytes: Allowance::of("bytes", limit(bytes, 256 << 20, BYTES)),
            names: Allowance::of("bytes of names", limit(names, 16 << 20, NAMES)),
        }
    }

    /// Takes one entry with this many bytes of names.
    ///
    /// # Errors
    /// There are no more to take.
    pub fn entry(&mut self, names: usize) -> Result<(), ArchiveError> {
        self.entries.take(1)?;
        self.names(names)
    }

    /// Takes this many bytes of names, link targets or attributes.
    ///
    /// # Errors
    /// There are no more to take.
    pub fn names(&mut self, names: usize) -> Result<(), ArchiveError> {
        self.names.take(names as u64)
    }

    fn content(&mut self, bytes: u64) -> Result<(), ArchiveError> {
        self.bytes.take(bytes)
    }

    /// How many bytes there may still be.
    fn left(&self) -> u64 {
        self.bytes.limit.saturating_sub(self.bytes.used)
    }
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its path: no leading and no trailing slash, no `.`, no `..`; empty for the root folder.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Its mode's lowest twelve bits.
    pub mode: u32,
    /// Its owner.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// When it was last changed.
    pub mtime: i64,
    /// Its extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file; its content is in the scratch folder.
    File(Content),
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// One more name for the node at this path.
    Link(Vec<u8>),
    /// A character device.
    Char(u32, u32),
    /// A block device.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Undoes a layer's compression: by its media type, and by its first bytes where the type says nothing. Of several
/// gzip members or zstd frames, all are read.
///
/// # Errors
/// A type that is no layer's, or an unreadable stream.
pub fn decompressed<'r>(layer: impl Read + 'r, media_type: &str) -> Result<Box<dyn Read + 'r>, ArchiveError> {
    let mut layer = BufReader::with_capacity(128 << 10, layer);
    let gzip = match media_type {
        oci::LAYER => return Ok(Box::new(layer)),
        oci::LAYER_GZIP | oci::DOCKER_LAYER => true,
        oci::LAYER_ZSTD => false,
        "" => match layer.fill_buf()? {
            [0x1f, 0x8b, ..] => true,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => false,
            _ => return Ok(Box::new(layer)),
        },
        other => return Err(ArchiveError::MediaType(shortened(other))),
    };
    if gzip {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(layer)));
    }
    Ok(Box::new(zstd::stream::read::Decoder::with_buffer(layer)?))
}

/// Reads the entries of an uncompressed layer, in their order. Contents go to the scratch folder. The stream is
/// read to its end, so that its digest can be checked.
///
/// # Errors
/// Anything that is not a plain tar, and more than the budget has left.
pub fn entries(layer: &mut impl Read, budget: &mut Budget, scratch: &Scratch) -> Result<Vec<Entry>, ArchiveError> {
    let mut found = Vec::new();
    let mut extras = Extras::default();
    let mut number = 0;
    while let Some(header) = next_header(layer)? {
        number += 1;
        let fault = |why: &str| ArchiveError::Entry {
            entry: number,
            path: shortened(&String::from_utf8_lossy(&header.path_bytes())),
            why: why.to_owned(),
        };
        header::check(&header).map_err(fault)?;
        let size = header::size(&header).map_err(fault)?;
        let kind = header.as_bytes()[156];
        if matches!(kind, b'x' | b'g' | b'L' | b'K') {
            if size > EXTENSION {
                return Err(fault("its extended header is too long"));
            }
            budget.content(size)?;
            let body = bytes(layer, size, false)?;
            bytes(layer, padding(size), false)?;
            extras.take(kind, body).map_err(fault)?;
            // Extended headers without an entry cost as well.
            budget.entry(0)?;
            continue;
        }
        let extras = std::mem::take(&mut extras);
        let size = extras.size().map_err(fault)?.unwrap_or(size);
        let entry = extras.entry(&header, kind, size).map_err(fault)?;
        let link = match &entry.kind {
            EntryKind::Symlink(target) | EntryKind::Link(target) => target.len(),
            _ => 0,
        };
        let xattrs: usize = entry.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        budget.entry(entry.path.len() + link + xattrs)?;
        budget.content(size)?;
        found.push(match entry.kind {
            EntryKind::File(_) => {
                let content = scratch.put(layer.by_ref().take(size))?;
                if content.size != size {
                    return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
                }
                bytes(layer, padding(size), false)?;
                Entry { kind: EntryKind::File(content), ..entry }
            }
            _ => entry,
        });
    }
    if !extras.is_empty() {
        return Err(ArchiveError::Io(io::ErrorKind::UnexpectedEof.into()));
    }
    let rest = io::copy(&mut layer.by_ref().take(budget.left().saturating_add(1)), &mut io::sink())?;
    budget.content(rest)?;
    Ok(found)
}

/// The next header; `None` after two blocks of zeros, or where the stream ends instead of either. One block of zeros
/// ends an archive for some readers, is skipped by others, and is an error for the rest.
fn next_header(layer: &mut impl Read) -> io::Result<Option<tar::Header>> {
    let filled = |block: &[u8]| block.iter().any(|b| *b != 0);
    let block = bytes(layer, 512, true)?;
    if filled(&block) {
        let mut header = tar::Header::new_old();
        header.as_mut_bytes().copy_from_slice(&block);
        return Ok(Some(header));
    }
    if !block.is_empty() && filled(&bytes(layer, 512, true)?) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "one block of zeros, and then more entries"));
    }
    Ok(None)
}

/// Reads this many bytes, which are few; or none at all, if the stream may end here.
fn bytes(layer: &mut impl Read, count: u64, may_end: bool) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    layer.by_ref().take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count || (may_end && bytes.is_empty()) {
        return Ok(bytes);
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// How many bytes fill the last block of a content.
pub(crate) fn padding(size: u64) -> u64 {
    size.wrapping_neg() % 512
}

#[cfg(test)]
mod tests;

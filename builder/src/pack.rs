//! Packing: a tree becomes the bytes of a layer. Same tree, same source date, same format: same bytes, whatever the
//! host and the number of threads.
//!
//! Format 2. The tar: one entry for each node but the root, in the order of their paths' bytes; ustar, and PAX records
//! only for what a ustar header has no room for, in the order path, linkpath, size, uid, gid, mtime, attributes. A
//! folder's name ends in a slash. Of a hard link's names the first is the file and the others link to it; each has the
//! mode, owner and attributes of the file, because runtimes write those of the last. Owners are numbers. Of the extended
//! attributes those in [`XATTRS`] are kept. Two blocks of zeros end it. The compression: gzip members of [`MEMBER`] bytes
//! each, made by libdeflate at level 3, without time and name. A change of any of this is a new number: in format 1 links
//! had no attributes, and a runtime that took the link's took the file's capabilities away.

use std::collections::BTreeMap;
use std::io::{self, Read as _, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use artifact::Digest;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Descriptor};
use libdeflater::{CompressionLvl, Compressor};
use sha2::{Digest as _, Sha256};

use crate::archive::padding;
use crate::header;
use crate::tree::{CAPABILITY, Kind, Node, Scratch, Tree};

/// The number of the packing format.
pub const FORMAT: u32 = 2;

/// The extended attributes that are packed. The others belong to a host: labels, access lists, what a cache notes.
pub const XATTRS: [&[u8]; 1] = [CAPABILITY];

/// The bytes of a gzip member, before compression.
pub const MEMBER: usize = 1 << 20;

/// The level of libdeflate.
const LEVEL: i32 = 3;

/// Members for each thread and round: starting threads must cost less than compressing.
const ROUND: usize = 4;

/// The most threads that compress: each holds members in memory, and is one of the processes that the room may have.
pub const MOST_THREADS: usize = 64;

/// The name of every extended header.
const PAX_NAME: &[u8] = b"././@PaxHeader";

/// Why a tree could not be packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The scratch folder failed.
    #[error("packing: {0}")]
    Io(#[from] io::Error),
    /// The store failed.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// A layer that was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The compressed layer.
    pub layer: Descriptor,
    /// Its digest before compression.
    pub diff_id: Digest,
}

/// Packs a tree into a store. `threads` of zero are as many as there are cores, up to [`MOST_THREADS`].
///
/// # Errors
/// As the scratch folder and the store say.
pub fn pack(
    tree: &Tree,
    scratch: &Scratch,
    source_date: i64,
    threads: usize,
    store: &Layout,
) -> Result<Packed, PackError> {
    let mut gzip = Gzip::new(store.writer()?, threads);
    write_tar(tree, scratch, source_date, &mut gzip)?;
    let (writer, diff_id) = gzip.finish()?;
    let (digest, size) = writer.finish()?;
    Ok(Packed { layer: Descriptor::new(oci::LAYER_GZIP, digest, size), diff_id })
}

/// Writes the tar of format 2.
///
/// # Errors
/// As the scratch folder and the writer say.
pub fn write_tar(tree: &Tree, scratch: &Scratch, source_date: i64, out: &mut impl Write) -> io::Result<()> {
    let mut firsts: BTreeMap<u64, &[u8]> = BTreeMap::new();
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_empty()) {
        let first = match node.group {
            0 => None,
            group => Some(*firsts.entry(group).or_insert(path)).filter(|first| first != path),
        };
        header(path, node, first, source_date, out)?;
        if let (Kind::File(content), None) = (&node.kind, first) {
            let copied = io::copy(&mut scratch.open(content)?.take(content.size), out)?;
            if copied != content.size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            out.write_all(&[0; 512][..padding(copied) as usize])?;
        }
    }
    out.write_all(&[0; 1024])
}

fn header(path: &[u8], node: &Node, first: Option<&[u8]>, source_date: i64, out: &mut impl Write) -> io::Result<()> {
    let mut pax = Vec::new();
    let mut block = [0; 512];
    let (kind, target, size, device) = match (&node.kind, first) {
        (_, Some(first)) => (b'1', first, 0, (0, 0)),
        (Kind::File(content), _) => (b'0', &b""[..], content.size, (0, 0)),
        (Kind::Symlink(target), _) => (b'2', &target[..], 0, (0, 0)),
        (Kind::Char(major, minor), _) => (b'3', &b""[..], 0, (*major, *minor)),
        (Kind::Block(major, minor), _) => (b'4', &b""[..], 0, (*major, *minor)),
        (Kind::Folder, _) => (b'5', &b""[..], 0, (0, 0)),
        (Kind::Fifo, _) => (b'6', &b""[..], 0, (0, 0)),
    };
    let mut name = path.to_vec();
    if kind == b'5' {
        name.push(b'/');
    }
    match split(&name) {
        Some((prefix, rest)) => {
            text(&mut block, 345, 155, prefix);
            text(&mut block, 0, 100, rest);
        }
        None => {
            record(&mut pax, b"path", &name);
            text(&mut block, 0, 100, &name);
        }
    }
    if target.len() > 100 {
        record(&mut pax, b"linkpath", target);
    }
    text(&mut block, 157, 100, target);
    let mtime = node.mtime.min(source_date);
    octal(&mut block, 100, 8, u64::from(node.mode & 0o7777));
    for (key, at, length, value) in
        [(&b"size"[..], 124, 12, size), (b"uid", 108, 8, node.uid), (b"gid", 116, 8, node.gid)]
    {
        if !octal(&mut block, at, length, value) {
            record(&mut pax, key, value.to_string().as_bytes());
        }
    }
    if !u64::try_from(mtime).is_ok_and(|mtime| octal(&mut block, 136, 12, mtime)) {
        octal(&mut block, 136, 12, 0);
        record(&mut pax, b"mtime", mtime.to_string().as_bytes());
    }
    for (at, number) in [(329, device.0), (337, device.1)] {
        if !octal(&mut block, at, 8, u64::from(number)) {
            return Err(io::Error::other("a device number that Linux does not have"));
        }
    }
    for (key, value) in node.xattrs.iter().filter(|(key, _)| XATTRS.contains(&&key[..])) {
        record(&mut pax, &[header::XATTR, key].concat(), value);
    }
    if !pax.is_empty() {
        let mut extended = [0; 512];
        text(&mut extended, 0, 100, PAX_NAME);
        octal(&mut extended, 100, 8, 0o644);
        for (at, length, value) in [(108, 8, 0), (116, 8, 0), (124, 12, pax.len() as u64), (136, 12, 0)] {
            octal(&mut extended, at, length, value);
        }
        octal(&mut extended, 329, 8, 0);
        octal(&mut extended, 337, 8, 0);
        out.write_all(sealed(&mut extended, b'x'))?;
        pax.resize(pax.len() + padding(pax.len() as u64) as usize, 0);
        out.write_all(&pax)?;
    }
    out.write_all(sealed(&mut block, kind))
}

/// The prefix and the name of a ustar header; `None` when the path does not fit. The shortest prefix is taken.
fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 {
        return Some((b"", name));
    }
    let slashes = name.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let at = slashes.into_iter().find(|at| (1..=100).contains(&(name.len() - at - 1)))?;
    (at <= 155).then(|| (&name[..at], &name[at + 1..]))
}

fn text(block: &mut [u8; 512], at: usize, length: usize, text: &[u8]) {
    let length = length.min(text.len());
    block[at..at + length].copy_from_slice(&text[..length]);
}

/// Writes a number with leading zeros; zero, and `false`, when it has too many digits.
fn octal(block: &mut [u8; 512], at: usize, length: usize, value: u64) -> bool {
    let digits = length - 1;
    let fits = value >> (3 * digits) == 0;
    text(block, at, digits, format!("{:0digits$o}", if fits { value } else { 0 }).as_bytes());
    fits
}

/// One PAX record: its length counts its own digits.
fn record(pax: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while rest + length.to_string().len() != length {
        length = rest + length.to_string().len();
    }
    pax.extend_from_slice(format!("{length} ").as_bytes());
    for part in [key, b"=", value, b"\n"] {
        pax.extend_from_slice(part);
    }
}

fn sealed(block: &mut [u8; 512], kind: u8) -> &[u8] {
    block[156] = kind;
    text(block, 257, 8, b"ustar\x0000");
    text(block, 148, 8, b"        ");
    let sum: u64 = block.iter().map(|b| u64::from(*b)).sum();
    text(block, 148, 8, format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The compression of format 2, around a writer. While one round is compressed the next one is filled.
pub struct Gzip<W> {
    out: W,
    plain: Vec<u8>,
    under_way: Option<Round>,
    hasher: Sha256,
    threads: usize,
}

/// A round that is being compressed, and hashed.
struct Round {
    shares: Vec<JoinHandle<io::Result<Vec<Vec<u8>>>>>,
    hashed: JoinHandle<Sha256>,
}

impl<W: Write> Gzip<W> {
    /// Compresses into this writer. `threads` of zero are as many as there are cores, up to [`MOST_THREADS`].
    pub fn new(out: W, threads: usize) -> Self {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, Into::into).min(MOST_THREADS),
            some => some,
        };
        Self { out, plain: Vec::new(), under_way: None, hasher: Sha256::new(), threads }
    }

    /// Compresses what is left, and gives back the writer and the digest before compression.
    ///
    /// # Errors
    /// As the writer says.
    pub fn finish(mut self) -> io::Result<(W, Digest)> {
        self.round()?;
        let last = self.settle()?;
        self.write_members(last)?;
        Ok((self.out, Digest::from_raw(self.hasher.finalize().into())))
    }

    /// Begins a round once the one before it is compressed, and then writes that.
    fn round(&mut self) -> io::Result<()> {
        let before = self.settle()?;
        if !self.plain.is_empty() {
            self.begin();
        }
        self.write_members(before)
    }

    fn begin(&mut self) {
        let plain = Arc::new(std::mem::take(&mut self.plain));
        let share = plain.len().div_ceil(MEMBER).div_ceil(self.threads) * MEMBER;
        let compress = |from: usize| {
            let plain = Arc::clone(&plain);
            let until = plain.len().min(from + share);
            std::thread::spawn(move || plain[from..until].chunks(MEMBER).map(member).collect())
        };
        let shares = (0..plain.len()).step_by(share).map(compress).collect();
        let mut hasher = self.hasher.clone();
        let hashed = std::thread::spawn(move || {
            hasher.update(&*plain);
            hasher
        });
        self.under_way = Some(Round { shares, hashed });
    }

    /// Waits for the round that is under way.
    fn settle(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let Some(Round { shares, hashed }) = self.under_way.take() else { return Ok(Vec::new()) };
        let died = |_| io::Error::other("a thread that compressed died");
        let mut members = Vec::new();
        for share in shares {
            members.extend(share.join().map_err(died)??);
        }
        self.hasher = hashed.join().map_err(died)?;
        Ok(members)
    }

    fn write_members(&mut self, members: Vec<Vec<u8>>) -> io::Result<()> {
        members.iter().try_for_each(|member| self.out.write_all(member))
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.threads * ROUND * MEMBER - self.plain.len();
        let taken = bytes.len().min(room);
        self.plain.extend_from_slice(&bytes[..taken]);
        if taken == room {
            self.round()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One gzip member, with a compressor of its own: no member depends on another.
fn member(plain: &[u8]) -> io::Result<Vec<u8>> {
    let level = CompressionLvl::new(LEVEL).map_err(|_| io::Error::other("no such level"))?;
    let mut compressor = Compressor::new(level);
    let mut packed = vec![0; compressor.gzip_compress_bound(plain.len())];
    let length = compressor.gzip_compress(plain, &mut packed).map_err(|e| io::Error::other(e.to_string()))?;
    packed.truncate(length);
    Ok(packed)
}

#[cfg(test)]
mod tests;

//! One tar header, and the extended headers before it.

use std::collections::BTreeMap;

use crate::archive::{Entry, EntryKind};
use crate::tree::Content;

/// The longest path or link target: what Linux takes.
const PATH: usize = 4096;

/// The longest part of a path: what Linux takes.
const PART: usize = 255;

/// The prefix of the records that carry extended attributes.
pub(crate) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Records that say nothing of what a container sees, or that are read already.
const KNOWN: [&[u8]; 15] = [
    b"path",
    b"linkpath",
    b"size",
    b"uid",
    b"gid",
    b"mtime",
    b"uname",
    b"gname",
    b"atime",
    b"ctime",
    b"comment",
    b"LIBARCHIVE.creationtime",
    b"SCHILY.dev",
    b"SCHILY.ino",
    b"SCHILY.nlink",
];

/// What stands before the name of any other record among the attributes. No attribute of Linux begins so.
const RECORD: &[u8] = b"pax:";

type Why = &'static str;

/// The header's bytes add up to what it says, and all readers find its path in the same place.
pub(crate) fn check(header: &tar::Header) -> Result<(), Why> {
    let bytes = header.as_bytes();
    let sum: u32 =
        bytes.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { 32 } else { u32::from(*b) }).sum();
    match number(bytes, 148..156) {
        Ok(said) if said == u64::from(sum) => one_path(bytes),
        _ => Err("its checksum is wrong"),
    }
}

/// Go puts a prefix before the name whatever the version after `ustar`, and in a GNU header when the times that stand in
/// the prefix's place are none; others do not. Of the formats there are three on which all agree.
fn one_path(header: &[u8; 512]) -> Result<(), Why> {
    match &header[257..265] {
        // Star's has a shorter prefix.
        b"ustar\x0000" if header[508..] != *b"tar\0" => Ok(()),
        b"ustar  \0" if number(header, 345..357).and(number(header, 357..369)).is_ok() => Ok(()),
        magic if *magic == [0; 8] && !matches!(header[156], b'3' | b'4') => Ok(()),
        _ => Err("a header of a format on which readers disagree"),
    }
}

/// The size that the header itself says.
pub(crate) fn size(header: &tar::Header) -> Result<u64, Why> {
    number(header.as_bytes(), 124..136)
}

/// A number of a header: octal digits, or binary with the first bit set; nothing at all is zero.
fn number(header: &[u8; 512], field: std::ops::Range<usize>) -> Result<u64, Why> {
    const NONE: Why = "a number that is none, in its header";
    let field = header.get(field).unwrap_or_default();
    if let Some((first @ 0x80..=0xbf, rest)) = field.split_first() {
        let binary = std::iter::once(&(first & 0x3f))
            .chain(rest)
            .try_fold(0u64, |n, byte| n.checked_mul(256).map(|n| n | u64::from(*byte)));
        return binary.ok_or(NONE);
    }
    let text = std::str::from_utf8(field).map_err(|_| NONE)?;
    match text.trim_matches([' ', '\0']) {
        "" => Ok(0),
        digits if digits.bytes().all(|b| b.is_ascii_digit()) => u64::from_str_radix(digits, 8).map_err(|_| NONE),
        _ => Err(NONE),
    }
}

/// A time of a header: as other numbers, and in binary it may lie before 1970.
fn time(header: &[u8; 512]) -> Option<i64> {
    match header[136..148].split_last_chunk::<8>() {
        Some(([0xff, 0xff, 0xff, 0xff], last)) => Some(i64::from_be_bytes(*last)).filter(|time| *time < 0),
        _ => i64::try_from(number(header, 136..148).ok()?).ok(),
    }
}

/// What extended headers say about the entry that comes next.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    records: Option<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl Extras {
    /// Takes one extended header. Two of a kind for one entry are refused: readers disagree on which one counts.
    pub(crate) fn take(&mut self, kind: u8, body: Vec<u8>) -> Result<(), Why> {
        const TWICE: Why = "two extended headers of one kind";
        match kind {
            b'x' => match self.records.replace(records(&body)?) {
                None => Ok(()),
                Some(_) => Err(TWICE),
            },
            // What git archive writes. Anything else would apply to every entry that follows.
            b'g' if records(&body)?.keys().all(|k| k == b"comment") => Ok(()),
            b'g' => Err("a global extended header"),
            _ => {
                let place = if kind == b'L' { &mut self.long_path } else { &mut self.long_link };
                let end = body.iter().position(|b| *b == 0).unwrap_or(body.len());
                match place.replace(body[..end].to_vec()) {
                    None => Ok(()),
                    Some(_) => Err(TWICE),
                }
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.long_path.is_none() && self.long_link.is_none() && self.records.is_none()
    }

    fn record(&self, key: &[u8]) -> Option<&[u8]> {
        self.records.as_ref()?.get(key).map(Vec::as_slice)
    }

    fn number<N: std::str::FromStr>(&self, key: &[u8]) -> Result<Option<N>, Why> {
        let Some(text) = self.record(key) else { return Ok(None) };
        let number = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
        number.map(Some).ok_or("a number that is none, in an extended header")
    }

    /// The size, where the header has no room for it.
    pub(crate) fn size(&self) -> Result<Option<u64>, Why> {
        self.number(b"size")
    }

    /// The entry that the header and these records describe together.
    pub(crate) fn entry(&self, header: &tar::Header, kind: u8, size: u64) -> Result<Entry, Why> {
        let sparse = |k: &Vec<u8>| k.starts_with(b"GNU.sparse");
        if kind == b'S' || self.records.as_ref().is_some_and(|r| r.keys().any(sparse)) {
            return Err("a sparse file");
        }
        let both = |record: &[u8], long: &Option<Vec<u8>>| self.record(record).is_some() && long.is_some();
        if both(b"path", &self.long_path) || both(b"linkpath", &self.long_link) {
            return Err("two long names");
        }
        let short = header.path_bytes();
        let raw = self.record(b"path").or(self.long_path.as_deref()).unwrap_or(&short);
        let path = clean(raw)?;
        let target = || {
            let short = header.link_name_bytes().unwrap_or_default();
            let target = self.record(b"linkpath").or(self.long_link.as_deref()).unwrap_or(&short).to_vec();
            match target.is_empty() || target.len() > PATH || target.contains(&0) {
                true => Err("its link target is empty, too long, or holds a NUL"),
                false => Ok(target),
            }
        };
        let field = |range| number(header.as_bytes(), range);
        let device = || -> Result<(u32, u32), Why> {
            let part = |range| u32::try_from(field(range)?).map_err(|_| "a device with impossible numbers");
            Ok((part(329..337)?, part(337..345)?))
        };
        let kind = match kind {
            // Before POSIX, a folder was a file whose name ends in a slash.
            0 if raw.ends_with(b"/") => EntryKind::Folder,
            0 | b'0' if raw.ends_with(b"/") => return Err("a file whose name ends in a slash"),
            0 | b'0' => EntryKind::File(Content { digest: artifact::Digest::of(b""), size }),
            b'1' => EntryKind::Link(clean(&target()?)?),
            b'2' => EntryKind::Symlink(target()?),
            b'3' => match device()? {
                (0, 0) => return Err("a device 0:0, which an overlay file system takes for a deletion"),
                (major, minor) => EntryKind::Char(major, minor),
            },
            b'4' => device().map(|(major, minor)| EntryKind::Block(major, minor))?,
            b'5' => EntryKind::Folder,
            b'6' => EntryKind::Fifo,
            _ => return Err("an entry of a kind that no image holds"),
        };
        if size != 0 && !matches!(kind, EntryKind::File(_)) {
            return Err("content that belongs to no file");
        }
        if path.is_empty() && kind != EntryKind::Folder {
            return Err("its path is empty");
        }
        const TIME: Why = "an impossible time";
        let mtime = match self.record(b"mtime") {
            Some(text) => seconds(text).ok_or(TIME)?,
            None => time(header.as_bytes()).ok_or(TIME)?,
        };
        Ok(Entry {
            path,
            kind,
            mode: (field(100..108)? & 0o7777) as u32,
            uid: self.number(b"uid")?.map_or_else(|| field(108..116), Ok)?,
            gid: self.number(b"gid")?.map_or_else(|| field(116..124), Ok)?,
            mtime,
            xattrs: self.attributes()?,
        })
    }

    /// The extended attributes, and the records that we don't know: some reader might (access lists of star, attributes
    /// in libarchive's spelling), so a difference in them is told.
    fn attributes(&self) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Why> {
        let mut attributes = BTreeMap::new();
        for (key, value) in self.records.iter().flatten() {
            match key.strip_prefix(XATTR) {
                Some(name) if name.starts_with(RECORD) => return Err("an attribute that Linux does not have"),
                // What is unpacked below inherits it, so the order of entries would decide who may read what.
                Some(b"system.posix_acl_default") => return Err("a default access list"),
                Some(name) => attributes.insert(name.to_vec(), value.clone()),
                None if KNOWN.contains(&&key[..]) => continue,
                None if key == b"hdrcharset" && value == b"BINARY" => continue,
                None if key == b"hdrcharset" => return Err("names in another character set"),
                None => attributes.insert([RECORD, key].concat(), value.clone()),
            };
        }
        Ok(attributes)
    }
}

/// `LENGTH KEY=VALUE\n`, again and again; of a key that comes twice the last counts. Values may hold any byte.
fn records(mut body: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Why> {
    const BROKEN: Why = "a broken extended header";
    let mut records = BTreeMap::new();
    while !body.is_empty() {
        let space = body.iter().take(20).position(|b| *b == b' ').ok_or(BROKEN)?;
        let length: usize = std::str::from_utf8(&body[..space]).ok().and_then(|t| t.parse().ok()).ok_or(BROKEN)?;
        let record = body.get(space + 1..length).and_then(|r| r.strip_suffix(b"\n")).ok_or(BROKEN)?;
        let equals = record.iter().position(|b| *b == b'=').ok_or(BROKEN)?;
        records.insert(record[..equals].to_vec(), record[equals + 1..].to_vec());
        body = &body[length..];
    }
    Ok(records)
}

/// Whole seconds of `SECONDS[.FRACTION]`, rounded down.
fn seconds(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let down = text.starts_with('-') && fraction.bytes().any(|b| b != b'0');
    whole.parse::<i64>().ok()?.checked_sub(i64::from(down))
}

/// A path without `./`, doubled slashes, and slashes at either end; empty for the root. Paths that leave the root are
/// refused.
fn clean(raw: &[u8]) -> Result<Vec<u8>, Why> {
    if raw.is_empty() || raw.len() > PATH {
        return Err("its path is empty or too long");
    }
    if raw.contains(&0) {
        return Err("its path holds a NUL");
    }
    let parts: Vec<&[u8]> = raw.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").collect();
    if parts.contains(&&b".."[..]) {
        return Err("its path leads upwards");
    }
    if parts.iter().any(|p| p.len() > PART) {
        return Err("a part of its path is too long");
    }
    Ok(parts.join(&b'/'))
}

//! Vault's and OpenBao's own audit log, read: what was done with one key of a transit engine, and for which attempt.
//!
//! A file of it is lines of JSON, two for a request: what was asked, and what was answered; every text that a client chose
//! is hashed in them, but for the path, the numbers, and the headers that Vault was told to keep as they are. What is read
//! here is read whole or not at all: a line that is cut, too long or no JSON may be the one that matters.

mod act;
mod body;
mod line;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, BufRead, Read as _};

use artifact::Moment;

pub use act::Act;
use act::Told;
pub use line::{Answer, Outcome};

/// The request header in which an attempt's id goes to Vault, as audit logs spell it.
pub const HEADER: &str = "x-countersign-attempt";

/// The longest line, in bytes. Servers take no request of more than 32 MiB, unless told otherwise.
const LINE: usize = 64 << 20;

/// A key of a transit engine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The namespace; empty for the root.
    pub namespace: String,
    /// Where the engine is mounted.
    pub mount: String,
    /// The key's name.
    pub key: String,
}

impl Place {
    /// A place as people write it, with or without `/` around its parts.
    pub fn new(namespace: Option<&str>, mount: &str, key: &str) -> Self {
        let bare = |text: &str| text.trim_matches('/').to_owned();
        let namespace = bare(namespace.unwrap_or_default());
        let namespace = if namespace == "root" { String::new() } else { namespace };
        Self { namespace, mount: bare(mount), key: bare(key) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, mount, key } = self;
        let between = if namespace.is_empty() { "" } else { "/" };
        write!(f, "{namespace}{between}{mount}/{key}")
    }
}

/// Why an audit log was not read.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file can't be read.
    #[error("{file}: {cause}")]
    Io {
        /// Which.
        file: String,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// It is compressed.
    #[error("{file}: compressed; decompress it first")]
    Compressed {
        /// Which.
        file: String,
    },
    /// A line is not one of an audit log.
    #[error("{file}, line {line}: {what}")]
    Line {
        /// In which file.
        file: String,
        /// Which, from 1.
        line: u64,
        /// What is wrong with it, and what to do.
        what: String,
    },
}

/// What one file speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Covered {
    /// Its name.
    pub file: String,
    /// How many lines it has.
    pub lines: u64,
    /// The whole seconds from its first line to its last; `None`: it has no line, or they are in the same second.
    pub period: Option<(Moment, Moment)>,
}

/// What was asked of the key, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Vault's own id of it.
    pub id: String,
    /// When, to the second.
    pub at: Moment,
    /// When, as Vault wrote it.
    pub time: String,
    /// Who asked, and from where, as Vault knows it.
    pub by: String,
    /// The path, with the namespace.
    pub path: String,
    /// What it does with the key.
    pub act: Act,
    /// The attempts it was made for, as its headers say: one, when the signer made it.
    pub attempts: Vec<String>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Files of one audit log, being read.
#[derive(Debug)]
pub struct AuditLog {
    place: Place,
    covered: Vec<Covered>,
    /// What may be about the key, by Vault's id of the request.
    told: BTreeMap<String, Told>,
}

impl AuditLog {
    /// Nothing read so far.
    pub fn of(place: Place) -> Self {
        Self { place, covered: Vec::new(), told: BTreeMap::new() }
    }

    /// Reads a file to its end. Files may come in any order, and overlap.
    ///
    /// # Errors
    /// The first line that is none; or the file can't be read.
    pub fn read(&mut self, file: &str, mut from: impl BufRead) -> Result<(), AuditError> {
        let unread = |cause| AuditError::Io { file: file.to_owned(), cause };
        let first = from.fill_buf().map_err(unread)?;
        if [&[0x1f, 0x8b][..], b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ"].iter().any(|magic| first.starts_with(magic)) {
            return Err(AuditError::Compressed { file: file.to_owned() });
        }
        let (mut lines, mut seen, mut bytes) = (0, None, Vec::new());
        while next(&mut from, &mut bytes).map_err(unread)? {
            lines += 1;
            let wrong = |what: String| AuditError::Line { file: file.to_owned(), line: lines, what };
            let (floor, ceiling) = self.take(&bytes).map_err(wrong)?;
            let (earliest, latest) = seen.unwrap_or((ceiling, floor));
            seen = Some((ceiling.min(earliest), floor.max(latest)));
        }
        let period = seen.filter(|(from, to)| from <= to);
        self.covered.push(Covered { file: file.to_owned(), lines, period });
        Ok(())
    }

    /// Takes a line, and says in which second it was written: the one before, and the one after.
    fn take(&mut self, bytes: &[u8]) -> Result<(Moment, Moment), String> {
        let Some((b'\n', text)) = bytes.split_last() else {
            return Err(match bytes.len() > LINE {
                true => format!("more than {} MiB: no line of an audit log is as long", LINE >> 20),
                false => "cut short: take a copy of whole lines, best of a file that was rotated".to_owned(),
            });
        };
        let line = line::Line::parse(text)?;
        let when = line.when()?;
        if !line.names(&self.place.key) {
            return Ok(when);
        }
        let (id, told) = Told::of(line, when.0)?;
        match self.told.get_mut(&id) {
            None => drop(self.told.insert(id, told)),
            Some(before) => before.join(told).map_err(|what| {
                format!("request {}: {what}: two lines speak of it, and not alike", artifact::digest::shortened(&id))
            })?,
        }
        Ok(when)
    }

    /// What each file covers, and every request that was about the key, the oldest first. An engine is known by what Vault
    /// calls it, so one that was moved to another path is the same.
    pub fn finish(self) -> (Vec<Covered>, Vec<Request>) {
        let here = |told: &&Told| told.stands_at(&self.place);
        let engines: BTreeSet<String> = self.told.values().filter(here).filter_map(Told::engine).collect();
        let ours = |told: &Told| told.stands_at(&self.place) || told.engine().is_some_and(|e| engines.contains(&e));
        let mut requests: Vec<Request> = self
            .told
            .into_iter()
            .filter(|(_, told)| ours(told))
            .filter_map(|(id, told)| told.request(id, &self.place))
            .collect();
        requests.sort_by(|a, b| (a.at, &a.time).cmp(&(b.at, &b.time)));
        (self.covered, requests)
    }
}

/// Reads a line with its end, or as much of it as a line may have; false at the file's end.
fn next(from: &mut impl BufRead, bytes: &mut Vec<u8>) -> io::Result<bool> {
    bytes.clear();
    Ok(from.take(LINE as u64 + 1).read_until(b'\n', bytes)? > 0)
}

#[cfg(test)]
mod tests;

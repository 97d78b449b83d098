//! Comparing: how equal two images are, or two trees, and in what they differ.
//!
//! Time stamps are not compared: they may differ between two images of the same file system. What gives rights comes
//! first in the list, because a list that was cut must not hide it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Read as _};

use artifact::oci::ImageConfig;
use artifact::statement::comparison::{Difference, LISTED, Level};
use serde_json::Value;

use crate::escape::{escaped, escaped_bytes};
use crate::image::Image;
use crate::tree::{CAPABILITY, Content, Kind, Node, Scratch, Tree};

/// The bytes that are shown of two contents, from the first that differs.
const SHOWN: usize = 24;

/// The bytes that are shown before it: a date that differs in its last digit is to be known for one.
const BEFORE: usize = 24;

/// What gives rights: listed first.
const RIGHTS: usize = 0;
/// What is there, who owns it, who may use it, where it leads.
const ACCESS: usize = 1;
/// What it holds.
const CONTENT: usize = 2;
/// The rest.
const REST: usize = 3;

/// In what two things differ.
#[derive(Debug, Default)]
pub struct Differences {
    /// By how much they matter. Found in the order of paths, so of each rank the first are enough.
    ranks: [Vec<Difference>; 4],
    total: u64,
}

impl Differences {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The first [`LISTED`], those that matter most before the others.
    pub fn listed(self) -> Vec<Difference> {
        self.ranks.into_iter().flatten().take(LISTED).collect()
    }

    /// Adds one; its words are only made if it is listed.
    fn add(&mut self, rank: usize, path: &str, kind: &str, words: impl FnOnce() -> (String, String)) {
        self.total += 1;
        let Some(listed) = self.ranks.get_mut(rank).filter(|listed| listed.len() < LISTED) else { return };
        let (rebuild, candidate) = words();
        listed.push(Difference { path: path.to_owned(), kind: kind.to_owned(), rebuild, candidate });
    }
}

/// Compares two images by their flattened trees, which [`Image::tree`] gave.
///
/// # Errors
/// As the scratch folder says.
pub fn images(
    rebuild: (&Image, &Tree),
    candidate: (&Image, &Tree),
    scratch: &Scratch,
) -> io::Result<(Level, Differences)> {
    let (ours, theirs) = (&rebuild.0.config, &candidate.0.config);
    let mut found = Differences::default();
    configs(ours, theirs, &mut found);
    trees_into(rebuild.1, candidate.1, scratch, &mut found)?;
    // The history is words, and one side may have none.
    let wordless = |config: &ImageConfig| ImageConfig { history: Vec::new(), ..config.clone() };
    let level = match () {
        () if rebuild.0.digest == candidate.0.digest => Level::BitForBit,
        () if !found.is_empty() => Level::Diverged,
        () if wordless(ours) == wordless(theirs) => Level::SameLayers,
        () => Level::SameFilesystem,
    };
    Ok((level, found))
}

/// Compares two trees.
///
/// # Errors
/// As the scratch folder says.
pub fn trees(rebuild: &Tree, candidate: &Tree, scratch: &Scratch) -> io::Result<Differences> {
    let mut found = Differences::default();
    trees_into(rebuild, candidate, scratch, &mut found)?;
    Ok(found)
}

fn trees_into(rebuild: &Tree, candidate: &Tree, scratch: &Scratch, found: &mut Differences) -> io::Result<()> {
    let firsts = (first_names(rebuild), first_names(candidate));
    let root = Node::implied();
    let paths: BTreeSet<&[u8]> = rebuild.keys().chain(candidate.keys()).map(Vec::as_slice).collect();
    for path in paths {
        // Every container has a root folder, described or not.
        let get = |tree: &'_ Tree| tree.get(path).cloned().or_else(|| path.is_empty().then(|| root.clone()));
        let name = if path.is_empty() { ".".to_owned() } else { escaped(path) };
        match (get(rebuild), get(candidate)) {
            (Some(ours), Some(theirs)) => {
                nodes(&name, &ours, &theirs, scratch, found)?;
                let (a, b) = (firsts.0.get(&ours.group), firsts.1.get(&theirs.group));
                let words = |first: Option<&&[u8]>| match first {
                    Some(first) => format!("linked to {}", escaped(first)),
                    None => "alone".to_owned(),
                };
                if a != b {
                    found.add(REST, &name, "hard-link", || (words(a), words(b)));
                }
            }
            (Some(ours), None) => {
                found.add(rank(&ours), &name, "only-in-rebuild", || (described(&ours), String::new()))
            }
            (None, Some(theirs)) => {
                found.add(rank(&theirs), &name, "only-in-candidate", || (String::new(), described(&theirs)));
            }
            (None, None) => {}
        }
    }
    Ok(())
}

fn nodes(path: &str, ours: &Node, theirs: &Node, scratch: &Scratch, found: &mut Differences) -> io::Result<()> {
    match (&ours.kind, &theirs.kind) {
        (Kind::File(a), Kind::File(b)) if a.digest != b.digest => {
            let mut failed = None;
            found.add(CONTENT, path, "content", || {
                contents(a, b, scratch).unwrap_or_else(|error| {
                    failed = Some(error);
                    Default::default()
                })
            });
            if let Some(error) = failed {
                return Err(error);
            }
        }
        (Kind::Symlink(a), Kind::Symlink(b)) if a != b => {
            found.add(ACCESS, path, "link-target", || (escaped(a), escaped(b)));
        }
        (Kind::Char(a, b), Kind::Char(c, d)) | (Kind::Block(a, b), Kind::Block(c, d)) if (a, b) != (c, d) => {
            found.add(RIGHTS, path, "device", || (format!("{a}:{b}"), format!("{c}:{d}")));
        }
        (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
            found.add(rank(ours).min(rank(theirs)), path, "type", || (described(ours), described(theirs)));
        }
        _ => {}
    }
    let symlinks = matches!((&ours.kind, &theirs.kind), (Kind::Symlink(_), Kind::Symlink(_)));
    // The mode of a symbolic link means nothing, and what writes archives disagrees on it.
    if ours.mode != theirs.mode && !symlinks {
        let (rank, kind) = if (ours.mode ^ theirs.mode) & 0o6000 != 0 { (RIGHTS, "setuid") } else { (ACCESS, "mode") };
        found.add(rank, path, kind, || (format!("{:04o}", ours.mode), format!("{:04o}", theirs.mode)));
    }
    if (ours.uid, ours.gid) != (theirs.uid, theirs.gid) {
        let owner = |node: &Node| format!("{}:{}", node.uid, node.gid);
        found.add(ACCESS, path, "owner", || (owner(ours), owner(theirs)));
    }
    let names: BTreeSet<&Vec<u8>> = ours.xattrs.keys().chain(theirs.xattrs.keys()).collect();
    for name in names {
        let (a, b) = (ours.xattrs.get(name), theirs.xattrs.get(name));
        if a == b {
            continue;
        }
        let value = |value: Option<&Vec<u8>>| match value {
            Some(value) => format!("{}={}", escaped(name), escaped_bytes(value)),
            None => String::new(),
        };
        let (rank, kind) = if name == CAPABILITY { (RIGHTS, "capability") } else { (ACCESS, "xattr") };
        found.add(rank, path, kind, || (value(a), value(b)));
    }
    Ok(())
}

/// Whether a node gives rights by being there.
fn rank(node: &Node) -> usize {
    let device = matches!(node.kind, Kind::Char(..) | Kind::Block(..));
    let program = node.mode & 0o6000 != 0 && matches!(node.kind, Kind::File(_));
    if device || program || node.xattrs.contains_key(CAPABILITY) { RIGHTS } else { ACCESS }
}

fn described(node: &Node) -> String {
    let kind = match &node.kind {
        Kind::Folder => "folder".to_owned(),
        Kind::File(content) => format!("file {}, {} bytes", short(content), content.size),
        Kind::Symlink(target) => format!("link to {}", escaped(target)),
        Kind::Char(major, minor) => format!("character device {major}:{minor}"),
        Kind::Block(major, minor) => format!("block device {major}:{minor}"),
        Kind::Fifo => "pipe".to_owned(),
    };
    let capability = if node.xattrs.contains_key(CAPABILITY) { ", with capabilities" } else { "" };
    format!("{kind}, mode {:04o}, owner {}:{}{capability}", node.mode, node.uid, node.gid)
}

fn short(content: &Content) -> String {
    content.digest.hex().chars().take(12).collect()
}

/// The first name of every group.
fn first_names(tree: &Tree) -> BTreeMap<u64, &[u8]> {
    let mut firsts = BTreeMap::new();
    for (path, node) in tree.iter().filter(|(_, node)| node.group != 0) {
        firsts.entry(node.group).or_insert(path.as_slice());
    }
    firsts
}

/// Both digests, and what stands at the first byte that differs, and before it.
fn contents(ours: &Content, theirs: &Content, scratch: &Scratch) -> io::Result<(String, String)> {
    let (mut a, mut b) = (BufReader::new(scratch.open(ours)?), BufReader::new(scratch.open(theirs)?));
    let mut offset = 0u64;
    let (mut left, mut right, mut before) = (Vec::new(), Vec::new(), Vec::new());
    loop {
        const PIECE: u64 = 64 << 10;
        left.clear();
        right.clear();
        (&mut a).take(PIECE).read_to_end(&mut left)?;
        (&mut b).take(PIECE).read_to_end(&mut right)?;
        let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
        offset += same as u64;
        before.extend_from_slice(&left[same.saturating_sub(BEFORE)..same]);
        before.drain(..before.len().saturating_sub(BEFORE));
        if same < left.len().max(right.len()) || left.is_empty() {
            left.drain(..same);
            right.drain(..same);
            break;
        }
    }
    let after = if offset == 0 { String::new() } else { format!(", after {}", escaped_bytes(&before)) };
    let shown = |content: &Content, from: &mut BufReader<std::fs::File>, piece: &mut Vec<u8>| {
        from.take(SHOWN as u64).read_to_end(piece)?;
        piece.truncate(SHOWN);
        io::Result::Ok(format!("{} at {offset}{after}: {}", short(content), escaped_bytes(piece)))
    };
    Ok((shown(ours, &mut a, &mut left)?, shown(theirs, &mut b, &mut right)?))
}

fn configs(ours: &ImageConfig, theirs: &ImageConfig, found: &mut Differences) {
    let (a, b) = (fields(ours), fields(theirs));
    let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    for name in names {
        let (a, b) = (a.get(name), b.get(name));
        if a != b {
            let path = format!("config.{}", escaped(name.as_bytes()));
            found.add(RIGHTS, &path, "config", || (unlike(a, b), unlike(b, a)));
        }
    }
}

/// What decides what runs. Docker writes out what is empty, and OCI leaves it out.
fn fields(config: &ImageConfig) -> BTreeMap<String, Value> {
    let mut fields = match serde_json::to_value(&config.config) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    for (name, value) in [("architecture", &config.architecture), ("os", &config.os)] {
        fields.insert(name.to_owned(), value.clone().into());
    }
    fields.insert("variant".to_owned(), config.variant.clone().into());
    let empty = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    };
    fields.into_iter().filter(|(_, value)| !empty(value)).collect()
}

/// The part of a value that the other side does not have; all of it when only the order differs.
fn unlike(value: Option<&Value>, other: Option<&Value>) -> String {
    let own = match (value, other) {
        (None, _) => return String::new(),
        (Some(Value::Array(a)), Some(Value::Array(b)))
            if a.iter().chain(b).any(|v| !(a.contains(v) && b.contains(v))) =>
        {
            Value::Array(a.iter().filter(|v| !b.contains(v)).cloned().collect())
        }
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            Value::Object(a.iter().filter(|(k, v)| b.get(*k) != Some(v)).map(|(k, v)| (k.clone(), v.clone())).collect())
        }
        (Some(value), _) => value.clone(),
    };
    escaped(own.to_string().as_bytes())
}

#[cfg(test)]
mod tests;

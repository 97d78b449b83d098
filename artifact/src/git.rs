//! Git objects as bytes: named by their hash, parsed strictly. No pack, no delta, no compression: the stream we
//! keep is `<type> <size>\0<content>`, one object after another, the commit first.

use std::fmt;
use std::io::{self, BufRead, Read};

use sha1::Digest as _;

use crate::digest::{CommitId, hex};

/// The most bytes of a commit or a tree object. Git itself sets none; the largest trees of large projects are
/// some megabytes.
pub const META_LIMIT: u64 = 32 << 20;

/// The most bytes of one file's content.
pub const BLOB_LIMIT: u64 = 2 << 30;

/// Why an object was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The stream ended, or failed, within an object.
    #[error("the git objects were cut: {0}")]
    Io(#[from] io::Error),
    /// Not `<type> <size>\0`.
    #[error("a git object begins with {0:?}")]
    Header(String),
    /// Larger than we read.
    #[error("a {kind} of {size} bytes, and the limit is {limit}")]
    TooLarge {
        /// What it is.
        kind: Kind,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// A commit that git would not have written.
    #[error("commit {0}: {1}")]
    Commit(CommitId, &'static str),
    /// A tree that git would not have written, or that tricks a checkout.
    #[error("tree {id}: entry {name:?}: {why}")]
    Tree {
        /// The tree.
        id: CommitId,
        /// The entry.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// What an object is. Tags are resolved before anything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A commit.
    Commit,
    /// A tree.
    Tree,
    /// A file's content, or a link's target.
    Blob,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
        })
    }
}

/// The header an object's hash begins with.
pub fn header(kind: Kind, size: u64) -> String {
    format!("{kind} {size}\0")
}

/// Computes an object's id while its content passes.
pub struct ObjectHasher(Algorithm);

enum Algorithm {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
}

impl ObjectHasher {
    /// Begins an object of a repository whose ids look like `like`.
    pub fn new(like: &CommitId, kind: Kind, size: u64) -> Self {
        let mut hasher = match like.as_str().len() {
            40 => Self(Algorithm::Sha1(sha1::Sha1::new())),
            _ => Self(Algorithm::Sha256(sha2::Sha256::new())),
        };
        hasher.update(header(kind, size).as_bytes());
        hasher
    }

    /// Takes the next bytes of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Algorithm::Sha1(hasher) => hasher.update(bytes),
            Algorithm::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The object's id.
    pub fn finish(self) -> CommitId {
        let text = match self.0 {
            Algorithm::Sha1(hasher) => hex(&hasher.finalize()),
            Algorithm::Sha256(hasher) => hex(&hasher.finalize()),
        };
        CommitId::from_hex(text)
    }
}

/// The id of an object whose bytes are at hand.
pub fn object_id(like: &CommitId, kind: Kind, content: &[u8]) -> CommitId {
    let mut hasher = ObjectHasher::new(like, kind, content.len() as u64);
    hasher.update(content);
    hasher.finish()
}

/// Reads the header of the next object of a stream; `None` at its end.
///
/// # Errors
/// Anything but `<type> <size>\0` in its one spelling, and a size over the limit of its kind.
pub fn next_header(stream: &mut impl BufRead) -> Result<Option<(Kind, u64)>, GitError> {
    // "commit " and twenty digits and NUL.
    const LONGEST: u64 = 28;
    let mut line = Vec::new();
    stream.take(LONGEST).read_until(0, &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    let error = || GitError::Header(String::from_utf8_lossy(&line).into_owned());
    let text = line.strip_suffix(&[0]).and_then(|l| std::str::from_utf8(l).ok()).ok_or_else(error)?;
    let (kind, size) = text.split_once(' ').ok_or_else(error)?;
    let kind = match kind {
        "commit" => Kind::Commit,
        "tree" => Kind::Tree,
        "blob" => Kind::Blob,
        _ => return Err(error()),
    };
    let parsed: u64 = size.parse().map_err(|_| error())?;
    if parsed.to_string() != size {
        return Err(error());
    }
    let limit = if kind == Kind::Blob { BLOB_LIMIT } else { META_LIMIT };
    if parsed > limit {
        return Err(GitError::TooLarge { kind, size: parsed, limit });
    }
    Ok(Some((kind, parsed)))
}

/// A commit object, parsed as far as a promotion needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The commit's id, computed from its bytes.
    pub id: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// Its parents, first parent first.
    pub parents: Vec<CommitId>,
    /// The committer's time, seconds since 1970. The committer's claim.
    pub committed: i64,
    /// The armoured signature in `gpgsig`, unfolded, if there is one.
    pub signature: Option<String>,
    /// The bytes that the signature is over: the object without its `gpgsig` header.
    pub signed: Vec<u8>,
}

impl Commit {
    /// Parses the bytes of the commit object that `id` names.
    ///
    /// # Errors
    /// The bytes are not that object's, or not a commit in the shape git writes.
    pub fn parse(id: &CommitId, content: &[u8]) -> Result<Self, GitError> {
        let fault = |why| GitError::Commit(id.clone(), why);
        if object_id(id, Kind::Commit, content) != *id {
            return Err(fault("the bytes have another id"));
        }
        let end = content.windows(2).position(|w| w == b"\n\n").ok_or_else(|| fault("no end of the header"))?;
        let header = std::str::from_utf8(&content[..end]).map_err(|_| fault("a header that is not UTF-8"))?;
        let mut lines = header.split('\n').peekable();
        let tree = lines.next().and_then(|l| l.strip_prefix("tree ")).ok_or_else(|| fault("no tree"))?;
        let mut parents = Vec::new();
        while let Some(parent) = lines.next_if(|l| l.starts_with("parent ")) {
            parents.push(parent["parent ".len()..].parse().map_err(|_| fault("a parent that is no id"))?);
        }
        lines.next().filter(|l| l.starts_with("author ")).ok_or_else(|| fault("no author"))?;
        let committer = lines.next().and_then(|l| l.strip_prefix("committer ")).ok_or_else(|| fault("no committer"))?;
        let committed = committer.rsplit(' ').nth(1).and_then(|t| t.parse().ok());
        let committed = committed.ok_or_else(|| fault("a committer without a time"))?;
        let mut signature: Option<String> = None;
        let mut signed = Vec::with_capacity(content.len());
        let mut in_signature = false;
        for line in header.split('\n') {
            match (line.strip_prefix("gpgsig "), line.strip_prefix(' ')) {
                (Some(_), _) if signature.is_some() => return Err(fault("two signatures")),
                (Some(first), _) => {
                    in_signature = true;
                    signature = Some(first.to_owned());
                }
                (None, Some(more)) if in_signature => {
                    if let Some(text) = signature.as_mut() {
                        text.push('\n');
                        text.push_str(more);
                    }
                }
                _ => {
                    in_signature = false;
                    signed.extend_from_slice(line.as_bytes());
                    signed.push(b'\n');
                }
            }
        }
        signed.extend_from_slice(&content[end + 1..]);
        let tree = tree.parse().map_err(|_| fault("a tree that is no id"))?;
        Ok(Self { id: id.clone(), tree, parents, committed, signature, signed })
    }
}

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Tree,
    /// A file.
    File,
    /// A file to run.
    Executable,
    /// A symbolic link; the blob is its target.
    Symlink,
    /// A submodule; the id is a commit of another repository.
    Submodule,
}

/// An entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// What it is.
    pub kind: EntryKind,
    /// Its name: one component, UTF-8, never one that tricks a checkout.
    pub name: String,
    /// The object it names.
    pub id: CommitId,
}

/// Parses the bytes of the tree object that `id` names.
///
/// # Errors
/// The bytes are not that object's, or an entry that git would not write or that tricks a checkout: `.`, `..`,
/// `.git` in any case or disguise, a slash, a control character, a name twice or differing in case only, wrong order.
pub fn parse_tree(id: &CommitId, content: &[u8]) -> Result<Vec<TreeEntry>, GitError> {
    let fault = |name: &[u8], why| GitError::Tree {
        id: id.clone(),
        name: crate::digest::shortened(&String::from_utf8_lossy(name)),
        why,
    };
    if object_id(id, Kind::Tree, content) != *id {
        return Err(fault(b"", "the bytes have another id"));
    }
    let raw_len = id.as_str().len() / 2;
    let mut entries: Vec<TreeEntry> = Vec::new();
    let mut folded = std::collections::BTreeSet::new();
    let mut rest = content;
    while !rest.is_empty() {
        let space = rest.iter().take(8).position(|&c| c == b' ').ok_or_else(|| fault(b"", "no mode"))?;
        let nul = rest.iter().position(|&c| c == 0).ok_or_else(|| fault(b"", "no end of the name"))?;
        if nul < space || rest.len() < nul + 1 + raw_len {
            return Err(fault(b"", "cut"));
        }
        let (mode, name) = (&rest[..space], &rest[space + 1..nul]);
        let kind = match mode {
            b"40000" => EntryKind::Tree,
            b"100644" | b"100664" => EntryKind::File,
            b"100755" => EntryKind::Executable,
            b"120000" => EntryKind::Symlink,
            b"160000" => EntryKind::Submodule,
            _ => return Err(fault(name, "a mode that git does not write")),
        };
        let text = checked_name(name).map_err(|why| fault(name, why))?;
        if !folded.insert(text.to_lowercase()) {
            return Err(fault(name, "a name twice, or differing in case only"));
        }
        let entry =
            TreeEntry { kind, name: text.to_owned(), id: CommitId::from_hex(hex(&rest[nul + 1..nul + 1 + raw_len])) };
        if entries.last().is_some_and(|last| sort_key(last) >= sort_key(&entry)) {
            return Err(fault(name, "out of order"));
        }
        entries.push(entry);
        rest = &rest[nul + 1 + raw_len..];
    }
    Ok(entries)
}

/// Git sorts a folder as if its name ended in a slash.
fn sort_key(entry: &TreeEntry) -> Vec<u8> {
    let mut key = entry.name.clone().into_bytes();
    if entry.kind == EntryKind::Tree {
        key.push(b'/');
    }
    key
}

/// One component of a path that no file system reads as something else.
fn checked_name(name: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(name).map_err(|_| "not UTF-8")?;
    // HFS+ ignores these code points in names: ".g\u{200c}it" would be ".git" there.
    let ignorable =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let plain: String = text.chars().filter(|&c| !ignorable(c)).collect::<String>().to_lowercase();
    let plain = plain.trim_end_matches([' ', '.']);
    match text {
        "" => Err("empty"),
        "." | ".." => Err("a step to this folder or out of it"),
        _ if plain == ".git" || plain == "git~1" => Err("git's own folder"),
        _ if text.len() > 255 => Err("longer than 255 bytes"),
        _ if text.contains('/') => Err("a slash"),
        _ if text.chars().any(char::is_control) => Err("a control character"),
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sha1() -> CommitId {
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap()
    }

    fn tree(entries: &[(&str, &[u8])]) -> (CommitId, Vec<u8>) {
        let mut bytes = Vec::new();
        for (mode, name) in entries {
            bytes.extend_from_slice(mode.as_bytes());
            bytes.push(b' ');
            bytes.extend_from_slice(name);
            bytes.push(0);
            bytes.extend_from_slice(&[7; 20]);
        }
        (object_id(&sha1(), Kind::Tree, &bytes), bytes)
    }

    #[test]
    fn the_empty_tree_has_its_well_known_id() {
        assert_eq!(object_id(&sha1(), Kind::Tree, b""), sha1());
        assert_eq!(parse_tree(&sha1(), b"").unwrap(), []);
    }

    #[test]
    fn names_that_trick_a_checkout_are_refused() {
        for name in [
            &b"."[..],
            b"..",
            b".git",
            b".GIT",
            b".git ",
            b".git.",
            "\u{200c}.git".as_bytes(),
            b"GIT~1",
            b"a/b",
            b"a\nb",
            b"\xff",
            b"",
        ] {
            let (id, bytes) = tree(&[("100644", name)]);
            assert!(parse_tree(&id, &bytes).is_err(), "{}", String::from_utf8_lossy(name));
        }
        for (first, second) in [(&b"a"[..], &b"A"[..]), (b"a", b"a"), (b"b", b"a")] {
            let (id, bytes) = tree(&[("100644", first), ("100644", second)]);
            assert!(parse_tree(&id, &bytes).is_err());
        }
        let (id, bytes) = tree(&[("100644", b"a.b"), ("40000", b"a"), ("120000", b"b")]);
        assert_eq!(parse_tree(&id, &bytes).unwrap().len(), 3);
    }

    #[test]
    fn a_commit_without_its_signature_is_what_was_signed() {
        let content = b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a> 1 +0000\ncommitter A <a> 2 +0000\ngpgsig -----BEGIN\n x\n -----END\n\nhello\n";
        let id = object_id(&sha1(), Kind::Commit, content);
        let commit = Commit::parse(&id, content).unwrap();
        assert_eq!(commit.signature.as_deref(), Some("-----BEGIN\nx\n-----END"));
        assert_eq!(
            commit.signed,
            b"tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a> 1 +0000\ncommitter A <a> 2 +0000\n\nhello\n"
        );
        assert_eq!(commit.committed, 2);
        assert!(Commit::parse(&sha1(), content).is_err());
    }

    #[test]
    fn a_header_has_one_spelling_and_a_bound() {
        assert_eq!(next_header(&mut &b"blob 3\0abc"[..]).unwrap(), Some((Kind::Blob, 3)));
        assert_eq!(next_header(&mut &b""[..]).unwrap(), None);
        for wrong in [
            &b"blob 03\0"[..],
            b"blob +3\0",
            b"tag 3\0",
            b"blob 3",
            b"tree 99999999999\0",
            b"blob 99999999999999999999999999999\0",
        ] {
            assert!(next_header(&mut &wrong[..]).is_err());
        }
    }
}

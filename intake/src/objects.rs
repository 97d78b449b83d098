//! A commit's objects, into a dossier's stream: the commit, its trees, its blobs, each once and always in the same order.
//! Every id is worked out from the bytes; every name in every tree is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};

use artifact::CommitId;
use artifact::dossier;
use artifact::git::{self, Commit, EntryKind, Kind, TreeEntry};
use artifact::layout::{BlobWriter, Layout, LayoutError};
use artifact::oci::Descriptor;

use crate::session::{ObjectError, Session};

/// The most bytes of the commit object: it travels in a frame, and stands in the log.
const COMMIT: usize = 512 << 10;
/// How deep folders may be nested: far deeper than people nest, and no danger to a stack.
const DEPTH: usize = 256;
/// The most files, links and folders of a source tree: the largest public projects have some hundred thousand. A small
/// repository can name billions, by naming the same folder again and again.
const PATHS: usize = 2_000_000;
/// The most bytes of a source tree's content, each file counted once.
const CONTENT: u64 = 16 << 30;

/// Why a commit's objects were not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// An object is missing, or not what it should be.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LayoutError),
    /// A tree that no checkout should meet.
    #[error("{0}")]
    Tree(String),
}

/// The objects of a commit, in a store.
#[derive(Debug)]
pub(crate) struct Gathered {
    /// The commit.
    pub commit: Commit,
    /// Its bytes, without the header.
    pub raw: Vec<u8>,
    /// The stream in the store.
    pub objects: Descriptor,
    /// The entries of the root folder.
    pub root: Vec<TreeEntry>,
    /// Submodules: where, and at which commit; in the order of their paths.
    pub links: BTreeMap<String, CommitId>,
}

/// Gathers a commit's objects into a store.
pub(crate) fn gather(session: &mut Session, id: &CommitId, store: &Layout) -> Result<Gathered, GatherError> {
    let (commit, raw) = session.commit(id)?;
    if raw.len() > COMMIT {
        return Err(GatherError::Tree(format!("a commit object of {} bytes, and the limit is {COMMIT}", raw.len())));
    }
    let mut walk = Walk::default();
    walk.tree(session, &commit.tree, "", 0)?;
    let mut stream = Stream(BufWriter::with_capacity(1 << 18, store.writer()?));
    stream.object(Kind::Commit, &raw)?;
    let Walk { order, mut trees, blobs, links, .. } = walk;
    for tree in &order {
        stream.object(Kind::Tree, &session.tree(tree)?.1)?;
    }
    let mut total = 0_u64;
    for blob in &blobs {
        total += stream.blob(session, blob)?;
        if total > CONTENT {
            return Err(GatherError::Tree(format!("more than the limit of {CONTENT} bytes of content")));
        }
    }
    let (digest, size) = stream.finish()?;
    let objects = Descriptor::new(dossier::OBJECTS, digest, size);
    let root = trees.remove(&commit.tree).unwrap_or_default();
    Ok(Gathered { commit, raw, objects, root, links })
}

#[derive(Default)]
struct Walk {
    paths: usize,
    trees: BTreeMap<CommitId, Vec<TreeEntry>>,
    order: Vec<CommitId>,
    blobs: Vec<CommitId>,
    seen_blobs: BTreeSet<CommitId>,
    links: BTreeMap<String, CommitId>,
}

impl Walk {
    fn tree(&mut self, session: &mut Session, id: &CommitId, path: &str, depth: usize) -> Result<(), GatherError> {
        if depth > DEPTH {
            return Err(GatherError::Tree(format!("folders nested deeper than {DEPTH}")));
        }
        if !self.trees.contains_key(id) {
            let (entries, _) = session.tree(id)?;
            self.trees.insert(id.clone(), entries);
            self.order.push(id.clone());
        }
        let entries = self.trees.get(id).cloned().unwrap_or_default();
        for entry in entries {
            self.paths += 1;
            if self.paths > PATHS {
                return Err(GatherError::Tree(format!("more than {PATHS} files and folders")));
            }
            let path = if path.is_empty() { entry.name.clone() } else { format!("{path}/{}", entry.name) };
            match entry.kind {
                EntryKind::Tree => self.tree(session, &entry.id, &path, depth + 1)?,
                EntryKind::Submodule => drop(self.links.insert(path, entry.id)),
                EntryKind::File | EntryKind::Executable | EntryKind::Symlink => {
                    if self.seen_blobs.insert(entry.id.clone()) {
                        self.blobs.push(entry.id);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The stream of a dossier on its way into the store.
struct Stream(BufWriter<BlobWriter>);

impl Stream {
    fn object(&mut self, kind: Kind, content: &[u8]) -> Result<(), ObjectError> {
        self.0.write_all(git::header(kind, content.len() as u64).as_bytes())?;
        Ok(self.0.write_all(content)?)
    }

    fn blob(&mut self, session: &mut Session, id: &CommitId) -> Result<u64, ObjectError> {
        session.copy_blob(id, &mut self.0)
    }

    fn finish(self) -> Result<(artifact::Digest, u64), GatherError> {
        self.0.into_inner().map_err(|e| ObjectError::Io(e.into_error()))?.finish().map_err(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Ground;

    /// A commit on a tree whose entries are written as they are, past everything git refuses.
    fn raw_commit(ground: &Ground, entries: &[(&str, &str, &CommitId)]) -> CommitId {
        let tree = ground.raw_tree(entries);
        ground.commit_tree(&tree)
    }

    fn gathered(ground: &Ground, commit: &CommitId) -> Result<Gathered, GatherError> {
        let git = ground.git();
        let mut session = Session::open(&git, &ground.repository()).unwrap();
        gather(&mut session, commit, &ground.store())
    }

    #[test]
    fn the_stream_is_whole_and_always_the_same() {
        let ground = Ground::new();
        ground.write("a/x", "same");
        ground.write("b/x", "same");
        ground.write("b/y", "other");
        ground.write("empty", "");
        let commit = ground.commit("one");
        let first = gathered(&ground, &commit).unwrap();
        let bytes = ground.store().read(&first.objects, 1 << 20).unwrap();
        assert_eq!(gathered(&ground, &commit).unwrap().objects, first.objects);
        let mut stream = &bytes[..];
        let mut kinds = Vec::new();
        let mut ids = BTreeSet::new();
        while let Some((kind, size)) = git::next_header(&mut stream).unwrap() {
            let (content, rest) = stream.split_at(size as usize);
            stream = rest;
            assert!(ids.insert(git::object_id(&commit, kind, content)), "each once");
            kinds.push(kind.to_string());
        }
        assert_eq!(kinds, ["commit", "tree", "tree", "tree", "blob", "blob", "blob"]);
        assert_eq!(Commit::parse(&commit, &first.raw).unwrap(), first.commit);
        assert_eq!(first.root.len(), 3);
    }

    #[test]
    fn trees_that_trick_a_checkout_are_refused() {
        let ground = Ground::new();
        let blob = ground.blob("x");
        for name in ["..", ".git", ".GIT", "a/b", "git~1"] {
            let commit = raw_commit(&ground, &[("100644", name, &blob)]);
            assert!(gathered(&ground, &commit).is_err(), "{name}");
        }
        let commit = raw_commit(&ground, &[("100644", "A", &blob), ("100644", "a", &blob)]);
        assert!(gathered(&ground, &commit).is_err());
        let inner = ground.raw_tree(&[("100644", "..", &blob)]);
        let commit = raw_commit(&ground, &[("40000", "fine", &inner)]);
        assert!(gathered(&ground, &commit).is_err());
    }

    #[test]
    fn a_small_repository_of_billions_of_files_is_refused() {
        let ground = Ground::new();
        let mut tree = ground.raw_tree(&[("100644", "x", &ground.blob("x"))]);
        for _ in 0..12 {
            let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
            let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_str(), &tree)).collect();
            tree = ground.raw_tree(&entries);
        }
        let error = gathered(&ground, &ground.commit_tree(&tree)).unwrap_err();
        assert!(matches!(error, GatherError::Tree(_)), "{error}");
    }

    #[test]
    fn an_object_that_is_something_else_is_refused() {
        let ground = Ground::new();
        let blob = ground.blob("x");
        let commit = raw_commit(&ground, &[("40000", "folder", &blob)]);
        assert!(matches!(gathered(&ground, &commit), Err(GatherError::Object(ObjectError::Kind(..)))));
        let missing: CommitId = "00000000000000000000000000000000000000aa".parse().unwrap();
        let commit = raw_commit(&ground, &[("100644", "gone", &missing)]);
        assert!(matches!(gathered(&ground, &commit), Err(GatherError::Object(ObjectError::Missing(_)))));
    }

    #[test]
    fn a_commit_that_no_entry_of_the_log_could_hold_is_refused() {
        let ground = Ground::new();
        let fitting = ground.commit(&"x".repeat(100 << 10));
        assert!(gathered(&ground, &fitting).is_ok());
        let tree = ground.run(&["rev-parse", "HEAD^{tree}"]);
        let text = format!("tree {tree}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n\n{}", "x".repeat(COMMIT));
        let error = gathered(&ground, &ground.raw_commit(&text)).unwrap_err();
        assert!(error.to_string().contains("a commit object of"), "{error}");
    }

    #[test]
    fn submodules_are_noted_by_path() {
        let ground = Ground::new();
        let pinned: CommitId = "00000000000000000000000000000000000000aa".parse().unwrap();
        let inner = ground.raw_tree(&[("160000", "lib", &pinned)]);
        let commit = raw_commit(&ground, &[("40000", "a", &inner), ("40000", "b", &inner)]);
        let links = gathered(&ground, &commit).unwrap().links;
        assert_eq!(links.keys().collect::<Vec<_>>(), ["a/lib", "b/lib"]);
        assert_eq!(links["a/lib"], pinned);
    }
}

//! The source tree, from the git objects of a dossier: every object's id is worked out again, and nothing is written
//! outside of the tree.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};

use artifact::CommitId;
use artifact::git::{self, Commit, EntryKind, GitError, Kind, ObjectHasher, TreeEntry};
use artifact::layout::{Layout, LayoutError};
use artifact::oci::Descriptor;

/// How deep a source tree may be: far deeper than people nest, and no danger to a stack.
const DEPTH: usize = 256;

/// The longest target of a symbolic link, in bytes: what Linux allows.
const TARGET: u64 = 4096;

/// Why a source tree could not be written.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The file system said no.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// An object is not what its id says, or not what git writes.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The stream is not the one that the dossier names.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The stream lacks an object, or holds one twice, or begins with another commit.
    #[error("the dossier's git objects: {0}")]
    Stream(String),
}

/// The objects of one commit, each checked: trees in memory, blobs in a folder.
#[derive(Debug)]
pub struct Objects {
    commit: Commit,
    trees: BTreeMap<CommitId, Vec<TreeEntry>>,
    blobs: PathBuf,
}

/// Which way folders are filled: file systems list them by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As git sorts.
    Ascending,
    /// The other way.
    Descending,
}

impl Objects {
    /// Reads a stream of objects; blobs go to a folder of their own, by id.
    ///
    /// # Errors
    /// Anything that is not as its id, or the dossier, says.
    pub fn read(store: &Layout, stream: &Descriptor, commit: &CommitId, blobs: &Path) -> Result<Self, CheckoutError> {
        fs::create_dir_all(blobs).map_err(|cause| CheckoutError::Io { path: blobs.to_owned(), cause })?;
        let mut reader = BufReader::with_capacity(1 << 16, store.stream(stream)?);
        let mut first = None;
        let mut trees = BTreeMap::new();
        while let Some((kind, size)) = git::next_header(&mut reader)? {
            match kind {
                Kind::Commit if first.is_none() => {
                    let content = content(&mut reader, size)?;
                    first = Some(Commit::parse(commit, &content)?);
                }
                Kind::Commit => return Err(CheckoutError::Stream("a second commit".into())),
                Kind::Tree => {
                    let content = content(&mut reader, size)?;
                    let id = git::object_id(commit, Kind::Tree, &content);
                    trees.insert(id.clone(), git::parse_tree(&id, &content)?);
                }
                Kind::Blob => spool(&mut reader, size, commit, blobs)?,
            }
        }
        let blob_reader = reader.into_inner();
        blob_reader.finish()?;
        let commit = first.ok_or_else(|| CheckoutError::Stream("no commit".into()))?;
        Ok(Self { commit, trees, blobs: blobs.to_owned() })
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// A file in the root folder, at most `limit` bytes.
    ///
    /// # Errors
    /// No such file, or a larger one.
    pub fn root_file(&self, name: &str, limit: usize) -> Result<Vec<u8>, CheckoutError> {
        let missing = || CheckoutError::Stream(format!("no file {name} in the root folder"));
        let root = self.trees.get(&self.commit.tree).ok_or_else(missing)?;
        let entry = root.iter().find(|e| e.name == name).ok_or_else(missing)?;
        let path = self.blobs.join(entry.id.as_str());
        let io = |cause| CheckoutError::Io { path: path.clone(), cause };
        let mut bytes = Vec::new();
        File::open(&path).map_err(io)?.take(limit as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
        Ok(bytes)
    }

    /// Whether this tree pins that commit at that path: folders all the way, and a submodule at the end.
    pub fn pins(&self, path: &str, commit: &CommitId) -> bool {
        let mut tree = self.commit.tree.clone();
        let mut parts = path.split('/').peekable();
        while let Some(part) = parts.next() {
            let Some(entry) = self.trees.get(&tree).and_then(|t| t.iter().find(|e| e.name == part)) else {
                return false;
            };
            match (entry.kind, parts.peek()) {
                (EntryKind::Tree, Some(_)) => tree = entry.id.clone(),
                (EntryKind::Submodule, None) => return entry.id == *commit,
                _ => return false,
            }
        }
        false
    }

    /// Writes the tree into a folder that is made for it. Submodules become empty folders: their own objects follow.
    ///
    /// # Errors
    /// A missing object, a tree that is too deep, or what the file system says.
    pub fn write(&self, folder: &Path, order: Order) -> Result<(), CheckoutError> {
        self.write_tree(&self.commit.tree, folder, order, 0)
    }

    fn write_tree(&self, id: &CommitId, folder: &Path, order: Order, depth: usize) -> Result<(), CheckoutError> {
        if depth > DEPTH {
            return Err(CheckoutError::Stream(format!("folders nested deeper than {DEPTH}")));
        }
        let entries = self.trees.get(id).ok_or_else(|| CheckoutError::Stream(format!("tree {id} is missing")))?;
        fs::create_dir_all(folder).map_err(|cause| CheckoutError::Io { path: folder.to_owned(), cause })?;
        let mut entries: Vec<&TreeEntry> = entries.iter().collect();
        if order == Order::Descending {
            entries.reverse();
        }
        for entry in entries {
            let path = folder.join(&entry.name);
            match entry.kind {
                EntryKind::Tree => self.write_tree(&entry.id, &path, order, depth + 1)?,
                EntryKind::File => self.write_file(&entry.id, &path, 0o644)?,
                EntryKind::Executable => self.write_file(&entry.id, &path, 0o755)?,
                EntryKind::Symlink => self.write_link(&entry.id, &path)?,
                EntryKind::Submodule => {
                    fs::create_dir(&path).map_err(|cause| CheckoutError::Io { path: path.clone(), cause })?;
                }
            }
        }
        Ok(())
    }

    fn write_file(&self, id: &CommitId, path: &Path, mode: u32) -> Result<(), CheckoutError> {
        let io = |cause| CheckoutError::Io { path: path.to_owned(), cause };
        let blob = self.blobs.join(id.as_str());
        let mut from = File::open(&blob).map_err(|_| CheckoutError::Stream(format!("blob {id} is missing")))?;
        // A new file, never one that is there: no link is followed, and no name is written twice.
        let mut to = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(io)?;
        io::copy(&mut from, &mut to).map_err(io)?;
        Ok(())
    }

    fn write_link(&self, id: &CommitId, path: &Path) -> Result<(), CheckoutError> {
        let blob = self.blobs.join(id.as_str());
        let mut target = Vec::new();
        let file = File::open(&blob).map_err(|_| CheckoutError::Stream(format!("blob {id} is missing")))?;
        let io = |cause| CheckoutError::Io { path: path.to_owned(), cause };
        file.take(TARGET + 1).read_to_end(&mut target).map_err(io)?;
        if target.is_empty() || target.len() as u64 > TARGET || target.contains(&0) {
            return Err(CheckoutError::Stream(format!("{}: not a link's target", path.display())));
        }
        use std::os::unix::ffi::OsStrExt as _;
        symlink(std::ffi::OsStr::from_bytes(&target), path).map_err(io)
    }
}

/// An object that is small enough for memory: [`git::next_header`] has bounded it.
fn content(reader: &mut impl Read, size: u64) -> Result<Vec<u8>, CheckoutError> {
    let mut content = Vec::new();
    let cut = || CheckoutError::Stream("the stream ends within an object".into());
    reader.take(size).read_to_end(&mut content).map_err(|_| cut())?;
    if content.len() as u64 == size { Ok(content) } else { Err(cut()) }
}

fn spool(reader: &mut impl Read, size: u64, like: &CommitId, folder: &Path) -> Result<(), CheckoutError> {
    let part = folder.join("part");
    let io = |cause| CheckoutError::Io { path: part.clone(), cause };
    let mut hasher = ObjectHasher::new(like, Kind::Blob, size);
    let mut to = File::create(&part).map_err(io)?;
    let mut left = size;
    let mut piece = vec![0; 1 << 16];
    while left > 0 {
        let wanted = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = reader.read(&mut piece[..wanted]).map_err(io)?;
        if n == 0 {
            return Err(CheckoutError::Stream("the stream ends within an object".into()));
        }
        hasher.update(&piece[..n]);
        to.write_all(&piece[..n]).map_err(io)?;
        left -= n as u64;
    }
    fs::rename(&part, folder.join(hasher.finish().as_str())).map_err(io)
}

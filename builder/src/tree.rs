//! A file system as data: what a stack of layers amounts to, names sorted, contents by digest in a scratch folder.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use artifact::Digest;
use sha2::{Digest as _, Sha256};

/// A flattened file system: by path, without a leading or a trailing slash. The empty path is the root folder; it
/// is there only when a layer says something about it.
pub type Tree = BTreeMap<Vec<u8>, Node>;

/// The attribute that gives a program rights.
pub const CAPABILITY: &[u8] = b"security.capability";

/// Something in a file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Its mode's lowest twelve bits: permissions, set-user-id, set-group-id, sticky.
    pub mode: u32,
    /// Its owner.
    pub uid: u64,
    /// Its group.
    pub gid: u64,
    /// When it was last changed, in seconds since 1970.
    pub mtime: i64,
    /// Its extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Nodes of one non-zero group are one inode with several names.
    pub group: u64,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File(Content),
    /// A symbolic link, with its target.
    Symlink(Vec<u8>),
    /// A character device: major and minor number.
    Char(u32, u32),
    /// A block device: major and minor number.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

impl Node {
    /// The folder that a path implies when no layer describes it: everybody may read it, root owns it.
    pub fn implied() -> Self {
        Self { kind: Kind::Folder, mode: 0o755, uid: 0, gid: 0, mtime: 0, xattrs: BTreeMap::new(), group: 0 }
    }
}

/// A file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Content {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

/// Where contents are kept while they are worked on: one file for each digest. Nothing in it outlives a job.
#[derive(Debug, Clone)]
pub struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Takes this folder for contents, and makes it when it is not there.
    ///
    /// # Errors
    /// As the file system says.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder)?;
        Ok(Self { folder })
    }

    /// Keeps everything that the reader gives. It is never in memory as a whole.
    ///
    /// # Errors
    /// As the reader or the file system says.
    pub fn put(&self, mut content: impl Read) -> io::Result<Content> {
        // One room, one thread that writes here: one name for the part is enough.
        let part = self.folder.join("part");
        let mut file = File::create(&part)?;
        let (mut hasher, mut size) = (Sha256::new(), 0);
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n])?;
            size += n as u64;
        }
        let digest = Digest::from_raw(hasher.finalize().into());
        fs::rename(&part, self.path(&digest))?;
        Ok(Content { digest, size })
    }

    /// Opens a content that was kept here.
    ///
    /// # Errors
    /// It is not there, or as the file system says.
    pub fn open(&self, content: &Content) -> io::Result<File> {
        File::open(self.path(&content.digest))
    }

    /// Moves a content out, to where it is needed for the last time.
    ///
    /// # Errors
    /// It is not there, or as the file system says.
    pub fn take(&self, content: &Content, to: &Path) -> io::Result<()> {
        fs::rename(self.path(&content.digest), to)
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(digest.hex())
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Numbers the groups by their first names, from one; a node that is alone in its group gets zero. Then two trees
/// are equal exactly when their file systems are.
pub fn number_groups(tree: &mut Tree) {
    let mut names: BTreeMap<u64, u64> = BTreeMap::new();
    for node in tree.values().filter(|n| n.group != 0) {
        *names.entry(node.group).or_default() += 1;
    }
    let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
    for node in tree.values_mut().filter(|n| n.group != 0) {
        node.group = match names.get(&node.group) {
            Some(2..) => {
                let next = numbers.len() as u64 + 1;
                *numbers.entry(node.group).or_insert(next)
            }
            _ => 0,
        };
    }
}

/// The folders above a path, the highest first, without the root.
pub fn parents(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end])
}

#[cfg(test)]
pub(crate) mod arbitrary;

//! Layers laid over one another: what a container would see of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::ops::Bound;

use artifact::Digest;
use artifact::digest::{HashingReader, shortened};
use artifact::layout::{Layout, LayoutError};
use artifact::oci::Descriptor;

use crate::archive::{self, ArchiveError, Budget, Entry, EntryKind};
use crate::tree::{self, CAPABILITY, Kind, Node, Scratch, Tree};

/// The prefix of a name that takes away the rest of that name from the layers below.
const WHITEOUT: &[u8] = b".wh.";

/// The name that takes away everything that the layers below have in its folder.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why layers were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum FlattenError {
    /// A layer that is no plain tar, or more than the limits.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A layer's blob is not what its descriptor names.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The layer before compression is not what the configuration names.
    #[error("a layer has digest {found} before compression, and the configuration says {expected}")]
    DiffId {
        /// What the configuration says.
        expected: Digest,
        /// What was read.
        found: Digest,
    },
    /// An entry that runtimes would place differently.
    #[error("{path:?} in a layer: {why}")]
    Place {
        /// Its path, shortened.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl From<io::Error> for FlattenError {
    fn from(error: io::Error) -> Self {
        Self::Archive(error.into())
    }
}

/// Layers on their way to one file system, the lowest first.
#[derive(Debug)]
pub struct Flattener {
    scratch: Scratch,
    tree: Tree,
    budget: Budget,
    groups: u64,
    /// Folders of the layer at hand that no entry has described so far, in a set-group-id folder.
    inherited: BTreeSet<Vec<u8>>,
}

impl Flattener {
    /// Nothing yet; contents will go to this folder.
    pub fn new(scratch: &Scratch) -> Self {
        Self::within(scratch, Budget::default())
    }

    /// The same, with limits of its own.
    pub fn within(scratch: &Scratch, budget: Budget) -> Self {
        Self { scratch: scratch.clone(), tree: Tree::new(), budget, groups: 0, inherited: BTreeSet::new() }
    }

    /// Lays the next layer on top, and gives its digest before compression.
    ///
    /// # Errors
    /// Not a layer we take, or another digest than expected. Then nothing of this flattener may be used.
    pub fn apply(
        &mut self,
        layer: impl Read,
        media_type: &str,
        diff_id: Option<&Digest>,
    ) -> Result<Digest, FlattenError> {
        let mut plain = HashingReader::new(archive::decompressed(layer, media_type)?);
        let entries = archive::entries(&mut plain, &mut self.budget, &self.scratch)?;
        let (found, _) = plain.finish();
        if let Some(expected) = diff_id.filter(|d| **d != found) {
            return Err(FlattenError::DiffId { expected: *expected, found });
        }
        self.whiteouts(&entries)?;
        for entry in entries {
            if whiteout(&entry.path).is_none() {
                self.place(entry)?;
            }
        }
        // The kernel gives such a folder the group and the bit, unless it is made where its parent is not.
        match self.inherited.first() {
            Some(path) => Err(place(path, "a set-group-id folder above it, and no entry that describes it")),
            None => Ok(found),
        }
    }

    /// As [`Flattener::apply`], for a blob of a store; its own digest is checked as well.
    ///
    /// # Errors
    /// As [`Flattener::apply`].
    pub fn apply_blob(
        &mut self,
        store: &Layout,
        layer: &Descriptor,
        diff_id: Option<&Digest>,
    ) -> Result<Digest, FlattenError> {
        let mut blob = store.stream(layer)?;
        let applied = self.apply(&mut blob, &layer.media_type, diff_id);
        // Other bytes than the named ones explain whatever else is wrong.
        blob.finish()?;
        applied
    }

    /// Takes what is no layer of an image but a plain tar: names that would be whiteouts in a layer are refused,
    /// because whoever unpacks what is made of it would delete files.
    ///
    /// # Errors
    /// As [`Flattener::apply`].
    pub fn apply_plain(&mut self, tar: impl Read) -> Result<(), FlattenError> {
        let entries = archive::entries(&mut { tar }, &mut self.budget, &self.scratch)?;
        for entry in entries {
            if entry.path.split(|b| *b == b'/').any(|part| part.starts_with(WHITEOUT)) {
                return Err(place(&entry.path, "a name that deletes a file when the layer is unpacked"));
            }
            self.place(entry)?;
        }
        Ok(())
    }

    /// The file system.
    pub fn finish(mut self) -> Tree {
        tree::number_groups(&mut self.tree);
        self.tree
    }

    /// Whiteouts speak of the layers below only, wherever they stand in their layer: so they go first. Most runtimes
    /// take entries as they come, and an overlay file system has its own view: where that makes a difference, the layer
    /// is refused.
    fn whiteouts(&mut self, entries: &[Entry]) -> Result<(), FlattenError> {
        let mut own: BTreeMap<&[u8], bool> = BTreeMap::new();
        let mut implied = BTreeSet::new();
        let mut hidden = BTreeSet::new();
        let mut opaque = BTreeSet::new();
        for entry in entries {
            let refused = |why| Err(place(&entry.path, why));
            for parent in tree::parents(&entry.path) {
                if whiteout(parent).is_some() {
                    return refused("it stands below a whiteout");
                }
                if hidden.contains(parent) {
                    return refused("it stands below what its own layer takes away");
                }
                if own.get(parent) == Some(&false) {
                    return refused("it stands below something that is no folder");
                }
            }
            let Some((folder, name)) = whiteout(&entry.path) else {
                let is_folder = entry.kind == EntryKind::Folder;
                if is_folder && hidden.contains(&entry.path) {
                    return refused("a folder that its own layer takes away");
                }
                for parent in tree::parents(&entry.path) {
                    if own.insert(parent, true).is_none() {
                        implied.insert(parent);
                    }
                }
                implied.remove(&entry.path[..]);
                if own.insert(&entry.path, is_folder).is_some_and(|before| before != is_folder) {
                    return refused("a folder, and something else, by one name in one layer");
                }
                continue;
            };
            let below = || self.tree.get(folder).is_some_and(|node| node.kind == Kind::Folder);
            if !folder.is_empty() && !own.get(folder).copied().unwrap_or_else(below) {
                return refused("a whiteout in a folder that is not there");
            }
            match name {
                OPAQUE if folder.is_empty() => return refused("a whiteout of everything"),
                OPAQUE if any_below(&implied, folder) => {
                    return refused("it takes away a folder that its own layer has filled, and not described");
                }
                OPAQUE => opaque.insert(folder),
                name => {
                    let path = hides(folder, name).ok_or_else(|| place(&entry.path, "a whiteout of no file"))?;
                    if own.contains_key(&path[..]) {
                        return refused("it takes away what its own layer has put there");
                    }
                    hidden.insert(path)
                }
            };
        }
        for folder in opaque {
            self.remove_below(folder);
        }
        for path in hidden {
            self.remove_below(&path);
            self.tree.remove(&path);
        }
        Ok(())
    }

    fn place(&mut self, entry: Entry) -> Result<(), FlattenError> {
        let mut missing = Vec::new();
        let setgid = |node: &Node| node.mode & 0o2000 != 0;
        let mut inherits = self.tree.get(&b""[..]).is_some_and(setgid);
        for parent in tree::parents(&entry.path) {
            match self.tree.get(parent) {
                Some(node) if node.kind == Kind::Folder => inherits = setgid(node),
                None => {
                    if inherits {
                        self.inherited.insert(parent.to_vec());
                    }
                    missing.push(parent.to_vec());
                }
                // Docker would follow a link, and Podman would replace it.
                Some(_) => return Err(place(&entry.path, "it stands below something that is no folder")),
            }
        }
        self.inherited.remove(&entry.path);
        for parent in missing {
            self.budget.entry(parent.len())?;
            self.tree.insert(parent, Node::implied());
        }
        let mut node = Node {
            kind: Kind::Folder,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs,
            group: 0,
        };
        node.kind = match entry.kind {
            EntryKind::Folder => Kind::Folder,
            EntryKind::File(content) => Kind::File(content),
            EntryKind::Symlink(target) => Kind::Symlink(target),
            EntryKind::Char(major, minor) => Kind::Char(major, minor),
            EntryKind::Block(major, minor) => Kind::Block(major, minor),
            EntryKind::Fifo => Kind::Fifo,
            EntryKind::Link(target) => {
                let Some(first) = self.tree.get_mut(&target).filter(|n| n.kind != Kind::Folder) else {
                    return Err(place(&entry.path, "a hard link to nothing, or to a folder"));
                };
                // Runtimes clear the place first, and would then find nothing to link to.
                if target == entry.path || tree::parents(&target).any(|parent| parent == entry.path) {
                    return Err(place(&entry.path, "a hard link that replaces what it leads to"));
                }
                if !same_inode(first, &node) {
                    return Err(place(&entry.path, "a hard link with another mode, owner or attribute than its file"));
                }
                if first.group == 0 {
                    self.groups += 1;
                    first.group = self.groups;
                }
                let target = if let Kind::Symlink(target) = &first.kind { target.len() } else { 0 };
                let xattrs: usize = first.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
                self.budget.names(target + xattrs)?;
                node = first.clone();
                node.kind.clone()
            }
        };
        if node.kind != Kind::Folder {
            self.remove_below(&entry.path);
        }
        self.tree.insert(entry.path, node);
        Ok(())
    }

    /// Removes what is in a folder, and leaves the folder.
    fn remove_below(&mut self, folder: &[u8]) {
        let mut first = folder.to_vec();
        if !folder.is_empty() {
            first.push(b'/');
        }
        let below = |tree: &BTreeMap<Vec<u8>, Node>| {
            let mut range = tree.range::<[u8], _>((Bound::Excluded(&first[..]), Bound::Unbounded));
            range.next().map(|(path, _)| path.clone()).filter(|path| path.starts_with(&first))
        };
        while let Some(path) = below(&self.tree) {
            self.tree.remove(&path);
        }
    }
}

/// Flattens the layers of a store, the lowest first, each with its digest before compression.
///
/// # Errors
/// As [`Flattener::apply`].
pub fn flatten<'l>(
    store: &Layout,
    layers: impl IntoIterator<Item = (&'l Descriptor, Option<&'l Digest>)>,
    scratch: &Scratch,
    budget: Budget,
) -> Result<Tree, FlattenError> {
    let mut flattener = Flattener::within(scratch, budget);
    for (layer, diff_id) in layers {
        flattener.apply_blob(store, layer, diff_id)?;
    }
    Ok(flattener.finish())
}

/// Whether a hard link's own entry says what its file's says. Most runtimes write mode, owner and attributes through the
/// link, and a change of owner takes capabilities away; others pass them over.
fn same_inode(file: &Node, link: &Node) -> bool {
    // The mode of a symbolic link means nothing.
    (file.mode == link.mode || matches!(file.kind, Kind::Symlink(_)))
        && (file.uid, file.gid) == (link.uid, link.gid)
        && link.xattrs.iter().all(|(name, value)| file.xattrs.get(name) == Some(value))
        && file.xattrs.get(CAPABILITY) == link.xattrs.get(CAPABILITY)
}

/// Whether one of these paths is below a folder.
fn any_below(paths: &BTreeSet<&[u8]>, folder: &[u8]) -> bool {
    let first = [folder, b"/"].concat();
    let mut rest = paths.range::<[u8], _>((Bound::Included(&first[..]), Bound::Unbounded));
    rest.next().is_some_and(|path| path.starts_with(&first))
}

/// The path that a whiteout takes away.
fn hides(folder: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let hidden = &name[WHITEOUT.len()..];
    let none = hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(WHITEOUT);
    (!none).then(|| [folder, if folder.is_empty() { b"" } else { b"/" }, hidden].concat())
}

/// The folder and the name of a whiteout.
fn whiteout(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let (folder, name) = match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&b""[..], path),
    };
    name.starts_with(WHITEOUT).then_some((folder, name))
}

fn place(path: &[u8], why: &'static str) -> FlattenError {
    FlattenError::Place { path: shortened(&String::from_utf8_lossy(path)), why }
}

#[cfg(test)]
mod tests;

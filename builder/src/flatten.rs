//! Layers laid over one another: what a container would see of them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::ops::Bound;

use artifact::Digest;
use artifact::digest::{HashingReader, shortened};
use artifact::layout::{Layout, LayoutError};
use artifact::oci::Descriptor;

use crate::archive::{self, ArchiveError, Budget, Entry, EntryKind};
use crate::tree::{self, Kind, Node, Scratch, Tree};

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
}

impl Flattener {
    /// Nothing yet; contents will go to this folder.
    pub fn new(scratch: &Scratch) -> Self {
        Self::within(scratch, Budget::default())
    }

    /// The same, with limits of its own.
    pub fn within(scratch: &Scratch, budget: Budget) -> Self {
        Self { scratch: scratch.clone(), tree: Tree::new(), budget, groups: 0 }
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
        Ok(found)
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

    /// Whiteouts speak of the layers below only, wherever they stand in their layer: so they go first.
    fn whiteouts(&mut self, entries: &[Entry]) -> Result<(), FlattenError> {
        for entry in entries {
            if tree::parents(&entry.path).any(|parent| whiteout(parent).is_some()) {
                return Err(place(&entry.path, "it stands below a whiteout"));
            }
            let Some((folder, name)) = whiteout(&entry.path) else { continue };
            if name == OPAQUE {
                self.remove_below(folder);
                continue;
            }
            let hidden = &name[WHITEOUT.len()..];
            if hidden.is_empty() || hidden == b"." || hidden == b".." || hidden.starts_with(WHITEOUT) {
                return Err(place(&entry.path, "a whiteout of no file"));
            }
            let path = [folder, if folder.is_empty() { b"" } else { b"/" }, hidden].concat();
            self.remove_below(&path);
            self.tree.remove(&path);
        }
        Ok(())
    }

    fn place(&mut self, entry: Entry) -> Result<(), FlattenError> {
        let mut missing = Vec::new();
        for parent in tree::parents(&entry.path) {
            match self.tree.get(parent).map(|node| &node.kind) {
                Some(Kind::Folder) => {}
                None => missing.push(parent.to_vec()),
                // Docker would follow a link, and Podman would replace it.
                Some(_) => return Err(place(&entry.path, "it stands below something that is no folder")),
            }
        }
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
                if target == entry.path {
                    return Ok(());
                }
                // Runtimes clear the place first, and would then find nothing to link to.
                if target.strip_prefix(&entry.path[..]).is_some_and(|rest| rest.first() == Some(&b'/')) {
                    return Err(place(&entry.path, "a hard link to something that it replaces"));
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
mod tests {
    use super::*;

    /// `dir/` a folder, `file=content`, `name->target` a symbolic link, `name=>target` a hard link.
    fn layer(lines: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for line in lines {
            let mut header = tar::Header::new_ustar();
            header.set_mode(0o644);
            header.set_size(0);
            if let Some((name, target)) = line.split_once("=>") {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, name, target).unwrap();
            } else if let Some((name, target)) = line.split_once("->") {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, name, target).unwrap();
            } else if let Some((name, content)) = line.split_once('=') {
                header.set_size(content.len() as u64);
                builder.append_data(&mut header, name, content.as_bytes()).unwrap();
            } else {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, line, &b""[..]).unwrap();
            }
        }
        builder.into_inner().unwrap()
    }

    fn flat(layers: &[&[&str]]) -> Result<Vec<String>, FlattenError> {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let mut flattener = Flattener::new(&scratch);
        for lines in layers {
            flattener.apply(&layer(lines)[..], "", None)?;
        }
        let tree = flattener.finish();
        let line = |(path, node): (&Vec<u8>, &Node)| {
            let kind = match &node.kind {
                Kind::Folder => "/".to_owned(),
                Kind::File(c) => format!("={}#{}", io::read_to_string(scratch.open(c).unwrap()).unwrap(), node.group),
                other => format!("{other:?}"),
            };
            String::from_utf8_lossy(path).into_owned() + &kind
        };
        Ok(tree.iter().map(line).collect())
    }

    #[test]
    fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
        let below: &[&str] = &["a/", "a/x=1", "a/y=1", "b=1", "ab=1"];
        assert_eq!(flat(&[below, &["a/.wh.x=", ".wh.b="]]).unwrap(), ["a/", "a/y=1#0", "ab=1#0"]);
        assert_eq!(flat(&[below, &["a/z=2", "a/.wh..wh..opq="]]).unwrap(), ["a/", "a/z=2#0", "ab=1#0", "b=1#0"]);
        assert_eq!(flat(&[below, &["a/x=2", ".wh.a=", ".wh..wh..opq="]]).unwrap(), ["a/", "a/x=2#0"]);
        assert!(flat(&[&["a/.wh.="]]).is_err());
        assert!(flat(&[&[".wh.a/x="]]).is_err());
        assert!(flat(&[&[".wh.."]]).is_err() && flat(&[&[".wh..wh.plnk="]]).is_err());
    }

    #[test]
    fn what_comes_later_replaces_what_was_there() {
        assert_eq!(flat(&[&["a=1", "a=2"], &["a=3"]]).unwrap(), ["a=3#0"]);
        assert_eq!(flat(&[&["a=1"], &["a/", "a/b=2"]]).unwrap(), ["a/", "a/b=2#0"]);
        assert_eq!(flat(&[&["a/", "a/b=2", "a-c=1"], &["a=1"]]).unwrap(), ["a=1#0", "a-c=1#0"]);
        assert_eq!(flat(&[&["a/b/c=1"], &["a/"]]).unwrap(), ["a/", "a/b/", "a/b/c=1#0"]);
    }

    #[test]
    fn hard_links_are_one_file_until_one_is_replaced() {
        assert_eq!(flat(&[&["a=1", "b=>a", "c=>b"], &["b=2"]]).unwrap(), ["a=1#1", "b=2#0", "c=1#1"]);
        assert_eq!(flat(&[&["a=1", "b=>a"], &["b=2"]]).unwrap(), ["a=1#0", "b=2#0"]);
        assert!(flat(&[&["b=>a"]]).is_err() && flat(&[&["a/", "b=>a"]]).is_err());
        assert!(flat(&[&["a/b=1", "a=>a/b"]]).is_err());
    }

    #[test]
    fn nothing_is_placed_through_a_link_or_a_file() {
        assert!(flat(&[&["a->/etc", "a/passwd=x"]]).is_err());
        assert!(flat(&[&["a=1"], &["a/b=2"]]).is_err());
    }

    #[test]
    fn a_layer_with_another_digest_is_refused_and_a_plain_tar_has_no_whiteouts() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path()).unwrap();
        let tar = layer(&["a=1"]);
        let mut flattener = Flattener::new(&scratch);
        assert!(flattener.apply(&tar[..], "", Some(&Digest::of(&tar))).is_ok());
        assert!(flattener.apply(&tar[..], "", Some(&Digest::of(b""))).is_err());
        assert!(flattener.apply_plain(&layer(&["a/.wh.b="])[..]).is_err());
    }
}

//! A file system as it lies on disk, as the comparer's tree: what a container would see.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use builder::tree::{Kind, Node, Scratch, Tree, number_groups};

/// Reads everything below a folder, and the folder itself. Of whom things are is only read as root: an ordinary user owns
/// whatever he unpacks.
pub fn read(root: &Path, scratch: &Scratch) -> Tree {
    let mut tree = Tree::new();
    walk(root, b"", scratch, &mut tree);
    number_groups(&mut tree);
    tree
}

fn walk(root: &Path, name: &[u8], scratch: &Scratch, tree: &mut Tree) {
    let path = root.join(OsStr::from_bytes(name));
    let meta = fs::symlink_metadata(&path).unwrap();
    let device = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
    let kind = meta.file_type();
    let kind = match () {
        () if kind.is_dir() => Kind::Folder,
        () if kind.is_symlink() => Kind::Symlink(fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()),
        () if kind.is_file() => Kind::File(scratch.put(fs::File::open(&path).unwrap()).unwrap()),
        () if kind.is_char_device() => Kind::Char(device.0, device.1),
        () if kind.is_block_device() => Kind::Block(device.0, device.1),
        () if kind.is_fifo() => Kind::Fifo,
        () => panic!("{}: a socket", path.display()),
    };
    let root_user = rustix::process::geteuid().is_root();
    let owner = if root_user { (meta.uid().into(), meta.gid().into()) } else { (0, 0) };
    let node = Node {
        mode: meta.mode() & 0o7777,
        uid: owner.0,
        gid: owner.1,
        mtime: meta.mtime(),
        xattrs: attributes(&path),
        group: if kind != Kind::Folder && meta.nlink() > 1 { meta.ino() } else { 0 },
        kind: kind.clone(),
    };
    tree.insert(name.to_vec(), node);
    if kind == Kind::Folder {
        for entry in fs::read_dir(&path).unwrap() {
            let below = entry.unwrap().file_name();
            let slash = if name.is_empty() { &b""[..] } else { b"/" };
            walk(root, &[name, slash, below.as_bytes()].concat(), scratch, tree);
        }
    }
}

fn attributes(path: &Path) -> std::collections::BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path, &mut names).unwrap();
    let names = names[..length].split(|b| *b == 0).filter(|name| !name.is_empty());
    // The host's own labels, where it has any.
    let names = names.filter(|name| *name != b"security.selinux");
    let read = |name: &[u8]| {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
        (name.to_vec(), value[..length].to_vec())
    };
    names.map(read).collect()
}

/// A tree without what does not matter, so that two are equal exactly when their containers are the same: a second opinion
/// on what the comparer says, in one line.
pub fn what_matters(tree: &Tree) -> Tree {
    let mut tree = tree.clone();
    tree.entry(Vec::new()).or_insert_with(Node::implied);
    for node in tree.values_mut() {
        node.mtime = 0;
        if matches!(node.kind, Kind::Symlink(_)) {
            node.mode = 0o777;
        }
    }
    tree
}

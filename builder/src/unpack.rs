//! A base image as a root file system on disk. Made of the flattened tree, in which nothing stands below a link: so no
//! link is ever followed, and nothing is written outside.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};

use artifact::Digest;
use artifact::dossier::Base;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, ImageConfig, OciError};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps};

use crate::archive::Budget;
use crate::escape::escaped;
use crate::flatten::{FlattenError, flatten};
use crate::tree::{Kind, Node, Scratch, Tree};

/// The highest id that a sandbox with a range has.
const LAST_ID: u64 = 65_535;

/// Why a base could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The file system said no.
    #[error("{}: {cause}", escaped(path.as_os_str().as_bytes()))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The dossier's store said no.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The image's configuration is none.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// A layer is broken.
    #[error(transparent)]
    Flatten(#[from] FlattenError),
    /// An owner that a sandbox can't have.
    #[error("{}: owner {id}, and a sandbox has ids up to {LAST_ID}", escaped(path.as_os_str().as_bytes()))]
    Owner {
        /// The file.
        path: PathBuf,
        /// Its owner or group.
        id: u64,
    },
    /// The configuration names other layers than the manifest.
    #[error("the base's configuration lists {diff_ids} layers, its manifest {layers}")]
    Layers {
        /// In the configuration.
        diff_ids: usize,
        /// In the manifest.
        layers: usize,
    },
}

/// Unpacks a base into a folder that is made for it. Device nodes are left out: the sandbox has its own.
///
/// # Errors
/// As [`UnpackError`].
pub fn unpack(store: &Layout, base: &Base, rootfs: &Path, scratch: &Path, ranges: bool) -> Result<(), UnpackError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| UnpackError::Io { path, cause }
    };
    let config = ImageConfig::parse(&store.read(&base.config, oci::CONFIG_LIMIT)?)?;
    let diff_ids = &config.rootfs.diff_ids;
    if diff_ids.len() != base.layers.len() {
        return Err(UnpackError::Layers { diff_ids: diff_ids.len(), layers: base.layers.len() });
    }
    let content = Scratch::new(scratch).map_err(io(scratch))?;
    let tree = flatten(store, base.layers.iter().zip(diff_ids.iter().map(Some)), &content, Budget::default())?;
    fs::create_dir_all(rootfs).map_err(io(rootfs))?;
    write(&tree, &content, rootfs, ranges)?;
    fs::remove_dir_all(scratch).map_err(io(scratch))
}

fn write(tree: &Tree, content: &Scratch, rootfs: &Path, ranges: bool) -> Result<(), UnpackError> {
    let mut links: BTreeMap<u64, PathBuf> = BTreeMap::new();
    // How often a content is still needed: the last time it is moved, so that a base takes its own room once.
    let mut uses: BTreeMap<Digest, usize> = BTreeMap::new();
    let mut groups = BTreeSet::new();
    for node in tree.values() {
        if let Kind::File(file) = &node.kind
            && (node.group == 0 || groups.insert(node.group))
        {
            *uses.entry(file.digest).or_default() += 1;
        }
    }
    for (name, node) in tree {
        let path = rootfs.join(OsStr::from_bytes(name));
        let io = |cause| UnpackError::Io { path: path.clone(), cause };
        if name.is_empty() {
            // The root itself: it is there.
            dress(rootfs, node, ranges)?;
            continue;
        }
        if matches!(node.kind, Kind::Char(..) | Kind::Block(..)) {
            // Under none of its names.
            continue;
        }
        if node.group != 0 {
            if let Some(first) = links.get(&node.group) {
                fs::hard_link(first, &path).map_err(io)?;
                continue;
            }
            links.insert(node.group, path.clone());
        }
        match &node.kind {
            Kind::Folder => fs::create_dir(&path).map_err(io)?,
            Kind::Symlink(target) => symlink(OsStr::from_bytes(target), &path).map_err(io)?,
            Kind::Fifo => {
                rustix::fs::mknodat(CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0)
                    .map_err(|e| io(e.into()))?;
            }
            Kind::Char(..) | Kind::Block(..) => {}
            Kind::File(file) if uses.get(&file.digest) == Some(&1) => content.take(file, &path).map_err(io)?,
            Kind::File(file) => {
                uses.entry(file.digest).and_modify(|left| *left -= 1);
                let mut from = content.open(file).map_err(io)?;
                let mut to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(io)?;
                io::copy(&mut from, &mut to).map_err(io)?;
            }
        }
        dress(&path, node, ranges)?;
    }
    // Last, because filling a folder changes its time.
    for (name, node) in tree.iter().rev().filter(|(_, n)| n.kind == Kind::Folder) {
        touch(&rootfs.join(OsStr::from_bytes(name)), node.mtime)?;
    }
    Ok(())
}

/// Owner, attributes, mode, time: in this order, because each change of owner clears setuid and capabilities.
fn dress(path: &Path, node: &Node, ranges: bool) -> Result<(), UnpackError> {
    let io = |cause| UnpackError::Io { path: path.to_owned(), cause };
    if ranges {
        let id = |id: u64| match u32::try_from(id) {
            Ok(small) if id <= LAST_ID => Ok(small),
            _ => Err(UnpackError::Owner { path: path.to_owned(), id }),
        };
        lchown(path, Some(id(node.uid)?), Some(id(node.gid)?)).map_err(io)?;
    }
    if matches!(node.kind, Kind::Symlink(_)) {
        return touch(path, node.mtime);
    }
    for (name, value) in &node.xattrs {
        let flags = rustix::fs::XattrFlags::empty();
        match rustix::fs::lsetxattr(path, OsStr::from_bytes(name), value, flags) {
            Ok(()) => {}
            // With one id there are no capabilities to give, and tmpfs may know no such attribute; no build needs them.
            Err(_) if !ranges => {}
            Err(rustix::io::Errno::NOTSUP | rustix::io::Errno::PERM) => {}
            Err(e) => return Err(io(e.into())),
        }
    }
    fs::set_permissions(path, fs::Permissions::from_mode(node.mode)).map_err(io)?;
    touch(path, node.mtime)
}

fn touch(path: &Path, mtime: i64) -> Result<(), UnpackError> {
    let time = Timespec { tv_sec: mtime, tv_nsec: 0 };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|cause| UnpackError::Io { path: path.to_owned(), cause: cause.into() })
}

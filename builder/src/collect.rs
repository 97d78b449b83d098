//! What a run left: `$OUT` as an uncompressed tar, names sorted, with owners, modes, links and attributes as they are.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Descriptor};

use crate::escape::escaped;

/// How many files, folders and links a run may leave.
const ENTRIES: usize = 1_000_000;

/// The longest list of extended attribute names, and the longest value, in bytes: what Linux allows.
const XATTR: usize = 64 << 10;

/// Why the result could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The file system said no.
    #[error("{}: {cause}", escaped(path.as_os_str().as_bytes()))]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The store said no.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// More entries than [`ENTRIES`].
    #[error("more than {ENTRIES} files in $OUT")]
    TooMany,
    /// Something that no image holds.
    #[error("{}: a socket or a device can't be packed", escaped(.0.as_os_str().as_bytes()))]
    Kind(PathBuf),
}

/// Packs a folder into a store.
///
/// # Errors
/// As [`CollectError`].
pub fn collect(out: &Path, store: &Layout) -> Result<Descriptor, CollectError> {
    let mut tar = tar::Builder::new(store.writer()?);
    tar.follow_symlinks(false);
    let mut links: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut count = 0;
    walk(out, Path::new(""), &mut |relative, meta| {
        count += 1;
        if count > ENTRIES {
            return Err(CollectError::TooMany);
        }
        append(&mut tar, &out.join(relative), relative, meta, &mut links)
    })?;
    let io = |cause| CollectError::Io { path: out.to_owned(), cause };
    let writer = tar.into_inner().map_err(io)?;
    let (digest, size) = writer.finish()?;
    Ok(Descriptor::new(oci::LAYER, digest, size))
}

/// Visits everything below a folder, sorted by name, parents first.
fn walk(
    root: &Path,
    relative: &Path,
    visit: &mut impl FnMut(&Path, &Metadata) -> Result<(), CollectError>,
) -> Result<(), CollectError> {
    let folder = root.join(relative);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |cause| CollectError::Io { path, cause }
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(io(&folder))? {
        names.push(entry.map_err(io(&folder))?.file_name());
        if names.len() > ENTRIES {
            return Err(CollectError::TooMany);
        }
    }
    names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for name in names {
        let path = relative.join(name);
        let meta = fs::symlink_metadata(root.join(&path)).map_err(io(&path))?;
        visit(&path, &meta)?;
        if meta.is_dir() {
            walk(root, &path, visit)?;
        }
    }
    Ok(())
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    path: &Path,
    relative: &Path,
    meta: &Metadata,
    links: &mut BTreeMap<(u64, u64), PathBuf>,
) -> Result<(), CollectError> {
    let io = |cause| CollectError::Io { path: relative.to_owned(), cause };
    let kind = meta.file_type();
    let mut header = tar::Header::new_ustar();
    header.set_mode(meta.mode() & 0o7777);
    header.set_uid(meta.uid().into());
    header.set_gid(meta.gid().into());
    header.set_mtime(u64::try_from(meta.mtime()).unwrap_or(0));
    header.set_size(0);
    if kind.is_file() || kind.is_dir() {
        let attributes = attributes(path).map_err(io)?;
        let records = attributes.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        tar.append_pax_extensions(records).map_err(io)?;
    }
    if kind.is_file() && meta.nlink() > 1 {
        if let Some(first) = links.get(&(meta.dev(), meta.ino())) {
            header.set_entry_type(tar::EntryType::Link);
            return tar.append_link(&mut header, relative, first).map_err(io);
        }
        links.insert((meta.dev(), meta.ino()), relative.to_owned());
    }
    if kind.is_file() {
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(meta.len());
        let file = File::open(path).map_err(io)?;
        return tar.append_data(&mut header, relative, file).map_err(io);
    }
    if kind.is_symlink() {
        header.set_entry_type(tar::EntryType::Symlink);
        return tar.append_link(&mut header, relative, fs::read_link(path).map_err(io)?).map_err(io);
    }
    header.set_entry_type(match () {
        () if kind.is_dir() => tar::EntryType::Directory,
        () if kind.is_fifo() => tar::EntryType::Fifo,
        () => return Err(CollectError::Kind(relative.to_owned())),
    });
    tar.append_data(&mut header, relative, io::empty()).map_err(io)
}

/// The extended attributes that images keep, as PAX records.
fn attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; XATTR];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let text = String::from_utf8_lossy(name);
        if text != "security.capability" && !text.starts_with("user.") {
            continue;
        }
        let mut value = vec![0; XATTR];
        let length = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value)?;
        value.truncate(length);
        found.push((format!("SCHILY.xattr.{text}"), value));
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use rustix::fs::{XattrFlags, lsetxattr};

    use super::*;
    use crate::flatten::Flattener;
    use crate::tree::{CAPABILITY, Scratch};

    #[test]
    fn every_name_of_a_hard_link_has_the_attributes_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        fs::write(out.join("tool"), "tool").unwrap();
        // Only root may give rights; an ordinary user's attribute takes the same way.
        let root = rustix::process::geteuid().is_root();
        let name = if root { CAPABILITY } else { b"user.note" };
        // Version 2: the right to bind low ports, effective at once.
        let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        lsetxattr(out.join("tool"), OsStr::from_bytes(name), &value, XattrFlags::empty()).unwrap();
        fs::hard_link(out.join("tool"), out.join("again")).unwrap();
        let store = Layout::create(folder.path().join("store")).unwrap();
        let tar = collect(&out, &store).unwrap();
        let scratch = Scratch::new(folder.path().join("scratch")).unwrap();
        let mut flattener = Flattener::new(&scratch);
        flattener.apply_plain(store.stream(&tar).unwrap()).unwrap();
        let tree = flattener.finish();
        for path in ["again", "tool"] {
            let node = &tree[path.as_bytes()];
            assert_eq!((node.group, &node.xattrs[name][..]), (1, &value[..]), "{path}");
        }
    }
}

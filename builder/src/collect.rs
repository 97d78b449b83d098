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
use crate::pack::XATTRS;

/// How many files, folders and links a run may leave.
const ENTRIES: usize = 1_000_000;

/// The longest path in bytes, below `$OUT`: what an image may hold, and what we can still name with the folders above it.
const PATH: usize = 3072;

/// The longest path that counts as part of its entry alone, in bytes.
const USUAL_PATH: usize = 256;

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
    /// More bytes, as the files' lengths say it: one that is nearly all holes counts in full.
    #[error("the files in $OUT have more than {0} bytes together")]
    TooLarge(u64),
    /// Something that no image holds.
    #[error("{}: {}", escaped(.0.as_os_str().as_bytes()), .1)]
    Unfit(PathBuf, &'static str),
}

/// Packs a folder, of at most `most` bytes, into a store.
///
/// # Errors
/// As [`CollectError`].
pub fn collect(out: &Path, most: u64, store: &Layout) -> Result<Descriptor, CollectError> {
    let mut tar = tar::Builder::new(store.writer()?);
    tar.follow_symlinks(false);
    let mut links: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let (mut count, mut bytes) = (0, 0u64);
    walk(out, Path::new(""), &mut |relative, meta| {
        count += 1;
        if count > ENTRIES {
            return Err(CollectError::TooMany);
        }
        let again = meta.nlink() > 1 && links.contains_key(&(meta.dev(), meta.ino()));
        let content = if meta.is_symlink() || (meta.is_file() && !again) { meta.len() } else { 0 };
        // Names of a usual length go with the number of entries.
        let name = relative.as_os_str().len().saturating_sub(USUAL_PATH) as u64;
        bytes = bytes.saturating_add(content + name);
        if bytes > most {
            return Err(CollectError::TooLarge(most));
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
        if path.as_os_str().len() > PATH {
            return Err(CollectError::Unfit(path, "its path is too long"));
        }
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
        let attributes = match attributes(path) {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::TOOBIG.raw_os_error()) => {
                return Err(CollectError::Unfit(relative.to_owned(), "it has too many extended attributes"));
            }
            attributes => attributes.map_err(io)?,
        };
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
        let target = fs::read_link(path).map_err(io)?;
        // As it is: `a//b` and `a/` are other targets than `a/b` and `a`.
        if header.set_link_name_literal(target.as_os_str().as_bytes()).is_err() {
            tar.append_pax_extensions([("linkpath", target.as_os_str().as_bytes())]).map_err(io)?;
        }
        return tar.append_data(&mut header, relative, io::empty()).map_err(io);
    }
    header.set_entry_type(match () {
        () if kind.is_dir() => tar::EntryType::Directory,
        () if kind.is_fifo() => tar::EntryType::Fifo,
        () => return Err(CollectError::Unfit(relative.to_owned(), "a socket or a device can't be packed")),
    });
    tar.append_data(&mut header, relative, io::empty()).map_err(io)
}

/// The extended attributes that are packed, as PAX records. Others would only be dropped later; and each name of a hard link
/// repeats them.
fn attributes(path: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut names = vec![0; XATTR];
    let length = match rustix::fs::llistxattr(path, &mut names) {
        Ok(length) => length,
        Err(rustix::io::Errno::NOTSUP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut found = Vec::new();
    for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        if !XATTRS.contains(&name) {
            continue;
        }
        let text = String::from_utf8_lossy(name);
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
    use std::os::unix::fs::symlink;

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
        // Only root may give rights; what an ordinary user can give is not packed.
        let root = rustix::process::geteuid().is_root();
        let name = if root { CAPABILITY } else { b"user.note" };
        // Version 2: the right to bind low ports, effective at once.
        let value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        lsetxattr(out.join("tool"), OsStr::from_bytes(name), &value, XattrFlags::empty()).unwrap();
        fs::hard_link(out.join("tool"), out.join("again")).unwrap();
        let store = Layout::create(folder.path().join("store")).unwrap();
        let tar = collect(&out, 1 << 20, &store).unwrap();
        let scratch = Scratch::new(folder.path().join("scratch")).unwrap();
        let mut flattener = Flattener::new(&scratch);
        flattener.apply_plain(store.stream(&tar).unwrap()).unwrap();
        let tree = flattener.finish();
        for path in ["again", "tool"] {
            let node = &tree[path.as_bytes()];
            assert_eq!(
                (node.group, node.xattrs.get(name).map(Vec::as_slice)),
                (1, root.then_some(&value[..])),
                "{path}"
            );
        }
    }

    /// What is in a folder, as the tar says it; or why it was refused.
    fn collected(fill: impl Fn(&Path), most: u64) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        let (out, store) = (folder.path().join("out"), Layout::create(folder.path().join("store")).unwrap());
        fs::create_dir(&out).unwrap();
        fill(&out);
        let done = collect(&out, most, &store).map_err(|e| e.to_string());
        let parts = fs::read_dir(store.root().join("blobs")).unwrap().count();
        assert_eq!(parts, 1, "nothing half-written is left");
        let tar = store.read(&done?, 1 << 20).unwrap();
        let mut archive = tar::Archive::new(&tar[..]);
        let line = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let entry = entry.unwrap();
            let target = entry.link_name_bytes().map(|t| String::from_utf8_lossy(&t).into_owned());
            format!("{}>{}", String::from_utf8_lossy(&entry.path_bytes()), target.unwrap_or_default())
        };
        Ok(archive.entries().unwrap().map(line).collect())
    }

    #[test]
    fn the_target_of_a_link_is_kept_to_the_byte() {
        let long = format!("{}//x/", "l".repeat(120));
        let targets = ["/", "a//b", "a/./b/", "./../..", "\n\x1b[2J", long.as_str()];
        let links = |out: &Path| {
            for (number, target) in targets.iter().enumerate() {
                symlink(target, out.join(number.to_string())).unwrap();
            }
        };
        let expected: Vec<String> = targets.iter().enumerate().map(|(number, t)| format!("{number}>{t}")).collect();
        assert_eq!(collected(links, 1 << 20).unwrap(), expected);
    }

    #[test]
    fn what_is_nearly_all_holes_counts_in_full_and_is_never_written() {
        let sparse = |out: &Path| File::create(out.join("hole")).unwrap().set_len(1 << 35).unwrap();
        assert!(collected(sparse, 1 << 30).unwrap_err().contains("more than 1073741824 bytes"));
        let twice = |out: &Path| {
            fs::write(out.join("a"), [7; 600]).unwrap();
            fs::hard_link(out.join("a"), out.join("b")).unwrap();
        };
        assert_eq!(collected(twice, 600).unwrap(), ["a>", "b>a"], "two names of one file count once");
        assert!(collected(twice, 599).is_err());
    }

    #[test]
    fn a_path_that_no_image_holds_is_refused_for_good() {
        let deep = |out: &Path| {
            let mut at = rustix::fs::open(out, rustix::fs::OFlags::DIRECTORY, 0.into()).unwrap();
            for _ in 0..40 {
                let name = "d".repeat(200);
                rustix::fs::mkdirat(&at, &name, 0o755.into()).unwrap();
                at = rustix::fs::openat(&at, &name, rustix::fs::OFlags::DIRECTORY, 0.into()).unwrap();
            }
        };
        let said = collected(deep, 1 << 20).unwrap_err();
        assert!(said.ends_with("its path is too long") && said.len() < 3500, "{}", said.len());
    }

    #[test]
    fn a_socket_with_an_ugly_name_is_refused_in_plain_letters() {
        let socket = |out: &Path| drop(std::os::unix::net::UnixListener::bind(out.join("a\n\x1b[2J")).unwrap());
        assert_eq!(collected(socket, 0).unwrap_err(), r"a\x0a\x1b[2J: a socket or a device can't be packed");
    }
}

//! What a room sees: a file tree of its own, made of what the menu lists and nothing else.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};

use crate::error::{HardeningError, Step as _};
use crate::sys;

/// A tree in the making. Its root is a tmpfs; paths in it are the host's own.
#[derive(Debug)]
pub(crate) struct Tree {
    root: PathBuf,
}

/// How something of the host appears in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read-only, no setuid, no devices.
    Read,
    /// Read and write, no setuid, no devices.
    Write,
    /// A device node.
    Device,
}

impl Tree {
    /// Begins a tree at an empty folder of this mount namespace.
    pub(crate) fn begin(root: &Path) -> Result<Self, HardeningError> {
        let private = MountPropagationFlags::REC | MountPropagationFlags::PRIVATE;
        rustix::mount::mount_change("/", private).step("making the mounts private")?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", root, "tmpfs", flags, c"size=64m,mode=0755")
            .step(format!("mounting a tmpfs on {}", root.display()))?;
        Ok(Self { root: root.to_owned() })
    }

    fn inside(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// A folder of the tree's own.
    pub(crate) fn folder(&self, path: &str, mode: u32) -> Result<(), HardeningError> {
        let inside = self.inside(Path::new(path));
        fs::create_dir_all(&inside).step(format!("making {path}"))?;
        fs::set_permissions(&inside, fs::Permissions::from_mode(mode)).step(format!("making {path}"))
    }

    /// A file of the tree's own.
    pub(crate) fn file(&self, path: &str, text: &str) -> Result<(), HardeningError> {
        fs::write(self.inside(Path::new(path)), text).step(format!("writing {path}"))
    }

    /// A copy of a small file of the host, if it is there, readable for the room whoever may read the original.
    pub(crate) fn copy(&self, path: &Path) -> Result<(), HardeningError> {
        let what = format!("copying {}", path.display());
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(e).step(what),
        };
        let inside = self.inside(path);
        if let Some(parent) = inside.parent() {
            fs::create_dir_all(parent).step(&*what)?;
        }
        fs::write(&inside, bytes).step(&*what)?;
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o444)).step(what)
    }

    /// Shows a file or a folder of the host at its own path. A link is shown as a link.
    pub(crate) fn show(&self, path: &Path, access: Access) -> Result<(), HardeningError> {
        self.show_at(path, path, access)
    }

    /// Shows a file or a folder of the host at another path.
    pub(crate) fn show_at(&self, source: &Path, path: &Path, access: Access) -> Result<(), HardeningError> {
        let what = format!("showing {}", path.display());
        let inside = self.inside(path);
        if let Some(parent) = inside.parent() {
            fs::create_dir_all(parent).step(&*what)?;
        }
        let meta = fs::symlink_metadata(source).step(&*what)?;
        if meta.file_type().is_symlink() {
            return symlink(fs::read_link(source).step(&*what)?, &inside).step(&*what);
        }
        if !inside.exists() {
            let made = if meta.is_dir() { fs::create_dir_all(&inside) } else { touch(&inside) };
            made.step(&*what)?;
        }
        rustix::mount::mount_bind_recursive(source, &inside).step(&*what)?;
        sys::restrict_mount(&inside, access == Access::Read, access != Access::Device).step(&*what)
    }

    /// As [`Tree::show`], for what may be absent on a host.
    pub(crate) fn show_if_there(&self, path: &str, access: Access) -> Result<(), HardeningError> {
        match fs::symlink_metadata(path) {
            Ok(_) => self.show(Path::new(path), access),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(e).step(format!("looking at {path}")),
        }
    }

    /// A tmpfs of its own, with a size.
    pub(crate) fn scratch(&self, path: &str, options: &std::ffi::CStr) -> Result<(), HardeningError> {
        self.folder(path, 0o1777)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount("tmpfs", self.inside(Path::new(path)), "tmpfs", flags, options)
            .step(format!("mounting a tmpfs on {path}"))
    }

    /// The processes of this pid namespace, and no others.
    pub(crate) fn proc(&self) -> Result<(), HardeningError> {
        self.folder("/proc", 0o555)?;
        let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        rustix::mount::mount("proc", self.inside(Path::new("/proc")), "proc", flags, None)
            .step("mounting /proc (inside another container it may be masked: start outside of it)")
    }

    /// Makes it the root of this process; nothing else of the host can be named any more.
    pub(crate) fn enter(self) -> Result<(), HardeningError> {
        let old = self.root.join(".old");
        fs::create_dir(&old).step("making a place for the old root")?;
        std::env::set_current_dir(&self.root).step("entering the tree")?;
        rustix::process::pivot_root(".", ".old").step("pivot_root")?;
        std::env::set_current_dir("/").step("entering the tree")?;
        rustix::mount::unmount("/.old", UnmountFlags::DETACH).step("letting the old root go")?;
        fs::remove_dir("/.old").step("letting the old root go")?;
        let flags = MountFlags::BIND | MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV;
        rustix::mount::mount_remount("/", flags, c"").step("making the root read-only")
    }
}

fn touch(path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
}

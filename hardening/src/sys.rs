//! The only `unsafe` of the house: what the kernel offers and no library we use wraps safely. Each function does one call.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::path::Path;

use rustix::process::Pid;

/// Namespaces for [`clone_process`] and [`unshare`], as clone(2) numbers them.
pub mod namespace {
    /// Mounts.
    pub const MOUNT: i32 = libc::CLONE_NEWNS;
    /// Process ids.
    pub const PID: i32 = libc::CLONE_NEWPID;
    /// System V IPC and POSIX message queues.
    pub const IPC: i32 = libc::CLONE_NEWIPC;
    /// Host name.
    pub const UTS: i32 = libc::CLONE_NEWUTS;
    /// Control groups.
    pub const CGROUP: i32 = libc::CLONE_NEWCGROUP;
    /// Network.
    pub const NETWORK: i32 = libc::CLONE_NEWNET;
    /// Users.
    pub const USER: i32 = libc::CLONE_NEWUSER;
}

/// Forks into new namespaces. `None` in the child.
///
/// # Errors
/// As clone(2).
pub fn clone_process(namespaces: i32) -> io::Result<Option<Pid>> {
    let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
    let none = 0 as libc::c_long;
    // SAFETY: without CLONE_VM and with no stack given this is fork(2) into new namespaces: the child has a copy of
    // everything. The launcher has one thread, so no lock can be held by a thread that the child lacks.
    let answer = unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) };
    match answer {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid as i32)),
    }
}

/// Leaves namespaces for new ones.
///
/// # Errors
/// As unshare(2).
pub fn unshare(namespaces: i32) -> io::Result<()> {
    // SAFETY: only namespace flags are passed, never CLONE_FILES: no file descriptor changes its meaning.
    match unsafe { libc::unshare(namespaces) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes a mount, and all below it, read-only, and sets nosuid and nodev; whatever else is set stays set.
///
/// # Errors
/// As mount_setattr(2).
pub fn restrict_mount(path: &Path, read_only: bool, nodev: bool) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt as _;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    let mut set = libc::MOUNT_ATTR_NOSUID;
    if read_only {
        set |= libc::MOUNT_ATTR_RDONLY;
    }
    if nodev {
        set |= libc::MOUNT_ATTR_NODEV;
    }
    let attributes = libc::mount_attr { attr_set: set, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: `path` ends with a NUL and `attributes` is a whole mount_attr of the size given; both outlive the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if answer == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Makes `fd` be number `number`, kept over exec.
///
/// # Errors
/// As dup2(2).
pub fn place(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // SAFETY: dup2 with numbers; whoever owns `number` already is this program's start, which hands it over to exec.
    let answer = unsafe {
        if fd.as_raw_fd() == number {
            libc::fcntl(number, libc::F_SETFD, 0)
        } else {
            libc::dup2(fd.as_raw_fd(), number)
        }
    };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Closes every file descriptor from `first` on.
///
/// # Errors
/// As close_range(2).
pub fn close_from(first: RawFd) -> io::Result<()> {
    // SAFETY: called by a child that execs next and owns nothing above `first` any more.
    match unsafe { libc::syscall(libc::SYS_close_range, first, RawFd::MAX, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Takes a socket that the launcher left at this number. `None` when there is no socket.
pub fn inherited_socket(number: RawFd) -> Option<OwnedFd> {
    // SAFETY: the number is only looked at here.
    let borrowed = unsafe {
        if libc::fcntl(number, libc::F_GETFD) < 0 {
            return None;
        }
        BorrowedFd::borrow_raw(number)
    };
    rustix::net::sockopt::socket_type(borrowed).ok()?;
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC).ok()?;
    // SAFETY: the descriptor is open, as was just seen, and the launcher left it for this process alone; this is called
    // once for a number, at the start, before anything else could own it.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Makes a call that no room may make; each is harmless where it succeeds. For [`crate::attempt`].
///
/// # Errors
/// As the kernel says.
pub(crate) fn attempt([number, first, second]: [libc::c_long; 3]) -> io::Result<()> {
    let none = 0 as libc::c_long;
    // SAFETY: each call of [`crate::attempt::Call`] takes numbers, or a pointer that is null and answered with EFAULT or EINVAL: none writes
    // to this process's memory or closes anything of it.
    match unsafe { libc::syscall(number, first, second, none, none, none, none) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Has a reader that goes away end the program in silence, as pipes expect it: `countersign log list | head`.
pub fn end_with_the_pipe() {
    // SAFETY: sets a signal's disposition to the default one; called at the start, by a program of one thread.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

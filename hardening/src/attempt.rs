//! What no room may do, to be tried: `tests/rooms` has a stand-in try it in each room.

use std::io;

/// A call that no room may make. Harmless where the kernel lets it pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Take hold of another process.
    Ptrace {
        /// The other one.
        pid: i32,
    },
    /// Read another process's memory: nothing of it, since what is forbidden is to ask.
    ReadMemory {
        /// The other one.
        pid: i32,
    },
    /// All capabilities again, in a user namespace of one's own.
    NewUserNamespace,
    /// Look at the kernel's key rings.
    Keyring,
    /// Hand the kernel a program.
    Bpf,
    /// System calls that no filter sees.
    IoUring,
    /// Become root again.
    BecomeRoot,
}

impl Call {
    /// Makes it.
    ///
    /// # Errors
    /// As the kernel says; in a room, EPERM.
    pub fn make(self) -> io::Result<()> {
        crate::sys::attempt(self.numbers())
    }

    /// The call's number and its first two arguments; the others are 0.
    fn numbers(self) -> [libc::c_long; 3] {
        let none = 0;
        match self {
            Call::Ptrace { pid } => [libc::SYS_ptrace, libc::c_long::from(libc::PTRACE_SEIZE), pid.into()],
            Call::ReadMemory { pid } => [libc::SYS_process_vm_readv, pid.into(), none],
            Call::NewUserNamespace => [libc::SYS_unshare, libc::CLONE_NEWUSER.into(), none],
            // KEYCTL_GET_KEYRING_ID of the session's, not created.
            Call::Keyring => [libc::SYS_keyctl, none, -3],
            // An empty program is refused where the call itself is not.
            Call::Bpf => [libc::SYS_bpf, none, none],
            Call::IoUring => [libc::SYS_io_uring_setup, 1, none],
            Call::BecomeRoot => [libc::SYS_setuid, none, none],
        }
    }
}

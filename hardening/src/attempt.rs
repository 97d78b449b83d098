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
        crate::sys::attempt(self)
    }
}

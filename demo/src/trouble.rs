//! Why the outside could not be played.

use std::io;

/// Why something outside the perimeter could not be set up. Says nothing of the perimeter itself.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The file system, or the loopback network, said no.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// A program is not there.
    #[error("{program} could not be started: {cause}. As root, tests/setup installs what is missing")]
    Start {
        /// Which.
        program: String,
        /// What the kernel said.
        cause: io::Error,
    },
    /// A program did not do what it was started for.
    #[error("{command}\nended with status {status}:\n{said}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status; 128 and the signal's number when one ended it.
        status: i32,
        /// The last of what it printed.
        said: String,
    },
    /// Something is not as it must be.
    #[error("{0}")]
    Wrong(String),
}

impl Trouble {
    /// Something is not as it must be.
    pub fn wrong(text: impl std::fmt::Display) -> Self {
        Self::Wrong(text.to_string())
    }
}

/// Says what was tried when the kernel said no.
pub trait During<T> {
    /// Names the thing.
    ///
    /// # Errors
    /// The same, named.
    fn during(self, what: impl std::fmt::Display) -> Result<T, Trouble>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: impl std::fmt::Display) -> Result<T, Trouble> {
        self.map_err(|cause| Trouble::Io { what: what.to_string(), cause })
    }
}

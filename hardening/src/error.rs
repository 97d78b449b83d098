//! Why a room did not start: the thing, the cause, and the line that mends it.

use std::io;

/// Why a room could not be started or locked down. None of them is answered by going on with less.
#[derive(Debug, thiserror::Error)]
pub enum HardeningError {
    /// A step failed; the kernel's own reason stands behind it.
    #[error("{step}: {cause}")]
    Step {
        /// What was tried, with the path or the name it was tried on.
        step: String,
        /// What the kernel answered.
        cause: io::Error,
    },
    /// The host lacks something that a room needs.
    #[error("{missing} is missing on this host. {mend}")]
    Missing {
        /// The thing.
        missing: String,
        /// The line that mends it.
        mend: String,
    },
    /// The kernel, asked afterwards, does not confirm what was set.
    #[error("{0} was asked for and is not in force: the room stops before it reads anything")]
    NotInForce(String),
    /// The command line is not one that the launcher makes.
    #[error("{0}; rooms are started by countersign-launch only")]
    Usage(String),
}

/// Names the step that failed.
pub(crate) trait Step<T> {
    /// Turns an error number into an error that says what was tried.
    fn step(self, step: impl Into<String>) -> Result<T, HardeningError>;
}

impl<T, E: Into<io::Error>> Step<T> for Result<T, E> {
    fn step(self, step: impl Into<String>) -> Result<T, HardeningError> {
        self.map_err(|cause| HardeningError::Step { step: step.into(), cause: cause.into() })
    }
}

//! Exit statuses: the same five everywhere.

use std::process::{ExitCode, Termination};

use artifact::failure::{Failure, Retry};

use crate::timeline::printable;

/// How a command ended. Greater is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Done, or nothing to do.
    Done,
    /// Refused, or something from outside did not verify.
    Refused,
    /// Usage or configuration.
    Usage,
    /// Unavailable: try again.
    Unavailable,
    /// Our own stored state is not what we recorded.
    Halted,
}

impl Status {
    /// The code of a failure that is the caller's to mend.
    pub const USAGE: &'static str = "usage";

    /// Prints one line to standard error, and is that status.
    pub fn say(status: Self, text: &str) -> Self {
        eprintln!("countersign: {}", printable(text));
        status
    }

    /// Prints a failure, and is its status.
    pub fn of(failure: &Failure) -> Self {
        let status = match failure.retry {
            _ if failure.code == Self::USAGE => return Self::say(Self::Usage, &failure.message),
            Retry::Later => Self::Unavailable,
            Retry::Never => Self::Refused,
            Retry::Halt => Self::Halted,
        };
        Self::say(status, &failure.to_string())
    }

    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::Halted => 4,
        }
    }

    /// The status of this number; an unknown one counts as unavailable.
    pub fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Done,
            1 => Self::Refused,
            2 => Self::Usage,
            4 => Self::Halted,
            _ => Self::Unavailable,
        }
    }
}

impl Termination for Status {
    fn report(self) -> ExitCode {
        ExitCode::from(self.number())
    }
}

//! Failures: what a room answers when it could not do what it was asked.

use std::error::Error;
use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

/// A room's failure, for the coordinator and for the person who reads about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{code}: {message}")]
pub struct Failure {
    /// A stable code: lower case, words joined by `-`.
    pub code: String,
    /// The thing, the cause and the next step.
    pub message: String,
    /// Whether to try again.
    pub retry: Retry,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Retry {
    /// Something is unavailable for now. Exit status 3.
    Later,
    /// The same input fails again. Exit status 1.
    Never,
    /// Our own stored state is not what we recorded: stop, a person must look. Exit status 4.
    Halt,
}

impl Failure {
    /// Something is unavailable for now.
    pub fn later(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), retry: Retry::Later }
    }

    /// The same input fails again.
    pub fn never(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), retry: Retry::Never }
    }

    /// An input could not be worked with. The same input fails again, unless this host is why: a disk that does not write
    /// today must not refuse a commit for ever.
    pub fn of_input(code: &str, error: &(dyn Error + 'static)) -> Self {
        if is_the_hosts(error) { Self::later(code, error) } else { Self::never(code, error) }
    }

    /// What we stored could not be read. It is broken, unless this host is why. That we may not read it is no whim of a disk:
    /// somebody changed it.
    pub fn of_store(code: &str, error: &(dyn Error + 'static)) -> Self {
        let denied = answers(error).any(|answer| answer.kind() == ErrorKind::PermissionDenied);
        if is_the_hosts(error) && !denied { Self::later(code, error) } else { Self::halt(code, error) }
    }

    /// An input that was laid out where there is room for a fixed amount: what does not fit today does not fit tomorrow.
    /// `setting` says what to raise.
    pub fn of_size(code: &str, error: &(dyn Error + 'static), setting: &str) -> Self {
        let full = answers(error).any(|answer| answer.kind() == ErrorKind::StorageFull);
        match full {
            true => Self::never(code, format!("{error}: it has no more room than {setting} gives it")),
            false => Self::of_input(code, error),
        }
    }

    /// Our own stored state is broken.
    pub fn halt(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), retry: Retry::Halt }
    }
}

/// What the kernel said, among the causes.
fn answers<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e io::Error> {
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    causes.filter_map(|cause| cause.downcast_ref::<io::Error>())
}

/// Whether somewhere among the causes is an answer of the kernel that speaks of this host: of its disk, its memory, its
/// limits. Answers that speak of a name or a shape come from what the input asks for.
fn is_the_hosts(error: &(dyn Error + 'static)) -> bool {
    answers(error).any(|answer| {
        let of_the_input = matches!(
            answer.kind(),
            ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::InvalidInput
                | ErrorKind::InvalidFilename
                | ErrorKind::NotADirectory
                | ErrorKind::IsADirectory
                | ErrorKind::DirectoryNotEmpty
                | ErrorKind::FileTooLarge
                | ErrorKind::TooManyLinks
        );
        answer.raw_os_error().is_some() && !of_the_input
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::LayoutError;

    #[test]
    fn a_host_that_is_unwell_refuses_nothing_for_ever() {
        const EIO: i32 = 5;
        const ENAMETOOLONG: i32 = 36;
        let of = |number| {
            let error = LayoutError::Io { path: "f".into(), cause: io::Error::from_raw_os_error(number) };
            Failure::of_input("broken", &error).retry
        };
        assert_eq!((of(EIO), of(ENAMETOOLONG)), (Retry::Later, Retry::Never));
        let content = io::Error::new(ErrorKind::InvalidData, "not gzip");
        assert_eq!(Failure::of_input("broken", &content).retry, Retry::Never);
        assert_eq!(Failure::of_store("broken", &content).retry, Retry::Halt);
        let sick = io::Error::from_raw_os_error(EIO);
        assert_eq!(Failure::of_store("broken", &sick).retry, Retry::Later);
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(Failure::of_store("broken", &denied).retry, Retry::Halt);
        let full = io::Error::from(ErrorKind::StorageFull);
        assert_eq!(Failure::of_size("broken", &full, "a setting").retry, Retry::Never);
    }
}

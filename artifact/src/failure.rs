//! Failures: what a room answers when it could not do what it was asked.

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

    /// Our own stored state is broken.
    pub fn halt(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string(), retry: Retry::Halt }
    }
}

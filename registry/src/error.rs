//! What went wrong with a registry: where, at what, the cause and the next step.

use artifact::Digest;
use artifact::failure::Retry;
use artifact::json::JsonError;
use artifact::layout::LayoutError;
use artifact::oci::OciError;

/// A failure of a registry, or with it.
#[derive(Debug, thiserror::Error)]
#[error("{place}: {tried}: {fault}")]
pub struct RegistryError {
    /// The host and the repository.
    place: String,
    /// What was tried.
    tried: String,
    fault: Box<Fault>,
    /// A connection that may come about, or hold, at the next try.
    passing: bool,
}

/// The cause.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The host is on no list.
    #[error("this host is not listed; if it may be contacted, add it to this room's configuration: [registry.\"{0}\"]")]
    Unlisted(String),
    /// A certificate authority or a password that can't be read.
    #[error("{0}; mend this room's configuration")]
    Setup(String),
    /// No connection, or one that broke.
    #[error("{0}; try again later, or check the name, the port and the certificate authority")]
    Unreachable(String),
    /// The registry took longer than it may.
    #[error("no whole answer within the time that it may take; try again later")]
    TimedOut,
    /// A status that is no success.
    #[error("HTTP status {status}{said}; {next}")]
    Status {
        /// The status.
        status: u16,
        /// What the registry said, bounded and escaped.
        said: String,
        /// What to do.
        next: &'static str,
    },
    /// It asks for more time than there is.
    #[error("HTTP status {status}: busy, and asks for {seconds} s of quiet; try again after that")]
    Busy {
        /// The status.
        status: u16,
        /// How long it asks to be left alone, in seconds.
        seconds: u64,
    },
    /// It points elsewhere.
    #[error("it points to {0:?}, which is not followed; list the registry by the name it answers to itself")]
    Redirect(String),
    /// An answer that OCI distribution does not know.
    #[error("it does not speak OCI distribution: {0}")]
    Protocol(&'static str),
    /// More bytes than are taken.
    #[error("more than the limit of {0} bytes")]
    TooLarge(u64),
    /// Other bytes than the digest names.
    #[error("{expected} was asked for, and {found} came; this registry, or what stands before it, is broken or lies")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// What must be there is not.
    #[error("not there")]
    Missing,
    /// A name that no registry knows.
    #[error("{0:?} is neither a tag nor a digest")]
    Reference(String),
    /// A document that is none.
    #[error("{0}")]
    Document(#[from] OciError),
    /// JSON that is none.
    #[error("{0}")]
    Json(#[from] JsonError),
    /// An image that can't be used.
    #[error("{0}")]
    Image(String),
    /// Our own store failed.
    #[error("{0}")]
    Store(#[from] LayoutError),
    /// Another writer keeps replacing what was written.
    #[error("written {0} times, and replaced by another writer each time; find the other writer")]
    Contended(u32),
}

impl RegistryError {
    pub(crate) fn new(place: impl ToString, tried: impl Into<String>, fault: impl Into<Fault>) -> Self {
        Self { place: place.to_string(), tried: tried.into(), fault: Box::new(fault.into()), passing: false }
    }

    /// The same, of a connection that may come about, or hold, at the next try.
    pub(crate) fn that_may_pass(self) -> Self {
        Self { passing: true, ..self }
    }

    /// Whether it is the connection's fault, so that nobody knows what became of the request.
    pub(crate) fn passing(&self) -> bool {
        self.passing
    }

    /// The cause.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether trying again can help. What a person can mend without changing what was asked for counts as such.
    pub fn retry(&self) -> Retry {
        match &*self.fault {
            Fault::Unlisted(_) | Fault::Setup(_) | Fault::Unreachable(_) | Fault::TimedOut => Retry::Later,
            Fault::Busy { .. } => Retry::Later,
            Fault::Contended(_) | Fault::Store(LayoutError::Io { .. }) => Retry::Later,
            Fault::Status { status: 401 | 403 | 408 | 429 | 500.., .. } => Retry::Later,
            Fault::Store(_) => Retry::Halt,
            _ => Retry::Never,
        }
    }
}

/// What to do about a status.
pub(crate) fn next_step(status: u16) -> &'static str {
    match status {
        401 | 403 => "check username and password_file, and what this user may do there",
        404 => "check the repository's name, and whether it is there",
        408 | 429 | 500.. => "try again later",
        _ => "the registry does not take this",
    }
}

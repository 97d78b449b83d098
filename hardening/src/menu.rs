//! The launcher's fixed menu: which rooms there are, and what each gets. Nothing of it comes from a job.

use std::io;
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

/// A room of the house.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Room {
    /// Folds the log, asks policy, leads each promotion.
    Coordinator,
    /// Pulls evidence, source, bases and the candidate.
    Intake,
    /// Runs recipes in the sandbox.
    Builder,
    /// Packs, compares, attests.
    Comparer,
    /// Writes the log.
    Keeper,
    /// Asks for the signature and publishes.
    Signer,
}

/// Asks the launcher for a room and takes the coordinator's end of its channel. The room's first frame is its
/// [`crate::room::Hello`].
///
/// # Errors
/// When the launcher could not start the room (its own error line says why), or is gone.
pub fn start(_control: &UnixStream, _room: Room) -> io::Result<UnixStream> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

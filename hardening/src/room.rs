//! Entering a room: from `main`'s first line to the moment after which a room may read a byte.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::error::HardeningError;
use crate::menu::Room;
use crate::posture::Posture;

/// A room that is locked down, with its only door.
#[derive(Debug)]
pub struct Entered {
    /// The channel to the coordinator: frames, and nothing else.
    pub channel: UnixStream,
    /// The folder of the configuration; the room sees its own files in it.
    pub config: PathBuf,
    /// The state folder; the room sees its own stores in it.
    pub state: PathBuf,
    /// The launcher was an ordinary user; stands in everything that is signed.
    pub trial: bool,
    /// What is in force.
    pub posture: Posture,
}

/// The coordinator, locked down.
#[derive(Debug)]
pub struct EnteredCoordinator {
    /// The control socket to the launcher, for [`crate::menu::start`].
    pub control: UnixStream,
    /// The folder of the configuration.
    pub config: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The launcher was an ordinary user.
    pub trial: bool,
    /// What is in force.
    pub posture: Posture,
    /// What stood after `--`: the command for the coordinator.
    pub args: Vec<String>,
}

/// A room's first frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// Which room this is.
    pub room: Room,
    /// The version of the room's binary.
    pub version: String,
    /// The launcher was an ordinary user.
    pub trial: bool,
    /// What is in force around the room.
    pub posture: Posture,
    /// The room's public key, of the rooms that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_key: Option<String>,
}

impl Hello {
    /// The first frame of a room that has been entered.
    pub fn new(room: Room, entered: &Entered, public_key: Option<String>) -> Self {
        Self {
            room,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            trial: entered.trial,
            posture: entered.posture.clone(),
            public_key,
        }
    }
}

/// Locks this process down as the given room. The first thing `main` calls: before any thread, any runtime, any
/// read; what was started earlier would stay unconfined.
///
/// # Errors
/// When anything that the room needs can't be had, or is not in force afterwards. The room then exits.
pub fn enter(_room: Room) -> Result<Entered, HardeningError> {
    Err(HardeningError::NotInForce("lockdown".into()))
}

/// As [`enter`], for the coordinator.
///
/// # Errors
/// As [`enter`].
pub fn enter_coordinator() -> Result<EnteredCoordinator, HardeningError> {
    Err(HardeningError::NotInForce("lockdown".into()))
}

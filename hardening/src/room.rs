//! Entering a room: from `main`'s first line to the moment after which a room may read a byte.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};
use serde::{Deserialize, Serialize};

use crate::error::{HardeningError, Step as _};
use crate::line::Line;
use crate::menu::Room;
use crate::posture::Posture;
use crate::{capabilities, landlock, seccomp, sys};

/// Where the launcher leaves a room's channel.
const CHANNEL: i32 = 3;

/// Where the launcher leaves the coordinator's control socket.
const CONTROL: i32 = 4;

/// The most files a room has open.
const FILES: u64 = 1024;

/// The largest file a room writes, in bytes: a layer of the largest image we take.
const FILE_SIZE: u64 = 64 << 30;

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
pub fn enter(room: Room) -> Result<Entered, HardeningError> {
    let line = Line::parse(std::env::args().skip(1))?;
    let channel = socket(CHANNEL)?;
    let posture = lock_down(room, &line)?;
    Ok(Entered { channel, config: line.config, state: line.state, trial: line.trial, posture })
}

/// As [`enter`], for the coordinator.
///
/// # Errors
/// As [`enter`].
pub fn enter_coordinator() -> Result<EnteredCoordinator, HardeningError> {
    let line = Line::parse(std::env::args().skip(2))?;
    let control = socket(CONTROL)?;
    let posture = lock_down(Room::Coordinator, &line)?;
    let Line { config, state, trial, words, .. } = line;
    Ok(EnteredCoordinator { control, config, state, trial, posture, args: words })
}

fn socket(number: i32) -> Result<UnixStream, HardeningError> {
    let missing = || HardeningError::Usage(format!("descriptor {number} is no socket"));
    sys::inherited_socket(number).map(UnixStream::from).ok_or_else(missing)
}

/// Top to bottom: death with the launcher, capabilities, limits, no way back, files, calls. Then the kernel is asked.
fn lock_down(room: Room, line: &Line) -> Result<Posture, HardeningError> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("PR_SET_PDEATHSIG")?;
    if room == Room::Builder {
        capabilities::keep(capabilities::RUNTIME)?;
    } else {
        if line.trial {
            capabilities::bound_to_nothing()?;
        }
        capabilities::drop_all()?;
    }
    // One and not zero: with zero the host's core_pattern would still start a program for the core of a runtime.
    for (resource, limit) in [(Resource::Core, 1), (Resource::Nofile, FILES), (Resource::Fsize, FILE_SIZE)] {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        rustix::process::setrlimit(resource, limit).step(format!("limiting {resource:?}"))?;
    }
    if room == Room::Builder || line.trial {
        // Counted by user namespace; where the room has none of its own, its cgroup counts.
        let limit = Some(room.fare().processes);
        let limit = Rlimit { current: limit, maximum: limit };
        rustix::process::setrlimit(Resource::Nproc, limit).step("limiting processes")?;
    }
    rustix::thread::set_no_new_privs(true).step("PR_SET_NO_NEW_PRIVS")?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).step("PR_SET_DUMPABLE")?;
    let landlock = landlock::confine(room, &line.state.join("public"), &line.config, &line.exposed)?;
    let network = if room.fare().network { "host" } else { "none" };
    let before = Posture::read(line, landlock, network)?;
    seccomp::confine(room)?;
    before.confirm(room)
}

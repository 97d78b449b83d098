//! The house as the coordinator sees it: rooms it can have started, and the one door each has.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use artifact::failure::Failure;
use artifact::frame::{self, FrameError};
use hardening::menu::{self, Room};
use hardening::room::Hello;
use policy::Rules;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::timeline::Timeline;

/// A room that was started, locked itself down and said so.
#[derive(Debug)]
pub struct Door {
    room: Room,
    channel: UnixStream,
    hello: Hello,
}

impl Door {
    /// Has the launcher start a room, and hears its Hello. The keeper says it when it holds the log's lock.
    ///
    /// # Errors
    /// When the launcher can't start it, or it says something else first.
    pub fn open(control: &UnixStream, room: Room, trial: bool) -> Result<Self, Failure> {
        let name = name(room);
        let channel = menu::start(control, room).map_err(|e| {
            Failure::later("room-not-started", format!("{name}: {e}; the launcher's own line says why"))
        })?;
        let hello: Hello = frame::receive(&channel).map_err(|e| broken(room, &e))?;
        if hello.room != room || hello.trial != trial {
            return Err(Failure::halt(
                "wrong-room",
                format!("asked for {name}, and {} answers", self::name(hello.room)),
            ));
        }
        Ok(Self { room, channel, hello })
    }

    /// What it said of itself.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// Says something to it.
    ///
    /// # Errors
    /// When it is gone.
    pub fn send<A: Serialize>(&mut self, ask: &A) -> Result<(), Failure> {
        frame::send(&self.channel, ask).map_err(|e| broken(self.room, &e))
    }

    /// Hears one frame.
    ///
    /// # Errors
    /// When it is gone, or says what can't be read.
    pub fn receive<R: DeserializeOwned + Serialize>(&mut self) -> Result<R, Failure> {
        frame::receive(&self.channel).map_err(|e| broken(self.room, &e))
    }
}

fn broken(room: Room, cause: &FrameError) -> Failure {
    let name = name(room);
    match cause {
        FrameError::Closed | FrameError::Cut(_) => Failure::later(
            "room-lost",
            format!(
                "{name} ended before it answered ({cause}); what it said stands above. Start again: the work goes on where it was"
            ),
        ),
        _ => Failure::halt("room-talks-nonsense", format!("{name}: {cause}")),
    }
}

/// What a room is called.
pub fn name(room: Room) -> &'static str {
    match room {
        Room::Coordinator => "coordinator",
        Room::Intake => "intake",
        Room::Builder => "builder",
        Room::Comparer => "comparer",
        Room::Keeper => "keeper",
        Room::Signer => "signer",
    }
}

/// Where the coordinator is, and what it may ask for.
#[derive(Debug)]
pub struct House {
    /// To the launcher.
    pub control: UnixStream,
    /// The folder of the configuration.
    pub config: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The launcher was an ordinary user.
    pub trial: bool,
    /// What a person reads meanwhile.
    pub timeline: Timeline,
}

impl House {
    /// Opens a room's door.
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn room(&self, room: Room) -> Result<Door, Failure> {
        Door::open(&self.control, room, self.trial)
    }
}

/// What a pass works with.
#[derive(Debug)]
pub struct Pass<'a> {
    /// The house.
    pub house: &'a House,
    /// The rules.
    pub rules: &'a Rules,
}

//! The house as the coordinator sees it: rooms it can have started, and the one door each has.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use artifact::failure::Failure;
use artifact::frame::{self, FrameError};
use hardening::menu::{self, Room};
use hardening::patient::Patient;
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
    patience: Duration,
    /// When the answer must be there.
    until: Instant,
    /// Frames since the last question.
    frames: usize,
}

/// The most frames of one answer: a room at work says a dozen lines.
const FRAMES: usize = 1000;

impl Door {
    /// Has the launcher start a room, and hears its Hello. The keeper says it when it holds the log's lock.
    ///
    /// # Errors
    /// When the launcher can't start it, or it says something else first.
    pub fn open(control: &UnixStream, room: Room, trial: bool, patience: Duration) -> Result<Self, Failure> {
        let name = name(room);
        let channel = menu::start(control, room).map_err(|e| {
            Failure::later("room-not-started", format!("{name}: {e}; the launcher's own line says why"))
        })?;
        let until = Instant::now() + patience;
        let hello: Hello = frame::receive(Patient::new(&channel, until)).map_err(|e| broken(room, &e))?;
        if hello.room != room || hello.trial != trial {
            return Err(Failure::halt(
                "wrong-room",
                format!("asked for {name}, and {} answers", self::name(hello.room)),
            ));
        }
        Ok(Self { room, channel, hello, patience, until, frames: 0 })
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
        (self.until, self.frames) = (Instant::now() + self.patience, 0);
        frame::send(Patient::new(&self.channel, self.until), ask).map_err(|e| broken(self.room, &e))
    }

    /// Hears one frame.
    ///
    /// # Errors
    /// When it is gone, or says what can't be read.
    pub fn receive<R: DeserializeOwned + Serialize>(&mut self) -> Result<R, Failure> {
        self.frames += 1;
        if self.frames > FRAMES {
            let text = format!("{} said {FRAMES} things and no answer", name(self.room));
            return Err(Failure::halt(NONSENSE, text));
        }
        frame::receive(Patient::new(&self.channel, self.until)).map_err(|e| broken(self.room, &e))
    }
}

/// The code of a room that ended in the middle.
pub const LOST: &str = "room-lost";
/// The code of a room that did not answer in time.
pub const SILENT: &str = "room-silent";
/// The code of a room that says what no room says.
pub const NONSENSE: &str = "room-talks-nonsense";

fn broken(room: Room, cause: &FrameError) -> Failure {
    let name = name(room);
    match cause {
        FrameError::Cut(cause) if cause.kind() == ErrorKind::TimedOut => Failure::later(
            SILENT,
            format!(
                "{name} did not answer in the time it has (answer_seconds in countersign.toml); it is ended with this pass. Start \
                 again: the work goes on where it was; if it is silent again, look at that room"
            ),
        ),
        FrameError::Closed | FrameError::Cut(_) => Failure::later(
            LOST,
            format!(
                "{name} ended before it answered ({cause}); what it said stands above. Start again: the work goes on where it was"
            ),
        ),
        _ => Failure::halt(NONSENSE, format!("{name}: {cause}. That binary is not the house's, or was taken over")),
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
    /// How long a room may take for one answer.
    pub patience: Duration,
    /// What the rooms of this pass said of themselves.
    pub hellos: RefCell<BTreeMap<String, serde_json::Value>>,
    /// Whether the operator wants nothing signed before the log's witnesses have seen it.
    pub witnesses_required: bool,
    /// How many releases are signed again in one pass.
    pub resign_per_pass: usize,
    /// What a person reads meanwhile.
    pub timeline: Timeline,
}

impl House {
    /// Opens a room's door.
    ///
    /// # Errors
    /// As [`Door::open`].
    pub fn room(&self, room: Room) -> Result<Door, Failure> {
        let door = Door::open(&self.control, room, self.trial, self.patience)?;
        let hello = serde_json::to_value(door.hello()).map_err(|e| Failure::halt(NONSENSE, e))?;
        self.hellos.borrow_mut().insert(name(room).to_owned(), hello);
        Ok(door)
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

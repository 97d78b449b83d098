//! A broken coordinator: it leads a pass with the real rooms. Each of its words is one attack; a line of JSON says what came
//! of it.

mod forge;
mod signing;

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use artifact::failure::Failure;
use artifact::frame;
use audit::door::{Answer, Appended, Ask, Submission};
use audit::entry::Body;
use audit::keys::HouseKeys;
use audit::reader::{Entry, Log};
use hardening::menu::{self, Room};
use hardening::room::{self, Hello};
use serde_json::{Value, json};

use crate::Done;

type Wrong = Box<dyn std::error::Error>;

/// What it has: the control socket, its configuration, the log to read.
pub struct Mallory {
    control: UnixStream,
    keys: HouseKeys,
    tiles: PathBuf,
}

/// Leads.
pub fn lead() -> Done {
    let entered = room::enter_coordinator()?;
    let keys: HouseKeys = std::fs::read_to_string(entered.config.join("keys.toml"))?.parse()?;
    let tiles = entered.state.join("public/log/tiles");
    let mallory = Mallory { control: entered.control, keys, tiles };
    for word in &entered.args {
        let found = mallory.play(word)?;
        println!("{}", json!({"attack": word, "found": found}));
        std::io::stdout().flush()?;
    }
    Ok(())
}

impl Mallory {
    fn play(&self, word: &str) -> Result<Value, Wrong> {
        match word {
            "off-the-menu" => {
                (&self.control).write_all(&[77])?;
                Ok("asked".into())
            }
            "a-thousand-rooms" => self.thousand(),
            "two-keepers" => self.two_keepers(),
            word if word.starts_with("append-") => forge::append(self, word),
            word => signing::attack(self, word),
        }
    }

    /// Has a room started, and hears its Hello.
    fn open(&self, room: Room) -> Result<UnixStream, Wrong> {
        let channel = menu::start(&self.control, room)?;
        let _: Hello = frame::receive(&channel)?;
        Ok(channel)
    }

    fn entries(&self) -> Result<Vec<Entry>, Wrong> {
        Ok(Log::open(&self.tiles, &self.keys.log)?.1)
    }

    fn keep(&self, keeper: &UnixStream, ask: &Ask) -> Result<Answer, Wrong> {
        frame::send(keeper, ask)?;
        Ok(frame::receive(keeper)?)
    }

    fn append(&self, keeper: &UnixStream, bodies: Vec<Body>, since: u64) -> Result<Appended, Wrong> {
        let submissions = bodies.into_iter().map(Submission::Body).collect();
        match self.keep(keeper, &Ask::Append { submissions, since })? {
            Answer::Appended(appended) => Ok(appended),
            other => Err(format!("{other:?}").into()),
        }
    }

    fn thousand(&self) -> Result<Value, Wrong> {
        let mut doors = Vec::new();
        for _ in 0..1000 {
            match menu::start(&self.control, Room::Keeper) {
                Ok(door) => doors.push(door),
                Err(e) => return Ok(json!({"rooms": doors.len(), "then": e.to_string()})),
            }
        }
        Ok(json!({"rooms": doors.len()}))
    }

    /// The second says Hello only when the first has let go.
    fn two_keepers(&self) -> Result<Value, Wrong> {
        let first = self.open(Room::Keeper)?;
        let second = menu::start(&self.control, Room::Keeper)?;
        let at = self.append(&first, vec![forge::halted()], 0)?.first;
        drop(first);
        let hello: Hello = frame::receive(&second)?;
        let next = self.append(&second, vec![forge::halted()], 0)?.first;
        Ok(json!({"first": at, "second": next, "key": hello.public_key.is_some()}))
    }
}

/// What a failure amounts to.
fn failed(failure: &Failure) -> Value {
    json!({"failed": failure.code, "retry": failure.retry})
}

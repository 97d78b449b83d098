//! Stands in for a room's binary in `tests/broken`, copied beside the house's own under that room's name. It lives inside
//! the same walls, does the room's honest work by the same library, and turns one thing hostile: the one that a comment in
//! a file of the room's configuration names (`# mallory: WORD`).

mod builder_room;
mod comparer;
mod coordinator;
mod intake_room;
mod keeper;
mod noise;
mod tar;

use std::path::Path;
use std::process::ExitCode;

use hardening::menu::Room;
use hardening::room;

/// Whatever goes wrong here is for the test's reader.
type Done = Result<(), Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let done = match Room::ALL.into_iter().find(|r| name.ends_with(&format!("/{}", r.binary()))) {
        Some(Room::Coordinator) => coordinator::lead(),
        Some(room) => play(room),
        None => Err("not started under a room's name".into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("mallory: {e}");
            ExitCode::from(3)
        }
    }
}

fn play(room: Room) -> Done {
    let entered = room::enter(room)?;
    let (file, serve): (_, fn(&room::Entered, &str) -> Done) = match room {
        Room::Intake => ("intake.toml", intake_room::serve),
        Room::Builder => ("builder.toml", builder_room::serve),
        Room::Comparer => ("compare.toml", comparer::serve),
        Room::Keeper => ("keeper.toml", keeper::serve),
        Room::Signer | Room::Coordinator => return Err("a room that nobody broke here".into()),
    };
    let attack = attack(&entered.config.join(file))?;
    serve(&entered, &attack)
}

/// The word after `# mallory: `; without one, the room is honest.
fn attack(path: &Path) -> Result<String, std::io::Error> {
    let text = std::fs::read_to_string(path)?;
    let word = text.lines().rev().find_map(|line| line.strip_prefix("# mallory: "));
    Ok(word.unwrap_or("honest").to_owned())
}

//! The launcher: starts the coordinator, and rooms for it from a fixed menu. Reads no byte of any job.
//!
//! `countersign-launch --state DIR --config DIR [--uid-base N] [--builder-memory BYTES] [--expose ROOM=PATH]… -- WORDS`; made by `countersign`.
//! The menu, and what each room gets, stands in `hardening/src/menu.rs`.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::ExitCode;

use hardening::HardeningError;
use hardening::launch::{Perimeter, Started};
use hardening::menu::{self, Room};
use rustix::process::WaitStatus;

/// The first uid of the rooms, when nothing else is asked for.
const UID_BASE: u32 = 47_100;

/// The most rooms at once: a pass needs two, and whoever asks for more than a few means harm.
const ROOMS: usize = 16;

/// A room could not be started; also the status of a coordinator that was killed.
const UNAVAILABLE: u8 = 3;

fn main() -> ExitCode {
    let words = std::env::args_os().skip(1).map(|word| word.into_string());
    let words: Result<Vec<String>, _> = words.collect();
    let words = words.map_err(|_| HardeningError::Usage("an argument that is not UTF-8".to_owned()));
    let started = words.and_then(parse).and_then(|(perimeter, words)| serve(&perimeter, &words));
    match started {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("countersign-launch: {error}");
            ExitCode::from(if matches!(error, HardeningError::Usage(_)) { 2 } else { UNAVAILABLE })
        }
    }
}

/// Starts the coordinator and serves its orders until it ends.
fn serve(perimeter: &Perimeter, words: &[String]) -> Result<u8, HardeningError> {
    perimeter.prepare()?;
    let io = |cause| HardeningError::Step { step: "making a socket pair".to_owned(), cause };
    let (control, theirs) = UnixStream::pair().map_err(io)?;
    let coordinator = perimeter.start(Room::Coordinator, &theirs, words)?;
    drop(theirs);
    let mut rooms: Vec<(Room, Started)> = Vec::new();
    let orderly = loop {
        match menu::next_order(&control) {
            Ok(Some(number)) => {
                rooms = running(rooms);
                let room = Room::of_number(number);
                // One that is asked for again was done with: it must not linger beside the next one, in the same stores.
                // Keepers wait for one another by the log's lock.
                let (again, others) = rooms.into_iter().partition(|(r, _)| Some(*r) == room && *r != Room::Keeper);
                rooms = others;
                stop(again);
                match room {
                    Some(_) if rooms.len() >= ROOMS => {
                        break Err(format!("{ROOMS} rooms run already, and another was asked for"));
                    }
                    Some(room) => rooms.extend(order(perimeter, room, &control).map(|started| (room, started))),
                    None => break Err("an order that is on no menu".to_owned()),
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error.to_string()),
        }
    };
    if let Err(why) = orderly {
        eprintln!("countersign-launch: the coordinator's socket: {why}");
        coordinator.stop();
        stop(rooms);
        return Ok(UNAVAILABLE);
    }
    let status = coordinator.wait();
    stop(running(rooms));
    Ok(status.map_or(UNAVAILABLE, exit_status))
}

/// Those that have not ended; the others are let go.
fn running(rooms: Vec<(Room, Started)>) -> Vec<(Room, Started)> {
    let (over, running): (Vec<_>, Vec<_>) = rooms.into_iter().partition(|(_, started)| started.ended());
    over.into_iter().for_each(|(_, started)| started.forget());
    running
}

fn stop(rooms: Vec<(Room, Started)>) {
    rooms.into_iter().for_each(|(_, started)| started.stop());
}

/// Starts one room, and answers with the coordinator's end of its channel, or that it could not be had.
fn order(perimeter: &Perimeter, room: Room, control: &UnixStream) -> Option<Started> {
    let started = UnixStream::pair()
        .map_err(|cause| HardeningError::Step { step: "making a socket pair".to_owned(), cause })
        .and_then(|(ours, theirs)| perimeter.start(room, &theirs, &[]).map(|started| (started, ours)));
    let (started, channel) = match started {
        Ok((started, channel)) => (Some(started), Some(channel)),
        Err(error) => {
            eprintln!("countersign-launch: {}: {error}", room.name());
            (None, None)
        }
    };
    if let Err(error) = menu::answer(control, channel) {
        eprintln!("countersign-launch: the coordinator's socket: {error}");
        // It waits for an answer that will not come: let it hear the end instead.
        let _ = control.shutdown(Shutdown::Both);
    }
    started
}

fn exit_status(status: WaitStatus) -> u8 {
    status.exit_status().and_then(|code| u8::try_from(code).ok()).unwrap_or(UNAVAILABLE)
}

fn parse(args: Vec<String>) -> Result<(Perimeter, Vec<String>), HardeningError> {
    let usage = |what: &str| HardeningError::Usage(what.to_owned());
    let (mut state, mut config, mut uid_base, mut expose) = (None, None, UID_BASE, Vec::new());
    let mut builder_memory = None;
    let mut args = args.into_iter();
    loop {
        let Some(name) = args.next() else { return Err(usage("no -- and nothing after it")) };
        if name == "--" {
            break;
        }
        let value = args.next().ok_or_else(|| usage("an option without its value"))?;
        match name.as_str() {
            "--state" => state = Some(absolute(value)?),
            "--config" => config = Some(absolute(value)?),
            "--uid-base" => uid_base = value.parse().map_err(|_| usage("--uid-base: a number"))?,
            "--builder-memory" => {
                builder_memory = Some(value.parse().map_err(|_| usage("--builder-memory: a number"))?);
            }
            "--expose" => expose.push(exposed(&value)?),
            _ => return Err(usage("an option that the launcher does not know")),
        }
    }
    let own = std::env::current_exe().map_err(|cause| HardeningError::Step { step: "finding itself".into(), cause })?;
    let perimeter = Perimeter {
        state: state.ok_or_else(|| usage("--state is missing"))?,
        config: config.ok_or_else(|| usage("--config is missing"))?,
        binaries: own.parent().map(PathBuf::from).ok_or_else(|| usage("no folder"))?,
        uid_base: if (1000..=4_000_000_000).contains(&uid_base) {
            uid_base
        } else {
            return Err(usage("--uid-base: 1000 or more"));
        },
        trial: !rustix::process::geteuid().is_root(),
        expose,
        builder_memory,
    };
    Ok((perimeter, args.collect()))
}

fn absolute(path: String) -> Result<PathBuf, HardeningError> {
    let path = PathBuf::from(path);
    let plain = path.is_absolute() && !path.components().any(|c| c == std::path::Component::ParentDir);
    plain.then_some(path).ok_or_else(|| HardeningError::Usage("paths are absolute and without ..".to_owned()))
}

fn exposed(value: &str) -> Result<(Room, PathBuf), HardeningError> {
    let known = |room: &str| [Room::Intake, Room::Signer].into_iter().find(|r| r.name() == room);
    let (room, path) = value.split_once('=').ok_or_else(|| HardeningError::Usage("--expose: ROOM=PATH".to_owned()))?;
    let room = known(room).ok_or_else(|| HardeningError::Usage("--expose: intake or signer".to_owned()))?;
    Ok((room, absolute(path.to_owned())?))
}

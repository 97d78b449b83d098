//! Stands in for a room's binary in `tests/rooms`: locks itself down as that room, then tries what a room must not be able
//! to do, and says what came of it. Copied beside a launcher under the names of the rooms' binaries.
//!
//! As the coordinator it has the rooms started that its words name, and prints what each found.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode};

use hardening::attempt::Call;
use hardening::menu::{self, Room};
use hardening::room::{self, Hello};

/// What was tried, and what the kernel answered: `done`, or the error.
type Findings = BTreeMap<String, String>;

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    let room = Room::ALL.into_iter().find(|r| name.ends_with(&format!("/{}", r.binary())));
    let done = match room {
        Some(Room::Coordinator) => coordinate(),
        Some(room) => probe(room),
        None => Err(io::Error::other("not started under a room's name")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("countersign-room-probe: {e}");
            ExitCode::from(3)
        }
    }
}

/// The words: an address of the host's loopback, a path of a Unix socket outside, then rooms. They are kept until standard
/// input ends.
fn coordinate() -> io::Result<()> {
    let entered = room::enter_coordinator().map_err(io::Error::other)?;
    let mut doors = Vec::new();
    let [loopback, socket, rooms @ ..] = &entered.args[..] else { return Err(io::Error::other("too few words")) };
    let outside = Outside { loopback: loopback.clone(), socket: socket.clone() };
    let own = serde_json::json!({"room": "coordinator", "posture": entered.posture,
        "findings": findings(&entered.state, &outside)});
    println!("{own}");
    for word in rooms {
        let room = Room::ALL.into_iter().find(|r| r.name() == word).ok_or_else(|| io::Error::other("no such room"))?;
        let channel = menu::start(&entered.control, room)?;
        writeln!(&channel, "{loopback}\n{socket}")?;
        let mut line = String::new();
        BufReader::new(&channel).read_line(&mut line)?;
        print!("{line}");
        doors.push(channel);
    }
    io::stdout().flush()?;
    io::stdin().read_line(&mut String::new())?;
    Ok(())
}

/// What of the host a room must not reach.
struct Outside {
    loopback: String,
    socket: String,
}

fn probe(room: Room) -> io::Result<()> {
    let entered = room::enter(room).map_err(io::Error::other)?;
    let hello = Hello::new(room, &entered, None);
    let mut lines = BufReader::new(&entered.channel);
    let mut line = || -> io::Result<String> {
        let mut text = String::new();
        lines.read_line(&mut text)?;
        Ok(text.trim_end().to_owned())
    };
    let outside = Outside { loopback: line()?, socket: line()? };
    let told = serde_json::json!({"room": room.name(), "posture": hello.posture,
        "findings": findings(&entered.state, &outside)});
    writeln!(&entered.channel, "{told}")?;
    // Until the coordinator lets go of the channel.
    line()?;
    Ok(())
}

/// Tries everything.
fn findings(state: &Path, outside: &Outside) -> Findings {
    let mut found = Findings::new();
    let mut note = |what: &str, tried: io::Result<()>| {
        found.insert(what.to_owned(), tried.map_or_else(|e| e.kind().to_string(), |()| "done".to_owned()));
    };
    note("listen-tcp", TcpListener::bind("127.0.0.1:0").map(drop));
    note("listen-unix", UnixListener::bind("/tmp/probe.socket").map(drop));
    note("udp-out", UdpSocket::bind("0.0.0.0:0").and_then(|s| s.send_to(b"x", "127.0.0.1:9").map(drop)));
    note("connect-host-loopback", TcpStream::connect(&outside.loopback).map(drop));
    note("connect-unix-outside", UnixStream::connect(&outside.socket).map(drop));
    note("read-etc-shadow", fs::read("/etc/shadow").map(drop));
    note("read-root-home", fs::read_dir("/root").map(drop));
    note("write-usr", fs::write("/usr/probe", "x"));
    note("write-binaries", std::env::current_exe().and_then(|own| fs::write(own.with_extension("probe"), "x")));
    note("start-program", started(&mut Command::new("/bin/true")));
    note("start-git", started(Command::new("/usr/bin/git").arg("--version")));
    note("see-others", others());
    let init = 1;
    for (what, call) in [
        ("ptrace", Call::Ptrace { pid: init }),
        ("read-memory", Call::ReadMemory { pid: init }),
        ("new-user-namespace", Call::NewUserNamespace),
        ("keyring", Call::Keyring),
        ("bpf", Call::Bpf),
        ("io-uring", Call::IoUring),
        ("become-root", Call::BecomeRoot),
    ] {
        note(what, call.make());
    }
    for store in STORES {
        let path = state.join("public").join(store);
        note(&format!("read {store}"), fs::read_dir(&path).map(drop));
        note(&format!("write {store}"), fs::write(path.join("probe"), "x"));
    }
    found
}

/// Done when a program ran and was content.
fn started(command: &mut Command) -> io::Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other("it ran, and failed")),
    }
}

/// Done when a process besides this one, which is number 1, can be seen.
fn others() -> io::Result<()> {
    let mut seen = fs::read_dir("/proc")?.flatten().filter_map(|e| e.file_name().to_string_lossy().parse::<u32>().ok());
    seen.find(|pid| *pid != 1).map(drop).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

const STORES: &[&str] = &[
    "intake/dossiers",
    "intake/candidates",
    "intake/own",
    "builder/out",
    "builder/work",
    "compare/out",
    "compare/own",
    "log/tiles",
    "log/own",
    "signer/own",
    "coordinator/own",
];

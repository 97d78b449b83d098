//! Rooms, tried from inside and looked at from outside: a stand-in for each binary locks itself down as that room, then
//! tries what the room must not be able to do. As root, and as an ordinary user.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::binaries;

/// An ordinary user's id: any that owns nothing.
const USER: u32 = 47_999;

const ROOMS: [(&str, &str); 6] = [
    ("coordinator", "countersign"),
    ("intake", "countersign-intake"),
    ("builder", "countersign-builder"),
    ("comparer", "countersign-compare"),
    ("keeper", "countersign-keeper"),
    ("signer", "countersign-signer"),
];

/// A house of stand-ins, all rooms running.
struct Standing {
    folder: tempfile::TempDir,
    launcher: Child,
    told: BTreeMap<String, Value>,
    _loopback: TcpListener,
    _socket: UnixListener,
}

impl Standing {
    fn start(user: bool) -> Self {
        Self::start_these(user, &ROOMS.map(|(room, _)| room)[1..])
    }

    /// The coordinator, and these rooms one after another.
    fn start_these(user: bool, rooms: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["bin", "config", "state"] {
            fs::create_dir(place(name)).unwrap();
        }
        fs::copy(binaries().join("countersign-launch"), place("bin/countersign-launch")).unwrap();
        for (_, binary) in ROOMS {
            fs::copy(binaries().join("countersign-room-probe"), place("bin").join(binary)).unwrap();
        }
        let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = UnixListener::bind(place("socket")).unwrap();
        fs::set_permissions(place("socket"), fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new(place("bin/countersign-launch"));
        command.arg("--state").arg(place("state")).arg("--config").arg(place("config")).arg("--");
        command.arg(loopback.local_addr().unwrap().to_string()).arg(place("socket"));
        command.args(rooms);
        if user && rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(place("state"), Some(USER), Some(USER)).unwrap();
            command.uid(USER).gid(USER);
        }
        let mut launcher = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(launcher.stdout.take().unwrap()).lines();
        let told = lines.take(1 + rooms.len()).map(|line| {
            let told: Value = serde_json::from_str(&line.unwrap()).unwrap();
            (told["room"].as_str().unwrap().to_owned(), told)
        });
        let told: BTreeMap<String, Value> = told.collect();
        assert!(rooms.iter().all(|room| told.contains_key(*room)), "every room started");
        Self { folder, launcher, told, _loopback: loopback, _socket: socket }
    }

    /// The processes of a binary, as the kernel lists them.
    fn processes(&self, binary: &str) -> Vec<PathBuf> {
        let wanted = self.folder.path().join("bin").join(binary);
        processes().into_iter().filter(|p| first_argument(p).as_deref() == Some(wanted.as_path())).collect()
    }

    fn found(&self, room: &str, what: &str) -> String {
        self.told[room]["findings"][what].as_str().unwrap_or_else(|| panic!("{room}: {what} was not tried")).to_owned()
    }
}

impl Drop for Standing {
    fn drop(&mut self) {
        if let Some(mut stdin) = self.launcher.stdin.take() {
            let _ = stdin.write_all(b"\n");
        }
        let _ = self.launcher.wait();
    }
}

/// `/proc/PID` of everything that runs.
pub fn processes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").unwrap().flatten().map(|e| e.path());
    entries.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().parse::<u32>().is_ok())).collect()
}

/// What a process was started as.
pub fn first_argument(process: &Path) -> Option<PathBuf> {
    let line = fs::read(process.join("cmdline")).ok()?;
    let first = line.split(|b| *b == 0).next()?;
    Some(PathBuf::from(String::from_utf8_lossy(first).into_owned()))
}

fn status(process: &Path, field: &str) -> String {
    let status = fs::read_to_string(process.join("status")).unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_default().trim().to_owned()
}

fn both(test: impl Fn(&Standing, bool)) {
    if rustix::process::geteuid().is_root() {
        test(&Standing::start(false), false);
    }
    test(&Standing::start(true), true);
}

#[test]
fn the_kernel_confirms_every_rooms_lockdown() {
    both(|house, user| {
        for (number, (room, binary)) in ROOMS.iter().enumerate() {
            let found = house.processes(binary);
            let [process] = &found[..] else { panic!("{room}: {found:?}") };
            assert_eq!(status(process, "Seccomp"), "2", "{room}");
            assert_eq!(status(process, "NoNewPrivs"), "1", "{room}");
            let uid: u32 = status(process, "Uid").split_whitespace().next().unwrap().parse().unwrap();
            let expected = if user {
                if rustix::process::geteuid().is_root() { USER } else { uid }
            } else {
                47_100 + number as u32
            };
            assert_eq!(uid, expected, "{room}");
            if *room != "builder" {
                assert_eq!(status(process, "CapEff"), "0000000000000000", "{room}");
                assert_eq!(status(process, "CapBnd"), "0000000000000000", "{room}");
            }
            let own = |space: &str| fs::read_link(process.join("ns").join(space)).ok();
            let ours = |space: &str| fs::read_link(Path::new("/proc/self/ns").join(space)).ok();
            for space in ["mnt", "pid", "ipc", "uts"] {
                assert_ne!(own(space), ours(space), "{room}: {space}");
            }
            let network = matches!(*room, "intake" | "signer");
            assert_eq!(own("net") == ours("net"), network, "{room}: the network");
            assert_eq!(house.told[*room]["posture"]["trial"], user, "{room}");
            assert_eq!(house.told[*room]["posture"]["not_dumpable"], true, "{room}");
        }
    });
}

#[test]
fn no_room_listens_but_the_sandbox_in_its_empty_network() {
    both(|house, _| {
        for (room, _) in ROOMS.iter().filter(|(room, _)| *room != "builder") {
            assert_ne!(house.found(room, "listen-tcp"), "done", "{room}");
            assert_ne!(house.found(room, "listen-unix"), "done", "{room}");
        }
    });
}

#[test]
fn rooms_reach_nothing_of_the_host_but_what_the_menu_lists() {
    both(|house, _| {
        for (room, _) in ROOMS {
            for what in [
                "connect-unix-outside",
                "read-etc-shadow",
                "read-root-home",
                "write-usr",
                "write-binaries",
                "see-others",
            ] {
                assert_ne!(house.found(room, what), "done", "{room}: {what}");
            }
            let network = matches!(room, "intake" | "signer");
            assert_eq!(house.found(room, "connect-host-loopback") == "done", network, "{room}: the host's loopback");
            let git = matches!(room, "intake" | "builder");
            assert_eq!(house.found(room, "start-git") == "done", git, "{room}: starting git");
            assert_eq!(house.found(room, "start-program") == "done", room == "builder", "{room}: starting a program");
        }
    });
}

#[test]
fn calls_that_escapes_begin_with_are_denied_by_the_list() {
    let calls = ["ptrace", "read-memory", "keyring", "bpf", "io-uring"];
    both(|house, _| {
        for (room, _) in ROOMS {
            for call in calls {
                assert_eq!(house.found(room, call), "permission denied", "{room}: {call}");
            }
            // The runtime makes the sandbox's namespaces in the builder, where these lead nowhere; ssh sets its own uid
            // again in intake.
            if !matches!(room, "builder" | "intake") {
                assert_eq!(house.found(room, "become-root"), "permission denied", "{room}");
            }
            assert!(room == "builder" || house.found(room, "new-user-namespace") == "permission denied", "{room}");
        }
    });
}

#[test]
fn each_store_is_written_by_its_room_alone_and_read_by_those_it_is_for() {
    let writers = [
        ("intake/dossiers", "intake", &["intake", "builder", "comparer"][..]),
        ("intake/candidates", "intake", &["intake", "comparer", "signer"]),
        ("intake/own", "intake", &["intake"]),
        ("builder/out", "builder", &["builder", "comparer"]),
        ("builder/work", "builder", &["builder"]),
        ("compare/out", "comparer", &["comparer", "signer"]),
        ("compare/own", "comparer", &["comparer"]),
        ("log/tiles", "keeper", &["keeper", "coordinator"]),
        ("log/own", "keeper", &["keeper"]),
        ("signer/own", "signer", &["signer"]),
    ];
    both(|house, _| {
        for (store, writer, readers) in writers {
            for (room, _) in ROOMS {
                let wrote = house.found(room, &format!("write {store}")) == "done";
                assert_eq!(wrote, room == writer, "{room} writes {store}");
                let read = house.found(room, &format!("read {store}")) == "done";
                assert_eq!(read, readers.contains(&room), "{room} reads {store}");
            }
        }
    });
}

#[test]
fn a_room_that_is_asked_for_again_takes_the_place_of_the_one_before() {
    let user = !rustix::process::geteuid().is_root();
    let house = Standing::start_these(user, &["builder", "intake", "builder", "intake", "builder"]);
    for binary in ["countersign-builder", "countersign-intake"] {
        assert_eq!(house.processes(binary).len(), 1, "{binary}: none lingers in the stores of the next");
    }
}

#[test]
fn a_killed_launcher_takes_every_room_with_it() {
    let mut house = Standing::start(!rustix::process::geteuid().is_root());
    house.launcher.kill().unwrap();
    house.launcher.wait().unwrap();
    // The kernel kills the rest; it is not said how soon.
    let left = || ROOMS.iter().flat_map(|(_, binary)| house.processes(binary)).collect::<Vec<_>>();
    while !left().is_empty() {
        std::thread::yield_now();
    }
}

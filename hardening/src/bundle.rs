//! The sandbox: an OCI runtime bundle for one start of a recipe, and what is read back from inside it.
//!
//! The bundle is started by the builder room, which is root of a user namespace in an empty network namespace already; the
//! bundle's own user namespace lies inside that one.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::{Value, json};

use crate::{denied, readback};

/// How much of the end of a run's output is kept, in bytes: enough for the last lines of a failing build.
const TAIL: usize = 16 << 10;

/// How often a runtime is started that could not copy itself.
const STARTS: usize = 4;

/// The pause before such a start is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// What runc says when the kernel would not seal the copy of runc that it starts from, because pages of it are held for a
/// moment (memfd_create(2), F_SEAL_WRITE: EBUSY). It comes before runc has made anything.
const NOT_COPIED: &str = "could not ensure we are a cloned binary: Device or resource busy";

/// What may be done as root of the sandbox's own user namespace: what installing files needs.
const CAPABILITIES: [&str; 8] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETUID",
];

/// Something of the builder's that the sandbox sees.
#[derive(Debug, Clone)]
pub struct Bind {
    /// Where it is.
    pub source: PathBuf,
    /// Where it is inside.
    pub destination: PathBuf,
}

/// One start.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The bundle's folder.
    pub folder: PathBuf,
    /// The root file system; read-only inside.
    pub rootfs: PathBuf,
    /// The host name.
    pub hostname: String,
    /// The working directory.
    pub cwd: String,
    /// The umask.
    pub umask: u32,
    /// The environment, `NAME=value`; all of it.
    pub env: Vec<String>,
    /// What is there besides, writable.
    pub binds: Vec<Bind>,
    /// Whether the builder has a range of ids; else there is one.
    pub ranges: bool,
    /// How many processes there may be.
    pub processes: u64,
    /// How much memory of its own one process may have, in bytes, and how much `/tmp` holds.
    pub memory: u64,
}

/// How a start ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit status; `None` when it took too long and was stopped.
    pub status: Option<i32>,
    /// The end of what the script printed on either stream.
    pub tail: String,
    /// What was asked for and found inside, before the script ran.
    pub enforced: Vec<String>,
}

/// Why the sandbox could not be had.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// Something on this host failed.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The runtime did not start, or ignored what was asked.
    #[error("the sandbox is not as asked: {0}")]
    NotAsAsked(String),
}

impl Bundle {
    /// Starts the sandbox, compares what is there inside it with what was asked for, and only then has it run a script
    /// with `/bin/sh -e`. A runtime that could not copy itself is started again, a few times; nothing was made until then.
    ///
    /// # Errors
    /// When the runtime can't be started, or anything is not as asked: then nothing of the script was run.
    pub fn run(&self, runtime: &Path, name: &str, script: &str, limit: Duration) -> Result<Ended, SandboxError> {
        for _ in 1..STARTS {
            match self.start(runtime, name, script, limit) {
                Err(SandboxError::NotAsAsked(said)) if said.contains(NOT_COPIED) => std::thread::sleep(PAUSE),
                ended => return ended,
            }
        }
        self.start(runtime, name, script, limit)
    }

    fn start(&self, runtime: &Path, name: &str, script: &str, limit: Duration) -> Result<Ended, SandboxError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |cause| SandboxError::Io { what, cause }
        };
        fs::create_dir_all(&self.folder).map_err(io("making the bundle"))?;
        let config = serde_json::to_vec_pretty(&self.config(script)).map_err(|e| io("the bundle")(e.into()))?;
        fs::write(self.folder.join("config.json"), config).map_err(io("writing the bundle"))?;
        let (output, input) = io::pipe().map_err(io("making a pipe"))?;
        let errors = input.try_clone().map_err(io("making a pipe"))?;
        let (asked, go) = io::pipe().map_err(io("making a pipe"))?;
        let mut command = Command::new(runtime);
        command
            .arg("--root")
            .arg(self.folder.join("state"))
            .args(["run", "--no-new-keyring", "--bundle"])
            .arg(&self.folder)
            .arg(name);
        command.stdin(asked).stdout(input).stderr(errors);
        let mut child = command.spawn().map_err(io("starting the runtime"))?;
        drop(command);
        let (told, answers) = mpsc::channel();
        let tail = std::thread::spawn(move || {
            let mut output = output;
            let (answers, rest) = readback::listen(&mut output);
            let _ = told.send(answers);
            read_tail(rest.chain(output))
        });
        let (sender, ended) = mpsc::channel();
        let waiter = std::thread::spawn(move || {
            let _ = sender.send(child.wait());
        });
        let enforced = match answers.recv_timeout(readback::PATIENCE) {
            Ok(answers) => answers.and_then(|answers| self.compare(&answers)),
            Err(_) => Err(SandboxError::NotAsAsked("it did not answer".to_owned())),
        };
        // What has not begun is no recipe's failure.
        let enforced = enforced.and_then(|enforced| {
            readback::let_go(go).map_err(io("letting the recipe begin"))?;
            Ok(enforced)
        });
        let status = match &enforced {
            Ok(_) => ended.recv_timeout(limit).ok(),
            // At the end of its input, which holds no word, it ends.
            Err(_) => None,
        };
        // Whatever is left, of a run that took too long above all: the room is the first process of its pid namespace,
        // so every other process in it is the sandbox's.
        sweep();
        let _ = waiter.join();
        let tail = tail.join().unwrap_or_default();
        let _ = fs::remove_dir_all(self.folder.join("state"));
        let (enforced, status) = (enforced?, status.transpose().map_err(io("waiting for the runtime"))?);
        Ok(Ended { status: status.map(|status| status.code().unwrap_or(255)), tail, enforced })
    }

    fn config(&self, script: &str) -> Value {
        let ids = match self.ranges {
            true => json!([{"containerID": 0, "hostID": 0, "size": 1}, {"containerID": 1, "hostID": 1, "size": 65535}]),
            false => json!([{"containerID": 0, "hostID": 0, "size": 1}]),
        };
        let namespaces = ["pid", "ipc", "uts", "mount", "user"].map(|kind| json!({"type": kind}));
        json!({
            "ociVersion": "1.0.2",
            "process": {
                "terminal": false,
                "user": {"uid": 0, "gid": 0, "umask": self.umask},
                "args": ["/bin/sh", "-e", "-c", readback::FIRST, "sh", script],
                "env": self.env,
                "cwd": self.cwd,
                "noNewPrivileges": true,
                "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
                // When memory is short the kernel stops a build before anything else; it can't take that back, because its
                // /proc is read-only.
                "oomScoreAdj": 1000,
                "rlimits": [
                    // Not zero: with zero the host's core_pattern would still start a program for a core.
                    {"type": "RLIMIT_CORE", "hard": 1, "soft": 1},
                    {"type": "RLIMIT_DATA", "hard": self.memory, "soft": self.memory},
                    {"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024},
                    {"type": "RLIMIT_NPROC", "hard": self.processes, "soft": self.processes},
                ],
            },
            "root": {"path": self.rootfs, "readonly": true},
            "hostname": self.hostname,
            "mounts": self.mounts(),
            "linux": {
                "namespaces": namespaces,
                "uidMappings": ids.clone(),
                "gidMappings": ids,
                "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
                    "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi"],
                "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
                "seccomp": denied::list(),
            },
        })
    }

    fn mounts(&self) -> Vec<Value> {
        let tmpfs = |path: &str, options: &[&str]| {
            let options: Vec<&str> = ["nosuid", "nodev"].iter().chain(options).copied().collect();
            json!({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options})
        };
        let mut mounts = vec![
            json!({"destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev", "ro"]}),
            json!({"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]}),
            tmpfs("/dev/shm", &["mode=1777", "size=65536k"]),
            tmpfs("/tmp", &["mode=1777", &format!("size={}", self.memory)]),
        ];
        for bind in &self.binds {
            mounts.push(json!({"destination": bind.destination, "type": "none", "source": bind.source,
                "options": ["bind", "rw", "nosuid", "nodev"]}));
        }
        mounts
    }
}

/// Kills every other process of this pid namespace, until there is none.
fn sweep() {
    if std::process::id() != 1 {
        return;
    }
    loop {
        let others = fs::read_dir("/proc").into_iter().flatten().flatten();
        let others = others.filter_map(|e| e.file_name().to_string_lossy().parse::<i32>().ok()).filter(|pid| *pid != 1);
        let alive: Vec<i32> = others.filter(|pid| !is_zombie(*pid)).collect();
        if alive.is_empty() {
            return;
        }
        for pid in alive.into_iter().filter_map(Pid::from_raw) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Dead already, and waited for by somebody, or by nobody.
fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with(['Z', 'X']) || rest.is_empty())
}

/// The end of what comes, at most [`TAIL`] bytes; all of it is read, so that nobody waits for us.
fn read_tail(mut from: impl Read) -> String {
    let mut kept: Vec<u8> = Vec::new();
    let mut piece = [0; 8192];
    while let Ok(n @ 1..) = from.read(&mut piece) {
        kept.extend_from_slice(&piece[..n]);
        if kept.len() > 2 * TAIL {
            kept.drain(..kept.len() - TAIL);
        }
    }
    let start = kept.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&kept[start..]).into_owned()
}

//! A tracer that makes one system call of one room go wrong, or that call's last: by ptrace, for Linux on x86-64.
//!
//! Of all processes below a command those of the house are stopped at each call that writes, names, unnames or sends, or that
//! reads below the state folder. The caller is told which call it is, and says what becomes of it. What a room starts (git,
//! the runtime) is let go.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Event, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::rooms::first_argument;

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It fails, and nothing of it was done.
    NotDone,
    /// It is done, and said to have failed.
    Done,
    /// It is done, and its process is killed before it hears of it.
    Killed,
}

impl Fate {
    pub const ALL: [Self; 3] = [Self::NotDone, Self::Done, Self::Killed];
}

/// A call that a store or another room hears of: which binary makes it, which call, on what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    pub binary: String,
    pub name: &'static str,
    /// A path below the state folder, `channel`, `socket`, `stderr`, `pipe`; what is different each time is a `#`.
    pub what: String,
}

/// How a traced command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Status(i32),
    Signal,
    /// It did not end, and was killed: something waits for ever.
    Hung,
}

/// Longer than any pass takes, by far.
const PATIENCE: Duration = Duration::from_secs(240);

/// The calls, by number: their names, and where the path stands (an argument's place), or that there is a descriptor.
const CALLS: &[(i64, &str, On)] = &[
    (libc::SYS_write, "write", On::Descriptor),
    (libc::SYS_writev, "writev", On::Descriptor),
    (libc::SYS_pwrite64, "pwrite64", On::Descriptor),
    (libc::SYS_copy_file_range, "copy_file_range", On::Third),
    (libc::SYS_sendfile, "sendfile", On::Descriptor),
    (libc::SYS_sendto, "sendto", On::Descriptor),
    (libc::SYS_sendmsg, "sendmsg", On::Descriptor),
    (libc::SYS_fsync, "fsync", On::Descriptor),
    (libc::SYS_fdatasync, "fdatasync", On::Descriptor),
    (libc::SYS_ftruncate, "ftruncate", On::Descriptor),
    (libc::SYS_rename, "rename", On::Path(1)),
    (libc::SYS_renameat, "renameat", On::Path(3)),
    (libc::SYS_renameat2, "renameat2", On::Path(3)),
    (libc::SYS_link, "link", On::Path(1)),
    (libc::SYS_linkat, "linkat", On::Path(3)),
    (libc::SYS_symlink, "symlink", On::Path(1)),
    (libc::SYS_symlinkat, "symlinkat", On::Path(2)),
    (libc::SYS_unlink, "unlink", On::Path(0)),
    (libc::SYS_unlinkat, "unlinkat", On::Path(1)),
    (libc::SYS_mkdir, "mkdir", On::Path(0)),
    (libc::SYS_mkdirat, "mkdirat", On::Path(1)),
    (libc::SYS_read, "read", On::Store),
    (libc::SYS_pread64, "pread64", On::Store),
    (libc::SYS_openat, "openat", On::StoredPath(1)),
];

#[derive(Debug, Clone, Copy)]
enum On {
    Descriptor,
    /// The third argument is a descriptor.
    Third,
    Path(usize),
    /// A descriptor, if it is of a file below the state folder.
    Store,
    /// A path, if it is below the state folder.
    StoredPath(usize),
}

/// Runs a command, and asks at each call of the house's processes what becomes of it. `state` is what paths are told
/// from.
pub fn run(command: &Command, state: &Path, ask: &mut dyn FnMut(&Call) -> Option<Fate>) -> End {
    let mut stopped = Command::new("/bin/sh");
    stopped.args(["-c", "kill -STOP $$; exec \"$@\"", "sh"]).arg(command.get_program()).args(command.get_args());
    stopped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    stopped.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    let errors = state.with_file_name("traced.stderr");
    stopped.stderr(fs::File::create(&errors).unwrap());
    let root = Pid::from_raw(stopped.spawn().unwrap().id() as i32);
    while !fs::read_to_string(format!("/proc/{root}/stat")).unwrap().contains(") T ") {
        std::thread::yield_now();
    }
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(root, options).unwrap();
    kill(root, Signal::SIGCONT).unwrap();
    let (done, over) = mpsc::channel::<()>();
    std::thread::scope(|threads| {
        let watch = threads.spawn(move || {
            let hung = over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout);
            // The launcher takes every room with it.
            hung.then(|| kill(root, Signal::SIGKILL)).is_some()
        });
        let end = Tracer { state: state.to_owned(), of: HashMap::from([(root, Traced::default())]), root }.follow(ask);
        drop(done);
        if watch.join().unwrap() { End::Hung } else { end }
    })
}

/// What a traced command said.
pub fn said(state: &Path) -> String {
    fs::read_to_string(state.with_file_name("traced.stderr")).unwrap_or_default()
}

struct Tracer {
    state: PathBuf,
    of: HashMap<Pid, Traced>,
    root: Pid,
}

#[derive(Debug, Clone, Default)]
struct Traced {
    /// Which of the house's binaries it is; `None` before there is one.
    binary: Option<String>,
    fate: Option<Fate>,
}

impl Tracer {
    fn follow(mut self, ask: &mut dyn FnMut(&Call) -> Option<Fate>) -> End {
        let mut end = End::Signal;
        // Only what this thread started: other tests wait for their own.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(flags)) {
                Err(Errno::ECHILD) => return end,
                Err(Errno::EINTR) => {}
                Err(error) => panic!("waitpid: {error}"),
                Ok(WaitStatus::Exited(pid, status)) => {
                    self.of.remove(&pid);
                    if pid == self.root {
                        end = End::Status(status);
                    }
                }
                Ok(WaitStatus::Signaled(pid, ..)) => drop(self.of.remove(&pid)),
                Ok(WaitStatus::PtraceEvent(pid, _, event)) => self.event(pid, event),
                Ok(WaitStatus::PtraceSyscall(pid)) => {
                    self.call(pid, ask);
                    self.go_on(pid, None);
                }
                Ok(WaitStatus::Stopped(pid, signal)) => self.go_on(pid, Some(signal)),
                Ok(_) => {}
            }
        }
    }

    fn event(&mut self, pid: Pid, event: i32) {
        let event = [Event::PTRACE_EVENT_EXEC, Event::PTRACE_EVENT_FORK, Event::PTRACE_EVENT_VFORK]
            .into_iter()
            .chain([Event::PTRACE_EVENT_CLONE])
            .find(|e| *e as i32 == event);
        match event {
            Some(Event::PTRACE_EVENT_EXEC) => {
                let binary = self.binary(pid);
                if binary.is_none() {
                    // A program that a room starts; it may be gone already.
                    self.of.remove(&pid);
                    let _ = ptrace::detach(pid, None);
                    return;
                }
                self.of.insert(pid, Traced { binary, fate: None });
            }
            Some(_) => {
                let parent = self.of.get(&pid).cloned().unwrap_or_default();
                if let Ok(child) = ptrace::getevent(pid) {
                    let child = Pid::from_raw(child as i32);
                    self.of.insert(child, Traced { binary: parent.binary, fate: None });
                }
            }
            None => {}
        }
        self.go_on(pid, None);
    }

    /// One of ours, by the name it was started under.
    fn binary(&self, pid: Pid) -> Option<String> {
        let first = first_argument(Path::new(&format!("/proc/{pid}")))?;
        let own = first.starts_with(crate::binaries());
        own.then(|| first.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// It may have been killed meanwhile.
    fn go_on(&self, pid: Pid, signal: Option<Signal>) {
        let watched = self.of.get(&pid).is_some_and(|traced| traced.binary.is_some());
        let _ = if watched { ptrace::syscall(pid, signal) } else { ptrace::cont(pid, signal) };
    }

    fn call(&mut self, pid: Pid, ask: &mut dyn FnMut(&Call) -> Option<Fate>) {
        const ENTERED: u8 = 1;
        let Ok(info) = ptrace::syscall_info(pid) else { return };
        let Ok(mut registers) = ptrace::getregs(pid) else { return };
        if info.op != ENTERED {
            match self.of.get_mut(&pid).and_then(|traced| traced.fate.take()) {
                Some(Fate::NotDone | Fate::Done) => {
                    registers.rax = -i64::from(libc::EIO) as u64;
                    let _ = ptrace::setregs(pid, registers);
                }
                Some(Fate::Killed) => drop(kill(pid, Signal::SIGKILL)),
                None => {}
            }
            return;
        }
        let Some(call) = self.describe(pid, &registers) else { return };
        let Some(fate) = ask(&call) else { return };
        if fate == Fate::NotDone {
            // Another call in its place, which every room may make.
            registers.orig_rax = libc::SYS_getpid as u64;
            ptrace::setregs(pid, registers).unwrap();
        }
        self.of.entry(pid).or_default().fate = Some(fate);
    }

    fn describe(&self, pid: Pid, registers: &libc::user_regs_struct) -> Option<Call> {
        let (_, name, on) = CALLS.iter().find(|(number, ..)| *number as u64 == registers.orig_rax)?;
        let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10];
        let what = match on {
            On::Descriptor => self.descriptor(pid, registers.rdi)?,
            On::Third => self.descriptor(pid, registers.rdx)?,
            On::Path(place) => self.path(&text(pid, arguments[*place])?),
            On::Store => self.path(&self.stored(&fs::read_link(format!("/proc/{pid}/fd/{}", registers.rdi)).ok()?)?),
            On::StoredPath(place) => self.path(&self.stored(Path::new(&text(pid, arguments[*place])?))?),
        };
        Some(Call { binary: self.of.get(&pid)?.binary.clone()?, name, what })
    }

    /// A path, if it is below the state folder.
    fn stored(&self, path: &Path) -> Option<String> {
        path.starts_with(&self.state).then(|| path.to_string_lossy().into_owned())
    }

    fn descriptor(&self, pid: Pid, number: u64) -> Option<String> {
        let target = fs::read_link(format!("/proc/{pid}/fd/{number}")).ok()?;
        let target = target.to_string_lossy();
        match number {
            2 => return Some("stderr".to_owned()),
            3 if target.starts_with("socket:") => return Some("channel".to_owned()),
            _ => {}
        }
        match target.split_once(':') {
            Some(("socket" | "pipe", _)) => Some(target.split(':').next().unwrap_or_default().to_owned()),
            // What a runtime wakes itself with.
            Some(("anon_inode", _)) => None,
            _ => (target != "/dev/null").then(|| self.path(&target)),
        }
    }

    /// Told from the state folder, and the same in each pass.
    fn path(&self, path: &str) -> String {
        let below = path.strip_prefix(&*self.state.to_string_lossy()).unwrap_or(path);
        let parts = below.split('/').filter(|part| !part.is_empty()).map(|part| {
            // A world's own folder.
            if part.starts_with(".tmp") {
                return "#".to_owned();
            }
            let (stem, end) =
                part.split_once('.').map_or((part, String::new()), |(stem, end)| (stem, format!(".{end}")));
            let changing = stem.len() >= 16 || (!stem.is_empty() && stem.bytes().all(|b| b.is_ascii_digit()));
            let end = if end.bytes().any(|b| b.is_ascii_digit()) { String::new() } else { end };
            if changing { format!("#{end}") } else { format!("{stem}{end}") }
        });
        // Files of a base or of a source are alike.
        let parts: Vec<String> = parts.collect();
        match parts.iter().position(|part| part == "rootfs" || part == "source") {
            Some(at) => format!("{}/…", parts[..=at].join("/")),
            None => parts.join("/"),
        }
    }
}

/// A string of a process, as its calls name paths.
fn text(pid: Pid, at: u64) -> Option<String> {
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let mut bytes = [0; 4096];
    // A string may stand at the end of what is mapped.
    let read = (0..2).find_map(|half| memory.read_at(&mut bytes[..4096 >> (half * 4)], at).ok())?;
    let end = bytes[..read].iter().position(|b| *b == 0)?;
    Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
}

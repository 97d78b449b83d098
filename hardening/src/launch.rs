//! Starting a room: state folders, a process in namespaces of its own, its tree, its uid, its limits.
//!
//! Everything here is done by the launcher, or by its child before it becomes the room; neither reads a byte of a job.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Gid, Pid, Resource, Rlimit, Signal, Uid, WaitOptions, WaitStatus};

use crate::cgroup::Cgroup;
use crate::error::{HardeningError, Step as _};
use crate::menu::Room;
use crate::sys::{self, namespace};
use crate::tree::{Access, Tree};

/// How many ids the sandbox has, when the launcher is root: what images use.
const SANDBOX_IDS: u32 = 65_536;

/// The perimeter that the launcher was started for.
#[derive(Debug)]
pub struct Perimeter {
    /// The state folder, absolute.
    pub state: PathBuf,
    /// The folder of the configuration, absolute.
    pub config: PathBuf,
    /// The folder of the house's binaries.
    pub binaries: PathBuf,
    /// The first uid of the rooms.
    pub uid_base: u32,
    /// Whether the launcher is an ordinary user: one uid for all rooms.
    pub trial: bool,
    /// What of the host a room may see besides, read-only.
    pub expose: Vec<(Room, PathBuf)>,
    /// Memory of the builder in bytes, when it is not the menu's.
    pub builder_memory: Option<u64>,
}

/// A room's process.
#[derive(Debug)]
pub struct Started {
    /// Its pid, as the launcher sees it; pid 1 of its own namespace.
    pub pid: Pid,
    cgroup: Option<Cgroup>,
}

impl Perimeter {
    fn lane(&self) -> PathBuf {
        self.state.join("public")
    }

    fn uid(&self, room: Room) -> u32 {
        self.uid_base + room.fare().uid_offset
    }

    /// Makes the state folders, each its writer's.
    ///
    /// # Errors
    /// As the file system says.
    pub fn prepare(&self) -> Result<(), HardeningError> {
        Cgroup::remove_leftovers();
        make_folder(&self.lane(), 0o700, None)?;
        make_folder(&self.state.join("tree"), 0o700, None)?;
        for room in Room::ALL {
            for store in room.fare().stores.iter().filter(|s| s.writes) {
                let owner = (!self.trial).then(|| self.uid(room));
                let path = self.lane().join(store.path);
                // `own` and `work` are nobody else's business; what others read they see by a mount.
                let private = store.path.ends_with("own") || store.path.ends_with("work");
                make_folder(path.parent().unwrap_or(&path), 0o755, None)?;
                make_folder(&path, if private { 0o700 } else { 0o755 }, owner)?;
            }
        }
        Ok(())
    }

    /// Starts a room.
    ///
    /// # Errors
    /// When the kernel does not give what the room needs.
    pub fn start(&self, room: Room, end: &UnixStream, words: &[String]) -> Result<Started, HardeningError> {
        let trial = self.trial;
        let (ours, theirs) = UnixStream::pair().step("making a socket pair")?;
        let mut spaces = namespace::MOUNT | namespace::PID | namespace::IPC | namespace::UTS | namespace::CGROUP;
        if !room.fare().network {
            spaces |= namespace::NETWORK;
        }
        if trial {
            spaces |= namespace::USER;
        }
        let memory = self.builder_memory.filter(|_| room == Room::Builder).unwrap_or(room.fare().memory);
        let cgroup = if trial { None } else { Cgroup::make(room.name(), memory, room.fare().processes) };
        let Some(pid) = sys::clone_process(spaces).map_err(|cause| no_namespaces(room, cause))? else {
            drop(ours);
            let error = self.become_room(room, &theirs, end, words, cgroup.as_ref());
            eprintln!("countersign-launch: {}: {error}", room.name());
            std::process::exit(3);
        };
        drop(theirs);
        let started = Started { pid, cgroup };
        if let Err(error) = self.attend(room, &started, &ours) {
            started.stop();
            return Err(error);
        }
        Ok(started)
    }

    /// The launcher's half of a start: limits and id maps, which the child waits for.
    fn attend(&self, room: Room, started: &Started, child: &UnixStream) -> Result<(), HardeningError> {
        let mut child = child;
        if let Some(cgroup) = &started.cgroup {
            cgroup.admit(started.pid).step("moving the room into its cgroup")?;
        }
        let pid = started.pid.as_raw_nonzero();
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        if self.trial {
            map(pid.get(), &format!("0 {uid} 1\n"), &format!("0 {gid} 1\n"), true)?;
        }
        child.write_all(&[0]).step("telling the room to go on")?;
        if room == Room::Builder && !self.trial {
            // It says when it has left for a user namespace of its own.
            child.read_exact(&mut [0]).step("waiting for the builder's user namespace")?;
            let first = self.uid(room);
            let ids = format!("0 {first} 1\n1 {} {}\n", self.uid_base + 1000, SANDBOX_IDS - 1);
            map(pid.get(), &ids, &ids, false)?;
            child.write_all(&[0]).step("telling the builder to go on")?;
        }
        Ok(())
    }

    /// The child's half. Comes back only with an error.
    fn become_room(
        &self,
        room: Room,
        launcher: &UnixStream,
        end: &UnixStream,
        words: &[String],
        cgroup: Option<&Cgroup>,
    ) -> HardeningError {
        let tried = (|| {
            let mut launcher = launcher;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("PR_SET_PDEATHSIG")?;
            launcher.read_exact(&mut [0]).step("waiting for the launcher")?;
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
            rustix::system::sethostname(room.name().as_bytes()).step("setting the host name")?;
            self.furnish(room)?;
            self.allow_locked_memory(room);
            self.change_ids(room, launcher)?;
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).step("PR_SET_PDEATHSIG")?;
            hand_over(room, end)
        })();
        match tried {
            Err(error) => error,
            Ok(()) => {
                let cause = self.command(room, words, cgroup).exec();
                HardeningError::Step { step: format!("starting {}", room.fare().binary), cause }
            }
        }
    }

    /// The signer may have to keep a key out of swap; the cgroup bounds its memory. Root in a container may not raise the
    /// limit: the signer finds that out, and what to do about it is its own.
    fn allow_locked_memory(&self, room: Room) {
        if !self.trial && room == Room::Signer {
            let _ = rustix::process::setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
        }
    }

    /// Gives up what the launcher is: root's ids as root, nothing as an ordinary user.
    fn change_ids(&self, room: Room, mut launcher: &UnixStream) -> Result<(), HardeningError> {
        if self.trial {
            return Ok(());
        }
        if room == Room::Builder {
            let spaces = namespace::USER | namespace::MOUNT | namespace::NETWORK | namespace::IPC | namespace::UTS;
            sys::unshare(spaces).map_err(|cause| no_namespaces(room, cause))?;
            launcher.write_all(&[0]).step("telling the launcher")?;
            launcher.read_exact(&mut [0]).step("waiting for the id maps")?;
        }
        let id = if room == Room::Builder { 0 } else { self.uid(room) };
        rustix::thread::set_thread_groups(&[]).step("dropping groups")?;
        let (gid, uid) = (Gid::from_raw(id), Uid::from_raw(id));
        rustix::thread::set_thread_res_gid(gid, gid, gid).step("dropping the gid")?;
        if room != Room::Builder {
            crate::capabilities::bound_to_nothing()?;
        }
        rustix::thread::set_thread_res_uid(uid, uid, uid).step("dropping the uid")
    }

    /// Makes the tree of what the menu lists, and enters it.
    fn furnish(&self, room: Room) -> Result<(), HardeningError> {
        let tree = Tree::begin(&self.state.join("tree"))?;
        for path in ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/etc/ld.so.cache"] {
            tree.show_if_there(path, Access::Read)?;
        }
        for device in ["null", "zero", "full", "random", "urandom"] {
            tree.show(&Path::new("/dev").join(device), Access::Device)?;
        }
        tree.proc()?;
        tree.scratch("/tmp", c"size=256m,mode=1777")?;
        let id = if self.trial || room == Room::Builder { 0 } else { self.uid(room) };
        tree.folder("/etc", 0o755)?;
        tree.file("/etc/passwd", &format!("root:x:0:0::/:/bin/false\nroom:x:{id}:{id}::/tmp:/bin/false\n"))?;
        tree.file("/etc/group", &format!("root:x:0:\nroom:x:{id}:\n"))?;
        if room.fare().network {
            for path in ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf"] {
                tree.copy(Path::new(path))?;
            }
            for path in ["/etc/ssl", "/etc/ca-certificates"] {
                tree.show_if_there(path, Access::Read)?;
            }
        }
        if room == Room::Builder {
            // The runtime gives the sandbox a terminal device; without a session of its own there is none behind it.
            tree.show(Path::new("/dev/tty"), Access::Device)?;
            tree.show_if_there("/sys", Access::Read)?;
            tree.scratch("/run", c"size=64m,mode=0755")?;
            tree.scratch("/dev/shm", c"size=64m,mode=1777")?;
        }
        tree.show(&self.binaries, Access::Read)?;
        for name in room.fare().config {
            tree.copy(&self.config.join(name))?;
        }
        for store in room.fare().stores {
            let access = if store.writes { Access::Write } else { Access::Read };
            tree.show(&self.lane().join(store.path), access)?;
        }
        for (_, path) in self.expose.iter().filter(|(r, _)| *r == room) {
            // What the operator names may be a link; the room sees what it leads to, under the name it was given.
            let target = fs::canonicalize(path).step(format!("--expose {}", path.display()))?;
            tree.show_at(&target, path, Access::Read)?;
        }
        tree.enter()
    }

    /// The room's command line and environment: all of it is fixed here.
    fn command(&self, room: Room, words: &[String], cgroup: Option<&Cgroup>) -> Command {
        let mut command = Command::new(self.binaries.join(room.fare().binary));
        if room == Room::Coordinator {
            command.arg("coordinate");
        }
        command.arg("--config").arg(&self.config).arg("--state").arg(&self.state).args(["--lane", "public"]);
        if self.trial {
            command.arg("--trial");
        }
        for (_, path) in self.expose.iter().filter(|(r, _)| *r == room) {
            command.arg("--exposed").arg(path);
        }
        for limit in cgroup.map(Cgroup::enforced).unwrap_or_default() {
            command.arg("--enforced").arg(limit);
        }
        if room == Room::Coordinator {
            command.arg("--").args(words);
        }
        let kept = ["TERM", "NO_COLOR"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let kept: Vec<_> = kept.filter(|_| room == Room::Coordinator).collect();
        command.env_clear().envs(kept);
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LANG", "C.UTF-8").env("HOME", "/tmp");
        command
    }
}

impl Started {
    /// Whether it has ended by itself; then it is waited for, and its number is nobody's.
    pub fn ended(&self) -> bool {
        !matches!(rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG), Ok(None))
    }

    /// Waits for the end, and gives the status.
    pub fn wait(self) -> Option<WaitStatus> {
        let status = rustix::process::waitpid(Some(self.pid), WaitOptions::empty());
        self.forget();
        status.ok().flatten().map(|(_, status)| status)
    }

    /// Lets its cgroup go, once it has ended.
    pub fn forget(self) {
        if let Some(cgroup) = self.cgroup {
            cgroup.remove();
        }
    }

    /// Kills it, and with it every process in its pid namespace, and waits for the end.
    pub fn stop(self) {
        // Not waited for yet, so the number is still its own, even if it has ended.
        let _ = rustix::process::kill_process(self.pid, Signal::KILL);
        let _ = self.wait();
    }
}

/// The room's end of its channel becomes number 3 (the coordinator's: 4), and nothing else stays open.
fn hand_over(room: Room, end: &UnixStream) -> Result<(), HardeningError> {
    let number = if room == Room::Coordinator { 4 } else { 3 };
    if room != Room::Coordinator {
        rustix::process::setsid().step("leaving the terminal's session")?;
    }
    sys::place(end.as_fd(), number).step("handing the channel over")?;
    sys::close_from(number + 1).step("closing what the launcher holds")?;
    if room != Room::Coordinator {
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").step("opening /dev/null")?;
        sys::place(null.as_fd(), 0).step("closing standard input")?;
        sys::place(null.as_fd(), 1).step("closing standard output")?;
    }
    Ok(())
}

fn map(pid: i32, uids: &str, gids: &str, deny_groups: bool) -> Result<(), HardeningError> {
    if deny_groups {
        fs::write(format!("/proc/{pid}/setgroups"), "deny").step("denying setgroups")?;
    }
    fs::write(format!("/proc/{pid}/uid_map"), uids).step("mapping uids")?;
    fs::write(format!("/proc/{pid}/gid_map"), gids).step("mapping gids")
}

fn make_folder(path: &Path, mode: u32, owner: Option<u32>) -> Result<(), HardeningError> {
    let what = format!("making {}", path.display());
    fs::create_dir_all(path).step(&*what)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).step(&*what)?;
    match owner {
        Some(id) => chown(path, Some(id), Some(id)).step(&*what),
        None => Ok(()),
    }
}

fn no_namespaces(room: Room, cause: io::Error) -> HardeningError {
    match cause.raw_os_error() {
        Some(libc::EPERM | libc::ENOSPC | libc::EINVAL | libc::EUSERS) => HardeningError::Missing {
            missing: format!("a set of namespaces for the {} ({cause})", room.name()),
            mend: "As root: sysctl -w user.max_user_namespaces=65536 kernel.unprivileged_userns_clone=1 \
                   kernel.apparmor_restrict_unprivileged_userns=0 (those that the host has), or start the launcher as root"
                .to_owned(),
        },
        _ => HardeningError::Step { step: format!("starting the {} in namespaces", room.name()), cause },
    }
}

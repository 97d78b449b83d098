//! Limits on memory and processes for a whole room, where the host's cgroups can give them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

/// Where hosts mount them.
const MOUNT: &str = "/sys/fs/cgroup";

/// A room's cgroups: one a hierarchy that takes part.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folders: Vec<PathBuf>,
    enforced: Vec<String>,
}

impl Cgroup {
    /// Makes them. What the host can't give is left out, and stands in no posture as enforced.
    pub(crate) fn make(room: &str, memory: u64, processes: u64) -> Option<Self> {
        let name = format!("countersign-{}-{room}", std::process::id());
        let mut made = Self { folders: Vec::new(), enforced: Vec::new() };
        let limits = [
            ("memory", "memory.max", "memory.limit_in_bytes", format!("memory={memory}"), memory),
            ("pids", "pids.max", "pids.max", format!("processes={processes}"), processes),
        ];
        for (controller, unified, legacy, word, value) in limits {
            for (base, file) in [(own_group(None), unified), (own_group(Some(controller)), legacy)] {
                let Some(folder) = base.map(|b| b.join(&name)) else { continue };
                let set = fs::create_dir_all(&folder).and_then(|()| fs::write(folder.join(file), value.to_string()));
                if !made.folders.contains(&folder) && folder.exists() {
                    made.folders.push(folder);
                }
                if set.is_ok() {
                    made.enforced.push(word);
                    break;
                }
            }
        }
        if made.enforced.is_empty() {
            made.remove();
            return None;
        }
        Some(made)
    }

    /// Removes those that launchers left which were killed. A group with a process in it can't be removed.
    pub(crate) fn remove_leftovers() {
        for base in [own_group(None), own_group(Some("memory")), own_group(Some("pids"))].into_iter().flatten() {
            for folder in fs::read_dir(base).into_iter().flatten().flatten().map(|e| e.path()) {
                let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
                let launcher = name.strip_prefix("countersign-").and_then(|rest| rest.split('-').next());
                if launcher.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                    let _ = fs::remove_dir(folder);
                }
            }
        }
    }

    /// Moves a process in.
    pub(crate) fn admit(&self, pid: Pid) -> io::Result<()> {
        self.folders.iter().try_for_each(|f| fs::write(f.join("cgroup.procs"), pid.as_raw_nonzero().to_string()))
    }

    /// The limits that are in force, as `memory=BYTES` and `processes=NUMBER`.
    pub(crate) fn enforced(&self) -> &[String] {
        &self.enforced
    }

    /// Removes them, once the room has ended. One that stays is empty, and harmless.
    pub(crate) fn remove(self) {
        for folder in self.folders {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The launcher's own group in a hierarchy: version 1's of a controller, or version 2's.
fn own_group(controller: Option<&str>) -> Option<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let line = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let ours = match controller {
            Some(name) => controllers.split(',').any(|c| c == name),
            None => controllers.is_empty(),
        };
        ours.then_some(path)
    })?;
    let relative = Path::new(line).strip_prefix("/").ok()?;
    let roots = match controller {
        Some(name) => vec![Path::new(MOUNT).join(name)],
        None => vec![Path::new(MOUNT).join("unified"), PathBuf::from(MOUNT)],
    };
    let marker = if controller.is_some() { "cgroup.procs" } else { "cgroup.controllers" };
    roots.into_iter().map(|root| root.join(relative)).find(|folder| folder.join(marker).is_file())
}

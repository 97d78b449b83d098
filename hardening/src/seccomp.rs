//! Which system calls a room may make: an allow-list with a reason for each, in `hardening/filters/ROOM.json`.

use std::collections::HashMap;

use seccompiler::{BpfProgram, TargetArch};

use crate::error::HardeningError;
use crate::menu::Room;

/// The lists. What is not listed fails with EPERM.
fn list(room: Room) -> &'static str {
    match room {
        Room::Coordinator => include_str!("../filters/coordinator.json"),
        Room::Intake => include_str!("../filters/intake.json"),
        Room::Builder => include_str!("../filters/builder.json"),
        Room::Comparer => include_str!("../filters/comparer.json"),
        Room::Keeper => include_str!("../filters/keeper.json"),
        Room::Signer => include_str!("../filters/signer.json"),
    }
}

/// Calls that newer architectures do without; their libc makes the newer ones, which the lists have as well.
const X86_ONLY: &[&str] = &[
    "access",
    "alarm",
    "arch_prctl",
    "chmod",
    "chown",
    "creat",
    "dup2",
    "epoll_create",
    "epoll_wait",
    "eventfd",
    "fork",
    "get_thread_area",
    "getdents",
    "getpgrp",
    "getrlimit",
    "inotify_init",
    "lchown",
    "link",
    "lstat",
    "mkdir",
    "mknod",
    "open",
    "pause",
    "pipe",
    "poll",
    "readlink",
    "rename",
    "rmdir",
    "select",
    "set_thread_area",
    "signalfd",
    "stat",
    "symlink",
    "time",
    "unlink",
    "utime",
    "utimes",
    "vfork",
];

/// clone3's flags lie in memory, where no filter can see them; with ENOSYS every libc takes clone instead.
const NO_CLONE3: &str = r#"{"room": {"mismatch_action": "allow", "match_action": {"errno": 38},
    "filter": [{"syscall": "clone3"}]}}"#;

/// Puts a room's list in force, for good.
///
/// # Errors
/// When the kernel refuses; or a list is broken, which a test would have said.
pub(crate) fn confine(room: Room) -> Result<(), HardeningError> {
    for program in [compile(NO_CLONE3)?, compile(list(room))?] {
        seccompiler::apply_filter(&program).map_err(|e| HardeningError::Missing {
            missing: format!("seccomp filtering ({e})"),
            mend: "The kernel needs CONFIG_SECCOMP_FILTER".to_owned(),
        })?;
    }
    Ok(())
}

fn compile(json: &str) -> Result<BpfProgram, HardeningError> {
    compile_for(std::env::consts::ARCH, json)
}

fn compile_for(arch: &str, json: &str) -> Result<BpfProgram, HardeningError> {
    let broken = |e: String| HardeningError::NotInForce(format!("the seccomp list ({e})"));
    let mut list: serde_json::Value = serde_json::from_str(json).map_err(|e| broken(e.to_string()))?;
    if arch != "x86_64" {
        let rules = list["room"]["filter"].as_array_mut().ok_or_else(|| broken("no list".to_owned()))?;
        rules.retain(|rule| !X86_ONLY.contains(&rule["syscall"].as_str().unwrap_or_default()));
    }
    let json = list.to_string();
    let arch = TargetArch::try_from(arch).map_err(|e| broken(e.to_string()))?;
    let programs = seccompiler::compile_from_json(json.as_bytes(), arch).map_err(|e| broken(e.to_string()))?;
    let mut programs: HashMap<String, BpfProgram> = programs;
    programs.remove("room").ok_or_else(|| broken("no list named room".to_owned()))
}

/// Whether a room's list leaves a call out altogether.
#[cfg(test)]
fn names(room: Room) -> Vec<String> {
    let document: serde_json::Value = serde_json::from_str(list(room)).unwrap();
    let rules = document["room"]["filter"].as_array().unwrap().clone();
    rules.iter().map(|r| r["syscall"].as_str().unwrap().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_compiles_and_gives_a_reason_for_each_call() {
        for room in Room::ALL {
            for arch in ["x86_64", "aarch64"] {
                compile_for(arch, list(room)).unwrap_or_else(|e| panic!("{arch}: {room:?}: {e}"));
            }
            let document: serde_json::Value = serde_json::from_str(list(room)).unwrap();
            for rule in document["room"]["filter"].as_array().unwrap() {
                assert!(rule["comment"].as_str().is_some_and(|c| c.len() > 2), "{room:?}: {rule}");
            }
        }
    }

    #[test]
    fn no_room_listens_and_those_without_a_network_have_no_socket() {
        for room in Room::ALL {
            let names = names(room);
            for call in
                ["ptrace", "process_vm_writev", "bpf", "keyctl", "io_uring_setup", "userfaultfd", "perf_event_open"]
            {
                assert!(!names.iter().any(|n| n == call), "{room:?}: {call}");
            }
            if room == Room::Builder {
                // What runs in the sandbox inherits its list; there it has a network namespace with nothing in it.
                continue;
            }
            for call in ["listen", "accept", "accept4", "mount", "unshare", "setns", "chroot", "pivot_root"] {
                assert!(!names.iter().any(|n| n == call), "{room:?}: {call}");
            }
            let sockets = names.iter().any(|n| n == "socket");
            assert_eq!(sockets, matches!(room, Room::Intake | Room::Signer), "{room:?}");
            assert_eq!(names.iter().any(|n| n == "execve"), room == Room::Intake, "{room:?}");
        }
    }
}

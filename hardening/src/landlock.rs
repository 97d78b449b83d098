//! Landlock: which files a room may open, and how. A second wall behind its tree, and the only one that a room puts up
//! for itself.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};

use crate::error::HardeningError;
use crate::menu::Room;

/// What is asked of the kernel: files with truncation and ioctl, TCP ports, signals and abstract sockets.
const WANTED: ABI = ABI::V6;

/// What intake may start: git, the ssh it starts, the shell between them, and what loads them.
const PROGRAMS: &[&str] = &[
    "/usr/bin/git",
    "/usr/lib/git-core",
    "/usr/libexec/git-core",
    "/usr/bin/ssh",
    "/bin/sh",
    "/lib64/ld-linux-x86-64.so.2",
    "/lib/ld-linux-aarch64.so.1",
];

/// Puts a room's rules in force, for good, and says which ABI they are of.
///
/// # Errors
/// When the kernel can't enforce all of them.
pub(crate) fn confine(room: Room, lane: &Path, config: &Path, exposed: &[PathBuf]) -> Result<u32, HardeningError> {
    rules(room, lane, config, exposed).map_err(|cause| HardeningError::Missing {
        missing: format!("Landlock ABI 6 ({cause})"),
        mend: "Linux 6.12 or newer, with landlock among the names in /sys/kernel/security/lsm".to_owned(),
    })
}

fn rules(room: Room, lane: &Path, config: &Path, exposed: &[PathBuf]) -> Result<u32, Box<dyn std::error::Error>> {
    let mut ruleset =
        Ruleset::default().set_compatibility(CompatLevel::HardRequirement).scope(Scope::from_all(WANTED))?;
    if room != Room::Builder {
        // A runtime mounts, and any rule on files denies mounts. What runs in the sandbox may talk to itself.
        ruleset = ruleset.handle_access(AccessFs::from_all(WANTED))?;
        ruleset = ruleset.handle_access(AccessNet::BindTcp)?;
        if !room.fare().network {
            ruleset = ruleset.handle_access(AccessNet::ConnectTcp)?;
        }
    }
    let mut ruleset = ruleset.create()?;
    if room != Room::Builder {
        ruleset = allow_files(ruleset, room, lane, config, exposed)?;
    }
    let status = ruleset.restrict_self()?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(WANTED as u32),
        other => Err(format!("{other:?}").into()),
    }
}

fn allow_files(
    mut ruleset: RulesetCreated,
    room: Room,
    lane: &Path,
    config: &Path,
    exposed: &[PathBuf],
) -> Result<RulesetCreated, Box<dyn std::error::Error>> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let write = AccessFs::from_all(WANTED) & !AccessFs::Execute & !AccessFs::MakeChar & !AccessFs::MakeBlock;
    let mut allowed: Vec<(PathBuf, BitFlags<AccessFs>)> = Vec::new();
    allowed.extend(["/usr", "/lib", "/lib64", "/lib32", "/bin", "/sbin"].map(|p| (p.into(), read)));
    if room == Room::Intake {
        allowed.extend(PROGRAMS.iter().map(|p| (p.into(), read | AccessFs::Execute)));
    }
    allowed.extend(["/etc", "/proc", "/dev/random", "/dev/urandom", "/dev/zero"].map(|p| (p.into(), read)));
    allowed.push(("/dev/null".into(), read | AccessFs::WriteFile));
    allowed.push(("/tmp".into(), write));
    allowed.extend(room.fare().config.iter().map(|name| (config.join(name), read)));
    let stores = room.fare().stores.iter();
    allowed.extend(stores.map(|s| (lane.join(s.path), if s.writes { write } else { read })));
    allowed.extend(exposed.iter().map(|path| (path.clone(), read)));
    for (path, access) in allowed.into_iter().filter(|(path, _)| path.exists()) {
        let access = if path.is_dir() { access } else { access & AccessFs::from_file(WANTED) };
        ruleset = ruleset.add_rule(PathBeneath::new(PathFd::new(&path)?, access))?;
    }
    Ok(ruleset)
}

//! What is really in force around a room, as the kernel says it: goes into signed statements.

use serde::{Deserialize, Serialize};

/// A room's confinement, read back from the kernel after lockdown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posture {
    /// The uid as the room sees it.
    pub uid: u32,
    /// The room has a user namespace of its own, with one id.
    pub user_namespace: bool,
    /// The room is the first process of a pid namespace of its own.
    pub pid_namespace: bool,
    /// `none`: an empty network namespace; `host`: the network, as the menu allows this room.
    pub network: String,
    /// `allow-list`, or `allow-list without socket()`.
    pub seccomp: String,
    /// No program that the room starts can gain privileges.
    pub no_new_privs: bool,
    /// Other processes of the same user can't read the room's memory.
    pub not_dumpable: bool,
    /// The capabilities left, as the kernel's mask in hexadecimal; all zero but in the builder.
    pub capabilities: String,
    /// The Landlock ABI that is enforced.
    pub landlock: u32,
    /// `N bytes`, or `not enforced in aggregate`.
    pub memory: String,
    /// `N processes`, or `not enforced in aggregate`.
    pub processes: String,
    /// The launcher was an ordinary user: one uid for all rooms, so this is no production.
    pub trial: bool,
}

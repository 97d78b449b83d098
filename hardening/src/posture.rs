//! What is really in force around a room, as the kernel says it: goes into signed statements.

use serde::{Deserialize, Serialize};

use crate::error::{HardeningError, Step as _};
use crate::line::Line;
use crate::menu::Room;

/// A room's confinement, read back from the kernel after lockdown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Posture {
    /// The uid as the room sees it.
    pub uid: u32,
    /// The room has a user namespace of its own.
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

impl Posture {
    /// Asks the kernel for everything but seccomp, which then forbids some of the questions.
    pub(crate) fn read(line: &Line, landlock: u32, network: &str) -> Result<Self, HardeningError> {
        let interfaces = std::fs::read_to_string("/proc/self/net/dev").step("reading the network interfaces")?;
        let names: Vec<&str> =
            interfaces.lines().skip(2).filter_map(|l| l.split_once(':')).map(|(n, _)| n.trim()).collect();
        if network == "none"
            && names.iter().any(|n| {
                !matches!(
                    *n,
                    "lo" | "tunl0"
                        | "sit0"
                        | "ip6tnl0"
                        | "gre0"
                        | "gretap0"
                        | "erspan0"
                        | "ip_vti0"
                        | "ip6_vti0"
                        | "ip6gre0"
                )
            })
        {
            return Err(HardeningError::NotInForce(format!(
                "an empty network namespace (it has {})",
                names.join(", ")
            )));
        }
        let map = std::fs::read_to_string("/proc/self/uid_map").step("reading the id map")?;
        let whole: Vec<&str> = map.split_ascii_whitespace().collect();
        let limit = |name: &str, unit: &str| match line.enforced.iter().find_map(|e| e.strip_prefix(name)) {
            Some(value) => format!("{value} {unit}"),
            None => "not enforced in aggregate".to_owned(),
        };
        Ok(Self {
            uid: rustix::process::geteuid().as_raw(),
            user_namespace: whole != ["0", "0", "4294967295"],
            pid_namespace: std::process::id() == 1,
            network: network.to_owned(),
            seccomp: String::new(),
            no_new_privs: false,
            not_dumpable: rustix::process::dumpable_behavior().step("PR_GET_DUMPABLE")?
                == rustix::process::DumpableBehavior::NotDumpable,
            capabilities: String::new(),
            landlock,
            memory: limit("memory=", "bytes"),
            processes: limit("processes=", "processes"),
            trial: line.trial,
        })
    }

    /// Asks the kernel for the rest, with the filters in force, and accepts nothing less than what was set.
    pub(crate) fn confirm(mut self, room: Room) -> Result<Self, HardeningError> {
        let status = std::fs::read_to_string("/proc/self/status").step("reading /proc/self/status")?;
        let field = |name: &str| {
            status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(str::trim).unwrap_or_default()
        };
        let missing = |what: &str| Err(HardeningError::NotInForce(what.to_owned()));
        if field("Seccomp") != "2" {
            return missing("the seccomp list");
        }
        self.no_new_privs = field("NoNewPrivs") == "1";
        if !self.no_new_privs {
            return missing("no_new_privs");
        }
        if !self.not_dumpable {
            return missing("PR_SET_DUMPABLE 0");
        }
        if !self.pid_namespace {
            return missing("a pid namespace of its own");
        }
        let sets = ["CapInh", "CapPrm", "CapEff", "CapAmb"];
        if room != Room::Builder && sets.iter().any(|set| field(set).bytes().any(|c| c != b'0')) {
            return missing("dropping all capabilities");
        }
        if !self.trial && room != Room::Builder && self.uid == 0 {
            return missing("a uid of its own");
        }
        self.capabilities = field("CapEff").to_owned();
        let sockets = room == Room::Builder || room.fare().network;
        self.seccomp = if sockets { "allow-list" } else { "allow-list without socket()" }.to_owned();
        Ok(self)
    }
}

//! The git binary, with everything taken away that fetching does not need: it reads no configuration but ours, asks
//! nobody, runs no hook and no filter, follows no redirect, and speaks one protocol at a time.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use artifact::durable;

use crate::address::Address;
use crate::process::{Limits, RunError, run};

/// How long a look at a remote may take.
const LOOK: Duration = Duration::from_secs(60);
/// How long a fetch may take. The first one of a large project is the longest.
const FETCH: Duration = Duration::from_secs(1800);
/// How long a question to a mirror may take.
const LOCAL: Duration = Duration::from_secs(300);
/// The most bytes of an answer: ids of commits, one a line, of the longest histories there are.
const OUTPUT: usize = 128 << 20;
/// How large a mirror may grow, in bytes: several times the largest public projects.
const MIRROR: u64 = 32 << 30;

/// What holds for every git, whatever stands in a repository's own configuration.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.askPass=",
    "credential.helper=",
    "fetch.fsckObjects=true",
    "fetch.recurseSubmodules=false",
    "fetch.writeCommitGraph=false",
    "gc.auto=0",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "http.proxy=",
    "http.sslVerify=true",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.version=2",
    "submodule.recurse=false",
    "transfer.bundleURI=false",
    "transfer.fsckObjects=true",
    // Always a pack, which is checked whole before it is kept.
    "transfer.unpackLimit=1",
];

/// The git binary and the folder of intake's mirrors.
#[derive(Debug)]
pub(crate) struct Git {
    folder: PathBuf,
    ssh: Option<String>,
}

impl Git {
    /// Prepares the folder of the mirrors.
    pub(crate) fn open(folder: &Path, ssh: Option<String>) -> std::io::Result<Self> {
        durable::create_folder(folder)?;
        let git = Self { folder: folder.to_owned(), ssh };
        // The other end of a file:// fetch sees this file alone. Without the line it refuses what another user owns; which
        // repositories are read at all is the operator's list.
        durable::replace(&git.configuration(), b"[safe]\n\tdirectory = *\n", 0o600)?;
        Ok(git)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("gitconfig")
    }

    /// Where the mirrors lie.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A git that reaches nothing but its repository.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/nonexistent")
            .env("LC_ALL", "C")
            .env("GIT_ASKPASS", "/bin/false")
            .env("GIT_CEILING_DIRECTORIES", "/")
            .env("GIT_CONFIG_GLOBAL", self.configuration())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir("/")
            .arg("--no-pager");
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
    }

    /// A git that may reach this address by its protocol, and nothing by another.
    fn reaching(&self, address: &Address) -> Command {
        let mut command = self.command();
        command.args(["-c", &format!("protocol.{}.allow=always", address.protocol())]);
        if let (Address::Ssh(_), Some(ssh)) = (address, &self.ssh) {
            command.env("GIT_SSH_COMMAND", ssh).env("GIT_SSH_VARIANT", "ssh");
        }
        command
    }

    /// The refs of a remote that have one of these names, as it lists them.
    pub(crate) fn list(&self, address: &Address, names: &[&str]) -> Result<String, RunError> {
        let mut command = self.reaching(address);
        command.args(["ls-remote", "--quiet", "--", &address.url()]).args(names);
        let limits = Limits { time: LOOK, output: 1 << 20, folder: None };
        run(&mut command, &limits).map(|out| String::from_utf8_lossy(&out).into_owned())
    }

    /// Fetches into a mirror: objects and these refs, no tags, no marks, no submodules.
    pub(crate) fn fetch(&self, mirror: &Path, address: &Address, refspecs: &[&str]) -> Result<(), RunError> {
        let mut command = self.reaching(address);
        command.arg("--git-dir").arg(mirror).args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
        command.args(["--no-auto-gc", "--no-recurse-submodules", "--refmap=", "--", &address.url()]).args(refspecs);
        let limits = Limits { time: FETCH, output: 1 << 20, folder: Some((mirror.join("objects"), MIRROR)) };
        run(&mut command, &limits).map(drop)
    }

    /// Asks a mirror something.
    pub(crate) fn ask(&self, mirror: &Path, args: &[&str]) -> Result<String, RunError> {
        let mut command = self.command();
        command.arg("--git-dir").arg(mirror).args(args);
        let limits = Limits { time: LOCAL, output: OUTPUT, folder: None };
        run(&mut command, &limits).map(|out| String::from_utf8_lossy(&out).into_owned())
    }
}

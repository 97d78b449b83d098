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
    ca: Option<PathBuf>,
}

impl Git {
    /// Prepares the folder of the mirrors. `ssh` is the command for ssh://, `ca` the authorities for https://.
    pub(crate) fn open(folder: &Path, ssh: Option<String>, ca: Option<&Path>) -> std::io::Result<Self> {
        durable::create_folder(folder)?;
        let git = Self { folder: folder.to_owned(), ssh, ca: ca.map(Path::to_owned) };
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
        if let Some(ca) = &self.ca {
            command.env("GIT_SSL_CAINFO", ca);
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

    /// Fetches into a mirror: objects and these refs, no tags, no marks, no submodules. With `prune`, refs of ours that
    /// the remote no longer has go first.
    pub(crate) fn fetch(
        &self,
        mirror: &Path,
        address: &Address,
        refspecs: &[&str],
        prune: bool,
    ) -> Result<(), RunError> {
        let mut command = self.reaching(address);
        command.arg("--git-dir").arg(mirror).args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"]);
        command.args(["--no-auto-gc", "--no-recurse-submodules", "--refmap="]);
        command.args(prune.then_some("--prune")).args(["--", &address.url()]).args(refspecs);
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

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::process::{Child, Stdio};
    use std::time::Instant;

    use super::*;
    use crate::testkit::Ground;

    /// A host that gives out a folder by HTTPS.
    struct Host(Child);

    impl Drop for Host {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn serve(folder: &Path) -> (Host, u16) {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let line = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out ca.pem -days 2 -subj /CN=h -addext subjectAltName=IP:127.0.0.1";
        let openssl = |line: &str| {
            let mut command = Command::new("openssl");
            command.args(line.split(' ')).current_dir(folder);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        assert!(openssl(line).status().expect("openssl is needed for this test").success());
        let serving = format!("s_server -accept 127.0.0.1:{port} -key key.pem -cert ca.pem -WWW -quiet");
        let host = Host(openssl(&serving).spawn().unwrap());
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "openssl s_server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        (host, port)
    }

    #[test]
    fn https_is_believed_by_the_configured_authority_only() {
        let ground = Ground::new();
        let commit = ground.commit("one");
        let bare = ground.path("repo/.git");
        ground.run(&["update-server-info"]);
        // This server knows files only, and git asks with a query.
        std::fs::copy(bare.join("info/refs"), bare.join("info/refs?service=git-upload-pack")).unwrap();
        let (_host, port) = serve(&bare);
        let address: Address = format!("https://127.0.0.1:{port}/x").parse().unwrap();
        let path = bare.join("x");
        std::os::unix::fs::symlink(".", &path).unwrap();
        let pinned = Git::open(&ground.path("git"), None, Some(&bare.join("ca.pem"))).unwrap();
        let listed = pinned.list(&address, &["refs/heads/main"]).unwrap();
        assert_eq!(listed, format!("{commit}\trefs/heads/main\n"));
        let error = ground.git().list(&address, &["refs/heads/main"]).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }

    #[test]
    fn no_other_protocol_is_spoken_and_no_configuration_of_others_is_read() {
        let ground = Ground::new();
        ground.commit("one");
        // What would run if git read the remote's own configuration, or had a protocol left.
        let ran = ground.path("ran");
        let script = ground.path("script");
        std::fs::write(&script, format!("#!/bin/sh\ntouch {}\nexec \"$@\"\n", ran.display())).unwrap();
        std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let hook = format!("{}", script.display());
        for key in ["uploadpack.packObjectsHook", "core.fsmonitor", "core.sshCommand", "core.alternateRefsCommand"] {
            ground.run(&["config", key, &hook]);
        }
        for name in ["post-checkout", "reference-transaction", "pre-auto-gc"] {
            std::fs::copy(&script, ground.repository().join("hooks").join(name)).unwrap();
        }
        let git = ground.git();
        let mirror = ground.path("mirror");
        git.ask(&mirror, &["init", "--quiet", "--bare", "--template="]).unwrap();
        git.fetch(&mirror, &ground.address(), &["+refs/heads/main:refs/heads/main"], false).unwrap();
        assert!(!ran.exists());
        let mut through_shell = git.reaching(&ground.address());
        through_shell.args(["ls-remote", &format!("ext::{} git-upload-pack x", script.display())]);
        let limits = Limits { time: LOOK, output: 1000, folder: None };
        let error = run(&mut through_shell, &limits).unwrap_err().to_string();
        assert!(error.contains("not allowed") && !ran.exists(), "{error}");
    }
}

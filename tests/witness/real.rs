//! A real witness: torchwood's litewitness on loopback, with its key in an ssh-agent of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use demo::command::{Ran, program, ran, run};

use crate::peers::peer;

pub struct Litewitness {
    folder: tempfile::TempDir,
    port: u16,
    agent: Child,
    child: Option<Child>,
}

impl Litewitness {
    /// A witness with a key, which does not listen yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [key, socket] = ["key", "agent.sock"].map(|name| folder.path().join(name));
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key)).unwrap();
        let mut agent = Command::new("ssh-agent");
        let agent = agent.arg("-D").arg("-a").arg(&socket).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let witness = Self { folder, port, agent, child: None };
        witness.wait(|| socket.exists());
        run(Command::new("ssh-add").arg("-q").arg(&key).env("SSH_AUTH_SOCK", &socket)).unwrap();
        witness
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn wait(&self, mut done: impl FnMut() -> bool) {
        for _ in 0..600 {
            if done() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("litewitness: {}", fs::read_to_string(self.path("log")).unwrap_or_default());
    }

    /// Starts it, and gives its key; it knows the logs that it knew before.
    pub fn start(&mut self) -> String {
        let listed = run(Command::new("ssh-keygen").arg("-lf").arg(self.path("key.pub"))).unwrap().stdout;
        let fingerprint = listed.split(' ').nth(1).unwrap().to_owned();
        let mut command = program(peer("litewitness").join("litewitness"));
        command.args(["-name", "lite.example/w", "-key", &fingerprint, "-listen", &format!("127.0.0.1:{}", self.port)]);
        command.arg("-db").arg(self.path("db")).arg("-ssh-agent").arg(self.path("agent.sock"));
        let log = File::create(self.path("log")).unwrap();
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let said = || fs::read_to_string(self.path("log")).unwrap_or_default();
        self.wait(|| said().contains("msg=listening"));
        self.wait(|| std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok());
        let vkey = said().split("vkey=").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        vkey.trim_matches('"').to_owned()
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Its submission prefix.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Makes a log known to it, by its origin and its key.
    pub fn know(&self, log: &str) {
        let origin = log.split('+').next().unwrap();
        run(torchwood().arg("add-log").arg(self.path("db")).args([origin, log])).unwrap();
    }
}

impl Drop for Litewitness {
    fn drop(&mut self) {
        self.stop();
        let _ = self.agent.kill();
        let _ = self.agent.wait();
    }
}

/// The peer's program around torchwood.
pub fn torchwood() -> Command {
    program(peer("torchwood").join("torchwood"))
}

/// What torchwood says of a checkpoint by a policy.
pub fn verify(policy: &Path, checkpoint: &Path) -> Ran {
    ran(torchwood().arg("verify").arg(policy).arg(checkpoint)).unwrap()
}

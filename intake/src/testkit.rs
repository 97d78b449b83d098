//! A ground to test on: a real git repository, a folder of evidence, a real registry, intake's own folders.

use std::fs;
use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use artifact::dsse::{Envelope, IN_TOTO, pae};
use artifact::failure::Failure;
use artifact::key::Ed25519Key;
use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::oci::{self, Descriptor};
use artifact::{CommitId, Digest};
use registry::{Client, Hosts};
use serde_json::json;

use crate::address::Address;
use crate::git::Git;
use crate::room::IntakeRoom;

/// Runs on one thread, as the room does.
pub(crate) fn local<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A signed test result, as CI leaves it.
pub(crate) fn test_result(key: &Ed25519Key, commit: &CommitId, result: &str, attempt: u64) -> Vec<u8> {
    let payload = serde_json::to_vec(&json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"gitCommit": commit}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {
            "result": result,
            "configuration": [{"name": "run", "annotations": {
                "id": "7", "attempt": attempt, "finished": "2026-11-23T10:00:00Z"}}],
            "passedTests": ["build"],
        },
    }))
    .unwrap();
    let signature = key.sign(&pae(IN_TOTO, &payload)).to_vec();
    Envelope::new(payload, signature).to_bytes()
}

pub(crate) struct Ground {
    folder: tempfile::TempDir,
    registry: OnceLock<Peer>,
}

struct Peer {
    address: String,
    process: Mutex<Child>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Ground {
    pub(crate) fn new() -> Self {
        let ground = Self { folder: tempfile::tempdir().unwrap(), registry: OnceLock::new() };
        for folder in ["repo", "evidence", "config"] {
            fs::create_dir(ground.path(folder)).unwrap();
        }
        ground.run(&["init", "--quiet", "-b", "main"]);
        ground
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    // The repository, as a developer works on it.

    /// Runs git in the work tree, and gives its first line.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        self.feed(args, b"")
    }

    fn feed(&self, args: &[&str], input: &[u8]) -> String {
        let mut child = Command::new("git")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@x", "-c", "commit.gpgsign=false"])
            .args(["-c", "protocol.file.allow=always"])
            .args(args)
            .current_dir(self.path("repo"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().lines().next().unwrap_or_default().to_owned()
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path("repo").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn commit(&self, message: &str) -> CommitId {
        self.run(&["add", "-A"]);
        self.run(&["commit", "--quiet", "--allow-empty", "-m", message]);
        self.head()
    }

    /// A key to sign commits with.
    pub(crate) fn keygen(&self, name: &str) {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(self.path(name))
            .status();
        assert!(made.unwrap().success());
    }

    /// A commit of everything, signed as developers do it.
    pub(crate) fn signed_commit(&self, message: &str, key: &str) -> CommitId {
        self.run(&["add", "-A"]);
        let key = format!("user.signingkey={}", self.path(key).display());
        let sign = ["-c", "gpg.format=ssh", "-c", &key, "commit", "--quiet", "--allow-empty", "-S", "-m", message];
        self.run(&sign);
        self.head()
    }

    pub(crate) fn head(&self) -> CommitId {
        self.run(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    pub(crate) fn blob(&self, text: &str) -> CommitId {
        self.feed(&["hash-object", "-w", "--stdin"], text.as_bytes()).parse().unwrap()
    }

    /// Writes a tree of these entries as they stand, past git's own checks.
    pub(crate) fn raw_tree(&self, entries: &[(&str, &str, &CommitId)]) -> CommitId {
        let mut bytes = Vec::new();
        for (mode, name, id) in entries {
            bytes.extend_from_slice(format!("{mode} {name}\0").as_bytes());
            bytes.extend_from_slice(&artifact::digest::unhex::<20>(id.as_str()).unwrap());
        }
        self.feed(&["hash-object", "-t", "tree", "-w", "--stdin", "--literally"], &bytes).parse().unwrap()
    }

    /// Writes a commit object of these words.
    pub(crate) fn raw_commit(&self, text: &str) -> CommitId {
        self.feed(&["hash-object", "-t", "commit", "-w", "--stdin"], text.as_bytes()).parse().unwrap()
    }

    pub(crate) fn commit_tree(&self, tree: &CommitId) -> CommitId {
        self.run(&["commit-tree", "-m", "raw", tree.as_str()]).parse().unwrap()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.path("repo/.git")
    }

    pub(crate) fn address(&self) -> Address {
        Address::file(&self.path("repo")).unwrap()
    }

    // What CI leaves.

    pub(crate) fn evidence(&self) -> PathBuf {
        self.path("evidence")
    }

    pub(crate) fn leave(&self, name: &str, bytes: &[u8]) {
        fs::write(self.evidence().join(name), bytes).unwrap();
    }

    fn registry(&self) -> &Peer {
        self.registry.get_or_init(|| start_registry(self.folder.path()))
    }

    pub(crate) fn stop_registry(&self) {
        let mut process = self.registry().process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    pub(crate) fn staging(&self, path: &str) -> Repository {
        format!("{}/{path}", self.registry().address).parse().unwrap()
    }

    pub(crate) fn client(&self) -> Client {
        let hosts: std::collections::BTreeMap<String, registry::Host> =
            toml::from_str(&format!("[\"{}\"]\nplain_http = true", self.registry().address)).unwrap();
        Client::new(&Hosts::try_from(hosts).unwrap()).unwrap()
    }

    pub(crate) async fn push_image(&self, repository: &Repository, tag: &str, word: &str) -> Digest {
        let client = self.client();
        let config = client.push_bytes(repository, format!("{{\"{word}\":1}}").as_bytes()).await.unwrap();
        let layer: Descriptor = client.push_bytes(repository, word.as_bytes()).await.unwrap();
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer],
        }))
        .unwrap();
        client.push_manifest(repository, tag, oci::MANIFEST, &manifest).await.unwrap();
        Digest::of(&manifest)
    }

    /// Something under the tag that is no image.
    pub(crate) async fn push_garbage(&self, repository: &Repository, tag: &str) {
        let index = serde_json::to_vec(&json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": []})).unwrap();
        self.client().push_manifest(repository, tag, oci::INDEX, &index).await.unwrap();
    }

    // Intake.

    pub(crate) fn lane(&self) -> PathBuf {
        self.path("state/public")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("config")
    }

    pub(crate) fn git(&self) -> Git {
        Git::open(&self.path("git"), None, None).unwrap()
    }

    pub(crate) fn store(&self) -> Layout {
        Layout::create(self.path("dossiers")).unwrap()
    }

    pub(crate) fn candidates(&self) -> Layout {
        Layout::create(self.path("candidates")).unwrap()
    }

    pub(crate) fn try_room(&self) -> Result<IntakeRoom, Failure> {
        let config = self.config();
        if !config.join("intake.toml").exists() {
            fs::write(config.join("intake.toml"), "").unwrap();
        }
        IntakeRoom::open(&config, &self.lane(), true)
    }

    pub(crate) fn room(&self) -> IntakeRoom {
        self.try_room().unwrap()
    }
}

fn start_registry(folder: &Path) -> Peer {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let (config, store) = (folder.join("registry.yml"), folder.join("registry"));
    let storage = format!("storage:\n  filesystem: {{rootdirectory: {store:?}}}");
    fs::write(&config, format!("version: 0.1\nlog: {{level: error}}\n{storage}\nhttp:\n  addr: {address}\n")).unwrap();
    let process = Command::new("docker-registry")
        .arg("serve")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry (Debian package docker-registry) is needed for these tests");
    let start = Instant::now();
    while TcpStream::connect(&address).is_err() {
        assert!(start.elapsed() < Duration::from_secs(20), "docker-registry does not answer");
        std::thread::sleep(Duration::from_millis(20));
    }
    Peer { address, process: Mutex::new(process) }
}

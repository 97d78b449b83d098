//! A scene in which someone commits what attacks the perimeter, has CI call it green, and leaves an image for it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use artifact::CommitId;
use artifact::digest::Base64;
use artifact::dsse::Envelope;
use artifact::layout::Layout;
use artifact::oci::{MANIFEST_LIMIT, Manifest};
use demo::ci::{Candidate, Report};
use demo::forge::Source;
use demo::project;
use serde_json::Value;

use crate::rooms::{first_argument, processes};
use crate::scene::Scene;

/// One at a time: each takes all it can get.
static ALONE: Mutex<()> = Mutex::new(());

/// Waits until nobody else burdens the machine.
pub fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The programs that hostile trees bring along.
static PROGRAMS: [(&str, &str); 2] = [("attack", include_str!("attack.c")), ("burden", include_str!("burden.c"))];

/// A perimeter with hostile committers.
pub struct Hostile {
    pub scene: Scene,
    honest: Candidate,
    tcp: TcpListener,
    path: UnixListener,
    hidden: UnixListener,
    sockets: tempfile::TempDir,
    name: String,
    _alone: MutexGuard<'static, ()>,
}

/// Why a commit was refused.
pub struct Refused {
    pub commit: CommitId,
    pub code: String,
    pub message: String,
}

impl Hostile {
    /// A perimeter that has released one honest commit, and a host with something that listens on each kind of socket.
    pub fn new(builder: &str) -> Self {
        let alone = alone();
        let mut scene = Scene::new();
        let commit = scene.commit("honest");
        let honest = scene.world.candidate(&scene.line, &commit).unwrap();
        scene.world.ci.report(&scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
        scene.once(0);
        scene.world.settings.builder = builder.to_owned();
        scene.world.configure().unwrap();
        let sockets = tempfile::tempdir().unwrap();
        fs::set_permissions(sockets.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let path = UnixListener::bind(sockets.path().join("socket")).unwrap();
        fs::set_permissions(sockets.path().join("socket"), fs::Permissions::from_mode(0o777)).unwrap();
        let name = format!("countersign-test-{}-{}", std::process::id(), tcp.local_addr().unwrap().port());
        let hidden = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        tcp.set_nonblocking(true).unwrap();
        path.set_nonblocking(true).unwrap();
        hidden.set_nonblocking(true).unwrap();
        Self { scene, honest, tcp, path, hidden, sockets, name, _alone: alone }
    }

    /// The step that tries every socket.
    pub fn reach(&self) -> String {
        let (port, path) = (self.tcp.local_addr().unwrap().port(), self.sockets.path().join("socket"));
        format!("./attack reach {port} {} {} > $OUT/reach", path.display(), self.name)
    }

    /// Whether anybody came.
    pub fn anybody_came(&self) -> bool {
        self.tcp.accept().is_ok() || self.path.accept().is_ok() || self.hidden.accept().is_ok()
    }

    /// A commit with these steps, signed, with both programs in its tree.
    pub fn commit(&self, steps: &[&str]) -> CommitId {
        let mut files = vec![project::recipe(&self.scene.base, steps, &["/a"], &[])];
        for (name, program) in programs() {
            files.push(Source { path: name.clone(), content: program.clone(), executable: true });
        }
        self.scene.line.forge.commit(&files, "hostile", Some(&self.scene.world.developer)).unwrap()
    }

    /// A commit with these steps that CI, which is the attacker's, calls green with somebody else's image.
    pub fn green(&self, steps: &[&str]) -> CommitId {
        let commit = self.commit(steps);
        let candidate = Candidate { commit: commit.clone(), ..self.honest.clone() };
        candidate.layout.tag(&candidate.image, commit.as_str()).unwrap();
        let world = &self.scene.world;
        world.ci.push(&candidate, &self.scene.line.staging).unwrap();
        world.ci.report(&self.scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
        commit
    }

    /// Commits these steps; one pass refuses them for one reason and for good, and leaves nothing behind.
    pub fn refused(&self, steps: &[&str]) -> Refused {
        let commit = self.green(steps);
        self.pass(1);
        let explained = self.scene.world.perimeter.explain(commit.as_str()).unwrap();
        let [reason] = &explained["reasons"].as_array().unwrap()[..] else { panic!("{explained}") };
        let text = |name: &str| reason[name].as_str().unwrap().to_owned();
        Refused { code: text("code"), message: text("message"), commit }
    }

    /// What was refused stays so, without a word.
    pub fn is_refused_once(&self) {
        let entries = self.scene.entries().len();
        self.pass(1);
        assert_eq!(self.scene.entries().len(), entries, "a second pass has nothing to add");
    }

    /// An honest commit is released as ever.
    pub fn the_next_commit_is_released(&self) {
        let before = self.scene.count("release");
        self.scene.green(&format!("honest again {before}"));
        self.pass(0);
        assert_eq!(self.scene.count("release"), before + 1);
        self.scene.verify(":latest", 0);
    }

    /// One pass that ends with this status, and after which the host is as it was.
    pub fn pass(&self, status: i32) {
        let mut command = self.scene.world.perimeter.command(&["once", "--json"]);
        let pass = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let launcher = pass.id();
        let ended = pass.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(status), "{said}");
        assert!(!said.chars().any(|c| c.is_control() && c != '\n'), "nothing in it moves a cursor: {said:?}");
        assert_eq!(programs_running(), BTreeSet::new(), "no process is left");
        assert_eq!(mounts(self.scene.world.perimeter.state()), [""; 0], "no mount is left");
        let groups = groups(Path::new("/sys/fs/cgroup"), &format!("countersign-{launcher}-"), 5);
        assert!(groups.is_empty(), "no cgroup is left: {groups:?}");
        let builder = self.scene.world.perimeter.state().join("public/builder");
        assert_eq!(fs::read_dir(builder.join("work")).unwrap().count(), 0, "the work folder is empty");
        let store = builder.join("out/blobs");
        let parts = fs::read_dir(&store).unwrap().count();
        let blobs = fs::read_dir(store.join("sha256")).unwrap().count();
        assert!(parts == 1 && blobs <= 2, "the store holds the last build's trees alone: {parts}, {blobs}");
    }

    /// A file of the image that was released last.
    pub fn released(&self, file: &str) -> String {
        self.tar(&["-xOf"], &[file])
    }

    /// Every name in it, as `tar -tv` lists it, without time stamps.
    pub fn names(&self) -> String {
        self.tar(&["--numeric-owner", "--quoting-style=c", "-tvf"], &[])
    }

    fn tar(&self, before: &[&str], after: &[&str]) -> String {
        let production = Layout::open(self.scene.world.production.layout("prod/app"));
        let digest = self.scene.released("latest").unwrap().parse().unwrap();
        let manifest = Manifest::parse(&production.read_digest(&digest, MANIFEST_LIMIT).unwrap()).unwrap();
        let layer = production.path(&manifest.layers.last().unwrap().digest);
        let ran = Command::new("tar").arg("-z").args(before).arg(layer).args(after).output().unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// What the signed provenance of the last rebuild says of the sandbox.
    pub fn sandbox(&self) -> Value {
        let entries = self.scene.entries();
        let last = entries.iter().rfind(|e| e["kind"] == "rebuild").unwrap()["index"].to_string();
        let shown = self.scene.world.perimeter.countersign(&["log", "show", &last, "--json"]).unwrap();
        let envelope = find(&shown.json().unwrap(), "provenance").unwrap();
        let envelope: Base64 = serde_json::from_value(envelope).unwrap();
        let statement: Value = serde_json::from_slice(&Envelope::parse(&envelope.0).unwrap().payload.0).unwrap();
        find(&statement, "sandbox").unwrap_or_else(|| panic!("{statement}"))
    }
}

/// The value of a name, wherever it stands.
fn find(value: &Value, name: &str) -> Option<Value> {
    match value {
        Value::Object(map) => map.get(name).cloned().or_else(|| map.values().find_map(|v| find(v, name))),
        Value::Array(list) => list.iter().find_map(|v| find(v, name)),
        _ => None,
    }
}

/// Compiled once, static: a tiny base holds no library.
fn programs() -> &'static BTreeMap<String, Vec<u8>> {
    static COMPILED: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let compiled = PROGRAMS.iter().map(|(name, source)| {
            let (text, program) = (folder.path().join(format!("{name}.c")), folder.path().join(name));
            fs::write(&text, source).unwrap();
            let flags = ["-static", "-O1", "-Wall", "-Werror", "-o"];
            let ended = Command::new("cc").args(flags).arg(&program).arg(&text).status().unwrap();
            assert!(ended.success(), "{name}.c");
            ((*name).to_owned(), fs::read(program).unwrap())
        });
        compiled.collect()
    })
}

/// Everything that runs and came from a hostile tree.
fn programs_running() -> BTreeSet<PathBuf> {
    let hostile = |process: &PathBuf| {
        first_argument(process).is_some_and(|name| PROGRAMS.iter().any(|(p, _)| name == Path::new(".").join(p)))
    };
    processes().into_iter().filter(hostile).collect()
}

/// The mounts of this host that have to do with a folder.
fn mounts(folder: &Path) -> Vec<String> {
    let all = fs::read_to_string("/proc/self/mountinfo").unwrap();
    all.lines().filter(|line| line.contains(&*folder.to_string_lossy())).map(str::to_owned).collect()
}

/// Folders of this name's beginning, not deeper than `depth`.
fn groups(folder: &Path, prefix: &str, depth: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            found.push(entry.path());
        } else if depth > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(groups(&entry.path(), prefix, depth - 1));
        }
    }
    found
}

//! The real programs on damaged logs: `countersign log verify` ends with 4, for the log is our own; `countersign-verify log`
//! with 1, for to it everything comes from outside. Each names the file; none panics, waits for ever or passes.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use audit::note::Vkey;
use audit::reader::{Content, Log};
use demo::command::{Ran, is_root, ran};

use super::scene::Promoted;
use super::{Damage, Flipped, Sample, THINGS, copy, files};

/// After so many seconds a program is taken to wait for ever: `timeout` then ends with 124.
const FOR_EVER: &str = "60";

/// One damage.
type Harm<'a> = &'a dyn Fn(&mut Damage<'_>);

/// A perimeter's configuration with a state folder that can be damaged, and the programs to look at it.
struct Desk {
    config: PathBuf,
    trust: PathBuf,
    state: PathBuf,
    binaries: PathBuf,
    user: Option<u32>,
    _folder: tempfile::TempDir,
}

impl Desk {
    fn with(promoted: &Promoted, log: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let state = folder.path().join("state");
        copy(log, &state.join("public/log/tiles"));
        let (config, trust) = (promoted.config.clone(), promoted.trust_file.clone());
        Self { config, trust, state, binaries: crate::binaries(), user: None, _folder: folder }
    }

    fn log(&self) -> PathBuf {
        self.state.join("public/log/tiles")
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Ran {
        let mut command = Command::new("timeout");
        command.args(["-k", "1", FOR_EVER]).arg(self.binaries.join(program)).args(arguments).current_dir("/");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let ran = ran(&mut command).unwrap();
        assert!(!ran.stderr.contains("panicked"), "{program} {arguments:?}: {}", ran.stderr);
        ran
    }

    fn countersign(&self, more: &[&str]) -> Ran {
        let (config, state) = (self.config.to_str().unwrap(), self.state.to_str().unwrap());
        let verify = ["--json", "--config", config, "--state", state, "log", "verify"];
        self.run("countersign", &[&verify[..], more].concat())
    }

    fn verifier(&self, more: &[&str]) -> Ran {
        let (log, trust) = (self.log(), self.trust.to_str().unwrap());
        self.run(
            "countersign-verify",
            &[&["--json", "log", log.to_str().unwrap(), "--trust", trust][..], more].concat(),
        )
    }

    /// Both pass.
    fn sound(&self, more: &[&str]) {
        let (ours, theirs) = (self.countersign(more), self.verifier(more));
        assert_eq!((ours.status, theirs.status), (0, 0), "{}{}", ours.stderr, theirs.stdout);
        assert_eq!(theirs.json().unwrap()["verified"], true);
    }

    /// Neither passes, each with its status, and each names one of these.
    fn damaged(&self, more: &[&str], names: &[&str], what: &str) {
        let (ours, theirs) = (self.countersign(more), self.verifier(more));
        assert_eq!((ours.status, theirs.status), (4, 1), "{what}: {ours:?} {theirs:?}");
        let report = theirs.json().unwrap();
        assert_eq!(report["verified"], false, "{what}");
        assert_eq!(ours.stdout, "", "{what}: nothing is said of a log that does not verify");
        for said in [&ours.stderr, &report["checks"].to_string()] {
            assert!(names.iter().any(|name| said.contains(name)), "{what}: {said} names none of {names:?}");
        }
    }
}

#[test]
fn nothing_is_printed_of_a_log_that_does_not_verify_and_no_pass_goes_on_from_it() {
    let promoted = Promoted::shared();
    let desk = Desk::with(&promoted, &promoted.today);
    let (config, state) = (desk.config.to_str().unwrap(), desk.state.to_str().unwrap());
    let commands: [&[&str]; 6] = [
        &["status"],
        &["log", "list"],
        &["log", "show", "0"],
        &["log", "verify"],
        &["show", "0000"],
        &["explain", "0000"],
    ];
    let size = Log::open(&promoted.today, &promoted.trust.log).unwrap().0.checkpoint().size();
    let tile = format!("tile/0/000.p/{size}");
    let mut damage = Damage::of(&desk.state);
    let name = format!("public/log/tiles/{tile}");
    let mut bytes = damage.read(&name);
    bytes[0] ^= 1;
    damage.write(&name, &bytes);
    for command in commands {
        let ran = desk.run("countersign", &[&["--config", config, "--state", state][..], command].concat());
        assert_eq!((ran.status, ran.stdout.as_str()), (4, ""), "{command:?}: {ran:?}");
        assert!(ran.stderr.contains(&tile), "{command:?}: {}", ran.stderr);
    }

    // The perimeter itself: its keeper reads the log first, and the pass ends with that.
    let scene = promoted.scene.lock().unwrap();
    let log = scene.world.perimeter.log();
    let writes = scene.world.production.journal().len();
    scene.green("on a damaged log");
    let (tile, bytes) = (tile.as_str(), bytes);
    let harms: [(&str, Harm<'_>); 3] = [
        (tile, &|damage| damage.write(tile, &bytes)),
        (tile, &|damage| damage.instead(tile, &super::Thing::Pipe)),
        ("checkpoint", &|damage| drop(damage.remove("checkpoint"))),
    ];
    for (name, harm) in harms {
        let mut damage = Damage::of(&log);
        harm(&mut damage);
        let ran = scene.once(4);
        assert!(format!("{}{}", ran.stdout, ran.stderr).contains(name), "{name}: {ran:?}");
    }
    assert_eq!(scene.world.production.journal().len(), writes, "production was written to");
}

/// How an error may name a file of the log: by its path, or a body by its entry.
fn names(folder: &Path, log: &Vkey, name: &str) -> Vec<String> {
    let (_, entries) = Log::open(folder, log).unwrap();
    let digest = |e: &audit::reader::Entry| match &e.content {
        Content::Ours { body, bytes, salt } => audit::leaf::Commitment::to(body.kind(), salt, bytes).digest().hex(),
        Content::Rekor(_) | Content::Forgotten(_) => String::new(),
    };
    let entry = entries.iter().find(|e| name == format!("body/{}", digest(e)));
    entry.map(|e| format!("entry {}: ", e.index)).into_iter().chain([name.to_owned()]).collect()
}

#[test]
fn a_changed_byte_ends_the_programs_with_the_right_status() {
    let promoted = Promoted::shared();
    let desk = Desk::with(&promoted, &promoted.today);
    desk.sound(&[]);
    let mut sample = Sample::new("bytes for the programs");
    let (folder, all) = (desk.log(), files(&desk.log()));
    let bodies: Vec<_> = all.iter().filter(|name| name.starts_with("body/")).collect();
    let others: Vec<_> = all.iter().filter(|name| !name.starts_with("body/")).collect();
    let mut tried = 0;
    for round in 0..24 {
        let name = if round % 3 == 0 { *sample.of(&bodies) } else { *sample.of(&others) };
        let named = names(&folder, &promoted.trust.log, name);
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let flipped = Flipped::new(&folder.join(name));
        let at = sample.below(flipped.bytes.len());
        tried += flipped.each([at], |what| desk.damaged(&[], &named, &format!("{name}: {what}")));
    }
    println!("{tried} changes for each of the two programs");
    desk.sound(&[]);
}

#[test]
fn a_file_that_is_missing_cut_longer_empty_or_none_ends_the_programs() {
    let promoted = Promoted::shared();
    let desk = Desk::with(&promoted, &promoted.yesterday);
    let folder = desk.log();
    let size = Log::open(&folder, &promoted.trust.log).unwrap().0.checkpoint().size();
    let body = files(&folder).into_iter().find(|name| name.starts_with("body/")).unwrap();
    let (tile, bundle) = (format!("tile/0/000.p/{size}"), format!("tile/entries/000.p/{size}"));
    for name in ["checkpoint", &tile, &bundle, &body] {
        let named = names(&folder, &promoted.trust.log, name);
        let named: Vec<&str> = named.iter().map(String::as_str).collect();
        let tried = |what: &str, harm: &dyn Fn(&mut Damage<'_>)| {
            let mut damage = Damage::of(&folder);
            harm(&mut damage);
            desk.damaged(&[], &named, &format!("{name}: {what}"));
        };
        let bytes = fs::read(folder.join(name)).unwrap();
        tried("missing", &|d| drop(d.remove(name)));
        tried("empty", &|d| d.write(name, b""));
        tried("cut", &|d| d.write(name, &bytes[..bytes.len() - 1]));
        tried("longer", &|d| d.write(name, [&bytes[..], b"\n"].concat()));
        for thing in &THINGS {
            tried(&format!("{thing:?}"), &|d| d.instead(name, thing));
        }
    }
    desk.sound(&[]);
}

#[test]
fn a_file_that_can_not_be_read_ends_the_programs() {
    const NOBODY: u32 = 65_534;
    let promoted = Promoted::shared();
    let mut desk = Desk::with(&promoted, &promoted.yesterday);
    if is_root() {
        // Root reads everything, so the programs run as nobody, from where nobody may read them.
        let bin = desk.state.with_file_name("bin");
        fs::create_dir(&bin).unwrap();
        for name in ["countersign", "countersign-verify"] {
            fs::copy(desk.binaries.join(name), bin.join(name)).unwrap();
        }
        copy(&desk.config, &desk.state.with_file_name("config"));
        fs::copy(&desk.trust, desk.state.with_file_name("trust.toml")).unwrap();
        let (config, trust) = (desk.state.with_file_name("config"), desk.state.with_file_name("trust.toml"));
        for path in files(&config).iter().map(|name| config.join(name)).chain([trust.clone()]) {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        (desk.binaries, desk.config, desk.trust, desk.user) = (bin, config, trust, Some(NOBODY));
    }
    desk.sound(&[]);
    for name in files(&desk.log()).iter().filter(|name| !name.starts_with("body/")).step_by(3) {
        let path = desk.log().join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
        desk.damaged(&[], &[name], &format!("{name}: not readable"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    }
    desk.sound(&[]);
}

#[test]
fn a_log_of_yesterday_is_found_by_who_kept_a_checkpoint() {
    let promoted = Promoted::shared();
    let desk = Desk::with(&promoted, &promoted.today);
    let kept = |log: &Path| log.join("checkpoint").to_str().unwrap().to_owned();
    let (old, new) = (kept(&promoted.yesterday), kept(&promoted.today));
    desk.sound(&["--since", &old]);
    desk.sound(&["--since", &new]);
    let since = desk.countersign(&["--since", &old]).json().unwrap();
    assert!(since["since"].as_u64().unwrap() > 0, "{since}");
    let says = desk.verifier(&["--since", &old]).json().unwrap().to_string();
    assert!(says.contains("it begins with the") && !says.contains("since you last saw it"), "{says}");

    let mut damage = Damage::of(&desk.state);
    // Yesterday's checkpoint over today's tiles: by itself a sound log, and it says what it can't know.
    damage.write("public/log/tiles/checkpoint", fs::read(&old).unwrap());
    desk.sound(&[]);
    let not = desk.countersign(&[]).json().unwrap()["not_checked"].to_string();
    assert!(not.contains("newer checkpoint") && not.contains("no part of the log at this size"), "{not}");
    desk.damaged(&["--since", &new], &["rolled back"], "an older checkpoint");
    drop(damage);

    // Yesterday's tiles under today's checkpoint: something of today is missing.
    let all_old = Desk::with(&promoted, &promoted.yesterday);
    all_old.sound(&[]);
    all_old.damaged(&["--since", &new], &["rolled back"], "all of yesterday");
    fs::copy(&new, all_old.log().join("checkpoint")).unwrap();
    all_old.damaged(&[], &["missing"], "today's checkpoint, yesterday's tiles");

    // One file of yesterday, where the name is the same.
    for name in files(&promoted.today).iter().filter(|name| promoted.yesterday.join(name).exists()) {
        let (before, now) =
            (fs::read(promoted.yesterday.join(name)).unwrap(), fs::read(promoted.today.join(name)).unwrap());
        assert!(name == "checkpoint" || before == now, "{name}: what is written once is written for good");
    }
}

#[test]
fn a_log_that_is_gone_halts_and_a_wrong_name_is_the_callers_mistake() {
    let promoted = Promoted::shared();
    let desk = Desk::with(&promoted, &promoted.yesterday);
    fs::remove_dir_all(desk.log()).unwrap();
    let gone = desk.countersign(&[]);
    assert_eq!(gone.status, 4, "{}", gone.stderr);
    assert!(gone.stderr.contains("there is no log") && gone.stderr.contains("restore"), "{}", gone.stderr);
    assert_eq!(desk.verifier(&[]).status, 1);
    fs::create_dir(desk.log()).unwrap();
    desk.damaged(&[], &["checkpoint: missing"], "an empty folder");
    fs::remove_dir_all(&desk.state).unwrap();
    assert_eq!(desk.countersign(&[]).status, 2, "no such state folder");
    let whole = Desk::with(&promoted, &promoted.yesterday);
    for since in ["/nowhere/checkpoint", "/"] {
        assert_eq!((whole.countersign(&["--since", since]).status, whole.verifier(&["--since", since]).status), (2, 2));
    }
    // A kept checkpoint that is none of this log: from outside, so 1 of both.
    for since in ["/dev/null", whole.trust.to_str().unwrap(), "/dev/zero"] {
        let (ours, theirs) = (whole.countersign(&["--since", since]), whole.verifier(&["--since", since]));
        assert_eq!((ours.status, theirs.status), (1, 1), "{since}: {ours:?} {theirs:?}");
        assert!(ours.stderr.contains(since) && theirs.stdout.contains(since), "{since}");
    }
}

/// The keeper, taken over, writes down what was dated back: what it shows is signed, whole, and still no log of this house.
#[test]
fn time_that_goes_back_is_no_log_of_ours() {
    use artifact::Moment;
    use artifact::failure::Failure;
    use audit::entry::{Body, Halted};

    let promoted = Promoted::shared();
    let desk = Desk::with(&promoted, &promoted.today);
    desk.sound(&[]);
    let newest = promoted.entries().iter().filter_map(|e| Some(e.body()?.at())).max().unwrap();
    let back = Moment::from_unix(newest.unix() - 3600).unwrap();
    let mut forged = super::forged::Forged::new();
    forged.take(&promoted.entries());
    let index = forged.leaves.len();
    let body = Body::from(Halted { failure: Failure::halt("test", "an hour ago"), at: back });
    forged.body(body.kind(), [9; 32], &body.to_bytes().unwrap());
    promoted.show_instead(&forged, &desk.log());
    desk.damaged(&[], &[&format!("entry {index}: it is dated {back}")], "an entry that is dated back");
}

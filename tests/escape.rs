//! Hostile builds: what a recipe can try from inside the sandbox, on real rooms and a real runtime. As root, and all of it
//! again as an ordinary user.

mod hostile;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use hardening::bundle::Bundle;
use hostile::Hostile;

use crate::crash::lose;

/// Limits that are reached in no time and hurt nobody.
const NARROW: &str = "memory_mib = 128\noutput_mib = 64\nprocesses = 64\nminutes = 0\nseconds = 60\n";

fn root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn an_ordinary_user_is_kept_from_the_same() {
    let _alone = hostile::alone();
    let tests = [
        "what_is_tried",
        "what_no_image",
        "what_a_build_leaves",
        "what_a_build_prints",
        "more_than",
        "as_many",
        "endless",
        "a_commit",
        "a_million",
    ];
    let tests = tests.map(|name| format!("escape::{name}"));
    let tests: Vec<&str> = tests.iter().map(String::as_str).collect();
    crate::nobody::repeat(&tests, tests.len());
}

/// The answers that are listed in findings.txt, by attack.
fn listed() -> BTreeMap<String, Vec<&'static str>> {
    let mut listed = BTreeMap::new();
    for line in include_str!("escape/findings.txt").lines().filter(|l| !l.is_empty() && !l.starts_with('#')) {
        let (name, answers) = line.rsplit_once(": ").unwrap();
        let (answers, user) = answers.split_once(", as a user ").unwrap_or((answers, answers));
        let answers: Vec<&str> = if root() { answers } else { user }.split(" or ").collect();
        match name.split_once("..") {
            None => drop(listed.insert(name.to_owned(), answers)),
            Some((from, to)) => {
                let (word, from) = from.split_once(' ').unwrap();
                for number in from.parse::<u32>().unwrap()..=to.parse().unwrap() {
                    listed.insert(format!("{word} {number}"), answers.clone());
                }
            }
        }
    }
    listed
}

#[test]
fn what_is_tried_from_inside_is_answered_as_listed_and_changes_nothing_outside() {
    let hostile = Hostile::new("");
    let settings = ["core_pattern", "hostname", "shmmax"].map(|name| format!("/proc/sys/kernel/{name}"));
    let before = settings.clone().map(|path| fs::read(path).unwrap());
    let steps = [&*hostile.reach(), "./attack kernel > $OUT/kernel"];
    // CI runs the same: that the image is released shows that both runs in both places were answered alike.
    let commit = hostile.commit(&steps);
    hostile.scene.world.green(&hostile.scene.line, &commit).unwrap();
    hostile.pass(0);
    assert!(!hostile.anybody_came(), "a build has reached a socket of the host");
    assert_eq!(settings.map(|path| fs::read(path).unwrap()), before);
    let (mut listed, mut wrong) = (listed(), Vec::new());
    let found = hostile.released("reach") + &hostile.released("kernel");
    for line in found.lines() {
        let (name, answer) = line.rsplit_once(": ").unwrap();
        if !listed.remove(name).is_some_and(|answers| answers.contains(&answer)) {
            wrong.push(line);
        }
    }
    assert!(wrong.is_empty() && listed.is_empty(), "not as listed: {wrong:#?}; not tried: {:?}", listed.keys());
    hostile.the_next_commit_is_released();
}

#[test]
fn what_no_image_holds_is_refused_for_good() {
    let hostile = Hostile::new("");
    for (step, says) in [
        ("./burden deep 30", "its path is too long"),
        ("./burden attributes 300", "attributes: it has too many extended attributes"),
        ("mknod $OUT/whiteout c 0 0", "whiteout: a socket or a device can't be packed"),
        ("touch $OUT/.wh.etc", ".wh.etc"),
        ("truncate -s 60G $OUT/hole", "more than 4294967296 bytes"),
    ] {
        let refused = hostile.refused(&["true", step]);
        assert_eq!(refused.code, "output-refused", "{step}: {}", refused.message);
        assert!(refused.message.contains(says), "{step}: {}", refused.message);
    }
    hostile.is_refused_once();
    let larger = hostile.refused(&["truncate -s 1T $OUT/hole"]);
    assert_eq!(larger.code, "build-failed", "a room's largest file is the sandbox's: {}", larger.message);
    hostile.the_next_commit_is_released();
}

#[test]
fn what_a_build_leaves_is_taken_as_it_is_and_nothing_is_followed_or_let_live() {
    let hostile = Hostile::new("");
    let secret = hostile.scene.world.perimeter.state().join("public/signer/own");
    let steps = [
        // Ends with the run: had it lived, it would have swapped the folder while it was read.
        "mkdir $OUT/folder && echo mine > $OUT/folder/file && ./burden stay &",
        "ln -s / $OUT/root; ln -s ../../../.. $OUT/up; ln -s a//b/./ $OUT/odd; ln -s /etc $OUT/etc",
        &format!("ln -s {} $OUT/signer", secret.display()),
        "mkfifo $OUT/pipe; touch $OUT/su; chmod 6755 $OUT/su; ln $OUT/su $OUT/su2",
        "mkdir $OUT/closed; touch $OUT/closed/in; chmod 0 $OUT/closed/in $OUT/closed",
        "touch \"$OUT/$(printf 'a\\nb\\033[2J')\"; chown 1:2 $OUT/su || true; chmod 6755 $OUT/su",
        "rm -rf $OUT 2>/dev/null || true; mv $OUT /tmp/x 2>/dev/null || true; mkdir -p $OUT/after",
    ];
    // The last step empties what the others left, but can't take the folder itself away.
    let emptied = hostile.commit(&steps);
    hostile.scene.world.green(&hostile.scene.line, &emptied).unwrap();
    hostile.pass(0);
    assert!(hostile.names().trim_end().ends_with("\"after/\""), "{}", hostile.names());
    let commit = hostile.commit(&steps[..6]);
    hostile.scene.world.green(&hostile.scene.line, &commit).unwrap();
    hostile.pass(0);
    let names = hostile.names();
    let owner = if root() { "1/2" } else { "0/0" };
    for (mode, owner, name) in [
        ("drwxr-xr-x", "0/0", "\"folder/\"".to_owned()),
        ("lrwxrwxrwx", "0/0", "\"root\" -> \"/\"".to_owned()),
        ("lrwxrwxrwx", "0/0", "\"up\" -> \"../../../..\"".to_owned()),
        ("lrwxrwxrwx", "0/0", "\"odd\" -> \"a//b/./\"".to_owned()),
        ("lrwxrwxrwx", "0/0", format!("\"signer\" -> \"{}\"", secret.display())),
        ("prw-r--r--", "0/0", "\"pipe\"".to_owned()),
        ("-rwsr-sr-x", owner, "\"su\"".to_owned()),
        ("hrwsr-sr-x", owner, "\"su2\" link to \"su\"".to_owned()),
        ("d---------", "0/0", "\"closed/\"".to_owned()),
        ("----------", "0/0", "\"closed/in\"".to_owned()),
        ("-rw-r--r--", "0/0", "\"a\\nb\\033[2J\"".to_owned()),
    ] {
        let found = names
            .lines()
            .any(|line| line.starts_with(&format!("{mode} {owner} ")) && line.ends_with(&format!(" {name}")));
        assert!(found, "{mode} {owner} {name}\n{names}");
    }
    assert_eq!(hostile.released("folder/file"), "mine\n");
    hostile.the_next_commit_is_released();
}

#[test]
fn more_than_there_is_of_anything_fails_the_build_alone() {
    let hostile = Hostile::new(NARROW);
    let takes = [
        ("cat /dev/zero > /dev/shm/zero || rm /dev/shm/zero", "No space left on device"),
        ("cat /dev/zero > /dev/zeros || rm /dev/zeros", "No space left on device"),
        ("cat /dev/zero > /tmp/zero || rm /tmp/zero", "No space left on device"),
        ("cat /dev/zero > zero || rm zero", "No space left on device"),
        ("./burden many 20000", "files: ENOSPC"),
        ("./burden malloc 200", "ENOMEM"),
        ("./burden forks 100000", " refused"),
    ];
    let step: Vec<String> = takes.iter().map(|(take, _)| format!("{{ {take}; }} 2>&1 | tail -n 1")).collect();
    let refused = hostile.refused(&[&step.join("; "), "cat /dev/zero > $OUT/zero"]);
    assert_eq!(refused.code, "build-failed", "{}", refused.message);
    let told: Vec<&str> = refused.message.lines().collect();
    assert!(told[0].contains("the first run: step 2 ended with status 1"), "{told:#?}");
    for ((take, says), told) in takes.iter().zip(&told[1..]) {
        assert!(told.ends_with(says), "{take}: {told}");
    }
    assert!(told.last().unwrap().ends_with("No space left on device"), "{told:#?}");
    let had: u32 = told[takes.len()].split_once(" had, ").unwrap().0.parse().unwrap();
    assert!((32..64).contains(&had), "{told:#?}");
    hostile.the_next_commit_is_released();
    let sandbox = hostile.sandbox()["enforced"].to_string();
    for limit in ["memory of one process", "processes of one user id: 64", "output: 64 MiB a run", "time: 60 s a run"] {
        assert!(sandbox.contains(limit), "{sandbox}");
    }
    all_memory(&hostile);
}

#[test]
fn what_a_build_prints_moves_no_cursor_and_names_no_step() {
    let hostile = Hostile::new("");
    let prints = r"printf '\033[2J\033]0;x\007\302\2331m\ncountersign: step 7\ncountersign: step \033[2J\n'; exit 3";
    let refused = hostile.refused(&["true", prints]);
    let says = "the first run: step 2 ended with status 3. Its last lines:\n\\x1b[2J\\x1b]0;x\\x07\\xc2\\x9b1m";
    assert_eq!((&*refused.code, &*refused.message), ("build-failed", says));
    hostile.is_refused_once();
    let told = hostile.scene.world.perimeter.countersign(&["explain", refused.commit.as_str()]).unwrap().stdout;
    assert!(told.contains("\n      \\x1b[2J\\x1b]0;x\\x07\\xc2\\x9b1m\n"), "each line has a line of its own: {told}");
}

/// Many processes that are each within their limit: only a cgroup, which only root can make, counts them together.
fn all_memory(hostile: &Hostile) {
    let refused = hostile.refused(&["./burden memory 1024"]);
    assert_eq!(refused.code, "build-failed", "{}", refused.message);
    assert!(refused.message.contains("status 137 (killed: out of memory?)"), "{}", refused.message);
    hostile.the_next_commit_is_released();
    let sandbox = hostile.sandbox();
    let list = |name: &str| sandbox[name].to_string();
    if root() {
        // 2 × 128 + 64 MiB.
        assert!(list("enforced").contains("memory: 335544320 bytes"), "{sandbox}");
        assert!(!refused.message.contains("\n0 killed"), "{}", refused.message);
    } else {
        assert!(list("notEnforced").contains("memory: not enforced in aggregate"), "{sandbox}");
        assert!(refused.message.contains("\n0 killed\n"), "nobody counts them together: {}", refused.message);
    }
}

/// Who changes ids is many users to the limit on one user's processes: again only root's cgroup counts all.
#[test]
fn as_many_processes_as_there_are_users_end_at_the_rooms_own_limit() {
    let hostile = Hostile::new("processes = 64\n");
    let refused = hostile.refused(&["./burden ids 10000; exit 1"]);
    let (had, _) = refused.message.split_once(" had, ").unwrap();
    let had: u32 = had.rsplit('\n').next().unwrap().parse().unwrap();
    hostile.the_next_commit_is_released();
    let sandbox = hostile.sandbox();
    let list = |name: &str| sandbox[name].to_string();
    if root() {
        assert!((64..4096).contains(&had), "{}", refused.message);
        assert!(list("enforced").contains("processes: 4096 processes"), "{sandbox}");
    } else {
        // With one id there is nobody else to be: each of the others ended at once.
        assert!(list("notEnforced").contains("owners: one id only"), "{sandbox}");
        assert!(list("notEnforced").contains("processes: not enforced in aggregate"), "{sandbox}");
    }
}

#[test]
fn endless_time_ends_and_so_does_everything_that_would_outlive_it() {
    let hostile = Hostile::new("minutes = 0\nseconds = 3\n");
    for step in ["./burden stay", "./burden stay & ./burden flood", "trap '' TERM; while :; do :; done"] {
        let refused = hostile.refused(&[step]);
        assert_eq!(refused.code, "build-timed-out", "{step}: {}", refused.message);
        assert!(refused.message.contains("more than 3 s"), "{step}: {}", refused.message);
        assert!(!refused.message.contains(['\u{1b}', '\u{9b}', '\u{7}']), "{:?}", refused.message);
    }
    hostile.scene.world.perimeter.write("builder.toml", &honest(&hostile)).unwrap();
    hostile.the_next_commit_is_released();
}

/// What `builder.toml` said before.
fn honest(hostile: &Hostile) -> String {
    let text = fs::read_to_string(hostile.scene.world.perimeter.config().join("builder.toml")).unwrap();
    text.lines().filter(|l| !l.starts_with("minutes") && !l.starts_with("seconds")).map(|l| format!("{l}\n")).collect()
}

#[test]
fn a_commit_that_ends_its_room_each_time_is_refused_at_last() {
    let hostile = Hostile::new("");
    let commit = hostile.green(&["sleep 30"]);
    for _ in 0..3 {
        // By a tracer's hand: no build here has found out how.
        assert!(lose(&hostile.scene, "countersign-builder"));
    }
    assert_eq!(hostile.scene.world.perimeter.reasons(commit.as_str()).unwrap(), ["builder-lost"]);
    assert_eq!(hostile.scene.count("failed"), 3);
    hostile.is_refused_once();
    hostile.the_next_commit_is_released();
}

#[test]
fn a_million_files_are_refused_and_the_next_build_has_room_again() {
    let hostile = Hostile::new("");
    let refused = hostile.refused(&["./burden many 1000001"]);
    assert_eq!(refused.code, "output-refused", "{}", refused.message);
    assert!(refused.message.contains("more than 1000000 files"), "{}", refused.message);
    hostile.the_next_commit_is_released();
}

/// A source tree that is larger than what one run has, and objects that are larger than what the builder has.
#[test]
fn what_has_no_room_is_refused_for_good_and_the_setting_is_named() {
    let hostile = Hostile::new("output_mib = 1\n");
    let refused = hostile.refused(&["true"]);
    assert_eq!(refused.code, "source-broken", "{}", refused.message);
    assert!(refused.message.contains("output_mib in builder.toml"), "{}", refused.message);
    hostile.is_refused_once();
    let text = honest(&hostile).replace("output_mib = 1\n", "memory_mib = 1\n");
    hostile.scene.world.perimeter.write("builder.toml", &text).unwrap();
    let refused = hostile.refused(&["true; true"]);
    assert_eq!(refused.code, "source-broken", "{}", refused.message);
    assert!(refused.message.contains("memory_mib in builder.toml"), "{}", refused.message);
}

/// A runtime that could not copy itself has made nothing yet, and is started again; whatever else it fails of, it is not.
#[test]
fn a_runtime_that_could_not_copy_itself_is_started_again_and_any_other_failure_is_one() {
    let busy = "nsexec[17]: could not ensure we are a cloned binary: Device or resource busy";
    for (said, starts) in
        [(busy, 4), ("nsexec[17]: could not ensure we are a cloned binary: No space left on device", 1)]
    {
        let folder = tempfile::tempdir().unwrap();
        let (runtime, counted) = (folder.path().join("runtime"), folder.path().join("counted"));
        fs::write(&runtime, format!("#!/bin/sh\necho start >> {}\necho '{said}' >&2\nexit 1\n", counted.display()))
            .unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o755)).unwrap();
        let bundle = Bundle {
            folder: folder.path().join("bundle"),
            rootfs: folder.path().to_owned(),
            hostname: "h".to_owned(),
            cwd: "/".to_owned(),
            umask: 0o022,
            env: Vec::new(),
            binds: Vec::new(),
            ranges: false,
            processes: 1,
            memory: 1,
        };
        let failed = bundle.run(&runtime, "it", "true", Duration::from_secs(60)).unwrap_err();
        assert!(failed.to_string().contains(said), "{failed}");
        assert_eq!(fs::read_to_string(counted).unwrap().lines().count(), starts, "{said}");
    }
}

//! The line from one end to the other, on an embedded perimeter, with the real binaries.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use artifact::CommitId;
use demo::ci::{Outcome, Report};
use demo::project;
use demo::spoil;

use crate::rooms::{first_argument, processes};
use crate::scene::Scene;

#[test]
fn a_green_commit_is_promoted_once_and_everything_that_says_so_agrees() {
    let scene = Scene::new();
    let commit = scene.green("one");
    scene.once(0);
    let shown = scene.world.perimeter.show(commit.as_str()).unwrap();
    let digest = shown["digest"].as_str().unwrap().to_owned();
    assert_eq!(shown["stage"], "released");
    assert_eq!(shown["level"], "bit-for-bit");
    assert_eq!(shown["trial"], !rustix::process::geteuid().is_root());
    assert_eq!(scene.released("latest").as_deref(), Some(digest.as_str()));
    assert_eq!(scene.released(commit.as_str()).as_deref(), Some(digest.as_str()));
    let verified = scene.world.perimeter.verify_log().unwrap().json().unwrap();
    assert_eq!(verified["size"], shown["log"]["size"]);
    assert_eq!(verified["root"], shown["log"]["root"]);
    scene.verify(":latest", 0);
    let pinned = scene.verify(&format!("@{digest}"), 0);
    assert!(pinned.stdout.contains("not checked: currency"), "{}", pinned.stdout);
    let trial = pinned.stdout.contains("trial: the perimeter was started by an ordinary user");
    assert_eq!(
        trial,
        !rustix::process::geteuid().is_root(),
        "what is signed says trial, or does not: {}",
        pinned.stdout
    );

    let (entries, writes) = (scene.entries().len(), scene.world.production.journal().len());
    scene.once(0);
    assert_eq!(scene.entries().len(), entries, "a second pass records nothing");
    assert_eq!(scene.world.production.journal().len(), writes, "a second pass writes nothing");
}

#[test]
fn an_ordinary_user_has_the_same_line_and_everything_signed_says_trial() {
    crate::nobody::repeat(&["--exact", "e2e::a_green_commit_is_promoted_once_and_everything_that_says_so_agrees"], 1);
}

/// What `make demo` starts: it judges itself, and ends with 0 only when each act came out as announced.
#[test]
fn the_show_ends_as_announced() {
    let ran = Command::new(crate::binaries().join("countersign-demo")).env("NO_COLOR", "1").output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{said}\n{}", String::from_utf8_lossy(&ran.stderr));
}

#[test]
fn the_tag_is_written_last() {
    let scene = Scene::new();
    scene.world.production.clear_journal();
    scene.green("one");
    scene.once(0);
    let writes = scene.world.production.journal();
    let named = writes.iter().position(|w| w.tag.as_deref() == Some("latest")).unwrap();
    let digest = writes[named].digest;
    let before = &writes[..named];
    let attached = before.iter().filter(|w| w.subject.is_some() && w.subject == digest).count();
    assert_eq!(attached, 3, "signature, provenance and verdict are there before the name");
    let after: Vec<_> = writes[named..].iter().filter(|w| w.tag.is_none()).collect();
    assert!(after.is_empty(), "{after:?}");
}

#[test]
fn a_registry_without_the_referrers_api_gets_the_fallback_tag() {
    let scene = Scene::new();
    scene.world.production.set_referrers_api(false);
    scene.green("one");
    scene.once(0);
    scene.verify(":latest", 0);
    let hex = scene.released("latest").unwrap().replace(':', "-");
    assert!(scene.released(&hex).is_some(), "the fallback tag {hex}");
    assert!(scene.released(&format!("{hex}.sig")).is_some() && scene.released(&format!("{hex}.att")).is_some());
}

#[test]
fn a_tag_that_was_rolled_back_is_not_current() {
    let scene = Scene::new();
    scene.green("one");
    scene.once(0);
    let first = scene.released("latest").unwrap();
    scene.green("two");
    scene.once(0);
    scene.verify(":latest", 0);
    scene.world.production.set_tag("prod/app", "latest", Some(first.parse().unwrap())).unwrap();
    let rolled = scene.verify(":latest", 1);
    assert!(rolled.stdout.contains("currency"), "{}", rolled.stdout);
    // The digest itself is still a release.
    scene.verify(&format!("@{first}"), 0);
}

/// One pass must refuse this commit for this reason, and production must not have heard of it.
fn refused(scene: &Scene, commit: &CommitId, code: &str) {
    let writes = scene.world.production.journal().len();
    scene.once(1);
    let codes = scene.world.perimeter.reasons(commit.as_str()).unwrap();
    assert!(codes.iter().any(|c| c == code), "{codes:?}, and {code} is expected");
    assert_eq!(scene.world.production.journal().len(), writes, "production was written to");
    assert_eq!(scene.released("latest"), None);
    let entries = scene.entries().len();
    scene.once(1);
    assert_eq!(scene.entries().len(), entries, "a second pass refuses the same without a word in the log");
}

#[test]
fn what_is_not_green_is_refused() {
    let scene = Scene::new();
    let commit = scene.commit("red");
    scene.world.candidate(&scene.line, &commit).unwrap();
    let report = Report::green(&["build", "test"]).but("test", Outcome::Failed);
    scene.world.ci.report(&scene.line.evidence, &commit, &report).unwrap();
    refused(&scene, &commit, "job-not-passed");
}

#[test]
fn a_required_job_that_was_skipped_is_refused() {
    let scene = Scene::new();
    let commit = scene.commit("skipped");
    scene.world.candidate(&scene.line, &commit).unwrap();
    let report = Report::green(&["build", "test"]).but("test", Outcome::Skipped);
    scene.world.ci.report(&scene.line.evidence, &commit, &report).unwrap();
    refused(&scene, &commit, "job-missing");
}

#[test]
fn ci_that_tampers_with_its_image_is_refused() {
    let scene = Scene::new();
    let commit = scene.commit("tampered");
    let candidate = scene.world.ci.build(&scene.line.forge, &commit, &scene.world.settings.registries).unwrap();
    spoil::make_setuid(&candidate.layout, commit.as_str()).unwrap();
    scene.world.ci.push(&candidate, &scene.line.staging).unwrap();
    scene.world.ci.report(&scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
    refused(&scene, &commit, "diverged");
    let explained = scene.world.perimeter.explain(commit.as_str()).unwrap();
    assert_eq!(explained["differences"][0]["kind"], "setuid", "{explained}");
}

#[test]
fn an_unsigned_commit_is_refused() {
    let scene = Scene::new();
    let commit = scene.line.forge.commit(&project::tiny(&scene.base, "unsigned"), "unsigned", None).unwrap();
    scene.world.green(&scene.line, &commit).unwrap();
    refused(&scene, &commit, "commit-unsigned");
}

#[test]
fn a_base_that_is_not_listed_is_refused_before_anything_is_built() {
    let mut scene = Scene::new();
    let commit = scene.green("base");
    let other = format!("{}@{}", scene.base.repository, artifact::Digest::of(b"another"));
    scene.world.settings.projects[0].rules.bases = vec![other.parse().unwrap()];
    scene.world.configure().unwrap();
    refused(&scene, &commit, "base-not-allowed");
    assert_eq!(scene.count("rebuild"), 0);
}

#[test]
fn stale_evidence_is_refused() {
    let scene = Scene::new();
    let commit = scene.commit("stale");
    scene.world.candidate(&scene.line, &commit).unwrap();
    let report = Report::green(&["build", "test"]).hours_ago(48);
    scene.world.ci.report(&scene.line.evidence, &commit, &report).unwrap();
    refused(&scene, &commit, "evidence-stale");
}

#[test]
fn a_build_that_is_not_deterministic_is_refused_and_the_file_is_named() {
    let scene = Scene::new();
    let files = project::restless(&scene.base);
    let commit = scene.line.forge.commit(&files, "restless", Some(&scene.world.developer)).unwrap();
    let candidate = scene.world.ci.build(&scene.line.forge, &commit, &scene.world.settings.registries).unwrap();
    assert!(!candidate.deterministic, "CI hears of it as well");
    scene.world.ci.push(&candidate, &scene.line.staging).unwrap();
    scene.world.ci.report(&scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
    refused(&scene, &commit, "not-deterministic");
    let explained = scene.world.perimeter.explain(commit.as_str()).unwrap();
    assert_eq!(explained["runDifferences"][0]["path"], "etc/build-info", "{explained}");
}

#[test]
fn a_candidate_that_never_came_is_refused() {
    let scene = Scene::new();
    let commit = scene.commit("nothing");
    scene.world.ci.report(&scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
    refused(&scene, &commit, "candidate-missing");
}

#[test]
fn a_commit_without_evidence_waits_and_nothing_is_recorded() {
    let scene = Scene::new();
    scene.commit("early");
    let before = scene.once(0);
    assert!(before.stdout.contains("waiting"), "{}", before.stdout);
    assert_eq!(scene.count("opened"), 0);
}

#[test]
fn a_registry_that_is_down_for_a_while_is_tried_again_by_the_next_pass() {
    let scene = Scene::new();
    scene.green("later");
    scene.world.production.fail_writes(1000);
    scene.once(3);
    scene.world.production.mend();
    scene.once(0);
    scene.verify(":latest", 0);
    assert_eq!(scene.count("attempt"), 1, "what was signed is used again");
    assert_eq!(scene.count("release"), 1);
}

#[test]
fn a_runtime_that_is_missing_stops_the_pass_and_what_was_overtaken_is_left_behind() {
    let scene = Scene::new();
    scene.world.perimeter.write("builder.toml", "runtime = \"no-such-runtime\"\n").unwrap();
    scene.green("first");
    let stopped = scene.once(3);
    assert!(stopped.stderr.contains("apt-get install no-such-runtime"), "{}", stopped.stderr);
    let second = scene.green("second");
    scene.once(3);
    scene.world.configure().unwrap();
    scene.once(0);
    scene.once(0);
    assert_eq!(scene.count("release"), 1, "the first would take the tag back to an older commit");
    let shown = scene.world.perimeter.show(second.as_str()).unwrap();
    assert_eq!(scene.released("latest").as_deref(), shown["digest"].as_str());
}

#[test]
fn two_passes_at_the_same_time_make_one_release() {
    let scene = Scene::new();
    scene.green("twice");
    let start = || scene.world.perimeter.command(&["once"]).stderr(Stdio::null()).spawn().unwrap();
    let (mut first, mut second) = (start(), start());
    assert!(first.wait().unwrap().success() && second.wait().unwrap().success());
    assert_eq!(scene.count("release"), 1);
    assert_eq!(scene.count("attempt"), 1);
    scene.verify(":latest", 0);
}

#[test]
fn nothing_of_the_house_listens_at_any_moment_of_a_promotion() {
    const ROOMS: [&str; 5] = [
        "countersign-intake",
        "countersign-builder",
        "countersign-compare",
        "countersign-keeper",
        "countersign-signer",
    ];
    let scene = Scene::new();
    let mut seen = BTreeSet::new();
    // Some rooms are there for milliseconds: promotions go on until each was looked at.
    for number in 0.. {
        assert!(number < 20, "some rooms were never looked at: {seen:?}");
        scene.green(&format!("quiet {number}"));
        let mut pass = scene.world.perimeter.command(&["once"]).stderr(Stdio::null()).spawn().unwrap();
        let status = loop {
            for process in processes() {
                let Some(name) = first_argument(&process).filter(|name| name.starts_with(crate::binaries())) else {
                    continue;
                };
                let name = name.file_name().unwrap().to_string_lossy().into_owned();
                if name == "countersign" || ROOMS.contains(&name.as_str()) || name == "countersign-launch" {
                    assert!(!listens(&process), "{name} listens");
                    seen.insert(name);
                }
            }
            if let Some(status) = pass.try_wait().unwrap() {
                break status;
            }
        };
        assert!(status.success());
        if ROOMS.iter().all(|room| seen.contains(*room)) {
            return;
        }
    }
}

/// Whether a process holds a socket that the kernel lists as listening in its network namespace.
fn listens(process: &std::path::Path) -> bool {
    let read = |table: &str| fs::read_to_string(process.join("net").join(table)).unwrap_or_default();
    let mut inodes = BTreeSet::new();
    for table in ["tcp", "tcp6"] {
        let lines = read(table);
        let rows = lines.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>());
        inodes.extend(rows.filter(|r| r.get(3) == Some(&"0A")).filter_map(|r| r.get(9).map(|i| (*i).to_owned())));
    }
    // __SO_ACCEPTCON among the flags of a Unix socket.
    let unix = read("unix");
    let rows = unix.lines().skip(1).map(|l| l.split_whitespace().collect::<Vec<_>>());
    inodes.extend(rows.filter(|r| r.get(3) == Some(&"00010000")).filter_map(|r| r.get(6).map(|i| (*i).to_owned())));
    let held = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let held = held.filter_map(|fd| fs::read_link(fd.path()).ok());
    held.filter_map(|link| link.to_str().and_then(|l| l.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned)))
        .any(|inode| inodes.contains(&inode))
}

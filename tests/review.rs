//! Review on the command line: what happened, by filters; one entry and its proof, for somebody who has nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use demo::ci::{Outcome, Report};
use demo::command::{Ran, ran};
use serde_json::Value;

use crate::scene::Scene;

/// A name that would clear the screen and turn the line around.
const HOSTILE: &str = "Eve\u{1b}[2J\u{202e}gnp";

/// A world with one release and one refusal. The author of the refused commit has a hostile name.
fn reviewed() -> (Scene, String, String) {
    let scene = Scene::new();
    let released = scene.green("released");
    scene.once(0);
    let name =
        Command::new("git").arg("-C").arg(scene.line.forge.work()).args(["config", "author.name", HOSTILE]).status();
    assert!(name.unwrap().success());
    let refused = scene.commit("red");
    scene.world.candidate(&scene.line, &refused).unwrap();
    let report = Report::green(&["build", "test"]).but("test", Outcome::Failed);
    scene.world.ci.report(&scene.line.evidence, &refused, &report).unwrap();
    scene.once(1);
    (scene, released.to_string(), refused.to_string())
}

fn list(scene: &Scene, filter: &[&str]) -> Vec<u64> {
    let ran = scene.world.perimeter.countersign(&[&["log", "list", "--json"], filter].concat()).unwrap();
    assert_eq!(ran.status, 0, "{filter:?}: {}", ran.stderr);
    ran.json().unwrap().as_array().unwrap().iter().map(|entry| entry["index"].as_u64().unwrap()).collect()
}

#[test]
fn filters_find_what_happened_and_nothing_else() {
    let (scene, released, refused) = reviewed();
    let all = scene.entries();
    let of = |commit: &str| -> BTreeSet<u64> {
        let shown = scene.world.perimeter.show(commit).unwrap();
        shown["history"].as_array().unwrap().iter().map(|step| step["index"].as_u64().unwrap()).collect()
    };
    let digest = scene.released("latest").unwrap();
    let rekor: BTreeSet<u64> =
        all.iter().filter(|e| e["kind"] == "rekor").map(|e| e["index"].as_u64().unwrap()).collect();
    let promoted: BTreeSet<u64> = of(&released).union(&rekor).copied().collect();
    let set = |filter: &[&str]| -> BTreeSet<u64> { list(&scene, filter).into_iter().collect() };
    assert_eq!(set(&["--commit", &released]), promoted);
    assert_eq!(set(&["--commit", &refused[..7]]), of(&refused));
    assert_eq!(set(&["--decision", "released"]), promoted);
    assert_eq!(set(&["--decision", "refused"]), of(&refused));
    assert_eq!(set(&["--person", "EVE"]), of(&refused));
    assert_eq!(set(&["--project", "app", "--lane", "public"]).len(), promoted.len() + of(&refused).len());
    assert!(set(&["--project", "other"]).is_empty());
    let naming = set(&["--digest", &digest]);
    assert!(naming.len() >= 5 && naming.is_subset(&promoted), "{naming:?}");
    assert_eq!(set(&["--kind", "refusal"]).len(), 1);
    assert_eq!(set(&["--until", "2020-01-01"]).len() + set(&["--since", "2020-01-01"]).len(), all.len());
    assert!(set(&["--until", "2020-01-01"]).is_empty());
    let newest = list(&scene, &["--last", "2"]);
    assert_eq!(newest, [all.len() as u64 - 2, all.len() as u64 - 1]);
    for wrong in [["--digest", "sha256:xyz"], ["--commit", "12"], ["--since", "yesterday"], ["--decision", "maybe"]] {
        let ran = scene.world.perimeter.countersign(&[&["log", "list"], &wrong[..]].concat()).unwrap();
        assert_eq!(ran.status, 2, "{wrong:?}");
        assert!(ran.stderr.contains(wrong[0]), "{wrong:?}: {}", ran.stderr);
    }

    for command in [&["show", &refused][..], &["explain", &refused], &["log", "list"], &["status"]] {
        let ran = scene.world.perimeter.countersign(command).unwrap();
        assert!(ran.status == 0 && !ran.stdout.contains(['\u{1b}', '\u{202e}']), "{command:?}: {}", ran.stdout);
    }
    let shown = scene.world.perimeter.countersign(&["show", &refused]).unwrap().stdout;
    assert!(shown.contains("Eve\\u{1b}[2J\\u{202e}gnp") && shown.contains("from the first to the last"), "{shown}");
}

fn proof(scene: &Scene, receipt: &Path, more: &[&str]) -> Ran {
    let mut command = Command::new(crate::binaries().join("countersign-verify"));
    command.arg("proof").arg(receipt).arg("--trust").arg(scene.world.perimeter.trust()).args(more);
    ran(&mut command).unwrap()
}

#[test]
fn one_entry_is_proved_to_somebody_who_has_nothing_else() {
    let (scene, released, _) = reviewed();
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("new/for the court");
    let mut seen = BTreeSet::new();
    for entry in scene.entries() {
        let (index, kind) = (entry["index"].to_string(), entry["kind"].as_str().unwrap().to_owned());
        let ran =
            scene.world.perimeter.countersign(&["log", "prove", &index, "--out", folder.to_str().unwrap()]).unwrap();
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        let receipt = folder.join(format!("{index}.tlog-proof"));
        let verified = proof(&scene, &receipt, &["--json"]);
        assert_eq!(verified.status, 0, "{kind}: {}{}", verified.stdout, verified.stderr);
        let report: Value = verified.json().unwrap();
        let said = report["checks"][1]["found"].as_str().unwrap();
        assert!(kind == "rekor" || said.contains(&format!("\"kind\":\"{kind}\"")), "{said}");
        seen.insert(kind);
    }
    assert!(seen.contains("rekor") && seen.contains("release"), "{seen:?}");

    let (receipt, entry) = (folder.join("0.tlog-proof"), folder.join("0.entry"));
    let (good, content) = (fs::read_to_string(&receipt).unwrap(), fs::read(&entry).unwrap());
    let refused = |what: &str| {
        let ran = proof(&scene, &receipt, &[]);
        assert_eq!(ran.status, 1, "{what}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("NOT VERIFIED"), "{what}");
        fs::write(&receipt, &good).unwrap();
        fs::write(&entry, &content).unwrap();
    };
    for at in (0..content.len()).step_by(7) {
        let mut changed = content.clone();
        changed[at] ^= 1;
        fs::write(&entry, changed).unwrap();
        refused("a bit of the salt or the body");
    }
    fs::write(&entry, &content[1..]).unwrap();
    refused("cut");
    fs::write(&entry, b"").unwrap();
    refused("empty");
    fs::copy(folder.join("1.entry"), &entry).unwrap();
    refused("another entry");
    for (from, to) in [("index 0", "index 1"), ("tlog-proof@v1", "tlog-proof@v2"), ("\n\n", "\n")] {
        fs::write(&receipt, good.replacen(from, to, 1)).unwrap();
        refused(to);
    }
    fs::write(&receipt, b"\xff\xfe").unwrap();
    refused("no text");

    fs::remove_file(&entry).unwrap();
    let missing = proof(&scene, &receipt, &[]);
    assert!(missing.status == 2 && missing.stderr.contains("0.entry"), "{}", missing.stderr);
    let ran = scene.world.perimeter.countersign(&["log", "prove", "9999"]).unwrap();
    assert!(ran.status == 1 && ran.stderr.contains("entries, from 0"), "{}: {}", ran.status, ran.stderr);
    assert!(released.len() >= 40);
}

#[test]
fn a_change_of_the_configuration_is_recorded_with_both_texts_and_a_pass_without_one_records_nothing() {
    let scene = Scene::new();
    scene.commit("waits for its evidence");
    scene.once(0);
    let kinds = |kind: &str| -> Vec<Value> { scene.entries().into_iter().filter(|e| e["kind"] == kind).collect() };
    let files = kinds("configuration").len();
    assert_eq!(files, 9, "each file of the configuration");
    assert_eq!(kinds("posture").len(), 1);
    let before = scene.entries().len();
    scene.once(0);
    assert_eq!(scene.entries().len(), before, "nothing changed");

    let path = scene.world.perimeter.config().join("intake.toml");
    let text = fs::read_to_string(&path).unwrap();
    scene.world.perimeter.write("intake.toml", &format!("{text}\n# \u{202e} a note\n")).unwrap();
    scene.once(0);
    let changes = kinds("configuration");
    assert_eq!(changes.len(), files + 1);
    let index = changes.last().unwrap()["index"].to_string();
    let shown = scene.world.perimeter.countersign(&["log", "show", &index]).unwrap().stdout;
    assert!(shown.contains("intake.toml: changed") && shown.contains("+# \\u{202e} a note"), "{shown}");
    assert!(!shown.contains('\u{202e}') && !shown.contains("-#"), "{shown}");
    scene.world.perimeter.write("intake.toml", &text).unwrap();
    scene.once(0);
    assert_eq!(kinds("configuration").len(), files + 2, "a change back is one");
}

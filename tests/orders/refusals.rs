//! What does not count: each time it is said with a code, and a promotion goes on beside it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use demo::command::run;
use rustix::fs::{CWD, Mode, mkfifoat};

use super::Office;

/// Writes a statement again with something changed, and signs that.
fn altered(office: &Office, name: &str, from: &str, to: &str) {
    let text = fs::read_to_string(office.folder.join("good.json")).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    let path = office.folder.join(name);
    fs::write(&path, text.replace(from, to)).unwrap();
    office.sign(&path, &["ann", "ben"]);
}

fn copied(office: &Office, name: &str) -> std::path::PathBuf {
    let path = office.folder.join(name);
    fs::copy(office.folder.join("good.json"), &path).unwrap();
    path
}

#[test]
fn an_order_that_does_not_count_is_said_with_its_code_and_stops_nothing() {
    let office = Office::new();
    office.scene.green("first");
    office.pass();
    let index = office.indexes("facts")[0];
    let release = office.indexes("release")[0];
    office.order("good.json", &["forget", &index.to_string()]);
    for (name, people) in [
        ("one.json", &["ann"][..]),
        ("keys.json", &["ann", "ann-2"]),
        ("late.json", &["ann", "carol"]),
        ("git.json", &["ann", "dan"]),
        ("unlisted.json", &["ann", "eve"]),
    ] {
        office.sign(&copied(&office, name), people);
    }
    let namespace = copied(&office, "namespace.json");
    office.sign(&namespace, &["ann"]);
    office.sign_for(&namespace, "ben", "file");
    let changed = copied(&office, "changed.json");
    office.sign(&changed, &["ann", "ben"]);
    fs::write(&changed, fs::read_to_string(&changed).unwrap().replace("a test", "a tesT")).unwrap();
    let expires = fs::read_to_string(&changed).unwrap().split("\"expires\":\"").nth(1).unwrap()[..20].to_owned();
    altered(&office, "expired.json", &expires, "2026-01-01T00:00:00Z");
    altered(&office, "lane.json", "\"lane\":\"public\"", "\"lane\":\"embargo/case-1\"");
    altered(&office, "action.json", "{\"forget\":", "{\"approve\":");
    altered(&office, "spelling.json", "{\"action\"", "{ \"action\"");
    altered(&office, "release.json", &format!("[{index}]"), &format!("[{release}]"));
    altered(&office, "far.json", &format!("[{index}]"), "[999999]");
    fs::remove_file(office.folder.join("good.json")).unwrap();

    office.scene.green("second");
    let said = office.pass();
    for (name, code) in [
        ("one", "order-signers"),
        ("keys", "order-signers"),
        ("late", "order-signers"),
        ("git", "order-signers"),
        ("unlisted", "order-signers"),
        ("namespace", "order-signers"),
        ("changed", "order-signers"),
        ("expired", "order-expired"),
        ("lane", "order-lane"),
        ("action", "order-malformed"),
        ("spelling", "order-malformed"),
        ("release", "order-target"),
        ("far", "order-target"),
    ] {
        assert!(said.contains(&format!("{code}: {name}.json: ")), "{name}, {code}: {said}");
    }
    assert!(said.contains("1 of 2 people have signed it: ann@example.org has; ann@example.org signed twice"), "{said}");
    assert_eq!((office.indexes("order").len(), office.scene.count("release")), (0, 2));
    office.body(index);
}

#[test]
fn an_order_for_other_rules_and_one_that_was_used_say_nothing() {
    let mut office = Office::new();
    office.scene.green("first");
    office.pass();
    let facts = office.indexes("facts");
    let first = office.order("first.json", &["forget", &facts[0].to_string()]);
    office.sign(&first, &["ann", "ben"]);
    let second = office.order("second.json", &["forget", &facts[1].to_string()]);
    office.sign(&second, &["ann", "ben"]);
    fs::rename(&second, office.folder.join("second.later")).unwrap();
    office.pass();

    // The nonce of the first, for something else.
    let nonce = |path: &Path| fs::read_to_string(path).unwrap().split("\"nonce\":\"").nth(1).unwrap()[..32].to_owned();
    let later = office.folder.join("second.later");
    let replayed = office.folder.join("replayed.json");
    fs::write(&replayed, fs::read_to_string(&later).unwrap().replace(&nonce(&later), &nonce(&first))).unwrap();
    office.sign(&replayed, &["ann", "ben"]);
    office.scene.world.settings.projects[0].rules.evidence_hours = 25;
    office.scene.world.configure().unwrap();
    fs::rename(&later, &second).unwrap();
    let said = office.pass();
    assert!(said.contains("order-used: first.json") && said.contains("order-used: replayed.json"), "{said}");
    assert!(said.contains("order-rules: second.json"), "{said}");
    assert_eq!((office.indexes("order").len(), office.indexes("forgotten").len()), (1, 1));
}

#[test]
fn hostile_files_are_named_on_one_line_and_a_good_order_beside_them_counts() {
    let office = Office::new();
    office.scene.green("first");
    office.pass();
    let at = |name: &str| office.folder.join(name);
    let good = office.order("good.json", &["forget", &office.indexes("facts")[0].to_string()]);
    office.sign(&good, &["ann", "ben"]);
    fs::write(at("\u{1b}[2J\nrefused 1.json"), "{}").unwrap();
    fs::write(at("large.json"), vec![b' '; 1 << 20]).unwrap();
    fs::write(at("\u{202e}large.json"), vec![b' '; 1 << 20]).unwrap();
    symlink("/etc/hostname", at("link.json")).unwrap();
    symlink("/etc/hostname", at("good.json.link.sig")).unwrap();
    mkfifoat(CWD, at("pipe.json"), Mode::from_raw_mode(0o644)).unwrap();
    fs::create_dir(at("folder.json")).unwrap();
    let said = office.pass();
    assert!(said.contains("good.json: taken up"), "{said}");
    for name in ["link.json: a link", "pipe.json: a pipe", "folder.json: a folder", "large.json: more than"] {
        assert!(said.contains(&format!("order-unreadable: {name}")), "{name}: {said}");
    }
    assert!(
        !said.contains(['\u{1b}', '\u{202e}']) && !said.lines().any(|line| line.starts_with("refused 1")),
        "{said}"
    );

    // A folder that is gone is said, and nothing else is kept up by it.
    fs::rename(&office.folder, office.folder.with_file_name("elsewhere")).unwrap();
    office.scene.green("second");
    let ran = office.scene.world.perimeter.once().unwrap();
    assert_ne!(ran.status, 0, "{}", ran.stderr);
}

#[test]
fn a_keeper_deletes_nothing_that_its_own_list_does_not_know() {
    let office = Office::new();
    office.scene.green("first");
    office.pass();
    let perimeter = &office.scene.world.perimeter;
    let listed = fs::read_to_string(perimeter.config().join("keeper.toml")).unwrap();
    perimeter.write("keeper.toml", listed.split("\n[orders]").next().unwrap()).unwrap();
    let index = office.indexes("facts")[0];
    let statement = office.order("o.json", &["forget", &index.to_string()]);
    office.sign(&statement, &["ann", "ben"]);
    for _ in 0..2 {
        let said = office.pass();
        assert!(said.contains("forget-not-ordered") && said.contains("keeper.toml has no [orders]"), "{said}");
    }
    office.body(index);
    perimeter.write("keeper.toml", &listed).unwrap();
    let said = office.pass();
    assert!(said.contains("deleted what entry"), "{said}");
}

#[test]
fn a_body_that_was_deleted_without_an_order_is_missed() {
    let office = Office::new();
    office.scene.green("first");
    office.pass();
    let perimeter = &office.scene.world.perimeter;
    let envelope = office.body(office.indexes("facts")[0])["envelope"].as_str().unwrap().to_owned();
    let bodies = fs::read_dir(perimeter.log().join("body")).unwrap().map(|e| e.unwrap().path());
    let found: Vec<_> =
        bodies.filter(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).contains(&envelope)).collect();
    assert_eq!(found.len(), 1);
    fs::remove_file(&found[0]).unwrap();
    let verified = perimeter.verify_log().unwrap();
    assert_eq!(verified.status, 4, "{}", verified.stderr);
    assert!(verified.stderr.contains("no later entry says that it was forgotten by an order"), "{}", verified.stderr);
    let mut verifier = perimeter.verifier("x");
    verifier = {
        let mut command = std::process::Command::new(verifier.get_program());
        command.args(["log", perimeter.log().to_str().unwrap(), "--trust"]).arg(perimeter.trust());
        command
    };
    assert_eq!(demo::command::ran(&mut verifier).unwrap().status, 1);
    office.scene.once(4);
}

#[test]
fn the_command_says_what_can_not_be_ordered_and_why() {
    let office = Office::new();
    office.scene.green("first");
    office.pass();
    let release = office.indexes("release")[0].to_string();
    let terms = ["--reason", "x", "--expires", "1h"];
    for (words, status, said) in [
        (&["forget", &release][..], 1, "never forgotten"),
        (&["forget", "4711"], 1, "not there"),
        (&["forget"], 2, "INDEX"),
        (&["revoke", "latest"], 2, "latest"),
        (&["approve", "1"], 2, "approve"),
    ] {
        let ran = office.try_order(&[words, &terms].concat());
        assert_eq!(ran.status, status, "{words:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{words:?}: {}", ran.stderr);
    }
    let digest = office.scene.released("latest").unwrap();
    for terms in [
        &["--expires", "1h"][..],
        &["--reason", "x"],
        &["--reason", " ", "--expires", "1h"],
        &["--reason", "x", "--expires", "soon"],
        &["--reason", "x", "--expires", "2020-01-01T00:00:00Z"],
        &["--reason", "x", "--expires", "1h", "--out", "order"],
    ] {
        let ran = office.try_order(&[&["revoke", &digest], terms].concat());
        assert_eq!(ran.status, 2, "{terms:?}: {}", ran.stderr);
    }
    // What is printed are the very bytes to sign.
    let ran = office.try_order(&["revoke", &digest, "--reason", "x", "--expires", "1h"]);
    assert!(ran.status == 0 && ran.stdout.ends_with('}') && !ran.stdout.contains('\n'), "{:?}", ran.stdout);
    let help = office.try_order(&["revoke", "--help"]);
    assert!(help.stdout.contains("ssh-keygen -Y sign -n countersign-order@v1"), "{}", help.stdout);
    let perimeter = &office.scene.world.perimeter;
    let rules = fs::read_to_string(perimeter.config().join("rules.toml")).unwrap();
    perimeter.write("rules.toml", rules.split("\n[orders]").next().unwrap()).unwrap();
    let ran = office.try_order(&["revoke", &digest, "--reason", "x", "--expires", "1h"]);
    assert!(ran.status == 2 && ran.stderr.contains("no [orders]"), "{}", ran.stderr);
    run(&mut perimeter.command(&["status"])).unwrap();
}

//! What comes of an order: once, durably, and with nothing else changed.

use std::fs;

use super::{Office, holds};
use crate::crash::disturb;

#[test]
fn what_two_people_order_to_forget_is_gone_and_every_proof_still_holds() {
    let office = Office::new();
    let perimeter = &office.scene.world.perimeter;
    office.scene.green("first");
    office.pass();
    let facts = office.indexes("facts");
    let envelope = office.body(facts[0])["envelope"].as_str().unwrap().to_owned();
    assert!(holds(perimeter.state(), &envelope));
    let proof = perimeter.state().with_file_name("proof");
    let index = facts[0].to_string();
    let checkpoint = perimeter.state().with_file_name("kept");
    fs::copy(perimeter.log().join("checkpoint"), &checkpoint).unwrap();
    let receipt = || {
        let _ = fs::remove_dir_all(&proof);
        perimeter.countersign(&["log", "prove", &index, "--out", proof.to_str().unwrap()]).unwrap()
    };
    let before = receipt();
    assert_eq!(before.status, 0, "{}", before.stderr);

    let words: Vec<String> = facts.iter().map(u64::to_string).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let statement = office.order("o.json", &[&["forget"], &words[..]].concat());
    office.sign(&statement, &["ann", "ben"]);
    let said = office.pass();
    assert!(said.contains("o.json: taken up") && said.contains("deleted what entry"), "{said}");
    assert!(!holds(perimeter.state(), &envelope), "the body is still somewhere");
    assert_eq!((office.indexes("order").len(), office.indexes("forgotten").len()), (1, 1));
    let order = office.body(office.indexes("order")[0]);
    assert_eq!(order["signatures"][0]["principal"], "ann@example.org", "{order}");
    assert_eq!(order["signatures"][1]["principal"], "ben@example.org", "{order}");

    for words in [&["log", "verify"][..], &["log", "verify", "--since", checkpoint.to_str().unwrap()]] {
        let verified = perimeter.countersign(words).unwrap();
        assert_eq!(verified.status, 0, "{}", verified.stderr);
    }
    // Everybody else's log is as good as before, and the image with it.
    office.scene.verify(":latest", 0);
    let shown = perimeter.countersign(&["log", "show", &index]).unwrap();
    assert_eq!(shown.status, 1, "{}", shown.stdout);
    assert!(shown.stderr.contains("forgotten"), "{}", shown.stderr);

    // Used once: the files lie there still.
    let said = office.pass();
    assert!(said.contains("order-used: o.json"), "{said}");
    assert_eq!(office.indexes("forgotten").len(), 1);
    // And the house goes on.
    office.scene.green("second");
    office.pass();
    office.scene.verify(":latest", 0);
}

#[test]
fn a_kill_anywhere_in_an_order_leaves_it_to_be_carried_out_by_the_next_pass() {
    let office = Office::new();
    for word in ["one", "two", "three", "four"] {
        office.scene.green(word);
        office.pass();
    }
    // The keeper is killed at one call after the other of those with which it writes, names and unnames.
    let (mut calls, facts) = (2, office.indexes("facts"));
    for (round, index) in facts.iter().enumerate() {
        let statement = office.order(&format!("o{round}.json"), &["forget", &index.to_string()]);
        office.sign(&statement, &["ann-2", "ben"]);
        let struck = disturb(&office.scene, "countersign-keeper", calls);
        let said = office.pass();
        let entries = office.scene.entries();
        let count = |kind: &str| entries.iter().filter(|e| e["kind"] == kind).count();
        assert_eq!((count("order"), count("forgotten")), (round + 1, round + 1), "{calls}, {struck}: {said}");
        let shown = office.scene.world.perimeter.countersign(&["log", "show", &index.to_string()]).unwrap();
        assert_eq!(shown.status, 1, "{calls}, {struck}: {said}");
        assert!(struck || round > 2, "the keeper made fewer than {calls} calls");
        calls += 4;
    }
}

#[test]
fn a_revoked_image_is_refused_by_who_reads_the_log_and_is_not_released_again() {
    let mut office = Office::new();
    let commit = office.scene.green("first");
    office.pass();
    let digest = office.scene.released("latest").unwrap();
    let at = format!("@{digest}");
    office.scene.verify(":latest", 0);
    office.scene.verify(&at, 0);
    let reason = "a key was lost\u{1b}[2J\nreleased 1";
    let path = office.folder.join("r.json");
    let words = ["revoke", &digest, "--reason", reason, "--expires", "1d", "--out", path.to_str().unwrap()];
    assert_eq!(office.try_order(&words).status, 0);
    office.sign(&path, &["ben", "ann"]);
    let mut said = vec![office.pass()];
    for reference in [":latest", &at] {
        let ran = office.scene.verify(reference, 1);
        assert!(
            ran.stdout.contains("NOT  revoked") || ran.stderr.contains("NOT  revoked"),
            "{}{}",
            ran.stdout,
            ran.stderr
        );
        said.extend([ran.stdout, ran.stderr]);
    }
    let perimeter = &office.scene.world.perimeter;
    let carried = office.folder.join("carried");
    for words in [&["export", commit.as_str(), carried.to_str().unwrap()][..], &["current", "app"]] {
        let ran = perimeter.countersign(words).unwrap();
        assert!(ran.status == 1 && ran.stderr.contains("revoked by entry"), "{words:?}: {}", ran.stderr);
        assert!(ran.stdout.is_empty() && !carried.exists(), "{words:?}");
        said.extend([ran.stdout, ran.stderr]);
    }
    for words in [&["status"][..], &["show", commit.as_str()], &["log", "list"]] {
        let ran = perimeter.countersign(words).unwrap();
        assert!(ran.stdout.to_uppercase().contains("REVO"), "{words:?}: {}", ran.stdout);
        said.extend([ran.stdout, ran.stderr]);
    }
    for text in &said {
        assert!(!text.contains('\u{1b}') && !text.lines().any(|line| line.starts_with("released 1")), "{text}");
    }
    assert_eq!(perimeter.status().unwrap()[0]["revoked"], true);
    // A log that is asked for and can't be believed lets nothing through either.
    let checkpoint = perimeter.log().join("checkpoint");
    let whole = fs::read(&checkpoint).unwrap();
    fs::write(&checkpoint, &whole[..whole.len() - 4]).unwrap();
    let spoilt = office.scene.verify(&format!("@{digest}"), 1);
    assert!(spoilt.stdout.contains("revocation"), "{}", spoilt.stdout);
    fs::write(&checkpoint, whole).unwrap();
    let again = office.try_order(&["revoke", &digest, "--reason", "x", "--expires", "1d"]);
    assert_eq!(again.status, 1, "{}", again.stderr);

    // The same commit by other rules is another promotion, of the same image.
    office.scene.world.settings.projects[0].rules.evidence_hours = 25;
    office.scene.world.configure().unwrap();
    office.scene.once(1);
    let perimeter = &office.scene.world.perimeter;
    assert_eq!(perimeter.reasons(commit.as_str()).unwrap(), ["revoked"]);
    assert_eq!(office.scene.count("release"), 1);
    // Another image is.
    office.scene.green("second");
    office.pass();
    office.scene.verify(":latest", 0);
}

#[test]
fn an_image_that_is_signed_and_revoked_before_it_is_published_holds_up_nobody() {
    let office = Office::new();
    office.scene.green("first");
    office.pass();
    let before = office.scene.count("signature");
    let commit = office.scene.green("second");
    // The signer is killed ever later, until it has signed and not published.
    let mut call = 0;
    while office.scene.count("signature") == before {
        assert!(disturb(&office.scene, "countersign-signer", call), "the signer ended before its call {call}");
        call += 1;
    }
    assert_eq!(office.scene.count("release"), 1, "signed, and not published");
    let permit = office.body(*office.indexes("permit").last().unwrap());
    let digest = permit["terms"]["digest"].as_str().unwrap().to_owned();
    let statement = office.order("r.json", &["revoke", &digest]);
    office.sign(&statement, &["ann", "ben"]);
    office.scene.once(1);
    let perimeter = &office.scene.world.perimeter;
    assert_eq!(perimeter.reasons(commit.as_str()).unwrap(), ["revoked"]);
    assert_ne!(office.scene.released("latest").as_deref(), Some(digest.as_str()));
    // A log is read by people: what its texts hold, a terminal does not act on, in JSON neither.
    let hostile = office.folder.join("h.json");
    let reason = "x\u{9b}2J\u{202e}y";
    let words = ["revoke", &office.scene.released("latest").unwrap(), "--reason", reason];
    let ran = office.try_order(&[&words[..], &["--expires", "1d", "--out", hostile.to_str().unwrap()]].concat());
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    office.sign(&hostile, &["ann", "ben"]);
    office.scene.green("third");
    office.pass();
    office.scene.verify(":latest", 0);
    let index = office.indexes("revocation")[1];
    assert_eq!(office.body(index)["reason"], reason);
    let shown = office.scene.world.perimeter.countersign(&["log", "show", &index.to_string()]).unwrap();
    assert!(!shown.stdout.contains(['\u{9b}', '\u{202e}']), "{}", shown.stdout);
}

//! A broken intake can withhold, and make any unsigned fact true. It can't get past a signature that it has no key for.

use std::fs;

use artifact::digest::Digest;
use demo::ci::{Outcome, Report};
use demo::project;

use super::{INTAKE, released_honestly, tested_again};
use crate::scene::Scene;

#[test]
fn facts_of_another_job_halt_before_anything_is_recorded() {
    let scene = Scene::new();
    // The first job's facts are kept, to be said again.
    let first = scene.green("honest one");
    assert_eq!(INTAKE.pass(&scene, "honest").status, 0);
    let second = scene.green("honest two");
    for (attack, word) in [
        ("project", "room-not-believed"),
        ("lane", "room-not-believed"),
        ("commit", "room-not-believed"),
        ("dossier", "room-not-believed"),
        ("nonce", "facts-of-another-job"),
        ("replay", "facts-of-another-job"),
    ] {
        INTAKE.fails(&scene, attack, 4, word);
        assert_eq!((scene.count("opened"), scene.count("release")), (2, 1), "{attack}");
    }
    released_honestly(&scene, &second);
    assert_ne!(first, second);
}

#[test]
fn a_dossier_that_is_not_the_signed_commit_is_refused() {
    let scene = Scene::new();
    let commit = scene.green("honest word");
    let attacks = [
        ("dossier-nowhere", "dossier-broken"),
        ("tree", "source-broken"),
        ("spoilt", "source-broken"),
        ("recipe", "dossier-broken"),
        ("base", "base-broken"),
        ("date", "source-broken"),
        ("project-dossier", "comparison-mismatch"),
        ("candidate", "candidate-broken"),
        ("past", "branch-stale"),
        ("future", "from-the-future"),
        ("untested", "no-test-result"),
    ];
    for (number, (attack, code)) in attacks.into_iter().enumerate() {
        tested_again(&scene, &commit, number);
        INTAKE.fails(&scene, attack, 1, code);
    }
    assert_eq!((scene.count("refusal"), scene.count("attempt")), (attacks.len(), 0));
    tested_again(&scene, &commit, attacks.len());
    released_honestly(&scene, &commit);
}

/// What intake writes for CI and for people, the signer reads from what they signed themselves.
#[test]
fn facts_that_need_another_key_are_refused_by_the_signer() {
    let scene = Scene::new();
    let red = scene.commit("red");
    scene.world.candidate(&scene.line, &red).unwrap();
    let report = Report::green(&["build", "test"]).but("test", Outcome::Failed);
    scene.world.ci.report(&scene.line.evidence, &red, &report).unwrap();
    INTAKE.fails(&scene, "green", 1, "job-not-passed");
    assert_eq!((scene.count("permit"), scene.count("attempt")), (1, 0), "the coordinator believes intake");
    let unsigned = scene.line.forge.commit(&project::tiny(&scene.base, "unsigned"), "unsigned", None).unwrap();
    scene.world.green(&scene.line, &unsigned).unwrap();
    INTAKE.fails(&scene, "signed", 1, "commit-unsigned");
    assert_eq!((scene.count("permit"), scene.count("attempt")), (2, 0));
    let honest = scene.green("honest");
    released_honestly(&scene, &honest);
}

/// What the table admits: where a commit stands on a branch is nobody's signature but intake's. It is a commit that a
/// developer signed and CI tested all the same.
#[test]
fn where_a_commit_stands_is_intakes_word_alone() {
    let scene = Scene::new();
    let left = scene.green("left behind");
    let files = project::tiny(&scene.base, "in its place");
    scene.line.forge.rewrite(&files, "in its place", Some(&scene.world.developer)).unwrap();
    let once = |broken: bool| {
        scene.world.configure().unwrap();
        let mut perimeter = scene.world.perimeter.on(demo::binaries::Binaries::at(&crate::binaries()));
        if broken {
            perimeter = perimeter.on(demo::binaries::Binaries::at(&INTAKE.house()));
            let text = std::fs::read_to_string(perimeter.config().join("intake.toml")).unwrap();
            perimeter.write("intake.toml", &format!("{text}\n# mallory: head\n")).unwrap();
        }
        perimeter.countersign(&["once", "--project", "app", "--commit", left.as_str()]).unwrap()
    };
    let honest = once(false);
    assert_eq!(honest.status, 1, "{}", honest.stderr);
    assert!(honest.stderr.contains("not-on-branch"), "{}", honest.stderr);
    tested_again(&scene, &left, 0);
    let broken = once(true);
    assert_eq!(broken.status, 0, "{}", broken.stderr);
    scene.verify(":latest", 0);
}

#[test]
fn an_intake_that_says_nothing_or_nonsense_ends_the_pass() {
    let mut scene = Scene::new();
    let commit = scene.green("noise");
    for (attack, status, word) in [
        ("withhold", 3, "room-lost"),
        ("frame-cut", 3, "room-lost"),
        ("frame-huge", 4, "room-talks-nonsense"),
        ("frame-no-json", 4, "room-talks-nonsense"),
        ("frame-wrong", 4, "room-talks-nonsense"),
        ("flood", 4, "room-talks-nonsense"),
    ] {
        INTAKE.fails(&scene, attack, status, word);
    }
    scene.world.settings.answer_seconds = Some(3);
    for attack in ["silence", "trickle", "no-hello"] {
        INTAKE.fails(&scene, attack, 3, "room-silent");
    }
    scene.world.settings.answer_seconds = None;
    let babble = INTAKE.fails(&scene, "babble", 1, "refused");
    assert!(babble.stderr.len() < 30_000 && !babble.stderr.contains('\x1b'), "{} bytes", babble.stderr.len());
    assert_eq!(scene.count("facts"), 0);
    tested_again(&scene, &commit, 1);
    let escapes = INTAKE.pass(&scene, "escapes");
    assert_eq!(escapes.status, 0, "{}", escapes.stderr);
    assert!(!escapes.stderr.contains('\x1b') && !escapes.stderr.contains('\u{202e}'), "a terminal would obey it");
    assert!(!escapes.stderr.contains("\nforged"), "a line of its own");
    assert!(escapes.stderr.len() < 100_000, "{} bytes", escapes.stderr.len());
    scene.verify(":latest", 0);
}

/// Intake is still there while others work, and writes into its stores behind what they have read.
#[test]
fn a_store_of_intakes_that_changes_meanwhile_changes_no_byte_of_a_release() {
    let scene = Scene::new();
    let commit = scene.commit("honest");
    let candidate: Digest = scene.world.green(&scene.line, &commit).unwrap().image.digest;
    let ran = INTAKE.pass(&scene, "late");
    match ran.status {
        0 => assert_eq!(scene.released("latest"), Some(candidate.to_string())),
        1 => assert!(ran.stderr.contains("source-broken"), "{}", ran.stderr),
        status => panic!("{status}: {}", ran.stderr),
    }
    tested_again(&scene, &commit, 0);
    let ran = INTAKE.pass(&scene, "candidate-after");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(scene.released("latest"), Some(candidate.to_string()), "what is published is not read from there");
    scene.verify(":latest", 0);
}

/// It carries what witnesses say, and can withhold it. What they did not say is not published.
#[test]
fn what_no_witness_said_is_not_published_and_harms_no_promotion() {
    let mut scene = Scene::new();
    let key = artifact::key::Ed25519Key::generate().unwrap();
    let vkey = audit::cosignature::WitnessKey::new("w.example", &key).unwrap().to_string();
    scene.world.settings.witnesses = demo::perimeter::Witnesses {
        policy: format!("witness w {vkey}\nquorum w\n"),
        asked: vec![(vkey, "http://127.0.0.1:9/w".to_owned())],
        required: false,
    };
    scene.world.configure().unwrap();
    for (round, (attack, word)) in [
        ("honest", "witness w.example: http://127.0.0.1:9/w/add-checkpoint"),
        ("witness-rubbish", "witness w: what it answered is not its cosignature"),
        ("witness-much", "witness w: it answered more than 16384 bytes"),
        ("witness-ahead", "says it has seen 1125899906842624 entries"),
        ("witness-turns", "too few witnesses"),
    ]
    .into_iter()
    .enumerate()
    {
        scene.green(attack);
        let ran = INTAKE.pass(&scene, attack);
        assert_eq!(ran.status, 0, "{attack}: {}", ran.stderr);
        assert!(ran.stderr.contains(word) && ran.stderr.contains("too few witnesses"), "{attack}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\x1b') && ran.stderr.len() < 30_000, "{attack}");
        let checkpoint = fs::read_to_string(scene.world.perimeter.log().join("checkpoint")).unwrap();
        assert_eq!(checkpoint.matches("— ").count(), 1, "{attack}");
        let released = scene.world.perimeter.status().unwrap();
        let released = released.as_array().unwrap().iter().filter(|row| row["stage"] == "released").count();
        assert_eq!(released, round + 1, "{attack}");
    }
    assert!(INTAKE.pass(&scene, "witness-fewer").stderr.contains("intake-out-of-turn"));
}

//! A broken comparer can vouch for a wrong tree alone. It can't claim what manifests disprove, nor outvote a quorum.

use artifact::CommitId;
use demo::ci::{Candidate, Report};
use demo::{project, spoil};

use super::{COMPARER, released_honestly, tested_again};
use crate::scene::Scene;

/// A signed and tested commit whose image CI tampered with, and that image.
fn tampered(scene: &Scene) -> (CommitId, String) {
    let commit = scene.commit("tampered");
    let candidate = scene.world.ci.build(&scene.line.forge, &commit, &scene.world.settings.registries).unwrap();
    let image = spoil::make_setuid(&candidate.layout, commit.as_str()).unwrap();
    scene.world.ci.push(&candidate, &scene.line.staging).unwrap();
    scene.world.ci.report(&scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
    (commit, image.after.digest.to_string())
}

#[test]
fn a_level_that_manifests_disprove_is_refused_and_another_key_halts() {
    let scene = Scene::new();
    let (commit, _) = tampered(&scene);
    for (attack, word) in
        [("stranger", "room-not-believed"), ("level", "room-not-believed"), ("other-digest", "room-not-believed")]
    {
        COMPARER.fails(&scene, attack, 4, word);
        assert_eq!(scene.count("rebuild"), 0, "{attack}: nothing is recorded that no comparer signed");
    }
    let attacks = [
        ("vouch", "level-not-shown"),
        ("vouch-layers", "level-too-low"),
        ("vouch-tree", "level-too-low"),
        ("replay", "comparison-mismatch"),
    ];
    for (number, (attack, code)) in attacks.into_iter().enumerate() {
        tested_again(&scene, &commit, number);
        COMPARER.fails(&scene, attack, 1, code);
    }
    assert_eq!(scene.count("attempt"), 0);
    let honest = scene.green("honest");
    released_honestly(&scene, &honest);
}

/// A signed and tested commit under whose name CI left the image of another source, and that image.
fn exchanged(scene: &Scene) -> (CommitId, String) {
    let evil = scene.line.forge.commit(&project::tiny(&scene.base, "evil"), "evil", None).unwrap();
    let built = scene.world.ci.build(&scene.line.forge, &evil, &scene.world.settings.registries).unwrap();
    let commit = scene.commit("honest");
    built.layout.tag(&built.image, commit.as_str()).unwrap();
    let image = built.image.digest.to_string();
    scene.world.ci.push(&Candidate { commit: commit.clone(), ..built }, &scene.line.staging).unwrap();
    scene.world.ci.report(&scene.line.evidence, &commit, &Report::green(&["build", "test"])).unwrap();
    (commit, image)
}

#[test]
fn one_comparer_can_vouch_for_a_wrong_image_and_can_not_outvote_a_quorum() {
    let mut scene = Scene::new();
    let (commit, evil) = exchanged(&scene);
    scene.world.settings.projects[0].rules.comparers = 2;
    COMPARER.fails(&scene, "echo", 1, "too-few-comparers");
    // With one comparer there is nobody to gainsay it: what the table admits.
    scene.world.settings.projects[0].rules.comparers = 1;
    tested_again(&scene, &commit, 0);
    let ran = COMPARER.pass(&scene, "echo");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(scene.released("latest"), Some(evil));
}

#[test]
fn a_tree_that_only_a_comparer_can_judge_passes_where_the_rules_let_it() {
    let mut scene = Scene::new();
    let (commit, evil) = tampered(&scene);
    scene.world.settings.projects[0].rules.least_level = "same-filesystem".to_owned();
    COMPARER.fails(&scene, "vouch-layers", 1, "level-not-shown");
    tested_again(&scene, &commit, 0);
    let ran = COMPARER.pass(&scene, "vouch-tree");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    let released = scene.released("latest").unwrap();
    assert_ne!(released, evil, "it is our own rebuild that is published, whatever CI left");
    scene.verify(":latest", 0);
}

/// Whatever was attested, what is signed is there, whole, and an image like any other of ours.
#[test]
fn a_rebuild_that_is_no_image_of_ours_is_not_signed() {
    let mut scene = Scene::new();
    let commit = scene.green("spoilt");
    scene.world.settings.projects[0].rules.least_level = "same-filesystem".to_owned();
    for (number, attack) in ["foreign", "spoil"].into_iter().enumerate() {
        tested_again(&scene, &commit, number);
        let ran = COMPARER.fails(&scene, attack, 4, "rebuild-broken");
        assert!(ran.stderr.contains("have CI run again"), "{}", ran.stderr);
        assert_eq!((scene.count("attempt"), scene.count("refusal")), (0, number + 1), "{attack}");
    }
    tested_again(&scene, &commit, 2);
    released_honestly(&scene, &commit);
}

//! A builder that its build took over spoils its own result. It sees nothing else, and holds nobody up.

use demo::project;

use super::{BUILDER, released_honestly, tested_again};
use crate::scene::Scene;

#[test]
fn a_tree_that_is_not_the_recipes_result_is_refused() {
    let scene = Scene::new();
    let commit = scene.green("built");
    let attacks = [
        ("evil", "diverged"),
        ("device", "diverged"),
        ("two", "not-deterministic"),
        ("names", "diverged"),
        ("upwards", "output-refused"),
        ("below-link", "output-refused"),
        ("hard-link-out", "output-refused"),
        ("hard-link-nowhere", "output-refused"),
        ("whiteout", "output-refused"),
        ("opaque", "output-refused"),
        ("long", "output-refused"),
        ("half-end", "output-refused"),
        ("cut", "output-refused"),
        ("digest", "output-broken"),
        ("size-less", "output-broken"),
        ("size-more", "output-broken"),
        ("nowhere", "output-missing"),
        ("talkative", "built-refused"),
    ];
    for (number, (attack, code)) in attacks.into_iter().enumerate() {
        tested_again(&scene, &commit, number);
        BUILDER.fails(&scene, attack, 1, code);
    }
    assert_eq!((scene.count("permit"), scene.count("refusal")), (0, attacks.len()));
    tested_again(&scene, &commit, attacks.len());
    released_honestly(&scene, &commit);
}

#[test]
fn what_a_builder_looks_for_is_not_there() {
    let scene = Scene::new();
    scene.green("curious");
    let ran = BUILDER.fails(&scene, "peek", 1, "peeked");
    assert!(ran.stderr.contains("found only:\n"), "{}", ran.stderr);
}

/// What the table admits: the sandbox is what the builder says it was, in the provenance and before the rules.
#[test]
fn a_builder_can_lie_about_its_own_sandbox_and_about_nothing_else() {
    let mut scene = Scene::new();
    let commit = scene.green("sandbox");
    BUILDER.fails(&scene, "sandbox", 1, "runtime-not-accepted");
    scene.world.settings.projects[0].rules.runtimes.push("runsc".to_owned());
    let ran = BUILDER.pass(&scene, "sandbox");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    scene.world.configure().unwrap();
    released_honestly(&scene, &commit);
}

#[test]
fn a_builder_that_is_lost_again_and_again_is_its_commits_refusal_and_nobody_elses() {
    let mut scene = Scene::new();
    let base = scene.base.clone();
    let other = scene.world.project("other", &[&base], |_| {}).unwrap();
    scene.green("mad");
    for (attack, word) in [("frame-no-json", "room-talks-nonsense"), ("halt", "the builder says so")] {
        BUILDER.fails(&scene, attack, 3, word);
    }
    let calm = other.forge.commit(&project::tiny(&base, "calm"), "calm", Some(&scene.world.developer)).unwrap();
    scene.world.green(&other, &calm).unwrap();
    // One more pass, in which the other project's builder is as mad, and then it is over for this commit.
    let ran = BUILDER.pass(&scene, "withhold");
    assert!(ran.stderr.contains("builder-lost"), "{}", ran.stderr);
    assert_eq!(scene.world.production.tags("prod/app").len(), 0);
    let honest = scene.once(1);
    assert!(honest.stderr.contains("published") && honest.stdout.contains("was-refused"), "{}", honest.stderr);
    let shown = scene.world.perimeter.show(calm.as_str()).unwrap();
    assert_eq!(shown["stage"], "released");
}

/// The builder does not end when it has answered: it goes on writing while the comparer reads.
#[test]
fn a_tree_that_is_replaced_while_it_is_read_is_the_right_one_or_none() {
    let scene = Scene::new();
    let commit = scene.commit("raced");
    let candidate = scene.world.green(&scene.line, &commit).unwrap().image.digest;
    for attempt in 0..2 {
        tested_again(&scene, &commit, attempt);
        let ran = BUILDER.pass(&scene, "race");
        match ran.status {
            0 => assert_eq!(scene.released("latest"), Some(candidate.to_string())),
            1 => assert!(ran.stderr.contains("output-broken"), "{}", ran.stderr),
            status => panic!("{status}: {}", ran.stderr),
        }
    }
}

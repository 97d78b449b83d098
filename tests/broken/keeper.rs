//! A broken keeper can stop and withhold. It can't change or drop what the signer, a verifier or a receipt has seen.

use super::{KEEPER, released_honestly};
use crate::scene::Scene;

#[test]
fn an_answer_that_proves_something_else_halts() {
    let mut scene = Scene::new();
    let commit = scene.green("kept");
    for (attack, status, word) in [
        ("number", 4, "log-not-proved"),
        ("receipt", 4, "log-not-proved"),
        ("salts", 4, "log-not-proved"),
        ("fewer", 4, "keeper-out-of-turn"),
        ("withhold", 3, "room-lost"),
        ("frame-no-json", 4, "room-talks-nonsense"),
    ] {
        KEEPER.fails(&scene, attack, status, word);
    }
    scene.world.settings.answer_seconds = Some(3);
    KEEPER.fails(&scene, "silence", 3, "room-silent");
    scene.world.settings.answer_seconds = None;
    released_honestly(&scene, &commit);
    let next = scene.green("more");
    // The signer's own entries come several at a time: none may be missing or in another's place.
    for attack in ["drop", "receipts"] {
        let ran = KEEPER.pass(&scene, attack);
        assert_eq!(ran.status, 4, "{attack}: {}", ran.stderr);
        scene.entries();
    }
    released_honestly(&scene, &next);
    assert_eq!(scene.count("release"), 2);
}

/// It acknowledges a whole promotion out of a copy that it throws away.
#[test]
fn what_was_acknowledged_and_forgotten_is_missed() {
    let scene = Scene::new();
    scene.green("remembered");
    scene.once(0);
    let size = scene.entries().len();
    scene.green("forgotten");
    let ran = KEEPER.pass(&scene, "forget");
    assert_eq!(ran.status, 0, "{}", ran.stderr);
    assert_eq!(scene.entries().len(), size, "the log has nothing of it");
    assert!(scene.verify(":latest", 1).stdout.contains("currency"), "a verifier does not find it there");
    let halted = scene.once(4);
    assert!(halted.stderr.contains("log-rolled-back") && halted.stderr.contains("Restore"), "{}", halted.stderr);
}

/// What goes outside is the checkpoint that was proved, and a proof that the coordinator made.
#[test]
fn nothing_of_a_keepers_own_goes_to_a_witness() {
    let scene = Scene::new();
    scene.green("quiet");
    scene.once(0);
    for attack in ["whisper", "older"] {
        KEEPER.fails(&scene, attack, 4, "log-not-proved: the checkpoint for witnesses is another one");
    }
    scene.once(0);
}

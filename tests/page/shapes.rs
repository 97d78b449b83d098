//! Logs of every shape, and every older size of them: the proofs that the page makes and verifies.

use serde_json::json;

use super::Review;
use super::browser::Browser;
use crate::corruption::forged::Forged;

#[test]
fn logs_of_every_shape_are_verified_and_begin_with_every_older_one() {
    let (browser, nothing) = (Browser::shared(), Review::of(&Forged::new()));
    for size in [1, 2, 3, 5, 7, 8, 255, 256, 257, 511, 513, 999] {
        let (forged, folder) = (Forged::of(size), tempfile::tempdir().unwrap());
        forged.write(folder.path());
        let mut steps = vec![json!(["visit", "#/health"])];
        for old in [0, 1, 2, 3, 4, 6, 7, 128, 200, 255, 256, 500, size - 1, size].into_iter().filter(|n| *n <= size) {
            let answered = format!("form.kept [role=status]:has-text('its {old} ent')");
            steps.extend([
                json!(["fill", "#kept", forged.checkpoint(old).note()]),
                json!(["click", "form.kept button"]),
                json!(["wait", answered]),
            ]);
        }
        // The last entry, whose proof has the strangest shape.
        steps.push(json!(["visit", format!("#/entry/{}", size - 1)]));
        steps.push(json!(["wait", "text=from this entry to the root"]));
        let visit = nothing.pick(&browser, folder.path(), &steps);
        assert!(visit.settled().contains("Verified by this page"), "{size}: {}", visit.settled());
    }
    let empty = nothing.pick(&browser, &nothing.log, &[]);
    assert!(empty.settled().contains("The log is empty"), "{}", empty.settled());
}

#[test]
fn what_was_forgotten_is_said_and_what_is_only_gone_is_not_forgiven() {
    let browser = Browser::shared();
    // A halt, which may be forgotten; an order, and an entry that says it was carried out.
    let with = |indexes: &[u64]| {
        let mut forged = Forged::of(1);
        forged.order(json!({"forget": {"indexes": indexes}}));
        let says = json!({"kind": "forgotten", "order": 1, "indexes": indexes, "at": "2026-11-23T10:00:00Z"});
        forged.body(15, [1; 32], &artifact::json::canonical("entry", &says).unwrap());
        let review = Review::of(&forged);
        let body = format!("body/{}", artifact::digest::hex(&forged.leaves[0][2..]));
        std::fs::remove_file(review.log.join(&body)).unwrap();
        (review, body)
    };
    let (named, _) = with(&[0]);
    let more = [
        json!(["visit", "#/health"]),
        json!(["text", "#main"]),
        json!(["visit", "#/entry/0"]),
        json!(["wait", "text=from this entry to the root"]),
        json!(["text", "#main"]),
    ];
    let visit = named.pick(&browser, &named.log, &more);
    assert!(visit.settled().contains("Verified by this page"), "{}", visit.settled());
    assert!(visit.text(4).contains("what 1 forgotten entry said"), "{}", visit.text(4));
    assert!(visit.text(7).contains("were forgotten, as a later entry says"), "{}", visit.text(7));
    // The program makes a page of it as well, without what is gone.
    assert_eq!(named.make(&[]).status, 0);
    assert!(named.open(&browser, &[]).settled().contains("Verified by this page"));
    let (unnamed, body) = with(&[1]);
    super::red(&unnamed.pick(&browser, &unnamed.log, &super::look()), &[&body], "gone, and not named");

    // Nobody ordered it.
    let mut forged = Forged::of(1);
    let says = json!({"kind": "forgotten", "order": 0, "indexes": [0], "at": "2026-11-23T10:00:00Z"});
    forged.body(15, [1; 32], &artifact::json::canonical("entry", &says).unwrap());
    let review = Review::of(&forged);
    let body = format!("body/{}", artifact::digest::hex(&forged.leaves[0][2..]));
    std::fs::remove_file(review.log.join(&body)).unwrap();
    super::red(&review.pick(&browser, &review.log, &super::look()), &[&body], "gone, and nobody ordered it");
}

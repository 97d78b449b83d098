//! A broken coordinator can stall and reorder. It makes no facts and no permit that the signer accepts, uses none twice, and
//! what it has written down makes nothing pass and holds nobody up for good.

use std::process::Command;

use serde_json::Value;

use super::{COORDINATOR, released_honestly, tested_again};
use crate::scene::Scene;

/// Has the broken coordinator lead, and gives what came of each attack. The launcher must end with this status.
fn lead(scene: &Scene, attacks: &[&str], status: i32) -> Vec<Value> {
    let perimeter = &scene.world.perimeter;
    let mut command = Command::new(COORDINATOR.house().join("countersign-launch"));
    command.arg("--state").arg(perimeter.state()).arg("--config").arg(perimeter.config()).arg("--").args(attacks);
    let ran = demo::command::ran(&mut command).unwrap();
    assert_eq!(ran.status, status, "{attacks:?}\n{}\n{}", ran.stdout, ran.stderr);
    ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["found"].clone()).collect()
}

/// A commit with a permit that nothing was signed under: the signer could not read its configuration.
fn permitted(scene: &Scene) {
    let text = std::fs::read_to_string(scene.world.perimeter.config().join("signer.toml")).unwrap();
    scene.world.perimeter.write("signer.toml", "nonsense").unwrap();
    scene.once(3);
    scene.world.perimeter.write("signer.toml", &text).unwrap();
}

#[test]
fn no_permit_but_the_rules_own_is_signed_and_none_twice() {
    let scene = Scene::new();
    scene.green("first");
    scene.once(0);
    let (writes, tags) = (scene.world.production.journal().len(), scene.world.production.tags("prod/app"));
    assert_eq!(lead(&scene, &["again"], 0)[0]["refused"][0], "permit-used");
    let second = scene.green("second");
    permitted(&scene);
    let terms_differ = ["digest", "tag", "more-tags", "repository", "project", "rules", "previous", "lane", "trial"];
    for (attack, found) in terms_differ.iter().zip(lead(&scene, &terms_differ, 0)) {
        assert!(found["refused"].as_array().is_some_and(|r| r.contains(&"terms-differ".into())), "{attack}: {found}");
    }
    for (attack, expected) in [
        ("expired", "permit-expired"),
        ("for-ever", "permit-too-long"),
        ("soon", "from-the-future"),
        ("no-facts", "facts-not-verified"),
        ("own-facts", "facts-not-verified"),
        ("older-facts", "commit-not-verified"),
        ("no-comparison", "provenance-mismatch"),
        ("no-provenance", "provenance-missing"),
        ("no-results", "results-differ"),
        ("other-commit-object", "commit-not-verified"),
        ("other-project", "project-unlisted"),
        ("twice-the-comparison", "terms-differ"),
    ] {
        let found = lead(&scene, &[attack], 0).remove(0);
        assert!(found["refused"].as_array().is_some_and(|r| r.contains(&expected.into())), "{attack}: {found}");
    }
    for attack in ["wrong-salt", "no-salt", "wrong-index", "not-recorded", "another-kind", "another-log"] {
        let found = lead(&scene, &[attack], 0).remove(0);
        assert_eq!(found["failed"], "not-recorded", "{attack}: {found}");
    }
    let recorded = ["recorded-nothing", "recorded-wrong-salts", "recorded-elsewhere"];
    for (attack, found) in recorded.iter().zip(lead(&scene, &recorded, 0)) {
        let code = found["failed"].as_str().unwrap_or_default();
        assert!(["recorded-lost", "not-recorded"].contains(&code), "{attack}: {found}");
    }
    assert_eq!(scene.world.production.journal().len(), writes, "production was written to");
    assert_eq!(scene.world.production.tags("prod/app"), tags);
    assert_eq!(scene.count("signature"), 4, "of the first release");
    // It had permits written down that are nobody's but the coordinator's to make: the signer refuses the newest, and that is
    // all that is lost.
    let refused = scene.once(1);
    assert!(
        refused.stderr.contains("terms-differ") || refused.stderr.contains("from-the-future"),
        "{}",
        refused.stderr
    );
    tested_again(&scene, &second, 0);
    released_honestly(&scene, &second);
    assert_eq!(scene.count("release"), 2);
}

/// Each of these entries once kept a project from ever going on, halted the house for ever, or made an old image current.
#[test]
fn what_it_has_written_down_makes_nothing_pass_and_holds_nobody_up() {
    let scene = Scene::new();
    scene.green("first");
    scene.once(0);
    let old = scene.released("latest").unwrap();
    scene.green("second");
    scene.once(0);
    let current = scene.released("latest").unwrap();
    let third = scene.green("third");
    permitted(&scene);
    for (attack, found) in [
        ("append-none", "bad-submission"),
        ("append-too-many", "bad-submission"),
        ("append-too-large", "bad-submission"),
        ("append-tomorrow", "clock-ahead"),
        ("append-yesterday", "clock-went-back"),
        ("append-prove-nothing", "bad-indexes"),
        ("append-prove-future", "log-rolled-back"),
    ] {
        assert_eq!(lead(&scene, &[attack], 0)[0]["failed"], found, "{attack}");
    }
    // The signature is of no key: it is written down first, while the honest permit is the newest.
    for attack in ["append-signed", "append-lies", "append-old-release", "append-leaves"] {
        assert!(lead(&scene, &[attack], 0)[0]["appended"].as_u64().is_some_and(|n| n > 0), "{attack}");
        scene.verify(":latest", 0);
    }
    // An accomplice at the registry rolls the tag back: the log has the old release as its newest entry, and it is old.
    let roll = |digest: &str| {
        scene.world.production.set_tag("prod/app", "latest", Some(digest.parse().unwrap())).unwrap();
    };
    roll(&old);
    assert!(scene.verify(":latest", 1).stdout.contains("currency"));
    roll(&current);
    scene.verify(":latest", 0);
    let listed = scene.world.perimeter.countersign(&["log", "list"]).unwrap();
    assert!(listed.stdout.matches("VOID").count() >= 66 && !listed.stdout.contains('\x1b'), "{}", listed.stdout);
    // The next honest pass says what it found, ends what was begun for a commit that nobody has, and goes on.
    let said = scene.once(0).stderr;
    assert!(said.contains("count for nothing") && said.contains("published"), "{said}");
    released_honestly(&scene, &third);
}

#[test]
fn the_launcher_serves_its_menu_and_no_more() {
    let scene = Scene::new();
    let found = lead(&scene, &["two-keepers"], 0).remove(0);
    assert_eq!(
        (found["first"].as_u64(), found["second"].as_u64(), found["key"].as_bool()),
        (Some(0), Some(1), Some(true))
    );
    lead(&scene, &["off-the-menu", "again"], 3);
    lead(&scene, &["a-thousand-rooms", "again"], 3);
    let left = crate::rooms::processes();
    let ours =
        |p: &std::path::PathBuf| crate::rooms::first_argument(p).is_some_and(|n| n.starts_with(COORDINATOR.house()));
    // The kernel kills the rest; it is not said how soon.
    while left.iter().any(ours) && crate::rooms::processes().iter().any(ours) {
        std::thread::yield_now();
    }
    let commit = scene.green("after");
    released_honestly(&scene, &commit);
}

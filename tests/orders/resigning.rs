//! Signing releases again with the key of today, by the real binaries: so many a pass, and each verifies by either key.

use audit::image_keys::ImageKeys;
use verifier::trust::Trust;

use super::Office;

#[test]
fn current_releases_are_signed_again_so_many_a_pass_and_verify_by_either_key_alone() {
    let office = Office::new();
    let perimeter = &office.scene.world.perimeter;
    let mut released = Vec::new();
    for word in ["one", "two", "three", "four"] {
        office.scene.green(word);
        office.pass();
        released.push(office.scene.released("latest").unwrap());
    }
    let early = office.try_order(&["resign", "--reason", "x", "--expires", "1h"]);
    assert!(early.status == 1 && early.stderr.contains("no current release"), "{}", early.stderr);
    let (before, tags) = (office.trust(), office.scene.world.production.tags("prod/app"));
    office.rotate("k.json", 2);
    let revoke = office.order("r.json", &["revoke", &released[1]]);
    office.sign(&revoke, &["ann", "ben"]);
    office.scene.once(2);
    office.scene.world.keys().unwrap();
    let statement = office.order("a.json", &["resign"]);
    office.sign(&statement, &["ben", "ann"]);

    let signatures = || office.indexes("signature").len();
    let said = office.pass();
    assert!(said.contains("2 releases were signed again") && said.contains("1 are left"), "{said}");
    assert_eq!((office.indexes("resigning").len(), signatures()), (2, 16 + 8));
    let said = office.pass();
    assert!(said.contains("1 releases were signed again") && said.contains("0 are left"), "{said}");
    let said = office.pass();
    assert!(!said.contains("signed again"), "{said}");
    assert_eq!((office.indexes("resigning").len(), signatures()), (3, 16 + 12));
    assert_eq!(perimeter.countersign(&["status"]).unwrap().status, 0);

    let now = office.trust();
    let trusted = Trust::parse(&now, perimeter.trust().parent().unwrap()).unwrap().image;
    let only_new = ImageKeys::new(trusted.current().clone(), trusted.since(), vec![]).unwrap();
    let new_alone = now.replace(&trusted.to_string(), &only_new.to_string());
    assert_ne!(new_alone, now);
    for (n, digest) in released.iter().enumerate() {
        let at = format!("@{digest}");
        // The one that was revoked has the signatures it had.
        let revoked = n == 1;
        for (what, trust) in [("both", &now), ("the old one", &before), ("the new one", &new_alone)] {
            let ran = office.verify_by(trust, &at);
            assert_eq!(ran.status, i32::from(revoked), "{n} by {what}: {}", ran.stdout);
        }
        let both = office.verify_by(&now, &at).json().unwrap()["keys"].as_array().unwrap().len();
        assert_eq!(both, if revoked { 1 } else { 2 });
    }
    let after = office.scene.world.production.tags("prod/app");
    let named = |tags: &std::collections::BTreeMap<String, artifact::Digest>| {
        tags.iter().filter(|(tag, _)| !tag.starts_with("sha256-")).map(|(t, d)| (t.clone(), *d)).collect::<Vec<_>>()
    };
    assert_eq!(named(&tags), named(&after), "no tag of the release was touched");
    // The house goes on, with nothing left to do.
    office.scene.green("five");
    let said = office.pass();
    assert!(!said.contains("signed again"), "{said}");
    office.scene.verify(":latest", 0);
    let listed = perimeter.countersign(&["log", "list", "--kind", "resigning"]).unwrap();
    assert_eq!((listed.status, listed.stdout.matches("again, by the order").count()), (0, 3), "{}", listed.stdout);
}

//! A version that Vault made is taken up by an order of people, and both logs say so.

use super::both::{later, reconcile};
use super::signs::Vaulted;
use crate::orders::Office;

#[test]
fn a_version_that_vault_made_signs_when_people_have_ordered_it_and_not_before() {
    let Vaulted { scene, vault, _folder } = Vaulted::pinned("vault-transit");
    let office = Office::of(scene);
    let scene = &office.scene;
    scene.green("first");
    scene.once(0);
    let first = scene.released("latest").unwrap();
    assert_eq!(vault.rotate().unwrap(), 2);
    scene.green("second");
    scene.once(0);
    let verified = scene.verify(":latest", 0);
    assert!(verified.stdout.contains("in force for entries 0 and later"), "{}", verified.stdout);

    office.rotate("k.json", 2);
    scene.green("third");
    let said = scene.once(2).stderr;
    assert!(said.contains("k.json: taken up") && said.contains("run countersign keys"), "{said}");
    scene.world.keys().unwrap();
    scene.once(0);
    let verified = scene.verify(":latest", 0);
    assert!(!verified.stdout.contains("in force for entries 0"), "{}", verified.stdout);
    scene.verify(&format!("@{first}"), 0);

    later(&vault);
    let both = reconcile(scene, &vault);
    assert_eq!(both.status, 0, "{}{}", both.stdout, both.stderr);
    let report = both.json().unwrap();
    // Three releases, and the two signatures over the rotation.
    assert_eq!((&report["attempts"]["matched"], &report["signs"]), (&5.into(), &5.into()), "{report}");
}

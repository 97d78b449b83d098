//! Image keys in their time: the same release and the same log, by trust files that give the key other ranges.

use std::fs;
use std::process::Command;

use artifact::key::P256Key;
use audit::entry::Body;
use audit::image_keys::{ImageKeys, Retired};
use demo::command::{Ran, ran};
use verifier::trust::Trust;

use super::copy;
use super::scene::Promoted;

/// A trust file that says the same but for the image keys.
fn trusting(promoted: &Promoted, image: &ImageKeys) -> String {
    let good = fs::read_to_string(&promoted.trust_file).unwrap();
    let only = promoted.trust.image.to_string();
    assert!(good.contains(&only), "{good}");
    good.replace(&only, &image.to_string())
}

/// The indexes of a release's leaves, as its bundles say.
fn leaves(promoted: &Promoted, digest: &artifact::Digest) -> Vec<u64> {
    let report = verify(promoted, &promoted.trust.image, &format!("@{digest}"));
    let keys = report.json().unwrap()["keys"].clone();
    assert_eq!(keys.as_array().unwrap().len(), 1, "{keys}");
    let mut entries: Vec<u64> = serde_json::from_value(keys[0]["entries"].clone()).unwrap();
    entries.sort_unstable();
    entries
}

/// `countersign-verify --json image`, with these image keys.
fn verify(promoted: &Promoted, image: &ImageKeys, name: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("trust.toml");
    fs::write(&path, trusting(promoted, image)).unwrap();
    let mut command = Command::new(crate::binaries().join("countersign-verify"));
    command.args(["--json", "image", &format!("{}{name}", promoted.release), "--trust"]).arg(path);
    ran(&mut command).unwrap()
}

fn failed(ran: &Ran) -> Vec<String> {
    let checks = ran.json().unwrap()["checks"].as_array().unwrap().clone();
    let failed = checks.iter().filter(|check| check["passed"] == false);
    failed.map(|check| check["code"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_release_by_a_retired_key_verifies_and_it_is_said_which_key_and_why_it_counted_then() {
    let promoted = Promoted::shared();
    let old = promoted.trust.image.current().clone();
    let digest = promoted.released[1];
    let entries = leaves(&promoted, &digest);
    let [first, .., last] = entries[..] else { panic!("{entries:?}") };
    let new = P256Key::generate().unwrap().public();
    let of = |from, until| ImageKeys::new(new.clone(), until, vec![Retired { key: old.clone(), from, until }]).unwrap();
    let tagged = ":latest".to_owned();
    let pinned = format!("@{digest}");
    for name in [&tagged, &pinned] {
        let good = verify(&promoted, &of(0, last + 1), name);
        assert_eq!(good.status, 0, "{}", good.stdout);
        let said = good.json().unwrap();
        let expected = serde_json::json!([{"key": old.id(), "from": 0, "until": last + 1, "entries": entries}]);
        assert_eq!(said["keys"], expected);
        let text =
            format!("key {}, in force for entries 0 to {last}; these signatures are entries {first}, ", old.id());
        assert!(good.stdout.contains(&text), "{}", good.stdout);
    }
    // From its first signature on it counts; one entry later it does not.
    assert_eq!(verify(&promoted, &of(first, last + 1), &pinned).status, 0);
    for (from, until, refused) in [(first + 1, last + 1, 1), (0, last, 1), (0, first, 3), (last + 1, last + 9, 3)] {
        let ran = verify(&promoted, &of(from, until), &pinned);
        let out = failed(&ran).iter().filter(|code| *code == "key-not-in-force").count();
        assert_eq!((ran.status, out), (1, refused), "{from} to {until}: {}", ran.stdout);
        assert!(ran.stdout.contains(&format!("key {}, in force for", old.id())), "{}", ran.stdout);
    }
    // What was signed by a key that nobody trusts any more is a stranger's.
    let gone = verify(&promoted, &ImageKeys::from(new.clone()), &pinned);
    assert_eq!((gone.status, gone.stdout.matches("no bundle of the trusted key").count()), (1, 3), "{}", gone.stdout);
}

/// A leaf and its receipt, from the log of the house, without the log.
#[test]
fn a_receipt_of_a_leaf_says_whether_its_key_was_in_force_there() {
    let promoted = Promoted::shared();
    let old = promoted.trust.image.current();
    let index = leaves(&promoted, &promoted.released[1])[0];
    let folder = tempfile::tempdir().unwrap();
    let proved = Command::new(crate::binaries().join("countersign"))
        .arg("--config")
        .arg(&promoted.config)
        .arg("--state")
        .arg(&promoted.state)
        .args(["log", "prove", &index.to_string(), "--out"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(proved.success());
    let path = folder.path().join("trust.toml");
    let receipt = folder.path().join(format!("{index}.tlog-proof"));
    for (until, status, code) in [(index + 1, 0, "\"key\""), (index, 1, "\"key-not-in-force\"")] {
        let new = P256Key::generate().unwrap().public();
        fs::write(&path, trusting(&promoted, &ImageKeys::from(old.clone()).rotated(new, until).unwrap())).unwrap();
        let mut command = Command::new(crate::binaries().join("countersign-verify"));
        let ran = ran(command.args(["--json", "proof"]).arg(&receipt).arg("--trust").arg(&path)).unwrap();
        assert!(ran.status == status && ran.stdout.contains(code), "{until}: {ran:?}");
    }
}

/// Only the image signature's own entry lies outside: the bundles verify, and the log names nothing by it.
#[test]
fn a_tag_is_not_current_by_a_signature_that_stands_outside_of_its_keys_range() {
    let promoted = Promoted::shared();
    let old = promoted.trust.image.current();
    let new = P256Key::generate().unwrap().public();
    let entries = promoted.entries();
    let signature = |body: &Body| matches!(body, Body::Signature(_));
    let last = entries.iter().rfind(|e| e.body().is_some_and(signature)).unwrap().index;
    let first = entries.iter().find(|e| e.body().is_some_and(signature)).unwrap().index;
    let with = |from, until| {
        let image = ImageKeys::new(new.clone(), until, vec![Retired { key: old.clone(), from, until }]).unwrap();
        Trust { image, ..promoted.trust.clone() }
    };
    let folder = tempfile::tempdir().unwrap();
    copy(&promoted.today, folder.path());
    let named = |trust: &Trust| {
        let said = verifier::currency::read(folder.path(), trust, &[]).unwrap();
        said.named((&promoted.release, &"latest".parse().unwrap())).ok()
    };
    assert_eq!(named(&with(0, last + 1)), Some(promoted.released[1]));
    assert_eq!(named(&with(0, first)), None);
    assert_eq!(named(&with(last + 1, last + 2)), None);
    // Up to between the two releases, yesterday's is the newest that counts.
    let between = entries.iter().find(|e| matches!(e.body(), Some(Body::Release(_)))).unwrap().index;
    assert_eq!(named(&with(0, between)), Some(promoted.released[0]));
}

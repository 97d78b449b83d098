//! Rotating the image key, by the real binaries: what the key of before signed stays good, and nothing is signed in between.

use std::fs;
use std::path::PathBuf;

use artifact::Moment;
use artifact::digest::Base64;
use artifact::key::P256Key;
use audit::door::Submission;
use audit::entry::Rotation;
use audit::keeper::Keeper;
use audit::keys::HouseKeys;
use audit::rotation::statement;
use demo::command::{Ran, ran};

use super::Office;

impl Office {
    /// The public key of a version, in a file.
    fn key(&self, version: u64) -> PathBuf {
        let told = self.scene.world.perimeter.countersign(&["keys", "--key-version", &version.to_string()]).unwrap();
        assert_eq!(told.status, 0, "{}", told.stderr);
        let path = self.keys.join(format!("image-{version}.pub"));
        fs::write(&path, told.stdout).unwrap();
        path
    }

    /// An order to rotate to a version, signed by ann and ben.
    pub(crate) fn rotate(&self, name: &str, version: u64) {
        let (key, number) = (self.key(version), version.to_string());
        let statement = self.order(name, &["rotate", key.to_str().unwrap(), "--key-version", &number]);
        self.sign(&statement, &["ann", "ben"]);
    }

    /// `countersign-verify --json image` with the trust file of some day.
    pub(super) fn verify_by(&self, trust: &str, reference: &str) -> Ran {
        let path = self.keys.join("trust.toml");
        fs::write(&path, trust).unwrap();
        let mut command = std::process::Command::new(crate::binaries().join("countersign-verify"));
        let image = format!("{}{reference}", self.scene.line.release);
        ran(command.args(["--json", "image", &image, "--trust"]).arg(path)).unwrap()
    }

    /// The keeper's library on the perimeter's log, between passes.
    fn keeper(&self) -> Keeper {
        let log = self.scene.world.perimeter.state().join("public/log");
        let keys = fs::read_to_string(self.scene.world.perimeter.config().join("keys.toml")).unwrap();
        let origin = keys.parse::<HouseKeys>().unwrap().log.name().to_owned();
        Keeper::open(&log.join("tiles"), &log.join("own"), &origin).unwrap()
    }

    pub(super) fn trust(&self) -> String {
        fs::read_to_string(self.scene.world.perimeter.trust()).unwrap()
    }
}

#[test]
fn a_rotated_key_signs_what_comes_and_what_the_key_before_signed_stays_good() {
    let office = Office::new();
    let perimeter = &office.scene.world.perimeter;
    office.scene.green("first");
    office.pass();
    let (first, before) = (office.scene.released("latest").unwrap(), office.trust());
    office.rotate("k.json", 2);
    office.scene.green("second");

    // From the rotation on nothing is signed until the operator has pinned the key, however often it is tried.
    let said = office.scene.once(2).stderr;
    assert!(said.contains("k.json: taken up") && said.contains("run countersign keys"), "{said}");
    let again = office.scene.once(2).stderr;
    assert!(again.contains("the image key was rotated by the order at"), "{again}");
    assert_eq!((office.indexes("rotation").len(), office.indexes("signature").len()), (1, 4));
    let index = office.indexes("rotation")[0];
    assert_eq!(office.body(index)["version"], 2);
    // Whoever reads the log and has an older trust file is told.
    let old = office.verify_by(&before, ":latest");
    assert!(old.status == 0 && old.stdout.contains("get a newer trust file"), "{old:?}");

    let keys = fs::read_to_string(perimeter.config().join("keys.toml")).unwrap();
    let pinned = perimeter.countersign(&["keys"]).unwrap();
    assert_eq!(pinned.status, 0, "{}", pinned.stderr);
    assert!(pinned.stdout.contains(&format!("from entry {index} on")), "{}", pinned.stdout);
    let rotated = fs::read_to_string(perimeter.config().join("keys.toml")).unwrap();
    assert!(rotated != keys && rotated.contains(&format!("image_from = {index}")), "{rotated}");
    office.scene.world.keys().unwrap();
    assert_eq!(
        fs::read_to_string(perimeter.config().join("keys.toml")).unwrap(),
        rotated,
        "pinned again, it is the same"
    );
    let shown = perimeter.countersign(&["trust", "show"]).unwrap();
    assert!(shown.stdout.contains(&format!("until = {index}")), "{}", shown.stdout);
    shown.stdout.parse::<toml::Table>().unwrap();

    office.pass();
    let second = office.scene.released("latest").unwrap();
    assert_ne!(first, second);
    let now = office.trust();
    let by_new = office.verify_by(&now, ":latest");
    assert_eq!(by_new.status, 0, "{}", by_new.stdout);
    assert!(by_new.stdout.contains(&format!("in force for entries {index} and later")), "{}", by_new.stdout);
    let by_old = office.verify_by(&now, &format!("@{first}"));
    assert_eq!(by_old.status, 0, "{}", by_old.stdout);
    assert!(by_old.stdout.contains(&format!("in force for entries 0 to {}", index - 1)), "{}", by_old.stdout);
    // The older trust file does not know the key, and verifies nothing of it.
    let old = office.verify_by(&before, &format!("@{second}"));
    assert!(old.status == 1 && old.stdout.contains("no bundle of the trusted key"), "{old:?}");
    for words in [&["status"][..], &["log", "list"], &["log", "verify"], &["log", "show", &index.to_string()]] {
        assert_eq!(perimeter.countersign(words).unwrap().status, 0, "{words:?}");
    }
    let listed = perimeter.countersign(&["log", "list", "--kind", "rotation"]).unwrap();
    assert!(listed.stdout.contains("version 2"), "{}", listed.stdout);

    // A second rotation, and the first key's image is good still. A key does not come back.
    let back = ["rotate", office.keys.join("image-2.pub").to_str().unwrap(), "--key-version", "3"].map(str::to_owned);
    let words: Vec<&str> = back.iter().map(String::as_str).chain(["--reason", "x", "--expires", "1h"]).collect();
    let refused = office.try_order(&words);
    assert!(refused.status == 1 && refused.stderr.contains("does not come back"), "{}", refused.stderr);
    office.rotate("l.json", 3);
    office.scene.once(2);
    office.scene.world.keys().unwrap();
    office.scene.green("third");
    office.pass();
    for (reference, entries) in
        [(":latest".to_owned(), "later"), (format!("@{second}"), "to"), (format!("@{first}"), "0 to")]
    {
        let ran = office.verify_by(&office.trust(), &reference);
        assert!(ran.status == 0 && ran.stdout.contains(entries), "{reference}: {}", ran.stdout);
    }
}

#[test]
fn a_rotation_that_the_signers_own_list_does_not_know_waits_and_promotions_do_not() {
    let office = Office::new();
    let perimeter = &office.scene.world.perimeter;
    office.scene.commit("first");
    office.rotate("k.json", 2);
    let path = perimeter.config().join("signer-rules.toml");
    let rules = fs::read_to_string(&path).unwrap();
    let without = rules.split_once("[orders]").unwrap().0;
    fs::write(&path, without).unwrap();
    let said = office.pass();
    assert!(said.contains("not-ordered") && said.contains("signer-rules.toml has no [orders]"), "{said}");
    assert_eq!((office.indexes("order").len(), office.indexes("rotation").len()), (1, 0));
    // A broken coordinator writes down what the signer did not do: it has neither key, or only the later one.
    let order = office.indexes("order")[0];
    let seed = |name: &str| fs::read(perimeter.state().join("public/signer/own").join(name)).unwrap();
    let (old, new) = (P256Key::from_seed(&seed("key")).unwrap(), P256Key::from_seed(&seed("key-2")).unwrap());
    let thief = P256Key::generate().unwrap();
    let mut keeper = office.keeper();
    for (order, key, by_before, by_key) in [
        (order, &thief, &old, &thief),
        (order, &new, &new, &new),
        (order, &new, &thief, &new),
        (order, &new, &old, &thief),
        (0, &new, &old, &new),
    ] {
        let (before, key, version) = (old.public().id(), key.public(), 2);
        let message = statement(keeper.vkey(), order, &before, &key, version);
        let (by_before, by_key) = (Base64(by_before.sign(&message)), Base64(by_key.sign(&message)));
        let forged = Rotation { order, before, key, version, by_before, by_key, at: Moment::now() };
        keeper.append(vec![Submission::Body(forged.into())], 0).unwrap();
    }
    drop(keeper);
    let said = office.pass();
    assert!(said.contains("5 entries of the log count for nothing"), "{said}");
    assert!(perimeter.countersign(&["keys"]).unwrap().stdout.contains("the rooms have these keys"));
    // Its own list knows them now: the order stands there still, and is carried out.
    fs::write(&path, &rules).unwrap();
    let said = office.scene.once(2).stderr;
    assert!(said.contains("run countersign keys"), "{said}");
    assert_eq!((office.indexes("order").len(), office.indexes("rotation").len()), (1, 6));
    // A key of another version than the next is not made.
    let told = perimeter.countersign(&["keys", "--key-version", "9"]).unwrap();
    assert!(told.status == 1 && told.stderr.contains("there is no version 9"), "{told:?}");
}

#[test]
fn keys_that_no_rotation_in_the_log_explains_are_refused_as_before() {
    let office = Office::new();
    let perimeter = &office.scene.world.perimeter;
    office.scene.green("first");
    office.pass();
    let keys = fs::read_to_string(perimeter.config().join("keys.toml")).unwrap();
    let own = perimeter.state().join("public/signer/own");
    let seed = fs::read(own.join("key")).unwrap();
    fs::write(own.join("key"), *P256Key::generate().unwrap().seed()).unwrap();
    let refused = perimeter.countersign(&["keys"]).unwrap();
    assert!(refused.status == 4 && refused.stderr.contains("pins other keys"), "{refused:?}");
    assert_eq!(fs::read_to_string(perimeter.config().join("keys.toml")).unwrap(), keys);
    fs::write(own.join("key"), seed).unwrap();
    assert_eq!(perimeter.countersign(&["keys"]).unwrap().status, 0);
}

//! What is current, handed to deployers as one file.

use std::fs;
use std::path::Path;
use std::process::Command;

use audit::current::Current;
use audit::entry::Body;
use audit::keys::HouseKeys;
use audit::reader::{Entry, Log};
use demo::command::{Ran, ran};

use super::House;

/// `countersign-verify current` of a file.
fn polled(house: &House, file: &Path, words: &[&str]) -> Ran {
    let mut verify = Command::new(crate::binaries().join("countersign-verify"));
    verify.arg("current").arg(file).args(words).arg("--trust");
    ran(verify.arg(house.scene.world.perimeter.state().with_file_name("trust.toml"))).unwrap()
}

#[test]
fn what_is_current_is_polled_as_one_file_that_no_one_can_change_or_turn_back() {
    let house = House::new();
    let perimeter = &house.scene.world.perimeter;
    let write = |name: &str| {
        let place = house.place(name);
        let written = perimeter.countersign(&["current", "app", "--out", place.to_str().unwrap()]).unwrap();
        assert_eq!(written.status, 0, "{}", written.stderr);
        place
    };
    let (first, name) = (write("first.json"), format!("{}:latest", house.scene.line.release));
    let shown = polled(&house, &first, &["--name", &name]);
    assert_eq!(shown.status, 0, "{}", shown.stdout);
    assert!(shown.stdout.contains(&house.pinned()) && shown.stdout.contains("no later entry"), "{}", shown.stdout);
    let printed = perimeter.countersign(&["current", "app"]).unwrap();
    assert_eq!(printed.stdout.trim_end().as_bytes(), fs::read(&first).unwrap());

    house.scene.green("two");
    house.scene.once(0);
    let second = write("second.json");
    let report = polled(&house, &second, &["--json", "--kept", first.to_str().unwrap()]);
    assert_eq!(report.status, 0, "{}", report.stdout);
    assert_eq!(report.json().unwrap()["digest"], house.scene.released("latest").unwrap());
    let back = polled(&house, &first, &["--kept", second.to_str().unwrap()]);
    assert!(back.status == 1 && back.stdout.contains("older, or another log"), "{}", back.stdout);
    let other = polled(&house, &first, &["--name", &format!("{}:stable", house.scene.line.release)]);
    assert!(other.status == 1 && other.stdout.contains("it is not about"), "{}", other.stdout);

    // Parts of one file in the other, and every byte another.
    let read = |path: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
    let (old, new, mixed) = (read(&first), read(&second), house.place("mixed.json"));
    for part in ["signature", "release", "project"] {
        let mut value = new.clone();
        value[part] = if part == "project" { "other".into() } else { old[part].clone() };
        fs::write(&mixed, artifact::json::canonical("mixed", &value).unwrap()).unwrap();
        let refused = polled(&house, &mixed, &[]);
        assert_eq!(refused.status, 1, "{part}: {}", refused.stdout);
    }
    let bytes = fs::read(&second).unwrap();
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let mut other = bytes.clone();
        other[at] ^= 1;
        fs::write(&mixed, other).unwrap();
        assert_eq!(polled(&house, &mixed, &[]).status, 1, "byte {at}");
    }
    assert_eq!(polled(&house, Path::new("/no/such/file"), &[]).status, 2);
    let none = perimeter.countersign(&["current", "elsewhere"]).unwrap();
    assert!(none.status == 1 && none.stderr.contains("nothing of that project"), "{}", none.stderr);
}

#[test]
fn of_all_that_is_recorded_only_the_image_keys_word_for_this_very_release_makes_it_current() {
    let house = House::new();
    house.scene.green("two");
    house.scene.once(0);
    let perimeter = &house.scene.world.perimeter;
    let keys: HouseKeys = fs::read_to_string(perimeter.config().join("keys.toml")).unwrap().parse().unwrap();
    let (log, entries) = Log::open(&perimeter.log(), &keys.log).unwrap();
    let proven = |entry: &Entry| entry.proven(log.prover().prove(entry.index).unwrap().to_string());
    let mut taken = Vec::new();
    for (word, release) in entries.iter().flat_map(|word| entries.iter().map(move |release| (word, release))) {
        let file = Current::new("app".parse().unwrap(), proven(word).unwrap(), proven(release).unwrap());
        if let Ok(shown) = file.verify(&keys.log, &keys.image) {
            taken.push((word.index, shown.index));
            fs::write(house.place(&format!("{}.json", taken.len())), file.to_bytes().unwrap()).unwrap();
            // By no other key, of the log or of images.
            assert!(file.verify(&keys.log, &keys.intake.clone().into()).is_err());
            let other =
                audit::note::Vkey::new(keys.log.name(), &artifact::key::Ed25519Key::generate().unwrap()).unwrap();
            assert!(file.verify(&other, &keys.image).is_err());
        }
    }
    let released: Vec<u64> =
        entries.iter().filter(|e| matches!(e.body(), Some(Body::Release(_)))).map(|e| e.index).collect();
    assert_eq!(released.len(), 2);
    assert_eq!(taken.iter().map(|(_, release)| *release).collect::<Vec<_>>(), released, "one word each: {taken:?}");
    assert!(taken.iter().all(|(word, release)| word < release));
    // Who writes the file could hand out the older one under the newest checkpoint; who kept the newer one does not take it.
    let (older, newer) = (house.place("1.json"), house.place("2.json"));
    let alone = polled(&house, &older, &[]);
    assert!(alone.status == 0 && alone.stdout.contains("not checked: that no later entry"), "{}", alone.stdout);
    let back = polled(&house, &older, &["--kept", newer.to_str().unwrap()]);
    assert!(back.status == 1 && back.stdout.contains("goes back behind"), "{}", back.stdout);
    assert_eq!(polled(&house, &newer, &["--kept", older.to_str().unwrap()]).status, 0);
    fs::write(&older, "{}").unwrap();
    assert_eq!(polled(&house, &newer, &["--kept", older.to_str().unwrap()]).status, 1);
}

//! Stores that change behind the rooms' backs: an old log put back, a log that went another way, a file changed by hand; and
//! a registry that withholds or rolls back.

use std::fs;
use std::path::Path;

use demo::registry::{Fault, Harm};

use crate::scene::Scene;

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let place = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &place),
            false => drop(fs::copy(entry.path(), place).unwrap()),
        }
    }
}

/// Puts a folder back as it was, keeping whose it is.
fn put_back(kept: &Path, place: &Path) {
    for name in ["tiles", "own"] {
        let folder = place.join(name);
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
        copy(&kept.join(name), &folder);
        let owner = fs::metadata(&folder).unwrap();
        give(&folder, std::os::unix::fs::MetadataExt::uid(&owner));
    }
}

fn give(folder: &Path, owner: u32) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        std::os::unix::fs::chown(entry.path(), Some(owner), Some(owner)).unwrap();
        if entry.file_type().unwrap().is_dir() {
            give(&entry.path(), owner);
        }
    }
}

#[test]
fn an_old_log_that_was_put_back_halts_the_house_even_when_it_has_grown_again() {
    let scene = Scene::new();
    scene.green("one");
    scene.once(0);
    let log = scene.world.perimeter.state().join("public/log");
    let kept = tempfile::tempdir().unwrap();
    let seen = kept.path().join("checkpoint");
    copy(&log, kept.path());
    scene.green("two");
    scene.once(0);
    fs::copy(log.join("tiles/checkpoint"), &seen).unwrap();
    let newest = scene.released("latest");
    put_back(kept.path(), &log);
    scene.verify(":latest", 1);
    let halted = scene.once(4);
    assert!(halted.stderr.contains("log-rolled-back") && halted.stderr.contains("Restore"), "{}", halted.stderr);
    // It has gone another way since, and is longer than what the signer saw.
    for word in ["three", "four", "five"] {
        scene.green(word);
        let halted = scene.once(4);
        assert!(halted.stderr.contains("log-rolled-back"), "{}", halted.stderr);
        if scene.entries().len() > 30 {
            break;
        }
    }
    assert_eq!(scene.released("latest"), newest);
    let perimeter = &scene.world.perimeter;
    let mut verify = std::process::Command::new(crate::binaries().join("countersign-verify"));
    verify.arg("log").arg(perimeter.log()).arg("--trust").arg(perimeter.trust()).arg("--since").arg(&seen);
    let ran = demo::command::ran(&mut verify).unwrap();
    assert_eq!(ran.status, 1, "a kept checkpoint shows it as well: {}", ran.stdout);
}

#[test]
fn a_log_that_was_changed_by_hand_halts_and_the_file_is_named() {
    let scene = Scene::new();
    scene.green("one");
    scene.once(0);
    let tiles = scene.world.perimeter.log();
    let body = fs::read_dir(tiles.join("body")).unwrap().flatten().next().unwrap().path();
    for path in [tiles.join("checkpoint"), body] {
        let before = fs::read(&path).unwrap();
        let mut bytes = before.clone();
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let halted = scene.once(4);
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(halted.stderr.contains("log-broken"), "{}", halted.stderr);
        assert!(halted.stderr.contains(&name) || halted.stderr.contains("entry"), "{name}: {}", halted.stderr);
        fs::write(&path, before).unwrap();
    }
    scene.once(0);
}

#[test]
fn a_registry_that_withholds_is_no_verdict_and_what_is_bent_does_not_verify() {
    let scene = Scene::new();
    scene.green("one");
    scene.once(0);
    let digest = scene.released("latest").unwrap();
    scene.world.production.fault(Fault::next(Harm::Unavailable, "GET ", 1000));
    scene.verify(":latest", 3);
    scene.world.production.mend();
    scene.verify(":latest", 0);
    // The bundles are withheld.
    let store = artifact::layout::Layout::open(scene.world.production.layout("prod/app"));
    let attached = scene.world.production.referrers("prod/app", &digest.parse().unwrap()).unwrap();
    let manifest = store.path(&attached[0].digest);
    let before = fs::read(&manifest).unwrap();
    fs::write(&manifest, String::from_utf8_lossy(&before).replacen("sha256:", "sha256:0", 1).into_bytes()).unwrap();
    scene.verify(&format!("@{digest}"), 1);
    fs::write(&manifest, before).unwrap();
    let image = store.path(&digest.parse().unwrap());
    let before = fs::read(&image).unwrap();
    fs::write(&image, [before.clone(), b" ".to_vec()].concat()).unwrap();
    scene.verify(&format!("@{digest}"), 1);
    fs::write(&image, before).unwrap();
    scene.verify(":latest", 0);
}

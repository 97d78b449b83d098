//! Every byte of a real log of one promotion, changed one at a time; and what a folder holds beside it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use audit::leaf::{Commitment, Salt};
use audit::note::Vkey;
use audit::reader::{Content, Log};
use audit::verify;

use super::forged::Forged;
use super::scene::Promoted;
use super::{Damage, Flipped, Sample, copy, files};

/// What a file of a log is.
fn kind(name: &str) -> &'static str {
    match name.split('/').collect::<Vec<_>>()[..] {
        ["checkpoint"] => "checkpoint",
        ["body", _] => "body and salt",
        ["tile", "entries", ..] => "bundle",
        ["tile", ..] => "tile",
        _ => panic!("{name}: what is this?"),
    }
}

/// The library's judgement: no, with an error that names this file, or this entry.
fn refused(folder: &Path, log: &Vkey, names: &[&str], what: &str) {
    match verify::whole(folder, log, None) {
        Ok(_) => panic!("{what}: not found"),
        Err(error) => {
            let said = error.to_string();
            assert!(names.iter().any(|name| said.contains(name)), "{what}: {said:?} names none of {names:?}");
        }
    }
}

#[test]
fn no_byte_of_a_log_can_be_another() {
    let promoted = Promoted::shared();
    let log = promoted.trust.log.clone();
    let folder = tempfile::tempdir().unwrap();
    copy(&promoted.yesterday, folder.path());
    let verified = verify::whole(folder.path(), &log, None).unwrap();
    assert_eq!(verified.not_checked.len(), 4, "every file is the log's: {:?}", verified.not_checked);
    let mut tried: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for name in files(folder.path()).iter().filter(|name| kind(name) != "body and salt") {
        let flipped = Flipped::new(&folder.path().join(name));
        let places = 0..flipped.bytes.len();
        let count = flipped.each(places, |what| refused(folder.path(), &log, &[name], &format!("{name}: {what}")));
        let sum = tried.entry(kind(name)).or_default();
        *sum = (sum.0 + 1, sum.1 + count);
    }
    for (kind, (files, flips)) in &tried {
        println!("{kind}: {files} files, {flips} changes, each found");
    }
    assert!(tried["tile"].0 > 2 && tried["bundle"].0 > 2, "older partial tiles are among them: {tried:?}");
    assert_eq!(verify::whole(folder.path(), &log, None).unwrap(), verified);
}

/// In a log of one entry each, so that the reader comes to it at once; a sample of them in the real log.
#[test]
fn no_byte_of_a_body_or_its_salt_can_be_another() {
    let promoted = Promoted::shared();
    let (_, entries) = Log::open(&promoted.yesterday, &promoted.trust.log).unwrap();
    let (mut bodies, mut changes) = (0, 0);
    for entry in &entries {
        let Content::Ours { body, bytes, salt } = &entry.content else { continue };
        let (folder, mut forged) = (tempfile::tempdir().unwrap(), Forged::new());
        forged.body(body.kind(), *salt.raw(), bytes);
        forged.write(folder.path());
        let name = format!("body/{}", Commitment::to(body.kind(), &Salt::from_raw(*salt.raw()), bytes).digest().hex());
        assert_eq!(fs::read(folder.path().join(&name)).unwrap(), fs::read(promoted.yesterday.join(&name)).unwrap());
        let (log, flipped) = (forged.vkey(), Flipped::new(&folder.path().join(&name)));
        verify::whole(folder.path(), &log, None).unwrap();
        let named = |what: &str| {
            let said = Log::open(folder.path(), &log).unwrap_err().to_string();
            assert!(said.starts_with("entry 0: "), "{}: {what}: {said}", body.name());
        };
        changes += flipped.each(0..flipped.bytes.len(), named);
        bodies += 1;
    }
    println!("body and salt: {bodies} files, {changes} changes, each found");
    assert!(bodies > 8, "{bodies}");

    let (folder, log) = (tempfile::tempdir().unwrap(), promoted.trust.log.clone());
    copy(&promoted.yesterday, folder.path());
    let mut sample = Sample::new("bodies in the real log");
    for (name, entry) in bodies_of(&entries) {
        let flipped = Flipped::new(&folder.path().join(&name));
        let places: Vec<_> = (0..8).map(|_| sample.below(flipped.bytes.len())).collect();
        flipped.each(places, |what| refused(folder.path(), &log, &[&entry], &format!("{name}: {what}")));
    }
    verify::whole(folder.path(), &log, None).unwrap();
}

/// Each body's file, and how its entry is named.
fn bodies_of(entries: &[audit::reader::Entry]) -> Vec<(String, String)> {
    let file = |entry: &audit::reader::Entry| match &entry.content {
        Content::Ours { body, bytes, salt } => {
            let digest = *Commitment::to(body.kind(), salt, bytes).digest();
            Some((format!("body/{}", digest.hex()), format!("entry {}", entry.index)))
        }
        Content::Rekor(_) | Content::Forgotten(_) => None,
    };
    entries.iter().filter_map(file).collect()
}

#[test]
fn what_is_no_part_of_the_log_is_said_and_what_older_readers_ask_for_is_checked() {
    let promoted = Promoted::shared();
    let log = promoted.trust.log.clone();
    let folder = tempfile::tempdir().unwrap();
    copy(&promoted.today, folder.path());
    let size = verify::whole(folder.path(), &log, None).unwrap().size;
    let strays = [
        "notes.txt".to_owned(),
        "checkpoint.part".to_owned(),
        "tile/0/000.part".to_owned(),
        "tile/0/000".to_owned(),
        "tile/9/000".to_owned(),
        format!("tile/0/000.p/{}", size + 1),
        "tile/entries/000.p/007".to_owned(),
        "body/short".to_owned(),
    ];
    for name in &strays {
        let mut damage = Damage::of(folder.path());
        damage.write(name, "anything");
        let not = verify::whole(folder.path(), &log, None).unwrap().not_checked;
        assert!(not.iter().any(|line| line.starts_with(&format!("{name}: "))), "{name}: {not:?}");
    }
    let mut damage = Damage::of(folder.path());
    damage.write(&format!("body/{}", "0".repeat(64)), "anything");
    let not = verify::whole(folder.path(), &log, None).unwrap().not_checked;
    assert!(not.contains(&"1 files in body/ that no entry names".to_owned()), "{not:?}");
    for n in 0..30 {
        damage.write(&format!("more/{n}"), "anything");
    }
    let not = verify::whole(folder.path(), &log, None).unwrap().not_checked;
    assert!(not.iter().any(|line| line.starts_with("20 more files")), "{not:?}");
    drop(damage);

    // What is gone is nobody's loss: the present tiles hold all of it.
    let mut damage = Damage::of(folder.path());
    damage.remove("tile/0/000.p/1");
    verify::whole(folder.path(), &log, None).unwrap();
}

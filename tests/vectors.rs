//! Bad input, one small file a fault, carried to the parser whose door it stands before.
//!
//! `vectors/DOOR/FAULT.ENDING` is refused with the phrase that `vectors/DOOR/expected.toml` has for it. A file whose name
//! begins with `accepted_` is taken, and its phrase stands in what came of it: so a parser that refuses everything, or
//! reads something legal in another way, is noticed as well.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::doors::{DOORS, Door, Outcome};

/// The longest text of an error, in bytes: it stands in the log, and a person reads it.
const ERROR: usize = 1_000;

/// Files of a folder that are no vectors.
const ASIDE: [&str; 2] = ["expected.toml", "allowed_signers"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

/// The vectors of a folder: name, ending, bytes.
fn vectors(folder: &str) -> Vec<(String, String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if !ASIDE.contains(&name.as_str()) {
            let (name, ending) = name.split_once('.').unwrap();
            found.push((name.to_owned(), ending.to_owned(), fs::read(entry.path()).unwrap()));
        }
    }
    found.sort();
    found
}

fn door(folder: &str, name: &str) -> &'static Door {
    let fault = name.strip_prefix("accepted_").unwrap_or(name);
    let fits = |d: &&Door| d.folder == folder && fault.starts_with(d.prefix);
    DOORS.iter().find(fits).unwrap_or_else(|| panic!("{folder}/{name} stands before no door"))
}

fn expected(folder: &str) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root().join(folder).join("expected.toml")).unwrap_or_default();
    toml::from_str(&text).unwrap_or_else(|e| panic!("{folder}/expected.toml: {e}"))
}

/// What is wrong with an outcome; nothing, when it is as expected.
fn judge(name: &str, outcome: &Outcome, phrase: &str) -> Option<&'static str> {
    match (outcome, name.starts_with("accepted_")) {
        (Ok(_), false) => Some("accepted"),
        (Err(_), true) => Some("refused"),
        (Ok(text), true) | (Err(text), false) if !text.contains(phrase) || phrase.is_empty() => Some("other words"),
        (Err(text), false) if text.len() > ERROR => Some("an error without end"),
        (Err(text), false) if text.contains(|c: char| c.is_control()) => Some("a control character in an error"),
        _ => None,
    }
}

#[test]
fn every_vector_is_refused_for_its_own_fault_or_taken_for_what_it_is() {
    let mut wrong = Vec::new();
    for folder in folders() {
        let expected = expected(&folder);
        let vectors = vectors(&folder);
        let names: BTreeSet<&String> = vectors.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), vectors.len(), "{folder}: two vectors of one name");
        for name in expected.keys().filter(|name| !names.contains(name)) {
            wrong.push(format!("{folder}/{name}: expected, and there is no such vector"));
        }
        for (name, ending, bytes) in &vectors {
            let outcome = (door(&folder, name).parse)(bytes, ending);
            let phrase = expected.get(name).map_or("", String::as_str);
            if let Some(why) = judge(name, &outcome, phrase) {
                wrong.push(format!("{folder}/{name}: {why}; {phrase:?} is expected of {outcome:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn folders() -> BTreeSet<String> {
    let entries = fs::read_dir(root()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let found: BTreeSet<String> = entries.collect();
    let doors: BTreeSet<String> = DOORS.iter().map(|d| d.folder.to_owned()).collect();
    assert_eq!(found, doors, "each folder of vectors has its doors, and each door its folder");
    found
}

#[test]
fn before_every_door_stands_a_vector_that_it_takes_and_one_that_it_refuses() {
    for folder in folders() {
        let vectors = vectors(&folder);
        for door in DOORS.iter().filter(|d| d.folder == folder && !d.prefix.ends_with("of_another_id")) {
            let (taken, refused): (Vec<_>, Vec<_>) = vectors
                .iter()
                .filter(|(name, ..)| self::door(&folder, name).prefix == door.prefix)
                .partition(|(name, ..)| name.starts_with("accepted_"));
            assert!(
                !taken.is_empty() && !refused.is_empty(),
                "{folder}/{}: {} and {}",
                door.prefix,
                taken.len(),
                refused.len()
            );
        }
    }
}

#[test]
fn no_part_of_an_accepted_vector_brings_a_parser_down() {
    for folder in folders() {
        for (name, ending, bytes) in vectors(&folder).into_iter().filter(|(name, ..)| name.starts_with("accepted_")) {
            let door = door(&folder, &name);
            let step = (bytes.len() / 60).max(1);
            for end in (0..bytes.len()).step_by(step) {
                for cut in [&bytes[..end], &bytes[end..]] {
                    if let Err(error) = (door.parse)(cut, &ending) {
                        assert!(error.len() <= ERROR && !error.contains(|c: char| c.is_control()), "{name}: {error:?}");
                    }
                }
                let mut flipped = bytes.clone();
                flipped[end] ^= 0x80;
                if let Err(error) = (door.parse)(&flipped, &ending) {
                    assert!(error.len() <= ERROR && !error.contains(|c: char| c.is_control()), "{name}: {error:?}");
                }
            }
        }
    }
}

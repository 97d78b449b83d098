//! `countersign-verify site`: what does not verify makes no page, and a folder that holds something else is left alone.

use std::fs;
use std::path::Path;

use super::Review;
use crate::corruption::forged::Forged;
use crate::corruption::{Damage, files};

#[test]
fn a_log_that_does_not_verify_makes_no_page_and_an_older_page_does_not_stay() {
    let review = Review::of(&Forged::of(700));
    assert!(review.site.join("index.html").exists() && review.site.join("alone.html").exists());
    let mut damage = Damage::of(&review.log);
    let mut tile = damage.read("tile/0/001");
    tile[5] ^= 1;
    damage.write("tile/0/001", tile);
    let made = review.make(&[]);
    assert_eq!(made.status, 1, "{made:?}");
    assert!(made.stdout.contains("NOT VERIFIED") && made.stdout.contains("tile/0/001"), "{}", made.stdout);
    assert!(!review.site.join("index.html").exists() && !review.site.join("alone.html").exists());
    drop(damage);
    fs::remove_dir_all(&review.site).unwrap();
    let kept = review.log.join("../kept");
    fs::write(&kept, Forged::of(800).checkpoint(800).note()).unwrap();
    let rolled = review.make(&["--since", kept.to_str().unwrap()]);
    assert!(rolled.status == 1 && rolled.stdout.contains("rolled back"), "{rolled:?}");
    assert!(!review.site.exists());
}

#[test]
fn a_folder_that_holds_anything_else_is_refused_and_left_as_it_is() {
    let review = Review::of(&Forged::of(3));
    let before = files(&review.site);
    let again = review.make(&[]);
    assert_eq!((again.status, files(&review.site)), (0, before), "made again: {again:?}");
    fs::write(review.site.join("notes.txt"), "mine").unwrap();
    let refused = review.make(&[]);
    assert!(refused.status == 2 && refused.stderr.contains("notes.txt"), "{refused:?}");
    assert_eq!(fs::read(review.site.join("notes.txt")).unwrap(), b"mine");
    // Files of our names that we did not make are somebody's.
    let other = Review {
        site: review.log.join("../other"),
        log: review.log.clone(),
        trust: review.trust.clone(),
        _folder: tempfile::tempdir().unwrap(),
    };
    fs::create_dir(&other.site).unwrap();
    assert_eq!(other.make(&[]).status, 0, "an empty one will do");
    fs::remove_file(other.site.join("made-by-countersign-verify.txt")).unwrap();
    assert!(other.make(&[]).stderr.contains("which is no page's"));
    let within = |site: &Path| Review {
        site: site.to_owned(),
        log: review.log.clone(),
        trust: review.trust.clone(),
        _folder: tempfile::tempdir().unwrap(),
    };
    for site in [review.log.clone(), review.log.join("page"), review.log.join("tile/../a/b")] {
        let made = within(&site).make(&[]);
        assert!(made.status == 2 && made.stderr.contains("the log's own folder"), "{}: {made:?}", site.display());
    }
    assert!(!review.log.join("page").exists());
}

#[test]
fn what_stands_in_the_scripts_are_the_very_files_of_the_log() {
    let review = Review::of(&Forged::of(700));
    let mut found = Vec::new();
    for script in files(&review.site.join("data")) {
        let text = fs::read_to_string(review.site.join("data").join(script)).unwrap();
        let json = &text[text.find(", ").unwrap() + 2..text.rfind(");").unwrap()];
        let given: std::collections::BTreeMap<String, artifact::digest::Base64> = serde_json::from_str(json).unwrap();
        for (name, bytes) in given {
            assert_eq!(fs::read(review.log.join(&name)).unwrap(), bytes.0, "{name}");
            found.push(name);
        }
    }
    found.sort();
    assert_eq!(found, files(&review.log));
}

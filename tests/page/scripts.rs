//! The scripts beside `index.html`, changed after they were made: the page goes red and names the entry or the script.

use std::fs;

use super::browser::Browser;
use super::{Review, look, red};
use crate::corruption::Damage;
use crate::corruption::forged::Forged;

fn found(what: &str, names: &[&str], harm: impl FnOnce(&mut Damage<'_>, &Review)) {
    let (browser, review) = (Browser::shared(), Review::of(&Forged::of(700)));
    assert!(review.open(&browser, &[]).settled().contains("Verified by this page"));
    let mut damage = Damage::of(&review.site);
    harm(&mut damage, &review);
    red(&review.open(&browser, &look()), names, what);
}

/// Changes a letter of the base64 of a file in a script.
fn letter(damage: &mut Damage<'_>, script: &str, file: &str, at: usize) {
    let text = String::from_utf8(damage.read(script)).unwrap();
    let key = format!("\"{file}\":\"");
    let at = text.find(&key).unwrap_or_else(|| panic!("{script} has no {file}")) + key.len() + at;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    damage.write(script, format!("{}{other}{}", &text[..at], &text[at + 1..]));
}

#[test]
fn a_letter_of_a_script_that_is_another_is_found() {
    found("a tile", &["entry 256 is not the one that tile/0/001 has"], |d, _| letter(d, "data/1.js", "tile/0/001", 3));
    found("an entry", &["entry 256 "], |d, _| letter(d, "data/1.js", "tile/entries/001", 12));
    found("a body", &["entry 0: "], |d, _| letter(d, "data/0.js", "body/000", 60));
    found("a salt", &["entry 0: "], |d, _| letter(d, "data/0.js", "body/000", 20));
    found("an upper tile", &["tile/1/000.p/2"], |d, _| letter(d, "data/log.js", "tile/1/000.p/2", 5));
    found("the checkpoint", &["checkpoint"], |d, _| letter(d, "data/log.js", "checkpoint", 40));
}

#[test]
fn a_script_that_is_missing_cut_another_or_an_older_one_is_named() {
    found("missing", &["data/1.js"], |d, _| drop(d.remove("data/1.js")));
    found("cut", &["data/1.js"], |d, _| d.write("data/1.js", &d.read("data/1.js")[..900]));
    found("empty", &["data/log.js"], |d, _| d.write("data/log.js", b""));
    found("two swapped", &["data/", "entry "], |d, _| d.swap("data/0.js", "data/2.js"));
    found("no base64", &["data/log.js"], |d, _| d.write("data/log.js", "countersign('log', {checkpoint: '!'})"));
    found("an older log's scripts", &["it was rolled back"], |d, review| {
        let older = Review::of(&Forged::of(300));
        for name in ["data/log.js", "data/0.js", "data/1.js"] {
            d.write(name, fs::read(older.site.join(name)).unwrap());
        }
        assert_ne!(older.site, review.site);
    });
}

#[test]
fn what_is_read_again_for_a_story_is_hashed_again() {
    use serde_json::json;
    let (browser, review) = (Browser::shared(), Review::of(&Forged::of(700)));
    let good = fs::read_to_string(review.site.join("data/1.js")).unwrap();
    let again = review.site.join("again/data");
    fs::create_dir_all(&again).unwrap();
    // A host that gives something else, once the page has said that all is well.
    let changed = good.replacen("\"tile/0/001\":\"", "\"tile/0/001\":\"AAAA", 1);
    assert_ne!(changed, good);
    fs::write(again.join("1.js"), changed).unwrap();
    let port = super::serve::serve(&review.site);
    let steps = [
        json!(["goto", format!("http://127.0.0.1:{port}/index.html")]),
        json!(["settled"]),
        json!(["evaluate", "void (location.hash = '#/entry/300')"]),
        json!(["wait", "#state.broken"]),
        json!(["text", "#state"]),
    ];
    let visit = browser.visit(json!({}), &[&steps[..], &look()[..]].concat());
    assert!(visit.settled().contains("Verified by this page"), "{visit:?}");
    let said = visit.text(4);
    assert!(said.contains("Does NOT verify") && said.contains("tile/0/001"), "{said}");
    assert!(visit.text(6).starts_with("This log is not what was recorded"), "{visit:?}");
}

//! The corruption table, on the page: a folder from anybody, with one damage, picked in `alone.html`. It goes red, names the
//! file or the entry, and shows nothing of the log.

use std::path::Path;
use std::sync::Arc;

use audit::checkpoint::SignedCheckpoint;
use audit::entry::{Body, Halted};
use audit::merkle::TreeHash;
use audit::tile;

use super::browser::Browser;
use super::{Review, look, red};
use crate::corruption::Damage;
use crate::corruption::forged::Forged;
use crate::corruption::scene::Promoted;

/// Two full bundles and a partial one, and a level of tiles above.
const SIZE: usize = 700;

/// A log without damage, and the page that was made of it.
struct Table {
    browser: Arc<Browser>,
    forged: Forged,
    review: Review,
}

impl Table {
    fn new() -> Self {
        let forged = Forged::of(SIZE);
        Self { browser: Browser::shared(), review: Review::of(&forged), forged }
    }

    /// A damage to the log's folder, undone afterwards: the page names one of these.
    fn row(&self, what: &str, names: &[&str], harm: impl FnOnce(&mut Damage<'_>, &Forged)) {
        let mut damage = Damage::of(&self.review.log);
        harm(&mut damage, &self.forged);
        red(&self.review.pick(&self.browser, &self.review.log, &look()), names, what);
    }
}

/// Changes a byte of a file, counted from its end when negative.
fn flip(damage: &mut Damage<'_>, name: &str, at: isize) {
    let mut bytes = damage.read(name);
    let at = if at < 0 { bytes.len() - at.unsigned_abs() } else { at as usize };
    bytes[at] ^= 1;
    damage.write(name, bytes);
}

#[test]
fn a_folder_without_damage_is_verified() {
    let (browser, forged) = (Browser::shared(), Forged::of(SIZE));
    let review = Review::of(&forged);
    let visit = review.pick(&browser, &review.log, &[]);
    assert!(visit.settled().contains("Verified by this page") && visit.settled().contains("700 entries"), "{visit:?}");
    visit.calm(&review.address(""));
}

#[test]
fn a_bit_in_a_tile_is_found() {
    let table = Table::new();
    table.row("level 0", &["tile/0/001"], |d, _| flip(d, "tile/0/001", 77));
    table.row("level 1", &["tile/1/000.p/2"], |d, _| flip(d, "tile/1/000.p/2", 3));
}

#[test]
fn a_bit_in_an_entry_is_found() {
    let table = Table::new();
    table.row("a full bundle", &["entry 256"], |d, _| flip(d, "tile/entries/001", 9));
    table.row("the partial one", &["tile/entries/002.p/188"], |d, _| flip(d, "tile/entries/002.p/188", -1));
}

#[test]
fn a_bit_in_a_body_is_found() {
    let table = Table::new();
    // Entry 0 is the first of the pack: four bytes of length, the salt, the body.
    table.row("in a pack", &["entry 0"], |d, _| flip(d, "body/000", 4 + 32 + 5));
    let of = |forged: &Forged| format!("body/{}", artifact::digest::hex(&forged.leaves[600][2..]));
    table.row("apart", &["entry 600"], |d, forged| flip(d, &of(forged), 40));
}

#[test]
fn a_bit_in_a_salt_is_found() {
    let table = Table::new();
    table.row("in a pack", &["entry 0"], |d, _| flip(d, "body/000", 4 + 31));
    let of = |forged: &Forged| format!("body/{}", artifact::digest::hex(&forged.leaves[600][2..]));
    table.row("apart", &["entry 600"], |d, forged| flip(d, &of(forged), 0));
}

#[test]
fn a_bit_in_the_checkpoint_is_found() {
    let table = Table::new();
    // In its name, its size and its root: each is signed.
    for at in [2, 19, 25] {
        table.row(&format!("byte {at}"), &["checkpoint"], |d, _| flip(d, "checkpoint", at));
    }
}

#[test]
fn a_bit_in_the_signature_is_found() {
    let table = Table::new();
    table.row("a byte of the signature", &["checkpoint"], |d, _| {
        let text = String::from_utf8(d.read("checkpoint")).unwrap();
        let at = text.len() - 12;
        let other = if &text[at..=at] == "A" { "B" } else { "A" };
        d.write("checkpoint", format!("{}{other}{}", &text[..at], &text[at + 1..]));
    });
}

#[test]
fn tiles_that_are_swapped_truncated_missing_or_older_are_found() {
    let table = Table::new();
    table.row("swapped", &["tile/0/000"], |d, _| d.swap("tile/0/000", "tile/0/001"));
    table.row("bundles swapped", &["tile/entries/000"], |d, _| d.swap("tile/entries/000", "tile/entries/001"));
    table.row("packs swapped", &["entry ", "body/000"], |d, _| d.swap("body/000", "body/001"));
    for name in ["tile/0/001", "tile/1/000.p/2", "tile/entries/001", "tile/entries/002.p/188", "body/001", "checkpoint"]
    {
        table.row("cut", &[name], |d, _| d.write(name, &d.read(name)[1..]));
        table.row("empty", &[name], |d, _| d.write(name, b""));
        table.row("longer", &[name], |d, _| d.write(name, [&d.read(name)[..], b"\0"].concat()));
        table.row("missing", &[name], |d, _| drop(d.remove(name)));
    }
    // As it was at 300 entries: one hash where two belong.
    table.row("older", &["tile/1/000.p/2"], |d, _| d.write("tile/1/000.p/2", &d.read("tile/1/000.p/2")[..32]));
    let earlier = |forged: &Forged| tile::bundle_to_bytes(&forged.leaves[512..600]);
    table.row("an older bundle", &["tile/entries/002.p/188"], |d, f| d.write("tile/entries/002.p/188", earlier(f)));
    // What readers at an older size ask for says something else.
    table.row("an older partial tile", &["tile/0/002.p/100"], |d, _| d.write("tile/0/002.p/100", vec![7; 3200]));
    table.row("an older partial bundle", &["tile/entries/002.p/1"], |d, _| d.write("tile/entries/002.p/1", [0, 1, 7]));
}

/// The entries of a bundle are changed, and its tile and its pack with them, as whoever can write all would.
fn changed(change: impl Fn(&mut Vec<Vec<u8>>), d: &mut Damage<'_>, forged: &Forged) {
    let mut entries = forged.leaves[256..512].to_vec();
    change(&mut entries);
    let hashes: Vec<_> = entries.iter().map(|entry| TreeHash::leaf(entry)).collect();
    d.write("tile/entries/001", tile::bundle_to_bytes(&entries));
    d.write("tile/0/001", tile::hashes_to_bytes(&hashes));
    d.write("body/001", forged.pack_of(&entries));
}

#[test]
fn entries_that_are_reordered_or_dropped_are_found() {
    let table = Table::new();
    let upper = &["tile/1/000.p/2"];
    table.row("reordered", upper, |d, f| changed(|entries| entries.swap(3, 200), d, f));
    let next = Forged::of(SIZE).leaves[512].clone();
    let dropped = |entries: &mut Vec<Vec<u8>>| {
        entries.remove(9);
        entries.push(next.clone());
    };
    table.row("dropped", upper, |d, f| changed(dropped, d, f));
    // The upper tile as well: then the root is another.
    let all = |d: &mut Damage<'_>, f: &Forged| {
        changed(|entries| entries.swap(3, 200), d, f);
        let hashes = tile::hashes_from_bytes(&d.read("tile/0/001"), 256).unwrap();
        let over = audit::edge::over(&hashes);
        d.write("tile/1/000.p/2", [&d.read("tile/1/000.p/2")[..32], over.raw()].concat());
    };
    table.row("reordered, with all tiles", &["checkpoint"], all);
    // The last ones, with nothing above that tells.
    table.row("the last entry dropped", &["tile/entries/002.p/188"], |d, f| {
        d.write("tile/entries/002.p/188", tile::bundle_to_bytes(&f.leaves[512..699]));
        d.write("tile/0/002.p/188", &d.read("tile/0/002.p/188")[..187 * 32]);
    });
}

#[test]
fn a_fork_is_found_by_the_checkpoint_that_the_page_was_made_at() {
    let (browser, forged) = (Browser::shared(), Forged::of(SIZE));
    let (review, other) = (Review::of(&forged), tempfile::tempdir().unwrap());
    let mut fork = forged.clone();
    fork.leaves[5] = fork.leaves[6].clone();
    fork.raw("and more");
    fork.write(other.path());
    // By itself it is in order: its own page says so.
    assert!(Review::of(&fork).pick(&browser, other.path(), &[]).settled().contains("Verified"));
    red(
        &review.pick(&browser, other.path(), &look()),
        &["checkpoint: the log does not begin with the 700 entries"],
        "fork",
    );
}

#[test]
fn a_rollback_is_found_by_the_page_and_by_a_checkpoint_that_was_kept() {
    let (browser, forged, earlier) = (Browser::shared(), Forged::of(SIZE), Forged::of(600));
    let old = Review::of(&earlier);
    red(
        &Review::of(&forged).pick(&browser, &old.log, &look()),
        &["checkpoint: the log has 600 entries"],
        "rolled back",
    );
    // Whoever kept the later checkpoint, and has a page that was made before.
    let compare = |note: &str, more: &[serde_json::Value]| {
        use serde_json::json;
        let steps = [
            json!(["visit", "#/health"]),
            json!(["fill", "#kept", note]),
            json!(["click", "form.kept button"]),
            json!(["pause", 300]),
        ];
        old.pick(&browser, &old.log, &[&steps, more].concat())
    };
    let kept = |forged: &Forged, size: usize| forged.checkpoint(size).note().to_owned();
    let back = compare(&kept(&forged, SIZE), &[&[serde_json::json!(["text", "#state"])], &look()[..]].concat());
    let said = back.text(back.answers.len() - 3);
    assert!(said.contains("Does NOT verify") && said.contains("it was rolled back"), "{said}");
    assert!(back.text(back.answers.len() - 1).starts_with("This log is not what was recorded"), "{back:?}");
    // An older one holds, and one of another log is no checkpoint of this one.
    let answer = serde_json::json!(["text", "form.kept [role=status]"]);
    let sound = compare(&kept(&forged, 300), std::slice::from_ref(&answer));
    assert!(sound.answers.last().unwrap().as_str().unwrap().contains("begins with its 300 entries"), "{sound:?}");
    let stranger = forged.sign("other.example/log", 300, *forged.checkpoint(300).root());
    let strange = compare(stranger.note(), &[answer]);
    assert!(strange.answers.last().unwrap().as_str().unwrap().contains("carries no signature of"), "{strange:?}");
}

#[test]
fn a_checkpoint_of_another_origin_is_found() {
    let table = Table::new();
    let sign = |f: &Forged| -> SignedCheckpoint { f.sign("other.example/log", 700, *f.checkpoint(SIZE).root()) };
    let names = &["carries no signature of forged.example/log"];
    table.row("another log's, with the same key", names, |d, f| d.write("checkpoint", sign(f).note()));
    // The line of the log's own name and key, over a text that names another.
    table.row("ours, over another's text", &["checkpoint"], |d, f| {
        let note = f.checkpoint(SIZE).note().replacen("forged.example/log", "other.example/log", 1);
        d.write("checkpoint", note);
    });
}

#[test]
fn time_that_goes_backwards_is_found_and_the_entry_named() {
    let (browser, nothing, mut forged) = (Browser::shared(), Review::of(&Forged::new()), Forged::new());
    for (n, seconds) in (0_u8..).zip([1000, 2000, 1500, 1399, 3000]) {
        let at = artifact::Moment::from_unix(seconds).unwrap();
        let body = Body::from(Halted { failure: artifact::failure::Failure::halt("test", "x"), at });
        forged.body(body.kind(), [n; 32], &body.to_bytes().unwrap());
    }
    let folder = tempfile::tempdir().unwrap();
    forged.write(folder.path());
    // A little is forgiven, and counted from the newest: entry 2 is, entry 3 is not.
    red(&nothing.pick(&browser, folder.path(), &look()), &["entry 3: time goes backwards"], "dated back");
}

#[test]
fn damage_to_a_real_log_is_found() {
    let (browser, promoted) = (Browser::shared(), Promoted::shared());
    let review = Review::copied(&promoted.today, &promoted.trust_file);
    let good = review.pick(&browser, &review.log, &[]);
    assert!(good.settled().contains("Verified by this page"), "{good:?}");
    let files = crate::corruption::files(&review.log);
    let of = |begins: &str| files.iter().rfind(|name| name.starts_with(begins)).unwrap();
    for name in [of("tile/0/"), of("tile/entries/"), of("body/")] {
        let mut damage = Damage::of(&review.log);
        flip(&mut damage, name, -1);
        red(&review.pick(&browser, &review.log, &look()), &[name, "entry "], name);
    }
    // Yesterday's folder, in a page that was made today.
    red(&review.pick(&browser, Path::new(&promoted.yesterday), &look()), &["it was rolled back"], "yesterday");
}

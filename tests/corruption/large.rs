//! A log of 70,000 entries: three levels of tiles, 274 bundles. A seeded sample of changed bytes, and every damage to its
//! structure. The keeper's own format, with a key of the test's.

use std::path::Path;

use artifact::digest::hex;
use audit::checkpoint::SignedCheckpoint;
use audit::merkle::TreeHash;
use audit::tile;
use audit::verify;

use super::forged::{Forged, ORIGIN};
use super::{Damage, Flipped, Sample, THINGS, files};

const SIZE: usize = 70_000;

/// One damage: what it is, a word of the error that finds it, and how it is done.
type Case<'a> = (&'a str, &'a str, Box<dyn Fn(&mut Damage<'_>) + 'a>);

/// What is done to the entries of a bundle.
type Change = Box<dyn Fn(&mut Vec<Vec<u8>>)>;

/// A log in a folder, written once.
struct Written {
    forged: Forged,
    folder: tempfile::TempDir,
}

impl Written {
    fn new() -> Self {
        let (forged, folder) = (Forged::of(SIZE), tempfile::tempdir().unwrap());
        forged.write(folder.path());
        Self { forged, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn found(&self, since: Option<&SignedCheckpoint>) -> Result<u64, String> {
        let verified = verify::whole(self.path(), &self.forged.vkey(), since);
        verified.map(|v| v.size).map_err(|e| e.to_string())
    }

    /// Each damage by itself is found, with an error that has its word.
    fn each(&self, cases: Vec<Case<'_>>) {
        println!("{} damages to the structure", cases.len());
        for (what, word, harm) in cases {
            let mut damage = Damage::of(self.path());
            harm(&mut damage);
            let said = self.found(None).expect_err(what);
            assert!(said.contains(word), "{what}: {said}");
        }
        assert_eq!(self.found(None), Ok(SIZE as u64));
    }
}

#[test]
fn a_large_log_is_verified_and_a_sample_of_changed_bytes_is_found() {
    let log = Written::new();
    assert_eq!(log.found(None), Ok(SIZE as u64));
    let all = files(log.path());
    let mut sample = Sample::new("bytes of a large log");
    for (what, begins, count) in [
        ("checkpoint", "checkpoint", 8),
        ("tiles of level 0", "tile/0/", 8),
        ("tiles of level 1", "tile/1/", 4),
        ("tiles of level 2", "tile/2/", 2),
        ("bundles", "tile/entries/", 8),
        ("bodies and salts", "body/", 8),
    ] {
        let of: Vec<_> = all.iter().filter(|name| name.starts_with(begins)).collect();
        let mut tried = 0;
        for _ in 0..count {
            let name = *sample.of(&of);
            let flipped = Flipped::new(&log.path().join(name));
            // The first of a body's bytes are its salt.
            let at = sample.below(flipped.bytes.len());
            tried += flipped.each([at], |change| {
                let said = log.found(None).expect_err(name);
                let body = name.starts_with("body/") && said.starts_with("entry ");
                assert!(body || said.contains(name.as_str()), "{name}, {change}: {said}");
            });
        }
        println!("{what}: {tried} changes, each found");
    }
    assert_eq!(log.found(None), Ok(SIZE as u64));
}

fn name(level: Option<u32>, n: u64) -> String {
    let width = tile::width(level.unwrap_or(0), n, SIZE as u64);
    level.map_or_else(|| tile::bundle_path(n, width), |level| tile::path(level, n, width))
}

#[test]
fn files_of_a_large_log_that_are_missing_swapped_cut_or_of_another_kind_are_named() {
    let log = Written::new();
    let mut sample = Sample::new("files of a large log");
    let (full, partial) = (sample.below(273) as u64, 273);
    let other = (full + 1) % 273;
    let body = files(log.path()).into_iter().find(|f| f.starts_with("body/") && f.len() > 64).unwrap();
    let names = [
        name(Some(0), full),
        name(Some(0), partial),
        name(Some(1), 0),
        name(Some(1), 1),
        name(Some(2), 0),
        name(None, full),
        name(None, partial),
        body.clone(),
        tile::pack_path(full),
        "checkpoint".to_owned(),
    ];
    let mut cases: Vec<Case<'_>> = Vec::new();
    assert_eq!(names[1], "tile/0/273.p/112");
    for (n, name) in names.iter().enumerate() {
        let cut = move |d: &mut Damage<'_>| d.write(name, &d.read(name)[1..]);
        let longer = move |d: &mut Damage<'_>| d.write(name, [&d.read(name)[..], b"\0"].concat());
        let thing = &THINGS[n % THINGS.len()];
        let word: &str = if *name == body { "entry " } else { name };
        cases.push(("missing", name, Box::new(move |d| drop(d.remove(name)))));
        cases.push(("without its first byte", word, Box::new(cut)));
        cases.push(("with one byte more", word, Box::new(longer)));
        cases.push(("empty", name, Box::new(move |d| d.write(name, b""))));
        cases.push(("something else in its place", name, Box::new(move |d| d.instead(name, thing))));
    }
    for level in [None, Some(0)] {
        let (one, two) = (name(level, full), name(level, other));
        let first = name(level, full.min(other));
        // Which of the two files is wrong, nobody knows: both are named.
        let word = first.clone();
        cases.push(("two files swapped", leak(word), Box::new(move |d| d.swap(&one, &two))));
        let (one, two) = (name(level, full), name(level, other));
        cases.push(("one file twice", leak(name(level, full)), Box::new(move |d| d.write(&one, d.read(&two)))));
        let (to, from) = (name(level, full), name(level, partial));
        cases.push((
            "a partial one where a full one belongs",
            leak(to.clone()),
            Box::new(move |d| d.write(&to, d.read(&from))),
        ));
        let (to, from) = (name(level, partial), name(level, full));
        cases.push((
            "a full one where a partial one belongs",
            leak(to.clone()),
            Box::new(move |d| d.write(&to, d.read(&from))),
        ));
    }
    log.each(cases);

    // A full one beside the name of a partial one: then the partial one is read. Without it the full one is, as far as
    // the log goes; what lies beyond is said to be there.
    let mut damage = Damage::of(log.path());
    damage.write("tile/entries/273", damage.read(&name(None, full)));
    let verified = verify::whole(log.path(), &log.forged.vkey(), None).unwrap();
    assert!(verified.not_checked.contains(&"tile/entries/273: no part of the log at this size".to_owned()));
    damage.remove(&name(None, partial));
    assert!(log.found(None).unwrap_err().contains("tile/entries/273"));
}

/// Words live as long as the list of cases; a test ends soon.
fn leak(word: String) -> &'static str {
    Box::leak(word.into_boxed_str())
}

#[test]
fn entries_of_a_large_log_that_are_swapped_dropped_or_doubled_are_found() {
    let log = Written::new();
    let mut sample = Sample::new("entries of a large log");
    let n = 1 + sample.below(271) as u64;
    let (bundle, tile) = (name(None, n), name(Some(0), n));
    let (left, right) = (sample.below(128), 128 + sample.below(127));
    let first = n as usize * 256;
    // The entries of one bundle, changed; and tile and bodies with them, as whoever can write all three would.
    let changed = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut entries = log.forged.leaves[first..first + 256].to_vec();
        change(&mut entries);
        let hashes: Vec<_> = entries.iter().map(|e| TreeHash::leaf(e)).collect();
        (tile::bundle_to_bytes(&entries), tile::hashes_to_bytes(&hashes), log.forged.pack_of(&entries))
    };
    let mut cases: Vec<Case<'_>> = Vec::new();
    let next = log.forged.leaves[first + 256].clone();
    let dropped = move |entries: &mut Vec<Vec<u8>>| {
        entries.remove(left);
        entries.push(next.clone());
    };
    let all: [(&str, Change); 4] = [
        ("two entries swapped", Box::new(move |entries| entries.swap(left, right))),
        ("one entry dropped, the next ones moved up", Box::new(dropped)),
        ("one entry twice", Box::new(move |entries| entries[right] = entries[left].clone())),
        (
            "one entry of another",
            Box::new(move |entries| entries[left] = br#"{"apiVersion":"","kind":"","spec":{}}"#.to_vec()),
        ),
    ];
    for (what, change) in &all {
        let (entries, hashes, bodies) = changed(change);
        let (to, alone) = (bundle.clone(), entries.clone());
        cases.push((what, leak(bundle.clone()), Box::new(move |d| d.write(&to, &alone))));
        let (one, two, three) = (bundle.clone(), tile.clone(), tile::pack_path(n));
        let upper = name(Some(1), n / 256);
        let harm = move |d: &mut Damage<'_>| {
            d.write(&one, &entries);
            d.write(&two, &hashes);
            d.write(&three, &bodies);
        };
        cases.push((what, leak(upper), Box::new(harm)));
    }
    let short = tile::bundle_to_bytes(&log.forged.leaves[first..first + 255]);
    cases.push(("one entry fewer", leak(bundle.clone()), Box::new(move |d| d.write(&bundle, &short))));
    log.each(cases);
}

#[test]
fn another_checkpoint_on_a_large_log_is_found_and_a_rollback_or_a_fork_by_who_kept_one() {
    let log = Written::new();
    let forged = &log.forged;
    let (now, yesterday) = (forged.checkpoint(SIZE), forged.checkpoint(SIZE - 700));
    let mut stranger = Forged::new();
    stranger.leaves = forged.leaves[..10].to_vec();
    let note = |checkpoint: &SignedCheckpoint| checkpoint.note().to_owned();
    let line = |note: &str| note.split("\n\n").nth(1).unwrap().to_owned();
    let other_key = {
        let key = artifact::key::Ed25519Key::from_seed(&[8; 32]).unwrap();
        let body = audit::checkpoint::Checkpoint { origin: ORIGIN.into(), size: SIZE as u64, root: *now.root() };
        SignedCheckpoint::sign(body, &key).unwrap()
    };
    let size = |size: u64, root: TreeHash| note(&forged.sign(ORIGIN, size, root));
    let notes = [
        ("of another origin", "carries no signature", note(&forged.sign("b.example/log", SIZE as u64, *now.root()))),
        ("of another key", "carries no signature", note(&other_key)),
        ("signed twice", "does not verify", note(&now) + &line(now.note())),
        ("unsigned", "not a signed note", note(&now).split("\n\n").next().unwrap().to_owned() + "\n\n"),
        ("one entry more than there is", "273.p/113: missing", size(SIZE as u64 + 1, *now.root())),
        ("one entry fewer with today's root", "root", size(273 * 256, *now.root())),
        ("of another root", "root", size(SIZE as u64, TreeHash::leaf(b"other"))),
        ("of as many entries as there can be", "missing", size(1 << 48, TreeHash::leaf(b"other"))),
    ];
    let write = |text: String| -> Box<dyn Fn(&mut Damage<'_>)> { Box::new(move |d| d.write("checkpoint", &text)) };
    log.each(notes.into_iter().map(|(what, word, text)| -> Case<'_> { (what, word, write(text)) }).collect());
    for text in [
        format!("{ORIGIN}\n{}\n{}\n", u64::MAX, now.root()),
        format!("{ORIGIN}\n18446744073709551616\n{}\n", now.root()),
    ] {
        let signed = audit::note::Note::sign(&text, ORIGIN, &forged.key()).unwrap().to_string();
        log.each(vec![("a size that overflows", "not a checkpoint", write(signed))]);
    }

    // A cosignature beside the log's own is no harm: others may have signed it as well.
    let mut damage = Damage::of(log.path());
    damage.write("checkpoint", note(&now) + &line(other_key.note()));
    assert_eq!(log.found(None), Ok(SIZE as u64));

    // Yesterday's checkpoint over today's tiles. By itself sound, when the partial files of yesterday are there as well.
    drop(damage);
    let mut damage = Damage::of(log.path());
    damage.write("checkpoint", note(&yesterday));
    assert!(log.found(None).unwrap_err().contains("missing"), "{}", hex(yesterday.root().raw()));
    drop(damage);
    let mut damage = Damage::of(log.path());
    for (level, n) in [(None, 270), (Some(0), 270), (Some(1), 1)] {
        let size = SIZE as u64 - 700;
        let (width, now) = (tile::width(level.unwrap_or(0), n, size), damage.read(&name(level, n)));
        match level {
            None => damage
                .write(&tile::bundle_path(n, width), tile::bundle_to_bytes(&forged.leaves[270 * 256..size as usize])),
            Some(level) => damage.write(&tile::path(level, n, width), &now[..32 * width]),
        }
    }
    assert_eq!(log.found(None), Ok(SIZE as u64), "older partial files are part of the log");
    damage.write("checkpoint", note(&yesterday));
    assert_eq!(log.found(None), Ok(SIZE as u64 - 700));
    assert!(log.found(Some(&now)).unwrap_err().contains("rolled back"));
    drop(damage);

    // A fork: another last entry, as many of them, properly signed.
    assert_eq!(log.found(Some(&yesterday)), Ok(SIZE as u64));
    let mut fork = forged.clone();
    fork.leaves.pop();
    fork.raw("another");
    assert!(log.found(Some(&fork.checkpoint(SIZE))).unwrap_err().contains("or there are two"));
    let theirs = tempfile::tempdir().unwrap();
    fork.write(theirs.path());
    let found =
        |since: &SignedCheckpoint| verify::whole(theirs.path(), &fork.vkey(), Some(since)).map_err(|e| e.to_string());
    assert_eq!(found(&yesterday).unwrap().size, SIZE as u64);
    assert!(found(&now).unwrap_err().contains("or there are two"));
}

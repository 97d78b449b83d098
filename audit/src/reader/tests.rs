use std::fs;

use super::*;
use crate::keeper::tests::{House, some};
use crate::merkle::TreeHash;
use crate::verify;

/// 262 entries: a full bundle and a partial one, a full tile and a partial one, and a partial tile of level 1.
fn log() -> (House, Vkey) {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    for count in [64, 64, 64, 64, 4, 2] {
        keeper.append(some(count, "x"), 0).unwrap();
    }
    (house, keeper.vkey().clone())
}

/// The files that a reader of the whole log needs, but for the bodies.
const NEEDED: [&str; 6] =
    ["checkpoint", "tile/entries/000", "tile/entries/001.p/6", "tile/0/000", "tile/0/001.p/6", "tile/1/000.p/1"];

fn bodies(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(folder.join("body")).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn a_whole_log_verifies_and_says_what_was_not_checked() {
    let (house, vkey) = log();
    let verified = verify::whole(&house.tiles(), &vkey, None).unwrap();
    assert_eq!(verified.size, 262);
    assert_eq!(verified.kinds, [("halted", 177), ("rekor", 85)].into());
    assert_eq!((verified.since, verified.not_checked.len()), (None, 4));
}

#[test]
fn every_damage_to_every_file_is_an_error() {
    let (house, vkey) = log();
    let folder = house.tiles();
    let all = bodies(&folder);
    let files = NEEDED.iter().map(|f| folder.join(f)).chain([all[0].clone(), all[all.len() - 1].clone()]);
    for path in files {
        let good = fs::read(&path).unwrap();
        let refused = |what: &str| {
            assert!(Log::open(&folder, &vkey).is_err(), "{}: {what}", path.display());
            assert!(verify::whole(&folder, &vkey, None).is_err(), "{}: {what}", path.display());
        };
        for n in (0..good.len()).step_by(good.len().div_ceil(40)).chain([good.len() - 1]) {
            let mut bytes = good.clone();
            bytes[n] ^= 1;
            fs::write(&path, bytes).unwrap();
            refused("a bit");
        }
        for cut in [0, 1, 31, 32, good.len() / 2, good.len() - 1].into_iter().filter(|cut| *cut < good.len()) {
            fs::write(&path, &good[..cut]).unwrap();
            refused("truncated");
        }
        fs::write(&path, [&good[..], b"\n"].concat()).unwrap();
        refused("longer");
        fs::remove_file(&path).unwrap();
        refused("missing");
        fs::write(&path, good).unwrap();
        Log::open(&folder, &vkey).unwrap();
    }
}

#[test]
fn every_body_counts() {
    let (house, vkey) = log();
    let folder = house.tiles();
    for path in bodies(&folder) {
        let good = fs::read(&path).unwrap();
        let mut bytes = good.clone();
        bytes[40] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(Log::open(&folder, &vkey).is_err(), "{}", path.display());
        fs::write(&path, good).unwrap();
    }
    Log::open(&folder, &vkey).unwrap();
}

/// A log whose entry 0 is of this kind, with 300 entries after it, an order, and a last one that says entry 0 was forgotten.
fn forgetting(first: Body) -> (House, Vkey) {
    use crate::door::Submission;
    use crate::entry::Forgotten;
    let house = House::new();
    let mut keeper = house.open().unwrap();
    keeper.append(vec![Submission::Body(first)], 0).unwrap();
    for _ in 0..6 {
        keeper.append(some(50, "x"), 0).unwrap();
    }
    let at = artifact::Moment::from_unix(1).unwrap();
    let order = Submission::Body(crate::keeper::tests::forget::order(vec![0], &[1]));
    let forgotten = Submission::Body(Forgotten { order: 301, indexes: vec![0], at }.into());
    keeper.append(vec![order, forgotten], 0).unwrap();
    (house, keeper.vkey().clone())
}

/// Empties a slot of the first pack.
fn empty(folder: &Path, slot: usize) {
    let path = folder.join(tile::pack_path(0));
    let mut slots = crate::pack::from_bytes(&fs::read(&path).unwrap()).unwrap();
    slots[slot] = None;
    fs::write(path, crate::pack::to_bytes(&slots)).unwrap();
}

#[test]
fn a_body_may_be_gone_when_a_later_entry_says_so_and_only_then() {
    use crate::keeper::tests::body;
    let (house, vkey) = forgetting(body("personal"));
    let folder = house.tiles();
    assert_eq!(verify::whole(&folder, &vkey, None).unwrap().forgotten, 0);
    let receipt = Log::open(&folder, &vkey).unwrap().0.prover().prove(0).unwrap();
    empty(&folder, 0);
    let verified = verify::whole(&folder, &vkey, None).unwrap();
    assert_eq!((verified.forgotten, verified.size), (1, 303));
    assert!(verified.not_checked.iter().any(|line| line.contains("forgotten")), "{:?}", verified.not_checked);
    let (_, entries) = Log::open(&folder, &vkey).unwrap();
    assert!(matches!(entries[0].content, Content::Forgotten(_)));
    receipt.verify(&vkey, &entries[0].leaf()).unwrap();
    // The keeper goes on with it.
    drop(house.open().unwrap().append(some(1, "on"), 303).unwrap());

    empty(&folder, 1);
    let error = Log::open(&folder, &vkey).unwrap_err().to_string();
    assert!(error.contains("the body of entry 1), and no later entry says"), "{error}");

    // An entry that nobody ordered accounts for nothing.
    let (house, vkey) = log();
    let at = artifact::Moment::from_unix(1).unwrap();
    let forgotten = crate::entry::Forgotten { order: 1, indexes: vec![0], at };
    house.open().unwrap().append(vec![crate::door::Submission::Body(forgotten.into())], 0).unwrap();
    empty(&house.tiles(), 0);
    let error = Log::open(&house.tiles(), &vkey).unwrap_err().to_string();
    assert!(
        error.contains("the body of entry 0), and no later entry says that it was forgotten by an order"),
        "{error}"
    );

    // What is decided, signed or released never goes, whatever an entry says.
    let at = artifact::Moment::from_unix(1).unwrap();
    let (house, vkey) = forgetting(crate::entry::Posture { hellos: Vec::new(), at }.into());
    empty(&house.tiles(), 0);
    assert!(Log::open(&house.tiles(), &vkey).is_err());
}

#[test]
fn a_reader_that_meets_a_body_being_forgotten_reads_again_and_one_that_is_gone_is_still_an_error() {
    use crate::keeper::tests::body;
    let (house, vkey) = forgetting(body("personal"));
    let folder = house.tiles();
    empty(&folder, 0);
    let (mut sizes, mut first) = (Vec::new(), true);
    let read = settled(&folder, &vkey, |checkpoint| {
        sizes.push(checkpoint.size());
        // The first look is at a size at which nothing accounts for the body yet.
        match std::mem::take(&mut first) {
            true => {
                let mut keeper = house.open().unwrap();
                keeper.append(some(1, "meanwhile"), 0).unwrap();
                Err(LogError::Range { size: 0, asked: 0 })
            }
            false => Log::fold_at(&folder, checkpoint, 0, |count, _| *count += 1).map(|(_, count)| count),
        }
    });
    assert_eq!((read.unwrap(), sizes), (304, vec![303, 304]));
    let always = settled(&folder, &vkey, |_| Err::<(), _>(LogError::Range { size: 0, asked: 0 }));
    assert!(always.is_err());
}

#[test]
fn a_body_lies_in_its_pack_or_apart_by_its_size_alone() {
    let (house, vkey) = log();
    let folder = house.tiles();
    assert_eq!(bodies(&folder).len(), 1 + 5, "a pack, and the bodies of six entries of which one is Rekor's");
    let (_, entries) = Log::open(&folder, &vkey).unwrap();
    let Content::Ours { body, bytes, salt } = &entries[0].content else { panic!("ours") };
    let commitment = Commitment::to(body.kind(), salt, bytes);
    empty(&folder, 0);
    let apart = folder.join(crate::tiles::body_path(commitment.digest()));
    fs::write(&apart, crate::tiles::body_to_bytes(salt, bytes)).unwrap();
    let error = Log::open(&folder, &vkey).unwrap_err().to_string();
    assert!(error.contains("must be in"), "{error}");

    // A large one lies apart for good, and a start takes away what an interrupted append left.
    let house = House::new();
    let mut keeper = house.open().unwrap();
    let large = crate::keeper::tests::body(&"x".repeat(crate::pack::BODY_LIMIT));
    keeper.append(vec![crate::door::Submission::Body(large)], 0).unwrap();
    let before = house.copy();
    for _ in 0..5 {
        keeper.append(some(60, "x"), 0).unwrap();
    }
    let (vkey, folder) = (keeper.vkey().clone(), house.tiles());
    drop(keeper);
    let last = verify::whole(&folder, &vkey, None).unwrap();
    let (_, entries) = Log::open(&folder, &vkey).unwrap();
    let left = entries[1..].iter().find_map(|e| match &e.content {
        Content::Ours { body, bytes, salt } => Some((Commitment::to(body.kind(), salt, bytes), salt, bytes)),
        _ => None,
    });
    let (commitment, salt, bytes) = left.unwrap();
    let path = folder.join(crate::tiles::body_path(commitment.digest()));
    fs::write(&path, crate::tiles::body_to_bytes(salt, bytes)).unwrap();
    assert_eq!(verify::whole(&folder, &vkey, None).unwrap().not_checked.len(), last.not_checked.len() + 1);
    drop(house.open().unwrap());
    assert!(!path.exists());
    assert_eq!(verify::whole(&folder, &vkey, None).unwrap(), last);
    assert_eq!(bodies(&before.tiles()).len(), 1);
    assert!(folder.join(bodies(&before.tiles())[0].strip_prefix(before.tiles()).unwrap()).exists());
}

#[test]
fn a_log_that_grows_meanwhile_verifies_each_time() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    keeper.append(some(10, "x"), 0).unwrap();
    let (vkey, folder) = (keeper.vkey().clone(), house.tiles());
    std::thread::scope(|threads| {
        let growing = threads.spawn(move || {
            for _ in 0..10 {
                keeper.append(some(59, "x"), 0).unwrap();
            }
        });
        let mut last = 10;
        while !growing.is_finished() {
            let size = verify::whole(&folder, &vkey, None).unwrap().size;
            assert!(size >= last, "{size} after {last}");
            last = size;
        }
        growing.join().unwrap();
    });
    assert_eq!(verify::whole(&folder, &vkey, None).unwrap().size, 600);
}

#[test]
fn swapped_reordered_and_dropped_entries_are_errors() {
    let (house, vkey) = log();
    let folder = house.tiles();
    let swap = |a: &Path, b: &Path| {
        let (left, right) = (fs::read(a).unwrap(), fs::read(b).unwrap());
        fs::write(a, right).unwrap();
        fs::write(b, left).unwrap();
    };
    let all = bodies(&folder);
    swap(&all[0], &all[1]);
    assert!(Log::open(&folder, &vkey).is_err());
    swap(&all[0], &all[1]);
    swap(&folder.join("tile/0/000"), &folder.join("tile/entries/000"));
    assert!(Log::open(&folder, &vkey).is_err());
    swap(&folder.join("tile/0/000"), &folder.join("tile/entries/000"));

    // Whoever rewrites entries and tiles alike still can't sign the root.
    let bundle = folder.join("tile/entries/001.p/6");
    let good = tile::bundle_from_bytes(&fs::read(&bundle).unwrap(), 6).unwrap();
    let mut reordered = good.clone();
    reordered.swap(0, 1);
    let mut doubled = good.clone();
    doubled[1] = doubled[0].clone();
    for wrong in [reordered, doubled] {
        fs::write(&bundle, tile::bundle_to_bytes(&wrong)).unwrap();
        assert!(Log::open(&folder, &vkey).is_err());
        let hashes: Vec<_> = wrong.iter().map(|leaf| TreeHash::leaf(leaf)).collect();
        fs::write(folder.join("tile/0/001.p/6"), tile::hashes_to_bytes(&hashes)).unwrap();
        let error = Log::open(&folder, &vkey).unwrap_err();
        assert!(error.to_string().contains("root"), "{error}");
    }
}

#[test]
fn an_older_log_is_seen_by_who_kept_a_checkpoint() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    keeper.append(some(3, "a"), 0).unwrap();
    let (old, older) = (keeper.checkpoint().clone(), house.copy());
    keeper.append(some(3, "b"), 0).unwrap();
    let (new, vkey) = (keeper.checkpoint().clone(), keeper.vkey().clone());
    assert_eq!(verify::whole(&house.tiles(), &vkey, Some(&old)).unwrap().since, Some(3));
    // By itself it is a sound log; only what was kept tells.
    assert!(verify::whole(&older.tiles(), &vkey, None).is_ok());
    assert!(matches!(
        verify::whole(&older.tiles(), &vkey, Some(&new)),
        Err(LogError::RolledBack { size: 3, older: 6 })
    ));
    let fork = older.open_copy_with(some(3, "other"));
    assert!(matches!(verify::whole(&fork.tiles(), &vkey, Some(&new)), Err(LogError::Forked { older: 6 })));
}

#[test]
fn another_implementation_reads_our_tiles() {
    use tlog_tiles::{Hash, Tile, TileHashReader, TileReader};

    struct Folder(PathBuf);
    impl TileReader for Folder {
        fn height(&self) -> u8 {
            8
        }
        fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
            let path = |t: &Tile| self.0.join(t.path().replacen("tile/8/", "tile/", 1));
            Ok(tiles.iter().map(|t| fs::read(path(t)).unwrap()).collect())
        }
        fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
    }

    let (house, vkey) = log();
    let (log, _) = Log::open(&house.tiles(), &vkey).unwrap();
    let (size, root) = (log.checkpoint().size(), Hash(*log.checkpoint().root().raw()));
    let folder = Folder(house.tiles());
    let reader = TileHashReader::new(size, root, &folder);
    let mut prover = log.prover();
    for index in [0, 1, 127, 255, 256, 261] {
        let theirs = tlog_tiles::prove_record(size, index, &reader).unwrap();
        let ours = prover.prove(index).unwrap();
        assert_eq!(
            ours.proof.iter().map(|h| *h.raw()).collect::<Vec<_>>(),
            theirs.iter().map(|h| h.0).collect::<Vec<_>>()
        );
    }
    for older in [1, 64, 255, 256, 257, 262] {
        let theirs = tlog_tiles::prove_tree(size, older, &reader).unwrap();
        let (_, ours) = prover.prove_since(older).unwrap();
        assert_eq!(ours.iter().map(|h| *h.raw()).collect::<Vec<_>>(), theirs.iter().map(|h| h.0).collect::<Vec<_>>());
    }
    assert!(matches!(prover.prove(size), Err(LogError::Range { .. })));
    assert!(matches!(prover.prove_since(size + 1), Err(LogError::Range { .. })));
}

//! The flattened tree is what runtimes unpack: random images, unpacked by umoci and by containerd's own code, and read back
//! from the disk. Where those two disagree, or an overlay file system has a view of its own, we refuse: each such case has
//! a test here that shows the disagreement.
//!
//! `COUNTERSIGN_SEED` is the first seed and `COUNTERSIGN_CASES` their number; a failure names its own.

use artifact::oci::RuntimeConfig;
use artifact::statement::comparison::Level;
use builder::compare;
use builder::tree::Tree;
use demo::command::is_root;

use crate::disk::what_matters;
use crate::peers::Bench;
use crate::random::{CAPABILITY, Dice, Model};

/// Two images a case, each unpacked twice: some tenths of a second.
const CASES: u64 = 60;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}: a number")))
}

fn all(layers: &[(Vec<u8>, String)]) -> (Vec<Vec<u8>>, String) {
    let words: Vec<&str> = layers.iter().map(|(_, words)| words.as_str()).collect();
    (layers.iter().map(|(tar, _)| tar.clone()).collect(), words.join("layer\n"))
}

/// A second opinion beside the comparer's. What an ordinary user's umoci could not give, the images do not ask for then.
fn same(ours: &Tree, theirs: &Tree) -> bool {
    what_matters(ours) == what_matters(theirs)
}

#[test]
fn images_are_equal_exactly_where_what_umoci_and_containerd_unpack_is_equal() {
    let first = number("COUNTERSIGN_SEED", 1);
    let (mut equal, mut different) = (0, 0);
    for seed in first..first + number("COUNTERSIGN_CASES", CASES) {
        let mut dice = Dice(seed.wrapping_mul(0x2545_f491_4f6c_dd1d));
        let bench = Bench::new();
        let mut model = Model::default();
        let mut layers = Vec::new();
        for _ in 0..1 + dice.roll(3) {
            layers.push(model.layer(&mut dice, is_root()));
        }
        let below = model.clone();
        let mut both = Vec::new();
        for side in ["a", "b"] {
            // The second is the first, with its last layer's like or with one more: sometimes they are the same to see.
            let mut own = layers.clone();
            if side == "b" && dice.roll(3) > 0 {
                own.push(below.clone().layer(&mut dice, is_root()));
            }
            let (tars, words) = all(&own);
            let told = |who: &str, why: &str| format!("COUNTERSIGN_SEED={seed}, image {side}, {who}: {why}\n{words}");
            let digest = bench.image(side, &tars, RuntimeConfig::default());
            let ours = bench.ours(&digest).unwrap_or_else(|why| panic!("{}", told("we", &why)));
            let umoci = bench.umoci(side).unwrap_or_else(|why| panic!("{}", told("umoci", &why)));
            let containerd = bench.containerd(&tars).unwrap_or_else(|why| panic!("{}", told("containerd", &why)));
            for (who, theirs) in [("umoci", &umoci), ("containerd", &containerd)] {
                let found = compare::trees(&ours.1, theirs, &bench.scratch).unwrap();
                assert!(found.is_empty(), "{}", told(who, &format!("{:#?}", found.listed())));
                assert!(same(&ours.1, theirs), "{}", told(who, "the comparer sees no difference, and there is one"));
            }
            both.push((ours, umoci));
        }
        let [(ours, umoci), (other, others)] = &both[..] else { unreachable!() };
        let (level, found) = compare::images((&ours.0, &ours.1), (&other.0, &other.1), &bench.scratch).unwrap();
        let is_equal = same(umoci, others);
        assert_eq!(level != Level::Diverged, is_equal, "COUNTERSIGN_SEED={seed}: {level}, {:#?}", found.listed());
        if is_equal { equal += 1 } else { different += 1 }
    }
    // Otherwise half of it was not tried.
    assert!(equal > 0 && different > 0, "{equal} pairs were equal, {different} different");
}

/// One entry of a layer by hand: a file's content is its path.
fn entry(path: &str, kind: tar::EntryType, change: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_path(path).unwrap();
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    let content = if kind.is_file() { path.as_bytes() } else { b"" };
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn file(path: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Regular, |_| {})
}

fn folder(path: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Directory, |_| {})
}

fn link(path: &str, target: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Link, |header| header.set_link_name(target).unwrap())
}

fn symlink(path: &str, target: &str) -> Vec<u8> {
    entry(path, tar::EntryType::Symlink, |header| header.set_link_name(target).unwrap())
}

fn with(record: &[u8], of: Vec<u8>) -> Vec<u8> {
    let length = record.len() + 4;
    let body = [format!("{length} ").as_bytes(), record, b"\n"].concat();
    assert_eq!(body.len(), length, "a record of a hundred bytes or more would want another length");
    let mut header = entry("pax", tar::EntryType::XHeader, |header| header.set_size(body.len() as u64));
    header.extend(&body);
    header.resize(header.len().next_multiple_of(512), 0);
    [header, of].concat()
}

/// Each layer ends as archives end.
fn layers(of: &[&[Vec<u8>]]) -> Vec<Vec<u8>> {
    of.iter().map(|entries| [entries.concat(), vec![0; 1024]].concat()).collect()
}

/// What we refuse because the two runtimes make different file systems of it: both do take it.
#[test]
fn what_umoci_and_containerd_unpack_differently_is_refused() {
    let setuid = |path: &str, target: &str| {
        entry(path, tar::EntryType::Link, |header| {
            header.set_link_name(target).unwrap();
            header.set_mode(0o4755);
        })
    };
    let capable = [b"SCHILY.xattr.security.capability=".as_slice(), &CAPABILITY].concat();
    let mut cases = vec![
        (
            "a setuid bit on a hard link's own entry",
            layers(&[&[file("a"), setuid("b", "a")]]),
            "a hard link with another",
        ),
        ("a file, and its whiteout", layers(&[&[file("a")], &[file("a"), file(".wh.a")]]), "its own layer"),
        ("a whiteout in no folder", layers(&[&[file("a")], &[file("none/.wh.x")]]), "a folder that is not there"),
    ];
    // An ordinary user's runtimes can't give rights, so they can't disagree on them.
    if is_root() {
        let layer = layers(&[&[with(&capable, file("a")), link("b", "a")]]);
        cases.push(("a capability that the link does not repeat", layer, "a hard link with another"));
    }
    for (case, layers, why) in cases {
        let bench = Bench::new();
        let digest = bench.image("it", &layers, RuntimeConfig::default());
        let refused = bench.ours(&digest).expect_err(case);
        assert!(refused.contains(why), "{case}: {refused}");
        let (umoci, containerd) = (bench.umoci("it").unwrap(), bench.containerd(&layers).unwrap());
        assert!(!same(&umoci, &containerd), "{case}: umoci and containerd agree by now, and we need not refuse it");
    }
}

/// What we refuse although the two agree: others than these two see something else.
#[test]
fn what_other_readers_take_differently_is_refused() {
    let prefixed = |magic: &'static [u8]| {
        entry("passwd", tar::EntryType::Regular, move |header| {
            let bytes = header.as_mut_bytes();
            bytes[257..265].copy_from_slice(magic);
            bytes[345..348].copy_from_slice(b"etc");
        })
    };
    let null = entry("a", tar::EntryType::Char, |header| {
        header.set_device_major(0).unwrap();
        header.set_device_minor(0).unwrap();
    });
    let group = entry("d/", tar::EntryType::Directory, |header| (header.set_mode(0o2755), header.set_gid(0)).0);
    let mut cases = vec![
        // These two make `d/e` in `d`, so it inherits the bit; whoever unpacks the second layer by itself does not.
        ("an implied folder in a set-group-id one", layers(&[&[group], &[file("d/e/f")]]), "a set-group-id folder"),
        // GNU tar, libarchive and Rust's tar read `passwd`; Go reads `etc/passwd`.
        ("a prefix in a GNU header", layers(&[&[prefixed(b"ustar  \0")]]), "readers disagree"),
        ("a prefix after another version", layers(&[&[prefixed(b"ustar\0\0\0")]]), "readers disagree"),
        // Overlay file systems: a new folder is laid over the old one, and the root is never opaque.
        (
            "a whiteout, and a folder",
            layers(&[&[folder("a"), file("a/x")], &[file(".wh.a"), folder("a")]]),
            "takes away",
        ),
        ("an opaque root", layers(&[&[file("a")], &[file(".wh..wh..opq")]]), "a whiteout of everything"),
        (
            "a file, and then a folder",
            layers(&[&[folder("a"), file("a/x")], &[file("a"), folder("a")]]),
            "and something else",
        ),
        // Docker unpacks beside what is below, where the link is not; these two go through it.
        (
            "a whiteout through a link",
            layers(&[&[folder("u"), file("u/x"), symlink("l", "u")], &[file("l/.wh.x")]]),
            "not there",
        ),
        ("a file through a link", layers(&[&[folder("u"), symlink("l", "u")], &[file("l/x")]]), "no folder"),
        // We let whiteouts go first, as the specification has it; these two take entries as they come.
        ("a link to what is then taken away", layers(&[&[file("a")], &[link("b", "a"), file(".wh.a")]]), "to nothing"),
    ];
    if is_root() {
        // An ordinary user has no devices, and containerd's code passes them over in a namespace.
        cases.push(("overlayfs's deletion", layers(&[&[null]]), "takes for a deletion"));
    }
    for (case, layers, why) in cases {
        let bench = Bench::new();
        let digest = bench.image("it", &layers, RuntimeConfig::default());
        let refused = bench.ours(&digest).expect_err(case);
        assert!(refused.contains(why), "{case}: {refused}");
        assert!(bench.umoci("it").is_ok() && bench.containerd(&layers).is_ok(), "{case}: they refuse it as well");
    }
}

/// The root folder's own entry: umoci applies it, containerd passes it over. We keep it, and a difference in it is told.
#[test]
fn a_root_folder_of_its_own_is_told() {
    let bench = Bench::new();
    let open = entry("./", tar::EntryType::Directory, |header| header.set_mode(0o777));
    let tars = [layers(&[&[file("a")]]), layers(&[&[open, file("a")]])];
    let [plain, open] = [("plain", &tars[0]), ("open", &tars[1])].map(|(name, tars)| {
        let digest = bench.image(name, tars, RuntimeConfig::default());
        (bench.ours(&digest).unwrap().1, bench.umoci(name).unwrap(), bench.containerd(tars).unwrap())
    });
    assert!(same(&open.0, &open.1) && !same(&open.0, &open.2) && same(&plain.2, &open.2));
    let found = compare::trees(&plain.0, &open.0, &bench.scratch).unwrap().listed();
    assert_eq!(found.len(), 1);
    assert_eq!((&found[0].path[..], &found[0].kind[..]), (".", "mode"));
}

/// Our own layers, in the runtime that writes a link's entry through to its file: nothing is lost.
#[test]
fn a_packed_tree_is_itself_again_in_containerd_and_umoci() {
    let first = number("COUNTERSIGN_SEED", 1);
    for seed in first..first + 10 {
        let mut dice = Dice(seed);
        let bench = Bench::new();
        let mut model = Model::default();
        let tars = [model.layer(&mut dice, is_root()).0, model.layer(&mut dice, is_root()).0];
        let (_, mut tree) = bench.ours(&bench.image("theirs", &tars, RuntimeConfig::default())).unwrap();
        tree.values_mut().for_each(|node| node.xattrs.retain(|name, _| builder::pack::XATTRS.contains(&&name[..])));
        let mut packed = Vec::new();
        builder::pack::write_tar(&tree, &bench.scratch, 0, &mut packed).unwrap();
        bench.image("ours", std::slice::from_ref(&packed), RuntimeConfig::default());
        assert!(same(&tree, &bench.umoci("ours").unwrap()), "COUNTERSIGN_SEED={seed}: umoci");
        assert!(same(&tree, &bench.containerd(&[packed]).unwrap()), "COUNTERSIGN_SEED={seed}: containerd");
    }
}

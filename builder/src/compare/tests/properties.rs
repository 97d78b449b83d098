//! What matters is told wherever it stands, and what does not matter is not: by changing one thing in any tree.

use std::collections::BTreeSet;
use std::io::Write as _;

use artifact::oci::{CONFIG, Descriptor, LAYER, LAYER_GZIP, LAYER_ZSTD, MANIFEST, Manifest, RootFs, RuntimeConfig};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::pack::{Gzip, write_tar};
use crate::tree::arbitrary::{grown, seeds};
use crate::tree::number_groups;

/// One change that makes another file system of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Change {
    ModeBit(u32),
    Owner,
    Group,
    CapabilityAdded,
    CapabilityRemoved,
    CapabilityChanged,
    Attribute,
    SameSize,
    OtherSize,
    Target,
    Device,
    FileToLink,
    FileToFolder,
    CharToBlock,
    Added,
    Removed,
    LinkToCopy,
    LinkToOtherCopy,
    LinkToOtherFile,
}

fn change() -> impl Strategy<Value = Change> {
    use Change::*;
    let other = vec![
        Owner,
        Group,
        CapabilityAdded,
        CapabilityRemoved,
        CapabilityChanged,
        Attribute,
        SameSize,
        OtherSize,
        Target,
        Device,
        FileToLink,
        FileToFolder,
        CharToBlock,
        Added,
        Removed,
        LinkToCopy,
        LinkToOtherCopy,
        LinkToOtherFile,
    ];
    // The rarest bits give the most.
    prop_oneof![(0..12u32).prop_map(ModeBit), (9..12u32).prop_map(ModeBit), select(other.clone()), select(other)]
}

/// So that there is something to change, whatever grew.
fn planted(tree: &mut Tree, ground: &Ground) {
    let mut plant = |path: &str, node: Node| tree.insert(path.into(), node);
    let with = |kind| Node { kind, ..Node::implied() };
    let capable = |value: &[u8]| Node { xattrs: [(CAPABILITY.to_vec(), value.to_vec())].into(), ..ground.file("c") };
    plant("z", Node::implied());
    plant("z/file", ground.file("file"));
    plant("z/capable", capable(b"cap"));
    plant("z/symlink", with(Kind::Symlink(b"file".to_vec())));
    plant("z/char", with(Kind::Char(1, 3)));
    plant("z/block", with(Kind::Block(8, 1)));
    for name in ["z/l/1", "z/l/2", "z/m/3"] {
        plant(&name[..3], Node::implied());
        plant(name, Node { group: 1 << 20, ..ground.file("linked") });
    }
    number_groups(tree);
}

fn changed(tree: &mut Tree, change: Change, at: Index, ground: &Ground) -> (Vec<u8>, &'static str) {
    use Change::*;
    let fits = |path: &[u8], node: &Node| match change {
        ModeBit(_) | Owner | Group | CapabilityAdded => {
            !matches!(node.kind, Kind::Symlink(_))
                && (change != CapabilityAdded || !node.xattrs.contains_key(CAPABILITY))
        }
        CapabilityRemoved | CapabilityChanged => node.xattrs.contains_key(CAPABILITY),
        Attribute => true,
        SameSize | OtherSize => matches!(&node.kind, Kind::File(content) if content.size > 0),
        FileToLink | FileToFolder => matches!(&node.kind, Kind::File(_)) && node.group == 0,
        Target => matches!(node.kind, Kind::Symlink(_)),
        Device => matches!(node.kind, Kind::Char(..) | Kind::Block(..)),
        CharToBlock => matches!(node.kind, Kind::Char(..)) && node.group == 0,
        Added => node.kind == Kind::Folder && path.len() < 1_500,
        Removed => node.kind != Kind::Folder,
        LinkToCopy => node.group != 0,
        LinkToOtherCopy => node.group != 0 && matches!(node.kind, Kind::File(_)),
        // Not the first name: the others would tell, and it would be the first again.
        LinkToOtherFile => {
            let first = tree.iter().find(|(_, n)| n.group == node.group).map(|(p, _)| p.as_slice());
            node.group != 0 && first != Some(path)
        }
    };
    let paths: Vec<Vec<u8>> = tree.iter().filter(|(p, n)| fits(p, n)).map(|(p, _)| p.clone()).collect();
    let path = at.get(&paths).clone();
    let file = |text: &[u8]| Kind::File(ground.scratch.put(text).unwrap());
    let mut node = tree[&path].clone();
    let told = match change {
        ModeBit(bit) => {
            node.mode ^= 1 << bit;
            if bit > 9 { "setuid" } else { "mode" }
        }
        Owner => (node.uid ^= 1, "owner").1,
        Group => (node.gid ^= 1, "owner").1,
        CapabilityAdded => (node.xattrs.insert(CAPABILITY.to_vec(), b"new".to_vec()), "capability").1,
        CapabilityRemoved => (node.xattrs.remove(CAPABILITY), "capability").1,
        CapabilityChanged => (node.xattrs.entry(CAPABILITY.to_vec()).or_default().push(1), "capability").1,
        Attribute => (node.xattrs.entry(b"user.note".to_vec()).or_default().push(1), "xattr").1,
        SameSize | OtherSize => {
            let Kind::File(content) = &node.kind else { unreachable!() };
            let mut bytes = Vec::new();
            ground.scratch.open(content).unwrap().read_to_end(&mut bytes).unwrap();
            if change == SameSize {
                bytes[0] ^= 1
            } else {
                bytes.push(0)
            }
            (node.kind = file(&bytes), "content").1
        }
        Target => (node.kind = Kind::Symlink(b"elsewhere".to_vec()), "link-target").1,
        Device => {
            let (Kind::Char(_, minor) | Kind::Block(_, minor)) = &mut node.kind else { unreachable!() };
            (*minor ^= 1, "device").1
        }
        FileToLink => (node.kind = Kind::Symlink(b"file".to_vec()), "type").1,
        FileToFolder => (node.kind = Kind::Folder, "type").1,
        CharToBlock => {
            let Kind::Char(major, minor) = node.kind else { unreachable!() };
            (node.kind = Kind::Block(major, minor), "type").1
        }
        Added => {
            let new = [&path[..], b"/new"].concat();
            tree.insert(new.clone(), ground.file("file"));
            return (new, "only-in-candidate");
        }
        Removed => {
            tree.remove(&path);
            return (path, "only-in-rebuild");
        }
        LinkToCopy => {
            tree.insert(path.clone(), Node { group: 0, ..node });
            return (path, "hard-link");
        }
        LinkToOtherCopy => {
            tree.insert(path.clone(), Node { group: 0, kind: file(b"another"), ..node });
            return (path, "content");
        }
        LinkToOtherFile => {
            // With what it had before, so that nothing but the link tells.
            let first = Node { group: u64::MAX, ..node };
            tree.extend([(b"z/another".to_vec(), first.clone()), (path.clone(), first)]);
            return (path, "hard-link");
        }
    };
    // One inode: what changes, changes under all its names.
    for other in tree.values_mut().filter(|other| node.group != 0 && other.group == node.group) {
        *other = node.clone();
    }
    tree.insert(path.clone(), node);
    (path, told)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_change_that_matters_is_told_by_its_path_and_kind(seeds in seeds(), change in change(), at in any::<Index>()) {
        let ground = Ground::new();
        let mut tree = grown(seeds, &ground.scratch);
        planted(&mut tree, &ground);
        let mut theirs = tree.clone();
        let (path, kind) = changed(&mut theirs, change, at, &ground);
        number_groups(&mut theirs);
        for (ours, theirs, back) in [(&tree, &theirs, false), (&theirs, &tree, true)] {
            let found = trees(ours, theirs, &ground.scratch).unwrap();
            let kind = match kind {
                "only-in-candidate" if back => "only-in-rebuild",
                "only-in-rebuild" if back => "only-in-candidate",
                same => same,
            };
            let listed = found.listed();
            prop_assert!(listed.iter().any(|d| d.kind == kind && d.path == escaped(&path)), "{listed:?}");
        }
        // As images: packed, flattened, compared. What a pack leaves out can't be told of it.
        if change != Change::Attribute {
            let (ours, theirs) = (ground.image(&tree, 9, "run"), ground.image(&theirs, 9, "run"));
            let (level, found) = images((&ours.0, &ours.1), (&theirs.0, &theirs.1), &ground.scratch).unwrap();
            prop_assert_eq!(level, Level::Diverged);
            let listed = found.listed();
            prop_assert!(listed.iter().any(|d| d.kind == kind && d.path == escaped(&path)), "{listed:?}");
        }
    }
}

/// A tree as pieces of a layer that may stand in any order: each node for itself, an inode's names together.
fn pieces(tree: &Tree, scratch: &Scratch) -> Vec<Vec<u8>> {
    let mut seen = BTreeSet::new();
    let mut pieces = Vec::new();
    for (path, node) in tree {
        let one = |(p, n): &(&Vec<u8>, &Node)| if node.group == 0 { *p == path } else { n.group == node.group };
        if node.group != 0 && !seen.insert(node.group) {
            continue;
        }
        let piece: Tree = tree.iter().filter(one).map(|(p, n)| (p.clone(), n.clone())).collect();
        let mut tar = Vec::new();
        write_tar(&piece, scratch, i64::MAX, &mut tar).unwrap();
        tar.truncate(tar.len() - 1024);
        pieces.push(tar);
    }
    pieces
}

/// The image of these layers, each compressed in its own way.
fn layered(ground: &Ground, layers: &[(Vec<u8>, u8)]) -> (Image, Tree) {
    let (mut blobs, mut diff_ids) = (Vec::<Descriptor>::new(), Vec::new());
    for (tar, compression) in layers {
        let tar = [&tar[..], &[0; 1024]].concat();
        diff_ids.push(Digest::of(&tar));
        let (kind, bytes) = match compression {
            0 => (LAYER, tar),
            1 => {
                let mut gzip = Gzip::new(Vec::new(), 1);
                gzip.write_all(&tar).unwrap();
                (LAYER_GZIP, gzip.finish().unwrap().0)
            }
            _ => {
                // Two frames, and one that decoders pass over.
                let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
                let skipped = b"\x50\x2a\x4d\x18\x03\0\0\0abc".to_vec();
                (LAYER_ZSTD, [frame(&tar[..512]), skipped, frame(&tar[512..])].concat())
            }
        };
        blobs.push(ground.store.put(kind, &bytes).unwrap());
    }
    let config = ImageConfig {
        created: Some("2020-01-01T00:00:00Z".into()),
        architecture: "amd64".into(),
        os: "linux".into(),
        variant: None,
        config: RuntimeConfig { cmd: vec!["run".into()], ..RuntimeConfig::default() },
        rootfs: RootFs { kind: "layers".into(), diff_ids },
        history: vec!["words".into()],
    };
    let config = ground.store.put(CONFIG, &serde_json::to_vec(&config).unwrap()).unwrap();
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.into(),
        artifact_type: None,
        config,
        layers: blobs,
        subject: None,
        annotations: Default::default(),
    };
    let made = ground.store.put(MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap();
    let image = Image::open(&ground.store, &made.digest).unwrap();
    let tree = image.tree(&ground.store, &ground.scratch).unwrap();
    (image, tree)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn times_order_compression_and_a_split_over_layers_do_not_matter(
        seeds in seeds(),
        places in proptest::collection::vec((0..4usize, any::<u32>()), 64),
        compressions in proptest::collection::vec(0..3u8, 4),
        time in any::<i32>(),
        passing in 0..3usize,
    ) {
        let ground = Ground::new();
        let mut tree = grown(seeds, &ground.scratch);
        planted(&mut tree, &ground);
        // What a folder would inherit depends on the order, and is refused: that has a test of its own.
        let folders = tree.values_mut().filter(|node| node.kind == Kind::Folder);
        folders.for_each(|node| node.mode &= !0o2000);
        let ours = ground.image(&tree, 9, "run");
        tree = ours.1.clone();
        tree.values_mut().for_each(|node| node.mtime = time.into());
        let mut parts: Vec<_> = pieces(&tree, &ground.scratch).into_iter().zip(places.iter().cycle()).collect();
        parts.sort_by_key(|(_, (_, order))| *order);
        let mut layers: Vec<(Vec<u8>, u8)> = compressions.into_iter().map(|how| (Vec::new(), how)).collect();
        for (piece, (layer, _)) in parts {
            layers[*layer].0.extend(piece);
        }
        // What comes and goes again was never there.
        let passed = |name: &str| pieces(&[(name.into(), ground.file("passing"))].into(), &ground.scratch).concat();
        layers[passing].0.extend(passed("passing"));
        layers[passing + 1].0.extend(passed(".wh.passing"));
        let theirs = layered(&ground, &layers);
        let (level, found) = images((&ours.0, &ours.1), (&theirs.0, &theirs.1), &ground.scratch).unwrap();
        prop_assert_eq!((level, found.listed()), (Level::SameFilesystem, Vec::new()));
    }
}

use std::io::Cursor;

use proptest::prelude::*;

use super::*;
use crate::flatten::Flattener;
use crate::tree::arbitrary::{grown, seeds};

fn node(kind: Kind) -> Node {
    Node { kind, ..Node::implied() }
}

/// Something of everything.
fn sample(scratch: &Scratch) -> Tree {
    let file = |bytes: &[u8]| node(Kind::File(scratch.put(bytes).unwrap()));
    let mut tool = file(b"#!/bin/sh\n");
    tool.mode = 0o4755;
    tool.xattrs.insert(b"security.capability".to_vec(), b"\x01\0\0\n=".to_vec());
    let mut linked = file(b"linked");
    (linked.group, linked.uid, linked.mtime) = (1, 1 << 30, 5_000);
    linked.xattrs.insert(b"security.capability".to_vec(), b"linked".to_vec());
    let long = [b"d/".as_slice(), &[b'n'; 180]].concat();
    Tree::from([
        (b"d".to_vec(), node(Kind::Folder)),
        (b"d-tool".to_vec(), tool),
        (b"d/a".to_vec(), linked.clone()),
        (b"d/b".to_vec(), linked),
        (long, node(Kind::Symlink(vec![b't'; 120]))),
        (b"d/null".to_vec(), node(Kind::Char(1, 3))),
        (b"pipe\xff".to_vec(), node(Kind::Fifo)),
    ])
}

fn scratch() -> (tempfile::TempDir, Scratch) {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    (folder, scratch)
}

#[test]
fn the_bytes_of_format_2_are_fixed() {
    let (_folder, scratch) = scratch();
    let mut gzip = Gzip::new(Vec::new(), 1);
    write_tar(&sample(&scratch), &scratch, 1_000, &mut gzip).unwrap();
    let (bytes, diff_id) = gzip.finish().unwrap();
    assert_eq!(bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    assert_eq!(diff_id.hex(), "cbb7e57a14e937613bb3ac792602ecb9e81269140371eb26a452f1003fa94a62");
    assert_eq!(Digest::of(&bytes).hex(), "fdcd9f53daf9c56a85db26cad1e408046d44920e3c876efa662997d9d0152bca");
}

#[test]
fn the_number_of_threads_changes_no_byte() {
    let mut seed = 1u64;
    let mut plain = Vec::new();
    while plain.len() < 9 * MEMBER + 12_345 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        plain.extend_from_slice(format!("{} ", seed >> 50).as_bytes());
    }
    let packed = |threads| {
        let mut gzip = Gzip::new(Vec::new(), threads);
        gzip.write_all(&plain).unwrap();
        gzip.finish().unwrap()
    };
    let one = packed(1);
    assert!([2, 3, 16].into_iter().all(|threads| packed(threads) == one));
    let mut back = Vec::new();
    crate::archive::decompressed(&one.0[..], oci::LAYER_GZIP).unwrap().read_to_end(&mut back).unwrap();
    assert!(back == plain);
}

#[test]
fn what_does_not_fit_a_header_comes_back() {
    let (_folder, scratch) = scratch();
    let tree = sample(&scratch);
    let mut expected = tree.clone();
    expected.values_mut().for_each(|n| n.mtime = n.mtime.min(1_000));
    assert_eq!(round_trip(&tree, &scratch, 1_000), expected);
}

fn round_trip(tree: &Tree, scratch: &Scratch, source_date: i64) -> Tree {
    let mut tar = Vec::new();
    write_tar(tree, scratch, source_date, &mut tar).unwrap();
    let mut flattener = Flattener::new(scratch);
    flattener.apply(Cursor::new(tar), oci::LAYER, None).unwrap();
    flattener.finish()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_packed_tree_flattens_to_itself(
        seeds in seeds(),
        root in proptest::option::of(0..0o10000u32),
        source_date in prop_oneof![Just(i64::MAX), 0..2_000i64],
    ) {
        let (_folder, scratch) = scratch();
        let mut tree = grown(seeds, &scratch);
        // Every container has a root folder of its own: that of the tree is not packed.
        tree.extend(root.map(|mode| (Vec::new(), Node { mode, uid: 7, ..Node::implied() })));
        let mut expected = tree.clone();
        expected.remove(&b""[..]);
        for node in expected.values_mut() {
            node.mtime = node.mtime.min(source_date);
            node.xattrs.retain(|name, _| XATTRS.contains(&&name[..]));
        }
        let flat = round_trip(&tree, &scratch, source_date);
        prop_assert_eq!(&flat, &expected);
        // And once more: the same bytes, so the same image.
        let tar = |tree: &Tree| {
            let mut tar = Vec::new();
            write_tar(tree, &scratch, source_date, &mut tar).map(|()| tar).unwrap()
        };
        prop_assert!(tar(&tree) == tar(&flat));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_layer_is_read_or_refused_in_few_words(
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        end in any::<prop::sample::Index>(),
        seal in any::<bool>(),
    ) {
        let (_folder, scratch) = scratch();
        let mut tar = Vec::new();
        write_tar(&sample(&scratch), &scratch, 1_000, &mut tar).unwrap();
        for (at, byte) in damage {
            let at = at.index(tar.len());
            tar[at] = byte;
            // A checksum that is right again lets the damage through to what comes after it.
            if seal && let Ok(block) = <&mut [u8; 512]>::try_from(&mut tar[at / 512 * 512..][..512]) {
                let kind = block[156];
                sealed(block, kind);
            }
        }
        tar.truncate(if seal { tar.len() } else { end.index(tar.len()) });
        if let Err(error) = Flattener::new(&scratch).apply(&tar[..], oci::LAYER, None) {
            prop_assert!(error.to_string().len() < 1_000);
        }
    }
}

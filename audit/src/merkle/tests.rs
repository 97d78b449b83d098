use std::convert::Infallible;

use proptest::prelude::*;
use tlog_tiles::{Hash as TheirHash, HashReader};

use super::*;
use crate::edge::{self, Edge};

/// Trees of up to this many entries: a little more than one full tile of level 1 would be too slow, and two tiles do.
const ENTRIES: u64 = 600;

fn leaves(size: u64) -> Vec<TreeHash> {
    (0..size).map(|n| TreeHash::leaf(&n.to_be_bytes())).collect()
}

/// Inner hashes by their definition: over all the leaves below.
fn nodes(leaves: &[TreeHash]) -> impl FnMut(u32, u64) -> Result<TreeHash, Infallible> {
    move |height, n| {
        let width = 1 << height;
        let from = n as usize * width;
        Ok(edge::over(&leaves[from..from + width]))
    }
}

fn root_of(leaves: &[TreeHash]) -> TreeHash {
    root(leaves.len() as u64, &mut nodes(leaves)).unwrap()
}

/// The other implementation's storage: every complete subtree's hash, in its order.
struct Stored(Vec<TheirHash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<TheirHash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|n| self.0[*n as usize]).collect())
    }
}

fn stored(leaves: &[TreeHash]) -> Stored {
    let mut stored = Stored(Vec::new());
    for (n, leaf) in leaves.iter().enumerate() {
        let more = tlog_tiles::stored_hashes_for_record_hash(n as u64, theirs(leaf), &stored).unwrap();
        stored.0.extend(more);
    }
    stored
}

fn theirs(hash: &TreeHash) -> TheirHash {
    TheirHash(*hash.raw())
}

fn ours(hashes: &[TheirHash]) -> Vec<TreeHash> {
    hashes.iter().map(|h| TreeHash::from_raw(h.0)).collect()
}

#[test]
fn the_hashes_are_those_of_rfc_6962() {
    let hex = |h: TreeHash| artifact::digest::hex(h.raw());
    assert_eq!(hex(TreeHash::empty()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(hex(TreeHash::leaf(b"")), "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    assert_eq!(
        hex(TreeHash::node(&TreeHash::from_raw([0; 32]), &TreeHash::from_raw([0; 32]))),
        artifact::Digest::of(&[&[1][..], &[0; 64][..]].concat()).hex()
    );
}

#[test]
fn a_hash_has_one_spelling() {
    let text = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
    assert_eq!(TreeHash::empty().to_string(), text);
    assert_eq!(text.parse::<TreeHash>().unwrap(), TreeHash::empty());
    for wrong in [&text[..43], "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=", &format!("{text}\n"), &text[4..]] {
        assert!(wrong.parse::<TreeHash>().is_err(), "{wrong:?}");
    }
}

#[test]
fn the_edge_knows_every_root_and_completes_every_tile() {
    let all = leaves(ENTRIES);
    let (mut edge, mut completed) = (Edge::default(), Vec::new());
    for size in 0..=ENTRIES {
        let known = &all[..size as usize];
        assert_eq!(edge.root(), root_of(known), "{size}");
        if let Some(leaf) = all.get(size as usize) {
            completed.extend(edge.push(*leaf));
        }
    }
    assert_eq!(completed, [(0, 0, all[..256].to_vec()), (0, 1, all[256..512].to_vec())]);
    let level_1 = vec![edge::over(&all[..256]), edge::over(&all[256..512])];
    assert_eq!(edge.partials().collect::<Vec<_>>(), [(0, 2, all[512..].to_vec()), (1, 0, level_1)]);
}

#[test]
fn every_proof_of_small_trees_holds_and_only_where_it_should() {
    let all = leaves(20);
    let roots: Vec<_> = (0..=20).map(|n| root_of(&all[..n])).collect();
    for size in 1..=20_u64 {
        let known = &all[..size as usize];
        for index in 0..size {
            let proof = prove_inclusion(index, size, &mut nodes(known)).unwrap();
            for (other_size, other_index) in (0..=20).flat_map(|s| (0..20).map(move |i| (s, i))) {
                let leaf = &all[index as usize];
                let held = verify_inclusion(leaf, other_index, other_size, &proof, &roots[other_size as usize]).is_ok();
                assert_eq!(held, (other_size, other_index) == (size, index), "{index} of {size}");
            }
        }
        for old in 0..=size {
            let proof = prove_consistency(old, size, &mut nodes(known)).unwrap();
            for (from, to) in (0..=20_u64).flat_map(|from| (0..=20_u64).map(move |to| (from, to))) {
                let (from_root, to_root) = (&roots[from as usize], &roots[to as usize]);
                let held = verify_consistency((from, from_root), (to, to_root), &proof).is_ok();
                let trivial = proof.is_empty() && from <= to && (from == 0 || from == to);
                assert_eq!(held, trivial || (from, to) == (old, size), "{old} of {size} for {from} of {to}");
            }
        }
    }
}

#[test]
fn an_empty_tree_has_one_root() {
    let (wrong, none) = (TreeHash::leaf(b""), TreeHash::empty());
    assert!(verify_consistency((0, &none), (3, &wrong), &[]).is_ok());
    assert!(verify_consistency((0, &wrong), (3, &wrong), &[]).is_err());
    assert!(verify_consistency((0, &wrong), (0, &wrong), &[]).is_err());
    assert!(verify_inclusion(&wrong, 0, 0, &[], &wrong).is_err());
    assert!(verify_inclusion(&wrong, 0, SIZE_LIMIT + 1, &[], &wrong).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn proofs_are_those_of_the_other_implementation(size in 1..ENTRIES, a in 0..ENTRIES, flip in 0..64_usize) {
        let all = leaves(size);
        let (index, their_store, our_root) = (a % size, stored(&all), root_of(&all));
        prop_assert_eq!(tlog_tiles::tree_hash(size, &their_store).unwrap(), theirs(&our_root));

        let mut inclusion = prove_inclusion(index, size, &mut nodes(&all)).unwrap();
        prop_assert_eq!(&inclusion, &ours(&tlog_tiles::prove_record(size, index, &their_store).unwrap()));
        let leaf = all[index as usize];
        prop_assert!(verify_inclusion(&leaf, index, size, &inclusion, &our_root).is_ok());
        change(&mut inclusion, flip);
        prop_assert!(verify_inclusion(&leaf, index, size, &inclusion, &our_root).is_err());

        let old = index + 1;
        let old_root = root_of(&all[..old as usize]);
        let mut consistency = prove_consistency(old, size, &mut nodes(&all)).unwrap();
        prop_assert_eq!(&consistency, &ours(&tlog_tiles::prove_tree(size, old, &their_store).unwrap()));
        prop_assert!(verify_consistency((old, &old_root), (size, &our_root), &consistency).is_ok());
        change(&mut consistency, flip);
        prop_assert!(verify_consistency((old, &old_root), (size, &our_root), &consistency).is_err());
    }
}

/// Drops, adds or changes a hash.
fn change(proof: &mut Vec<TreeHash>, how: usize) {
    match (proof.len(), how % 3) {
        (0, _) => proof.push(TreeHash::empty()),
        (n, 0) => drop(proof.remove(how % n)),
        (n, 1) => proof.insert(how % (n + 1), TreeHash::empty()),
        (n, _) => {
            let mut raw = *proof[how % n].raw();
            raw[how % 32] ^= 1;
            proof[how % n] = TreeHash::from_raw(raw);
        }
    }
}

//! Trees of everything that a tree can hold, for properties.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{CAPABILITY, Kind, Node, Scratch, Tree, number_groups, parents};

/// What a node is made of.
#[derive(Debug, Clone)]
pub struct Seed {
    path: Vec<u8>,
    kind: u8,
    mode: u32,
    id: u64,
    mtime: i64,
    /// Non-zero: one more name of what has this number already.
    group: u64,
    capability: Option<Vec<u8>>,
    other: bool,
}

/// Of what trees grow: short names that collide, long ones, some that are no text, at most 250 bytes each.
pub fn seeds() -> impl Strategy<Value = Vec<Seed>> {
    let byte = prop::sample::select(vec![b'a', b'-', 0xc3, 0xff, b'0', b' ', b'\n', b'\\', b'=']);
    let part = prop_oneof![
        4 => prop::sample::select(vec!["a", "a-b", "b", "a.b", "ä"]).prop_map(|name| name.as_bytes().to_vec()),
        1 => vec(byte, 1..250),
    ];
    let path = vec(part, 1..7).prop_map(|parts| parts.join(&b'/'));
    let mtime = prop_oneof![-9_999_999_999..i64::MAX, 0..2_000i64];
    let capability = proptest::option::weighted(0.2, vec(any::<u8>(), 0..40));
    let id = prop_oneof![0..3u64, any::<u64>()];
    let seed = (path, 0..7u8, 0..0o10000u32, id, mtime, 0..4u64, capability, any::<bool>());
    let seed = seed.prop_map(|(path, kind, mode, id, mtime, group, capability, other)| Seed {
        path,
        kind,
        mode,
        id,
        mtime,
        group,
        capability,
        other,
    });
    vec(seed, 0..16)
}

/// Lets a tree grow; its groups are numbered.
pub fn grown(seeds: Vec<Seed>, scratch: &Scratch) -> Tree {
    let mut tree = Tree::new();
    for seed in seeds {
        let path = seed.path;
        let blocked = parents(&path).any(|p| tree.get(p).is_some_and(|n: &Node| n.kind != Kind::Folder));
        if blocked || tree.contains_key(&path) {
            continue;
        }
        for parent in parents(&path) {
            tree.entry(parent.to_vec()).or_insert_with(Node::implied);
        }
        let kind = match seed.kind {
            0 => Kind::Folder,
            1 => Kind::Symlink(path[..path.len().min(2000)].repeat(2)),
            2 => Kind::Block(seed.mode, 7),
            3 => Kind::Char(7, seed.mode),
            4 => Kind::Fifo,
            _ => Kind::File(scratch.put(&path[..]).unwrap()),
        };
        let mut node =
            Node { kind, mode: seed.mode, uid: seed.id, gid: seed.id >> 40, mtime: seed.mtime, ..Node::implied() };
        node.xattrs.extend(seed.capability.map(|value| (CAPABILITY.to_vec(), value)));
        if seed.other {
            node.xattrs.insert(b"user.note".to_vec(), b"x\ny=z".to_vec());
        }
        if let Some(same) = tree.values().find(|n| seed.group != 0 && n.group == seed.group) {
            node = same.clone();
        } else if node.kind != Kind::Folder {
            node.group = seed.group;
        }
        tree.insert(path, node);
    }
    number_groups(&mut tree);
    tree
}

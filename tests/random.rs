//! Random images, a layer at a time, of everything that layers do to one another. What a layer says depends on what is
//! below: it is made beside a small model of that.

use std::collections::{BTreeMap, BTreeSet};

use builder::tree::parents;

/// The right to bind low ports: version 2, effective at once.
pub const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const NAMES: [&str; 7] = [
    "a",
    "b",
    "a-b",
    "a.b",
    "é",
    "c",
    "a long name, longer than the hundred bytes that a header \
    has room for, so that it takes an extended one to say it all",
];

/// Numbers from a seed: SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())].clone()
    }
}

/// What the model knows of a path.
#[derive(Clone, Default)]
struct Thing {
    folder: bool,
    symlink: bool,
    mode: u32,
    owner: (u64, u64),
    attributes: Vec<(&'static str, &'static [u8])>,
}

/// What is there after the layers so far.
#[derive(Clone, Default)]
pub struct Model {
    things: BTreeMap<String, Thing>,
}

/// A layer on its way.
struct Layer {
    tar: tar::Builder<Vec<u8>>,
    words: String,
    /// What this layer has put there; `false` when it is no folder.
    own: BTreeMap<String, bool>,
    /// Its folders that no entry describes.
    implied: BTreeSet<String>,
    hidden: BTreeSet<String>,
    linked: BTreeSet<String>,
}

impl Model {
    /// The next layer, and what is in it in words. As root there are owners, devices and capabilities in it.
    pub fn layer(&mut self, dice: &mut Dice, root: bool) -> (Vec<u8>, String) {
        let mut layer = Layer {
            tar: tar::Builder::new(Vec::new()),
            words: String::new(),
            own: BTreeMap::new(),
            implied: BTreeSet::new(),
            hidden: BTreeSet::new(),
            linked: BTreeSet::new(),
        };
        for _ in 0..3 + dice.roll(8) {
            match dice.roll(10) {
                0..5 => self.add(&mut layer, dice, root),
                5..7 => self.link(&mut layer, dice),
                7..9 => self.whiteout(&mut layer, dice),
                _ => self.opaque(&mut layer, dice),
            }
        }
        (layer.tar.into_inner().unwrap(), layer.words)
    }

    /// A path that something may be put at, sometimes in folders that no entry describes.
    fn place(&self, layer: &Layer, dice: &mut Dice) -> Option<String> {
        let folders = self.things.iter().filter(|(_, thing)| thing.folder).map(|(path, _)| path.clone() + "/");
        let folders: Vec<String> = folders.chain([String::new()]).collect();
        let mut path = dice.one(&folders) + dice.one(&NAMES);
        // In a set-group-id folder each folder wants an entry of its own.
        let above = path.rsplit_once('/').and_then(|(folder, _)| self.things.get(folder));
        let setgid = above.is_some_and(|thing| thing.mode & 0o2000 != 0);
        if dice.roll(6) == 0 && !setgid && !self.things.contains_key(&path) {
            path = path + "/" + dice.one(&NAMES);
        }
        let hidden = parents(path.as_bytes()).any(|parent| layer.hidden.iter().any(|h| h.as_bytes() == parent));
        let blocked =
            parents(path.as_bytes()).any(|parent| layer.own.iter().any(|(p, f)| p.as_bytes() == parent && !f));
        (!hidden && !blocked && path.matches('/').count() < 4).then_some(path)
    }

    fn put(&mut self, layer: &mut Layer, path: &str, thing: Thing) {
        if !thing.folder {
            self.remove_below(path);
        }
        for parent in parents(path.as_bytes()) {
            let parent = String::from_utf8(parent.to_vec()).unwrap();
            let implied = Thing { folder: true, mode: 0o755, ..Thing::default() };
            self.things.entry(parent.clone()).or_insert(implied);
            if layer.own.insert(parent.clone(), true).is_none() {
                layer.implied.insert(parent);
            }
        }
        layer.implied.remove(path);
        layer.own.insert(path.to_owned(), thing.folder);
        self.things.insert(path.to_owned(), thing);
    }

    fn remove_below(&mut self, path: &str) {
        let first = format!("{path}/");
        self.things.retain(|p, _| !p.starts_with(&first));
    }

    fn add(&mut self, layer: &mut Layer, dice: &mut Dice, root: bool) {
        let Some(path) = self.place(layer, dice) else { return };
        let only_folder = layer.own.get(&path) == Some(&true);
        let only_file = layer.hidden.contains(&path) || layer.own.get(&path) == Some(&false);
        let kind = match dice.roll(if root { 20 } else { 17 }) {
            _ if only_folder => tar::EntryType::Directory,
            0..6 if !only_file => tar::EntryType::Directory,
            0..13 => tar::EntryType::Regular,
            13..16 => tar::EntryType::Symlink,
            16 => tar::EntryType::Fifo,
            17..19 => tar::EntryType::Char,
            _ => tar::EntryType::Block,
        };
        let mut thing = Thing { folder: kind.is_dir(), symlink: kind.is_symlink(), ..Thing::default() };
        thing.mode = if root {
            dice.one(&[0o644, 0o755, 0o4755, 0o2755, 0o6711, 0o1777, 0o600, 0o000])
        } else {
            dice.one(&[0o644, 0o755, 0o4755, 0o2755, 0o1777, 0o600, 0o400]) | if thing.folder { 0o700 } else { 0 }
        };
        if root {
            thing.owner = (dice.one(&[0, 0, 1, 1000, 65_534, 3_000_000]), dice.one(&[0, 0, 8, 100_000]));
        }
        if kind.is_file() && root && dice.roll(4) == 0 {
            thing.attributes.push(("security.capability", &CAPABILITY));
        }
        // Only root may give one to a file that nobody may write.
        if kind.is_file() && (root || thing.mode & 0o200 != 0) && dice.roll(5) == 0 {
            thing.attributes.push(("user.note", b"a=b\nc"));
        }
        let content = match kind.is_file() {
            true => dice.one(&["", "one", "two", "three"]).repeat(dice.one(&[1, 1, 500])),
            false => String::new(),
        };
        let target = dice.one(&["a", "../b", "/etc/passwd", "nowhere/../..", "é"]);
        let minor = dice.roll(4) as u32;
        self.write(layer, &path, kind, &thing, |header, tar| {
            if kind.is_symlink() {
                return tar.append_link(header, &path, target).unwrap();
            }
            if kind.is_character_special() || kind.is_block_special() {
                header.set_device_major(1).unwrap();
                header.set_device_minor(minor).unwrap();
            }
            header.set_size(content.len() as u64);
            tar.append_data(header, &path, content.as_bytes()).unwrap();
        });
        layer.words += &format!("  {path}: {kind:?} {:04o} {:?} {:?}\n", thing.mode, thing.owner, thing.attributes);
        self.put(layer, &path, thing);
    }

    fn write(
        &self,
        layer: &mut Layer,
        path: &str,
        kind: tar::EntryType,
        thing: &Thing,
        append: impl FnOnce(&mut tar::Header, &mut tar::Builder<Vec<u8>>),
    ) {
        let records: Vec<_> = thing.attributes.iter().map(|(n, v)| (format!("SCHILY.xattr.{n}"), *v)).collect();
        layer.tar.append_pax_extensions(records.iter().map(|(n, v)| (n.as_str(), *v))).unwrap();
        let mut header = if path.len().is_multiple_of(2) { tar::Header::new_ustar() } else { tar::Header::new_gnu() };
        header.set_entry_type(kind);
        header.set_mode(if thing.symlink { 0o777 } else { thing.mode });
        header.set_uid(thing.owner.0);
        header.set_gid(thing.owner.1);
        header.set_size(0);
        header.set_mtime(1_600_000_000);
        append(&mut header, &mut layer.tar);
    }

    fn link(&mut self, layer: &mut Layer, dice: &mut Dice) {
        let targets: Vec<String> = self.things.iter().filter(|(_, t)| !t.folder).map(|(p, _)| p.clone()).collect();
        let (Some(path), false) = (self.place(layer, dice), targets.is_empty()) else { return };
        let target = dice.one(&targets);
        let folder = layer.own.get(&path) == Some(&true);
        if folder || target == path || target.starts_with(&format!("{path}/")) {
            return;
        }
        let thing = self.things[&target].clone();
        self.write(layer, &path, tar::EntryType::Link, &thing, |header, tar| {
            tar.append_link(header, &path, &target).unwrap();
        });
        layer.words += &format!("  {path}: hard link to {target}\n");
        self.put(layer, &path, thing);
        layer.linked.insert(target);
    }

    /// What the layers below have put there, and this one has not touched.
    fn lower(&self, layer: &Layer, of: impl Fn(&Thing) -> bool) -> Vec<String> {
        let free = |path: &str| {
            let below = format!("{path}/");
            !layer.own.contains_key(path) && !layer.linked.iter().any(|l| l == path || l.starts_with(&below))
        };
        self.things.iter().filter(|(path, thing)| of(thing) && free(path)).map(|(path, _)| path.clone()).collect()
    }

    fn special(&self, layer: &mut Layer, path: &str) {
        let mut header = tar::Header::new_ustar();
        header.set_size(0);
        header.set_mode(0);
        layer.tar.append_data(&mut header, path, &b""[..]).unwrap();
        layer.words += &format!("  {path}\n");
    }

    fn whiteout(&mut self, layer: &mut Layer, dice: &mut Dice) {
        let free = self.lower(layer, |_| true);
        if free.is_empty() {
            return;
        }
        let path = dice.one(&free);
        let (folder, name) = path.rsplit_once('/').map_or(("", &path[..]), |(folder, name)| (folder, name));
        let slash = if folder.is_empty() { "" } else { "/" };
        self.special(layer, &format!("{folder}{slash}.wh.{name}"));
        self.remove_below(&path);
        self.things.remove(&path);
        layer.hidden.insert(path);
    }

    fn opaque(&mut self, layer: &mut Layer, dice: &mut Dice) {
        let folders: Vec<String> = self.things.iter().filter(|(_, t)| t.folder).map(|(p, _)| p.clone()).collect();
        if folders.is_empty() {
            return;
        }
        let folder = dice.one(&folders);
        let below = format!("{folder}/");
        if [&layer.implied, &layer.linked].iter().any(|paths| paths.iter().any(|p| p.starts_with(&below))) {
            return;
        }
        self.special(layer, &format!("{folder}/.wh..wh..opq"));
        self.things.retain(|path, _| !path.starts_with(&below) || layer.own.contains_key(path));
    }
}

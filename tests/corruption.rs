//! Corruption: every byte of a small log and of a release changed, a seeded sample of a large one; files missing, swapped,
//! cut, of another kind or from yesterday. It is found, and what is not looked at is said.

pub mod forged;
mod keys;
mod large;
mod log;
mod open;
mod programs;
mod registry;
mod release;
pub(crate) mod scene;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// The ways in which one byte is changed: its lowest bit, its highest, and for a letter its case.
fn flips(byte: u8) -> Vec<u8> {
    let mut flips = vec![byte ^ 0x01, byte ^ 0x80];
    if byte.is_ascii_alphabetic() {
        flips.push(byte ^ 0x20);
    }
    flips
}

/// Every file below a folder, by its path in it, in order.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    fn walk(folder: &Path, below: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder.join(below)).unwrap().map(Result::unwrap) {
            let name = below.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => walk(folder, &name, found),
                false => found.push(name.to_str().unwrap().to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, Path::new(""), &mut found);
    found.sort();
    assert!(!found.is_empty(), "{}", folder.display());
    found
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for name in files(from) {
        let to = to.join(&name);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(from.join(&name), to).unwrap();
    }
}

/// A file of which one byte at a time is changed, in place. The last change is undone when it goes.
struct Flipped {
    file: File,
    bytes: Vec<u8>,
}

impl Flipped {
    fn new(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        Self { file: OpenOptions::new().write(true).open(path).unwrap(), bytes }
    }

    /// Tries every change of these bytes, one at a time, and says how many there were.
    fn each(&self, places: impl IntoIterator<Item = usize>, mut tried: impl FnMut(&str)) -> usize {
        let mut count = 0;
        for at in places {
            for flip in flips(self.bytes[at]) {
                self.file.write_all_at(&[flip], at as u64).unwrap();
                tried(&format!("byte {at}: {:#04x} for {:#04x}", flip, self.bytes[at]));
                count += 1;
            }
            self.file.write_all_at(&self.bytes[at..=at], at as u64).unwrap();
        }
        count
    }
}

impl Drop for Flipped {
    fn drop(&mut self) {
        // After a failed assertion the byte is still changed.
        let _ = self.file.write_all_at(&self.bytes, 0);
    }
}

/// Damage to a folder, undone when it goes.
pub(crate) struct Damage<'a> {
    folder: &'a Path,
    before: Vec<(PathBuf, Option<Vec<u8>>)>,
}

impl<'a> Damage<'a> {
    pub(crate) fn of(folder: &'a Path) -> Self {
        Self { folder, before: Vec::new() }
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap()
    }

    /// Takes a file away.
    pub(crate) fn remove(&mut self, name: &str) -> PathBuf {
        let path = self.folder.join(name);
        self.before.push((path.clone(), fs::read(&path).ok()));
        let _ = fs::remove_file(&path);
        path
    }

    pub(crate) fn write(&mut self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.remove(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    pub(crate) fn swap(&mut self, one: &str, other: &str) {
        let (left, right) = (self.read(one), self.read(other));
        assert_ne!(left, right, "{one} and {other}");
        self.write(one, right);
        self.write(other, left);
    }

    /// Puts something else in a file's place.
    fn instead(&mut self, name: &str, thing: &Thing) {
        let bytes = self.read(name);
        let path = self.remove(name);
        match thing {
            Thing::Folder => fs::create_dir(path).unwrap(),
            Thing::LinkToNothing => std::os::unix::fs::symlink("nowhere", path).unwrap(),
            Thing::LinkToTheSame => {
                let aside = format!("{name}.aside");
                self.write(&aside, bytes);
                std::os::unix::fs::symlink(self.folder.join(aside), path).unwrap();
            }
            Thing::LinkToADevice => std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
            Thing::Pipe => rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::from_raw_mode(0o644)).unwrap(),
        }
    }
}

impl Drop for Damage<'_> {
    fn drop(&mut self) {
        for (path, bytes) in self.before.drain(..).rev() {
            let _ = fs::remove_file(&path);
            let _ = fs::remove_dir(&path);
            if let Some(bytes) = bytes {
                let _ = fs::write(path, bytes);
            }
        }
    }
}

/// What can stand in a file's place.
#[derive(Debug)]
enum Thing {
    Folder,
    LinkToNothing,
    LinkToTheSame,
    LinkToADevice,
    Pipe,
}

const THINGS: [Thing; 5] =
    [Thing::Folder, Thing::LinkToNothing, Thing::LinkToTheSame, Thing::LinkToADevice, Thing::Pipe];

/// Numbers that look random and come again with the same seed (xorshift64*).
pub struct Sample(u64);

impl Sample {
    /// Seeded by `COUNTERSIGN_SEED`, or by the clock; it is printed, so that a failure can be had again.
    pub fn new(what: &str) -> Self {
        let clock = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let given = std::env::var("COUNTERSIGN_SEED").ok();
        let seed = given.map(|s| s.parse().expect("COUNTERSIGN_SEED is a number")).unwrap_or_else(clock);
        println!("{what}: COUNTERSIGN_SEED={seed}");
        Self(seed | 1)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }

    pub fn of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

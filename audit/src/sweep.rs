//! What else lies in a log's folder: older partial tiles, which readers at an older size ask for, and what is no part of
//! the log. The first are verified; of the second it is said that they are there.

use std::fs;
use std::io;
use std::path::Path;

use crate::reader::LogError;
use crate::tile;
use crate::tiles::{self, Tiles};

/// How many files are named that are no part of the log; of the others it is said how many there are.
const NAMED: usize = 10;

/// What a folder holds that no entry accounts for.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// The paths of the first few, in the folder.
    pub strays: Vec<String>,
    /// How many more there are.
    pub more: u64,
    /// How many bodies lie in files of their own.
    pub bodies: u64,
}

/// Looks at every file of a log's folder. What an older partial tile or bundle has must be what the present one begins
/// with; the present ones themselves are the reader's to verify.
///
/// # Errors
/// An older one that says something else, or a folder that can't be listed.
pub(crate) fn sweep(folder: &Path, size: u64) -> Result<Swept, LogError> {
    let mut swept = Swept::default();
    let tiles = Tiles::new(folder, size);
    walk(folder, "", &mut |name| {
        let known = match Part::parse(name) {
            Some(part) => part.check(&tiles, folder, name)?,
            None => name == tile::CHECKPOINT || is_body(name) || is_pack(name, size),
        };
        match known {
            true => swept.bodies += u64::from(is_body(name)),
            false if swept.strays.len() < NAMED => swept.strays.push(name.to_owned()),
            false => swept.more += 1,
        }
        Ok(())
    })?;
    swept.strays.sort_unstable();
    Ok(swept)
}

/// Hands every file below a folder to `each`, by its path in it. Links are not followed.
fn walk(folder: &Path, below: &str, each: &mut dyn FnMut(&str) -> Result<(), LogError>) -> Result<(), LogError> {
    let path = folder.join(below);
    let failed = |cause| LogError::Io { path: path.clone(), cause };
    let listed = match fs::read_dir(&path) {
        // A keeper takes partial tiles away when the full one is there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        listed => listed.map_err(failed)?,
    };
    for entry in listed {
        let entry = entry.map_err(failed)?;
        let own = entry.file_name();
        let name = Path::new(below).join(&own).to_string_lossy().into_owned();
        // A folder whose name is no text is no part of the log, whatever is in it.
        let is_folder = own.to_str().is_some() && entry.file_type().map_err(failed)?.is_dir();
        match is_folder {
            true => walk(folder, &name, each)?,
            false => each(&name)?,
        }
    }
    Ok(())
}

fn is_body(name: &str) -> bool {
    let hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix("body/").is_some_and(|name| name.len() == 64 && name.bytes().all(hex))
}

/// A pack of a bundle that is full at this size: the reader's to verify.
fn is_pack(name: &str, size: u64) -> bool {
    let Some(number) = name.strip_prefix("body/") else { return false };
    let n = number.replace(['/', 'x'], "").parse::<u64>();
    n.is_ok_and(|n| tile::pack_path(n) == name && n < size / tile::WIDTH as u64)
}

/// A tile, or a bundle of entries, by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part {
    /// `None`: a bundle.
    level: Option<u32>,
    n: u64,
    width: usize,
}

impl Part {
    fn parse(name: &str) -> Option<Self> {
        let (level, rest) = name.strip_prefix("tile/")?.split_once('/')?;
        let level = if level == "entries" { None } else { Some(level.parse().ok()?) };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, width.parse().ok().filter(|w| (1..tile::WIDTH).contains(w))?),
            None => (rest, tile::WIDTH),
        };
        let digits = number.replace(['/', 'x'], "");
        let part = Self { level, n: digits.parse().ok()?, width };
        // Print again, compare: one spelling.
        (part.path() == name).then_some(part)
    }

    fn path(&self) -> String {
        match self.level {
            Some(level) => tile::path(level, self.n, self.width),
            None => tile::bundle_path(self.n, self.width),
        }
    }

    /// Whether it is a part of the log at this size; an older one is verified.
    fn check(&self, tiles: &Tiles, folder: &Path, name: &str) -> Result<bool, LogError> {
        let present = tile::width(self.level.unwrap_or(0), self.n, tiles.size());
        if self.width >= present {
            return Ok(self.width == present);
        }
        let path = folder.join(name);
        let limit = if self.level.is_some() { tile::TILE_LIMIT } else { tile::BUNDLE_LIMIT };
        let Some(bytes) = tiles::read(&path, limit)? else { return Ok(true) };
        let (now, same) = match self.level {
            Some(level) => {
                let (now, hashes) = tiles.hashes(level, self.n)?;
                (now, tile::hashes_from_bytes(&bytes, self.width).is_some_and(|old| hashes.starts_with(&old)))
            }
            None => {
                let (now, entries) = tiles.bundle(self.n)?;
                (now, tile::bundle_from_bytes(&bytes, self.width).is_some_and(|old| entries.starts_with(&old)))
            }
        };
        let what = || format!("not what {} begins with: one of the two was changed", now.display());
        if same { Ok(true) } else { Err(tiles::broken(&path, what())) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_has_one_name() {
        for (level, n, width) in [(Some(0), 0, 256), (None, 0, 1), (Some(1), 1_234_067, 17), (None, 999_999, 256)] {
            let part = Part { level, n, width };
            assert_eq!(Part::parse(&part.path()), Some(part));
        }
        for wrong in [
            "tile/0/0",
            "tile/00/000",
            "tile/+0/000",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/07",
            "tile/0/x000/001",
            "tile/0/001/001",
            "tile/0/000.part",
            "tile/entries/0x0",
            "tile/x/000",
            "tile/0/",
        ] {
            assert_eq!(Part::parse(wrong), None, "{wrong}");
        }
    }
}

//! A log's files as scripts: one for each bundle with its tile and its bodies, and one for the checkpoint and the upper
//! tiles. A script gives the raw bytes, in base64, to the page that asked for it.

use std::collections::BTreeMap;
use std::path::Path;

use artifact::digest::Base64;
use audit::checkpoint::SignedCheckpoint;
use audit::edge::{Edge, Tile};
use audit::leaf::Leaf;
use audit::merkle::TreeHash;
use audit::pack::{self, Salted};
use audit::reader::{Content, Entry, Log, LogError};
use audit::tile::{self, WIDTH};

use super::folder::{Folder, PARTS};

/// A failure to write: an exit status and a text for a person.
type Failed = (u8, String);

/// How many parts a log of this size has, beside the one with its checkpoint.
pub(super) fn count(size: u64) -> u64 {
    size.div_ceil(WIDTH as u64)
}

/// Reads a log as it is under this checkpoint, verifies it again, and writes its parts. They count once the checkpoint stands
/// in a page.
///
/// # Errors
/// The disk does not write. Inside: the log is not what was recorded.
pub(super) fn write(
    log: &Path,
    checkpoint: &SignedCheckpoint,
    folder: &Folder<'_>,
) -> Result<Result<(), LogError>, Failed> {
    let start = Parts {
        folder,
        edge: Edge::default(),
        leaves: Vec::new(),
        bodies: Vec::new(),
        upper: Files::new(),
        failed: None,
    };
    let (log, mut parts) = match Log::fold_at(log, checkpoint.clone(), start, Parts::take) {
        Ok(read) => read,
        Err(e) => return Ok(Err(e)),
    };
    parts.finish(log.checkpoint())?;
    Ok(Ok(()))
}

/// Files of the log by their paths in it.
type Files = BTreeMap<String, Base64>;

/// What was not written yet.
struct Parts<'a> {
    folder: &'a Folder<'a>,
    edge: Edge,
    leaves: Vec<Vec<u8>>,
    bodies: Vec<Option<Salted>>,
    upper: Files,
    failed: Option<Failed>,
}

impl Parts<'_> {
    fn take(&mut self, entry: Entry) {
        let leaf = entry.leaf();
        self.bodies.push(match entry.content {
            Content::Ours { bytes, salt, .. } => Some((salt, bytes)),
            Content::Rekor(_) | Content::Forgotten(_) => None,
        });
        let completed = self.edge.push(TreeHash::leaf(&leaf));
        self.leaves.push(leaf);
        for (level, n, hashes) in completed {
            match level {
                0 => self.end(n, &(level, n, hashes)),
                _ => self.keep(&(level, n, hashes)),
            }
        }
    }

    fn keep(&mut self, (level, n, hashes): &Tile) {
        self.upper.insert(tile::path(*level, *n, hashes.len()), Base64(tile::hashes_to_bytes(hashes)));
    }

    /// A bundle's end: its part is written.
    fn end(&mut self, n: u64, (level, _, hashes): &Tile) {
        let leaves = std::mem::take(&mut self.leaves);
        let mut files = bodies(n, &leaves, std::mem::take(&mut self.bodies));
        files.insert(tile::path(*level, n, hashes.len()), Base64(tile::hashes_to_bytes(hashes)));
        files.insert(tile::bundle_path(n, leaves.len()), Base64(tile::bundle_to_bytes(&leaves)));
        let written = if self.failed.is_none() { self.put(&n.to_string(), &files) } else { Ok(()) };
        self.failed = self.failed.take().or(written.err());
    }

    fn finish(&mut self, checkpoint: &SignedCheckpoint) -> Result<(), Failed> {
        let partials: Vec<Tile> = self.edge.partials().collect();
        for tile in &partials {
            match tile {
                (0, n, _) => self.end(*n, tile),
                _ => self.keep(tile),
            }
        }
        if let Some(failed) = self.failed.take() {
            return Err(failed);
        }
        let mut upper = std::mem::take(&mut self.upper);
        upper.insert(tile::CHECKPOINT.to_owned(), Base64(checkpoint.note().as_bytes().to_vec()));
        self.put("log", &upper)
    }

    fn put(&self, name: &str, files: &Files) -> Result<(), Failed> {
        let files = serde_json::to_string(files).map_err(|e| (3, e.to_string()))?;
        self.folder.put(&format!("{PARTS}/{name}.js"), &format!("countersign({name:?}, {files});\n"))
    }
}

/// The bodies of a bundle, where the log has them: in a pack once the bundle is full, large ones apart.
fn bodies(n: u64, leaves: &[Vec<u8>], mut bodies: Vec<Option<Salted>>) -> Files {
    let full = leaves.len() == WIDTH;
    let mut files = Files::new();
    for (leaf, slot) in leaves.iter().zip(&mut bodies) {
        let apart = slot.take_if(|(_, body)| !(full && pack::holds(body.len())));
        if let (Some((salt, body)), Ok(Leaf::Ours(commitment))) = (apart, Leaf::parse(leaf)) {
            files.insert(format!("body/{}", commitment.digest().hex()), Base64([&salt.raw()[..], &body].concat()));
        }
    }
    if full {
        files.insert(tile::pack_path(n), Base64(pack::to_bytes(&bodies)));
    }
    files
}

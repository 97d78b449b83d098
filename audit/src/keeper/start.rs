//! How a keeper starts: it finds the key and the last checkpoint, or begins a log, and halts at what no interrupted
//! append explains.

use std::path::Path;

use artifact::durable;
use artifact::failure::Failure;
use artifact::key::Ed25519Key;

use super::{put_checkpoint, unwritten};
use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::door::SUBMISSIONS;
use crate::merkle::TreeHash;
use crate::note::Vkey;
use crate::reader::{Log, LogError};
use crate::store::{Batch, Store};
use crate::tile;
use crate::tiles;

/// The log's key: made for a new log, never for one that is there.
pub(super) fn key(tiles: &Path, own: &Path, store: &mut Store) -> Result<Ed25519Key, Failure> {
    let path = own.join("key");
    if let Some(seed) = tiles::read(&path, 32)? {
        return Ed25519Key::from_seed(&seed)
            .map_err(|_| halt(&path, "not the 32 bytes of a key. Restore it from its copy"));
    }
    if begun(tiles, own)? {
        return Err(halt(&path, "missing, and there is a log that it signed. Restore it from its copy"));
    }
    let key =
        Ed25519Key::generate().map_err(|_| Failure::later("no-random-numbers", "the kernel has no random numbers"))?;
    let mut batch = Batch::default();
    batch.put_secret(path.clone(), key.seed().to_vec());
    store.write(batch).map_err(|e| unwritten(&path, &e))?;
    Ok(key)
}

/// Whether anything of a log is there.
fn begun(tiles: &Path, own: &Path) -> Result<bool, Failure> {
    for path in [own.join(tile::CHECKPOINT), tiles.join(tile::CHECKPOINT), tiles.join("tile"), tiles.join("body")] {
        if path.try_exists().map_err(|cause| LogError::Io { path, cause })? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The last checkpoint that this keeper signed; for a new log, one of nothing.
pub(super) fn recover(
    tiles: &Path,
    own: &Path,
    key: &Ed25519Key,
    vkey: &Vkey,
    store: &mut Store,
) -> Result<SignedCheckpoint, Failure> {
    if let Some(checkpoint) = checkpoint(own, vkey)? {
        // It may have been put in place by a process that was killed before the folder was durable; from here on it is
        // relied upon.
        durable::sync_folder(own).map_err(|e| unwritten(own, &e))?;
        return Ok(checkpoint);
    }
    if begun(tiles, own)? {
        return Err(halt(&own.join(tile::CHECKPOINT), "missing, and there is a log. Restore it from its copy"));
    }
    let nothing = Checkpoint { origin: vkey.name().to_owned(), size: 0, root: TreeHash::empty() };
    let checkpoint = SignedCheckpoint::sign(nothing, key).map_err(|e| Failure::halt("log-key", e))?;
    put_checkpoint(own, &checkpoint, store)?;
    Ok(checkpoint)
}

/// Sees to it that the folder's checkpoint says what was signed last, and gives what lay there: it is behind when an append
/// was interrupted between the two. Witnesses may have cosigned it; that makes it no other checkpoint.
pub(super) fn publish(tiles: &Path, log: &Log, vkey: &Vkey, store: &mut Store) -> Result<SignedCheckpoint, Failure> {
    let (path, last) = (tiles.join(tile::CHECKPOINT), log.checkpoint());
    let published = match checkpoint(tiles, vkey)? {
        Some(published) if published.says_as(last) => return Ok(published),
        Some(published) => published,
        None if last.size() == 0 => return put_checkpoint(tiles, last, store).map(|()| last.clone()),
        None => return Err(halt(&path, "missing, and the log has entries. Restore the log's folder from its copy")),
    };
    if published.size() >= last.size() || last.size() - published.size() > SUBMISSIONS as u64 {
        let what = format!(
            "has {} entries, and the keeper's own has {}: one of the two was rolled back. Restore both from the newest copy",
            published.size(),
            last.size()
        );
        return Err(halt(&path, &what));
    }
    log.prover().begins_with(&published)?;
    put_checkpoint(tiles, last, store)?;
    Ok(published)
}

fn checkpoint(folder: &Path, vkey: &Vkey) -> Result<Option<SignedCheckpoint>, LogError> {
    let path = folder.join(tile::CHECKPOINT);
    let note = tiles::read_note(&path)?;
    let opened = note.map(|note| SignedCheckpoint::open(&note, vkey)).transpose();
    opened.map_err(|cause| LogError::Checkpoint { path, cause })
}

fn halt(path: &Path, what: &str) -> Failure {
    Failure::halt("log-broken", format!("{}: {what}", path.display()))
}

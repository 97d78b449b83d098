//! What the signer remembers, by compare-and-set: the last checkpoint it saw, and for each repository and tag the last
//! permit it used. Vault's KV engine keeps it out of reach of a rollback of this host's disk; a file is for trying.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use artifact::failure::Failure;
use artifact::name::{Repository, Tag};
use artifact::{Digest, durable, json};
use audit::recorded::LastSeen;
use serde::{Deserialize, Serialize};

/// In how many other repositories a blob is looked for.
const BESIDE: usize = 4;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Memory {
    /// Counts the changes.
    pub version: u64,
    /// The last checkpoint.
    pub seen: LastSeen,
    /// By `repository:tag`.
    pub tags: BTreeMap<String, Used>,
    /// The version of the image key that was taken up last; none: it is the first one still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<TakenUp>,
    /// What a store with an entry for each tag has of it: its version, and what it says.
    #[serde(skip)]
    pub(crate) known: BTreeMap<String, (u64, Option<Used>)>,
}

/// A version of the image key that people had taken up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenUp {
    /// The version.
    pub version: u64,
    /// The one before.
    pub before: u64,
    /// The index of the order's entry.
    pub order: u64,
}

/// The last use of a tag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Used {
    /// The index of the permit's entry.
    pub permit: u64,
    /// The attempt under it.
    pub attempt: String,
    /// What the attempt is to publish under it.
    pub digest: Digest,
    /// What the tag named before.
    pub previous: Option<Digest>,
    /// Whether the log has the release. Until then the tag may name either.
    pub released: bool,
}

impl Memory {
    /// Begins an empty memory, at the first start of all. `false`: one with a past lies there.
    ///
    /// # Errors
    /// As the file system says.
    pub(crate) fn begin(own: &Path) -> Result<bool, Failure> {
        let path = own.join("state.json");
        let failed = |e: String| Failure::later("signer-state", format!("{}: {e}", path.display()));
        let empty = json::canonical("state", &Self::default()).map_err(|e| failed(e.to_string()))?;
        match fs::read(&path) {
            Ok(there) => Ok(there == empty),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                durable::replace(&path, &empty, 0o600).map(|()| true).map_err(|e| failed(e.to_string()))
            }
            Err(e) => Err(failed(e.to_string())),
        }
    }

    /// The version of the image key that is used; `first` is the one of the beginning.
    pub fn key_version(&self, first: u64) -> u64 {
        self.key.as_ref().map_or(first, |taken| taken.version)
    }

    /// The last use of a tag.
    pub fn used(&self, repository: &Repository, tag: &Tag) -> Option<&Used> {
        self.tags.get(&format!("{repository}:{tag}"))
    }

    /// Other repositories of the same registry that were released to, at most [`BESIDE`]: blobs may lie there already.
    pub(crate) fn beside(&self, repository: &Repository) -> Vec<Repository> {
        let released = self.tags.iter().filter(|(_, used)| used.released);
        let mut beside: Vec<Repository> =
            released.filter_map(|(name, _)| name.rsplit_once(':')?.0.parse().ok()).collect();
        beside.retain(|other| other.registry() == repository.registry() && other != repository);
        beside.dedup();
        beside.truncate(BESIDE);
        beside
    }
}

/// A place for the memory.
pub trait Store {
    /// What is remembered; at first, nothing.
    ///
    /// # Errors
    /// When it can't be read, or is not what was written.
    fn load(&self) -> Result<Memory, Failure>;

    /// Brings back what is remembered of these tags (`repository:tag`), where [`Store::load`] did not.
    ///
    /// # Errors
    /// As [`Store::load`].
    fn recall(&self, memory: &mut Memory, tags: &[String]) -> Result<(), Failure>;

    /// Puts `memory` in place of the one of its version, and counts the version up.
    ///
    /// # Errors
    /// When another version is there: somebody else went on meanwhile.
    fn swap(&self, memory: &mut Memory) -> Result<(), Failure>;
}

/// Held by one signer of this host at a time, until it goes.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "it is held")] File);

impl Lock {
    /// Waits for another signer to end.
    pub(crate) fn take(own: &Path) -> Result<Self, Failure> {
        let broken = |e: io::Error| Failure::later("signer-state", format!("{}: {e}", own.display()));
        let lock = OpenOptions::new().create(true).append(true).open(own.join("lock")).map_err(broken)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).map_err(|e| broken(e.into()))?;
        Ok(Self(lock))
    }
}

/// A file of the signer's own. Held locked, so that two signers can't go on from one version.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    _lock: Lock,
}

impl FileStore {
    /// Opens it, and waits for another signer to end.
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(own: &Path) -> Result<Self, Failure> {
        Ok(Self { path: own.join("state.json"), _lock: Lock::take(own)? })
    }
}

impl Store for FileStore {
    fn load(&self) -> Result<Memory, Failure> {
        let halt = |e: String| Failure::halt("signer-state-broken", format!("{}: {e}", self.path.display()));
        match fs::read(&self.path) {
            Ok(bytes) => json::parse_canonical("state", &bytes).map_err(|e| halt(e.to_string())),
            Err(e) if e.kind() == io::ErrorKind::NotFound && !self.path.with_file_name("key").exists() => {
                Ok(Memory::default())
            }
            Err(e) => Err(Failure::of_store("signer-state-broken", &e)),
        }
    }

    fn recall(&self, _: &mut Memory, _: &[String]) -> Result<(), Failure> {
        Ok(())
    }

    fn swap(&self, memory: &mut Memory) -> Result<(), Failure> {
        if self.load()?.version != memory.version {
            return Err(Failure::later("signer-state-moved", "another signer went on meanwhile; start again"));
        }
        memory.version += 1;
        let halt = |e: String| Failure::later("signer-state", format!("{}: {e}", self.path.display()));
        let bytes = json::canonical("state", memory).map_err(|e| halt(e.to_string()))?;
        durable::replace(&self.path, &bytes, 0o600).map_err(|e| halt(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_changes_by_compare_and_set_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(folder.path()).unwrap();
        let mut memory = store.load().unwrap();
        let mut stale = memory.clone();
        store.swap(&mut memory).unwrap();
        assert_eq!(store.load().unwrap(), memory);
        assert_eq!(store.swap(&mut stale).unwrap_err().code, "signer-state-moved");
        fs::write(folder.path().join("state.json"), b"{}").unwrap();
        assert_eq!(store.load().unwrap_err().code, "signer-state-broken");
    }
}

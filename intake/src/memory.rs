//! What a branch named before. Git forgets that; a force-push is seen only by who remembers.

use std::io;
use std::path::{Path, PathBuf};

use artifact::failure::Failure;
use artifact::name::BranchName;
use artifact::{CommitId, Digest, Moment, durable, json};
use serde::{Deserialize, Serialize};

use crate::address::Address;

/// The most heads that are remembered: a head a minute for a week.
const HEADS: usize = 10_000;
/// The most rewrites that are remembered; one is enough to know that there was one.
const REWRITES: usize = 100;

/// The memory of one branch.
#[derive(Debug)]
pub(crate) struct Memory {
    path: PathBuf,
    kept: Kept,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    source: String,
    branch: BranchName,
    /// In the order they were seen.
    heads: Vec<Seen>,
    /// How many of `heads` are known to be ancestors of the one after them.
    settled: usize,
    rewrites: Vec<Rewrite>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    commit: CommitId,
    at: Moment,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rewrite {
    from: CommitId,
    to: CommitId,
    at: Moment,
}

impl Memory {
    /// Opens what is known of a branch; nothing, when it was never looked at.
    pub(crate) fn open(folder: &Path, source: &Address, branch: &BranchName) -> Result<Self, Failure> {
        let source = source.to_string();
        let name = Digest::of(format!("{source}\n{branch}").as_bytes()).hex();
        let path = folder.join(format!("{}.json", &name[..32]));
        let broken = |cause: &dyn std::fmt::Display| {
            let text =
                format!("{}: {cause}; restore it from a backup: without it a force-push goes unseen", path.display());
            Failure::halt("intake-memory", text)
        };
        let kept = match std::fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Kept { source, branch: branch.clone(), heads: Vec::new(), settled: 0, rewrites: Vec::new() }
            }
            Err(e) => return Err(broken(&e)),
            Ok(bytes) => {
                let kept: Kept = json::parse_canonical("memory", &bytes).map_err(|e| broken(&e))?;
                if kept.source != source || kept.branch != *branch || kept.settled > kept.heads.len() {
                    return Err(broken(&"it is the memory of something else"));
                }
                kept
            }
        };
        Ok(Self { path, kept })
    }

    /// Remembers a head that was listed, durably. Its objects may not be here: whether it descends from the last one is
    /// found out later.
    pub(crate) fn note(&mut self, head: &CommitId) -> Result<(), Failure> {
        if self.kept.heads.last().is_some_and(|last| last.commit == *head) {
            return Ok(());
        }
        self.kept.heads.push(Seen { commit: head.clone(), at: Moment::now() });
        self.save()
    }

    /// Remembers a head that was fetched, durably, and says whether the branch was ever rewritten: whether any head was
    /// followed by one that does not descend from it. `descends` is asked with the newer and the older commit.
    pub(crate) fn settle(
        &mut self,
        head: &CommitId,
        descends: impl Fn(&CommitId, &CommitId) -> Result<bool, Failure>,
    ) -> Result<bool, Failure> {
        self.note(head)?;
        let last = self.kept.heads.len() - 1;
        for at in self.kept.settled..last {
            let (from, to) = (&self.kept.heads[at].commit, &self.kept.heads[at + 1].commit);
            // A head that came and went between two fetches is not here: then nothing descends from it.
            if !descends(to, from)? && self.kept.rewrites.len() < REWRITES {
                let rewrite = Rewrite { from: from.clone(), to: to.clone(), at: self.kept.heads[at + 1].at };
                self.kept.rewrites.push(rewrite);
            }
        }
        if self.kept.settled != last {
            self.kept.settled = last;
            let old = self.kept.heads.len().saturating_sub(HEADS);
            self.kept.heads.drain(..old);
            self.kept.settled -= old;
            self.save()?;
        }
        Ok(!self.kept.rewrites.is_empty())
    }

    fn save(&self) -> Result<(), Failure> {
        let store = |e: &dyn std::fmt::Display| Failure::later("intake-store", format!("{}: {e}", self.path.display()));
        let bytes = json::canonical("memory", &self.kept).map_err(|e| store(&e))?;
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        durable::create_folder(folder).map_err(|e| store(&e))?;
        durable::replace(&self.path, &bytes, 0o600).map_err(|e| store(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u32) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    fn open(folder: &Path) -> Memory {
        Memory::open(folder, &"https://h/x".parse().unwrap(), &"main".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_rewrite_is_remembered_for_good_and_across_runs() {
        let folder = tempfile::tempdir().unwrap();
        let larger = |newer: &CommitId, older: &CommitId| Ok(newer > older);
        assert!(!open(folder.path()).settle(&id(1), larger).unwrap());
        assert!(!open(folder.path()).settle(&id(1), larger).unwrap());
        assert!(!open(folder.path()).settle(&id(3), larger).unwrap());
        assert!(open(folder.path()).settle(&id(2), larger).unwrap());
        assert!(open(folder.path()).settle(&id(9), |_, _| Ok(true)).unwrap());
        let other = Memory::open(folder.path(), &"https://h/x".parse().unwrap(), &"next".parse().unwrap());
        assert!(!other.unwrap().settle(&id(2), larger).unwrap());
    }

    #[test]
    fn a_head_that_was_only_listed_counts_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let larger = |newer: &CommitId, older: &CommitId| Ok(newer > older);
        open(folder.path()).settle(&id(1), larger).unwrap();
        open(folder.path()).note(&id(7)).unwrap();
        assert!(open(folder.path()).settle(&id(2), larger).unwrap());
    }

    #[test]
    fn a_broken_memory_stops_everything() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = open(folder.path());
        memory.note(&id(1)).unwrap();
        std::fs::write(&memory.path, b"{}").unwrap();
        let error = Memory::open(folder.path(), &"https://h/x".parse().unwrap(), &"main".parse().unwrap()).unwrap_err();
        assert_eq!(error.retry, artifact::failure::Retry::Halt);
    }
}

//! Bare mirrors: one an address, never checked out, never collected, so that what a branch once named stays known.

use std::fs;
use std::path::{Path, PathBuf};

use artifact::failure::Failure;
use artifact::name::BranchName;
use artifact::statement::facts::Position;
use artifact::{CommitId, Digest, durable};

use crate::address::Address;
use crate::git::Git;
use crate::process::RunError;
use crate::session::Session;

/// A mirror of one repository.
#[derive(Debug)]
pub(crate) struct Mirror<'a> {
    git: &'a Git,
    address: Address,
    folder: PathBuf,
}

/// What a remote says a name stands for now.
pub(crate) fn named(git: &Git, address: &Address, name: &str) -> Result<Option<CommitId>, Failure> {
    let listed = git.list(address, &[name]).map_err(|e| unavailable(address, &e))?;
    // Git takes a name for the end of a path: only the whole of it counts.
    let found = listed.lines().filter_map(|l| l.split_once('\t')).find(|(_, listed)| *listed == name);
    let broken = || Failure::never("source-refused", format!("{address}: it gives {name} an id that is none"));
    found.map(|(id, _)| id.parse().map_err(|_| broken())).transpose()
}

/// The head of a branch, as the remote has it now.
pub(crate) fn head(git: &Git, address: &Address, branch: &BranchName) -> Result<CommitId, Failure> {
    named(git, address, &format!("refs/heads/{branch}"))?.ok_or_else(|| {
        let text = format!("{address} has no branch {branch}; check source in intake.toml and branch in rules.toml");
        Failure::later("source-unavailable", text)
    })
}

impl<'a> Mirror<'a> {
    /// Opens the mirror of an address whose ids look like `like`; makes it when it is not there.
    pub(crate) fn open(git: &'a Git, address: &Address, like: &CommitId) -> Result<Self, Failure> {
        let format = if like.as_str().len() == 40 { "sha1" } else { "sha256" };
        let name = format!("{}-{format}.git", &Digest::of(address.to_string().as_bytes()).hex()[..32]);
        let mirror = Self { git, address: address.clone(), folder: git.folder().join(name) };
        if !mirror.folder.is_dir() {
            mirror
                .make(format)
                .map_err(|e| Failure::later("intake-store", format!("{}: {e}", mirror.folder.display())))?;
        }
        Ok(mirror)
    }

    fn make(&self, format: &str) -> Result<(), RunError> {
        let part = self.folder.with_extension("part");
        match fs::remove_dir_all(&part) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e.into()),
            _ => {}
        }
        let format = format!("--object-format={format}");
        self.git.ask(&part, &["init", "--quiet", "--bare", "--template=", &format])?;
        fs::rename(&part, &self.folder)?;
        durable::sync_folder(self.git.folder())?;
        Ok(())
    }

    /// The address that is mirrored.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Fetches a branch, and says what its head was.
    pub(crate) fn fetch_branch(&self, branch: &BranchName) -> Result<CommitId, Failure> {
        // Under a flat name: a branch `a/b` can come after a branch `a`, and a folder can't take a file's place.
        let ours = format!("refs/countersign/{}", &Digest::of(branch.as_str().as_bytes()).hex()[..32]);
        self.fetch_ref(&format!("refs/heads/{branch}"), &ours)
    }

    /// Fetches what `HEAD` stands for.
    pub(crate) fn fetch_head(&self) -> Result<CommitId, Failure> {
        self.fetch_ref("HEAD", "refs/countersign/head")
    }

    fn fetch_ref(&self, theirs: &str, ours: &str) -> Result<CommitId, Failure> {
        let fetched = self.git.fetch(&self.folder, &self.address, &[&format!("+{theirs}:{ours}")], false);
        fetched.map_err(|e| unavailable(&self.address, &e))?;
        let id = self.git.ask(&self.folder, &["rev-parse", "--verify", "--quiet", "--end-of-options", ours]);
        let id = id.map_err(|e| unavailable(&self.address, &e))?;
        let broken = || Failure::halt("intake-store", format!("{}: {ours} is no id", self.folder.display()));
        id.trim_end().parse().map_err(|_| broken())
    }

    /// Whether a commit is there.
    pub(crate) fn has(&self, commit: &CommitId) -> bool {
        self.git.ask(&self.folder, &["cat-file", "-e", &format!("{commit}^{{commit}}")]).is_ok()
    }

    /// Has a commit, by its id alone where it is not there yet. `false`: the remote does not give it.
    pub(crate) fn obtain(&self, commit: &CommitId) -> Result<bool, Failure> {
        if self.has(commit) {
            return Ok(true);
        }
        // Asked by its id; a server that gives no commit by its id may have it on some branch or tag.
        if self.git.fetch(&self.folder, &self.address, &[commit.as_str()], false).is_err() {
            let everything = ["+refs/heads/*:refs/everything/heads/*", "+refs/tags/*:refs/everything/tags/*"];
            self.git
                .fetch(&self.folder, &self.address, &everything, true)
                .map_err(|e| unavailable(&self.address, &e))?;
        }
        Ok(self.has(commit))
    }

    /// Whether `older` is `newer` or one of its ancestors. What is not there is no ancestor of what is.
    pub(crate) fn descends(&self, newer: &CommitId, older: &CommitId) -> Result<bool, Failure> {
        match self.git.ask(&self.folder, &["merge-base", "--is-ancestor", older.as_str(), newer.as_str()]) {
            Ok(_) => Ok(true),
            Err(RunError::Failed { status, .. }) if status.code() == Some(1) => Ok(false),
            Err(RunError::Failed { .. }) if !self.has(older) || !self.has(newer) => Ok(false),
            Err(e) => Err(unavailable(&self.address, &e)),
        }
    }

    /// Where a commit is on a branch with this head.
    pub(crate) fn position(&self, commit: &CommitId, head: &CommitId) -> Result<Position, Failure> {
        if commit == head {
            return Ok(Position::Head);
        }
        let line = self.git.ask(&self.folder, &["rev-list", "--first-parent", head.as_str()]);
        let line = line.map_err(|e| unavailable(&self.address, &e))?;
        match line.lines().any(|id| id == commit.as_str()) {
            true => Ok(Position::FirstParentAncestor),
            false => Ok(Position::Elsewhere),
        }
    }

    /// Opens the mirror's objects.
    pub(crate) fn session(&self) -> Result<Session, Failure> {
        let opened = Session::open(self.git, &self.folder);
        opened.map_err(|e| Failure::later("intake-store", format!("{}: {e}", self.folder.display())))
    }
}

/// What a killed run left in the mirrors: half packs and locks. Only for the holder of intake's lock.
pub(crate) fn sweep(folder: &Path) {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let is = |path: &Path, what: fn(&str) -> bool| path.file_name().and_then(|n| n.to_str()).is_some_and(what);
    for mirror in entries(folder).filter(|p| p.is_dir()) {
        if is(&mirror, |n| n.ends_with(".part")) {
            let _ = fs::remove_dir_all(&mirror);
            continue;
        }
        let mut folders = vec![mirror.clone(), mirror.join("objects/pack"), mirror.join("objects")];
        let mut refs = vec![mirror.join("refs")];
        while let Some(next) = refs.pop() {
            refs.extend(entries(&next).filter(|p| p.is_dir()));
            folders.push(next);
        }
        let stale = |n: &str| n.ends_with(".lock") || n.starts_with("tmp_") || n.starts_with("tmp-objdir-");
        for path in folders.iter().flat_map(|f| entries(f)).filter(|p| is(p, stale)) {
            let _ = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        }
    }
}

pub(crate) fn unavailable(address: &Address, error: &RunError) -> Failure {
    match error {
        RunError::TooLarge(_) => Failure::never("source-too-large", format!("{address}: {error}")),
        RunError::Failed { said, .. } if said.contains("fsck error") || said.contains("bad object") => {
            Failure::never("source-refused", format!("{address}: git refuses its objects: {said}"))
        }
        error => {
            let unseen =
                address.path().map_or("", |_| "; intake sees it only if countersign.toml lists it in [expose]");
            let text = format!("{address}: {error}; try again later, or check the address{unseen}");
            Failure::later("source-unavailable", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Ground;

    #[test]
    fn a_branch_may_take_the_place_of_another() {
        let ground = Ground::new();
        let git = ground.git();
        let first = ground.commit("one");
        ground.run(&["branch", "a"]);
        let mirror = Mirror::open(&git, &ground.address(), &first).unwrap();
        assert_eq!(mirror.fetch_branch(&"a".parse().unwrap()).unwrap(), first);
        ground.run(&["branch", "-m", "a", "a/b"]);
        let second = ground.commit("two");
        ground.run(&["branch", "-f", "a/b"]);
        assert_eq!(mirror.fetch_branch(&"a/b".parse().unwrap()).unwrap(), second);
        let gone = mirror.fetch_branch(&"a".parse().unwrap()).unwrap_err();
        assert!(gone.message.contains("couldn't find remote ref") && gone.message.contains("[expose]"), "{gone}");
    }

    #[test]
    fn only_the_whole_name_counts() {
        let ground = Ground::new();
        let git = ground.git();
        ground.commit("one");
        ground.run(&["update-ref", "refs/x/refs/heads/side", "HEAD"]);
        assert_eq!(named(&git, &ground.address(), "refs/heads/side").unwrap(), None);
        let error = head(&git, &ground.address(), &"side".parse().unwrap()).unwrap_err();
        assert_eq!(error.code, "source-unavailable");
        assert!(head(&git, &ground.address(), &"main".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_commit_that_no_branch_holds_is_obtained_by_its_id_and_an_unknown_one_is_not() {
        let ground = Ground::new();
        let git = ground.git();
        let first = ground.commit("one");
        let lost = ground.commit("two");
        ground.run(&["reset", "--quiet", "--hard", first.as_str()]);
        let mirror = Mirror::open(&git, &ground.address(), &first).unwrap();
        mirror.fetch_branch(&"main".parse().unwrap()).unwrap();
        assert!(!mirror.has(&lost));
        assert!(mirror.obtain(&lost).unwrap());
        assert!(mirror.descends(&lost, &first).unwrap() && !mirror.descends(&first, &lost).unwrap());
        let unknown = "00000000000000000000000000000000000000aa".parse().unwrap();
        assert!(!mirror.obtain(&unknown).unwrap());
        assert!(!mirror.descends(&first, &unknown).unwrap());
        // A tree's id is no commit.
        let tree: CommitId = ground.run(&["rev-parse", "HEAD^{tree}"]).parse().unwrap();
        assert!(!mirror.obtain(&tree).unwrap());
    }
}

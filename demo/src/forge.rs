//! A forge: a bare git repository that is served by its path, and people who sign their commits with SSH keys.

use std::cell::RefCell;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::{CommitId, Moment, durable};

use crate::command::run;
use crate::trouble::{During as _, Trouble};

/// When the first commit of every forge was made; each later one, a minute after the one before. Fixed, so that the same
/// tree gives the same image on every day.
pub const FIRST_COMMIT: &str = "2025-01-01T00:00:00Z";

/// The branch of a forge.
pub const BRANCH: &str = "main";

/// Someone who signs commits with an SSH key.
#[derive(Debug, Clone)]
pub struct Developer {
    email: String,
    key: PathBuf,
    public: String,
}

impl Developer {
    /// Someone new, with a key of their own in this folder.
    ///
    /// # Errors
    /// When `ssh-keygen` can't make it.
    pub fn new(folder: &Path, email: &str) -> Result<Self, Trouble> {
        durable::create_folder(folder).during(folder.display())?;
        let key = folder.join(email);
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", email, "-f"]).arg(&key))?;
        let path = folder.join(format!("{email}.pub"));
        let line = fs::read_to_string(&path).during(path.display())?;
        // Without the comment, which says the address again.
        let public = line.split_ascii_whitespace().take(2).collect::<Vec<_>>().join(" ");
        Ok(Self { email: email.to_owned(), key, public })
    }

    /// Their line of an `allowed_signers` file.
    pub fn allowed_signer(&self) -> String {
        format!("{} namespaces=\"git\" {}\n", self.email, self.public)
    }
}

/// A file of a source tree.
#[derive(Debug, Clone)]
pub struct Source {
    /// Where it is in the tree.
    pub path: String,
    /// What is in it.
    pub content: Vec<u8>,
    /// Whether it may be started.
    pub executable: bool,
}

impl Source {
    /// A text.
    pub fn text(path: &str, content: impl Into<String>) -> Self {
        Self { path: path.to_owned(), content: content.into().into_bytes(), executable: false }
    }
}

/// A bare repository, and a work tree in which commits are made.
#[derive(Debug)]
pub struct Forge {
    bare: PathBuf,
    work: PathBuf,
    commits: RefCell<u64>,
}

impl Forge {
    /// A new repository: `NAME.git` in this folder, and its work tree beside it.
    ///
    /// # Errors
    /// When git can't make it.
    pub fn create(folder: &Path, name: &str) -> Result<Self, Trouble> {
        durable::create_folder(folder).during(folder.display())?;
        let (bare, work) = (folder.join(format!("{name}.git")), folder.join(format!("{name}.work")));
        // Intake reads it as another uid, so it must be readable whatever our umask is.
        let branch = format!("--initial-branch={BRANCH}");
        run(git(folder).args(["init", "-q", "--bare", "--shared=0644", &branch]).arg(&bare))?;
        // --shared also forbids to rewrite history, which some tests are about.
        run(git(&bare).args(["config", "receive.denyNonFastForwards", "false"]))?;
        run(git(folder).args(["init", "-q", &branch]).arg(&work))?;
        run(git(&work).args(["remote", "add", "origin"]).arg(&bare))?;
        Ok(Self { bare, work, commits: RefCell::new(0) })
    }

    /// Where intake pulls from: `file:///…`.
    pub fn address(&self) -> String {
        format!("file://{}", self.bare.display())
    }

    /// The bare repository.
    pub fn bare(&self) -> &Path {
        &self.bare
    }

    /// The folder in which commits are made. What lies there is part of the next one.
    pub fn work(&self) -> &Path {
        &self.work
    }

    /// Writes files into the work tree.
    ///
    /// # Errors
    /// As the file system says.
    pub fn write(&self, files: &[Source]) -> Result<(), Trouble> {
        for file in files {
            let path = self.work.join(&file.path);
            let folder = path.parent().unwrap_or(&self.work);
            fs::create_dir_all(folder).during(folder.display())?;
            fs::write(&path, &file.content).during(path.display())?;
            let mode = if file.executable { 0o755 } else { 0o644 };
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).during(path.display())?;
        }
        Ok(())
    }

    /// Writes files, commits the whole work tree and pushes it. `by`: who signs it; `None`: nobody.
    ///
    /// # Errors
    /// When git can't.
    pub fn commit(&self, files: &[Source], message: &str, by: Option<&Developer>) -> Result<CommitId, Trouble> {
        self.write(files)?;
        self.make_commit(message, by, &[])?;
        run(git(&self.work).args(["push", "-q", "origin", BRANCH]))?;
        self.head()
    }

    /// Puts another commit in the place of the branch's last one, by force.
    ///
    /// # Errors
    /// When git can't.
    pub fn rewrite(&self, files: &[Source], message: &str, by: Option<&Developer>) -> Result<CommitId, Trouble> {
        self.write(files)?;
        self.make_commit(message, by, &["--amend"])?;
        run(git(&self.work).args(["push", "-q", "--force", "origin", BRANCH]))?;
        self.head()
    }

    /// The branch's head.
    ///
    /// # Errors
    /// When there is none yet.
    pub fn head(&self) -> Result<CommitId, Trouble> {
        let ran = run(git(&self.bare).args(["rev-parse", "--verify", &format!("refs/heads/{BRANCH}")]))?;
        ran.stdout.trim().parse().map_err(Trouble::wrong)
    }

    /// A clone for somebody else, at a commit.
    ///
    /// # Errors
    /// When git can't.
    pub fn clone_at(&self, commit: &CommitId, folder: &Path) -> Result<(), Trouble> {
        // A clone by hard links would share files with the original, and so their modes.
        let settings = ["-c", "core.sharedRepository=0644"];
        run(git(&self.bare).args(["clone", "-q", "--no-hardlinks"]).args(settings).arg(&self.bare).arg(folder))?;
        run(git(folder).args(["checkout", "-q", "--detach", commit.as_str()])).map(drop)
    }

    fn make_commit(&self, message: &str, by: Option<&Developer>, more: &[&str]) -> Result<(), Trouble> {
        let first: Moment = FIRST_COMMIT.parse().map_err(Trouble::wrong)?;
        let date = format!("{} +0000", first.plus_seconds(60 * *self.commits.borrow()).unix());
        *self.commits.borrow_mut() += 1;
        // What upstream's own .gitignore hides belongs to the tree all the same.
        run(git(&self.work).args(["add", "--all", "--force"]))?;
        let mut command = git(&self.work);
        command.env("GIT_AUTHOR_DATE", &date).env("GIT_COMMITTER_DATE", &date);
        let email = by.map_or("nobody@example.org", |d| &d.email);
        command.args(["-c", &format!("user.email={email}"), "-c", "user.name=Demo", "-c", "gpg.format=ssh"]);
        if let Some(developer) = by {
            command.arg("-c").arg(format!("user.signingkey={}", developer.key.display()));
        }
        let sign = if by.is_some() { "--gpg-sign" } else { "--no-gpg-sign" };
        run(command.args(["commit", "-q", "--allow-empty", sign, "-m", message]).args(more)).map(drop)
    }
}

/// Git in a folder, without this person's settings and hooks.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_TERMINAL_PROMPT", "0");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "SSH_AUTH_SOCK"] {
        command.env_remove(name);
    }
    command.current_dir(folder);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_signed_by_who_made_it_and_nobody_else() {
        let folder = tempfile::tempdir().unwrap();
        let ann = Developer::new(&folder.path().join("keys"), "ann@example.org").unwrap();
        let eve = Developer::new(&folder.path().join("keys"), "eve@example.org").unwrap();
        let forge = Forge::create(folder.path(), "thing").unwrap();
        let signed = forge.commit(&[Source::text("a/b", "1")], "One", Some(&ann)).unwrap();
        let unsigned = forge.commit(&[Source::text("a/b", "2")], "Two", None).unwrap();
        let verifies = |commit: &CommitId, allowed: &str| {
            let file = folder.path().join("allowed");
            fs::write(&file, allowed).unwrap();
            let allowed = format!("gpg.ssh.allowedSignersFile={}", file.display());
            let ran = run(git(forge.bare()).args(["-c", &allowed, "verify-commit", commit.as_str()]));
            ran.is_ok()
        };
        assert!(verifies(&signed, &ann.allowed_signer()));
        assert!(!verifies(&signed, &eve.allowed_signer()));
        assert!(!verifies(&unsigned, &ann.allowed_signer()));
    }

    #[test]
    fn history_can_be_rewritten_and_cloned() {
        let folder = tempfile::tempdir().unwrap();
        let forge = Forge::create(folder.path(), "thing").unwrap();
        forge.commit(&[Source::text("a", "1")], "One", None).unwrap();
        let two = forge.commit(&[Source::text("a", "2")], "Two", None).unwrap();
        let other = forge.rewrite(&[Source::text("a", "3")], "Other", None).unwrap();
        assert_eq!(forge.head().unwrap(), other);
        assert_ne!(two, other);
        forge.clone_at(&other, &folder.path().join("clone")).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("clone/a")).unwrap(), "3");
    }
}

//! Intake's folders, its key and its lock. One intake at a time: the next one waits.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use artifact::durable;
use artifact::failure::Failure;
use artifact::key::{Ed25519Key, PublicKey};
use artifact::layout::Layout;
use policy::Rules;
use registry::Client;

use crate::config::IntakeConfig;
use crate::git::Git;
use crate::mirror;

/// The room, open for one question.
#[derive(Debug)]
pub struct IntakeRoom {
    pub(crate) config: IntakeConfig,
    pub(crate) key: Ed25519Key,
    pub(crate) git: Git,
    pub(crate) dossiers: Layout,
    pub(crate) candidates: Layout,
    pub(crate) memory: std::path::PathBuf,
    pub(crate) client: Client,
    pub(crate) trial: bool,
    _lock: File,
}

/// A configuration that a person has to mend: no answer about any commit, so nothing that is written down as one.
pub(crate) fn usage(what: &dyn std::fmt::Display) -> Failure {
    Failure::later("usage", what)
}

/// The rules, read when a question needs them: `countersign build` has none.
pub(crate) fn rules(config: &Path) -> Result<Rules, Failure> {
    let path = config.join("rules.toml");
    let wrong = |e: &dyn std::fmt::Display| usage(&format!("{}: {e}", path.display()));
    Rules::parse(&fs::read(&path).map_err(|e| wrong(&e))?).map_err(|e| wrong(&e))
}

impl IntakeRoom {
    /// Opens the room in the lane's folder of the state (`STATE/public`): waits for the lock, sweeps what a killed run left
    /// behind, and reads the key, or makes it.
    ///
    /// # Errors
    /// A configuration that can't be used, a folder that can't be written, a key that is none.
    pub fn open(config: &Path, lane: &Path, trial: bool) -> Result<Self, Failure> {
        let config = IntakeConfig::load(&config.join("intake.toml")).map_err(|e| usage(&e))?;
        let client = Client::new(config.hosts()).map_err(|e| usage(&e))?;
        let own = lane.join("intake/own");
        let store =
            |what: &Path, e: &dyn std::fmt::Display| Failure::later("intake-store", format!("{}: {e}", what.display()));
        durable::create_folder(&own).map_err(|e| store(&own, &e))?;
        let lock = lock(&own.join("lock")).map_err(|e| store(&own.join("lock"), &e))?;
        let key = key(&own.join("key"))?;
        mirror::sweep(&own.join("git"));
        let git = Git::open(&own.join("git"), config.ssh_command(), config.https_ca()).map_err(|e| store(&own, &e))?;
        let open = |name: &str| {
            let folder = lane.join("intake").join(name);
            sweep(&folder);
            Layout::create(&folder).map_err(|e| store(&folder, &e))
        };
        let (dossiers, candidates) = (open("dossiers")?, open("candidates")?);
        let memory = own.join("memory");
        Ok(Self { config, key, git, dossiers, candidates, memory, client, trial, _lock: lock })
    }

    /// The key that verifies this room's facts.
    pub fn public_key(&self) -> PublicKey {
        self.key.public()
    }
}

/// Waits for the lock. Git inherits it: as long as one that a killed run started still writes, nobody else begins.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty())?;
    Ok(file)
}

fn key(path: &Path) -> Result<Ed25519Key, Failure> {
    match fs::read(path) {
        Ok(seed) => Ed25519Key::from_seed(&seed).map_err(|e| {
            let text = format!("{}: {e}; restore it from a backup: facts are known by this key", path.display());
            Failure::halt("intake-key", text)
        }),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let key = Ed25519Key::generate().map_err(|e| Failure::later("intake-key", e))?;
            let written = durable::replace(path, &*key.seed(), 0o600);
            written.map_err(|e| Failure::later("intake-key", format!("{}: {e}", path.display())))?;
            Ok(key)
        }
        Err(e) => Err(Failure::later("intake-key", format!("{}: {e}", path.display()))),
    }
}

/// Blobs that a killed run did not finish.
fn sweep(store: &Path) {
    for entry in fs::read_dir(store.join("blobs")).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|n| n.starts_with("part-")) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Ground;

    #[test]
    fn the_key_stays_and_leftovers_go() {
        let ground = Ground::new();
        let first = ground.room().public_key();
        let lane = ground.lane();
        let half = lane.join("intake/dossiers/blobs/part-00");
        fs::write(&half, "half").unwrap();
        let mirror = lane.join("intake/own/git/x.git/objects/pack");
        fs::create_dir_all(&mirror).unwrap();
        fs::write(mirror.join("tmp_pack_x"), "half").unwrap();
        fs::write(lane.join("intake/own/git/x.git/shallow.lock"), "").unwrap();
        fs::write(mirror.join("pack-1.pack"), "whole").unwrap();
        assert_eq!(ground.room().public_key(), first);
        assert!(!half.exists() && !mirror.join("tmp_pack_x").exists() && mirror.join("pack-1.pack").exists());
        assert!(!lane.join("intake/own/git/x.git/shallow.lock").exists());
        let path = lane.join("intake/own/key");
        let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert_eq!(ground.try_room().unwrap_err().retry, artifact::failure::Retry::Halt);
    }

    #[test]
    fn a_second_room_waits_for_the_first() {
        let ground = Ground::new();
        let first = ground.room();
        let other = OpenOptions::new().write(true).open(ground.lane().join("intake/own/lock")).unwrap();
        let busy = rustix::fs::flock(&other, rustix::fs::FlockOperation::NonBlockingLockExclusive);
        assert!(busy.is_err());
        drop(first);
        // A program that another test starts at this moment holds a copy of the lock until it is that program.
        rustix::fs::flock(&other, rustix::fs::FlockOperation::LockExclusive).unwrap();
    }
}

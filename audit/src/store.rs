//! Writing so that a kill or a power cut at any instant leaves what was acknowledged.
//!
//! A [`Batch`] is written beside, made durable, renamed into place, and the folders made durable. Within a batch the
//! order is nobody's business; what comes in a later batch is there only when all of an earlier one is. What a disk is
//! asked for at once it does at once: a journal is then written once for many files, and not once for each.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use artifact::durable;

/// How many files or folders a disk is asked to make durable at once. With more there is nothing left to gain.
const AT_ONCE: usize = 16;

/// Files to put in place together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    files: Vec<(PathBuf, Vec<u8>, u32)>,
}

impl Batch {
    /// A file that other rooms may read.
    pub(crate) fn put(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.files.push((path, bytes, 0o644));
    }

    /// A file of this room alone.
    pub(crate) fn put_secret(&mut self, path: PathBuf, bytes: Vec<u8>) {
        self.files.push((path, bytes, 0o600));
    }

    fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<&Path> = self.files.iter().filter_map(|(path, ..)| path.parent()).collect();
        folders.sort_unstable();
        folders.dedup();
        folders
    }
}

/// The folders that this process has made sure of.
#[derive(Debug)]
pub(crate) struct Store {
    sure: HashSet<PathBuf>,
}

impl Store {
    /// Writes below these folders, which the launcher made: what is above them is not this room's to open.
    pub(crate) fn new<const N: usize>(roots: [&Path; N]) -> Self {
        Self { sure: roots.map(Path::to_owned).into() }
    }

    /// Puts a batch in place. When this returns, all of it is durable; when it fails, or never returns, each file is the
    /// old one or the new one, and none is cut.
    pub(crate) fn write(&mut self, batch: Batch) -> io::Result<()> {
        self.write_in_turn([batch])
    }

    /// Puts batches in place, each when all of the one before is durable. What they hold is written beside first, for all of
    /// them: a name is what makes it count.
    pub(crate) fn write_in_turn<const N: usize>(&mut self, batches: [Batch; N]) -> io::Result<()> {
        let folders = batches.each_ref().map(Batch::folders);
        for folder in folders.iter().flatten() {
            self.ensure(folder)?;
        }
        let files: Vec<_> = batches.iter().flat_map(|batch| &batch.files).collect();
        step(Step::Write, || at_once(&files, |(path, bytes, mode)| write_part(&part(path), bytes, *mode)))?;
        for (batch, folders) in batches.iter().zip(&folders) {
            for (path, ..) in &batch.files {
                step(Step::Rename(path), || fs::rename(part(path), path))?;
            }
            step(Step::Sync(folders), || at_once(folders, |folder| durable::sync_folder(folder)))?;
        }
        Ok(())
    }

    /// A folder that is durable in its parent. One that was there may have been made by a process that was killed before
    /// it was durable, so each is made sure of once. Its parents are durable: it was made after them.
    fn ensure(&mut self, folder: &Path) -> io::Result<()> {
        if self.sure.contains(folder) {
            return Ok(());
        }
        if let Some(parent) = folder.parent().filter(|p| !p.as_os_str().is_empty()) {
            if !folder.is_dir() {
                self.ensure(parent)?;
                step(Step::Create(folder), || fs::create_dir(folder))?;
            }
            step(Step::Sync(&[parent]), || durable::sync_folder(parent))?;
        }
        self.sure.insert(folder.to_owned());
        Ok(())
    }
}

/// Does this for each, on as many threads as a disk gains from, and returns when all of it is done or the first failure is
/// known everywhere.
fn at_once<T: Sync>(list: &[T], act: impl Fn(&T) -> io::Result<()> + Sync) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(one) = list.get(next.fetch_add(1, Ordering::Relaxed)) {
            act(one).inspect_err(|_| next.store(list.len(), Ordering::Relaxed))?;
        }
        Ok(())
    };
    thread::scope(|scope| {
        // Where a room may start no thread, the work is done on this one.
        let others = (1..list.len().min(AT_ONCE)).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok());
        let others: Vec<_> = others.collect();
        let own = work();
        others.into_iter().fold(own, |done, other| {
            done.and(other.join().unwrap_or_else(|_| Err(io::Error::other("a thread that was writing panicked"))))
        })
    })
}

fn part(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn write_part(part: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // What an interrupted run left behind is nobody's.
    match fs::remove_file(part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(part)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until no other keeper holds this lock, then holds it as long as the file is open.
pub(crate) fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    loop {
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive) {
            Err(rustix::io::Errno::INTR) => {}
            done => return done.map(|()| file).map_err(io::Error::from),
        }
    }
}

/// One step towards the disk, on this file or folder.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests watch the steps"))]
pub(crate) enum Step<'a> {
    /// Files are written beside their places, and their contents made durable.
    Write,
    /// It is put in place.
    Rename(&'a Path),
    /// A folder is made.
    Create(&'a Path),
    /// What these folders list is made durable.
    Sync(&'a [&'a Path]),
}

#[cfg(not(test))]
fn step(_: Step<'_>, action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    action()
}

#[cfg(test)]
use faults::step;

#[cfg(test)]
pub(crate) mod faults;

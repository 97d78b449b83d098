//! The folder that pages are made into: a new one, an empty one, or one that holds nothing but an earlier page.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use artifact::durable;

/// Says that the folder is ours. The first file to be written.
const MARK: &str = "made-by-countersign-verify.txt";
const MARK_TEXT: &str =
    "This folder was made by `countersign-verify site`, which may make it again: keep nothing else in it.\n";

/// Everything else that is written beside the parts.
const FILES: [&str; 4] = ["index.html", "alone.html", "page.js", "page.css"];

/// Where the parts lie.
pub(super) const PARTS: &str = "data";

/// The folder.
pub(super) struct Folder<'a> {
    path: &'a Path,
}

impl<'a> Folder<'a> {
    /// Looks at the folder that was named. Nothing is changed.
    ///
    /// # Errors
    /// It lies in the log, or holds what is no page's.
    pub(super) fn named(path: &'a Path, log: &Path) -> Result<Self, (u8, String)> {
        let usage = |what: String| (2, format!("--out {}: {what}", path.display()));
        // A log that is not there is for its reader to name.
        if let (Ok(log), Ok(inside)) = (log.canonicalize(), existing(path).canonicalize())
            && inside.starts_with(log)
        {
            return Err(usage("it lies in the log's own folder: name another".to_owned()));
        }
        let names = match names(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self { path }),
            names => names.map_err(|e| usage(e.to_string()))?,
        };
        let marked = names.iter().any(|name| name == MARK);
        let stranger = names.iter().find(|name| !(marked && is_ours(name)));
        match stranger {
            None => Ok(Self { path }),
            Some(name) => Err(usage(format!("it holds {name:?}, which is no page's: name a new or an empty folder"))),
        }
    }

    /// Takes an earlier page out of it.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn clear(&self) -> Result<(), (u8, String)> {
        for name in FILES {
            self.remove(&self.path.join(name))?;
        }
        let parts = self.path.join(PARTS);
        let names = match names(&parts) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            names => names.map_err(|e| self.failed(&parts, &e))?,
        };
        names.iter().try_for_each(|name| self.remove(&parts.join(name)))
    }

    /// Makes it, and says whose it is.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn prepare(&self) -> Result<(), (u8, String)> {
        let parts = self.path.join(PARTS);
        durable::create_folder(self.path).map_err(|e| self.failed(self.path, &e))?;
        self.put(MARK, MARK_TEXT)?;
        durable::create_folder(&parts).map_err(|e| self.failed(&parts, &e))
    }

    /// Writes a file, whole or not at all.
    ///
    /// # Errors
    /// As the kernel says.
    pub(super) fn put(&self, name: &str, text: &str) -> Result<(), (u8, String)> {
        let path = self.path.join(name);
        durable::replace(&path, text.as_bytes(), 0o644).map_err(|e| self.failed(&path, &e))
    }

    fn remove(&self, path: &Path) -> Result<(), (u8, String)> {
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(self.failed(path, &e)),
            _ => Ok(()),
        }
    }

    fn failed(&self, path: &Path, e: &io::Error) -> (u8, String) {
        (3, format!("{}: {e}: no page was made", path.display()))
    }
}

/// The nearest folder on the way to a path that is there.
fn existing(path: &Path) -> &Path {
    let there = path.ancestors().find(|p| !p.as_os_str().is_empty() && p.exists());
    there.unwrap_or(Path::new("."))
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    let text = |name: &OsStr| name.to_string_lossy().into_owned();
    fs::read_dir(path)?.map(|entry| Ok(text(&entry?.file_name()))).collect()
}

/// A file of an earlier page, or a part of one that an interrupted run left.
fn is_ours(name: &str) -> bool {
    let whole = name.strip_suffix(".part").unwrap_or(name);
    whole == MARK || whole == PARTS || FILES.contains(&whole)
}

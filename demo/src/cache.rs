//! What is made once and kept: bases and upstream sources, each under a name that says what went into it.

use std::fs;
use std::path::{Path, PathBuf};

use artifact::durable;

use crate::trouble::{During as _, Trouble};

/// The folder of everything that is kept: `$XDG_CACHE_HOME/countersign`, or `~/.cache/countersign`.
///
/// # Errors
/// When neither variable is set.
pub fn folder() -> Result<PathBuf, Trouble> {
    let named = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("XDG_CACHE_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| named("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("countersign"))
        .ok_or_else(|| Trouble::wrong("no folder for a cache: set XDG_CACHE_HOME or HOME"))
}

/// The folder of this kind and name. When it is not there, `make` fills one beside it, and it is put in place whole: two
/// makers at once leave one.
///
/// # Errors
/// As `make`, or as the file system says.
pub fn kept(kind: &str, name: &str, make: impl FnOnce(&Path) -> Result<(), Trouble>) -> Result<PathBuf, Trouble> {
    let parent = folder()?.join(kind);
    let place = parent.join(name);
    if place.is_dir() {
        return Ok(place);
    }
    durable::create_folder(&parent).during(parent.display())?;
    let part = tempfile::Builder::new().prefix(".part-").tempdir_in(&parent).during(parent.display())?;
    let fresh = part.path().join("it");
    fs::create_dir(&fresh).during(fresh.display())?;
    make(&fresh)?;
    match fs::rename(&fresh, &place) {
        // Somebody else was quicker, and has made the same.
        Err(_) if place.is_dir() => Ok(place),
        renamed => renamed.during(place.display()).map(|()| place),
    }
}

//! Currency: what the log says a tag names. A registry can roll a tag back; it can't make the log say so.

use std::path::Path;

use artifact::Digest;
use artifact::name::{Repository, Tag};
use audit::entry::Body;
use audit::note::Vkey;
use audit::reader::Log;

/// Reads the whole log, verified, and says what a tag names by it, and at which size.
///
/// # Errors
/// A text for a person: the log is not what was recorded, or never named this tag.
pub fn current(folder: &Path, log: &Vkey, repository: &Repository, tag: &Tag) -> Result<(Digest, u64), String> {
    let none: Option<Digest> = None;
    let (log, named) = Log::fold(folder, log, none, |named, entry| match entry.body() {
        Some(Body::Release(release)) if release.repository == *repository && release.tags.contains(tag) => {
            *named = Some(release.digest);
        }
        _ => {}
    })
    .map_err(|e| e.to_string())?;
    let size = log.checkpoint().size();
    named
        .map(|digest| (digest, size))
        .ok_or_else(|| format!("the log of {size} entries never named {repository}:{tag}"))
}

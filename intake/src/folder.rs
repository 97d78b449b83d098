//! Evidence as bytes: every `*.json` of a folder, or of a repository's head. All of it, or an error.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use artifact::dsse;
use artifact::failure::Failure;
use artifact::git::EntryKind;

use crate::address::Address;
use crate::config::EvidenceSource;
use crate::git::Git;
use crate::mirror::{Mirror, named};
use crate::process::printable;
use crate::session::{ObjectError, Session};

/// The most files of one source. A source that grows beyond is split, or swept, by who writes it.
const FILES: usize = 20_000;
/// How deep the folders of a repository are followed.
const DEPTH: usize = 8;

/// A file of evidence, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// What it is called, for people.
    pub name: String,
    /// Its bytes; or how many bytes too many it has.
    pub bytes: Result<Vec<u8>, String>,
}

/// Reads everything that a source holds.
pub(crate) fn read(git: &Git, source: &EvidenceSource) -> Result<Vec<Found>, Failure> {
    match source {
        EvidenceSource::Folder(path) => read_folder(path).map_err(|e| unavailable(source, &e)),
        EvidenceSource::Repository(address) => read_repository(git, address),
    }
}

fn unavailable(source: &EvidenceSource, cause: &dyn std::fmt::Display) -> Failure {
    let text = format!("{source}: {cause}; an incomplete set of test results could hide a failed one, so none counts");
    Failure::later("evidence-unavailable", text)
}

fn read_folder(path: &Path) -> std::io::Result<Vec<Found>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name.to_str().is_none_or(|n| n.ends_with(".json") && !n.starts_with('.')) {
            names.push(name);
        }
        if names.len() > FILES {
            return Err(std::io::Error::other(format!("more than {FILES} files")));
        }
    }
    names.sort();
    let mut found = Vec::new();
    for name in names {
        let shown = printable(&name.to_string_lossy());
        // Neither through a link nor into a pipe: a folder that others write holds what they like.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path.join(&name));
        let file = match opened {
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                found.push(Found { name: shown, bytes: Err("a symbolic link".to_owned()) });
                continue;
            }
            other => other?,
        };
        let bytes = if file.metadata()?.is_file() { bounded(file)? } else { Err("not a file".to_owned()) };
        found.push(Found { name: shown, bytes });
    }
    Ok(found)
}

fn bounded(file: File) -> std::io::Result<Result<Vec<u8>, String>> {
    let mut bytes = Vec::new();
    file.take(dsse::LIMIT as u64 + 1).read_to_end(&mut bytes)?;
    match bytes.len() > dsse::LIMIT {
        true => Ok(Err(too_large())),
        false => Ok(Ok(bytes)),
    }
}

fn too_large() -> String {
    format!("more than the limit of {} bytes", dsse::LIMIT)
}

fn read_repository(git: &Git, address: &Address) -> Result<Vec<Found>, Failure> {
    let source = EvidenceSource::Repository(address.clone());
    // A repository without a commit holds nothing yet.
    let Some(head) = named(git, address, "HEAD")? else { return Ok(Vec::new()) };
    let mirror = Mirror::open(git, address, &head)?;
    let head = mirror.fetch_head()?;
    let mut session = mirror.session()?;
    let mut found = Vec::new();
    let walked = session.commit(&head).and_then(|(commit, _)| walk(&mut session, &commit.tree, "", DEPTH, &mut found));
    walked.map_err(|e| unavailable(&source, &e))?;
    Ok(found)
}

fn walk(
    session: &mut Session,
    tree: &artifact::CommitId,
    below: &str,
    depth: usize,
    found: &mut Vec<Found>,
) -> Result<(), ObjectError> {
    for entry in session.tree(tree)?.0 {
        let name = if below.is_empty() { entry.name.clone() } else { format!("{below}/{}", entry.name) };
        match entry.kind {
            EntryKind::Tree if depth > 0 => walk(session, &entry.id, &name, depth - 1, found)?,
            EntryKind::Tree => return Err(std::io::Error::other(format!("folders nested deeper than {DEPTH}")).into()),
            EntryKind::File | EntryKind::Executable if entry.name.ends_with(".json") => {
                let bytes = match session.blob(&entry.id, dsse::LIMIT as u64) {
                    Err(ObjectError::Git(artifact::git::GitError::TooLarge { .. })) => Err(too_large()),
                    other => Ok(other?),
                };
                found.push(Found { name: printable(&name), bytes });
            }
            _ => {}
        }
        if found.len() > FILES {
            return Err(std::io::Error::other(format!("more than {FILES} files")).into());
        }
    }
    Ok(())
}

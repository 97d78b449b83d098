//! Evidence as bytes: every `*.json` of a folder, or of a repository's head. All of it, or an error.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use artifact::CommitId;
use artifact::digest::shortened;
use artifact::dsse;
use artifact::failure::Failure;
use artifact::git::EntryKind;

use crate::address::Address;
use crate::config::EvidenceSource;
use crate::git::Git;
use crate::mirror::{Mirror, named};
use crate::objects::GatherError;
use crate::process::printable;
use crate::session::{ObjectError, Session};

/// The most files of one source. A source that grows beyond is split, or swept, by who writes it.
const FILES: usize = 20_000;
/// The most folders of a repository. A small one can name billions, by naming the same folder again and again.
const FOLDERS: usize = 20_000;
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
        EvidenceSource::Folder(path) => match read_folder(path) {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(refused(source, "evidence-too-much", &format!("more than {FILES} files"))),
            Err(e) => Err(unavailable(source, &e)),
        },
        EvidenceSource::Repository(address) => read_repository(git, address),
    }
}

fn unavailable(source: &EvidenceSource, cause: &dyn std::fmt::Display) -> Failure {
    let text = format!("{source}: {cause}; an incomplete set of test results could hide a failed one, so none counts");
    Failure::later("evidence-unavailable", text)
}

/// What is the same tomorrow unless somebody mends it.
fn refused(source: &EvidenceSource, code: &str, cause: &dyn std::fmt::Display) -> Failure {
    Failure::never(code, format!("{source}: {cause}; none of it counts until this is mended there"))
}

/// The files of a folder; `None`: there are too many.
fn read_folder(path: &Path) -> std::io::Result<Option<Vec<Found>>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let name = entry?.file_name();
        if name.to_str().is_none_or(|n| n.ends_with(".json") && !n.starts_with('.')) {
            names.push(name);
        }
        if names.len() > FILES {
            return Ok(None);
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
            Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                found.push(Found { name: shown, bytes: Err("not a file".to_owned()) });
                continue;
            }
            other => other?,
        };
        let bytes = if file.metadata()?.is_file() { bounded(file)? } else { Err("not a file".to_owned()) };
        found.push(Found { name: shown, bytes });
    }
    Ok(Some(found))
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
    let mut walk = Walk::default();
    let walked = session.commit(&head).map_err(GatherError::from);
    match walked.and_then(|(commit, _)| walk.tree(&mut session, &commit.tree, "", DEPTH)) {
        Ok(()) => Ok(walk.found),
        Err(GatherError::Object(ObjectError::Io(e))) => Err(unavailable(&source, &e)),
        Err(e) => Err(refused(&source, "evidence-refused", &e)),
    }
}

#[derive(Default)]
struct Walk {
    folders: usize,
    found: Vec<Found>,
}

impl Walk {
    fn tree(&mut self, session: &mut Session, id: &CommitId, below: &str, depth: usize) -> Result<(), GatherError> {
        self.folders += 1;
        if self.folders > FOLDERS {
            return Err(GatherError::Tree(format!("more than {FOLDERS} folders")));
        }
        for entry in session.tree(id)?.0 {
            let name = if below.is_empty() { entry.name.clone() } else { format!("{below}/{}", entry.name) };
            match entry.kind {
                EntryKind::Tree if depth > 0 => self.tree(session, &entry.id, &name, depth - 1)?,
                EntryKind::Tree => return Err(GatherError::Tree(format!("folders nested deeper than {DEPTH}"))),
                EntryKind::File | EntryKind::Executable if entry.name.ends_with(".json") => {
                    let bytes = match session.blob(&entry.id, dsse::LIMIT as u64) {
                        Err(ObjectError::Git(artifact::git::GitError::TooLarge { .. })) => Err(too_large()),
                        other => Ok(other?),
                    };
                    self.found.push(Found { name: printable(&shortened(&name)), bytes });
                }
                _ => {}
            }
            if self.found.len() > FILES {
                return Err(GatherError::Tree(format!("more than {FILES} files")));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::Ground;
    use artifact::failure::Retry;

    fn read_head(ground: &Ground, tree: &CommitId) -> Result<Vec<Found>, Failure> {
        let commit = ground.commit_tree(tree);
        ground.run(&["update-ref", "HEAD", commit.as_str()]);
        read(&ground.git(), &EvidenceSource::Repository(ground.address()))
    }

    #[test]
    fn a_small_repository_of_billions_of_folders_is_refused_for_good() {
        let ground = Ground::new();
        ground.commit("one");
        let mut tree = ground.raw_tree(&[("100644", "r.txt", &ground.blob("x"))]);
        assert_eq!(read_head(&ground, &tree), Ok(Vec::new()));
        for _ in 0..DEPTH {
            let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
            let entries: Vec<_> = names.iter().map(|name| ("40000", name.as_str(), &tree)).collect();
            tree = ground.raw_tree(&entries);
        }
        let error = read_head(&ground, &tree).unwrap_err();
        assert_eq!((error.code.as_str(), error.retry), ("evidence-refused", Retry::Never), "{error}");
        assert!(error.message.contains("folders"), "{error}");
    }

    #[test]
    fn a_socket_and_too_many_files_are_answers_and_no_silence() {
        let ground = Ground::new();
        let source = EvidenceSource::Folder(ground.evidence());
        let _socket = std::os::unix::net::UnixListener::bind(ground.evidence().join("socket.json")).unwrap();
        let found = read(&ground.git(), &source).unwrap();
        assert_eq!(found[0].bytes, Err("not a file".to_owned()));
        for n in 0..FILES {
            File::create(ground.evidence().join(format!("{n}.json"))).unwrap();
        }
        let error = read(&ground.git(), &source).unwrap_err();
        assert_eq!((error.code.as_str(), error.retry), ("evidence-too-much", Retry::Never), "{error}");
    }
}

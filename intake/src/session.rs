//! A mirror's objects, one after another, as `git cat-file --batch` gives them. What they are is worked out from their bytes.

use std::io::{self, BufRead, BufReader, Read, Take, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use artifact::CommitId;
use artifact::git::{self, BLOB_LIMIT, Commit, GitError, Kind, META_LIMIT, TreeEntry};

use crate::git::Git;

/// Why an object could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectError {
    /// Git ended, or said what it never says.
    #[error("reading git's objects: {0}")]
    Io(#[from] io::Error),
    /// It is not there.
    #[error("object {0} is missing")]
    Missing(CommitId),
    /// It is not what was asked for.
    #[error("object {0} is no {1}")]
    Kind(CommitId, Kind),
    /// It is not what its id says, or nothing that git writes.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// A running `git cat-file --batch`.
#[derive(Debug)]
pub(crate) struct Session {
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Session {
    pub(crate) fn open(git: &Git, mirror: &Path) -> io::Result<Self> {
        let mut command = git.command();
        command.arg("--git-dir").arg(mirror).args(["cat-file", "--batch"]);
        // Errors of a repository's making are no lines for our terminal.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let pipe = || io::Error::other("a pipe is missing");
        let asks = child.stdin.take().ok_or_else(pipe)?;
        let answers = BufReader::with_capacity(64 << 10, child.stdout.take().ok_or_else(pipe)?);
        Ok(Self { child, asks, answers })
    }

    /// A commit: parsed, and its bytes.
    pub(crate) fn commit(&mut self, id: &CommitId) -> Result<(Commit, Vec<u8>), ObjectError> {
        let bytes = self.whole(id, Kind::Commit, META_LIMIT)?;
        Ok((Commit::parse(id, &bytes)?, bytes))
    }

    /// A tree: its entries, and its bytes.
    pub(crate) fn tree(&mut self, id: &CommitId) -> Result<(Vec<TreeEntry>, Vec<u8>), ObjectError> {
        let bytes = self.whole(id, Kind::Tree, META_LIMIT)?;
        Ok((git::parse_tree(id, &bytes)?, bytes))
    }

    /// A small blob.
    pub(crate) fn blob(&mut self, id: &CommitId, limit: u64) -> Result<Vec<u8>, ObjectError> {
        let bytes = self.whole(id, Kind::Blob, limit)?;
        match git::object_id(id, Kind::Blob, &bytes) == *id {
            true => Ok(bytes),
            false => Err(io::Error::other(format!("blob {id} has another id")).into()),
        }
    }

    fn whole(&mut self, id: &CommitId, kind: Kind, limit: u64) -> Result<Vec<u8>, ObjectError> {
        let size = self.ask(id, kind, limit)?;
        let mut bytes = Vec::new();
        self.content(size).read_to_end(&mut bytes)?;
        self.end(bytes.len() as u64, size)?;
        Ok(bytes)
    }

    /// Copies a blob into a stream of objects, behind its header, and checks its id on the way: what was written counts
    /// only when this returns.
    pub(crate) fn copy_blob(&mut self, id: &CommitId, to: &mut impl Write) -> Result<u64, ObjectError> {
        let size = self.ask(id, Kind::Blob, BLOB_LIMIT)?;
        to.write_all(git::header(Kind::Blob, size).as_bytes())?;
        let mut hasher = git::ObjectHasher::new(id, Kind::Blob, size);
        let mut left = size;
        while left > 0 {
            let piece = self.answers.fill_buf()?;
            let n = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if n == 0 {
                break;
            }
            hasher.update(&piece[..n]);
            to.write_all(&piece[..n])?;
            self.answers.consume(n);
            left -= n as u64;
        }
        self.end(size - left, size)?;
        match hasher.finish() == *id {
            true => Ok(size),
            false => Err(io::Error::other(format!("blob {id} has another id")).into()),
        }
    }

    fn ask(&mut self, id: &CommitId, kind: Kind, limit: u64) -> Result<u64, ObjectError> {
        writeln!(self.asks, "{id}")?;
        self.asks.flush()?;
        let mut line = String::new();
        (&mut self.answers).take(200).read_line(&mut line)?;
        let words: Vec<&str> = line.trim_end().split(' ').collect();
        match words[..] {
            [_, "missing"] => Err(ObjectError::Missing(id.clone())),
            [name, found, size] if name == id.as_str() => {
                let size = size.parse().map_err(|_| io::Error::other("a size that is none"))?;
                if found != kind.to_string() {
                    return Err(ObjectError::Kind(id.clone(), kind));
                }
                if size > limit {
                    return Err(GitError::TooLarge { kind, size, limit }.into());
                }
                Ok(size)
            }
            _ => Err(io::Error::other("git ended").into()),
        }
    }

    fn content(&mut self, size: u64) -> Take<&mut BufReader<ChildStdout>> {
        (&mut self.answers).take(size)
    }

    fn end(&mut self, read: u64, size: u64) -> io::Result<()> {
        let mut newline = [0];
        self.answers.read_exact(&mut newline)?;
        match read == size && newline == *b"\n" {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! Checkpoints (C2SP tlog-checkpoint): a log's name, its size and its root, signed by the log.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use artifact::digest::shortened;
use artifact::key::Ed25519Key;

use crate::merkle::{SIZE_LIMIT, TreeHash};
use crate::note::{self, Note, NoteError, Vkey};

/// Why a checkpoint was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not a note, or not signed by the log.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Signed, and yet not three lines that say what a checkpoint says.
    #[error("not a checkpoint: three lines, the log's name, its size and its root, are expected")]
    Shape,
    /// The checkpoint of another log.
    #[error("a checkpoint of {found:?}, and {expected:?} is expected")]
    Origin {
        /// What was there.
        found: String,
        /// What the key is for.
        expected: String,
    },
}

/// A log's state. A claim, until it is in a [`SignedCheckpoint`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root over them.
    pub root: TreeHash,
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, self.root)
    }
}

impl Checkpoint {
    fn parse(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split_terminator('\n');
        let (Some(origin), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Shape);
        };
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| CheckpointError::Shape)?,
            root: root.parse().map_err(|_| CheckpointError::Shape)?,
        };
        let empty = checkpoint.size == 0;
        let sound = checkpoint.size <= SIZE_LIMIT && (empty == (checkpoint.root == TreeHash::empty()));
        // Print again, compare: one spelling.
        if sound && checkpoint.to_string() == text { Ok(checkpoint) } else { Err(CheckpointError::Shape) }
    }
}

/// A checkpoint that its log has signed. There is no other way to have one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: String,
}

impl SignedCheckpoint {
    /// Signs a log's state with its key; the key goes by the log's name.
    ///
    /// # Errors
    /// A name that no log may have.
    pub fn sign(checkpoint: Checkpoint, key: &Ed25519Key) -> Result<Self, CheckpointError> {
        let note = Note::sign(&checkpoint.to_string(), &checkpoint.origin, key)?.to_string();
        Ok(Self { checkpoint, note })
    }

    /// Verifies first, parses what was verified. Cosignatures of others may stand beside the log's.
    ///
    /// # Errors
    /// Not signed by this log, or not a checkpoint of it.
    pub fn open(note: &str, log: &Vkey) -> Result<Self, CheckpointError> {
        let parsed = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(parsed.verify(log)?)?;
        if checkpoint.origin != log.name() {
            let found = shortened(&checkpoint.origin);
            return Err(CheckpointError::Origin { found, expected: log.name().to_owned() });
        }
        Ok(Self { checkpoint, note: note.to_owned() })
    }

    /// Reads the text of a checkpoint that somebody kept. The file was named by a person, so it may be a pipe.
    ///
    /// # Errors
    /// As the kernel says; or no text. A text that is too long for a note is cut, and so is none.
    pub fn read_note(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        File::open(path)?.take(note::LIMIT as u64 + 1).read_to_string(&mut text)?;
        Ok(text)
    }

    /// How many entries the log has.
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// The root over them.
    pub fn root(&self) -> &TreeHash {
        &self.checkpoint.root
    }

    /// The log's name.
    pub fn origin(&self) -> &str {
        &self.checkpoint.origin
    }

    /// The bytes as signed.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// Whether another says the same. Who cosigned them may differ.
    pub fn says_as(&self, other: &Self) -> bool {
        self.checkpoint == other.checkpoint
    }

    /// The same with these lines of witnesses below the log's.
    ///
    /// # Errors
    /// Lines that are no signatures, or too many.
    pub(crate) fn cosigned(&self, lines: &str) -> Result<Self, NoteError> {
        let note = format!("{}{lines}", self.note);
        // With an empty line in front, what stands before it would be the text.
        if Note::parse(&note)?.text() != self.checkpoint.to_string() {
            return Err(NoteError::Shape("a line after the text is no signature"));
        }
        Ok(Self { checkpoint: self.checkpoint.clone(), note })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Note;

    fn key() -> Ed25519Key {
        Ed25519Key::from_seed(&[7; 32]).unwrap()
    }

    #[test]
    fn a_checkpoint_comes_back() {
        let log = Vkey::new("a.example/log", &key()).unwrap();
        let checkpoint = Checkpoint { origin: "a.example/log".into(), size: 3, root: TreeHash::leaf(b"x") };
        let signed = SignedCheckpoint::sign(checkpoint, &key()).unwrap();
        assert_eq!(SignedCheckpoint::open(signed.note(), &log).unwrap(), signed);
        assert_eq!((signed.size(), signed.origin()), (3, "a.example/log"));
        let theirs = tlog_tiles::Checkpoint::from_bytes(&signed.checkpoint.to_string().into_bytes()).unwrap();
        assert_eq!((theirs.size(), theirs.hash().0), (3, *signed.root().raw()));
        let other = Vkey::new("a.example/log", &Ed25519Key::from_seed(&[8; 32]).unwrap()).unwrap();
        assert!(SignedCheckpoint::open(signed.note(), &other).is_err());
    }

    #[test]
    fn what_is_signed_is_a_checkpoint_or_nothing() {
        let (log, root, none) = (Vkey::new("a.example/log", &key()).unwrap(), TreeHash::leaf(b"x"), TreeHash::empty());
        for wrong in [
            format!("b.example/log\n3\n{root}\n"),
            format!("a.example/log\n03\n{root}\n"),
            format!("a.example/log\n+3\n{root}\n"),
            format!("a.example/log\n-3\n{root}\n"),
            format!("a.example/log\n3\n{root}\nextension\n"),
            format!("a.example/log\n3\n{root}\n\n"),
            format!("a.example/log\n3\n{}\n", &root.to_string()[4..]),
            format!("a.example/log\n{}\n{root}\n", SIZE_LIMIT + 1),
            format!("a.example/log\n0\n{root}\n"),
            format!("a.example/log\n3\n{none}\n"),
            "a.example/log\n3\n".to_owned(),
        ] {
            let note = Note::sign(&wrong, "a.example/log", &key()).unwrap().to_string();
            assert!(SignedCheckpoint::open(&note, &log).is_err(), "{wrong}");
        }
    }
}

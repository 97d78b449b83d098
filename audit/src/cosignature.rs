//! Cosignatures (C2SP tlog-cosignature, `cosignature/v1`): what a witness says of a checkpoint, and when.
//!
//! A witness has seen the log grow from each checkpoint it cosigned to the next. The newer kind of cosignature, ML-DSA-44,
//! is not known here: its lines are ignored like anybody's, and count for nothing.

use artifact::Moment;
use artifact::key::Ed25519Key;

use crate::note::{self, COSIGNATURE, Note, NoteError, VerifierKey};

/// A witness's key.
pub type WitnessKey = VerifierKey<COSIGNATURE>;

/// How far a clock may be from ours, in seconds.
pub const SKEW: u64 = 15 * 60;

impl WitnessKey {
    /// When this witness cosigned a checkpoint. What the note says is the log's to vouch for: see
    /// [`crate::checkpoint::SignedCheckpoint::open`].
    ///
    /// # Errors
    /// No cosignature of this witness, one that does not verify, more than one, or one of no time that we know.
    pub fn cosigned(&self, note: &Note) -> Result<Moment, NoteError> {
        let wrong = || NoteError::Signature(self.to_string());
        let (time, signature) = note.signature(self)?.split_first_chunk::<8>().ok_or_else(wrong)?;
        let seconds = u64::from_be_bytes(*time);
        self.key().verify(&message(seconds, note.text()), signature).map_err(|_| wrong())?;
        let at = i64::try_from(seconds).ok().and_then(Moment::from_unix);
        at.ok_or_else(|| NoteError::Time(self.to_string()))
    }

    /// The line of a note with this witness's cosignature, as the note has it.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(crate) fn line(&self, note: &Note) -> Result<String, NoteError> {
        Ok(note::line(self, note.signature(self)?))
    }
}

/// What is signed: a time before the checkpoint.
fn message(seconds: u64, checkpoint: &str) -> Vec<u8> {
    format!("cosignature/v1\ntime {seconds}\n{checkpoint}").into_bytes()
}

/// Cosigns a checkpoint's text as a witness does: the line for its note. The house has no witness; tests have.
///
/// # Errors
/// A name that no key may have.
pub fn cosign(checkpoint: &str, name: &str, key: &Ed25519Key, seconds: u64) -> Result<String, NoteError> {
    let signature = key.sign(&message(seconds, checkpoint));
    Ok(note::line(&WitnessKey::new(name, key)?, &[&seconds.to_be_bytes()[..], &signature[..]].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::note::Vkey;

    /// The example of C2SP tlog-cosignature. Its log's key is not given there; the witness's neither.
    const EXAMPLE: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    const TEXT: &str = "a.example/log\n1\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";

    fn key(n: u8) -> Ed25519Key {
        Ed25519Key::from_seed(&[n; 32]).unwrap()
    }

    fn witness(n: u8) -> WitnessKey {
        WitnessKey::new("w.example/1", &key(n)).unwrap()
    }

    fn noted(lines: &[&str]) -> Note {
        let log = Note::sign(TEXT, "a.example/log", &key(7)).unwrap().to_string();
        Note::parse(&(log + &lines.concat())).unwrap()
    }

    #[test]
    fn a_cosignature_says_when_and_has_one_spelling() {
        let line = cosign(TEXT, "w.example/1", &key(1), 1_679_315_147).unwrap();
        let note = noted(&[&line]);
        assert_eq!(witness(1).cosigned(&note).unwrap().to_string(), "2023-03-20T12:25:47Z");
        assert_eq!(witness(1).line(&note).unwrap(), line);
        assert!(Note::parse(EXAMPLE).is_ok());
        let whole = note.to_string();
        let begin = whole.len() - line.len();
        for n in begin..whole.len() {
            for flip in [1, 2, 0x20, 0x80] {
                let mut bytes = whole.clone().into_bytes();
                bytes[n] ^= flip;
                let note = String::from_utf8(bytes).ok().and_then(|t| Note::parse(&t).ok());
                assert!(note.is_none_or(|note| witness(1).cosigned(&note).is_err()), "byte {n}");
            }
        }
    }

    #[test]
    fn what_another_says_or_of_another_checkpoint_or_twice_is_no_cosignature() {
        let at = 1_679_315_147;
        let good = cosign(TEXT, "w.example/1", &key(1), at).unwrap();
        let cosigned = |lines: &[&str]| witness(1).cosigned(&noted(lines));
        assert!(matches!(cosigned(&[]), Err(NoteError::Unsigned(_))));
        let other_text = cosign(&TEXT.replace("\n1\n", "\n2\n"), "w.example/1", &key(1), at).unwrap();
        assert!(matches!(cosigned(&[&other_text]), Err(NoteError::Signature(_))));
        let later = cosign(TEXT, "w.example/1", &key(1), at + 1).unwrap();
        assert!(matches!(cosigned(&[&good, &later]), Err(NoteError::Signature(_))));
        assert!(matches!(cosigned(&[&good, &good]), Err(NoteError::Signature(_))));
        // Another key under the name has another id: it is not looked at, and does not count.
        let stranger = cosign(TEXT, "w.example/1", &key(2), at).unwrap();
        assert!(matches!(cosigned(&[&stranger]), Err(NoteError::Unsigned(_))));
        assert!(cosigned(&[&stranger, &good]).is_ok());
        // The same key as a log's has another id as well: what it signs as a log is no cosignature.
        let as_log = Note::sign(TEXT, "w.example/1", &key(1)).unwrap().to_string();
        assert!(matches!(cosigned(&[as_log.split("\n\n").nth(1).unwrap()]), Err(NoteError::Unsigned(_))));
        // A plain signature under the witness's id.
        let plain = note::line(&witness(1), &key(1).sign(TEXT.as_bytes()));
        assert!(matches!(cosigned(&[&plain]), Err(NoteError::Signature(_))));
        assert!(matches!(cosigned(&[&note::line(&witness(1), b"short")]), Err(NoteError::Signature(_))));
        for never in [u64::MAX, 1 << 63, 253_402_300_800] {
            let line = cosign(TEXT, "w.example/1", &key(1), never).unwrap();
            assert!(matches!(cosigned(&[&line]), Err(NoteError::Time(_))), "{never}");
        }
    }

    #[test]
    fn a_witness_has_a_key_of_its_own_type() {
        let (log, ours) = (Vkey::new("w.example/1", &key(1)).unwrap(), witness(1));
        assert_eq!(ours.to_string().parse::<WitnessKey>().unwrap(), ours);
        assert!(ours.to_string().parse::<Vkey>().unwrap_err().to_string().contains("is not a log's key"));
        let error = log.to_string().parse::<WitnessKey>().unwrap_err().to_string();
        assert!(error.contains("is not a witness's key") && error.contains("0x04"), "{error}");
        assert_ne!(log.id(), ours.id());
    }
}

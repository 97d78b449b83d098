//! Signed notes (C2SP signed-note): text, and lines that say who signed it. Ed25519: type 0x01 for a log, and 0x04 for a
//! witness, whose lines [`crate::cosignature`] reads. Lines of other keys and types are ignored, and count for nothing.

use std::fmt;
use std::str::FromStr;

use artifact::digest::{hex, shortened, unhex};
use artifact::key::{Ed25519Key, PublicKey};
use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The most bytes of a note: a checkpoint with the sixteen signatures that everyone must accept, with room to spare.
pub const LIMIT: usize = 64 << 10;

/// The signature type of Ed25519 over the note's text.
pub const ED25519: u8 = 1;

/// The signature type of Ed25519 over a time and a checkpoint (C2SP tlog-cosignature, `cosignature/v1`).
pub const COSIGNATURE: u8 = 4;

/// An Ed25519 SubjectPublicKeyInfo in DER, up to the 32 bytes of the key (RFC 8410).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a note, or a key for one, was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not a verifier key.
    #[error("{0:?} is not a {whose}'s key: name+8 hexadecimal digits+base64 of {1:#04x} and an Ed25519 key", whose = whose(.1))]
    Vkey(String, u8),
    /// Not a name that a key may have.
    #[error("{0:?} is not a log's name: no spaces, no +, no control characters, 1 to 255 bytes")]
    Name(String),
    /// Too long, or not spelled as a signed note is.
    #[error("not a signed note: {0}")]
    Shape(&'static str),
    /// The key has not signed the note.
    #[error("the note carries no signature of {0}")]
    Unsigned(String),
    /// The key's signature is there and wrong, or there twice.
    #[error("the signature of {0} on the note does not verify: its text was changed, or another key signed it")]
    Signature(String),
    /// A cosignature of a time that is none.
    #[error("the cosignature of {0} is of no time between 1970 and 9999")]
    Time(String),
}

fn whose(kind: &u8) -> &'static str {
    if *kind == COSIGNATURE { "witness" } else { "log" }
}

/// A key that verifies signatures of one type on notes, with the name it goes by: `name+keyid+base64(type ‖ key)`.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey<const KIND: u8> {
    name: String,
    raw: [u8; 32],
    key: PublicKey,
}

/// A log's key.
pub type Vkey = VerifierKey<ED25519>;

impl<const KIND: u8> VerifierKey<KIND> {
    /// The verifier of what `key` signs under this name.
    ///
    /// # Errors
    /// A name that no key may have.
    pub fn new(name: &str, key: &Ed25519Key) -> Result<Self, NoteError> {
        Self::from_raw(name, key.public_raw())
    }

    fn from_raw(name: &str, raw: [u8; 32]) -> Result<Self, NoteError> {
        check_name(name)?;
        let der = [&SPKI[..], &raw[..]].concat();
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", Base64::encode_string(&der));
        // Refuses what is no point of the curve, and weak keys.
        let key = pem.parse().map_err(|_| NoteError::Vkey(shortened(name), KIND))?;
        Ok(Self { name: name.to_owned(), raw, key })
    }

    /// The name: for a log, its origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The four bytes by which signature lines name the key.
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.log_id();
        [a, b, c, d]
    }

    /// The digest whose first four bytes are [`Vkey::id`]. Sigstore calls a log of checkpoints by all 32 (`logId.keyId`).
    pub fn log_id(&self) -> [u8; 32] {
        Self::digest(&self.name, &self.raw)
    }

    fn digest(name: &str, raw: &[u8; 32]) -> [u8; 32] {
        Sha256::new().chain_update(name).chain_update([b'\n', KIND]).chain_update(raw).finalize().into()
    }

    /// The key itself.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

fn check_name(name: &str) -> Result<(), NoteError> {
    let good =
        (1..=255).contains(&name.len()) && !name.contains(|c: char| c.is_whitespace() || c.is_control() || c == '+');
    if good { Ok(()) } else { Err(NoteError::Name(shortened(name))) }
}

impl<const KIND: u8> fmt::Display for VerifierKey<KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[KIND][..], &self.raw[..]].concat();
        write!(f, "{}+{}+{}", self.name, hex(&self.id()), Base64::encode_string(&typed))
    }
}

impl<const KIND: u8> fmt::Debug for VerifierKey<KIND> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const KIND: u8> FromStr for VerifierKey<KIND> {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let error = || NoteError::Vkey(shortened(text), KIND);
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else { return Err(error()) };
        let id: [u8; 4] = unhex(id).ok_or_else(error)?;
        let typed = Base64::decode_vec(key).map_err(|_| error())?;
        let (&kind, raw) = typed.split_first().ok_or_else(error)?;
        let raw: [u8; 32] = raw.try_into().map_err(|_| error())?;
        if kind != KIND || !Self::digest(name, &raw).starts_with(&id) {
            return Err(error());
        }
        let vkey = Self::from_raw(name, raw)?;
        // Print again, compare: one spelling.
        if vkey.to_string() == text { Ok(vkey) } else { Err(error()) }
    }
}

impl<const KIND: u8> Serialize for VerifierKey<KIND> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de, const KIND: u8> Deserialize<'de> for VerifierKey<KIND> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A note, parsed. What it says counts only after [`Note::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<SignatureLine>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct SignatureLine {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

impl Note {
    /// Signs a text, which ends with a newline.
    ///
    /// # Errors
    /// A name no key may have, or a text no note may have.
    pub fn sign(text: &str, name: &str, key: &Ed25519Key) -> Result<Self, NoteError> {
        let vkey = Vkey::new(name, key)?;
        let line =
            SignatureLine { name: name.to_owned(), id: vkey.id(), signature: key.sign(text.as_bytes()).to_vec() };
        let note = Self { text: text.to_owned(), signatures: vec![line] };
        // What could not be read back is not signed.
        if Self::parse(&note.to_string())? == note {
            Ok(note)
        } else {
            Err(NoteError::Shape("its text can't be signed"))
        }
    }

    /// Reads a note.
    ///
    /// # Errors
    /// Another shape or another spelling.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > LIMIT {
            return Err(NoteError::Shape("longer than 64 KiB"));
        }
        if note.contains(|c: char| c < ' ' && c != '\n') {
            return Err(NoteError::Shape("a control character"));
        }
        let end = note.rfind("\n\n").ok_or(NoteError::Shape("no empty line before the signatures"))?;
        let (text, lines) = (&note[..=end], &note[end + 2..]);
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Shape("its last line does not end"))?;
        let signatures = lines.split('\n').map(SignatureLine::parse).collect::<Result<Vec<_>, _>>()?;
        let parsed = Self { text: text.to_owned(), signatures };
        if parsed.to_string() == note { Ok(parsed) } else { Err(NoteError::Shape("another spelling")) }
    }

    /// The text, once this key has signed it. Signatures of other keys are not looked at.
    ///
    /// # Errors
    /// No signature of this key, one that does not verify, or more than one.
    pub fn verify(&self, vkey: &Vkey) -> Result<&str, NoteError> {
        match vkey.key.verify(self.text.as_bytes(), self.signature(vkey)?) {
            Ok(()) => Ok(&self.text),
            Err(_) => Err(NoteError::Signature(vkey.to_string())),
        }
    }

    /// The one signature that is called this key's; nothing has verified it.
    ///
    /// # Errors
    /// There is none, or more than one.
    pub(crate) fn signature<const KIND: u8>(&self, vkey: &VerifierKey<KIND>) -> Result<&[u8], NoteError> {
        let mut ours = self.signatures.iter().filter(|s| s.name == vkey.name && s.id == vkey.id());
        match (ours.next(), ours.next()) {
            (Some(one), None) => Ok(&one.signature),
            (None, _) => Err(NoteError::Unsigned(vkey.to_string())),
            _ => Err(NoteError::Signature(vkey.to_string())),
        }
    }

    /// What is signed; nothing has verified it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// A signature as a note has it: `— NAME BASE64`, and a newline.
pub(crate) fn line<const KIND: u8>(vkey: &VerifierKey<KIND>, signature: &[u8]) -> String {
    SignatureLine { name: vkey.name.clone(), id: vkey.id(), signature: signature.to_vec() }.to_string()
}

impl SignatureLine {
    fn parse(line: &str) -> Result<Self, NoteError> {
        const SHAPE: NoteError = NoteError::Shape("a line after the text is no signature");
        let (name, base64) = line.strip_prefix("— ").and_then(|l| l.split_once(' ')).ok_or(SHAPE)?;
        check_name(name)?;
        let bytes = Base64::decode_vec(base64).map_err(|_| SHAPE)?;
        let (id, signature) = bytes.split_first_chunk().ok_or(SHAPE)?;
        Ok(Self { name: name.to_owned(), id: *id, signature: signature.to_vec() })
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| fmt::Display::fmt(line, f))
    }
}

impl fmt::Display for SignatureLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id[..], &self.signature[..]].concat();
        writeln!(f, "— {} {}", self.name, Base64::encode_string(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of golang.org/x/mod/sumdb/note, which signed-note was written from.
    const GO_VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    const GO_NOTE: &str = "If you think cryptography is the answer to your problem,\n\
                           then you don't know what your problem is.\n\n\
                           — PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

    #[test]
    fn the_golden_note_verifies() {
        let (vkey, note) = (GO_VKEY.parse::<Vkey>().unwrap(), Note::parse(GO_NOTE).unwrap());
        assert_eq!(vkey.to_string(), GO_VKEY);
        assert_eq!(vkey.name(), "PeterNeumann");
        assert!(note.verify(&vkey).unwrap().ends_with("what your problem is.\n"));
        assert_eq!(note.to_string(), GO_NOTE);
    }

    #[test]
    fn no_byte_of_a_note_can_be_another() {
        let vkey: Vkey = GO_VKEY.parse().unwrap();
        for n in 0..GO_NOTE.len() {
            for flip in [1, 0x20, 0x80] {
                let mut bytes = GO_NOTE.as_bytes().to_vec();
                bytes[n] ^= flip;
                let held =
                    String::from_utf8(bytes).is_ok_and(|t| Note::parse(&t).is_ok_and(|n| n.verify(&vkey).is_ok()));
                assert!(!held, "byte {n}");
            }
        }
    }

    #[test]
    fn a_verifier_key_has_one_spelling() {
        for wrong in [
            "",
            "PeterNeumann",
            "PeterNeumann+c74f20a3",
            "PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "OtherNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW ",
            "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TX",
        ] {
            assert!(wrong.parse::<Vkey>().is_err(), "{wrong}");
        }
        // A witness's key (type 4) signs something else.
        let typed = [&[4][..], &[9; 32][..]].concat();
        assert!(format!("w+00000000+{}", Base64::encode_string(&typed)).parse::<Vkey>().is_err());
    }

    #[test]
    fn other_signatures_may_stand_beside_and_ours_only_once() {
        let (key, other) = (Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap());
        let (ours, theirs) = (Vkey::new("a.example/log", &key).unwrap(), Vkey::new("a.example/log", &other).unwrap());
        let note = Note::sign("text\n", "a.example/log", &key).unwrap().to_string();
        let more = Note::sign("text\n", "a.example/log", &other).unwrap().to_string();
        let line = |note: &str| note.split("\n\n").nth(1).unwrap().to_owned();
        let both = note.clone() + &line(&more);
        assert!(Note::parse(&both).unwrap().verify(&ours).is_ok());
        assert!(Note::parse(&both).unwrap().verify(&theirs).is_ok());
        assert!(matches!(Note::parse(&note).unwrap().verify(&theirs), Err(NoteError::Unsigned(_))));
        let twice = note.clone() + &line(&note);
        assert!(matches!(Note::parse(&twice).unwrap().verify(&ours), Err(NoteError::Signature(_))));
        for wrong in ["text", "text\r\n", ""] {
            assert!(Note::sign(wrong, "a.example/log", &key).is_err(), "{wrong:?}");
        }
        for wrong in ["", "a b", "a+b", "a\u{2003}b", "a\nb"] {
            assert!(Vkey::new(wrong, &key).is_err(), "{wrong:?}");
        }
    }
}

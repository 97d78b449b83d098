//! in-toto statements (v1): what was said, about what. A [`Signed`] statement exists only when a key that may say
//! such a thing has signed it.

pub mod comparison;
pub mod facts;
pub mod permit;
pub mod provenance;
pub mod sandbox;
pub mod test_result;
pub mod vsa;

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::dsse::{self, Envelope, EnvelopeError};
use crate::json::{self, JsonError};
use crate::key::{Ed25519Key, KeyId, PublicKey};

/// The type of every statement.
pub const STATEMENT: &str = "https://in-toto.io/Statement/v1";

/// What a statement says. The type is part of what is signed, so one predicate can't be read as another.
pub trait Predicate: Serialize + DeserializeOwned {
    /// The predicate's type.
    const TYPE: &'static str;
    /// Whether the format is ours: then it has one spelling and no unknown field.
    const OURS: bool = true;
}

/// A statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Statement<P> {
    /// [`STATEMENT`].
    #[serde(rename = "_type")]
    pub kind: String,
    /// What it is about.
    pub subject: Vec<Subject>,
    /// The predicate's type.
    pub predicate_type: String,
    /// What it says.
    pub predicate: P,
}

/// What a statement is about: an in-toto ResourceDescriptor, as far as we read one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// A name, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Where it is, or nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// By algorithm: `sha256` and its hexadecimal digits, `gitCommit` and an object id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub digest: BTreeMap<String, String>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, serde_json::Value>,
}

impl Subject {
    /// An image, an artifact or a file by its digest.
    pub fn sha256(name: &str, digest: &Digest) -> Self {
        let digest = BTreeMap::from([("sha256".to_owned(), digest.hex())]);
        Self { name: name.to_owned(), digest, ..Self::default() }
    }

    /// A commit.
    pub fn commit(name: &str, commit: &crate::CommitId) -> Self {
        let digest = BTreeMap::from([("gitCommit".to_owned(), commit.to_string())]);
        Self { name: name.to_owned(), digest, ..Self::default() }
    }
}

/// Why a statement was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum StatementError {
    /// The envelope is broken, or signed by nobody who may.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The payload is not such a statement.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// A statement of another type.
    #[error("a statement of type {found:?}, and {expected} is expected")]
    Type {
        /// What was there.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
}

impl<P: Predicate> Statement<P> {
    /// States something.
    pub fn new(subject: Vec<Subject>, predicate: P) -> Self {
        Self { kind: STATEMENT.to_owned(), subject, predicate_type: P::TYPE.to_owned(), predicate }
    }

    /// The bytes to sign.
    ///
    /// # Errors
    /// A predicate with a number that JSON can't carry.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JsonError> {
        json::canonical("statement", self)
    }

    /// Signs it.
    ///
    /// # Errors
    /// As [`Statement::to_bytes`].
    pub fn sign(&self, key: &Ed25519Key) -> Result<Envelope, JsonError> {
        let payload = self.to_bytes()?;
        let signature = key.sign(&dsse::pae(dsse::IN_TOTO, &payload));
        Ok(Envelope::new(payload, signature.to_vec()))
    }

    /// Reads a statement's bytes. Says nothing of who made it.
    ///
    /// # Errors
    /// Another type, another shape; for our own formats, another spelling.
    pub fn parse(payload: &[u8]) -> Result<Self, StatementError> {
        let statement: Self = match P::OURS {
            true => json::parse_canonical("statement", payload)?,
            false => json::parse_foreign("statement", payload)?,
        };
        for (found, expected) in [(&statement.kind, STATEMENT), (&statement.predicate_type, P::TYPE)] {
            if found != expected {
                return Err(StatementError::Type { found: crate::digest::shortened(found), expected });
            }
        }
        Ok(statement)
    }
}

/// A statement that one of the keys which may say such a thing has signed. There is no other way to have one.
#[derive(Debug)]
pub struct Signed<P> {
    statement: Statement<P>,
    envelope: Envelope,
    key: KeyId,
}

impl<P: Predicate> Signed<P> {
    /// Verifies first, parses what was verified.
    ///
    /// # Errors
    /// Signed by none of `keys`, or not such a statement.
    pub fn open<'k>(bytes: &[u8], keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<Self, StatementError> {
        let envelope = Envelope::parse(bytes)?;
        let key = envelope.verify(keys)?;
        let statement = Statement::parse(&envelope.payload.0)?;
        Ok(Self { statement, envelope, key })
    }

    /// What it says.
    pub fn says(&self) -> &P {
        &self.statement.predicate
    }

    /// What it is about.
    pub fn subject(&self) -> &[Subject] {
        &self.statement.subject
    }

    /// The envelope.
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// Who says it.
    pub fn key(&self) -> KeyId {
        self.key
    }
}

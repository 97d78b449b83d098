//! Leaves: what a tile holds for an entry. Ours commit to a salted body that lies beside the log; those shaped as
//! Rekor's are a release's signature, verbatim.

use artifact::Digest;
use artifact::json::{self, JsonError};
use getrandom::Error as RandomError;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::entry::Body;

/// The most bytes of a leaf: its length stands in 16 bits (C2SP tlog-tiles).
pub const LIMIT: usize = 65_535;

/// The version of every kind so far.
const VERSION: u8 = 1;

/// What the hash over a body begins with, so that it can be no other hash.
const DOMAIN: &[u8] = b"countersign-entry@v1\n";

/// Why a leaf, or a body for one, was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// The first bytes are neither of our kinds nor a JSON object.
    #[error(
        "a leaf of kind {kind}, version {version}, which this program does not know: read the log with a newer one"
    )]
    Unknown {
        /// The first byte.
        kind: u8,
        /// The second.
        version: u8,
    },
    /// Too short, or too long.
    #[error("a leaf of {0} bytes: ours have 34, and none has more than {LIMIT}")]
    Length(usize),
    /// The body or its salt is not what was committed to.
    #[error("the body or its salt is not the one that the log commits to: it was changed")]
    Commitment,
    /// The leaf gives another kind than its body.
    #[error("the leaf says it is of kind {leaf}, and its body is of kind {body}")]
    Kind {
        /// As the leaf says.
        leaf: u8,
        /// As the body says.
        body: u8,
    },
    /// The body, or a leaf shaped as Rekor's, is not such JSON.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The kernel has no random numbers for a salt.
    #[error("no random numbers: {0}")]
    Random(RandomError),
}

/// 32 random bytes that keep a body from being guessed by its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Salt([u8; 32]);

impl Salt {
    /// A salt that never was.
    ///
    /// # Errors
    /// When the kernel has no random numbers.
    pub fn generate() -> Result<Self, LeafError> {
        let mut raw = [0; 32];
        getrandom::fill(&mut raw).map_err(LeafError::Random)?;
        Ok(Self(raw))
    }

    /// Wraps the 32 bytes that lie beside a body.
    pub const fn from_raw(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 32 bytes.
    pub const fn raw(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A leaf of ours: the kind, the version and the commitment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Commitment {
    kind: u8,
    digest: Digest,
}

impl Commitment {
    /// Commits to a body's bytes.
    pub fn to(kind: u8, salt: &Salt, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(DOMAIN);
        for part in [&salt.0[..], body] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self { kind, digest: Digest::from_raw(hasher.finalize().into()) }
    }

    /// The 34 bytes of the leaf.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[self.kind, VERSION][..], self.digest.raw()].concat()
    }

    /// The digest, under which body and salt lie beside the log.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// The body, once it is shown to be what was committed to.
    ///
    /// # Errors
    /// Another body, another salt, or a body that says nothing we know.
    pub fn open(&self, salt: &Salt, body: &[u8]) -> Result<Body, LeafError> {
        if Self::to(self.kind, salt, body) != *self {
            return Err(LeafError::Commitment);
        }
        let parsed = Body::parse(body)?;
        match parsed.kind() {
            kind if kind == self.kind => Ok(parsed),
            kind => Err(LeafError::Kind { leaf: self.kind, body: kind }),
        }
    }
}

/// A leaf shaped as Rekor's: a JSON object that names its kind and version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RekorLeaf(Vec<u8>);

/// What every Rekor entry says of itself; the rest is the business of who reads it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RekorShape {
    #[serde(rename = "kind")]
    _kind: String,
    #[serde(rename = "apiVersion")]
    _api_version: String,
    #[serde(rename = "spec")]
    _spec: serde_json::Map<String, serde_json::Value>,
}

impl RekorLeaf {
    /// Takes the bytes as they are.
    ///
    /// # Errors
    /// Too long, or not an object with `kind`, `apiVersion` and `spec`.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, LeafError> {
        if bytes.len() > LIMIT || bytes.first() != Some(&b'{') {
            return Err(LeafError::Length(bytes.len()));
        }
        let _: RekorShape = json::parse_foreign("leaf", &bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A leaf of either sort. Their first bytes tell them apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leaf {
    /// One of ours.
    Ours(Commitment),
    /// One shaped as Rekor's.
    Rekor(RekorLeaf),
}

impl Leaf {
    /// Reads a leaf.
    ///
    /// # Errors
    /// Neither of the two, or a kind or version that this program does not know.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        match *bytes {
            [b'{', ..] => RekorLeaf::parse(bytes.to_vec()).map(Self::Rekor),
            [kind, VERSION, ref digest @ ..] if Body::name_of(kind).is_some() => {
                let raw = <[u8; 32]>::try_from(digest).map_err(|_| LeafError::Length(bytes.len()))?;
                Ok(Self::Ours(Commitment { kind, digest: Digest::from_raw(raw) }))
            }
            [kind, version, ..] => Err(LeafError::Unknown { kind, version }),
            _ => Err(LeafError::Length(bytes.len())),
        }
    }

    /// The bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ours(commitment) => commitment.to_bytes(),
            Self::Rekor(leaf) => leaf.0.clone(),
        }
    }
}

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
    /// A body for a leaf shaped as Rekor's, which has none.
    #[error("a leaf shaped as Rekor's has no body, and there is one for it")]
    NoBody,
    /// The body or its salt is not what was committed to.
    #[error("the body or its salt is not the one that the log commits to: it was changed")]
    Commitment,
    /// A leaf that should be shaped as Rekor's, and is no JSON object.
    #[error("not a leaf shaped as Rekor's: a JSON object is expected")]
    NoObject,
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

    /// The number of its kind.
    pub fn kind(&self) -> u8 {
        self.kind
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
        if bytes.len() > LIMIT {
            return Err(LeafError::Length(bytes.len()));
        }
        // The first byte tells these from ours, so no space may stand before it.
        if bytes.first() != Some(&b'{') {
            return Err(LeafError::NoObject);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tests::{body, rekor};

    #[test]
    fn a_leaf_opens_with_its_salt_and_body_only() {
        let (body, salt) = (body("x"), Salt::generate().unwrap());
        let bytes = body.to_bytes().unwrap();
        let commitment = Commitment::to(body.kind(), &salt, &bytes);
        let leaf = commitment.to_bytes();
        assert_eq!((leaf.len(), leaf[0], leaf[1]), (34, 12, 1));
        let Leaf::Ours(read) = Leaf::parse(&leaf).unwrap() else { panic!("ours") };
        assert_eq!(read.open(&salt, &bytes).unwrap(), body);
        let other = Salt::generate().unwrap();
        assert!(matches!(read.open(&other, &bytes), Err(LeafError::Commitment)));
        let changed = String::from_utf8(bytes.clone()).unwrap().replace('x', "y");
        assert!(matches!(read.open(&salt, changed.as_bytes()), Err(LeafError::Commitment)));
        // A keeper that gives a body another kind has committed to what nobody can open.
        let wrong = Commitment::to(1, &salt, &bytes);
        assert!(matches!(wrong.open(&salt, &bytes), Err(LeafError::Kind { leaf: 1, body: 12 })));
    }

    #[test]
    fn the_commitment_is_as_documented() {
        let (salt, body) = (Salt::from_raw([9; 32]), b"{}");
        let mut bytes = b"countersign-entry@v1\n".to_vec();
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 32]);
        bytes.extend([9; 32]);
        bytes.extend([0, 0, 0, 0, 0, 0, 0, 2]);
        bytes.extend(body);
        assert_eq!(*Commitment::to(1, &salt, body).digest(), Digest::of(&bytes));
    }

    #[test]
    fn what_is_neither_ours_nor_rekors_is_refused() {
        assert!(matches!(Leaf::parse(&rekor("x")), Ok(Leaf::Rekor(leaf)) if leaf.as_bytes() == rekor("x")));
        let ours = |kind, version, rest: usize| [&[kind, version][..], &vec![0; rest]].concat();
        assert!(Leaf::parse(&ours(1, 1, 32)).is_ok());
        for wrong in [ours(0, 1, 32), ours(31, 1, 32), ours(1, 2, 32), ours(1, 1, 31), ours(1, 1, 33), vec![1], vec![]]
        {
            assert!(Leaf::parse(&wrong).is_err(), "{wrong:?}");
        }
        let spaced = [b" ", &rekor("x")[..]].concat();
        for wrong in [&b"{}"[..], b"[]", b"{", br#"{"kind":1,"apiVersion":"1","spec":{}}"#, &spaced] {
            assert!(RekorLeaf::parse(wrong.to_vec()).is_err());
        }
    }
}

//! What is recorded: a value that exists only with a proof, under a checkpoint of the log that is consistent with
//! the last one its holder has seen.

use artifact::digest::Base64;
use serde::{Deserialize, Serialize};

use crate::checkpoint::SignedCheckpoint;
use crate::entry::{Body, Kind};
use crate::leaf::{Commitment, LeafError, RekorLeaf, Salt};
use crate::merkle::{self, ProofError, TreeHash};
use crate::note::Vkey;
use crate::receipt::{Receipt, ReceiptError};

/// Why something was not accepted as recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// The receipt does not hold for this entry in this log.
    #[error(transparent)]
    Receipt(#[from] ReceiptError),
    /// The body is not what the log commits to.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The log lost entries that were seen.
    #[error(
        "the log was rolled back: {seen} entries were seen, and its checkpoint now has {size}. \
         Do not go on; compare the log with its copies"
    )]
    RolledBack {
        /// The size of the last checkpoint that was seen.
        seen: u64,
        /// The size of this one.
        size: u64,
    },
    /// The log does not begin with what was seen of it.
    #[error(
        "the log of {size} entries does not begin with the {seen} that were seen: it was rewritten, or there are two. \
         Do not go on; compare the log with its copies ({cause})"
    )]
    Forked {
        /// The size of the last checkpoint that was seen.
        seen: u64,
        /// The size of this one.
        size: u64,
        /// What the proof lacks.
        cause: ProofError,
    },
    /// An entry of another kind.
    #[error("entry {index} is {found:?}, and {expected:?} is expected")]
    Kind {
        /// Which entry.
        index: u64,
        /// What it is.
        found: &'static str,
        /// What was asked for.
        expected: &'static str,
    },
    /// A body without its salt, or a leaf that is no body with one.
    #[error("a body of ours comes with its salt of 32 bytes, and a leaf shaped as Rekor's comes without")]
    Salt,
}

/// An entry on its way to who relies on it, with what proves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proven {
    /// The canonical body of one of ours, or a leaf shaped as Rekor's.
    pub content: Base64,
    /// The salt of one of ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<Base64>,
    /// The receipt.
    pub receipt: String,
}

/// The last checkpoint that was seen of a log: its size and its root. Kept where a rollback of the log's disk does not
/// reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastSeen {
    /// How many entries the log had.
    size: u64,
    /// The root over them.
    root: TreeHash,
}

impl Default for LastSeen {
    fn default() -> Self {
        Self { size: 0, root: TreeHash::empty() }
    }
}

impl LastSeen {
    /// What a checkpoint says.
    pub fn of(checkpoint: &SignedCheckpoint) -> Self {
        Self { size: checkpoint.size(), root: *checkpoint.root() }
    }

    /// How many entries the log had.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> &TreeHash {
        &self.root
    }

    /// Goes on to a newer checkpoint, or stays at this one: then the proof is not looked at, so that several entries
    /// under one checkpoint can come with the same proof.
    ///
    /// # Errors
    /// An older checkpoint, or one of a log that does not begin with what was seen.
    pub fn advance(&mut self, to: &SignedCheckpoint, consistency: &[TreeHash]) -> Result<(), RecordedError> {
        let (seen, size) = (self.size, to.size());
        if size < seen {
            return Err(RecordedError::RolledBack { seen, size });
        }
        let proof = if size == seen { &[] } else { consistency };
        merkle::verify_consistency((seen, &self.root), (size, to.root()), proof)
            .map_err(|cause| RecordedError::Forked { seen, size, cause })?;
        *self = Self::of(to);
        Ok(())
    }

    /// Admits one of our entries: verifies its receipt under the log's key, its body against the leaf, and the
    /// checkpoint against what was last seen, which moves on.
    ///
    /// # Errors
    /// When any of that does not hold; then nothing moves.
    pub fn admit(
        &mut self,
        log: &Vkey,
        proven: &Proven,
        consistency: &[TreeHash],
    ) -> Result<Recorded<Body>, RecordedError> {
        let salt = proven.salt.as_ref().and_then(|s| s.0[..].try_into().ok()).ok_or(RecordedError::Salt)?;
        let salt = Salt::from_raw(salt);
        let body = Body::parse(&proven.content.0).map_err(LeafError::from)?;
        let commitment = Commitment::to(body.kind(), &salt, &proven.content.0);
        self.admit_leaf(log, &commitment.to_bytes(), &proven.receipt, consistency, body)
    }

    /// As [`LastSeen::admit`], for a leaf shaped as Rekor's.
    ///
    /// # Errors
    /// As [`LastSeen::admit`].
    pub fn admit_raw(
        &mut self,
        log: &Vkey,
        proven: &Proven,
        consistency: &[TreeHash],
    ) -> Result<Recorded<RekorLeaf>, RecordedError> {
        if proven.salt.is_some() {
            return Err(RecordedError::Salt);
        }
        let leaf = RekorLeaf::parse(proven.content.0.clone())?;
        self.admit_leaf(log, &proven.content.0, &proven.receipt, consistency, leaf)
    }

    fn admit_leaf<T>(
        &mut self,
        log: &Vkey,
        leaf: &[u8],
        receipt: &str,
        consistency: &[TreeHash],
        value: T,
    ) -> Result<Recorded<T>, RecordedError> {
        let receipt: Receipt = receipt.parse()?;
        let checkpoint = receipt.verify(log, leaf)?;
        self.advance(&checkpoint, consistency)?;
        let (index, proof) = (receipt.index, receipt.proof);
        Ok(Recorded { value, index, leaf_hash: TreeHash::leaf(leaf), proof, checkpoint })
    }
}

/// A value that is recorded. Made by [`LastSeen`] alone; not copied, not read from a file.
#[derive(Debug)]
#[must_use]
pub struct Recorded<T> {
    value: T,
    index: u64,
    leaf_hash: TreeHash,
    proof: Vec<TreeHash>,
    checkpoint: SignedCheckpoint,
}

impl<T> Recorded<T> {
    /// What is recorded.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Gives up the proof for the value.
    pub fn into_value(self) -> T {
        self.value
    }

    /// The entry's number, from 0.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// The hash of the leaf.
    pub fn leaf_hash(&self) -> &TreeHash {
        &self.leaf_hash
    }

    /// The inclusion proof, the leaf's sibling first.
    pub fn proof(&self) -> &[TreeHash] {
        &self.proof
    }

    /// The checkpoint it is proved under.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

impl Recorded<Body> {
    /// The same, of the one kind that is expected.
    ///
    /// # Errors
    /// When it is of another.
    pub fn of_kind<K: Kind>(self) -> Result<Recorded<K>, RecordedError> {
        let Self { value, index, leaf_hash, proof, checkpoint } = self;
        let found = value.name();
        match K::from_body(value) {
            Some(value) => Ok(Recorded { value, index, leaf_hash, proof, checkpoint }),
            None => Err(RecordedError::Kind { index, found, expected: K::NAME }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::{Appended, Submission};
    use crate::entry::{Halted, Permit};
    use crate::keeper::Keeper;
    use crate::keeper::tests::{House, body, rekor};

    fn append(keeper: &mut Keeper, text: &str, since: u64) -> (Proven, Appended) {
        let mut answer = keeper.append(vec![Submission::Body(body(text))], since).unwrap();
        let content = Base64(body(text).to_bytes().unwrap());
        (Proven { content, salt: answer.salts.remove(0), receipt: answer.receipts.remove(0) }, answer)
    }

    #[test]
    fn the_log_moves_on_and_never_back() {
        let house = House::new();
        let mut keeper = house.open().unwrap();
        let log = keeper.vkey().clone();
        let mut seen = LastSeen::default();
        let (first, answer) = append(&mut keeper, "a", seen.size());
        let recorded = seen.admit(&log, &first, &answer.consistency).unwrap();
        assert_eq!((recorded.index(), recorded.checkpoint().size(), seen.size()), (0, 1, 1));
        let (second, answer) = append(&mut keeper, "b", seen.size());
        // A proof from somewhere else, or none, does not do.
        let before = seen;
        assert!(matches!(seen.admit(&log, &second, &[]), Err(RecordedError::Forked { seen: 1, size: 2, .. })));
        assert!(matches!(seen.admit(&log, &second, &[TreeHash::empty()]), Err(RecordedError::Forked { .. })));
        assert_eq!(seen, before, "what is refused moves nothing");
        let recorded = seen.admit(&log, &second, &answer.consistency).unwrap();
        assert_eq!(recorded.proof().len(), 1);
        assert_eq!(recorded.of_kind::<Halted>().unwrap().value().failure.message, "b");
        // The older receipt is true, and under a checkpoint that is behind.
        assert!(matches!(seen.admit(&log, &first, &[]), Err(RecordedError::RolledBack { seen: 2, size: 1 })));
        let now = keeper.prove(&[0], seen.size()).unwrap();
        let first = Proven { receipt: now.receipts[0].clone(), ..first };
        let recorded = seen.admit(&log, &first, &now.consistency).unwrap();
        assert!(matches!(recorded.of_kind::<Permit>(), Err(RecordedError::Kind { index: 0, found: "halted", .. })));
    }

    #[test]
    fn another_history_under_the_same_key_is_seen() {
        let house = House::new();
        drop(house.open().unwrap());
        let fork = house.copy();
        let (mut keeper, mut other) = (house.open().unwrap(), fork.open().unwrap());
        let log = keeper.vkey().clone();
        assert_eq!(log, *other.vkey());
        let mut seen = LastSeen::default();
        let (proven, answer) = append(&mut keeper, "a", 0);
        let _ = seen.admit(&log, &proven, &answer.consistency).unwrap();
        let (same_size, answer) = append(&mut other, "a", 0);
        assert!(matches!(seen.admit(&log, &same_size, &answer.consistency), Err(RecordedError::Forked { .. })));
        let (longer, answer) = append(&mut other, "b", 1);
        assert!(matches!(seen.admit(&log, &longer, &answer.consistency), Err(RecordedError::Forked { .. })));
    }

    #[test]
    fn content_salt_and_key_must_be_the_recorded_ones() {
        let house = House::new();
        let mut keeper = house.open().unwrap();
        let log = keeper.vkey().clone();
        let mut seen = LastSeen::default();
        let (good, answer) = append(&mut keeper, "a", 0);
        let other = Base64(body("b").to_bytes().unwrap());
        let raw = Base64(rekor("a"));
        for wrong in [
            Proven { content: other, ..good.clone() },
            Proven { content: raw.clone(), ..good.clone() },
            Proven { salt: None, ..good.clone() },
            Proven { salt: Some(Base64(vec![0; 32])), ..good.clone() },
            Proven { salt: Some(Base64(vec![0; 31])), ..good.clone() },
            Proven { receipt: String::new(), ..good.clone() },
        ] {
            assert!(seen.admit(&log, &wrong, &answer.consistency).is_err());
        }
        assert!(seen.admit_raw(&log, &good, &answer.consistency).is_err());
        let unsalted = Proven { content: raw, salt: None, ..good.clone() };
        assert!(seen.admit_raw(&log, &unsalted, &answer.consistency).is_err());
        let stranger = House::new().open().unwrap().vkey().clone();
        assert!(seen.admit(&stranger, &good, &answer.consistency).is_err());
        assert_eq!(seen, LastSeen::default());
        assert!(seen.admit(&log, &good, &answer.consistency).is_ok());
    }
}

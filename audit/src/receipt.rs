//! Receipts (C2SP tlog-proof): that an entry is in a log, for anyone, offline.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::merkle::{self, PROOF_LIMIT, ProofError, TreeHash};
use crate::note::{self, Vkey};

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// The most bytes of extra data.
const EXTRA_LIMIT: usize = 64 << 10;

/// The most bytes of a receipt.
pub const LIMIT: usize = note::LIMIT + 2 * EXTRA_LIMIT + 64 * PROOF_LIMIT;

/// Why a receipt was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// Not spelled as a receipt is.
    #[error("not a receipt (c2sp.org/tlog-proof@v1): {0}")]
    Shape(&'static str),
    /// Its checkpoint is not one of this log.
    #[error("the receipt's checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// It does not prove what it should.
    #[error("the receipt: {0}")]
    Proof(#[from] ProofError),
}

/// A receipt, parsed. What it says counts only after [`Receipt::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// What somebody wrote beside it; nothing vouches for it, and we neither write nor read it.
    pub extra: Option<Vec<u8>>,
    /// The entry's number, from 0.
    pub index: u64,
    /// The inclusion proof, the leaf's sibling first.
    pub proof: Vec<TreeHash>,
    /// The checkpoint, verbatim.
    pub checkpoint: String,
}

impl Receipt {
    /// Verifies that this very entry is in the log, under a checkpoint that the log signed.
    ///
    /// # Errors
    /// The checkpoint is not this log's, or the entry is not in it at this index.
    pub fn verify(&self, log: &Vkey, entry: &[u8]) -> Result<SignedCheckpoint, ReceiptError> {
        let checkpoint = SignedCheckpoint::open(&self.checkpoint, log)?;
        let leaf = TreeHash::leaf(entry);
        merkle::verify_inclusion(&leaf, self.index, checkpoint.size(), &self.proof, checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", Base64::encode_string(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        for hash in &self.proof {
            writeln!(f, "{hash}")?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for Receipt {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        if text.len() > LIMIT {
            return Err(ReceiptError::Shape("too long"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(ReceiptError::Shape("no checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(ReceiptError::Shape("another first line"));
        }
        let extra = lines.next_if(|l| l.starts_with("extra ")).map(|l| Base64::decode_vec(&l["extra ".len()..]));
        let extra = extra.transpose().map_err(|_| ReceiptError::Shape("extra data that is not base64"))?;
        if extra.as_ref().is_some_and(|e| e.len() > EXTRA_LIMIT) {
            return Err(ReceiptError::Shape("more than 64 KiB of extra data"));
        }
        let index = lines.next().and_then(|l| l.strip_prefix("index ")).and_then(|n| n.parse().ok());
        let index = index.ok_or(ReceiptError::Shape("no index"))?;
        let proof = lines.map(str::parse).collect::<Result<Vec<TreeHash>, _>>();
        let proof = proof.map_err(|_| ReceiptError::Shape("a line of the proof is no hash"))?;
        if proof.len() > PROOF_LIMIT {
            return Err(ReceiptError::Shape("a proof for a larger log than there can be"));
        }
        let receipt = Self { extra, index, proof, checkpoint: checkpoint.to_owned() };
        // Print again, compare: one spelling.
        if receipt.to_string() == text { Ok(receipt) } else { Err(ReceiptError::Shape("another spelling")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keeper::tests::{House, rekor, some};

    fn receipts() -> (Vkey, Vec<String>) {
        let house = House::new();
        let mut keeper = house.open().unwrap();
        let receipts = keeper.append(some(7, "x"), 0).unwrap().receipts;
        (keeper.vkey().clone(), receipts)
    }

    #[test]
    fn no_byte_of_a_receipt_can_be_another() {
        let (log, receipts) = receipts();
        let entry = rekor("x 2");
        let held = |text: &str| text.parse::<Receipt>().is_ok_and(|r| r.verify(&log, &entry).is_ok());
        assert!(held(&receipts[2]));
        assert!(!held(&receipts[1]) && !held(&receipts[5]));
        for n in 0..receipts[2].len() {
            for flip in [1, 2, 0x20, 0x80] {
                let mut bytes = receipts[2].clone().into_bytes();
                bytes[n] ^= flip;
                assert!(!String::from_utf8(bytes).is_ok_and(|t| held(&t)), "byte {n}");
            }
            assert!(!receipts[2].get(..n).is_some_and(held), "cut at {n}");
        }
        assert!(!held(&format!("{}\n", receipts[2])));
        assert!(receipts[2].parse::<Receipt>().unwrap().verify(&log, b"other").is_err());
    }

    #[test]
    fn extra_data_is_carried_and_not_believed() {
        let (log, receipts) = receipts();
        let mut receipt: Receipt = receipts[2].parse().unwrap();
        receipt.extra = Some(b"words".to_vec());
        let text = receipt.to_string();
        assert!(text.starts_with("c2sp.org/tlog-proof@v1\nextra d29yZHM=\nindex 2\n"), "{text}");
        assert_eq!(text.parse::<Receipt>().unwrap(), receipt);
        assert!(receipt.verify(&log, &rekor("x 2")).is_ok());
        for (from, to) in [("index 2", "index 02"), ("extra d", "extra  d"), ("extra", "Extra"), ("index 2\n", "")] {
            assert!(text.replace(from, to).parse::<Receipt>().is_err(), "{to}");
        }
    }
}

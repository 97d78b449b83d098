//! Merkle trees as RFC 6962 hashes them: roots, inclusion and consistency proofs, made and verified.
//!
//! Proofs are made by the recursion of RFC 6962, section 2.1, and verified by the loops of RFC 9162, section 2.1.3 and
//! 2.1.4, so that one does not repeat the other's mistake.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

/// The most entries of a log. Keeps every shift below in range; at a million entries a second it lasts nine years.
pub const SIZE_LIMIT: u64 = 1 << 48;

/// The most hashes in a proof of either kind, for a tree within [`SIZE_LIMIT`].
pub const PROOF_LIMIT: usize = 64;

/// A hash of the tree: of a leaf, an inner node or the root. Spelled in base64, as checkpoints and proofs spell it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeHash([u8; 32]);

impl TreeHash {
    /// The root of a tree without entries: the SHA-256 of nothing.
    pub fn empty() -> Self {
        Self(Sha256::digest(b"").into())
    }

    /// The hash of an entry.
    pub fn leaf(entry: &[u8]) -> Self {
        Self(Sha256::new().chain_update([0]).chain_update(entry).finalize().into())
    }

    /// The hash over two subtrees.
    pub fn node(left: &Self, right: &Self) -> Self {
        Self(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
    }

    /// Wraps 32 bytes that are such a hash already.
    pub const fn from_raw(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 32 bytes.
    pub const fn raw(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Base64::encode_string(&self.0))
    }
}

impl fmt::Debug for TreeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not 32 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hash: 32 bytes in base64")]
pub struct HashError(String);

impl FromStr for TreeHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let error = || HashError(artifact::digest::shortened(text));
        let mut raw = [0; 32];
        let decoded = Base64::decode(text, &mut raw).map_err(|_| error())?;
        if decoded.len() != 32 {
            return Err(error());
        }
        // Print again, compare: one spelling.
        let hash = Self(raw);
        if hash.to_string() == text { Ok(hash) } else { Err(error()) }
    }
}

impl Serialize for TreeHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TreeHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(d)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A proof that proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// An index or a size that the tree does not have.
    #[error("the proof speaks of an entry or of a size that the tree does not have")]
    Range,
    /// More or fewer hashes than the two numbers ask for.
    #[error("the proof has too many or too few hashes")]
    Length,
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root: the entry, or the older tree, is not in this log")]
    Root,
}

/// Verifies that a leaf is in a tree (RFC 9162, section 2.1.3.2).
///
/// # Errors
/// Anything but a proof of exactly this.
pub fn verify_inclusion(
    leaf: &TreeHash,
    index: u64,
    size: u64,
    proof: &[TreeHash],
    root: &TreeHash,
) -> Result<(), ProofError> {
    if index >= size || size > SIZE_LIMIT {
        return Err(ProofError::Range);
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            hash = TreeHash::node(sibling, &hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = TreeHash::node(&hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match (last, hash == *root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Verifies that a tree begins with all of an older one (RFC 9162, section 2.1.4.2). `old` and `new` are a size and
/// its root. Every tree begins with the empty one, and each with itself; both need no hashes.
///
/// # Errors
/// Anything but a proof of exactly this.
pub fn verify_consistency(old: (u64, &TreeHash), new: (u64, &TreeHash), proof: &[TreeHash]) -> Result<(), ProofError> {
    let ((first, first_root), (second, second_root)) = (old, new);
    if first > second || second > SIZE_LIMIT {
        return Err(ProofError::Range);
    }
    if first == 0 && *first_root != TreeHash::empty() || second == 0 && *second_root != TreeHash::empty() {
        return Err(ProofError::Root);
    }
    if first == second || first == 0 {
        return match (proof.is_empty(), first == 0 || first_root == second_root) {
            (false, _) => Err(ProofError::Length),
            (true, false) => Err(ProofError::Root),
            (true, true) => Ok(()),
        };
    }
    // A complete older tree is a node of the newer one, and its hash is known: it is not in the proof.
    let known = first.is_power_of_two().then_some(first_root);
    let mut hashes = known.into_iter().chain(proof);
    let start = hashes.next().ok_or(ProofError::Length)?;
    let (mut at, mut last) = (first - 1, second - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    let (mut before, mut after) = (*start, *start);
    for hash in hashes {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if at & 1 == 1 || at == last {
            before = TreeHash::node(hash, &before);
            after = TreeHash::node(hash, &after);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = TreeHash::node(&after, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    match (last, before == *first_root && after == *second_root) {
        (0, true) => Ok(()),
        (0, false) => Err(ProofError::Root),
        _ => Err(ProofError::Length),
    }
}

/// Where a tree's inner hashes come from: `node(height, n)` is the hash over the entries `n·2^height` up to
/// `(n+1)·2^height`, which are all there.
type Nodes<'a, E> = &'a mut dyn FnMut(u32, u64) -> Result<TreeHash, E>;

/// The largest power of two below `n`, which is at least 2.
fn split(n: u64) -> u64 {
    1 << (63 - (n - 1).leading_zeros())
}

/// The hash over the entries from `from` up to `to`, a range that RFC 6962's splits lead to.
fn range<E>(from: u64, to: u64, node: Nodes<'_, E>) -> Result<TreeHash, E> {
    let n = to - from;
    if n.is_power_of_two() {
        return node(n.trailing_zeros(), from / n);
    }
    let k = split(n);
    let left = range(from, from + k, node)?;
    let right = range(from + k, to, node)?;
    Ok(TreeHash::node(&left, &right))
}

/// The root at a size.
///
/// # Errors
/// As `node`.
pub fn root<E>(size: u64, node: Nodes<'_, E>) -> Result<TreeHash, E> {
    if size == 0 { Ok(TreeHash::empty()) } else { range(0, size, node) }
}

/// Proves that an entry is in the tree of this size; `index` is below `size`. The leaf's sibling comes first.
///
/// # Errors
/// As `node`.
pub fn prove_inclusion<E>(index: u64, size: u64, node: Nodes<'_, E>) -> Result<Vec<TreeHash>, E> {
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(range(middle, to, node)?);
            to = middle;
        } else {
            proof.push(range(from, middle, node)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Proves that the tree of size `new` begins with the one of size `old`, which is not larger.
///
/// # Errors
/// As `node`.
pub fn prove_consistency<E>(old: u64, new: u64, node: Nodes<'_, E>) -> Result<Vec<TreeHash>, E> {
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    while to != old {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(range(middle, to, node)?);
            to = middle;
        } else {
            proof.push(range(from, middle, node)?);
            from = middle;
            whole = false;
        }
    }
    // The older tree as a whole is known to whoever asks; what is left of it otherwise is not.
    if !whole {
        proof.push(range(from, to, node)?);
    }
    proof.reverse();
    Ok(proof)
}

#[cfg(test)]
mod tests;

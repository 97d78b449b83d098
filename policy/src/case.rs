//! A case: what is known about one promotion, by whoever decides.

use artifact::Digest;
use artifact::key::KeyId;
use artifact::lane::Lane;
use artifact::statement::comparison::Comparison;
use artifact::statement::facts::{CommitSignature, Facts, TestResult};

/// Everything that a decision looks at, beside the rules and the clock.
///
/// The coordinator takes `commit_signature` and `results` from intake's facts; the signer takes them from what it has
/// verified itself. The same function judges both.
#[derive(Debug)]
pub struct Case<'a, L: Lane> {
    /// The lane that this room works in.
    pub lane: L,
    /// Whether this perimeter is one for trying.
    pub trial: bool,
    /// The digest of the rules.
    pub rules: Digest,
    /// The nonce that the coordinator asked with.
    pub nonce: &'a str,
    /// The facts.
    pub facts: &'a Facts,
    /// The digest of the facts' envelope.
    pub facts_envelope: Digest,
    /// The commit's signature, as far as the caller knows.
    pub commit_signature: Option<&'a CommitSignature>,
    /// The test results, as far as the caller knows.
    pub results: &'a [TestResult],
    /// The comparisons.
    pub comparisons: &'a [Attested<'a>],
    /// What the tags name now, by the log.
    pub previous: Option<Digest>,
}

/// A comparison and who signed it.
#[derive(Debug)]
pub struct Attested<'a> {
    /// The digest of its envelope.
    pub envelope: Digest,
    /// The comparer's key.
    pub key: KeyId,
    /// What it says.
    pub says: &'a Comparison,
}

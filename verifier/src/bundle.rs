//! Sigstore bundles (v0.3): the signature by a trusted image key, and the proof that it is in the log while that key was in
//! force.

use artifact::digest::Base64;
use artifact::dsse::{self, Envelope};
use artifact::key::{KeyId, PublicKey};
use artifact::{Digest, json};
use audit::checkpoint::SignedCheckpoint;
use audit::image_keys::InForce;
use audit::merkle::TreeHash;
use audit::receipt::Receipt;
use serde::Deserialize;

use crate::trust::Trust;

/// The media type of a bundle.
pub const MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// The most bytes of a bundle.
pub const LIMIT: u64 = 4 << 20;

/// A bundle that was verified: what its statement says, in bytes, and where it stands in the log.
#[derive(Debug)]
pub struct Verified<'a> {
    /// The statement.
    pub payload: Vec<u8>,
    /// The index of its signature's leaf in the log.
    pub index: u64,
    /// The key that signed it: in force at that index.
    pub key: InForce<'a>,
    /// The checkpoint that this is proved under.
    pub checkpoint: SignedCheckpoint,
}

/// Why a bundle was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleError {
    /// Not signed with a trusted key: somebody else's, and no concern of ours.
    Foreign,
    /// Signed with a trusted key, and broken: that is a concern.
    Broken(String),
    /// Signed with a trusted key, and recorded when that key was not in force: whoever has it now is not known.
    NotInForce(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    media_type: String,
    verification_material: Material,
    dsse_envelope: Box<serde_json::value::RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Material {
    public_key: Hint,
    #[serde(default)]
    tlog_entries: Vec<LogEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    log_index: String,
    log_id: LogId,
    kind_version: KindVersion,
    inclusion_proof: InclusionProof,
    canonicalized_body: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InclusionProof {
    log_index: String,
    root_hash: TreeHash,
    tree_size: String,
    hashes: Vec<TreeHash>,
    checkpoint: Note,
}

#[derive(Deserialize)]
struct Hint {
    hint: Base64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogId {
    key_id: Base64,
}

#[derive(Deserialize)]
struct KindVersion {
    kind: String,
    version: String,
}

#[derive(Deserialize)]
struct Note {
    envelope: String,
}

/// Rekor's `hashedrekord` 0.0.2.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Leaf {
    api_version: String,
    kind: String,
    spec: Spec,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    #[serde(rename = "hashedRekordV002")]
    record: Record,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    data: Data,
    signature: LeafSignature,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    algorithm: String,
    digest: Base64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeafSignature {
    content: Base64,
    verifier: Verifier,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Verifier {
    key_details: String,
    public_key: RawKey,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawKey {
    raw_bytes: Base64,
}

/// Verifies a bundle.
///
/// # Errors
/// Foreign, or broken.
pub fn verify<'a>(bytes: &[u8], trust: &'a Trust) -> Result<Verified<'a>, BundleError> {
    // Whether it is ours is the first question: a broken bundle of a stranger is still a stranger's.
    let foreign = |_| BundleError::Foreign;
    let wire: Wire = json::parse_foreign("bundle", bytes).map_err(foreign)?;
    let envelope = Envelope::parse(wire.dsse_envelope.get().as_bytes()).map_err(|_| BundleError::Foreign)?;
    let key = trust.image.all().find(|one| envelope.verify([one.key]).is_ok()).ok_or(BundleError::Foreign)?;
    let broken = |text: &str| BundleError::Broken(text.to_owned());
    if wire.media_type != MEDIA_TYPE {
        return Err(broken("another media type"));
    }
    if wire.verification_material.public_key.hint.0 != key.key.id().0.raw() {
        return Err(broken("its hint names another key"));
    }
    let [entry] = &wire.verification_material.tlog_entries[..] else {
        return Err(broken("not exactly one log entry"));
    };
    let (index, checkpoint) = included(entry, &envelope, key.key, trust).map_err(BundleError::Broken)?;
    match key.counts(index) {
        true => Ok(Verified { payload: envelope.payload.0, index, key, checkpoint }),
        false => Err(BundleError::NotInForce(format!("{key}; this signature is entry {index}"))),
    }
}

/// The key that a leaf shaped as Rekor's says it is a signature of; `None`: it is none of a signature.
pub(crate) fn key_of(leaf: &[u8]) -> Option<KeyId> {
    let leaf: Leaf = json::parse_foreign("leaf", leaf).ok()?;
    Some(KeyId(Digest::of(&leaf.spec.record.signature.verifier.public_key.raw_bytes.0)))
}

/// The leaf is this signature's, and it is in the log.
fn included(
    entry: &LogEntry,
    envelope: &Envelope,
    key: &PublicKey,
    trust: &Trust,
) -> Result<(u64, SignedCheckpoint), String> {
    let leaf: Leaf = json::parse_foreign("leaf", &entry.canonicalized_body.0).map_err(|e| e.to_string())?;
    let message = Digest::of(&dsse::pae(&envelope.payload_type, &envelope.payload.0));
    let record = &leaf.spec.record;
    let same = [
        (leaf.kind == "hashedrekord" && leaf.api_version == "0.0.2", "kind"),
        (leaf.kind == entry.kind_version.kind && leaf.api_version == entry.kind_version.version, "kind"),
        (record.data.algorithm == "SHA2_256" && record.data.digest.0 == message.raw(), "digest"),
        (envelope.signatures.iter().all(|s| s.sig == record.signature.content), "signature"),
        (record.signature.verifier.key_details == "PKIX_ECDSA_P256_SHA_256", "kind of key"),
        (record.signature.verifier.public_key.raw_bytes.0 == key.to_der(), "key"),
        (entry.log_index == entry.inclusion_proof.log_index, "index"),
    ];
    if let Some((_, what)) = same.iter().find(|(same, _)| !same) {
        return Err(format!("the log entry is of another signature: {what}"));
    }
    let index: u64 = entry.log_index.parse().map_err(|_| "the log index is no number".to_owned())?;
    let proof = &entry.inclusion_proof;
    let receipt =
        Receipt { extra: None, index, proof: proof.hashes.clone(), checkpoint: proof.checkpoint.envelope.clone() };
    let checkpoint = receipt.verify(&trust.log, &entry.canonicalized_body.0).map_err(|e| e.to_string())?;
    // What stands beside the checkpoint says the same: stock verifiers read one or the other.
    let beside = [
        (entry.log_id.key_id.0 == trust.log.log_id(), "log"),
        (proof.root_hash == *checkpoint.root(), "root"),
        (proof.tree_size == checkpoint.size().to_string(), "size"),
        (entry.log_index == index.to_string(), "index"),
    ];
    match beside.iter().find(|(same, _)| !same) {
        None => Ok((index, checkpoint)),
        Some((_, what)) => Err(format!("the log entry gives another {what} than its checkpoint")),
    }
}

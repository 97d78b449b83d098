//! Sigstore bundles (v0.3), and the leaf shaped as Rekor's that each carries the proof of.

use artifact::digest::Base64;
use artifact::dsse::Envelope;
use artifact::failure::Failure;
use artifact::key::PublicKey;
use artifact::{Digest, attached, json};
use audit::leaf::RekorLeaf;
use audit::note::Vkey;
use audit::receipt::Receipt;
use audit::recorded::Recorded;
use serde_json::{Value, json};

use crate::statements::ToSign;

/// The leaf for a signature: Rekor's `hashedrekord` 0.0.2, over the digest of what was signed.
///
/// # Errors
/// Never for a key and a signature that were made here.
pub(crate) fn rekor_leaf(message: &[u8], signature: &[u8], key: &PublicKey) -> Result<Vec<u8>, Failure> {
    let leaf = json!({
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": base64(Digest::of(message).raw())},
            "signature": {
                "content": base64(signature),
                "verifier": {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "publicKey": {"rawBytes": base64(&key.to_der())},
                },
            },
        }},
    });
    json::canonical("leaf", &leaf).map_err(|e| Failure::halt("leaf-broken", e))
}

/// The bundle for a signed statement, with the proof that its signature is recorded.
///
/// # Errors
/// Never for what was signed and recorded here.
pub(crate) fn bundle(
    payload: &[u8],
    signature: &[u8],
    key: &PublicKey,
    leaf: &Recorded<RekorLeaf>,
    log: &Vkey,
) -> Result<Vec<u8>, Failure> {
    let proof = leaf.proof().to_vec();
    let receipt = Receipt { extra: None, index: leaf.index(), proof, checkpoint: leaf.checkpoint().note().to_owned() };
    render(payload, signature, key, leaf.value().as_bytes(), &receipt, log)
}

/// Whether a recorded bundle is the one for this signature, with a proof that holds: read, proved, written again, compared.
pub(crate) fn holds(bytes: &[u8], statement: &ToSign, signature: &[u8], key: &PublicKey, log: &Vkey) -> bool {
    let again = || -> Option<Vec<u8>> {
        let bundle: Value = json::parse_foreign("bundle", bytes).ok()?;
        let proof = bundle.pointer("/verificationMaterial/tlogEntries/0/inclusionProof")?;
        let hashes = proof.get("hashes")?.as_array()?.iter().map(|h| h.as_str()?.parse().ok());
        let receipt = Receipt {
            extra: None,
            index: proof.get("logIndex")?.as_str()?.parse().ok()?,
            proof: hashes.collect::<Option<_>>()?,
            checkpoint: proof.pointer("/checkpoint/envelope")?.as_str()?.to_owned(),
        };
        let leaf = rekor_leaf(&statement.message(), signature, key).ok()?;
        render(&statement.payload, signature, key, &leaf, &receipt, log).ok()
    };
    again().as_deref() == Some(bytes)
}

fn render(
    payload: &[u8],
    signature: &[u8],
    key: &PublicKey,
    leaf: &[u8],
    receipt: &Receipt,
    log: &Vkey,
) -> Result<Vec<u8>, Failure> {
    let envelope = Envelope::new(payload.to_vec(), signature.to_vec());
    let envelope: Value =
        serde_json::from_slice(&envelope.to_bytes()).map_err(|e| Failure::halt("bundle-broken", e))?;
    let checkpoint = receipt.verify(log, leaf).map_err(|e| Failure::halt("bundle-broken", e))?;
    let index = receipt.index.to_string();
    let bundle = json!({
        "mediaType": attached::BUNDLE,
        "verificationMaterial": {
            "publicKey": {"hint": base64(key.id().0.raw())},
            "tlogEntries": [{
                "logIndex": index,
                "logId": {"keyId": base64(&log.log_id())},
                "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                "inclusionProof": {
                    "logIndex": index,
                    "rootHash": checkpoint.root().to_string(),
                    "treeSize": checkpoint.size().to_string(),
                    "hashes": receipt.proof.iter().map(ToString::to_string).collect::<Vec<_>>(),
                    "checkpoint": {"envelope": checkpoint.note()},
                },
                "canonicalizedBody": base64(leaf),
            }],
        },
        "dsseEnvelope": envelope,
    });
    json::canonical("bundle", &bundle).map_err(|e| Failure::halt("bundle-broken", e))
}

/// Standard base64 with padding, as protobuf's JSON has it.
pub(crate) fn base64(bytes: &[u8]) -> String {
    match serde_json::to_value(Base64(bytes.to_vec())) {
        Ok(Value::String(text)) => text,
        // Bytes always become a text.
        _ => String::new(),
    }
}

//! What hangs on an image, in the two shapes that stock verifiers read: Sigstore bundles as referrers (OCI 1.1), and the tags
//! of before, `sha256-HEX.sig` and `.att`. Here are only the documents; who publishes or carries them is elsewhere.

use serde_json::json;

use crate::digest::{Base64, Digest};
use crate::json::{self, JsonError};
use crate::oci::{self, Descriptor};

/// The media type of a Sigstore bundle, and the type of the artifact that carries one.
pub const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// The media type of cosign's simple signing payload.
pub const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The media type of an envelope as a layer.
pub const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
/// The empty configuration of an artifact (OCI image specification, "Guidance for an empty descriptor").
pub const EMPTY: &[u8] = b"{}";

/// The annotation that says what a bundle's statement is.
pub const PREDICATE: &str = "dev.sigstore.bundle.predicateType";

/// The annotation with the signature of a layer.
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

/// The manifest that attaches a bundle to an image, and how a list of referrers describes it. `created` is a time that does
/// not depend on when this is done.
///
/// # Errors
/// Never for texts.
pub fn referrer(
    bundle: &Descriptor,
    predicate_type: &str,
    subject: &Descriptor,
    created: &str,
) -> Result<(Vec<u8>, Descriptor), JsonError> {
    let annotations = [
        ("dev.sigstore.bundle.content", "dsse-envelope"),
        (PREDICATE, predicate_type),
        ("org.opencontainers.image.created", created),
    ]
    .map(|(k, v)| (k.to_owned(), v.to_owned()));
    let manifest = json::canonical(
        "referrer",
        &json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "artifactType": BUNDLE,
            "config": Descriptor::of(oci::EMPTY, EMPTY),
            "layers": [bundle],
            "subject": subject,
            "annotations": std::collections::BTreeMap::from(annotations.clone()),
        }),
    )?;
    let mut listed = Descriptor::of(oci::MANIFEST, &manifest);
    (listed.artifact_type, listed.annotations) = (Some(BUNDLE.to_owned()), annotations.into());
    Ok((manifest, listed))
}

/// The layer of `.sig`: what was signed, with its signature beside.
pub fn signature_layer(payload: &[u8], signature: &[u8]) -> Descriptor {
    // A string in base64 needs no escapes.
    let text = serde_json::to_value(Base64(signature.to_vec())).unwrap_or_default();
    Descriptor::of(SIMPLE_SIGNING, payload).annotated(SIGNATURE, text.as_str().unwrap_or_default())
}

/// A layer of `.att`: an envelope, which holds its signature.
pub fn attestation_layer(envelope: &[u8], predicate_type: &str) -> Descriptor {
    Descriptor::of(ENVELOPE, envelope).annotated(SIGNATURE, "").annotated("predicateType", predicate_type)
}

/// The configuration of what a legacy tag names: cosign's readers want a real one.
///
/// # Errors
/// Never for texts.
pub fn legacy_config(layers: &[Descriptor]) -> Result<Vec<u8>, JsonError> {
    let diff_ids: Vec<Digest> = layers.iter().map(|l| l.digest).collect();
    json::canonical(
        "configuration",
        &json!({
            "architecture": "", "config": {}, "created": "1970-01-01T00:00:00Z", "os": "",
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
        }),
    )
}

/// The manifest that a legacy tag names, and its configuration.
///
/// # Errors
/// Never for texts.
pub fn legacy(layers: &[Descriptor]) -> Result<(Vec<u8>, Vec<u8>), JsonError> {
    let config = legacy_config(layers)?;
    let manifest = json::canonical(
        "manifest",
        &json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "config": Descriptor::of(oci::CONFIG, &config),
            "layers": layers,
        }),
    )?;
    Ok((manifest, config))
}

/// The tag beside an image: `sha256-HEX.SUFFIX`.
pub fn legacy_tag(image: &Digest, suffix: &str) -> String {
    format!("{}.{suffix}", fallback_tag(image))
}

/// The tag whose index lists an image's referrers, where a registry has no API for that: `sha256-HEX`.
pub fn fallback_tag(image: &Digest) -> String {
    format!("sha256-{}", image.hex())
}

//! What hangs on the image, from the log: the bundles that the release names, and the legacy tags' layers.

use std::collections::BTreeSet;

use artifact::attached::{self, SIMPLE_SIGNING};
use artifact::dsse::Envelope;
use artifact::failure::Failure;
use artifact::oci::Descriptor;
use artifact::{Digest, json};
use audit::entry::{Body, Release};
use audit::released;
use serde::Deserialize;

use super::image::Image;
use super::{Read, bodies};

/// The predicate of an image signature: in the legacy shape it is the payload of `.sig`, and no attestation.
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// A bundle, and the manifest that attaches it.
#[derive(Debug)]
pub(super) struct Attached {
    pub subject: Digest,
    pub manifest: Vec<u8>,
    pub listed: Descriptor,
    pub bundle: Vec<u8>,
}

/// A layer of a legacy tag.
#[derive(Debug)]
pub(super) struct Layer {
    pub subject: Digest,
    pub bytes: Vec<u8>,
    pub descriptor: Descriptor,
}

/// Everything that hangs on an image and its parts.
#[derive(Debug, Default)]
pub(super) struct Everything {
    pub bundles: Vec<Attached>,
    pub signatures: Vec<Layer>,
    pub attestations: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Box<serde_json::value::RawValue>,
}

/// Collects it. The bundles are those that the release names, made into the very manifests that were published.
///
/// # Errors
/// The log holds no bundle for what the release names, or one that the image key did not sign.
pub(super) fn of(read: &Read, release: &Release, image: &Image) -> Result<Everything, Failure> {
    let broken = |text: String| Failure::halt("export-differs", text);
    let spelled = |e: json::JsonError| broken(e.to_string());
    let mut everything = Everything::default();
    let mut missing: BTreeSet<&Digest> = release.referrers.iter().collect();
    for body in bodies(read, release.promotion) {
        match body {
            Body::Bundle(recorded) => {
                let Some(subject) = image.documents.get(&recorded.subject) else { continue };
                let bundle = Descriptor::of(attached::BUNDLE, &recorded.bundle.0);
                let (manifest, listed) =
                    attached::referrer(&bundle, &recorded.predicate_type, subject, &image.created).map_err(spelled)?;
                if !missing.remove(&listed.digest) {
                    continue;
                }
                let envelope =
                    envelope(&recorded.bundle.0, read).map_err(|e| broken(format!("{}: {e}", listed.digest)))?;
                if recorded.predicate_type != SIGN {
                    let bytes = envelope.to_bytes();
                    let descriptor = attached::attestation_layer(&bytes, &recorded.predicate_type);
                    everything.attestations.push(Layer { subject: recorded.subject, bytes, descriptor });
                }
                let (subject, bundle) = (recorded.subject, recorded.bundle.0.clone());
                everything.bundles.push(Attached { subject, manifest, listed, bundle });
            }
            // Of several over the same payload the first is published: the signer takes up what is recorded.
            Body::Signature(made) if made.payload_type == SIMPLE_SIGNING => {
                let Some(subject) = signed_image(&made.payload.0, release) else { continue };
                let known = everything.signatures.iter().any(|layer| layer.subject == subject);
                // The fold has seen that it was made while the key was in force.
                let key = read.keys.image.called(&made.key).is_some_and(|one| released::signed(made, one.key));
                if known || !image.documents.contains_key(&subject) || !key {
                    continue;
                }
                let descriptor = attached::signature_layer(&made.payload.0, &made.signature.0);
                everything.signatures.push(Layer { subject, bytes: made.payload.0.clone(), descriptor });
            }
            _ => {}
        }
    }
    if let Some(lost) = missing.first() {
        return Err(broken(format!("the release names the referrer {lost}, and no recorded bundle gives it")));
    }
    match everything.signatures.iter().any(|layer| layer.subject == release.digest) {
        true => Ok(everything),
        false => Err(broken(format!("no recorded signature is the legacy one over {}", release.digest))),
    }
}

/// The envelope in a bundle, which an image key must have signed.
fn envelope(bundle: &[u8], read: &Read) -> Result<Envelope, String> {
    let wire: Bundle = json::parse_foreign("bundle", bundle).map_err(|e| e.to_string())?;
    let envelope = Envelope::parse(wire.dsse_envelope.get().as_bytes()).map_err(|e| e.to_string())?;
    envelope.verify(read.keys.image.all().map(|one| one.key)).map_err(|e| e.to_string())?;
    Ok(envelope)
}

/// The image that a payload of simple signing speaks of, if it is of this release: its place and its permit.
fn signed_image(payload: &[u8], release: &Release) -> Option<Digest> {
    let payload: serde_json::Value = json::parse_foreign("payload", payload).ok()?;
    let said = |pointer: &str| payload.pointer(pointer)?.as_str();
    let same = said("/critical/identity/docker-reference")? == release.repository.as_str()
        && said("/optional/permit")? == release.permit.to_string();
    said("/critical/image/docker-manifest-digest")?.parse().ok().filter(|_| same)
}

//! What is signed for a release: exact bytes, the same at every try.

use std::collections::BTreeMap;

use artifact::Digest;
use artifact::attached::SIMPLE_SIGNING;
use artifact::dsse;
use artifact::failure::Failure;
use artifact::json;
use artifact::statement::permit::Terms;
use artifact::statement::provenance::Provenance;
use artifact::statement::vsa::{VerificationSummary, Verifier};
use artifact::statement::{Predicate, STATEMENT, Statement, Subject};
use audit::entry::Permit;
use audit::recorded::Recorded;
use audit::released;
use serde::Serialize;
use serde_json::{Value, json};

use crate::evidence::Evidence;

/// The predicate of an image signature, as cosign reads it.
pub(crate) const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// One thing to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ToSign {
    /// The media type of the payload.
    pub payload_type: &'static str,
    /// What a statement says; empty for a simple signing payload.
    pub predicate_type: String,
    /// The payload.
    pub payload: Vec<u8>,
}

impl ToSign {
    /// The bytes that the signature is over.
    pub(crate) fn message(&self) -> Vec<u8> {
        match self.payload_type {
            dsse::IN_TOTO => dsse::pae(dsse::IN_TOTO, &self.payload),
            _ => self.payload.clone(),
        }
    }

    /// Whether it is a statement, which becomes a bundle.
    pub(crate) fn is_statement(&self) -> bool {
        self.payload_type == dsse::IN_TOTO
    }
}

/// The image signature's statement: no field that cosign's reader does not know.
#[derive(Debug, Serialize)]
struct ImageStatement {
    #[serde(rename = "_type")]
    kind: &'static str,
    subject: [ImageSubject; 1],
    #[serde(rename = "predicateType")]
    predicate_type: &'static str,
    predicate: Value,
}

#[derive(Debug, Serialize)]
struct ImageSubject {
    digest: BTreeMap<&'static str, String>,
    annotations: Annotations,
}

/// Words beside the digest.
type Annotations = BTreeMap<&'static str, String>;

/// Everything that is signed for a release, in a fixed order: image, provenance, summary, simple signing.
///
/// # Errors
/// Never for what has been verified; a payload that can't be spelled is a failure nonetheless.
pub(crate) fn statements(
    permit: &Recorded<Permit>,
    evidence: &Evidence,
    verifier_id: &str,
    kept: &'static str,
) -> Result<Vec<ToSign>, Failure> {
    let terms = &permit.value().terms;
    let annotations = annotations(terms, permit.index(), kept);
    let spelled = |e: json::JsonError| Failure::halt("statement-broken", e);
    let statement = |predicate_type: &str, payload| ToSign {
        payload_type: dsse::IN_TOTO,
        predicate_type: predicate_type.to_owned(),
        payload,
    };
    let image = json::canonical("statement", &image_statement(terms, annotations.clone())).map_err(spelled)?;
    let summary = summary(terms, evidence, verifier_id).to_bytes().map_err(spelled)?;
    let simple = json::canonical("payload", &simple_signing(terms, annotations)).map_err(spelled)?;
    Ok(vec![
        statement(SIGN, image),
        statement(Provenance::TYPE, evidence.provenance.clone()),
        statement(VerificationSummary::TYPE, summary),
        ToSign { payload_type: SIMPLE_SIGNING, predicate_type: String::new(), payload: simple },
    ])
}

/// What the image key says beside the digest: what the image may be named, under which permit, so that a tag is current by
/// this key's word and nobody else's ([`audit::released`]).
fn annotations(terms: &Terms, permit: u64, kept: &'static str) -> Annotations {
    let mut annotations = BTreeMap::from([
        ("lane", terms.lane.to_string()),
        ("key", kept.to_owned()),
        (released::REPOSITORY, terms.repository.to_string()),
        (released::TAGS, released::tags(&terms.tags)),
        (released::PERMIT, permit.to_string()),
    ]);
    if terms.trial {
        annotations.insert("trial", "true".to_owned());
    }
    annotations
}

fn image_statement(terms: &Terms, annotations: Annotations) -> ImageStatement {
    let digest = BTreeMap::from([("sha256", terms.digest.hex())]);
    ImageStatement {
        kind: STATEMENT,
        subject: [ImageSubject { digest, annotations }],
        predicate_type: SIGN,
        predicate: json!({}),
    }
}

fn summary(terms: &Terms, evidence: &Evidence, verifier_id: &str) -> Statement<VerificationSummary> {
    let attested = |name: &str, digest: &Digest| Subject::sha256(name, digest);
    let mut inputs = vec![attested("facts", &evidence.facts_envelope)];
    inputs.extend(evidence.comparisons.iter().map(|(digest, _, _)| attested("comparison", digest)));
    let name = format!("{}@{}", terms.repository, terms.digest);
    Statement::new(
        vec![Subject::sha256(&name, &terms.digest)],
        VerificationSummary {
            verifier: Verifier { id: verifier_id.to_owned() },
            time_verified: terms.decided,
            resource_uri: name,
            policy: Subject::sha256("rules", &terms.rules),
            input_attestations: inputs,
            verification_result: "PASSED".to_owned(),
            // What a trial's perimeter isolates is not what level 3 asks for.
            verified_levels: vec![if terms.trial { "SLSA_BUILD_LEVEL_1" } else { "SLSA_BUILD_LEVEL_3" }.to_owned()],
            slsa_version: "1.0".to_owned(),
        },
    )
}

fn simple_signing(terms: &Terms, annotations: Annotations) -> Value {
    json!({
        "critical": {
            "identity": {"docker-reference": terms.repository.as_str()},
            "image": {"docker-manifest-digest": terms.digest.to_string()},
            "type": "cosign container image signature",
        },
        "optional": annotations,
    })
}

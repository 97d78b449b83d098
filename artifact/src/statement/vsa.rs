//! SLSA verification summaries (v1): the verdict that deployers may rely on, signed with the image key.

use serde::{Deserialize, Serialize};

use super::{Predicate, Subject};
use crate::moment::Moment;

/// A verification summary. Subject: the released manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationSummary {
    /// Who verified.
    pub verifier: Verifier,
    /// When.
    pub time_verified: Moment,
    /// `repository@digest`.
    pub resource_uri: String,
    /// The rules, by digest.
    pub policy: Subject,
    /// The attestations that were judged, by digest.
    pub input_attestations: Vec<Subject>,
    /// `PASSED`: nothing else is ever signed.
    pub verification_result: String,
    /// The levels that hold.
    pub verified_levels: Vec<String>,
    /// The version of the SLSA specification.
    pub slsa_version: String,
}

impl Predicate for VerificationSummary {
    const TYPE: &'static str = "https://slsa.dev/verification_summary/v1";
}

/// Who verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verifier {
    /// The operator's name for this perimeter, a URI.
    pub id: String,
}

//! SLSA provenance v1: how the rebuild came about. Signed by the comparer; the same bytes are signed again, by the
//! image key, when the release is published.

use serde::{Deserialize, Serialize};

use super::{Predicate, Subject};
use crate::digest::{CommitId, Digest};
use crate::lane::LaneName;
use crate::moment::Moment;
use crate::name::ProjectName;
use crate::statement::sandbox::Sandbox;

/// Provenance. Subject: the rebuild's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provenance {
    /// What was built.
    pub build_definition: BuildDefinition,
    /// How.
    pub run_details: RunDetails,
}

impl Predicate for Provenance {
    const TYPE: &'static str = "https://slsa.dev/provenance/v1";
}

/// The build type of a `steps` recipe.
pub const BUILD_TYPE_STEPS: &str = "urn:countersign:build:steps:v1";

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildDefinition {
    /// [`BUILD_TYPE_STEPS`].
    pub build_type: String,
    /// What comes from outside and was checked.
    pub external_parameters: ExternalParameters,
    /// What the operator set.
    pub internal_parameters: InternalParameters,
    /// Every input, by digest: the commit, the bases, the dossier.
    pub resolved_dependencies: Vec<Subject>,
}

/// What comes from outside and was checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExternalParameters {
    /// The repository.
    pub source: String,
    /// The commit.
    pub commit: CommitId,
    /// The recipe's path in the source tree.
    pub recipe: String,
}

/// What the operator set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InternalParameters {
    /// The lane.
    pub lane: LaneName,
    /// The project.
    pub project: ProjectName,
    /// Whether this perimeter is one for trying.
    pub trial: bool,
    /// What the recipe ran in.
    pub sandbox: Sandbox,
    /// The number of the packing format: same tree, same number, same bytes.
    pub packing: u32,
}

/// How.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunDetails {
    /// Who.
    pub builder: Builder,
    /// When.
    pub metadata: Metadata,
}

/// Who built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Builder {
    /// The operator's name for this perimeter's builder, a URI.
    pub id: String,
}

/// When it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The nonce of the job's facts.
    pub invocation_id: String,
    /// When the recipe was started.
    pub started_on: Moment,
    /// When the image was packed.
    pub finished_on: Moment,
}

/// The digests that provenance speaks of, for checks that compare them with a comparison's.
impl Provenance {
    /// The bases among the inputs, as they are pinned: commits have another kind of digest.
    pub fn bases(&self) -> impl Iterator<Item = &str> {
        let inputs = self.build_definition.resolved_dependencies.iter();
        inputs.filter(|s| s.digest.contains_key("sha256") && s.name != "dossier").map(|s| s.name.as_str())
    }

    /// The dossier among the inputs.
    pub fn dossier(&self) -> Option<Digest> {
        let inputs = &self.build_definition.resolved_dependencies;
        let dossier = inputs.iter().find(|s| s.name == "dossier")?;
        format!("sha256:{}", dossier.digest.get("sha256")?).parse().ok()
    }
}

//! What the comparer signs: the comparison, and how the rebuild came about.

use artifact::Moment;
use artifact::digest::Base64;
use artifact::dossier::Dossier;
use artifact::json::JsonError;
use artifact::key::Ed25519Key;
use artifact::recipe;
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::provenance::{
    BUILD_TYPE_STEPS, BuildDefinition, Builder, ExternalParameters, InternalParameters, Metadata, Provenance,
    RunDetails,
};
use artifact::statement::sandbox::Runs;
use artifact::statement::{Predicate, Statement, Subject};
use artifact::{CommitId, Digest};

use crate::compare::Differences;
use crate::door::CompareAsk;
use crate::pack;

/// What both statements speak of.
#[derive(Debug)]
pub struct Case<'a> {
    /// What was asked.
    pub ask: &'a CompareAsk,
    /// The dossier.
    pub dossier: &'a Dossier,
    /// Whether this perimeter is one for trying.
    pub trial: bool,
    /// The manifest of the image that was packed.
    pub rebuild: Digest,
    /// When it was packed and compared.
    pub finished: Moment,
}

/// A comparison's outcome.
#[derive(Debug)]
pub struct Outcome {
    /// The manifest of the candidate.
    pub candidate: Digest,
    /// How equal the images are.
    pub level: Level,
    /// How they differ.
    pub images: Differences,
    /// How the two runs differ.
    pub runs: Differences,
}

/// States a comparison. `builder` is the operator's name for the builder host.
///
/// # Errors
/// None that can be had: no number in it is beyond JSON's.
pub fn comparison(case: &Case<'_>, builder: &str, outcome: Outcome, key: &Ed25519Key) -> Result<Base64, JsonError> {
    let Case { ask, dossier, .. } = case;
    let says = Comparison {
        lane: dossier.lane.clone(),
        trial: case.trial,
        project: dossier.project.clone(),
        commit: dossier.commit.clone(),
        dossier: ask.dossier,
        nonce: ask.nonce.clone(),
        rebuild: case.rebuild,
        candidate: outcome.candidate,
        level: outcome.level,
        differences_total: outcome.images.total(),
        differences: outcome.images.listed(),
        runs: Runs {
            varied: ask.built.varied.clone(),
            not_varied: ask.built.not_varied.clone(),
            equal: outcome.runs.is_empty(),
        },
        run_differences_total: outcome.runs.total(),
        run_differences: outcome.runs.listed(),
        sandbox: ask.built.sandbox.clone(),
        builder: builder.to_owned(),
        finished: case.finished,
    };
    signed(case, says, key)
}

/// States the provenance. `builder_id` is the URI that the operator gave this perimeter's builder.
///
/// # Errors
/// None that can be had: no number in it is beyond JSON's.
pub fn provenance(case: &Case<'_>, builder_id: &str, key: &Ed25519Key) -> Result<Base64, JsonError> {
    let Case { ask, dossier, .. } = case;
    let says = Provenance {
        build_definition: BuildDefinition {
            build_type: BUILD_TYPE_STEPS.to_owned(),
            external_parameters: ExternalParameters {
                source: dossier.source.clone(),
                commit: dossier.commit.clone(),
                recipe: recipe::PATH.to_owned(),
            },
            internal_parameters: InternalParameters {
                lane: dossier.lane.clone(),
                project: dossier.project.clone(),
                trial: case.trial,
                sandbox: ask.built.sandbox.clone(),
                packing: pack::FORMAT,
            },
            resolved_dependencies: inputs(dossier, &ask.dossier),
        },
        run_details: RunDetails {
            builder: Builder { id: builder_id.to_owned() },
            metadata: Metadata {
                invocation_id: ask.nonce.clone(),
                started_on: ask.built.started,
                finished_on: case.finished,
            },
        },
    };
    signed(case, says, key)
}

/// Every input by its digest: the commits, the dossier, the bases.
fn inputs(dossier: &Dossier, digest: &Digest) -> Vec<Subject> {
    let source = |name: &str, uri: &str, commit: &CommitId| {
        let uri = if uri.starts_with("git+") { uri.to_owned() } else { format!("git+{uri}") };
        Subject { uri: format!("{uri}@{commit}"), ..Subject::commit(name, commit) }
    };
    let mut inputs = vec![source("source", &dossier.source, &dossier.commit), Subject::sha256("dossier", digest)];
    inputs.extend(dossier.submodules.iter().map(|s| source(&format!("source/{}", s.path), &s.source, &s.commit)));
    // What was asked for may be an index; what was used is one platform's manifest.
    inputs.extend(dossier.bases.iter().map(|b| Subject::sha256(&b.pinned.to_string(), &b.manifest.digest)));
    inputs
}

fn signed<P: Predicate>(case: &Case<'_>, says: P, key: &Ed25519Key) -> Result<Base64, JsonError> {
    let subject = Subject::sha256(case.dossier.project.as_str(), &case.rebuild);
    Ok(Base64(Statement::new(vec![subject], says).sign(key)?.to_bytes()))
}

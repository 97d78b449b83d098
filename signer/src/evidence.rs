//! Evidence, verified here: what intake, CI, people and comparers signed, each by its own key; and the levels that can be
//! worked out from manifests alone.

use artifact::digest::Base64;
use artifact::dsse::Envelope;
use artifact::failure::{Failure, Retry};
use artifact::git::Commit;
use artifact::key::KeyId;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Descriptor, ImageConfig, Manifest};
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::facts::{self, CommitSignature, Facts};
use artifact::statement::provenance::{BUILD_TYPE_STEPS, Provenance};
use artifact::statement::test_result::TestResult;
use artifact::statement::{Signed, Statement};
use artifact::{CommitId, Digest, Moment, json};
use audit::entry::Reason;
use audit::keys::HouseKeys;
use policy::ProjectRules;

use crate::door::ReleaseAsk;

/// What was verified.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// Intake's facts.
    pub facts: Facts,
    /// The digest of their envelope.
    pub facts_envelope: Digest,
    /// The commit's own signature, from the raw object.
    pub commit_signature: Option<CommitSignature>,
    /// The commit's time: what is attached to the image is dated by it, so that no clock of ours stands in a digest.
    pub source_date: Moment,
    /// The test results, each from its envelope.
    pub results: Vec<facts::TestResult>,
    /// Digest of the envelope, the comparer's key, what it says.
    pub comparisons: Vec<(Digest, KeyId, Comparison)>,
    /// The first comparer's provenance: the very payload it signed.
    pub provenance: Vec<u8>,
}

/// Collects reasons, so that one fault does not hide another.
#[derive(Debug, Default)]
pub(crate) struct Reasons(pub Vec<Reason>);

impl Reasons {
    pub(crate) fn add(&mut self, code: &str, message: impl ToString) {
        self.0.push(Reason { code: code.to_owned(), message: message.to_string() });
    }
}

impl Evidence {
    /// Verifies everything that a release is judged by.
    ///
    /// # Errors
    /// Every reason why it does not hold.
    pub(crate) fn verify(
        ask: &ReleaseAsk,
        keys: &HouseKeys,
        rules: &ProjectRules,
        stores: &Stores,
    ) -> Result<Self, Vec<Reason>> {
        let mut reasons = Reasons::default();
        let facts = match Signed::<Facts>::open(&ask.facts.0, [&keys.intake]) {
            Ok(facts) => facts.says().clone(),
            Err(e) => {
                reasons.add("facts-not-verified", e);
                return Err(reasons.0);
            }
        };
        let (commit_signature, source_date) = commit(&facts, &ask.commit_object, rules, &mut reasons);
        let results = results(&facts.commit, &ask.results, rules, &mut reasons);
        // Who carries them could leave the newest out, and an older green would stand.
        if !results.iter().map(|r| &r.envelope).eq(facts.results.iter().map(|r| &r.envelope)) {
            reasons.add("results-differ", "the test results are not those that the facts name");
        }
        let mut comparisons = Vec::new();
        for envelope in &ask.comparisons {
            match Signed::<Comparison>::open(&envelope.0, &keys.comparers) {
                Ok(signed) => comparisons.push((Digest::of(&envelope.0), signed.key(), signed.says().clone())),
                Err(e) => reasons.add("comparison-not-verified", e),
            }
        }
        let mut provenance = None;
        for envelope in &ask.provenances {
            match Signed::<Provenance>::open(&envelope.0, &keys.comparers) {
                Ok(signed) => {
                    check_provenance(&signed, &facts, &comparisons, &mut reasons);
                    check_bases(signed.says(), rules, &mut reasons);
                    provenance.get_or_insert_with(|| signed.envelope().payload.0.clone());
                }
                Err(e) => reasons.add("provenance-not-verified", e),
            }
        }
        for (_, _, says) in &comparisons {
            stores.check_level(says, &mut reasons);
        }
        let provenance = provenance.unwrap_or_else(|| {
            reasons.add("provenance-missing", "no comparer attested how the image came about");
            Vec::new()
        });
        let facts_envelope = Digest::of(&ask.facts.0);
        let whole = Self { facts, facts_envelope, commit_signature, source_date, results, comparisons, provenance };
        if reasons.0.is_empty() { Ok(whole) } else { Err(reasons.0) }
    }
}

/// The raw commit object must be the commit, and its tree the one that was built.
fn commit(
    facts: &Facts,
    object: &Base64,
    rules: &ProjectRules,
    reasons: &mut Reasons,
) -> (Option<CommitSignature>, Moment) {
    let commit = match Commit::parse(&facts.commit, &object.0) {
        Ok(commit) => commit,
        Err(e) => {
            reasons.add("commit-not-verified", e);
            return (None, facts.stated);
        }
    };
    if commit.tree != facts.tree {
        reasons.add("commit-not-verified", format!("its tree is {}, the facts say {}", commit.tree, facts.tree));
    }
    let source_date = Moment::from_unix(commit.committed).unwrap_or_else(|| {
        reasons.add("commit-not-verified", "its time lies outside the years 1970 to 9999");
        facts.stated
    });
    (rules.verify_commit(&commit).ok(), source_date)
}

fn results(
    commit: &CommitId,
    envelopes: &[Base64],
    rules: &ProjectRules,
    reasons: &mut Reasons,
) -> Vec<facts::TestResult> {
    let mut verified = Vec::new();
    for raw in envelopes {
        let read = || -> Result<facts::TestResult, String> {
            let envelope = Envelope::parse(&raw.0).map_err(|e| e.to_string())?;
            let key = envelope.verify(&rules.result_keys).map_err(|e| e.to_string())?;
            let statement = Statement::<TestResult>::parse(&envelope.payload.0).map_err(|e| e.to_string())?;
            statement.for_commit(commit, key, Digest::of(&raw.0)).map_err(|e| e.to_string())
        };
        match read() {
            Ok(result) => verified.push(result),
            Err(e) => reasons.add("result-not-verified", e),
        }
    }
    verified
}

/// Provenance must speak of the same job as the facts, and of the image that was compared.
fn check_provenance(
    signed: &Signed<Provenance>,
    facts: &Facts,
    comparisons: &[(Digest, KeyId, Comparison)],
    reasons: &mut Reasons,
) {
    let says = signed.says();
    let definition = &says.build_definition;
    let subject = signed.subject().iter().filter_map(|s| s.digest.get("sha256")).collect::<Vec<_>>();
    let compared = comparisons.iter().all(|(_, _, c)| subject == [&c.rebuild.hex()]);
    let bound = [
        (definition.build_type == BUILD_TYPE_STEPS, "build type"),
        (definition.external_parameters.commit == facts.commit, "commit"),
        (definition.external_parameters.source == facts.source, "source"),
        (definition.internal_parameters.lane == facts.lane, "lane"),
        (definition.internal_parameters.project == facts.project, "project"),
        (definition.internal_parameters.trial == facts.trial, "trial"),
        (says.dossier() == Some(facts.dossier), "dossier"),
        (says.run_details.metadata.invocation_id == facts.nonce, "nonce"),
        (compared && !comparisons.is_empty(), "image"),
    ];
    for (_, what) in bound.iter().filter(|(same, _)| !same) {
        reasons.add("provenance-mismatch", format!("its {what} is not that of facts and comparison"));
    }
}

/// What was built on, by the comparer's word, must be on the operator's list: that the facts name a listed base is intake's
/// word alone.
fn check_bases(says: &Provenance, rules: &ProjectRules, reasons: &mut Reasons) {
    let listed: Vec<String> = rules.bases.iter().map(ToString::to_string).collect();
    let mut bases = says.bases().peekable();
    if bases.peek().is_none() {
        reasons.add("base-not-allowed", "the provenance names no base, and every recipe has one");
    }
    for base in bases.filter(|base| !listed.iter().any(|l| l == base)) {
        let base = artifact::digest::shortened(base);
        reasons.add("base-not-allowed", format!("it was built on {base}, which signer-rules.toml does not list"));
    }
}

/// The stores that the signer reads manifests from.
#[derive(Debug)]
pub(crate) struct Stores {
    /// What comparers packed.
    pub rebuilds: Layout,
    /// What CI left.
    pub candidates: Layout,
}

impl Stores {
    /// What is to be published must be an image as we write them, and all of it must be there: nothing is signed that can't be
    /// published. A manifest of ours has one spelling, so it can't lead a client elsewhere (`urls`) or hang on another
    /// image (`subject`).
    ///
    /// # Errors
    /// What was attested is not what lies in the store; or a disk that can't be read now.
    pub(crate) fn whole(&self, rebuild: &Digest) -> Result<(), Failure> {
        let broken = |e: &dyn std::fmt::Display| {
            let text = format!(
                "the rebuild {rebuild} is not what the comparer attested ({e}). Nothing was signed. Restore {} from its \
                 copy, or have CI run again: new evidence is a new promotion, with a rebuild of its own",
                self.rebuilds.root().display()
            );
            Failure::halt("rebuild-broken", text)
        };
        let unread = |e: LayoutError| match Failure::of_input("rebuild-unread", &e) {
            failure if failure.retry == Retry::Later => failure,
            _ => broken(&e),
        };
        let bytes = self.rebuilds.read_digest(rebuild, oci::MANIFEST_LIMIT).map_err(unread)?;
        let manifest: Manifest = json::parse_canonical("manifest", &bytes).map_err(|e| broken(&e))?;
        let image =
            manifest.artifact_type.is_none() && manifest.subject.is_none() && manifest.media_type == oci::MANIFEST;
        let layer = |l: &Descriptor| [oci::LAYER, oci::LAYER_GZIP, oci::LAYER_ZSTD].contains(&l.media_type.as_str());
        if !image || manifest.config.media_type != oci::CONFIG || !manifest.layers.iter().all(layer) {
            return Err(broken(&"it is no plain image"));
        }
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            self.rebuilds.stream(blob).and_then(|blob| blob.finish()).map_err(unread)?;
        }
        Ok(())
    }

    /// Works the two highest levels out again: a comparer that claims them is not believed.
    fn check_level(&self, says: &Comparison, reasons: &mut Reasons) {
        let shown = match says.level {
            Level::BitForBit => says.rebuild == says.candidate,
            Level::SameLayers => match (image(&self.rebuilds, &says.rebuild), image(&self.candidates, &says.candidate))
            {
                // As the comparer does: all but the history, which is words.
                (Ok(ours), Ok(theirs)) => ImageConfig { history: theirs.history.clone(), ..ours } == theirs,
                (Err(e), _) | (_, Err(e)) => {
                    reasons.add("level-not-shown", e);
                    true
                }
            },
            // These rest on the comparers, and on how many the rules ask for.
            Level::SameFilesystem | Level::Diverged => true,
        };
        if !shown {
            reasons.add(
                "level-not-shown",
                format!("{} claims {}, and the manifests do not show it", says.builder, says.level),
            );
        }
    }
}

fn image(store: &Layout, digest: &Digest) -> Result<ImageConfig, String> {
    let read = || -> Result<ImageConfig, artifact::layout::LayoutError> {
        let manifest = Manifest::parse(&store.read_digest(digest, oci::MANIFEST_LIMIT)?)?;
        Ok(ImageConfig::parse(&store.read(&manifest.config, oci::CONFIG_LIMIT)?)?)
    };
    read().map_err(|e| e.to_string())
}

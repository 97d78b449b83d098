//! Deciding: before the rebuild, whether it is worth one; after it, with the branch and the evidence looked at once more.

use artifact::failure::Failure;
use artifact::lane::Public;
use artifact::name::Tag;
use artifact::statement::Signed;
use artifact::statement::comparison::Comparison;
use artifact::statement::facts::Facts;
use artifact::{Digest, Moment};
use audit::entry::{Permit, PromotionId, Reason};
use policy::{Attested, Case, Decision, ProjectRules};

use crate::house::Pass;
use crate::ledger::{Ledger, envelope_digest};
use crate::stage::prepare;

/// What speaks against this commit before anything is built. Nothing: it is worth a rebuild.
///
/// # Errors
/// When the log's own content does not verify.
pub fn unready(pass: &Pass<'_>, ledger: &Ledger, id: &PromotionId) -> Result<Vec<Reason>, Failure> {
    let promotion = ledger.promotion(id)?;
    let Some(entry) = &promotion.facts else { return Err(missing("facts")) };
    let facts = facts_of(ledger, &entry.envelope.0)?;
    let case = case(pass, ledger, &facts, envelope_digest(&entry.envelope), &[]);
    Ok(written(policy::unready(&case, rules(pass, id, ledger)?, Moment::now())))
}

/// Has intake look again, decides, and records a permit or a refusal.
///
/// # Errors
/// When intake can't look, or the log can't be written.
pub fn decide(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<(), Failure> {
    prepare::restate(pass, ledger, id)?;
    let promotion = ledger.promotion(id)?;
    let (Some(entry), Some(rebuild)) = (&promotion.facts, &promotion.rebuild) else { return Err(missing("facts")) };
    unrevoked(ledger, &rebuild.rebuild)?;
    let facts = facts_of(ledger, &entry.envelope.0)?;
    let signed = Signed::<Comparison>::open(&rebuild.comparison.0, &ledger.keys().comparers)
        .map_err(|e| Failure::halt("comparison-not-signed", e))?;
    let comparisons =
        [Attested { envelope: envelope_digest(&rebuild.comparison), key: signed.key(), says: signed.says() }];
    let case = case(pass, ledger, &facts, envelope_digest(&entry.envelope), &comparisons);
    match policy::decide(&case, rules(pass, id, ledger)?, Moment::now()) {
        Decision::Permit(permit) => {
            let terms = permit.into_terms();
            let until = terms.expires;
            ledger.record(Permit { promotion: *id, terms })?;
            pass.house.timeline.line("policy", &format!("permitted until {until}"));
            Ok(())
        }
        Decision::Refusal(refusal) => ledger.refuse(id, written(refusal.reasons)),
    }
}

/// The code of an image that people revoked.
pub const REVOKED: &str = "revoked";

/// That an image was not revoked.
///
/// # Errors
/// It was: it is not released again.
pub fn unrevoked(ledger: &Ledger, digest: &Digest) -> Result<(), Failure> {
    match ledger.fold().people().revocation(digest) {
        None => Ok(()),
        Some((index, says)) => {
            let text =
                format!("{digest} was revoked by entry {index} of the log ({}): it is not released again", says.reason);
            Err(Failure::never(REVOKED, text))
        }
    }
}

fn case<'a>(
    pass: &Pass<'_>,
    ledger: &Ledger,
    facts: &'a Facts,
    facts_envelope: Digest,
    comparisons: &'a [Attested<'a>],
) -> Case<'a, Public> {
    Case {
        lane: Public,
        trial: pass.house.trial,
        rules: pass.rules.digest(),
        nonce: &facts.nonce,
        facts,
        facts_envelope,
        commit_signature: facts.commit_signature.as_ref(),
        results: &facts.results,
        comparisons,
        previous: pass.rules.project(&facts.project).and_then(|rules| previous(ledger, rules, facts)),
    }
}

/// What the first of the release's fixed tags names now, by the log.
pub fn previous(ledger: &Ledger, rules: &ProjectRules, facts: &Facts) -> Option<Digest> {
    let tag: Tag = rules.tags.first()?.tag(&facts.commit).ok()?;
    ledger.fold().tag(&rules.repository, &tag)
}

fn facts_of(ledger: &Ledger, envelope: &[u8]) -> Result<Facts, Failure> {
    Signed::<Facts>::open(envelope, [&ledger.keys().intake])
        .map(|signed| signed.says().clone())
        .map_err(|e| Failure::halt("facts-not-signed", format!("the log holds facts that {e}")))
}

fn rules<'a>(pass: &Pass<'a>, id: &PromotionId, ledger: &Ledger) -> Result<&'a ProjectRules, Failure> {
    let project = &ledger.promotion(id)?.opened.project;
    pass.rules
        .project(project)
        .ok_or_else(|| Failure::later("project-unlisted", format!("{project} is no longer in rules.toml")))
}

fn written(reasons: Vec<policy::Reason>) -> Vec<Reason> {
    reasons.into_iter().map(|r| Reason { code: r.code.to_string(), message: r.message }).collect()
}

fn missing(what: &str) -> Failure {
    Failure::halt("stage-out-of-order", format!("no {what} are recorded where they must be"))
}

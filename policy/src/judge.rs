//! The judgement: every rule is asked, every reason is kept.

use artifact::Moment;
use artifact::lane::Lane;
use artifact::name::Tag;
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::facts::{Position, TestResult};
use artifact::statement::permit::Terms;

use crate::case::{Attested, Case};
use crate::decision::{Code, Decision, Permit, Reason, Refusal};
use crate::rules::{ProjectRules, Proof};

/// How far apart clocks may be, in seconds, before a moment counts as one of the future.
const SKEW: u64 = 300;

type Reasons = Vec<Reason>;

fn refuse(reasons: &mut Reasons, code: Code, message: impl Into<String>) {
    reasons.push(Reason { code, message: message.into() });
}

/// Decides. A missing fact is a reason; so is one that is not understood.
pub fn decide<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, now: Moment) -> Decision<L> {
    let mut reasons = unready(case, rules, now);
    let agreed = judge_comparisons(case, rules, &mut reasons);
    let tags = tags(case, rules, &mut reasons);
    match agreed {
        Some(comparison) if reasons.is_empty() => {
            Decision::Permit(Permit::new(case.lane.clone(), terms(case, rules, now, comparison, tags)))
        }
        _ => Decision::Refusal(Refusal { reasons }),
    }
}

/// What speaks against this commit before anything is built. Nothing: it is worth a rebuild.
pub fn unready<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, now: Moment) -> Vec<Reason> {
    let mut reasons = Vec::new();
    judge_binding(case, rules, &mut reasons);
    judge_branch(case, rules, now, &mut reasons);
    judge_source(case, rules, &mut reasons);
    judge_results(case.results, rules, now, &mut reasons);
    if case.facts.candidate.is_none() {
        refuse(
            &mut reasons,
            Code::CandidateMissing,
            format!(
                "the staging registry has no image tagged {}: CI leaves it there when it is done",
                case.facts.commit
            ),
        );
    }
    reasons
}

fn judge_binding<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, reasons: &mut Reasons) {
    let (facts, lane) = (case.facts, case.lane.name());
    if facts.lane != lane {
        refuse(reasons, Code::WrongLane, format!("the facts are of lane {}, this is lane {lane}", facts.lane));
    }
    if facts.project != rules.name {
        refuse(reasons, Code::WrongProject, format!("the facts are of {}, the rules of {}", facts.project, rules.name));
    }
    if facts.trial != case.trial {
        refuse(reasons, Code::WrongTrial, "intake and this room were started by different launchers");
    }
    if facts.nonce != case.nonce {
        refuse(reasons, Code::WrongNonce, "the facts were stated for another job");
    }
}

fn judge_branch<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, now: Moment, reasons: &mut Reasons) {
    let facts = case.facts;
    if facts.branch != rules.branch {
        let message = format!("looked for on {}, the rules promote {}", facts.branch, rules.branch);
        refuse(reasons, Code::WrongBranch, message);
    }
    if facts.position == Position::Elsewhere {
        let message = format!("{} is neither the head of {} nor on its first-parent line", facts.commit, facts.branch);
        refuse(reasons, Code::NotOnBranch, message);
    }
    if facts.rewritten && !rules.rewritten_history {
        let message = format!("{} was force-pushed: set rewritten_history = true if that was meant", facts.branch);
        refuse(reasons, Code::HistoryRewritten, message);
    }
    for (what, moment) in [("the branch was looked at", facts.branch_checked), ("the facts were stated", facts.stated)]
    {
        if moment > now.plus_seconds(SKEW) {
            refuse(reasons, Code::FromTheFuture, format!("{what} at {moment}, and now is {now}: set the clocks"));
        }
    }
    let age = now.seconds_since(facts.branch_checked);
    if age > rules.branch_minutes * 60 {
        let message = format!("{} was looked at {age} s ago, the limit is {} min", facts.branch, rules.branch_minutes);
        refuse(reasons, Code::BranchStale, message);
    }
}

fn judge_source<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, reasons: &mut Reasons) {
    if rules.proofs.contains(&Proof::CommitSignature) && case.commit_signature.is_none() {
        let message = format!("{} has no SSH signature by an allowed signer", case.facts.commit);
        refuse(reasons, Code::CommitUnsigned, message);
    }
    for base in case.facts.bases.iter().filter(|b| !rules.bases.contains(b)) {
        let message = format!("the recipe asks for {base}: use a listed base, or have the operator list it");
        refuse(reasons, Code::BaseNotAllowed, message);
    }
    if case.facts.bases.is_empty() {
        refuse(reasons, Code::BaseNotAllowed, "the facts name no base, and every recipe has one");
    }
}

/// The newest result decides: an older green says nothing against a newer red.
fn judge_results(results: &[TestResult], rules: &ProjectRules, now: Moment, reasons: &mut Reasons) {
    let listed = |r: &&TestResult| rules.result_keys.iter().any(|k| k.id() == r.key);
    let results: Vec<&TestResult> = results.iter().filter(listed).collect();
    let Some(newest) = results.iter().max_by_key(|r| (r.finished, r.attempt)) else {
        return refuse(reasons, Code::NoTestResult, "no test result that a listed key signed speaks of this commit");
    };
    for other in &results {
        let same_moment = (other.finished, other.attempt) == (newest.finished, newest.attempt);
        let overtaken = other.run == newest.run && other.attempt > newest.attempt;
        if overtaken || (same_moment && other.envelope != newest.envelope) {
            let message = format!(
                "run {} attempt {} and run {} attempt {} can't both be the newest",
                newest.run, newest.attempt, other.run, other.attempt
            );
            refuse(reasons, Code::EvidenceInconsistent, message);
        }
    }
    let run = format!("run {} attempt {}", newest.run, newest.attempt);
    if newest.finished > now.plus_seconds(SKEW) {
        let message = format!("{run} ended at {}, and now is {now}: set the clocks", newest.finished);
        refuse(reasons, Code::FromTheFuture, message);
    }
    let hours = rules.evidence_hours;
    if now.seconds_since(newest.finished) > hours * 3600 {
        let message = format!("{run} ended at {}, the limit is {hours} h: run CI again", newest.finished);
        refuse(reasons, Code::EvidenceStale, message);
    }
    if newest.result != "PASSED" {
        refuse(reasons, Code::NotPassed, format!("{run} says {:?}", newest.result));
    }
    for job in &rules.required_jobs {
        if newest.failed.contains(job) || newest.warned.contains(job) {
            refuse(reasons, Code::JobNotPassed, format!("{run}: {job} failed, or passed with warnings only"));
        } else if !newest.passed.contains(job) {
            refuse(reasons, Code::JobMissing, format!("{run}: required job {job} did not run"));
        }
    }
}

/// The comparison that enough comparers agree on, when nothing speaks against it.
fn judge_comparisons<'a, L: Lane>(
    case: &Case<'a, L>,
    rules: &ProjectRules,
    reasons: &mut Reasons,
) -> Option<&'a Comparison> {
    let mut keys: Vec<_> = case.comparisons.iter().map(|c| c.key).collect();
    keys.sort();
    keys.dedup();
    if keys.len() < rules.comparers {
        let message = format!("{} comparers attested, the rules ask for {}", keys.len(), rules.comparers);
        refuse(reasons, Code::TooFewComparers, message);
    }
    for attested in case.comparisons {
        judge_comparison(case, rules, attested, reasons);
    }
    let first = case.comparisons.first()?.says;
    for other in &case.comparisons[1..] {
        if other.says.rebuild != first.rebuild {
            let message = format!(
                "{} packed {}, {} packed {}",
                first.builder, first.rebuild, other.says.builder, other.says.rebuild
            );
            refuse(reasons, Code::RebuildsDisagree, message);
        }
    }
    Some(first)
}

fn judge_comparison<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, attested: &Attested<'_>, reasons: &mut Reasons) {
    let (facts, says) = (case.facts, attested.says);
    let bound = [
        (says.lane == facts.lane, "lane"),
        (says.trial == facts.trial, "trial"),
        (says.project == facts.project, "project"),
        (says.commit == facts.commit, "commit"),
        (says.dossier == facts.dossier, "dossier"),
        (says.nonce == facts.nonce, "nonce"),
        (facts.candidate.as_ref().is_some_and(|c| c.digest == says.candidate), "candidate"),
    ];
    for (_, what) in bound.iter().filter(|(same, _)| !same) {
        let message = format!("{}: the {what} is not that of the facts", says.builder);
        refuse(reasons, Code::ComparisonMismatch, message);
    }
    if says.level == Level::Diverged {
        refuse(reasons, Code::Diverged, first_difference("CI's image differs from our rebuild", says));
    } else if says.level < rules.least_level {
        let message = format!("{}, the rules ask for {}", says.level, rules.least_level);
        refuse(reasons, Code::LevelTooLow, message);
    }
    if rules.deterministic && !says.runs.equal {
        refuse(reasons, Code::NotDeterministic, run_difference(says));
    }
    let sandbox = &says.sandbox;
    if !rules.runtimes.contains(&sandbox.runtime) {
        let message =
            format!("{} {}: the rules accept {}", sandbox.runtime, sandbox.version, rules.runtimes.join(", "));
        refuse(reasons, Code::RuntimeNotAccepted, message);
    }
}

fn first_difference(what: &str, says: &Comparison) -> String {
    match says.differences.first() {
        Some(d) => format!(
            "{what} in {} places, first {} ({}): ours {}, CI's {}",
            says.differences_total, d.path, d.kind, d.rebuild, d.candidate
        ),
        None => format!("{what}, and the comparer did not say where"),
    }
}

fn run_difference(says: &Comparison) -> String {
    match says.run_differences.first() {
        Some(d) => format!(
            "two runs of the recipe differ in {} places, first {} ({}): {} and then {}",
            says.run_differences_total, d.path, d.kind, d.rebuild, d.candidate
        ),
        None => "two runs of the recipe differ, and the comparer did not say where".to_owned(),
    }
}

fn tags<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, reasons: &mut Reasons) -> Vec<Tag> {
    let mut tags = Vec::new();
    for template in &rules.tags {
        match template.tag(&case.facts.commit) {
            Ok(tag) => tags.push(tag),
            Err(e) => refuse(reasons, Code::RulesImpossible, e.to_string()),
        }
    }
    tags
}

fn terms<L: Lane>(case: &Case<'_, L>, rules: &ProjectRules, now: Moment, agreed: &Comparison, tags: Vec<Tag>) -> Terms {
    Terms {
        lane: case.lane.name(),
        trial: case.trial,
        project: rules.name.clone(),
        commit: case.facts.commit.clone(),
        digest: agreed.rebuild,
        repository: rules.repository.clone(),
        tags,
        previous: case.previous,
        level: case.comparisons.iter().map(|c| c.says.level).min().unwrap_or(agreed.level),
        rules: case.rules,
        facts: case.facts_envelope,
        comparisons: case.comparisons.iter().map(|c| c.envelope).collect(),
        branch_checked: case.facts.branch_checked,
        decided: now,
        expires: now.plus_seconds(rules.permit_minutes * 60),
    }
}

#[cfg(test)]
mod tests;

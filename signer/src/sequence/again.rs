//! Judging again: by this room's own rules, clock and memory.

use artifact::lane::Public;
use artifact::statement::permit::Terms;
use artifact::{Digest, Moment};
use audit::entry::Reason;
use policy::{Attested, Case, Decision, ProjectRules};

use super::{Job, Signer, Stop, refused};

/// How far apart clocks may be, in seconds.
const SKEW: u64 = 300;

impl Signer<'_> {
    /// Decides by this room's own rules and clock, and compares the terms with the permit's. What was signed while the
    /// permit held is published after it as well: then it is judged as of the permit's own moment.
    pub(super) fn decide_again(&self, job: &Job<'_>, rules: &ProjectRules, signed: bool) -> Result<(), Stop> {
        let terms = &job.permit.value().terms;
        let now = Moment::now();
        let clock = if signed { terms.decided } else { now };
        let evidence = job.evidence;
        let attested: Vec<Attested<'_>> = evidence
            .comparisons
            .iter()
            .map(|(envelope, key, says)| Attested { envelope: *envelope, key: *key, says })
            .collect();
        let case = Case {
            lane: Public,
            trial: self.trial,
            rules: self.rules.digest(),
            nonce: &evidence.facts.nonce,
            facts: &evidence.facts,
            facts_envelope: evidence.facts_envelope,
            commit_signature: evidence.commit_signature.as_ref(),
            results: &evidence.results,
            comparisons: &attested,
            previous: previous(job, terms),
        };
        let own = match policy::decide(&case, rules, clock) {
            Decision::Permit(permit) => permit.into_terms(),
            Decision::Refusal(refusal) => {
                let reasons = refusal.reasons.into_iter();
                return Err(Stop::Refused(
                    reasons.map(|r| Reason { code: r.code.to_string(), message: r.message }).collect(),
                ));
            }
        };
        check_terms(terms, own, rules, now, signed)
    }
}

/// What the first tag named before this permit, by this room's own memory.
pub(super) fn previous(job: &Job<'_>, terms: &Terms) -> Option<Digest> {
    let used = job.memory.used(&terms.repository, terms.tags.first()?)?;
    match used.released {
        _ if used.permit == job.permit.index() => used.previous,
        true => Some(used.digest),
        // Published perhaps, recorded perhaps: the log knows, and the permit says what the log says.
        false => [Some(used.digest), used.previous].into_iter().find(|p| *p == terms.previous).unwrap_or(used.previous),
    }
}

/// The recorded terms must be this room's own; the moments must be sane.
fn check_terms(terms: &Terms, own: Terms, rules: &ProjectRules, now: Moment, signed: bool) -> Result<(), Stop> {
    let mut reasons = Vec::new();
    let mut add = |code: &str, message: String| reasons.push(Reason { code: code.to_owned(), message });
    if (Terms { decided: terms.decided, expires: terms.expires, ..own.clone() }) != *terms {
        add("terms-differ", format!("the permit says {terms:?}; deciding again gives {own:?}"));
    }
    if terms.decided > now.plus_seconds(SKEW) {
        add("from-the-future", format!("permitted at {}, and now is {now}", terms.decided));
    }
    if terms.expires.seconds_since(terms.decided) > rules.permit_minutes * 60 {
        add("permit-too-long", format!("from {} to {}", terms.decided, terms.expires));
    }
    if now >= terms.expires && !signed {
        add("permit-expired", format!("at {}, and now is {now}", terms.expires));
    }
    if reasons.is_empty() { Ok(()) } else { Err(Stop::Refused(reasons)) }
}

/// A permit is used by the attempts that are recorded under it and by no other, until it is released; and a tag never goes
/// back to an older permit.
pub(super) fn check_use(job: &Job<'_>, terms: &Terms) -> Result<(), Stop> {
    let index = job.permit.index();
    for tag in &terms.tags {
        let Some(used) = job.memory.used(&terms.repository, tag) else { continue };
        if used.permit > index {
            let text = format!("{}:{tag} was last written under the permit at {}", terms.repository, used.permit);
            return Err(refused("permit-superseded", text));
        }
        if used.permit == index && (used.released || !job.signing.made.knows(&used.attempt)) {
            return Err(refused("permit-used", format!("the permit at {index} was used for attempt {}", used.attempt)));
        }
    }
    Ok(())
}

//! One pass: look at each project, open what is new, go on with what was interrupted.

use artifact::failure::{Failure, Retry};
use artifact::lane::LaneName;
use artifact::name::ProjectName;
use artifact::{CommitId, Moment};
use audit::entry::{Opened, PromotionId};

use crate::house::Pass;
use crate::ledger::Ledger;
use crate::pipeline::{self, Outcome};
use crate::stage::prepare::{self, Sighting};

/// What became of one project in a pass.
#[derive(Debug)]
pub struct Ended {
    /// The project.
    pub project: ProjectName,
    /// The commit that was looked at.
    pub commit: CommitId,
    /// The promotion; `None` when there is no evidence yet.
    pub promotion: Option<PromotionId>,
    /// How it ended; `None` when there is no evidence yet.
    pub outcome: Option<Outcome>,
}

/// Looks at one project, and promotes what is green.
///
/// # Errors
/// As the stages say.
pub fn project(
    pass: &Pass<'_>,
    ledger: &mut Ledger,
    project: &ProjectName,
    commit: Option<&CommitId>,
) -> Result<Ended, Failure> {
    let waiting = match ledger.fold().unfinished(project) {
        Some(id) => resume(pass, ledger, &id)?.map(|failure| (id, failure)),
        None => None,
    };
    let sighting = prepare::look(pass, project, commit)?;
    let Some(evidence) = sighting.evidence else {
        let text = format!("{project}: {} on {} waits for a signed test result", sighting.commit, sighting.branch);
        pass.house.timeline.line("coordinator", &text);
        // What began earlier and can't go on for now is not done.
        return match waiting {
            Some((_, failure)) => Err(failure),
            None => Ok(Ended { project: project.clone(), commit: sighting.commit, promotion: None, outcome: None }),
        };
    };
    let id = open(pass, ledger, project, &sighting, evidence)?;
    if let Some((_, failure)) = waiting.filter(|(waiting, _)| *waiting == id) {
        // It was tried a moment ago.
        return Err(failure);
    }
    let outcome = pipeline::promote(pass, ledger, &id)?;
    Ok(Ended { project: project.clone(), commit: sighting.commit, promotion: Some(id), outcome: Some(outcome) })
}

/// Goes on with what was interrupted, and says why it has to wait. What can't go on for now keeps a newer commit from
/// nothing, unless it is signed.
fn resume(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<Option<Failure>, Failure> {
    pass.house.timeline.line("coordinator", &format!("going on with {id}"));
    match pipeline::promote(pass, ledger, id) {
        Err(failure) if failure.retry == Retry::Later && !ledger.promotion(id)?.signed => {
            pass.house.timeline.line("coordinator", &format!("it waits: {failure}"));
            Ok(Some(failure))
        }
        ended => ended.map(|_| None),
    }
}

/// The promotion of what was seen: the one that the log knows, or a new one.
fn open(
    pass: &Pass<'_>,
    ledger: &mut Ledger,
    project: &ProjectName,
    seen: &Sighting,
    evidence: artifact::Digest,
) -> Result<PromotionId, Failure> {
    let (lane, rules) = (LaneName::Public, pass.rules.digest());
    let id = PromotionId::of(&lane, project, &seen.commit, seen.candidate.as_ref(), &evidence, &rules);
    if ledger.fold().promotion(&id).is_none() {
        ledger.record(Opened {
            promotion: id,
            lane,
            trial: pass.house.trial,
            project: project.clone(),
            commit: seen.commit.clone(),
            candidate: seen.candidate,
            evidence,
            rules,
            at: Moment::now(),
        })?;
        pass.house.timeline.line("coordinator", &format!("{project}: {} opened", seen.commit));
    }
    Ok(id)
}

//! Preparing: intake looks, seals a dossier, states facts; and looks again before the decision.

use std::path::Path;

use artifact::digest::hex;
use artifact::failure::Failure;
use artifact::name::{BranchName, ProjectName};
use artifact::{CommitId, Digest, Moment};
use audit::entry::{Facts, PromotionId};
use hardening::menu::Room;
use intake::door::{Answer, Ask};

use crate::house::{House, Pass};
use crate::ledger::Ledger;

/// What intake saw at a glance.
#[derive(Debug)]
pub struct Sighting {
    /// The branch.
    pub branch: BranchName,
    /// The commit that was asked for, or the branch's head.
    pub commit: CommitId,
    /// The digest over the evidence that speaks of it; `None`: there is none yet.
    pub evidence: Option<Digest>,
    /// The image that CI left.
    pub candidate: Option<Digest>,
}

/// A dossier without evidence, for a build outside any promotion.
#[derive(Debug)]
pub struct Sealed {
    /// The dossier.
    pub dossier: Digest,
    /// The commit it is of.
    pub commit: CommitId,
}

/// Has intake look at a project.
///
/// # Errors
/// When it can't.
pub fn look(pass: &Pass<'_>, project: &ProjectName, commit: Option<&CommitId>) -> Result<Sighting, Failure> {
    match ask(pass.house, &Ask::Look { project: project.clone(), commit: commit.cloned() })? {
        Answer::Looked { branch, commit, evidence, candidate, .. } => {
            Ok(Sighting { branch, commit, evidence, candidate })
        }
        _ => Err(out_of_turn()),
    }
}

/// Has intake pull everything and state what it saw, and records that.
///
/// # Errors
/// When it can't, or the log can't be written.
pub fn prepare(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<(), Failure> {
    let opened = &ledger.promotion(id)?.opened;
    let mut raw = [0; 16];
    getrandom::fill(&mut raw).map_err(|e| Failure::later("no-random-numbers", e))?;
    let (project, commit) = (opened.project.clone(), opened.commit.clone());
    record(pass, ledger, id, &Ask::Prepare { project, commit, nonce: hex(&raw) })
}

/// Has intake look again at branch, evidence and candidate, with the same dossier and for the same job.
///
/// # Errors
/// As [`prepare`].
pub fn restate(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<(), Failure> {
    let promotion = ledger.promotion(id)?;
    let entry = promotion.facts.as_ref().ok_or_else(out_of_turn)?;
    let facts = artifact::statement::Signed::<artifact::statement::facts::Facts>::open(
        &entry.envelope.0,
        [&ledger.keys().intake],
    )
    .map_err(|e| Failure::halt("facts-not-signed", e))?;
    let (project, commit) = (promotion.opened.project.clone(), promotion.opened.commit.clone());
    let ask = Ask::Restate { project, commit, nonce: facts.says().nonce.clone(), dossier: entry.dossier };
    record(pass, ledger, id, &ask)
}

fn record(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId, asked: &Ask) -> Result<(), Failure> {
    match ask(pass.house, asked)? {
        Answer::Prepared { facts, commit_object, results, dossier, .. } => {
            check(ledger, asked, &facts.0)?;
            let text = format!("dossier {}, {} test results", &dossier.hex()[..12], results.len());
            pass.house.timeline.line("intake", &text);
            let at = Moment::now();
            ledger.record(Facts { promotion: *id, envelope: facts, commit_object, results, dossier, at }).map(drop)
        }
        _ => Err(out_of_turn()),
    }
}

/// The facts must be those of this very job; what else they say is judged later.
fn check(ledger: &Ledger, asked: &Ask, envelope: &[u8]) -> Result<(), Failure> {
    let signed =
        artifact::statement::Signed::<artifact::statement::facts::Facts>::open(envelope, [&ledger.keys().intake]);
    let signed = signed.map_err(|e| Failure::halt("facts-not-signed", format!("intake answered facts that {e}")))?;
    let says = signed.says();
    let (wanted, same_dossier) = match asked {
        Ask::Prepare { nonce, .. } => (nonce, true),
        Ask::Restate { nonce, dossier, .. } => (nonce, *dossier == says.dossier),
        _ => return Err(out_of_turn()),
    };
    if says.nonce == *wanted && same_dossier {
        return Ok(());
    }
    Err(Failure::halt("facts-of-another-job", "intake answered with facts that it stated for another job"))
}

/// Has intake seal a dossier of a local repository.
///
/// # Errors
/// When it can't.
pub fn seal(house: &House, source: &Path, commit: Option<&str>) -> Result<Sealed, Failure> {
    let commit = commit.map(str::parse).transpose().map_err(|e| Failure::never("usage", e))?;
    match ask(house, &Ask::Seal { source: source.to_owned(), commit })? {
        Answer::Sealed { dossier, commit, .. } => Ok(Sealed { dossier, commit }),
        _ => Err(out_of_turn()),
    }
}

/// Asks intake one question.
///
/// # Errors
/// What it says it could not do, or that it is gone.
pub(super) fn ask(house: &House, ask: &Ask) -> Result<Answer, Failure> {
    let mut door = house.room(Room::Intake)?;
    door.send(ask)?;
    loop {
        match door.receive()? {
            Answer::Progress { text } => house.timeline.line("intake", &text),
            Answer::Failed(failure) => return Err(failure),
            answer => return Ok(answer),
        }
    }
}

pub(super) fn out_of_turn() -> Failure {
    Failure::halt("intake-out-of-turn", "intake answered something else than was asked")
}

//! Signing: what the signer is shown, and what comes of its answer.

use artifact::Digest;
use artifact::failure::Failure;
use audit::entry::{PromotionId, Reason};
use audit::reader::Entry;
use audit::recorded::Proven;
use signer::door::{Answer, Ask, ReleaseAsk};

use crate::house::Pass;
use crate::ledger::Ledger;
use crate::stage;

/// The signer's code for a rebuild that is not what was attested.
const BROKEN: &str = "rebuild-broken";

/// Has the signer sign and publish what was permitted.
///
/// # Errors
/// When it can't, or the log can't be written. What it recorded stays, and is used again.
pub fn sign(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<(), Failure> {
    if let Some(permit) = &ledger.promotion(id)?.permit {
        stage::decide::unrevoked(ledger, &permit.terms.digest)?;
    }
    let ask = |ledger: &mut Ledger, seen| release_ask(ledger, id, seen).map(|ask| Ask::Release(Box::new(ask)));
    match stage::signer::converse(pass.house, ledger, ask) {
        Ok(Answer::Released { digest, repository, .. }) => {
            pass.house.timeline.line("signer", &format!("published {repository}@{digest}"));
            Ok(())
        }
        Ok(Answer::Refused { reasons }) if is_mended_by_a_look(&reasons, ledger, id)? => {
            // It took too long to get here, or a pass ended between looking again and deciding again.
            stage::decide::decide(pass, ledger, id)?;
            if ledger.promotion(id)?.refusal.is_some() {
                return Ok(());
            }
            let text = "the permit was too old, or of facts before the newest; it was decided anew, run again";
            Err(Failure::later("permit-renewed", text))
        }
        Ok(Answer::Refused { reasons }) => ledger.refuse(id, reasons),
        Ok(_) => Err(stage::signer::out_of_turn()),
        Err(failure) if failure.code == BROKEN && !ledger.promotion(id)?.signed => {
            // A person must look; but this promotion can't be mended, and the next one must not wait for it.
            ledger.refuse(id, vec![Reason { code: failure.code.clone(), message: failure.message.clone() }])?;
            Err(failure)
        }
        Err(failure) => Err(failure),
    }
}

/// Whether every reason is one that goes away when intake looks again and policy decides again.
fn is_mended_by_a_look(reasons: &[Reason], ledger: &Ledger, id: &PromotionId) -> Result<bool, Failure> {
    let promotion = ledger.promotion(id)?;
    let newest = promotion.facts.as_ref().map(|facts| Digest::of(&facts.envelope.0));
    let of_older_facts = promotion.permit.as_ref().map(|permit| permit.terms.facts) != newest;
    let old = |reason: &Reason| match reason.code.as_str() {
        "permit-expired" | "branch-stale" => true,
        "terms-differ" => of_older_facts,
        _ => false,
    };
    Ok(reasons.iter().all(old))
}

/// Everything the signer judges by, and the proofs that it is recorded.
fn release_ask(ledger: &mut Ledger, id: &PromotionId, seen: u64) -> Result<ReleaseAsk, Failure> {
    let promotion = ledger.promotion(id)?.clone();
    let out_of_order = || Failure::halt("stage-out-of-order", "a permit without facts, rebuild or proof");
    let facts = promotion.facts.ok_or_else(out_of_order)?;
    let rebuild = promotion.rebuild.ok_or_else(out_of_order)?;
    let permit = promotion.permit_entry.ok_or_else(out_of_order)?;
    let recorded = promotion.under_permit;
    let indexes = std::iter::once(&permit).chain(&recorded).map(|e| e.index).collect();
    let proved = ledger.prove(indexes, seen)?;
    let mut receipts = proved.receipts.into_iter();
    let mut proven = |entry: &Entry| -> Result<Proven, Failure> {
        receipts.next().and_then(|receipt| entry.proven(receipt)).ok_or_else(out_of_order)
    };
    Ok(ReleaseAsk {
        project: promotion.opened.project,
        permit: proven(&permit)?,
        recorded: recorded.iter().map(&mut proven).collect::<Result<_, _>>()?,
        consistency: proved.consistency,
        facts: facts.envelope,
        commit_object: facts.commit_object,
        results: facts.results,
        comparisons: vec![rebuild.comparison],
        provenances: vec![rebuild.provenance],
    })
}

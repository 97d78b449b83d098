//! Signing releases again with the key of today: so many a pass, and what one pass began the next goes on with.

use artifact::failure::{Failure, Retry};
use audit::entry::PromotionId;
use audit::reader::Entry;
use audit::recorded::Proven;
use signer::door::{Answer, Ask, ResignAsk};

use crate::house::House;
use crate::ledger::Ledger;
use crate::stage::signer::{converse, out_of_turn};
use crate::status::Status;

/// Has the signer sign again what an order that stands asks for, if one does.
///
/// # Errors
/// The log can't be written, or is not what was recorded.
pub fn sweep(house: &House, ledger: &mut Ledger) -> Result<Status, Failure> {
    let Some(order) = ledger.fold().resign_order() else { return Ok(Status::Done) };
    let due: Vec<PromotionId> = ledger.fold().to_resign().collect();
    if due.is_empty() {
        return Ok(Status::Done);
    }
    let (mut worst, mut done) = (Status::Done, 0);
    for id in due.iter().take(house.resign_per_pass) {
        match resign(house, ledger, order, id) {
            Ok(()) => done += 1,
            Err(failure) if failure.retry == Retry::Halt => return Err(failure),
            Err(failure) => {
                house.timeline.line("resign", &format!("{id}: {failure}"));
                worst = worst.max(if failure.retry == Retry::Never { Status::Refused } else { Status::Unavailable });
                // Whoever does not answer now answers the next one no better.
                if failure.retry == Retry::Later {
                    break;
                }
            }
        }
    }
    let text =
        format!("{done} releases were signed again by the order of entry {order}, {} are left", due.len() - done);
    house.timeline.line("resign", &text);
    Ok(worst)
}

fn resign(house: &House, ledger: &mut Ledger, order: u64, id: &PromotionId) -> Result<(), Failure> {
    let asked = |ledger: &mut Ledger, seen| ask(ledger, order, id, seen).map(|ask| Ask::Resign(Box::new(ask)));
    match converse(house, ledger, asked)? {
        Answer::Resigned { digest } => {
            house.timeline.line("signer", &format!("signed {digest} again"));
            Ok(())
        }
        _ => Err(out_of_turn()),
    }
}

/// What shows that it was ordered, and what the release was signed with.
fn ask(ledger: &mut Ledger, order: u64, id: &PromotionId, seen: u64) -> Result<ResignAsk, Failure> {
    let out_of_order = || Failure::halt("stage-out-of-order", "a release without permit or signatures");
    let promotion = ledger.promotion(id)?.clone();
    let permit = promotion.permit_index.ok_or_else(out_of_order)?;
    let release = promotion.again.release.ok_or_else(out_of_order)?;
    let (signed, made) = (promotion.again.signed, promotion.again.entries);
    let read: Vec<u64> = [order, permit, release].into_iter().chain(signed).collect();
    let mut entries = read.iter().map(|index| ledger.entry(*index)).collect::<Result<Vec<_>, _>>()?;
    let signed = entries.len() - 3;
    entries.extend(made);
    let proved = ledger.prove(entries.iter().map(|e| e.index).collect(), seen)?;
    let mut receipts = proved.receipts.into_iter();
    let mut proven = |entry: &Entry| -> Result<Proven, Failure> {
        receipts.next().and_then(|receipt| entry.proven(receipt)).ok_or_else(out_of_order)
    };
    let mut all = entries.iter().map(&mut proven).collect::<Result<Vec<_>, _>>()?.into_iter();
    let mut next = || all.next().ok_or_else(out_of_order);
    let (order, permit, release) = (next()?, next()?, next()?);
    let signed = (0..signed).map(|_| next()).collect::<Result<_, _>>()?;
    Ok(ResignAsk { order, permit, signed, release, made: all.collect(), consistency: proved.consistency })
}

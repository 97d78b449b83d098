//! Rotating the image key: the signer counts the people again, and takes the other key up; the coordinator carries.

use artifact::failure::Failure;
use signer::door::{Answer, Ask, RotateAsk};

use crate::house::House;
use crate::ledger::Ledger;
use crate::stage::signer::{converse, out_of_turn};
use crate::status::Status;

/// Has the signer take up what the order of this entry says.
///
/// # Errors
/// The signer's own list or its key says no; or it can't be done now.
pub fn rotate(house: &House, ledger: &mut Ledger, order: u64) -> Result<u64, Failure> {
    let entry = ledger.fold().rotate_order(order).cloned();
    let entry = entry.ok_or_else(|| Failure::halt("stage-out-of-order", "no order to rotate stands there"))?;
    let ask = |ledger: &mut Ledger, seen| {
        let mut proved = ledger.prove(vec![order], seen)?;
        let proven = proved.receipts.pop().and_then(|receipt| entry.proven(receipt)).ok_or_else(out_of_turn)?;
        Ok(Ask::Rotate(Box::new(RotateAsk { order: proven, consistency: proved.consistency })))
    };
    match converse(house, ledger, ask)? {
        Answer::Rotated { index } if ledger.fold().unpinned().is_some_and(|(at, _)| at == index) => Ok(index),
        _ => Err(out_of_turn()),
    }
}

/// Nothing is signed between a rotation and the day the operator has pinned the other key.
///
/// # Errors
/// `keys.toml` does not have the newest rotation.
pub fn pinned(ledger: &Ledger) -> Result<(), Failure> {
    let Some((index, rotation)) = ledger.fold().unpinned() else { return Ok(()) };
    let text = format!(
        "the image key was rotated by the order at {} (entry {index}), and keys.toml does not have key {} yet: run \
         countersign keys, and give verifiers the new keys.toml",
        rotation.order,
        rotation.key.id()
    );
    Err(Failure::never(Status::USAGE, text))
}

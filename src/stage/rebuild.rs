//! Rebuilding: the builder runs the recipe twice, the comparer packs and compares.

use artifact::Moment;
use artifact::failure::{Failure, Retry};
use artifact::statement::Signed;
use artifact::statement::facts::Facts;
use audit::entry::{Failed, PromotionId, Rebuild};
use builder::door::{Answer, BuildAsk, Built, CompareAsk, Compared, ComparerAsk};
use hardening::menu::Room;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::house::{self, House, Pass, name};
use crate::ledger::Ledger;

/// Builds and compares, and records the rebuild.
///
/// # Errors
/// When the recipe fails, a room can't do its part, or the log can't be written.
pub fn rebuild(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<(), Failure> {
    let promotion = ledger.promotion(id)?;
    let out_of_order = || Failure::halt("stage-out-of-order", "a rebuild without facts");
    let entry = promotion.facts.as_ref().ok_or_else(out_of_order)?;
    let facts = Signed::<Facts>::open(&entry.envelope.0, [&ledger.keys().intake])
        .map_err(|e| Failure::halt("facts-not-signed", e))?;
    let candidate = facts.says().candidate.as_ref().map(|c| c.digest);
    let nonce = facts.says().nonce.clone();
    let dossier = entry.dossier;
    let built = match build(pass.house, BuildAsk { dossier, nonce: nonce.clone() }) {
        Ok(built) => built,
        Err(failure) => return lost(ledger, id, failure),
    };
    let compared = compare(pass.house, CompareAsk { dossier, candidate, nonce, built })?;
    let unattested = || Failure::halt("comparison-missing", "the comparer compared nothing");
    let level = compared.level.ok_or_else(unattested)?;
    let comparison = compared.comparison.ok_or_else(unattested)?;
    pass.house.timeline.line("comparer", &format!("{level}: {}", compared.rebuild));
    let rebuild = compared.rebuild;
    ledger
        .record(Rebuild {
            promotion: *id,
            comparison,
            provenance: compared.provenance,
            level,
            rebuild,
            at: Moment::now(),
        })
        .map(drop)
}

/// How often a builder may be lost over one promotion.
const LOSSES: u64 = 3;

/// A build may own the builder, so a builder that is killed, silent or mad says nothing of the house, and must not hold
/// up the next project. It may also be a host without memory, so it is tried again; but not for ever.
fn lost(ledger: &mut Ledger, id: &PromotionId, failure: Failure) -> Result<(), Failure> {
    let broken = failure.retry == Retry::Halt || [house::LOST, house::SILENT].contains(&failure.code.as_str());
    if !broken {
        return Err(failure);
    }
    ledger.record(Failed { promotion: *id, failure: failure.clone(), at: Moment::now() })?;
    if ledger.promotion(id)?.failures < LOSSES {
        return Err(Failure::later(&failure.code, failure.message));
    }
    let text = format!("the builder was lost {LOSSES} times over this commit, last: {}", failure.message);
    Err(Failure::never("builder-lost", text))
}

/// Has the builder run a dossier's recipe.
///
/// # Errors
/// As the builder says.
pub fn build(house: &House, ask: BuildAsk) -> Result<Built, Failure> {
    converse(house, Room::Builder, &ask)
}

/// Has the comparer pack what was built, and compare it when there is a candidate.
///
/// # Errors
/// As the comparer says.
pub fn compare(house: &House, ask: CompareAsk) -> Result<Compared, Failure> {
    converse(house, Room::Comparer, &ComparerAsk::Compare(Box::new(ask)))
}

/// Asks one thing of builder or comparer.
///
/// # Errors
/// As the room says.
pub fn converse<A: Serialize, T: Serialize + DeserializeOwned>(
    house: &House,
    room: Room,
    ask: &A,
) -> Result<T, Failure> {
    let mut door = house.room(room)?;
    door.send(ask)?;
    loop {
        match door.receive()? {
            Answer::Progress { text } => house.timeline.line(name(room), &text),
            Answer::Done(done) => return Ok(done),
            Answer::Failed(failure) => return Err(failure),
        }
    }
}

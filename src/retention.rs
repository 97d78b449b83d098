//! Retention: what a replay of a release needs stays, and so does what an unfinished promotion needs; the rest of dossiers,
//! candidates and rebuilds goes by age and size. Releases and decisions are in the log, which never shrinks.

use artifact::failure::Failure;
use artifact::layout::Collected;
use artifact::{Digest, Moment};
use audit::entry;
use builder::door::ComparerAsk;
use hardening::menu::Room;
use serde::Serialize;

use crate::fold::{Fold, Promotion};
use crate::house::House;
use crate::ledger::Ledger;
use crate::stage::rebuild;

/// What may go.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Promotions that ended before this keep nothing but what a replay needs.
    pub before: Moment,
    /// The most bytes that the stores may hold: when they hold more, younger promotions go as well, the oldest first.
    pub bytes: Option<u64>,
}

/// What each store holds, and what of it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Promotions that ended before this give up what they have.
    pub before: Moment,
    /// Intake's dossiers.
    pub dossiers: Collected,
    /// Intake's candidates.
    pub candidates: Collected,
    /// The comparer's rebuilds.
    pub rebuilds: Collected,
}

impl Plan {
    fn stores(&self) -> [&Collected; 3] {
        [&self.dossiers, &self.candidates, &self.rebuilds]
    }

    /// How many bytes stay.
    pub fn kept(&self) -> u64 {
        self.stores().iter().map(|store| store.kept_bytes).sum()
    }

    /// How many bytes go.
    pub fn bytes(&self) -> u64 {
        self.stores().iter().map(|store| store.bytes).sum()
    }

    /// Whether anything goes.
    pub fn is_empty(&self) -> bool {
        self.stores().iter().all(|store| store.blobs == 0)
    }

    /// How many dossiers are not there that a replay would need.
    pub fn missing(&self) -> u64 {
        self.dossiers.missing
    }
}

/// Looks at what would go.
///
/// # Errors
/// A room can't look, or a kept manifest is not what its digest says: then nothing goes.
pub fn plan(house: &House, fold: &Fold, limits: &Limits) -> Result<Plan, Failure> {
    let first = ask(house, fold, limits.before, false)?;
    let Some(limit) = limits.bytes.filter(|limit| first.kept() > *limit) else { return Ok(first) };
    // The ends of promotions that could go as well; the fewest of them that bring the stores below the limit.
    let mut ends: Vec<Moment> =
        fold.promotions().filter_map(|(_, p)| p.ended()).filter(|at| *at >= limits.before).collect();
    ends.sort_unstable();
    let (mut low, mut high, mut best) = (0, ends.len(), first);
    while low < high {
        let middle = (low + high) / 2;
        let tried = ask(house, fold, ends[middle].plus_seconds(1), false)?;
        if tried.kept() <= limit {
            high = middle
        } else {
            low = middle + 1
        }
        best = tried;
    }
    match ends.get(low) {
        Some(at) if best.before != at.plus_seconds(1) => ask(house, fold, at.plus_seconds(1), false),
        _ => Ok(best),
    }
}

/// Records what goes, and has it removed. Killed between the two, the next one removes it.
///
/// # Errors
/// As [`plan`]; or the log can't be written.
pub fn collect(house: &House, ledger: &mut Ledger, plan: &Plan) -> Result<Plan, Failure> {
    ledger.record(entry::Collected {
        before: plan.before,
        dossiers: plan.dossiers,
        candidates: plan.candidates,
        rebuilds: plan.rebuilds,
        at: Moment::now(),
    })?;
    ask(house, ledger.fold(), plan.before, true)
}

fn ask(house: &House, fold: &Fold, before: Moment, remove: bool) -> Result<Plan, Failure> {
    let (mut dossiers, mut candidates, mut rebuilds) = (Vec::new(), Vec::new(), Vec::new());
    for (_, promotion) in fold.promotions() {
        let all = promotion.ended().is_none_or(|at| at >= before);
        if all || promotion.release.is_some() {
            dossiers.extend(promotion.dossier);
        }
        if all {
            candidates.extend(promotion.opened.candidate);
            rebuilds.extend(promotion.rebuilt);
        }
    }
    for list in [&mut dossiers, &mut candidates, &mut rebuilds] {
        list.sort_unstable();
        list.dedup();
        if list.len() > intake::door::KEPT {
            let text =
                format!("{} manifests would be kept, and a room is told {} at most", list.len(), intake::door::KEPT);
            return Err(Failure::never("too-many-kept", text));
        }
    }
    let (dossiers, candidates) = of_intake(house, dossiers, candidates, remove)?;
    let rebuilds = rebuild::converse(house, Room::Comparer, &ComparerAsk::Collect { keep: rebuilds, remove })?;
    Ok(Plan { before, dossiers, candidates, rebuilds })
}

fn of_intake(
    house: &House,
    dossiers: Vec<Digest>,
    candidates: Vec<Digest>,
    remove: bool,
) -> Result<(Collected, Collected), Failure> {
    use intake::door::{Answer, Ask};
    let mut door = house.room(Room::Intake)?;
    door.send(&Ask::Collect { dossiers, candidates, remove })?;
    loop {
        match door.receive()? {
            Answer::Progress { text } => house.timeline.line("intake", &text),
            Answer::Collected { dossiers, candidates } => return Ok((dossiers, candidates)),
            Answer::Failed(failure) => return Err(failure),
            _ => return Err(Failure::halt("intake-out-of-turn", "intake answered something else than was asked")),
        }
    }
}

impl Promotion {
    /// When it ended, if it has.
    pub fn ended(&self) -> Option<Moment> {
        self.release.as_ref().map(|release| release.at).or(self.refusal.as_ref().map(|refusal| refusal.at))
    }
}

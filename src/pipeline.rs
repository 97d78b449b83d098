//! The pipeline, on one page: how a promotion goes from one recorded fact to the next.
//!
//! The only place that branches between stages. Each stage ends with an entry in the log, and the stage of a promotion is
//! a fold over its entries; so a coordinator that was killed anywhere goes on from the last entry, by this same code.

use artifact::Moment;
use artifact::failure::{Failure, Retry};
use audit::entry::{PromotionId, Reason};

use crate::fold::Stage;
use crate::house::Pass;
use crate::ledger::Ledger;
use crate::stage;
use crate::timeline::Timeline;

/// The most steps of one pass: each stage once, and deciding again. A room that says it is done when nothing is recorded
/// keeps nobody turning for ever.
const STEPS: usize = 12;

/// How a promotion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Published now.
    Released,
    /// Was published before: nothing was done.
    WasReleased,
    /// Refused now.
    Refused,
    /// Was refused before: nothing was done.
    WasRefused,
}

/// Brings a promotion, new or interrupted, to its end.
///
/// # Errors
/// When a stage could not be done. What was recorded stays; the next pass goes on from there.
pub fn promote(pass: &Pass<'_>, ledger: &mut Ledger, id: &PromotionId) -> Result<Outcome, Failure> {
    let mut moved = false;
    for _ in 0..STEPS {
        let now_at = ledger.promotion(id)?.stage(Moment::now());
        let done = match now_at {
            Stage::Released => return Ok(if moved { Outcome::Released } else { Outcome::WasReleased }),
            Stage::Refused => return Ok(if moved { Outcome::Refused } else { Outcome::WasRefused }),
            Stage::Opened => stage::prepare::prepare(pass, ledger, id),
            Stage::Prepared => match stage::decide::unready(pass, ledger, id)? {
                reasons if reasons.is_empty() => stage::rebuild::rebuild(pass, ledger, id),
                reasons => ledger.refuse(id, reasons),
            },
            Stage::Rebuilt => stage::decide::decide(pass, ledger, id),
            Stage::Permitted if pass.house.witnesses_required => {
                stage::witness::witness(pass.house, ledger).and_then(|()| stage::sign::sign(pass, ledger, id))
            }
            Stage::Permitted => stage::sign::sign(pass, ledger, id),
        };
        match done {
            Ok(()) => moved = true,
            // The same input fails again: that is an answer, and it is written down like one. Not once there are
            // signatures: what is signed is published, or a person hears why it can't be. What people revoked they have
            // heard of: a project does not wait for it.
            Err(failure)
                if failure.retry == Retry::Never
                    && (failure.code == stage::decide::REVOKED || !ledger.promotion(id)?.signed) =>
            {
                ledger.refuse(id, vec![Reason { code: failure.code, message: failure.message }])?;
                moved = true;
            }
            Err(failure) => return Err(failure),
        }
    }
    let text = format!("{id} did not come to its end: a room says that it is done, and the log does not say so");
    Err(Failure::halt("no-progress", text))
}

impl Outcome {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::WasReleased => "was-released",
            Self::Refused => "refused",
            Self::WasRefused => "was-refused",
        }
    }
}

/// Says how it went.
pub fn announce(timeline: &Timeline, outcome: &Outcome) {
    let text = match outcome {
        Outcome::Released => "released",
        Outcome::WasReleased => "was released before; nothing to do",
        Outcome::Refused => "refused",
        Outcome::WasRefused => "was refused before; nothing to do until evidence, candidate or rules change",
    };
    timeline.line("coordinator", text);
}

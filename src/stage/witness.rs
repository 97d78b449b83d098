//! Witnessing: the log's newest checkpoint is brought before its witnesses, and what they say is published beside it.
//!
//! The keeper says whom to ask, intake asks, the keeper verifies the answers. A witness that is down or wrong is named
//! and blocks nobody, unless the operator asked for that (`witnesses = "required"` in `countersign.toml`).

use artifact::failure::{Failure, Retry};
use audit::checkpoint::SignedCheckpoint;
use audit::door::{Known, Signed};
use intake::door::{Answer, Ask, ToWitness, Witnessed};

use crate::house::House;
use crate::ledger::Ledger;
use crate::stage::prepare;

/// The most times that witnesses are asked: from what is known here, and from the size that they name. Another pass may come
/// in between, hence one more.
const ROUNDS: usize = 3;

/// Brings the newest checkpoint before the witnesses that have not cosigned it. Without any, nothing is done.
///
/// # Errors
/// The keeper can't go on; or the operator requires witnesses, and too few cosigned.
pub fn witness(house: &House, ledger: &mut Ledger) -> Result<(), Failure> {
    let (mut checkpoint, mut asked) = ledger.unwitnessed(Vec::new())?;
    let mut unmet = asked.unmet.take();
    for _ in 0..ROUNDS {
        asked.ahead.iter().for_each(|line| house.timeline.line("keeper", line));
        if asked.lacking.is_empty() {
            break;
        }
        let (signed, known) = ask(house, ledger, &checkpoint, &asked.lacking)?;
        if !signed.is_empty() {
            let kept = ledger.cosign(signed)?;
            kept.refused.iter().for_each(|line| house.timeline.line("keeper", line));
            for cosigned in &kept.cosigned {
                let size = checkpoint.size();
                let text = format!("witness {} cosigned {size} entries at {}", cosigned.witness, cosigned.at);
                house.timeline.line("keeper", &text);
            }
            unmet = kept.unmet;
        }
        if known.is_empty() {
            break;
        }
        (checkpoint, asked) = ledger.unwitnessed(known)?;
    }
    match unmet {
        Some(why) if house.witnesses_required => {
            let text = format!("{why}. countersign.toml requires it (witnesses): it is tried again in the next pass");
            Err(Failure::later("not-witnessed", text))
        }
        Some(why) => {
            house.timeline.line("keeper", &why);
            Ok(())
        }
        None => Ok(()),
    }
}

/// Has intake ask, and sorts the answers: what is signed, and from where to lead on. An intake that can't is named.
fn ask(
    house: &House,
    ledger: &Ledger,
    checkpoint: &SignedCheckpoint,
    lacking: &[Known],
) -> Result<(Vec<Signed>, Vec<Known>), Failure> {
    let (mut signed, mut known) = (Vec::new(), Vec::new());
    let to = |l: &Known| -> Result<ToWitness, Failure> {
        Ok(ToWitness { witness: l.witness.to_string(), old: l.size, body: ledger.request(checkpoint, l.size)? })
    };
    let requests: Vec<_> = lacking.iter().map(to).collect::<Result<_, _>>()?;
    let answers = match prepare::ask(house, &Ask::Witness { requests }) {
        Ok(Answer::Witnessed { answers }) if answers.len() == lacking.len() => answers,
        Ok(_) => return Err(prepare::out_of_turn()),
        Err(failure) if failure.retry == Retry::Halt => return Err(failure),
        Err(failure) => {
            house.timeline.line("intake", &format!("no witness was asked: {failure}"));
            return Ok((signed, known));
        }
    };
    for (asked, answer) in lacking.iter().zip(answers) {
        let witness = asked.witness.clone();
        match answer {
            Witnessed::Signed { lines } => signed.push(Signed { witness, lines }),
            Witnessed::Has { size } => known.push(Known { witness, size }),
            Witnessed::Not { why } => house.timeline.line("intake", &why),
        }
    }
    Ok((signed, known))
}

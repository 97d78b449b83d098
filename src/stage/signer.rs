//! A dialogue with the signer: it says how far it has seen the log, is asked one thing, and judges that again. The coordinator
//! does nothing but carry: what is recorded to the signer, what the signer wants recorded to the keeper.

use artifact::failure::Failure;
use hardening::menu::Room;
use signer::door::{Answer, Ask};

use crate::house::House;
use crate::ledger::Ledger;

/// Asks one signer one thing, which `ask` makes for what that signer has seen, and gives its last word. One job, one signer:
/// what it may use of Vault ends with its answer.
///
/// # Errors
/// It can't be asked, or fails; or the log can't be written. What it had recorded stays.
pub fn converse(
    house: &House,
    ledger: &mut Ledger,
    ask: impl FnOnce(&mut Ledger, u64) -> Result<Ask, Failure>,
) -> Result<Answer, Failure> {
    let mut signer = house.room(Room::Signer)?;
    signer.send(&Ask::State)?;
    let seen = match signer.receive()? {
        Answer::State { seen } => seen,
        Answer::Failed(failure) => return Err(failure),
        _ => return Err(out_of_turn()),
    };
    signer.send(&ask(ledger, seen)?)?;
    loop {
        match signer.receive()? {
            Answer::Progress { text } => house.timeline.line("signer", &text),
            Answer::Record { submissions, since } => {
                let appended = ledger.append(submissions, since)?;
                signer.send(&Ask::Recorded(appended))?;
            }
            Answer::Failed(failure) => return Err(failure),
            last => return Ok(last),
        }
    }
}

/// It answered something else than was asked.
pub fn out_of_turn() -> Failure {
    Failure::halt("signer-out-of-turn", "the signer answered something else than was asked")
}

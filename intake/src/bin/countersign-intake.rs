//! Intake's room: reaches the listed hosts, executes nothing it fetched, and signs what it saw.

use std::process::ExitCode;

use artifact::failure::{Failure, Retry};
use artifact::frame::{self, FrameError};
use hardening::Room;
use hardening::room::{self, Entered, Hello};
use intake::door::{Answer, Ask};
use intake::room::IntakeRoom;
use serde::Serialize;

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("intake: {failure}");
            ExitCode::from(match failure.retry {
                Retry::Never => 2,
                Retry::Later => 3,
                Retry::Halt => 4,
            })
        }
    }
}

fn serve() -> Result<(), Failure> {
    let entered = room::enter(Room::Intake).map_err(|e| Failure::later("no-lockdown", e))?;
    let opened = IntakeRoom::open(&entered.config, &entered.state.join("public"), entered.trial);
    let key = opened.as_ref().ok().map(|room| room.public_key().to_string());
    say(&entered, &Hello::new(Room::Intake, &entered, key))?;
    let room = match opened {
        Ok(room) => room,
        // A Hello without a key is followed by the reason: the coordinator's exit status depends on it.
        Err(failure) => {
            say(&entered, &Answer::Failed(failure.clone()))?;
            return Err(failure);
        }
    };
    let ask: Ask = match frame::receive(&entered.channel) {
        Ok(ask) => ask,
        Err(FrameError::Closed) => return Ok(()),
        Err(e) => return Err(lost(&e)),
    };
    let mut progress = |text: String| {
        // The coordinator may be gone; then the answer will find that out.
        let _ = frame::send(&entered.channel, &Answer::Progress { text });
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| Failure::later("no-runtime", e))?;
    say(&entered, &runtime.block_on(room.answer(ask, &entered.config, &mut progress)))
}

fn say<T: Serialize>(entered: &Entered, what: &T) -> Result<(), Failure> {
    frame::send(&entered.channel, what).map_err(|e| lost(&e))
}

fn lost(cause: &FrameError) -> Failure {
    Failure::later("coordinator-lost", cause)
}

//! The keeper's room: holds the log's key, writes the log, and reaches nothing else.

use std::process::ExitCode;

use artifact::failure::{Failure, Retry};
use artifact::frame::{self, FrameError};
use audit::config::KeeperConfig;
use audit::door::Ask;
use audit::keeper::Keeper;
use hardening::room::{self, Entered, Hello};
use hardening::{HardeningError, Room};

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("keeper: {failure}");
            ExitCode::from(match failure.retry {
                Retry::Never => 2,
                Retry::Later => 3,
                Retry::Halt => 4,
            })
        }
    }
}

fn serve() -> Result<(), Failure> {
    let entered = room::enter(Room::Keeper).map_err(|e: HardeningError| Failure::later("no-lockdown", e))?;
    let mut keeper = open(&entered)?;
    let hello = Hello::new(Room::Keeper, &entered, Some(keeper.vkey().to_string()));
    frame::send(&entered.channel, &hello).map_err(lost)?;
    loop {
        let ask: Ask = match frame::receive(&entered.channel) {
            Err(FrameError::Closed) => return Ok(()),
            ask => ask.map_err(lost)?,
        };
        frame::send(&entered.channel, &keeper.answer(ask)).map_err(lost)?;
        if keeper.is_lost() {
            return Err(Failure::later("log-lost", "what was answered last is why; the next start reads the log anew"));
        }
    }
}

/// Says Hello only when this returns: it waits for the lock, so a second run waits for the first.
fn open(entered: &Entered) -> Result<Keeper, Failure> {
    let path = entered.config.join("keeper.toml");
    let wrong = |cause: &dyn std::fmt::Display| Failure::never("keeper-config", format!("{}: {cause}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| wrong(&e))?;
    let config = KeeperConfig::parse(&text).map_err(|e| wrong(&e))?;
    let log = entered.state.join("public/log");
    Keeper::open(&log.join("tiles"), &log.join("own"), &config.origin)
}

fn lost(error: FrameError) -> Failure {
    Failure::later("coordinator-lost", error)
}

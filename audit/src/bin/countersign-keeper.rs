//! The keeper's room: holds the log's key, writes the log, and reaches nothing else.

use std::process::ExitCode;

use artifact::failure::{Failure, Retry};
use artifact::frame;
use audit::config::KeeperConfig;
use audit::door::Answer;
use audit::keeper::Keeper;
use hardening::room::{self, Entered, Hello};
use hardening::{HardeningError, Room};
use serde::Serialize;

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
    let opened = open(&entered);
    let key = opened.as_ref().ok().map(|keeper| keeper.vkey().to_string());
    say(&entered, &Hello::new(Room::Keeper, &entered, key))?;
    match opened {
        Ok(mut keeper) => keeper.serve(&entered.channel),
        // A Hello without a key is followed by the reason: the coordinator's exit status depends on it.
        Err(failure) => {
            say(&entered, &Answer::Failed(failure.clone()))?;
            Err(failure)
        }
    }
}

fn say<T: Serialize>(entered: &Entered, what: &T) -> Result<(), Failure> {
    frame::send(&entered.channel, what).map_err(|e| Failure::later("coordinator-lost", e))
}

/// Hello is said only when this returns: it waits for the lock, so a second run waits for the first.
fn open(entered: &Entered) -> Result<Keeper, Failure> {
    let path = entered.config.join("keeper.toml");
    let wrong = |cause: &dyn std::fmt::Display| Failure::never("keeper-config", format!("{}: {cause}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| wrong(&e))?;
    let config = KeeperConfig::parse(&text).map_err(|e| wrong(&e))?;
    config.orders.as_ref().map_or(Ok(()), |o| o.check()).map_err(|e| wrong(&format!("orders: {e}")))?;
    let log = entered.state.join("public/log");
    Ok(Keeper::open_witnessed(&log.join("tiles"), &log.join("own"), &config.origin, config.policy)?
        .ordered_by(config.orders))
}

//! The builder room: runs one dossier's recipe, twice, and ends.

use std::process::ExitCode;

use artifact::failure::Failure;
use artifact::frame;
use builder::builder_config::BuilderConfig;
use builder::builder_room::BuilderRoom;
use builder::door::{Answer, BuildAsk, Built};
use hardening::Room;
use hardening::room::{self, Entered, Hello};

fn main() -> ExitCode {
    let entered = match room::enter(Room::Builder) {
        Ok(entered) => entered,
        Err(e) => {
            eprintln!("countersign-builder: {e}");
            return ExitCode::from(3);
        }
    };
    match serve(&entered) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("countersign-builder: {e}");
            ExitCode::from(3)
        }
    }
}

fn serve(entered: &Entered) -> Result<(), frame::FrameError> {
    frame::send(&entered.channel, &Hello::new(Room::Builder, entered, None))?;
    let ask: BuildAsk = match frame::receive(&entered.channel) {
        Ok(ask) => ask,
        Err(frame::FrameError::Closed) => return Ok(()),
        Err(e) => return Err(e),
    };
    let built = build(entered, &ask);
    frame::send(&entered.channel, &built.map_or_else(Answer::Failed, Answer::Done))
}

fn build(entered: &Entered, ask: &BuildAsk) -> Result<Built, Failure> {
    let config =
        BuilderConfig::load(&entered.config.join("builder.toml")).map_err(|e| Failure::later("configuration", e))?;
    let room = BuilderRoom { state: &entered.state, config, posture: &entered.posture };
    let mut say = |text: String| {
        // The coordinator may be gone; then the answer will find that out.
        let _ = frame::send(&entered.channel, &Answer::<Built>::Progress { text });
    };
    room.build(ask, &mut say)
}

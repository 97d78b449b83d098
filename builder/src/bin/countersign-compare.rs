//! The comparer room: packs what was built, compares it with the candidate, attests, and ends.

use std::process::ExitCode;

use artifact::frame::{self, FrameError};
use artifact::layout::Collected;
use builder::comparer::Comparer;
use builder::door::{Answer, CompareAsk, Compared, ComparerAsk};
use hardening::Room;
use hardening::room::{self, Entered, Hello};

fn main() -> ExitCode {
    let served = room::enter(Room::Comparer).map_err(|e| e.to_string());
    match served.and_then(|entered| serve(&entered).map_err(|e| e.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("countersign-compare: {e}");
            ExitCode::from(3)
        }
    }
}

fn serve(entered: &Entered) -> Result<(), FrameError> {
    let opened = Comparer::open(&entered.config, &entered.state, entered.trial);
    let key = opened.as_ref().ok().map(Comparer::public_key);
    frame::send(&entered.channel, &Hello::new(Room::Comparer, entered, key))?;
    let comparer = match opened {
        Ok(comparer) => comparer,
        // A Hello without a key is followed by the reason.
        Err(failure) => return frame::send(&entered.channel, &Answer::<Compared>::Failed(failure)),
    };
    let ask = match frame::receive(&entered.channel) {
        Err(FrameError::Closed) => return Ok(()),
        other => other?,
    };
    let ask: CompareAsk = match ask {
        ComparerAsk::Compare(ask) => *ask,
        ComparerAsk::Collect { keep, remove } => {
            let done = comparer.collect(&keep, remove);
            return frame::send(&entered.channel, &done.map_or_else(Answer::<Collected>::Failed, Answer::Done));
        }
    };
    let mut say = |text: String| {
        // The coordinator may be gone; then the answer will find that out.
        let _ = frame::send(&entered.channel, &Answer::<Compared>::Progress { text });
    };
    let done = comparer.compare(&ask, &mut say);
    frame::send(&entered.channel, &done.map_or_else(Answer::Failed, Answer::Done))
}

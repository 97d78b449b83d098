//! The signer room: one release, and it ends.

use std::process::ExitCode;

use artifact::failure::Failure;
use artifact::frame::{self, FrameError};
use audit::door::{Appended, Submission};
use audit::keys::HouseKeys;
use hardening::Room;
use hardening::room::{self, Entered, Hello};
use policy::Rules;
use signer::config::{KeyKept, SignerConfig};
use signer::door::{Answer, Ask, ReleaseAsk};
use signer::key::{FileKey, ImageKey as _};
use signer::sequence::{Recorder, Signer, Stop};
use signer::state::{FileStore, Store as _};

fn main() -> ExitCode {
    let done = room::enter(Room::Signer).map_err(|e| e.to_string()).and_then(|entered| serve(&entered));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("countersign-signer: {e}");
            ExitCode::from(3)
        }
    }
}

/// Carries entries to the keeper, through the coordinator.
struct Door<'a>(&'a Entered);

impl Recorder for Door<'_> {
    fn record(&mut self, submissions: Vec<Submission>, since: u64) -> Result<Appended, Failure> {
        let gone = |e: FrameError| Failure::later("coordinator-gone", e);
        frame::send(&self.0.channel, &Answer::Record { submissions, since }).map_err(gone)?;
        match frame::receive(&self.0.channel).map_err(gone)? {
            Ask::Recorded(appended) => Ok(appended),
            _ => Err(Failure::halt("coordinator-out-of-turn", "something else than what was recorded")),
        }
    }

    fn say(&mut self, text: &str) {
        // The coordinator may be gone; then the next entry will find that out.
        let _ = frame::send(&self.0.channel, &Answer::Progress { text: text.to_owned() });
    }
}

fn serve(entered: &Entered) -> Result<(), String> {
    let own = entered.state.join("public/signer/own");
    // The lock first: two first starts must not make two keys.
    let store = FileStore::open(&own).map_err(|e| e.to_string())?;
    let key = FileKey::open(&own).map_err(|e| e.to_string())?;
    let hello = Hello::new(Room::Signer, entered, Some(key.public().to_string()));
    frame::send(&entered.channel, &hello).map_err(|e| e.to_string())?;
    loop {
        let answer = match frame::receive(&entered.channel) {
            Ok(Ask::State) => match store.load() {
                Ok(memory) => Answer::State { seen: memory.seen.size() },
                Err(failure) => Answer::Failed(failure),
            },
            Ok(Ask::Release(ask)) => match release(entered, &ask, &key, &store) {
                Ok(answer) => answer,
                Err(Stop::Refused(reasons)) => Answer::Refused { reasons },
                Err(Stop::Failed(failure)) => Answer::Failed(failure),
            },
            Ok(Ask::Recorded(_)) => Answer::Failed(Failure::halt("coordinator-out-of-turn", "nothing was asked for")),
            Err(FrameError::Closed) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        };
        frame::send(&entered.channel, &answer).map_err(|e| e.to_string())?;
    }
}

fn release(entered: &Entered, ask: &ReleaseAsk, key: &FileKey, store: &FileStore) -> Result<Answer, Stop> {
    let unconfigured = |e: String| Failure::later("configuration", e);
    let config = SignerConfig::load(&entered.config.join("signer.toml")).map_err(unconfigured)?;
    let KeyKept::File = config.key;
    let rules = read(entered, "signer-rules.toml")?;
    let rules = Rules::parse(rules.as_bytes()).map_err(|e| unconfigured(format!("signer-rules.toml: {e}")))?;
    let keys: HouseKeys = read(entered, "keys.toml")?.parse().map_err(|e| unconfigured(format!("keys.toml: {e}")))?;
    let signer = Signer { config: &config, rules: &rules, keys: &keys, trial: entered.trial, state: &entered.state };
    signer.release(ask, key, store, &mut Door(entered))
}

fn read(entered: &Entered, name: &str) -> Result<String, Failure> {
    let path = entered.config.join(name);
    std::fs::read_to_string(&path).map_err(|e| Failure::later("configuration", format!("{}: {e}", path.display())))
}

//! A broken keeper: it holds the log's key and writes the log.

use std::fs;
use std::path::Path;

use artifact::frame::{self, FrameError};
use artifact::key::Ed25519Key;
use audit::checkpoint::{Checkpoint, SignedCheckpoint};
use audit::door::{Answer, Ask};
use audit::keeper::Keeper;
use audit::merkle::TreeHash;
use hardening::menu::Room;
use hardening::room::{Entered, Hello};

use crate::{Done, noise};

/// Its name for the log: what the demo configures.
const ORIGIN: &str = "log.countersign.example";

pub fn serve(entered: &Entered, attack: &str) -> Done {
    let log = entered.state.join("public/log");
    let (tiles, own) = (log.join("tiles"), log.join("own"));
    let aside = Path::new("/tmp/aside");
    let mut keeper = match attack {
        // It acknowledges everything, out of a copy that is gone with it.
        "forget" => {
            copy(&tiles, &aside.join("tiles"))?;
            copy(&own, &aside.join("own"))?;
            Keeper::open(&aside.join("tiles"), &aside.join("own"), ORIGIN)?
        }
        _ => Keeper::open(&tiles, &own, ORIGIN)?,
    };
    let hello = Hello::new(Room::Keeper, entered, Some(keeper.vkey().to_string()));
    frame::send(&entered.channel, &hello)?;
    // What it signed before: a checkpoint of nothing.
    let key = Ed25519Key::from_seed(&fs::read(own.join("key"))?)?;
    let nothing = Checkpoint { origin: ORIGIN.to_owned(), size: 0, root: TreeHash::empty() };
    let older = SignedCheckpoint::sign(nothing, &key)?.note().to_owned();
    loop {
        let mut ask: Ask = match frame::receive(&entered.channel) {
            Err(FrameError::Closed) => return Ok(()),
            ask => ask?,
        };
        if noise::make(&entered.channel, attack)? {
            return Ok(());
        }
        if let (Ask::Append { submissions, .. }, "drop") = (&mut ask, attack)
            && submissions.len() > 1
        {
            submissions.pop();
        }
        let mut answer = keeper.answer(ask);
        if let Answer::Appended(appended) = &mut answer {
            match attack {
                "number" => appended.first += 1,
                "receipts" => appended.receipts.reverse(),
                "receipt" => appended.receipts[0] = appended.receipts[0].replace("index ", "index 1"),
                "salts" => appended.salts.iter_mut().flatten().for_each(|salt| salt.0[0] ^= 1),
                "consistency" => appended.consistency.reverse(),
                "fewer" => {
                    appended.receipts.pop();
                }
                _ => {}
            }
        }
        if let Answer::Unwitnessed(asked) = &mut answer {
            match attack {
                // Bytes of its own, as far as they are a note's.
                "whisper" => asked.checkpoint.push_str("— secret AAAAAAAA\n"),
                "older" => asked.checkpoint = older.clone(),
                _ => {}
            }
        }
        frame::send(&entered.channel, &answer)?;
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let place = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &place)?,
            false => fs::copy(entry.path(), place).map(drop)?,
        }
    }
    Ok(())
}

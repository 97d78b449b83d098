//! Reading the log for a person: status, show, explain, and the log itself. Everything is verified before a line of it is
//! printed.

mod current;
mod explain;
mod export;
mod filter;
mod list;
mod promotion;
mod prove;
mod reconcile;

use std::path::{Path, PathBuf};

use artifact::failure::Failure;
use audit::keys::HouseKeys;
use audit::reader::{Entry, Log};
use serde::Serialize;

use crate::cli::Places;
use crate::fold::{Fold, Promotion};
use crate::keys;
use crate::ledger;
use crate::status::Status;

pub use current::{Hand, current};
pub use explain::explain;
pub use export::{Export, export};
pub use filter::Filter;
pub use list::{list, show_entry, status, verify};
pub use promotion::show;
pub use prove::prove;
pub use reconcile::{HELP as RECONCILE, Reconcile, reconcile};

/// A log that was read and verified, and what it says.
#[derive(Debug)]
struct Read {
    log: Log,
    entries: Vec<Entry>,
    fold: Fold,
    keys: HouseKeys,
}

/// Reads the log of a perimeter.
fn read(places: &Places) -> Result<Read, Failure> {
    let (folder, keys) = place(places)?;
    open(&folder, &keys)
}

/// Where the log of a perimeter lies, and the keys that its configuration pins.
fn place(places: &Places) -> Result<(PathBuf, HouseKeys), Failure> {
    let keys = keys::pinned(&places.config)?;
    let usage = |e: String| Failure::never(Status::USAGE, e);
    let folder = ledger::folder(&places.state);
    match (folder.try_exists(), places.state.try_exists()) {
        (Ok(false), Ok(false)) => {
            Err(usage(format!("{}: there is no such folder. --state says where the state is", places.state.display())))
        }
        // Whoever wrote keys.toml had the log's key from a keeper that had begun the log.
        (Ok(false), _) => {
            let next = "keys.toml pins its key, so there was one: restore the state folder from its copy, or name it with --state";
            Err(Failure::halt("log-missing", format!("{}: there is no log. {next}", folder.display())))
        }
        // What can't be looked at is for the reader to name.
        _ => Ok((folder, keys)),
    }
}

/// Whether something can be ordered, by what the log says now.
///
/// # Errors
/// Why it can't; or a log that is not what was recorded.
pub fn may(places: &Places, action: &policy::order::Action) -> Result<(), Failure> {
    read(places)?.fold.may(action).map_err(|why| Failure::never("order-target", why))
}

fn open(folder: &Path, keys: &HouseKeys) -> Result<Read, Failure> {
    let (log, entries) = Log::open(folder, &keys.log)?;
    let mut fold = Fold::new(keys);
    for entry in &entries {
        fold.apply(entry.clone());
    }
    Ok(Read { log, entries, fold, keys: keys.clone() })
}

impl Read {
    /// The one promotion that a person means: by the first digits of its id, its commit, its candidate or its release.
    fn promotion(&self, id: &str) -> Result<&Promotion, Failure> {
        let bare = id.strip_prefix("sha256:").unwrap_or(id);
        if bare.len() < 4 {
            return Err(Failure::never(Status::USAGE, format!("{id:?}: at least four digits, or too many are meant")));
        }
        let means = |p: &&Promotion| {
            let opened = &p.opened;
            let digests = [Some(opened.promotion.0), opened.candidate, p.release.as_ref().map(|r| r.digest)];
            opened.commit.as_str().starts_with(bare) || digests.iter().flatten().any(|d| d.hex().starts_with(bare))
        };
        let found: Vec<&Promotion> = self.fold.promotions().map(|(_, p)| p).filter(means).collect();
        match found.as_slice() {
            [] => Err(Failure::never(
                "not-found",
                format!("no promotion of that name: {id:?}. `countersign status` lists them"),
            )),
            // A commit may have been tried more than once: the newest is meant.
            [.., newest] => Ok(newest),
        }
    }
}

/// An entry of which nothing but its place is left.
fn forgotten(index: u64) -> Failure {
    Failure::never("forgotten", format!("entry {index}: its body was deleted by an order, as a later entry says"))
}

/// Prints one JSON document: the same for a program, and nothing that a terminal acts on.
fn print_json<T: Serialize>(value: &T) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Failure::never("answer", e))?;
    println!("{}", artifact::words::printable_json(&text));
    Ok(())
}

/// The first twelve digits: enough to name a thing on a line.
fn short(digest: &artifact::Digest) -> String {
    digest.hex()[..12].to_owned()
}

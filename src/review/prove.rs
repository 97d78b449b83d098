//! `countersign log prove`: one entry with what proves that it is in the log, for somebody who has nothing else.

use std::path::{Path, PathBuf};

use artifact::durable;
use artifact::failure::Failure;
use audit::reader::Content;
use serde::Serialize;

use super::filter::kind_of;
use super::{print_json, read};
use crate::cli::Places;
use crate::status::Status;

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    index: u64,
    kind: &'static str,
    size: u64,
    receipt: PathBuf,
    entry: PathBuf,
}

/// Writes an entry and its receipt into a folder: `INDEX.tlog-proof` and `INDEX.entry`.
///
/// # Errors
/// No such entry, one that was forgotten, a folder that can't be written, or a log that is not what was recorded.
pub fn prove(places: &Places, index: u64, out: &Path) -> Result<(), Failure> {
    let read = read(places)?;
    let size = read.log.checkpoint().size();
    let found = usize::try_from(index).ok().and_then(|at| read.entries.get(at));
    let entry = found.ok_or_else(|| Failure::never("not-found", format!("the log has {size} entries, from 0")))?;
    let bytes = match &entry.content {
        Content::Ours { bytes, salt, .. } => [&salt.raw()[..], bytes].concat(),
        Content::Rekor(leaf) => leaf.as_bytes().to_vec(),
        Content::Forgotten(_) => return Err(super::forgotten(index)),
    };
    let receipt = read.log.prover().prove(index)?.to_string();
    let place = |suffix: &str| out.join(format!("{index}.{suffix}"));
    let written = Written { index, kind: kind_of(entry), size, receipt: place("tlog-proof"), entry: place("entry") };
    let put = |path: &Path, bytes: &[u8]| {
        durable::create_folder(out)
            .and_then(|()| durable::replace(path, bytes, 0o644))
            .map_err(|e| Failure::never(Status::USAGE, format!("{}: {e}", path.display())))
    };
    put(&written.entry, &bytes)?;
    put(&written.receipt, receipt.as_bytes())?;
    if places.json {
        return print_json(&written);
    }
    println!("{}\n{}", written.receipt.display(), written.entry.display());
    println!("check them anywhere: countersign-verify proof {} --trust trust.toml", written.receipt.display());
    Ok(())
}

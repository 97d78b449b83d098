//! `countersign current`: what is current for a project, as a file to hand to deployers.

use std::path::{Path, PathBuf};

use artifact::failure::Failure;
use artifact::name::ProjectName;
use artifact::{Digest, durable};
use audit::current::Current;
use audit::entry::{Body, Release, Signature};
use audit::recorded::Proven;
use audit::released::Vouched;
use clap::Args;
use serde::Serialize;

use super::{Read, print_json, read};
use crate::cli::Places;
use crate::status::Status;

/// Which project, and where to.
#[derive(Debug, Args)]
pub struct Hand {
    /// The project.
    pub project: ProjectName,
    /// Where to write the file, in place of what was there. Default: standard output.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written<'r> {
    file: &'r Path,
    digest: Digest,
    release: &'r Release,
    size: u64,
}

/// Writes what is current for a project.
///
/// # Errors
/// Nothing was released, what was is revoked, or a log that is not what was recorded.
pub fn current(places: &Places, asked: &Hand) -> Result<(), Failure> {
    let read = read(places)?;
    let none =
        || format!("{}: nothing of that project was released. `countersign status` lists what was", asked.project);
    let (index, release) = newest(&read, &asked.project).ok_or_else(|| Failure::never("not-found", none()))?;
    if let Some((at, revocation)) = read.fold.people().revocation(&release.digest) {
        let text = format!(
            "{}: the newest release, {}, was revoked by entry {at}: {}. Nothing is current until there is another",
            asked.project, release.digest, revocation.reason
        );
        return Err(Failure::never("revoked", text));
    }
    let lost = || Failure::halt("current-lost", format!("entry {index} names an image that no signature vouches for"));
    let word = word(&read, index, release).ok_or_else(lost)?;
    let file = Current::new(asked.project.clone(), proven(&read, word)?, proven(&read, index)?);
    let broken = |e: &dyn std::fmt::Display| Failure::halt("current-broken", e);
    // What deployers will refuse is not handed out.
    file.verify(&read.keys.log, &read.keys.image).map_err(|e| broken(&e))?;
    let bytes = file.to_bytes().map_err(|e| broken(&e))?;
    let Some(path) = &asked.out else {
        // Canonical JSON of ours holds nothing that a terminal acts on: names are narrow, the rest is base64.
        println!("{}", String::from_utf8_lossy(&bytes));
        return Ok(());
    };
    std::path::absolute(path)
        .and_then(|path| durable::replace(&path, &bytes, 0o644))
        .map_err(|e| Failure::never(Status::USAGE, format!("{}: {e}", path.display())))?;
    if places.json {
        return print_json(&Written {
            file: path,
            digest: release.digest,
            release,
            size: read.log.checkpoint().size(),
        });
    }
    println!("{}: {}@{}", asked.project, release.repository, release.digest);
    Ok(())
}

/// The release of a project with the newest permit, of those that count.
fn newest<'r>(read: &'r Read, project: &ProjectName) -> Option<(u64, &'r Release)> {
    let counts = |entry: &&audit::reader::Entry| !read.fold.void().contains_key(&entry.index);
    let releases = read.entries.iter().filter(counts).filter_map(|entry| match entry.body() {
        Some(Body::Release(release)) if release.project == *project => Some((entry.index, release)),
        _ => None,
    });
    releases.max_by_key(|(index, release)| (release.permit, *index))
}

/// The entry, before the release's, of the signature that vouches for it.
fn word(read: &Read, before: u64, release: &Release) -> Option<u64> {
    let vouches = |index: u64, signature: &Signature| {
        let mut vouched = Vouched::by(&read.keys.image, &read.keys.log);
        vouched.read(index, &Body::from(signature.clone()));
        vouched.vouches(release)
    };
    read.entries.iter().take_while(|entry| entry.index < before).find_map(|entry| match entry.body() {
        Some(Body::Signature(s)) if s.promotion == release.promotion && vouches(entry.index, s) => Some(entry.index),
        _ => None,
    })
}

/// An entry with its receipt under the newest checkpoint.
fn proven(read: &Read, index: u64) -> Result<Proven, Failure> {
    let receipt = read.log.prover().prove(index)?.to_string();
    let entry = usize::try_from(index).ok().and_then(|at| read.entries.get(at));
    entry.and_then(|entry| entry.proven(receipt)).ok_or_else(|| super::forgotten(index))
}

//! `countersign status` and `countersign log`: many entries at once.

use std::path::Path;

use artifact::failure::Failure;
use artifact::{Digest, Moment};
use audit::checkpoint::SignedCheckpoint;
use audit::config::KeeperConfig;
use audit::entry::{Body, Configuration};
use audit::keys::HouseKeys;
use audit::log_policy::{Cosigned, LogPolicy};
use audit::reader::{Content, Entry, Log};
use serde::Serialize;

use super::filter::{Filter, kind_of};
use super::promotion::{said, what};
use super::{Read, place, print_json, read, short};
use crate::cli::Places;
use crate::fold::Fold;
use crate::status::Status;
use crate::timeline::printable;

/// One promotion on a line.
#[derive(Debug, Serialize)]
struct Row<'a> {
    promotion: Digest,
    project: &'a str,
    commit: &'a str,
    stage: &'static str,
    since: Moment,
    digest: Option<Digest>,
    reasons: Vec<&'a str>,
    /// The image was revoked since.
    revoked: bool,
}

/// Prints every promotion, the newest first.
///
/// # Errors
/// A log that is not what was recorded.
pub fn status(places: &Places) -> Result<(), Failure> {
    let (folder, keys) = place(places)?;
    // The fold alone: a log may be longer than memory.
    let (_, fold) = Log::read(&folder, &keys.log, || Fold::new(&keys), |fold, entry| fold.apply(entry))?;
    let now = Moment::now();
    let rows: Vec<Row<'_>> = fold
        .promotions()
        .rev()
        .map(|(id, p)| Row {
            promotion: id.0,
            project: p.opened.project.as_str(),
            commit: p.opened.commit.as_str(),
            stage: p.stage(now).as_str(),
            since: p.release.as_ref().map(|r| r.at).or(p.refusal.as_ref().map(|r| r.at)).unwrap_or(p.opened.at),
            digest: p.release.as_ref().map(|r| r.digest),
            reasons: p.refusal.iter().flat_map(|r| &r.reasons).map(|r| r.code.as_str()).collect(),
            revoked: p.release.as_ref().is_some_and(|r| fold.people().revocation(&r.digest).is_some()),
        })
        .collect();
    if places.json {
        return print_json(&rows);
    }
    if rows.is_empty() {
        println!("nothing was promoted so far");
    }
    for row in &rows {
        let last = row.digest.map(|d| short(&d)).unwrap_or_else(|| printable(&row.reasons.join(", ")));
        let last = if row.revoked { format!("{last}  REVOKED") } else { last };
        println!(
            "{}  {:<9} {:<16} {:.12}  {:.12}  {last}",
            row.since,
            row.stage,
            row.project,
            row.commit,
            row.promotion.hex()
        );
    }
    Ok(())
}

/// One entry, for programs.
#[derive(Debug, Serialize)]
struct Line {
    index: u64,
    at: Option<Moment>,
    kind: &'static str,
    promotion: Option<Digest>,
    what: String,
}

fn line(read: &Read, entry: &Entry) -> Line {
    match &entry.content {
        Content::Ours { body, .. } => Line {
            index: entry.index,
            at: Some(body.at()),
            kind: kind_of(entry),
            promotion: body.promotion().map(|p| p.0),
            what: said(read, entry.index, what(body)),
        },
        Content::Rekor(leaf) => Line {
            index: entry.index,
            at: None,
            kind: kind_of(entry),
            promotion: None,
            what: said(read, entry.index, format!("a signature as Rekor writes it, {} bytes", leaf.as_bytes().len())),
        },
        Content::Forgotten(_) => Line {
            index: entry.index,
            at: None,
            kind: kind_of(entry),
            promotion: None,
            what: "forgotten: its body was deleted by an order, and a later entry says so".to_owned(),
        },
    }
}

/// Prints the entries of the log that pass a filter, the oldest first.
///
/// # Errors
/// A log that is not what was recorded.
pub fn list(places: &Places, filter: &Filter) -> Result<(), Failure> {
    let read = read(places)?;
    let lines: Vec<Line> = filter.of(&read)?.into_iter().map(|entry| line(&read, entry)).collect();
    if places.json {
        return print_json(&lines);
    }
    for line in &lines {
        let at = line.at.map(|at| at.to_string()).unwrap_or_default();
        println!("{:>6}  {at:<20}  {:<10} {}", line.index, line.kind, printable(&line.what));
    }
    Ok(())
}

/// Prints one entry in full, as JSON.
///
/// # Errors
/// No such entry, or a log that is not what was recorded.
pub fn show_entry(places: &Places, index: u64) -> Result<(), Failure> {
    let read = read(places)?;
    let entry =
        read.entries.iter().find(|e| e.index == index).ok_or_else(|| {
            Failure::never("not-found", format!("the log has {} entries, from 0", read.entries.len()))
        })?;
    match &entry.content {
        Content::Ours { body: Body::Configuration(said), .. } if !places.json => {
            print_change(&read, said);
            Ok(())
        }
        Content::Ours { body, .. } => print_json(body),
        Content::Rekor(leaf) => {
            println!("{}", printable(&String::from_utf8_lossy(leaf.as_bytes())));
            Ok(())
        }
        Content::Forgotten(_) => Err(super::forgotten(index)),
    }
}

/// How a file of the configuration changed, line by line.
fn print_change(read: &Read, said: &Configuration) {
    let earlier = read.entries.iter().rev().filter_map(|entry| match entry.body() {
        Some(Body::Configuration(c)) if c.file == said.file && Some(c.digest) == said.before => Some(c.text.as_str()),
        _ => None,
    });
    let before = earlier.into_iter().next();
    match (said.before, before) {
        (None, _) => println!("{}: recorded for the first time at {}", printable(&said.file), said.at),
        (Some(_), Some(_)) => println!("{}: changed before {}", printable(&said.file), said.at),
        (Some(digest), None) => {
            println!("{}: changed before {}; {digest} was forgotten", printable(&said.file), said.at)
        }
    }
    let diff = similar::TextDiff::from_lines(before.unwrap_or_default(), &said.text);
    for line in diff.unified_diff().context_radius(3).to_string().lines() {
        println!("{}", printable(line));
    }
}

/// What was checked, and what was not.
#[derive(Debug, Serialize)]
struct Verified {
    origin: String,
    size: u64,
    root: String,
    bodies: u64,
    since: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    witnessed: Option<Vec<Cosigned>>,
    not_checked: Vec<String>,
}

/// Verifies the whole log, and that it begins with what a kept checkpoint says; and says what was not checked.
///
/// # Errors
/// The first thing that is not as recorded; a kept checkpoint that is none of this log.
pub fn verify(places: &Places, since: Option<&Path>) -> Result<(), Failure> {
    let (folder, keys) = place(places)?;
    let since = since.map(|path| kept(path, &keys)).transpose()?;
    let mut found = audit::verify::whole(&folder, &keys.log, since.as_ref())?;
    let witnessed = match policy(places)? {
        None => None,
        Some(policy) => {
            let judged = found.witnessed(&policy, Moment::now());
            Some(judged.map_err(|e| Failure::never("not-witnessed", e))?)
        }
    };
    let verified = Verified {
        bodies: found.bodies(),
        origin: found.origin,
        size: found.size,
        root: found.root.to_string(),
        since: found.since,
        witnessed,
        not_checked: found.not_checked,
    };
    if places.json {
        return print_json(&verified);
    }
    println!("{}: {} entries, root {}", verified.origin, verified.size, verified.root);
    println!("checked: the checkpoint's signature, every tile against it, every entry, {} bodies", verified.bodies);
    if let Some(since) = verified.since {
        println!("checked: it begins with the {since} entries of the checkpoint that was kept");
    }
    for cosigned in verified.witnessed.iter().flatten() {
        println!("checked: witness {} cosigned the checkpoint at {}", printable(&cosigned.witness), cosigned.at);
    }
    for not in &verified.not_checked {
        println!("not checked: {}", printable(not));
    }
    Ok(())
}

/// The witnesses that `keeper.toml` names. Who has a copy of the log and the keys alone has none; then that is said.
fn policy(places: &Places) -> Result<Option<LogPolicy>, Failure> {
    let path = places.config.join("keeper.toml");
    let usage = |e: &dyn std::fmt::Display| Failure::never(Status::USAGE, format!("{}: {e}", path.display()));
    let text = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|e| usage(&e))?,
    };
    Ok(KeeperConfig::parse(&text).map_err(|e| usage(&e))?.policy)
}

/// A checkpoint that somebody kept.
fn kept(path: &Path, keys: &HouseKeys) -> Result<SignedCheckpoint, Failure> {
    let named = |e: &dyn std::fmt::Display| format!("--since {}: {e}", path.display());
    let note = SignedCheckpoint::read_note(path).map_err(|e| Failure::never(Status::USAGE, named(&e)))?;
    SignedCheckpoint::open(&note, &keys.log).map_err(|e| Failure::never("since", named(&e)))
}

//! `countersign show`: the history of one promotion.

use artifact::failure::Failure;
use artifact::{Digest, Moment};
use audit::entry::Body;
use serde::Serialize;

use super::filter::people_of;
use super::{Read, print_json, read, short};
use crate::cli::Places;
use crate::fold::{Promotion, room_of};
use crate::timeline::printable;

/// One promotion, for programs.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    promotion: Digest,
    project: &'a str,
    lane: String,
    trial: bool,
    commit: &'a str,
    stage: &'static str,
    candidate: Option<Digest>,
    digest: Option<Digest>,
    repository: Option<String>,
    tags: Vec<String>,
    level: Option<String>,
    reasons: Vec<&'a audit::entry::Reason>,
    history: Vec<Step>,
    /// Seconds from the first entry to the last.
    seconds: u64,
    /// An entry is older than the one before it.
    clock_went_back: bool,
    people: Vec<String>,
    /// Since when and why the image is refused.
    revoked: Option<Revoked<'a>>,
    log: Checked,
}

/// That its image was revoked.
#[derive(Debug, Serialize)]
struct Revoked<'a> {
    index: u64,
    at: Moment,
    reason: &'a str,
}

/// One entry of its history.
#[derive(Debug, Serialize)]
struct Step {
    index: u64,
    at: Moment,
    /// Seconds since the entry before.
    after: u64,
    kind: &'static str,
    what: String,
}

/// What the log was verified at.
#[derive(Debug, Serialize)]
struct Checked {
    size: u64,
    root: String,
}

/// Prints the history of one promotion.
///
/// # Errors
/// No such promotion, or a log that is not what was recorded.
pub fn show(places: &Places, id: &str) -> Result<(), Failure> {
    let read = read(places)?;
    let promotion = read.promotion(id)?;
    let shown = shown(&read, promotion);
    if places.json {
        return print_json(&shown);
    }
    println!("{}  {} {}", printable(shown.project), shown.commit, shown.stage);
    println!("promotion  {}", shown.promotion);
    if let (Some(repository), Some(digest)) = (&shown.repository, &shown.digest) {
        println!("image      {repository}@{digest}");
        println!("tags       {}", shown.tags.join(", "));
    }
    if let Some(revoked) = &shown.revoked {
        println!("REVOKED    by entry {} at {}: {}", revoked.index, revoked.at, printable(revoked.reason));
    }
    if !shown.people.is_empty() {
        println!("people     {}", printable(&shown.people.join(", ")));
    }
    if shown.trial {
        println!("trial      the launcher was an ordinary user");
    }
    println!();
    for step in &shown.history {
        println!(
            "{:>5}  {}  +{:<6} {:<10} {}",
            step.index,
            step.at,
            span(step.after),
            step.kind,
            printable(&step.what)
        );
    }
    if shown.history.len() > 1 {
        println!("{:>5}  from the first to the last {}", "", span(shown.seconds));
    }
    if shown.clock_went_back {
        println!("note       an entry is older than the one before it: a room's clock was wrong, or was turned back");
    }
    Ok(())
}

fn shown<'a>(read: &'a Read, promotion: &'a Promotion) -> Shown<'a> {
    let opened = &promotion.opened;
    let release = promotion.release.as_ref();
    let (mut level, mut people) = (None, Vec::new());
    let mut history: Vec<Step> = Vec::new();
    for entry in &read.entries {
        let Some(body) = entry.body().filter(|b| b.promotion() == Some(opened.promotion)) else { continue };
        if let Body::Rebuild(rebuild) = body {
            level = Some(rebuild.level.to_string());
        }
        if let Body::Facts(facts) = body {
            people = people_of(read, facts);
        }
        let after = history.last().map_or(0, |before| body.at().seconds_since(before.at));
        history.push(Step {
            index: entry.index,
            at: body.at(),
            after,
            kind: body.name(),
            what: said(read, entry.index, what(body)),
        });
    }
    Shown {
        promotion: opened.promotion.0,
        project: opened.project.as_str(),
        lane: opened.lane.to_string(),
        trial: opened.trial,
        commit: opened.commit.as_str(),
        stage: promotion.stage(Moment::now()).as_str(),
        candidate: opened.candidate,
        digest: release.map(|r| r.digest),
        repository: release.map(|r| r.repository.to_string()),
        tags: release.map(|r| r.tags.iter().map(ToString::to_string).collect()).unwrap_or_default(),
        level,
        reasons: promotion.refusal.iter().flat_map(|r| &r.reasons).collect(),
        seconds: history.first().zip(history.last()).map_or(0, |(first, last)| last.at.seconds_since(first.at)),
        clock_went_back: history.windows(2).any(|pair| pair[1].at < pair[0].at),
        people,
        revoked: release.and_then(|r| read.fold.people().revocation(&r.digest)).map(|(index, says)| Revoked {
            index,
            at: says.at,
            reason: &says.reason,
        }),
        history,
        log: Checked { size: read.log.checkpoint().size(), root: read.log.checkpoint().root().to_string() },
    }
}

/// A duration as people read it.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds % 86_400 / 3600),
    }
}

/// One entry in a few words; one that counts for nothing is called so.
pub(super) fn said(read: &Read, index: u64, words: String) -> String {
    match read.fold.void().get(&index) {
        Some(why) => format!("VOID ({why}): {words}"),
        None => words,
    }
}

/// One entry in a few words.
pub(super) fn what(body: &Body) -> String {
    match body {
        Body::Opened(b) => match &b.candidate {
            Some(candidate) => format!("{} of {}, candidate {}", b.commit, b.project, short(candidate)),
            None => format!("{} of {}, no candidate", b.commit, b.project),
        },
        Body::Facts(b) => format!("dossier {}, {} test results", short(&b.dossier), b.results.len()),
        Body::Rebuild(b) => format!("{}: {}", b.level, short(&b.rebuild)),
        Body::Permit(b) => {
            let tags: Vec<_> = b.terms.tags.iter().map(ToString::to_string).collect();
            format!(
                "{} to {} as {}, until {}",
                short(&b.terms.digest),
                b.terms.repository,
                tags.join(", "),
                b.terms.expires
            )
        }
        Body::Refusal(b) => {
            let codes: Vec<_> = b.reasons.iter().map(|r| r.code.as_str()).collect();
            codes.join(", ")
        }
        Body::Failed(b) => b.failure.to_string(),
        Body::Attempt(b) => format!("{} under the permit at {}: {} statements", b.id, b.permit, b.statements.len()),
        Body::Signature(b) => format!("{} with key {} ({})", b.payload_type, short(&b.key.0), b.key_kept),
        Body::Bundle(b) => format!("{} over {}", b.predicate_type, short(&b.subject)),
        Body::Release(b) => format!("{}@{}", b.repository, b.digest),
        Body::Posture(b) => {
            let rooms: Vec<_> = b.hellos.iter().filter_map(room_of).collect();
            format!("what confines {}", rooms.join(", "))
        }
        Body::Halted(b) => b.failure.to_string(),
        Body::Configuration(b) => match b.before {
            Some(before) => format!("{} changed, {} to {}", b.file, short(&before), short(&b.digest)),
            None => format!("{}, seen for the first time, {}", b.file, short(&b.digest)),
        },
        Body::Collected(b) => {
            let stores = [b.dossiers, b.candidates, b.rebuilds];
            let (blobs, bytes) = stores.iter().fold((0, 0), |sum, store| (sum.0 + store.blobs, sum.1 + store.bytes));
            format!("{blobs} blobs, {bytes} bytes of promotions that ended before {}", b.before)
        }
        Body::Forgotten(b) => format!("{} bodies were deleted by the order of entry {}", b.indexes.len(), b.order),
        Body::Order(b) => match b.sound() {
            Ok(says) => {
                let people: Vec<_> = b.signatures.iter().map(|s| s.principal.as_str()).collect();
                format!("{} by {}: {}", says.action.name(), people.join(", "), says.reason)
            }
            Err(e) => e.to_string(),
        },
        Body::Revocation(b) => format!("{}: {}", b.digest, b.reason),
        Body::Resigning(b) => format!("{} again, by the order of entry {}", short(&b.digest), b.order),
        Body::Rotation(b) => {
            let (before, after) = (short(&b.before.0), short(&b.key.id().0));
            format!("key {after}, version {}, for key {before}, by the order of entry {}", b.version, b.order)
        }
    }
}

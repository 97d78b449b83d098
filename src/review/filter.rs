//! Which entries a reviewer wants to see.

use std::collections::{BTreeMap, BTreeSet};

use artifact::Moment;
use artifact::failure::Failure;
use artifact::lane::LaneName;
use artifact::name::ProjectName;
use artifact::statement::Signed;
use artifact::statement::facts::Facts;
use audit::entry::{self, Body, PromotionId};
use audit::reader::{Content, Entry};
use clap::Args;

use super::Read;
use crate::fold::Promotion;
use crate::status::Status;

/// The filters of `countersign log list`. An entry is listed when it passes all that are given.
#[derive(Debug, Clone, Default, Args)]
pub struct Filter {
    /// Entries of this project's promotions.
    #[arg(long, value_name = "NAME")]
    project: Option<ProjectName>,
    /// Entries of promotions of this commit; its first digits will do.
    #[arg(long, value_name = "ID")]
    commit: Option<String>,
    /// Entries that name this digest; its first digits will do.
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Entries of promotions that this person has a part in: author, committer, or who signed; a part of the name will do.
    #[arg(long, value_name = "TEXT")]
    person: Option<String>,
    /// Entries of promotions that ended, or stand, so.
    #[arg(long, value_name = "STAGE", value_parser = ["opened", "prepared", "rebuilt", "permitted", "released", "refused"])]
    decision: Option<String>,
    /// Entries of this kind, as they are listed.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Entries of this lane's promotions.
    #[arg(long, value_name = "LANE")]
    lane: Option<LaneName>,
    /// Entries from this moment on: 2026-11-23 or 2026-11-23T10:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Entries before this moment.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// The newest so many of what is left.
    #[arg(long, value_name = "COUNT")]
    last: Option<usize>,
}

/// A moment, or the first of a day.
fn moment(text: &str) -> Result<Moment, String> {
    let day = text.len() == "2026-11-23".len();
    let full = if day { format!("{text}T00:00:00Z") } else { text.to_owned() };
    full.parse()
        .map_err(|_| "a day or a second of UTC is expected, as in 2026-11-23 or 2026-11-23T10:00:00Z".to_owned())
}

/// The fewest digits that name something.
const DIGITS: usize = 4;

impl Filter {
    /// The entries that pass, the oldest first.
    ///
    /// # Errors
    /// Digits that are none, or too few.
    pub(super) fn of<'a>(&self, read: &'a Read) -> Result<Vec<&'a Entry>, Failure> {
        let commit = self.commit.as_deref().map(|text| digits("--commit", text)).transpose()?;
        let digest = self.digest.as_deref().map(|text| digits("--digest", text)).transpose()?;
        let people = self.person.as_deref().map(|text| of_person(read, text));
        let now = Moment::now();
        let stands = |p: &Promotion| {
            let opened = &p.opened;
            self.project.as_ref().is_none_or(|project| *project == opened.project)
                && commit.is_none_or(|digits| opened.commit.as_str().starts_with(digits))
                && self.lane.as_ref().is_none_or(|lane| *lane == opened.lane)
                && self.decision.as_ref().is_none_or(|stage| stage == p.stage(now).as_str())
                && people.as_ref().is_none_or(|found| found.contains(&opened.promotion))
        };
        let of_promotion = self.project.is_some() || commit.is_some() || self.lane.is_some() || self.decision.is_some();
        let of_promotion = of_promotion || people.is_some();
        let mut owner = Owner::default();
        let mut passed: Vec<&Entry> = Vec::new();
        for entry in &read.entries {
            let promotion = owner.of(entry).and_then(|id| read.fold.promotion(&id));
            let at = entry.body().map(Body::at).or(owner.at);
            let passes = (!of_promotion || promotion.is_some_and(&stands))
                && self.kind.as_ref().is_none_or(|kind| kind == kind_of(entry))
                && self.since.is_none_or(|since| at.is_some_and(|at| at >= since))
                && self.until.is_none_or(|until| at.is_some_and(|at| at < until))
                && digest.is_none_or(|digits| names(entry, digits));
            if passes {
                passed.push(entry);
            }
        }
        let surplus = self.last.map_or(0, |last| passed.len().saturating_sub(last));
        Ok(passed.split_off(surplus))
    }
}

/// Whose an entry is. Leaves belong to the signature before them.
#[derive(Default)]
struct Owner {
    last: Option<PromotionId>,
    at: Option<Moment>,
}

impl Owner {
    fn of(&mut self, entry: &Entry) -> Option<PromotionId> {
        if let Some(body) = entry.body() {
            (self.last, self.at) = (body.promotion(), Some(body.at()));
        }
        match entry.content {
            Content::Forgotten(_) => None,
            _ => self.last,
        }
    }
}

/// The kind of an entry, as lists call it.
pub(super) fn kind_of(entry: &Entry) -> &'static str {
    match &entry.content {
        Content::Ours { body, .. } => body.name(),
        Content::Rekor(_) => "rekor",
        Content::Forgotten(commitment) => Body::name_of(commitment.kind()).unwrap_or("unknown"),
    }
}

/// Hexadecimal digits, enough of them.
fn digits<'a>(what: &str, text: &'a str) -> Result<&'a str, Failure> {
    let bare = text.strip_prefix("sha256:").unwrap_or(text);
    let hex = bare.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if hex && bare.len() >= DIGITS {
        return Ok(bare);
    }
    Err(Failure::never(
        Status::USAGE,
        format!("{what} {text:?}: at least {DIGITS} lower-case hexadecimal digits are expected"),
    ))
}

/// Whether an entry's own text names a digest that begins so.
fn names(entry: &Entry, digits: &str) -> bool {
    let text = match &entry.content {
        Content::Ours { bytes, .. } => bytes.as_slice(),
        Content::Rekor(leaf) => leaf.as_bytes(),
        Content::Forgotten(_) => return false,
    };
    let wanted = [b"sha256:", digits.as_bytes()].concat();
    text.windows(wanted.len()).any(|window| window == wanted)
}

/// The promotions that a person has a part in.
fn of_person(read: &Read, wanted: &str) -> BTreeSet<PromotionId> {
    let wanted = wanted.to_lowercase();
    let mut people: BTreeMap<PromotionId, Vec<String>> = BTreeMap::new();
    for entry in &read.entries {
        let Some(Body::Facts(facts)) = entry.body() else { continue };
        people.entry(facts.promotion).or_default().extend(people_of(read, facts));
    }
    let has = |names: &Vec<String>| names.iter().any(|name| name.to_lowercase().contains(&wanted));
    people.into_iter().filter(|(_, names)| has(names)).map(|(id, _)| id).collect()
}

/// Who is named by the facts of a promotion: author and committer as the commit claims, and who signed it.
pub(super) fn people_of(read: &Read, facts: &entry::Facts) -> Vec<String> {
    let object = String::from_utf8_lossy(&facts.commit_object.0);
    let mut people: Vec<String> = ["author ", "committer "]
        .iter()
        .filter_map(|role| object.lines().take_while(|line| !line.is_empty()).find_map(|line| line.strip_prefix(role)))
        .map(|who| who.rsplit_once('>').map_or(who, |(name, _)| name).replace('<', "").trim().to_owned())
        .collect();
    if let Ok(signed) = Signed::<Facts>::open(&facts.envelope.0, [&read.keys.intake]) {
        people.extend(signed.says().commit_signature.as_ref().map(|signature| signature.principal.clone()));
    }
    people.sort();
    people.dedup();
    people
}

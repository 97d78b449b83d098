//! Vault's audit log beside ours: each signature of the image key belongs to exactly one recorded attempt.
//!
//! No I/O here. Vault's log hashes what was signed, so signatures are counted: every recorded one is the image key's over a
//! statement of its own and needs one of Vault's; when Vault made as many for the attempt, it made none that is not recorded.

pub mod recorded;

use std::collections::BTreeMap;

use artifact::Moment;
use artifact::digest::shortened;
use audit::vault_audit::{Act, Answer, Covered, Outcome, Place, Request};
use serde::Serialize;

use recorded::{Attempt, Recorded, Whose};

/// Where an attempt's key is kept when Vault's transit engine signs.
pub const TRANSIT: &str = "vault-transit";

/// Something that does not fit, or that a person may want to look at.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// A stable code.
    pub code: &'static str,
    /// When, as Vault wrote it; or as the attempt says.
    pub at: String,
    /// Vault's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Who asked Vault, and from where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Vault's id of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The attempt's entry in our log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// What is wrong.
    pub message: String,
}

/// What became of recorded attempts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Attempts {
    /// Their signatures are recorded, and Vault made those and no other.
    pub matched: u64,
    /// Vault signed or may have, and no signature is recorded: its answer was lost.
    pub lost: u64,
    /// Neither a signature nor a request for one.
    pub unused: u64,
    /// Made with a key that is kept elsewhere.
    pub elsewhere: u64,
    /// Outside of the time that is covered: not checked.
    pub outside: u64,
}

/// What came of a comparison.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Compared {
    /// How many requests signed.
    pub signs: u64,
    /// How many requests for the key Vault refused.
    pub refused: u64,
    /// What became of attempts.
    pub attempts: Attempts,
    /// What does not fit. Nothing may stand here.
    pub findings: Vec<Finding>,
    /// Vault signed, and our log does not say what came of it.
    pub lost: Vec<Finding>,
    /// How the key was changed.
    pub administered: Vec<Finding>,
    /// What could not be looked at.
    pub not_checked: Vec<String>,
}

/// Vault's side.
pub struct Vaults<'a> {
    /// The key.
    pub place: &'a Place,
    /// What each file speaks of.
    pub covered: &'a [Covered],
    /// What was done with the key.
    pub requests: &'a [Request],
    /// How far its clock and the signer's may differ, in seconds.
    pub slack: u64,
}

/// Compares both sides.
pub fn compare(vaults: &Vaults<'_>, recorded: &Recorded) -> Compared {
    let mut found = Compared { not_checked: recorded.not_checked(), ..Compared::default() };
    let mut signs: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in vaults.requests {
        match (request.act, &request.outcome) {
            (_, Outcome::Refused) | (Act::Sign, Outcome::Answered(Answer { signatures: Some(0), .. })) => {
                found.refused += 1;
            }
            (Act::Administer, _) => found.administered.push(of_request("administered", request, "it changed the key")),
            (Act::Use, _) => {
                let text = "it uses the key in another way than the signer does, or lets it out";
                found.findings.push(of_request("other-use", request, text));
            }
            (Act::Sign, _) => {
                found.signs += 1;
                match attempt_of(request, recorded) {
                    Ok(id) => signs.entry(id).or_default().push(request),
                    Err((code, text)) => found.findings.push(of_request(code, request, &text)),
                }
            }
        }
    }
    let mut versions = BTreeMap::new();
    for attempt in &recorded.attempts {
        let signs = signs.get(attempt.id.as_str()).map_or(&[][..], Vec::as_slice);
        found.attempt(vaults, attempt, signs);
        if let ([sign], false) = (signs, attempt.signatures.is_empty()) {
            found.version_of_key(attempt, sign, &mut versions);
        }
    }
    found.findings.sort_by(|a, b| a.at.cmp(&b.at));
    found
}

/// The one attempt that a signature was made for.
fn attempt_of<'r>(request: &'r Request, recorded: &Recorded) -> Result<&'r str, (&'static str, String)> {
    match request.attempts.as_slice() {
        [] => {
            Err(("no-attempt", "it names no attempt: the signer did not make it, or Vault keeps no such header".into()))
        }
        [hashed] if hashed.starts_with("hmac-") => {
            Err(("no-attempt", "the attempt's id was hashed: Vault must keep the header with hmac=false".into()))
        }
        [id] if recorded.attempts.iter().any(|attempt| attempt.id == *id) => Ok(id),
        [id] => Err(("unknown-attempt", format!("no attempt {:?} is recorded", shortened(id)))),
        many => Err(("many-attempts", format!("it names {} attempts", many.len()))),
    }
}

impl Compared {
    fn attempt(&mut self, vaults: &Vaults<'_>, attempt: &Attempt, signs: &[&Request]) {
        let ours = attempt.whose(vaults.place);
        match signs {
            [] if ours == Whose::Elsewhere => self.attempts.elsewhere += 1,
            [] if !attempt.signatures.is_empty() => self.missing(vaults, attempt),
            [] => self.attempts.unused += 1,
            [sign] => match fault(vaults, attempt, sign, ours) {
                Some((code, text)) => self.of_attempt(code, attempt, sign, &text),
                None if attempt.signatures.is_empty() => {
                    self.attempts.lost += 1;
                    let text = format!("Vault signed for attempt {}, and no signature of it is recorded", attempt.id);
                    self.lost.push(Finding { entry: Some(attempt.entry), ..of_request("lost-answer", sign, &text) });
                }
                None => self.attempts.matched += 1,
            },
            many => {
                for sign in many {
                    let text = format!("one of {} requests for the attempt {}", many.len(), attempt.id);
                    self.of_attempt("signed-twice", attempt, sign, &text);
                }
            }
        }
    }

    fn of_attempt(&mut self, code: &'static str, attempt: &Attempt, sign: &Request, text: &str) {
        self.findings.push(Finding { entry: Some(attempt.entry), ..of_request(code, sign, text) });
    }

    /// Signatures are recorded, and no file has the request. That is a fault when a file would have it.
    fn missing(&mut self, vaults: &Vaults<'_>, attempt: &Attempt) {
        let (from, to) = attempt.period(vaults.slack);
        let covers = |(first, last): (Moment, Moment)| first <= from && to <= last;
        if !vaults.covered.iter().filter_map(|file| file.period).any(covers) {
            self.attempts.outside += 1;
            return;
        }
        let text = format!(
            "{} signatures of attempt {} are recorded, and Vault's log of that time has no request for them",
            attempt.signatures.len(),
            attempt.id
        );
        let at = attempt.at.to_string();
        let finding = Finding {
            code: "not-signed",
            at,
            path: None,
            by: None,
            request: None,
            entry: Some(attempt.entry),
            message: text,
        };
        self.findings.push(finding);
    }

    /// One key is one version, whatever the configuration says.
    fn version_of_key(
        &mut self,
        attempt: &Attempt,
        sign: &Request,
        known: &mut BTreeMap<artifact::key::KeyId, (u64, u64)>,
    ) {
        let Outcome::Answered(Answer { versions, .. }) = &sign.outcome else { return };
        for (key, version) in attempt.keys.iter().flat_map(|key| versions.iter().flatten().map(move |v| (*key, *v))) {
            let (before, entry) = *known.entry(key).or_insert((version, attempt.entry));
            if before != version {
                let text = format!("version {version} signed, and for entry {entry} the same key was version {before}");
                self.of_attempt("other-version", attempt, sign, &text);
            }
        }
    }
}

/// What is wrong with the only request for an attempt.
fn fault(vaults: &Vaults<'_>, attempt: &Attempt, sign: &Request, whose: Whose) -> Option<(&'static str, String)> {
    if let Some(why) = attempt.void {
        return Some(("void-attempt", format!("the attempt counts for nothing: {why}")));
    }
    if whose == Whose::Elsewhere {
        return Some(("elsewhere", "by our log that attempt was made with a key that is kept elsewhere".to_owned()));
    }
    let (from, to) = attempt.period(vaults.slack);
    if sign.at < from {
        return Some(("before-attempt", format!("the attempt was recorded at {}, after it", attempt.at)));
    }
    if !attempt.signatures.is_empty() && sign.at > to {
        return Some((
            "after-signatures",
            format!("the attempt's signatures were recorded before {to}, and so before it"),
        ));
    }
    let Outcome::Answered(answer) = &sign.outcome else {
        // Who recorded signatures had an answer, and Vault writes it down before it lets it go.
        let unsaid =
            "its signatures are recorded, and no line has Vault's answer: give the next file of the log as well";
        return (!attempt.signatures.is_empty()).then(|| ("no-answer", unsaid.to_owned()));
    };
    let Some(made) = answer.signatures else {
        return Some((
            "unseen",
            "how much was signed can't be seen: the answer was wrapped, or is of no known shape".into(),
        ));
    };
    let recorded = attempt.signatures.len() as u64;
    let may = if recorded > 0 { recorded } else { attempt.statements };
    if made > may || (recorded > 0 && made != recorded) {
        let of = if recorded > 0 { "recorded" } else { "announced" };
        return Some(("other-count", format!("Vault made {made} signatures, and {may} are {of}")));
    }
    let pinned = attempt.version?;
    let other = answer.versions.iter().find(|version| **version != Some(pinned))?;
    let by = other.map_or("a version that can't be seen".to_owned(), |version| format!("version {version}"));
    Some(("other-version", format!("{by} signed, and signer.toml of that day pins version {pinned}")))
}

fn of_request(code: &'static str, request: &Request, text: &str) -> Finding {
    Finding {
        code,
        at: request.time.clone(),
        path: Some(shortened(&request.path)),
        by: Some(shortened(&request.by)),
        request: Some(shortened(&request.id)),
        entry: None,
        message: text.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! What a broken coordinator tells the signer. Each attack has a signer of its own.

use std::os::unix::net::UnixStream;

use artifact::digest::{Base64, Digest};
use artifact::frame;
use artifact::key::Ed25519Key;
use audit::door::{Answer as Kept, Appended, Ask as Keep, Proved};
use audit::entry::{Body, Facts, Permit, Rebuild};
use audit::keeper::Keeper;
use audit::reader::Entry;
use hardening::menu::Room;
use serde_json::{Value, json};
use signer::door::{Answer, Ask, ReleaseAsk};

use super::{Mallory, Wrong, failed};

/// The newest honest permit and what it rests on.
struct Newest {
    permit_entry: Entry,
    permit: Permit,
    facts: Facts,
    rebuild: Rebuild,
    older: Option<Facts>,
}

impl Newest {
    fn of(entries: &[Entry]) -> Result<Self, Wrong> {
        let permit_of = |e: &Entry| match e.body() {
            Some(Body::Permit(permit)) => Some(permit.clone()),
            _ => None,
        };
        // The first of the newest promotion: those after it may be forged.
        let newest = entries.iter().rev().find_map(permit_of).ok_or("no permit")?.promotion;
        let place =
            entries.iter().position(|e| permit_of(e).is_some_and(|p| p.promotion == newest)).ok_or("no permit")?;
        let permit = permit_of(&entries[place]).ok_or("no permit")?;
        let before = || entries[..place].iter().rev().filter_map(|e| e.body());
        let facts = |own: bool| {
            before().find_map(|b| match b {
                Body::Facts(f) if (f.promotion == permit.promotion) == own => Some(f.clone()),
                _ => None,
            })
        };
        let rebuild = before().find_map(|b| match b {
            Body::Rebuild(r) if r.promotion == permit.promotion => Some(r.clone()),
            _ => None,
        });
        Ok(Self {
            facts: facts(true).ok_or("no facts")?,
            older: facts(false),
            rebuild: rebuild.ok_or("no rebuild")?,
            permit_entry: entries[place].clone(),
            permit,
        })
    }
}

/// Plays one attack with the newest permit of the log.
pub fn attack(mallory: &Mallory, word: &str) -> Result<Value, Wrong> {
    let keeper = mallory.open(Room::Keeper)?;
    let mut newest = Newest::of(&mallory.entries()?)?;
    if let Some(forged) = forged(word, &newest.permit) {
        let permit = Permit { terms: forged, ..newest.permit.clone() };
        mallory.append(&keeper, vec![permit.into()], 0)?;
        newest = Newest { permit_entry: last(mallory)?, ..newest };
    }
    let signer = mallory.open(Room::Signer)?;
    let seen = match say(&signer, &Ask::State)? {
        Answer::State { seen } => seen,
        other => return Err(format!("{other:?}").into()),
    };
    let proved = prove(mallory, &keeper, newest.permit_entry.index, seen)?;
    let mut ask = release_ask(&newest, proved)?;
    spoil(mallory, word, &newest, &keeper, &mut ask)?;
    let mut answer = say(&signer, &Ask::Release(Box::new(ask)))?;
    loop {
        answer = match answer {
            Answer::Progress { .. } => frame::receive(&signer)?,
            Answer::Record { submissions, since } => {
                let honest = match mallory.keep(&keeper, &Keep::Append { submissions, since })? {
                    Kept::Appended(appended) => appended,
                    other => return Err(format!("{other:?}").into()),
                };
                say(&signer, &Ask::Recorded(recorded(word, honest)))?
            }
            Answer::Refused { reasons } => {
                let codes: Vec<_> = reasons.into_iter().map(|r| r.code).collect();
                return Ok(json!({"refused": codes}));
            }
            Answer::Failed(failure) => return Ok(failed(&failure)),
            Answer::Released { digest, .. } => return Ok(json!({"released": digest})),
            other => return Err(format!("{other:?}, which nobody asked for").into()),
        };
    }
}

/// A permit of its own making.
fn forged(word: &str, permit: &Permit) -> Option<artifact::statement::permit::Terms> {
    let mut terms = permit.terms.clone();
    let evil = Digest::of(b"evil");
    match word {
        "digest" => terms.digest = evil,
        "tag" => terms.tags = vec!["evil".parse().ok()?],
        "more-tags" => terms.tags.push("evil".parse().ok()?),
        "repository" => terms.repository = "127.0.0.1:9/prod/evil".parse().ok()?,
        "project" => terms.project = "other".parse().ok()?,
        "rules" => terms.rules = evil,
        "previous" => terms.previous = Some(evil),
        "lane" => terms.lane = "embargo/case-1".parse().ok()?,
        "trial" => terms.trial = !terms.trial,
        "expired" => terms.expires = terms.decided,
        "for-ever" => terms.expires = "9999-01-01T00:00:00Z".parse().ok()?,
        // Not so far ahead that the keeper would refuse it.
        "soon" => (terms.decided, terms.expires) = (terms.decided.plus_seconds(540), terms.decided.plus_seconds(600)),
        _ => return None,
    }
    Some(terms)
}

fn spoil(
    mallory: &Mallory,
    word: &str,
    newest: &Newest,
    keeper: &UnixStream,
    ask: &mut ReleaseAsk,
) -> Result<(), Wrong> {
    match word {
        "no-facts" => ask.facts = Base64(b"{}".to_vec()),
        "older-facts" => ask.facts = newest.older.as_ref().ok_or("no older facts")?.envelope.clone(),
        "own-facts" => {
            let envelope = artifact::dsse::Envelope::parse(&ask.facts.0)?;
            let says = artifact::statement::Statement::<artifact::statement::facts::Facts>::parse(&envelope.payload.0)?;
            ask.facts = Base64(says.sign(&Ed25519Key::generate()?)?.to_bytes());
        }
        "no-comparison" => ask.comparisons.clear(),
        "twice-the-comparison" => ask.comparisons.push(ask.comparisons[0].clone()),
        "no-provenance" => ask.provenances.clear(),
        "no-results" => ask.results.clear(),
        "other-commit-object" => ask.commit_object.0.push(b'x'),
        "other-project" => ask.project = "other".parse()?,
        "wrong-salt" => ask.permit.salt = Some(Base64(vec![7; 32])),
        "no-salt" => ask.permit.salt = None,
        "wrong-index" => ask.permit.receipt = ask.permit.receipt.replacen("index ", "index 1", 1),
        "not-recorded" => {
            let mut body = newest.permit.clone();
            body.terms.expires = body.terms.expires.plus_seconds(1);
            ask.permit.content = Base64(Body::from(body).to_bytes()?);
        }
        "another-kind" => {
            let opened = mallory.entries()?.remove(0);
            let receipt = prove(mallory, keeper, 0, 0)?.receipts.remove(0);
            ask.permit = opened.proven(receipt).ok_or("forgotten")?;
        }
        "another-log" => {
            let (tiles, own) = (std::path::Path::new("/tmp/tiles"), std::path::Path::new("/tmp/own"));
            std::fs::create_dir_all(tiles)?;
            std::fs::create_dir_all(own)?;
            let mut log = Keeper::open(tiles, own, "log.countersign.example")?;
            let submission = audit::door::Submission::Body(newest.permit.clone().into());
            let appended = log.append(vec![submission], 0)?;
            ask.permit.salt.clone_from(&appended.salts[0]);
            ask.permit.receipt.clone_from(&appended.receipts[0]);
        }
        _ => {}
    }
    Ok(())
}

/// What the signer hears of what it wanted recorded.
fn recorded(word: &str, mut honest: Appended) -> Appended {
    match word {
        "recorded-nothing" => (honest.receipts, honest.salts) = (vec![], vec![]),
        "recorded-wrong-salts" => honest.salts.iter_mut().flatten().for_each(|salt| salt.0[0] ^= 1),
        "recorded-elsewhere" => {
            for receipt in &mut honest.receipts {
                *receipt = receipt.replacen("index ", "index 1", 1);
            }
        }
        _ => {}
    }
    honest
}

fn release_ask(newest: &Newest, mut proved: Proved) -> Result<ReleaseAsk, Wrong> {
    Ok(ReleaseAsk {
        project: "app".parse()?,
        permit: newest.permit_entry.proven(proved.receipts.pop().ok_or("no receipt")?).ok_or("forgotten")?,
        recorded: vec![],
        consistency: proved.consistency,
        facts: newest.facts.envelope.clone(),
        commit_object: newest.facts.commit_object.clone(),
        results: newest.facts.results.clone(),
        comparisons: vec![newest.rebuild.comparison.clone()],
        provenances: vec![newest.rebuild.provenance.clone()],
    })
}

fn prove(mallory: &Mallory, keeper: &UnixStream, index: u64, since: u64) -> Result<Proved, Wrong> {
    match mallory.keep(keeper, &Keep::Prove { indexes: vec![index], since })? {
        Kept::Proved(proved) => Ok(proved),
        other => Err(format!("{other:?}").into()),
    }
}

fn last(mallory: &Mallory) -> Result<Entry, Wrong> {
    mallory.entries()?.pop().ok_or_else(|| "an empty log".into())
}

fn say(signer: &UnixStream, ask: &Ask) -> Result<Answer, Wrong> {
    frame::send(signer, ask)?;
    Ok(frame::receive(signer)?)
}

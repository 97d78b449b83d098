//! What a broken coordinator has the keeper write down.

use artifact::digest::{Base64, Digest};
use artifact::failure::Failure;
use artifact::key::KeyId;
use artifact::{Moment, dsse};
use audit::door::{Answer, Ask, Submission};
use audit::entry::{
    Attempt, Body, Facts, Failed, Halted, Opened, Posture, PromotionId, Reason, Refusal, Release, Signature,
};
use hardening::menu::Room;
use serde_json::{Value, json};

use super::{Mallory, Wrong, failed};

/// Appends what the word names.
pub fn append(mallory: &Mallory, word: &str) -> Result<Value, Wrong> {
    let keeper = mallory.open(Room::Keeper)?;
    let entries = mallory.entries()?;
    let bodies: Vec<&Body> = entries.iter().filter_map(|e| e.body()).collect();
    let submissions: Vec<Submission> = match word {
        "append-none" => vec![],
        "append-too-many" => (0..65).map(|_| Submission::Body(halted())).collect(),
        "append-tomorrow" => vec![Submission::Body(dated(Moment::now().plus_seconds(86_400)))],
        "append-yesterday" => vec![Submission::Body(dated(Moment::from_unix(1).unwrap_or_else(Moment::now)))],
        "append-too-large" => vec![Submission::Body(said(3 << 20))],
        "append-leaves" => (0..60).map(leaf).collect(),
        "append-lies" => lies(&bodies)?.into_iter().map(Submission::Body).collect(),
        "append-signed" => half_signed(&bodies)?.into_iter().map(Submission::Body).collect(),
        "append-old-release" => old_release(&bodies)?.into_iter().map(Submission::Body).collect(),
        "append-prove-nothing" => {
            let ask = Ask::Prove { indexes: vec![1 << 50], since: 0 };
            return answered(mallory.keep(&keeper, &ask)?);
        }
        "append-prove-future" => {
            let ask = Ask::Prove { indexes: vec![], since: 1 << 40 };
            return answered(mallory.keep(&keeper, &ask)?);
        }
        other => return Err(format!("no such attack: {other}").into()),
    };
    answered(mallory.keep(&keeper, &Ask::Append { submissions, since: 0 })?)
}

fn answered(answer: Answer) -> Result<Value, Wrong> {
    Ok(match answer {
        Answer::Appended(appended) => json!({"appended": appended.receipts.len()}),
        Answer::Proved(proved) => json!({"proved": proved.receipts.len()}),
        Answer::Unwitnessed(asked) => json!({"unwitnessed": asked.lacking.len()}),
        Answer::Cosigned(kept) => json!({"cosigned": kept.cosigned.len()}),
        Answer::Forgotten => json!("forgotten"),
        Answer::Failed(failure) => failed(&failure),
    })
}

/// An entry that says nothing.
pub fn halted() -> Body {
    said(10)
}

fn dated(at: Moment) -> Body {
    Halted { failure: Failure::halt("forged", "x"), at }.into()
}

fn said(bytes: usize) -> Body {
    Halted { failure: Failure::halt("forged", "x".repeat(bytes)), at: Moment::now() }.into()
}

fn leaf(n: usize) -> Submission {
    let leaf = format!(r#"{{"apiVersion":"0","kind":"k","spec":{{"n":{n},"fill":"{}"}}}}"#, "x".repeat(50_000));
    Submission::Raw(Base64(leaf.into_bytes()))
}

/// Everything at once, about a promotion that waits and about one that never was: each of these once kept a project from
/// ever going on, or the house.
fn lies(bodies: &[&Body]) -> Result<Vec<Body>, Wrong> {
    let (now, empty) = (Moment::now(), Base64::default());
    let old = released(bodies).ok_or("nothing was released")?;
    let Some(Body::Opened(opened)) = bodies.iter().rev().find(|b| matches!(b, Body::Opened(_))) else {
        return Err("nothing was opened".into());
    };
    let promotion = opened.promotion;
    let (dossier, results) = (Digest::of(b"forged"), vec![]);
    let strange = Opened { promotion: PromotionId(Digest::of(b"strange")), ..opened.clone() };
    let evidence = Digest::of(b"forged");
    let mut begun = Opened { commit: "3".repeat(40).parse()?, evidence, ..opened.clone() };
    begun.promotion =
        PromotionId::of(&begun.lane, &begun.project, &begun.commit, begun.candidate.as_ref(), &evidence, &begun.rules);
    let newest = begun.promotion;
    let facts = |promotion| Facts {
        promotion,
        envelope: empty.clone(),
        commit_object: empty.clone(),
        results: results.clone(),
        dossier,
        at: now,
    };
    let permits = bodies.iter().rev().find_map(|b| match b {
        Body::Permit(permit) => Some(permit.clone()),
        _ => None,
    });
    let mut permit = permits.ok_or("nothing was permitted")?;
    permit.promotion = newest;
    permit.terms.expires = "9999-01-01T00:00:00Z".parse()?;
    let mut evil = old.clone();
    (evil.digest, evil.permit, evil.promotion) = (Digest::of(b"evil"), 1 << 40, newest);
    let failure = Failure::halt("forged", "look elsewhere");
    Ok(vec![
        strange.into(),
        facts(promotion).into(),
        begun.into(),
        facts(newest).into(),
        permit.into(),
        Attempt { promotion: newest, id: "00".repeat(16), permit: 0, statements: vec![dossier; 1000], at: now }.into(),
        signature(newest, "00", b"nothing").into(),
        evil.into(),
        Halted { failure: failure.clone(), at: now }.into(),
        Failed { promotion: PromotionId(dossier), failure, at: now }.into(),
        Posture { hellos: vec![json!({"trial": false})], at: now }.into(),
        refusal(PromotionId(dossier)).into(),
    ])
}

/// A signature of no key, for the newest permit: what is signed is published whatever the clock says, so it must be one.
fn half_signed(bodies: &[&Body]) -> Result<Vec<Body>, Wrong> {
    let Some(Body::Permit(permit)) = bodies.iter().rev().find(|b| matches!(b, Body::Permit(_))) else {
        return Err("nothing was permitted".into());
    };
    Ok(vec![signature(permit.promotion, "00", b"nothing").into()])
}

/// The first release again, as if it were the newest: the very entry, and one that says another permit.
fn old_release(bodies: &[&Body]) -> Result<Vec<Body>, Wrong> {
    let old = released(bodies).ok_or("nothing was released")?;
    let signatures = bodies.iter().filter(|b| matches!(b, Body::Signature(s) if s.promotion == old.promotion));
    let mut again: Vec<Body> = signatures.map(|b| (*b).clone()).collect();
    again.push(old.clone().into());
    again.push(Release { permit: old.permit + 1000, at: Moment::now(), ..old.clone() }.into());
    Ok(again)
}

fn released<'a>(bodies: &[&'a Body]) -> Option<&'a Release> {
    bodies.iter().find_map(|b| match b {
        Body::Release(release) => Some(release),
        _ => None,
    })
}

fn refusal(promotion: PromotionId) -> Refusal {
    Refusal {
        promotion,
        reasons: vec![Reason { code: "forged".into(), message: "\x1b[2J".into() }],
        differences: vec![],
        differences_total: 0,
        run_differences: vec![],
        run_differences_total: 0,
        rules: Digest::of(b"rules"),
        at: Moment::now(),
    }
}

fn signature(promotion: PromotionId, attempt: &str, payload: &[u8]) -> Signature {
    Signature {
        promotion,
        attempt: attempt.repeat(16),
        payload_type: dsse::IN_TOTO.into(),
        payload: Base64(payload.to_vec()),
        signature: Base64(b"none".to_vec()),
        key: KeyId(Digest::of(b"key")),
        key_kept: "vault".into(),
        at: Moment::now(),
    }
}

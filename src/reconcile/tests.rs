use std::collections::BTreeSet;

use artifact::Digest;
use artifact::digest::Base64;
use artifact::key::KeyId;
use audit::entry::{self, Body, Configuration, Kind as _, PromotionId};
use audit::leaf::{Commitment, Salt};
use audit::reader::{Content, Entry};

use super::recorded::Configured;
use super::*;

fn moment(second: i64) -> Moment {
    Moment::from_unix(1_800_000_000 + second).unwrap()
}

fn place() -> Place {
    Place::new(None, "transit", "k")
}

/// An attempt with so many recorded signatures.
fn attempt(id: &str, second: i64, signatures: u8) -> Attempt {
    let some = signatures > 0;
    Attempt {
        entry: second as u64,
        id: id.to_owned(),
        at: moment(second),
        statements: 4,
        void: None,
        signatures: (0..signatures).map(|n| Digest::of(&[n])).collect(),
        keys: some.then(|| KeyId(Digest::of(b"key"))).into_iter().collect(),
        kept: some.then(|| TRANSIT.to_owned()).into_iter().collect(),
        signed: some.then(|| moment(second + 1)),
        version: Some(1),
        configured: Configured::Transit(place()),
    }
}

/// A request for an attempt that made so many signatures.
fn sign(id: &str, second: i64, signatures: u64) -> Request {
    let answer = Answer { signatures: Some(signatures), versions: [Some(1)].into() };
    Request {
        id: format!("r{second}"),
        at: moment(second),
        time: moment(second).to_string(),
        by: "approle from 127.0.0.1".to_owned(),
        path: "transit/sign/k/sha2-256".to_owned(),
        act: Act::Sign,
        attempts: vec![id.to_owned()],
        outcome: Outcome::Answered(answer),
    }
}

/// Both sides, where Vault's log covers the seconds from 0 to 100.
fn laid(attempts: Vec<Attempt>, requests: Vec<Request>) -> Compared {
    let covered = [Covered { file: "f".into(), lines: 1, period: Some((moment(0), moment(100))) }];
    let vaults = Vaults { place: &place(), covered: &covered, requests: &requests, slack: 0 };
    compare(&vaults, &Recorded { attempts, ..Recorded::default() })
}

fn codes(attempts: Vec<Attempt>, requests: Vec<Request>) -> Vec<&'static str> {
    laid(attempts, requests).findings.into_iter().map(|finding| finding.code).collect()
}

#[test]
fn what_belongs_together_matches_and_what_was_lost_or_never_asked_is_counted() {
    let attempts = vec![attempt("a", 10, 4), attempt("b", 20, 0), attempt("c", 30, 0), attempt("d", 40, 2)];
    let found = laid(attempts, vec![sign("a", 10, 4), sign("b", 21, 4), sign("d", 41, 2)]);
    assert!(found.findings.is_empty(), "{found:?}");
    let Attempts { matched, lost, unused, elsewhere, outside } = found.attempts;
    assert_eq!((matched, lost, unused, elsewhere, outside, found.signs), (2, 1, 1, 0, 0, 3));
    assert_eq!((found.lost[0].entry, found.lost[0].code), (Some(20), "lost-answer"));
}

#[test]
fn a_request_of_no_attempt_of_an_unknown_one_or_of_two_is_found() {
    let with = |attempts: &[&str]| {
        let attempts = attempts.iter().map(|a| (*a).to_owned()).collect();
        codes(vec![attempt("a", 10, 0)], vec![Request { attempts, ..sign("a", 10, 1) }])
    };
    assert_eq!(with(&[]), ["no-attempt"]);
    assert_eq!(with(&["hmac-sha256:00"]), ["no-attempt"]);
    assert_eq!(with(&["A"]), ["unknown-attempt"]);
    assert_eq!(with(&["a", "b"]), ["many-attempts"]);
    assert_eq!(with(&["a"]), [""; 0]);
}

#[test]
fn two_requests_for_one_attempt_are_found_however_they_ended_unless_refused() {
    let twice =
        |outcome| codes(vec![attempt("a", 10, 0)], vec![sign("a", 10, 4), Request { outcome, ..sign("a", 11, 4) }]);
    let answer = Answer { signatures: None, versions: BTreeSet::new() };
    assert_eq!(twice(Outcome::Unanswered), ["signed-twice"; 2]);
    assert_eq!(twice(Outcome::Answered(answer)), ["signed-twice"; 2]);
    assert_eq!(twice(Outcome::Refused), [""; 0]);
}

#[test]
fn more_signatures_than_are_recorded_or_announced_and_fewer_than_are_recorded_are_found() {
    assert_eq!(codes(vec![attempt("a", 10, 2)], vec![sign("a", 10, 3)]), ["other-count"]);
    assert_eq!(codes(vec![attempt("a", 10, 2)], vec![sign("a", 10, 1)]), ["other-count"]);
    assert_eq!(codes(vec![attempt("a", 10, 0)], vec![sign("a", 10, 5)]), ["other-count"]);
    // Nothing was signed, so no answer was lost.
    let refused = laid(vec![attempt("a", 10, 0)], vec![sign("a", 10, 0)]);
    assert_eq!((refused.refused, refused.attempts.unused, refused.findings.len()), (1, 1, 0));
    assert_eq!(codes(vec![attempt("a", 10, 1)], vec![sign("a", 10, 0)]), ["not-signed"]);
}

#[test]
fn an_answer_that_can_not_be_seen_or_is_missing_is_no_match() {
    let with =
        |recorded, outcome| codes(vec![attempt("a", 10, recorded)], vec![Request { outcome, ..sign("a", 10, 4) }]);
    let unseen = || Outcome::Answered(Answer { signatures: None, versions: BTreeSet::new() });
    assert_eq!((with(4, unseen()), with(0, unseen())), (vec!["unseen"], vec!["unseen"]));
    assert_eq!(with(4, Outcome::Unanswered), ["no-answer"]);
    let lost = laid(vec![attempt("a", 10, 0)], vec![Request { outcome: Outcome::Unanswered, ..sign("a", 10, 4) }]);
    assert_eq!((lost.attempts.lost, lost.findings.len()), (1, 0));
}

#[test]
fn another_version_is_found_by_what_was_pinned_and_by_what_the_same_key_was_before() {
    let by = |version: Option<u64>, second| {
        let answer = Answer { signatures: Some(4), versions: [Some(1), version].into() };
        Request { outcome: Outcome::Answered(answer), ..sign("a", second, 4) }
    };
    assert_eq!(codes(vec![attempt("a", 10, 0)], vec![by(Some(2), 10)]), ["other-version"]);
    assert_eq!(codes(vec![attempt("a", 10, 0)], vec![by(None, 10)]), ["other-version"]);
    let unpinned = |id: &str, second| Attempt { version: None, ..attempt(id, second, 4) };
    let other = Request {
        outcome: Outcome::Answered(Answer { signatures: Some(4), versions: [Some(2)].into() }),
        ..sign("b", 20, 4)
    };
    assert_eq!(codes(vec![unpinned("a", 10), unpinned("b", 20)], vec![sign("a", 10, 4), other]), ["other-version"]);
}

#[test]
fn another_use_of_the_key_is_found_and_a_change_of_it_is_told() {
    let act = |act, outcome| laid(vec![], vec![Request { act, outcome, ..sign("a", 10, 1) }]);
    let used = act(Act::Use, Outcome::Unanswered);
    assert_eq!(used.findings.iter().map(|f| f.code).collect::<Vec<_>>(), ["other-use"]);
    let refused = act(Act::Use, Outcome::Refused);
    assert_eq!((refused.findings.len(), refused.refused), (0, 1));
    let changed = act(Act::Administer, Outcome::Unanswered);
    assert_eq!((changed.findings.len(), changed.administered.len()), (0, 1));
}

#[test]
fn a_recorded_signature_that_vault_did_not_make_is_found_where_its_log_covers_the_time_and_only_there() {
    for (second, code, outside) in
        [(10, "not-signed", 0), (0, "not-signed", 0), (-1, "", 1), (100, "", 1), (99, "not-signed", 0)]
    {
        let found = laid(vec![attempt("a", second, 4)], vec![]);
        assert_eq!(found.attempts.outside, outside, "{second}");
        assert_eq!(found.findings.first().map_or("", |f| f.code), code, "{second}");
    }
    // The time between two files is of neither.
    let file = |from, to| Covered { file: "f".into(), lines: 1, period: Some((moment(from), moment(to))) };
    let recorded = Recorded { attempts: vec![attempt("a", 10, 4)], ..Recorded::default() };
    let of = |covered: &[Covered], slack| {
        compare(&Vaults { place: &place(), covered, requests: &[], slack }, &recorded).findings.len()
    };
    assert_eq!(of(&[file(0, 10), file(11, 100)], 0), 0);
    assert_eq!(of(&[file(0, 10), file(10, 11)], 0), 1);
    assert_eq!((of(&[file(0, 20)], 9), of(&[file(0, 20)], 10)), (1, 0), "clocks may differ");
}

#[test]
fn a_request_before_its_attempt_or_after_its_signatures_is_found() {
    for (second, code) in [(9, "before-attempt"), (10, ""), (11, ""), (12, "after-signatures")] {
        let found = codes(vec![attempt("a", 10, 4)], vec![sign("a", second, 4)]);
        assert_eq!(found.first().copied().unwrap_or(""), code, "{second}");
    }
}

#[test]
fn an_attempt_that_counts_for_nothing_or_was_made_elsewhere_vouches_for_no_request() {
    let void = Attempt { void: Some("of a promotion that never began"), ..attempt("a", 10, 0) };
    assert_eq!(codes(vec![void], vec![sign("a", 10, 4)]), ["void-attempt"]);
    for other in [
        Attempt { kept: ["file".to_owned()].into(), ..attempt("a", 10, 4) },
        Attempt { kept: ["vault-kv".to_owned()].into(), ..attempt("a", 10, 4) },
        Attempt { configured: Configured::Elsewhere, ..attempt("a", 10, 0) },
        Attempt { configured: Configured::Transit(Place::new(None, "transit", "k2")), ..attempt("a", 10, 4) },
    ] {
        assert_eq!(codes(vec![other.clone()], vec![sign("a", 10, 4)]), ["elsewhere"]);
        let alone = laid(vec![other], vec![]);
        assert_eq!((alone.attempts.elsewhere, alone.findings.len()), (1, 0));
    }
    // Whoever says that an attempt of Vault's key was made elsewhere in the configuration is not believed over the signature.
    let claimed = Attempt { configured: Configured::Elsewhere, ..attempt("a", 10, 4) };
    assert_eq!(codes(vec![claimed], vec![]), ["not-signed"]);
}

/// Entries as a log has them.
fn entries(bodies: Vec<Result<Body, u8>>) -> Vec<Entry> {
    let content = |body| match body {
        Ok(body) => Content::Ours { body, bytes: Vec::new(), salt: Salt::from_raw([0; 32]) },
        Err(kind) => Content::Forgotten(Commitment::to(kind, &Salt::from_raw([0; 32]), b"")),
    };
    (0..).zip(bodies).map(|(index, body)| Entry { index, content: content(body) }).collect()
}

#[test]
fn a_log_says_of_each_attempt_what_was_signed_and_pinned_and_what_is_gone() {
    let promotion = PromotionId(Digest::of(b"promotion"));
    let attempt = |id: &str| -> Result<Body, u8> {
        let (id, statements, at) = (id.to_owned(), vec![Digest::of(b"one"), Digest::of(b"two")], moment(0));
        Ok(entry::Attempt { promotion, id, permit: 0, statements, at }.into())
    };
    let signature = |attempt: &str, payload: &[u8], at| -> Result<Body, u8> {
        let (payload_type, payload, signature) = ("t".to_owned(), Base64(payload.to_vec()), Base64(Vec::new()));
        let (key, key_kept, attempt) = (KeyId(Digest::of(b"key")), TRANSIT.to_owned(), attempt.to_owned());
        Ok(entry::Signature { promotion, attempt, payload_type, payload, signature, key, key_kept, at }.into())
    };
    let config = |file: &str, text: &str| -> Result<Body, u8> {
        let (file, text, digest) = (file.to_owned(), text.to_owned(), Digest::of(text.as_bytes()));
        Ok(Configuration { file, digest, before: None, text, at: moment(0) }.into())
    };
    let transit = "verifier_id = \"v\"\n[vault]\nnamespace = \"team\"\n[vault.transit]\nkey = \"k\"\nversion = 3\n";
    let log = entries(vec![
        attempt("before"),
        config("signer.toml", transit),
        config("intake.toml", "[vault.transit]\nkey = \"other\"\nversion = 9\n"),
        attempt("a"),
        signature("a", b"one", moment(1)),
        // The same statement again needs no other of Vault's, and a void one none at all.
        signature("a", b"one", moment(2)),
        signature("a", b"two", moment(9)),
        config("signer.toml", "[registry]\n"),
        attempt("b"),
        config("signer.toml", "vault = 7"),
        attempt("c"),
        Err(entry::Attempt::KIND),
        Err(entry::Signature::KIND),
        Err(entry::Signature::KIND),
        Err(entry::Opened::KIND),
    ]);
    let recorded = Recorded::of(&log, &[(6, "not the image key's"), (8, "of nothing")].into());
    let place = Place::new(Some("team"), "transit", "k");
    assert_eq!(recorded.newest, Some(place.clone()));
    let said = |n: usize| {
        let Attempt { id, configured, version, void, .. } = &recorded.attempts[n];
        (id.as_str(), configured.clone(), *version, *void)
    };
    assert_eq!(said(0), ("before", Configured::Unknown, None, None));
    assert_eq!(said(1), ("a", Configured::Transit(place), Some(3), None));
    assert_eq!(said(2), ("b", Configured::Elsewhere, None, Some("of nothing")));
    assert_eq!(said(3), ("c", Configured::Unknown, None, None));
    assert_eq!((recorded.attempts[1].signatures.len(), recorded.attempts[1].signed), (1, Some(moment(2))));
    let not = recorded.not_checked().join("; ");
    assert!(not.starts_with("1 attempts and 2 signatures, which were forgotten"), "{not}");
    assert!(not.contains("1 recorded signatures that count for nothing") && not.contains("which version"), "{not}");
}

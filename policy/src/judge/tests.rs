use artifact::digest::CommitId;
use artifact::key::{Ed25519Key, KeyId};
use artifact::lane::{LaneName, Public};
use artifact::statement::facts::{CommitSignature, Facts};
use artifact::statement::sandbox::{Runs, Sandbox};
use artifact::{Digest, statement::comparison::Difference};

use super::*;
use crate::rules::Rules;

const COMMIT: &str = "1111111111111111111111111111111111111111";
const BASE: &str = "r.example/base@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const SIGNER: &str = "ann@x ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKn1rXOMKvB7Bq6Vc7oTq0A3xkYBzT3WeOeC7u9VQ0X";

/// Everything a decision looks at, in owned form, so that a test changes one thing.
struct Setting {
    rules: Rules,
    trial: bool,
    facts: Facts,
    signature: Option<CommitSignature>,
    results: Vec<TestResult>,
    comparisons: Vec<(KeyId, Comparison)>,
    now: Moment,
}

fn moment(text: &str) -> Moment {
    text.parse().unwrap()
}

fn rules_text(key: &str) -> String {
    format!(
        r#"
version = 1
[[project]]
name = "hello"
branch = "main"
repository = "r.example/prod/hello"
tags = ["latest", "{{commit}}"]
required_jobs = ["build", "test"]
proofs = ["commit-signature", "test-result"]
result_keys = ["""{key}"""]
allowed_signers = "{SIGNER}"
bases = ["{BASE}"]
least_level = "bit-for-bit"
runtimes = ["runc"]
"#
    )
}

fn good() -> Setting {
    let key = Ed25519Key::from_seed(&[7; 32]).unwrap().public();
    let rules = Rules::parse(rules_text(&key.to_string()).as_bytes()).unwrap();
    let commit: CommitId = COMMIT.parse().unwrap();
    let result = TestResult {
        envelope: Digest::of(b"result"),
        key: key.id(),
        result: "PASSED".into(),
        passed: vec!["build".into(), "test".into()],
        warned: vec![],
        failed: vec![],
        run: "42".into(),
        attempt: 1,
        finished: moment("2026-11-23T09:00:00Z"),
    };
    let signature = CommitSignature { scheme: "ssh".into(), principal: "ann@x".into() };
    let facts = Facts {
        lane: LaneName::Public,
        trial: false,
        project: "hello".parse().unwrap(),
        source: "https://forge.example/hello".into(),
        commit: commit.clone(),
        tree: "2222222222222222222222222222222222222222".parse().unwrap(),
        branch: "main".parse().unwrap(),
        position: Position::Head,
        head: commit.clone(),
        branch_checked: moment("2026-11-23T10:00:00Z"),
        rewritten: false,
        commit_signature: Some(signature.clone()),
        results: vec![result.clone()],
        unusable: vec![],
        candidate: Some(format!("s.example/hello@{}", Digest::of(b"candidate")).parse().unwrap()),
        dossier: Digest::of(b"dossier"),
        recipe: Digest::of(b"recipe"),
        bases: vec![BASE.parse().unwrap()],
        stated: moment("2026-11-23T10:00:00Z"),
        nonce: "00".repeat(16),
    };
    let comparison = Comparison {
        lane: LaneName::Public,
        trial: false,
        project: "hello".parse().unwrap(),
        commit,
        dossier: facts.dossier,
        nonce: facts.nonce.clone(),
        rebuild: Digest::of(b"candidate"),
        candidate: Digest::of(b"candidate"),
        level: Level::BitForBit,
        differences: vec![],
        differences_total: 0,
        runs: Runs { varied: vec!["host name".into()], not_varied: vec![], equal: true },
        run_differences: vec![],
        run_differences_total: 0,
        sandbox: Sandbox {
            runtime: "runc".into(),
            version: "1.3.4".into(),
            verdict: "known-good".into(),
            advisories: vec![],
            enforced: vec![],
            not_enforced: vec![],
        },
        builder: "builder-1".into(),
        finished: moment("2026-11-23T10:00:30Z"),
    };
    Setting {
        rules,
        trial: false,
        signature: Some(signature),
        results: vec![result],
        facts,
        comparisons: vec![(KeyId(Digest::of(b"comparer")), comparison)],
        now: moment("2026-11-23T10:01:00Z"),
    }
}

fn decide_in(setting: &Setting) -> Decision<Public> {
    let attested: Vec<Attested<'_>> = setting
        .comparisons
        .iter()
        .map(|(key, says)| Attested { envelope: Digest::of(b"comparison"), key: *key, says })
        .collect();
    let nonce = "00".repeat(16);
    let case = Case {
        lane: Public,
        trial: setting.trial,
        rules: setting.rules.digest(),
        nonce: &nonce,
        facts: &setting.facts,
        facts_envelope: Digest::of(b"facts"),
        commit_signature: setting.signature.as_ref(),
        results: &setting.results,
        comparisons: &attested,
        previous: None,
    };
    decide(&case, &setting.rules.projects()[0], setting.now)
}

fn codes(change: impl FnOnce(&mut Setting)) -> Vec<Code> {
    let mut setting = good();
    change(&mut setting);
    match decide_in(&setting) {
        Decision::Permit(_) => vec![],
        Decision::Refusal(refusal) => refusal.reasons.into_iter().map(|r| r.code).collect(),
    }
}

#[test]
fn a_good_case_is_permitted_on_terms_that_name_everything() {
    let setting = good();
    let Decision::Permit(permit) = decide_in(&setting) else { panic!("refused") };
    let terms = permit.into_terms();
    assert_eq!(terms.digest, Digest::of(b"candidate"));
    assert_eq!(terms.repository.as_str(), "r.example/prod/hello");
    assert_eq!(terms.tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["latest", COMMIT]);
    assert_eq!(terms.rules, setting.rules.digest());
    assert_eq!(terms.expires, moment("2026-11-23T10:11:00Z"));
}

#[test]
fn every_fault_has_its_code_and_no_other() {
    type Change = fn(&mut Setting);
    let table: &[(Code, Change)] = &[
        (Code::WrongProject, |s| {
            s.facts.project = "other".parse().unwrap();
            s.comparisons[0].1.project = s.facts.project.clone();
        }),
        (Code::WrongTrial, |s| {
            s.facts.trial = true;
            s.comparisons[0].1.trial = true;
        }),
        (Code::WrongNonce, |s| {
            s.facts.nonce = "11".repeat(16);
            s.comparisons[0].1.nonce = s.facts.nonce.clone();
        }),
        (Code::WrongBranch, |s| s.facts.branch = "feature".parse().unwrap()),
        (Code::NotOnBranch, |s| s.facts.position = Position::Elsewhere),
        (Code::HistoryRewritten, |s| s.facts.rewritten = true),
        (Code::BranchStale, |s| s.facts.branch_checked = moment("2026-11-23T09:45:59Z")),
        (Code::FromTheFuture, |s| s.facts.stated = moment("2026-11-23T10:06:01Z")),
        (Code::CommitUnsigned, |s| s.signature = None),
        (Code::NoTestResult, |s| s.results.clear()),
        (Code::NoTestResult, |s| s.results[0].key = KeyId(Digest::of(b"stranger"))),
        (Code::NotPassed, |s| s.results[0].result = "passed".into()),
        (Code::JobMissing, |s| s.results[0].passed = vec!["build".into()]),
        (Code::JobNotPassed, |s| s.results[0].failed = vec!["test".into()]),
        (Code::JobNotPassed, |s| s.results[0].warned = vec!["test".into()]),
        (Code::EvidenceStale, |s| s.results[0].finished = moment("2026-11-22T10:00:59Z")),
        (Code::EvidenceInconsistent, |s| {
            let older = TestResult { attempt: 2, finished: moment("2026-11-23T08:00:00Z"), ..s.results[0].clone() };
            s.results.push(older);
        }),
        (Code::EvidenceInconsistent, |s| {
            let twin = TestResult { envelope: Digest::of(b"twin"), ..s.results[0].clone() };
            s.results.push(twin);
        }),
        (Code::BaseNotAllowed, |s| s.facts.bases.push(format!("r.example/evil@{}", Digest::of(b"x")).parse().unwrap())),
        (Code::BaseNotAllowed, |s| s.facts.bases.clear()),
        (Code::TooFewComparers, |s| s.comparisons.clear()),
        (Code::ComparisonMismatch, |s| s.comparisons[0].1.candidate = Digest::of(b"other")),
        (Code::ComparisonMismatch, |s| s.comparisons[0].1.dossier = Digest::of(b"other")),
        (Code::ComparisonMismatch, |s| s.comparisons[0].1.nonce = "22".repeat(16)),
        (Code::RebuildsDisagree, |s| {
            let other = Comparison { rebuild: Digest::of(b"other"), ..s.comparisons[0].1.clone() };
            s.comparisons.push((KeyId(Digest::of(b"second")), other));
        }),
        (Code::LevelTooLow, |s| s.comparisons[0].1.level = Level::SameLayers),
        (Code::NotDeterministic, |s| s.comparisons[0].1.runs.equal = false),
        (Code::RuntimeNotAccepted, |s| s.comparisons[0].1.sandbox.runtime = "docker".into()),
    ];
    for (number, (code, change)) in table.iter().enumerate() {
        assert_eq!(codes(change), [*code], "line {number}");
    }
}

#[test]
fn a_missing_candidate_and_another_lane_are_refused_with_all_they_break() {
    let found = codes(|s| s.facts.candidate = None);
    assert_eq!(found, [Code::CandidateMissing, Code::ComparisonMismatch]);
    let found = codes(|s| s.facts.lane = "embargo/x".parse().unwrap());
    assert_eq!(found, [Code::WrongLane, Code::ComparisonMismatch]);
}

#[test]
fn a_later_red_revokes_an_earlier_green() {
    let found = codes(|s| {
        let red = TestResult {
            envelope: Digest::of(b"red"),
            run: "43".into(),
            result: "FAILED".into(),
            passed: vec![],
            failed: vec!["test".into()],
            finished: moment("2026-11-23T09:30:00Z"),
            ..s.results[0].clone()
        };
        s.results.push(red);
    });
    assert_eq!(found, [Code::NotPassed, Code::JobMissing, Code::JobNotPassed]);
}

#[test]
fn every_reason_is_given_at_once_and_a_divergence_names_its_first_place() {
    let mut setting = good();
    setting.signature = None;
    setting.results.clear();
    setting.comparisons[0].1.level = Level::Diverged;
    setting.comparisons[0].1.differences_total = 1;
    setting.comparisons[0].1.differences = vec![Difference {
        path: "usr/bin/hello".into(),
        kind: "setuid".into(),
        rebuild: "0755".into(),
        candidate: "4755".into(),
    }];
    let Decision::Refusal(refusal) = decide_in(&setting) else { panic!("permitted") };
    let codes: Vec<_> = refusal.reasons.iter().map(|r| r.code).collect();
    assert_eq!(codes, [Code::CommitUnsigned, Code::NoTestResult, Code::Diverged]);
    assert!(refusal.reasons[2].message.contains("usr/bin/hello (setuid): ours 0755, CI's 4755"));
}

#[test]
fn k_comparers_means_k_keys() {
    let two = rules_text(&Ed25519Key::from_seed(&[7; 32]).unwrap().public().to_string()) + "comparers = 2\n";
    let mut setting = good();
    setting.rules = Rules::parse(two.as_bytes()).unwrap();
    let twice = (setting.comparisons[0].0, setting.comparisons[0].1.clone());
    setting.comparisons.push(twice);
    assert!(matches!(decide_in(&setting), Decision::Refusal(r) if r.reasons[0].code == Code::TooFewComparers));
    setting.comparisons[1].0 = KeyId(Digest::of(b"second"));
    assert!(matches!(decide_in(&setting), Decision::Permit(_)));
}

#[test]
fn rules_that_would_let_anything_through_are_errors() {
    let good = rules_text(&Ed25519Key::from_seed(&[7; 32]).unwrap().public().to_string());
    for (from, to) in [
        ("version = 1", "version = 2"),
        (r#"required_jobs = ["build", "test"]"#, "required_jobs = []"),
        (r#"proofs = ["commit-signature", "test-result"]"#, "proofs = []"),
        (r#"tags = ["latest", "{commit}"]"#, "tags = []"),
        (r#"tags = ["latest", "{commit}"]"#, r#"tags = ["{branch}"]"#),
        (r#"least_level = "bit-for-bit""#, r#"least_level = "diverged""#),
        (r#"least_level = "bit-for-bit""#, r#"least_level = "any""#),
        (r#"runtimes = ["runc"]"#, "runtimes = []"),
        (r#"runtimes = ["runc"]"#, "runtimes = [\"runc\"]\ncomparers = 0"),
        (r#"runtimes = ["runc"]"#, "runtimes = [\"runc\"]\npermit_minutes = 6000"),
        (r#"runtimes = ["runc"]"#, "runtimes = [\"runc\"]\nunheard_of = true"),
        (&format!("allowed_signers = \"{SIGNER}\""), ""),
        (&format!("bases = [\"{BASE}\"]"), "bases = []"),
    ] {
        let text = good.replace(from, to);
        assert_ne!(text, good, "{from}");
        assert!(Rules::parse(text.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn codes_have_one_spelling() {
    for code in Code::ALL {
        assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{code}\""));
    }
}

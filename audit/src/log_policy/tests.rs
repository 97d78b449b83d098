use artifact::key::Ed25519Key;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::cosignature::cosign;
use crate::merkle::TreeHash;

const AT: u64 = 1_800_000_000;

fn key(n: u8) -> Ed25519Key {
    Ed25519Key::from_seed(&[n; 32]).unwrap()
}

fn log() -> Vkey {
    Vkey::new("a.example/log", &key(200)).unwrap()
}

fn witness(n: u8) -> WitnessKey {
    WitnessKey::new(&format!("w.example/{n}"), &key(n)).unwrap()
}

/// A checkpoint, cosigned by these.
fn checkpoint(witnesses: &[u8]) -> SignedCheckpoint {
    let says = Checkpoint { origin: "a.example/log".into(), size: 3, root: TreeHash::leaf(b"x") };
    let lines = witnesses.iter().map(|n| cosign(&says.to_string(), &format!("w.example/{n}"), &key(*n), AT).unwrap());
    let lines: String = lines.collect();
    let note = SignedCheckpoint::sign(says, &key(200)).unwrap().note().to_owned() + &lines;
    SignedCheckpoint::open(&note, &log()).unwrap()
}

fn now() -> Moment {
    Moment::from_unix(AT as i64).unwrap()
}

/// Six witnesses, `w1` to `w6`, and what follows.
fn policy(rest: &str) -> Result<LogPolicy, PolicyError> {
    let witnesses: String = (1..=6).map(|n| format!("witness w{n} {}\n", witness(n))).collect();
    LogPolicy::parse(&format!("log {}\n{witnesses}{rest}", log()))
}

#[test]
fn the_example_of_the_specification_asks_for_two_of_one_house_and_one_of_another() {
    let policy = policy(
        "# The first house.\n\ngroup X 2 w1 w2 w3\n \tgroup  Y\tany w4 w5 w6  \ngroup X-and-Y all X Y\nquorum X-and-Y\n",
    )
    .unwrap();
    assert_eq!((policy.quorum(), policy.witnesses().count()), (Some("X-and-Y"), 6));
    for chosen in 0..1 << 6 {
        let who: Vec<u8> = (1..=6).filter(|n| chosen >> (n - 1) & 1 == 1).collect();
        let enough = who.iter().filter(|n| **n <= 3).count() >= 2 && who.iter().any(|n| *n > 3);
        match policy.open(checkpoint(&who).note(), now()) {
            Ok((opened, cosigned)) => {
                assert!(enough, "{who:?}");
                assert_eq!((opened.size(), cosigned.len()), (3, who.len()));
                assert!(cosigned.iter().all(|c| c.at == now()));
            }
            Err(PolicyError::Quorum { size: 3, .. }) => assert!(!enough, "{who:?}"),
            Err(other) => panic!("{who:?}: {other}"),
        }
    }
}

#[test]
fn a_quorum_may_be_one_witness_or_nobody() {
    let one = policy("quorum w2\n").unwrap();
    assert!(one.judge(&checkpoint(&[2]), now()).is_ok());
    let unmet = one.judge(&checkpoint(&[1, 3]), now()).unwrap_err().to_string();
    assert!(unmet.contains("asks for \"w2\", and of those whom it lists only w1, w3 did"), "{unmet}");
    let nobody = policy("quorum none\n").unwrap();
    assert_eq!(nobody.quorum(), None);
    assert!(nobody.judge(&checkpoint(&[]), now()).unwrap().is_empty());
    assert_eq!(nobody.judge(&checkpoint(&[5]), now()).unwrap().len(), 1);
}

#[test]
fn a_wrong_cosignature_of_a_listed_witness_is_refused_even_when_there_are_enough() {
    let policy = policy("quorum w1\n").unwrap();
    let good = checkpoint(&[1]);
    let text = Checkpoint { origin: "a.example/log".into(), size: 4, root: *good.root() }.to_string();
    let of_another = cosign(&text, "w.example/2", &key(2), AT).unwrap();
    let open = |line: &str| policy.open(&format!("{}{line}", good.note()), now());
    assert!(matches!(open(&of_another), Err(PolicyError::Cosignature(name, _)) if name == "w2"));
    // A stranger's line, right or wrong, is nothing.
    let says = Checkpoint { origin: "a.example/log".into(), size: 3, root: *good.root() }.to_string();
    for stranger in [cosign(&text, "x.example", &key(99), AT), cosign(&says, "w.example/2", &key(99), AT)] {
        assert_eq!(open(&stranger.unwrap()).unwrap().1.len(), 1);
    }
    let later = cosign(&says, "w.example/2", &key(2), AT + SKEW + 1).unwrap();
    assert!(matches!(open(&later), Err(PolicyError::Future(name, _)) if name == "w2"));
    assert!(open(&cosign(&says, "w.example/2", &key(2), AT + SKEW).unwrap()).is_ok());
}

#[test]
fn only_a_listed_logs_checkpoint_is_opened() {
    let policy = policy("quorum none\n").unwrap();
    let says = Checkpoint { origin: "b.example/log".into(), size: 3, root: TreeHash::leaf(b"x") };
    let other = SignedCheckpoint::sign(says.clone(), &key(200)).unwrap();
    assert!(matches!(policy.open(other.note(), now()), Err(PolicyError::Unlisted(_))));
    let forged = SignedCheckpoint::sign(Checkpoint { origin: "a.example/log".into(), ..says }, &key(201)).unwrap();
    assert!(matches!(policy.open(forged.note(), now()), Err(PolicyError::Checkpoint(_))));
    assert!(policy.lists(&log()) && !policy.lists(&Vkey::new("a.example/log", &key(201)).unwrap()));
    let unlisted = LogPolicy::parse("quorum none\n").unwrap();
    assert!(unlisted.lists(&log()));
    assert!(unlisted.open(checkpoint(&[]).note(), now()).is_err());
    // Of two logs either will do.
    let second = Vkey::new("b.example/log", &key(202)).unwrap();
    let both = LogPolicy::parse(&format!("log {second} https://b.example/\nlog {}\nquorum none\n", log())).unwrap();
    assert!(both.open(checkpoint(&[]).note(), now()).is_ok());
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let dupe = witness(1);
    let renamed = WitnessKey::new("other.example", &key(1)).unwrap();
    let as_witness = WitnessKey::new("a.example/log", &key(200)).unwrap();
    for wrong in [
        String::new(),
        "quorum w1".into(),
        "quorum w1\r\n".into(),
        "group g any w1\n".into(),
        "quorum w1\nquorum w1\n".into(),
        "quorum w7\n".into(),
        "quorum g\ngroup g any w1\n".into(),
        "quorum none more\n".into(),
        "quorum\n".into(),
        "witness w1 w.example/9+00000000+AAAA\nquorum w1\n".into(),
        format!("witness again {dupe}\nquorum w1\n"),
        format!("witness again {renamed}\nquorum w1\n"),
        format!("witness log {as_witness}\nquorum w1\n"),
        format!("witness none {}\nquorum w1\n", witness(9)),
        format!("witness w1 {}\nquorum w1\n", witness(9)),
        format!("witness w9 {} https://w.example/ more\nquorum w1\n", witness(9)),
        format!("witness w9 {} # ours\nquorum w1\n", witness(9)),
        format!("witness w\u{2003}9 {}\nquorum w1\n", witness(9)),
        format!("witness w\u{1b}9 {}\nquorum w1\n", witness(9)),
        format!("witness w9 {}\nquorum w1\n", log()),
        format!("log {}\nquorum w1\n", witness(9)),
        format!("log {}\nquorum w1\n", log()),
        "group g 0 w1 w2\nquorum g\n".into(),
        "group g 3 w1 w2\nquorum g\n".into(),
        "group g 02 w1 w2\nquorum g\n".into(),
        "group g +2 w1 w2\nquorum g\n".into(),
        "group g most w1 w2\nquorum g\n".into(),
        "group g all\nquorum w1\n".into(),
        "group g all w1 w1\nquorum g\n".into(),
        "group g all w1 none\nquorum g\n".into(),
        "group g all w1 g\nquorum g\n".into(),
        "group g all w1\ngroup h all g w1\nquorum h\n".into(),
        "group none all w1\nquorum none\n".into(),
        "group w1 all w2\nquorum w1\n".into(),
        "Quorum w1\n".into(),
        "log\nquorum w1\n".into(),
    ] {
        let error = policy(&wrong).unwrap_err().to_string();
        assert!(error.len() < 1_000 && !error.contains(char::is_control), "{error}");
    }
    assert!(policy("quorum w1\n").is_ok());
}

#[test]
fn a_policy_is_bounded_and_a_deep_one_is_read() {
    let many: String = (0..=COUNT as u8).map(|n| format!("witness x{n} {}\n", witness(n + 50))).collect();
    assert!(matches!(LogPolicy::parse(&(many + "quorum none\n")), Err(PolicyError::Line(65, _))));
    // Each group holds the one before.
    let deep: String = (1..COUNT).map(|n| format!("group g{n} any g{}\n", n - 1)).collect();
    let policy = policy(&format!("group g0 any w1\n{deep}quorum g{}\n", COUNT - 1)).unwrap();
    assert!(policy.judge(&checkpoint(&[1]), now()).is_ok() && policy.judge(&checkpoint(&[2]), now()).is_err());
    let long = format!("# {}\nquorum none\n", "x".repeat(LIMIT));
    assert!(matches!(LogPolicy::parse(&long), Err(PolicyError::Shape(_))));
}

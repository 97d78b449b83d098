use ssh_key::PrivateKey;
use ssh_key::private::{Ed25519Keypair, KeypairData};

use super::*;

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
}

fn line(principal: &str, options: &str, seed: u8) -> String {
    format!("{principal} {options} {}\n", key(seed).public_key().to_openssh().unwrap())
}

fn sign(statement: &[u8], namespace: &str, seed: u8) -> Vec<u8> {
    let signature = key(seed).sign(namespace, HashAlg::Sha512, statement).unwrap();
    signature.to_pem(ssh_key::LineEnding::LF).unwrap().into_bytes()
}

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

fn now() -> Moment {
    at("2026-11-25T12:00:00Z")
}

fn order() -> Order {
    Order {
        kind: NAMESPACE.to_owned(),
        lane: LaneName::Public,
        action: Action::Forget { indexes: vec![1, 7] },
        rules: Digest::of(b"rules"),
        nonce: "0123456789abcdef".repeat(2),
        expires: at("2026-11-26T12:00:00Z"),
        reason: "asked for by the author".to_owned(),
    }
}

/// Ann has two keys, 1 and 2; ben has 3, for orders alone; 4 was carol's.
fn rules() -> OrderRules {
    let list = [
        line("ann@x", "", 1),
        line("ann@x", "", 2),
        line("ben@x", "namespaces=\"countersign-order@v1\"", 3),
        line("carol@x", "valid-before=20260101Z", 4),
        line("dan@x", "namespaces=\"git\"", 5),
    ];
    OrderRules {
        allowed_signers: AllowedSigners::parse(&list.concat()).unwrap(),
        forget: 2,
        revoke: 2,
        rotate: 2,
        resign: 2,
    }
}

fn judge(statement: &[u8], seeds: &[u8]) -> Result<Vec<String>, OrderError> {
    let signatures: Vec<_> = seeds.iter().map(|seed| sign(statement, NAMESPACE, *seed)).collect();
    let judged = rules().judge(statement, &signatures, (&LaneName::Public, &Digest::of(b"rules"), now()));
    judged.map(|(_, signed)| signed.into_iter().map(|s| s.principal).collect())
}

#[test]
fn an_order_counts_people_and_not_keys() {
    let statement = order().to_bytes().unwrap();
    assert_eq!(judge(&statement, &[1, 3]).unwrap(), ["ann@x", "ben@x"]);
    assert_eq!(judge(&statement, &[1, 2, 3, 4, 9]).unwrap(), ["ann@x", "ben@x"]);
    for (seeds, said) in [
        (&[][..], "0 of 2 people have signed it"),
        (&[1][..], "1 of 2 people have signed it: ann@x has"),
        (&[1, 1], "ann@x signed twice"),
        (&[1, 2], "ann@x signed twice"),
        (&[1, 4], "on no line"),
        (&[1, 5], "on no line"),
        (&[1, 9], "on no line"),
        // A sixth signature is not looked at.
        (&[9, 9, 9, 9, 1, 3], "1 of 2"),
    ] {
        let error = judge(&statement, seeds).unwrap_err();
        assert_eq!(error.code(), "order-signers");
        assert!(error.to_string().contains(said), "{seeds:?}: {error}");
    }
}

#[test]
fn an_order_counts_for_its_lane_rules_and_time_alone() {
    for (change, code) in [
        ((|o: &mut Order| o.lane = "embargo/case-1".parse().unwrap()) as fn(&mut Order), "order-lane"),
        (|o| o.rules = Digest::of(b"others"), "order-rules"),
        (|o| o.expires = now(), "order-expired"),
    ] {
        let mut order = order();
        change(&mut order);
        assert_eq!(judge(&order.to_bytes().unwrap(), &[1, 3]).unwrap_err().code(), code);
    }
}

#[test]
fn a_signature_for_another_text_or_purpose_does_not_count() {
    let statement = order().to_bytes().unwrap();
    let judge = |second: Vec<u8>| {
        let signatures = [sign(&statement, NAMESPACE, 1), second];
        rules().judge(&statement, &signatures, (&LaneName::Public, &Digest::of(b"rules"), now()))
    };
    assert!(judge(sign(&statement, NAMESPACE, 3)).is_ok());
    for (second, said) in [
        (sign(&statement, "git", 3), "sign with -n countersign-order@v1"),
        (sign(b"another", NAMESPACE, 3), "changed since"),
        (b"-----BEGIN SSH SIGNATURE-----\n\x1b[2J".to_vec(), "no SSH signature"),
        (vec![b'x'; SIGNATURE_LIMIT + 1], "too large"),
        (vec![0xff], "no SSH signature"),
    ] {
        let error = judge(second).unwrap_err().to_string();
        assert!(error.contains("1 of 2") && error.contains(said) && !error.contains(char::is_control), "{error}");
    }
}

#[test]
fn a_statement_has_one_spelling_and_no_action_that_is_unknown() {
    let good = String::from_utf8(order().to_bytes().unwrap()).unwrap();
    assert_eq!(Order::parse(good.as_bytes()).unwrap(), order());
    for (from, to) in [
        ("\"forget\"", "\"approve\""),
        ("\"forget\"", "\"\\u001b[2Jforget\""),
        ("[1,7]", "[7,1]"),
        ("[1,7]", "[1,1]"),
        ("[1,7]", "[]"),
        ("[1,7]", "[1, 7]"),
        ("[1,7]", "[-1]"),
        ("{\"indexes\"", "{\"all\":true,\"indexes\""),
        ("{\"action\"", "{\"abc\":1,\"action\""),
        ("countersign-order@v1", "countersign-order@v2"),
        ("0123456789abcdef0123", "0123"),
        ("asked for by the author", " "),
        ("public", "private"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = Order::parse(good.replace(from, to).as_bytes()).unwrap_err();
        let text = error.to_string();
        assert!(error.code() == "order-malformed" && !text.contains(char::is_control) && text.len() < 600, "{text}");
    }
    assert!(Order::parse(&vec![b' '; LIMIT + 1]).is_err());
    let mut long = order();
    long.reason = "x".repeat(REASON + 1);
    assert!(long.to_bytes().is_err());
}

#[test]
fn what_is_recorded_is_sound_by_its_own_keys() {
    let statement = order().to_bytes().unwrap();
    let (ann, again, ben) = (sign(&statement, NAMESPACE, 1), sign(&statement, NAMESPACE, 1), sign(b"x", NAMESPACE, 3));
    assert_eq!(sound(&statement, [("ann@x", &ann[..])]).unwrap(), order());
    assert!(sound(&statement, []).is_err());
    assert!(sound(&statement, [("ann@x", &ann[..]), ("ben@x", &again)]).is_err());
    assert!(sound(&statement, [("ann@x", &ann[..]), ("ben@x", &ben)]).is_err());
    let second = sign(&statement, NAMESPACE, 2);
    assert!(sound(&statement, [("ann@x", &ann[..]), ("ann@x", &second)]).is_err());
}

#[test]
fn rules_that_let_anything_through_are_refused() {
    assert_eq!(rules().check(), Ok(()));
    assert!(OrderRules { forget: 0, ..rules() }.check().is_err());
    assert!(OrderRules { revoke: 6, ..rules() }.check().is_err());
    assert!(OrderRules { allowed_signers: AllowedSigners::default(), ..rules() }.check().is_err());
}

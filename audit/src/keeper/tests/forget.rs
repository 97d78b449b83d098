use artifact::Digest;
use artifact::lane::LaneName;
use artifact::settings;
use policy::OrderRules;
use policy::order::{Action, NAMESPACE};
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::*;
use crate::entry::{Forgotten, Order, OrderSignature, Posture};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
}

/// The entry of an order to forget, signed with these keys, each a person's.
pub(crate) fn order(indexes: Vec<u64>, seeds: &[u8]) -> Body {
    let says = policy::Order {
        kind: NAMESPACE.to_owned(),
        lane: LaneName::Public,
        action: Action::Forget { indexes },
        rules: Digest::of(b"rules"),
        nonce: "0".repeat(32),
        expires: Moment::from_unix(9).unwrap(),
        reason: "a test".to_owned(),
    };
    let statement = says.to_bytes().unwrap();
    let sign = |seed: &u8| {
        let signature = key(*seed).sign(NAMESPACE, HashAlg::Sha512, &statement).unwrap();
        let signature = Base64(signature.to_pem(LineEnding::LF).unwrap().into_bytes());
        OrderSignature { principal: format!("person {seed}"), signature }
    };
    let signatures = seeds.iter().map(sign).collect();
    Order { statement: Base64(statement.clone()), signatures, at: Moment::from_unix(1).unwrap() }.into()
}

/// Two people may order: those of the keys 1 and 2.
fn rules() -> OrderRules {
    let line = |seed| format!("person{seed} {}", key(seed).public_key().to_openssh().unwrap());
    settings::parse(&format!("allowed_signers = \"\"\"\n{}\n{}\n\"\"\"", line(1), line(2))).unwrap()
}

fn forgotten(order: u64, indexes: Vec<u64>) -> Submission {
    Submission::Body(Forgotten { order, indexes, at: Moment::from_unix(1).unwrap() }.into())
}

/// A log of 300 entries, then 300 is a posture, then an order to forget these, and 302 that says so.
fn ordered(indexes: &[u64], seeds: &[u8]) -> (House, Keeper) {
    let house = House::new();
    let mut keeper = house.open().unwrap().ordered_by(Some(rules()));
    for n in 0..6 {
        keeper.append(some(50, &format!("personal {n}")), 0).unwrap();
    }
    let posture = Posture { hellos: Vec::new(), at: Moment::from_unix(1).unwrap() };
    let order = Submission::Body(order(indexes.to_vec(), seeds));
    keeper.append(vec![Submission::Body(posture.into()), order, forgotten(301, indexes.to_vec())], 0).unwrap();
    (house, keeper)
}

fn read(house: &House, keeper: &Keeper) -> Vec<crate::reader::Entry> {
    Log::open(&house.tiles(), keeper.vkey()).unwrap().1
}

/// Whether a text is in any file of a folder.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => holds(&path, text),
            false => fs::read(path).unwrap().windows(text.len()).any(|w| w == text.as_bytes()),
        }
    })
}

#[test]
fn what_people_order_is_gone_from_pack_and_tail_and_every_proof_holds() {
    let (house, mut keeper) = ordered(&[0, 299], &[1, 2]);
    let before = read(&house, &keeper);
    let receipts = keeper.prove(&[0, 299], 0).unwrap().receipts;
    let text = |entry: &crate::reader::Entry| match &entry.content {
        Content::Ours { bytes, salt, .. } => (String::from_utf8(bytes.clone()).unwrap(), *salt),
        _ => unreachable!("it is there"),
    };
    let texts = [text(&before[0]), text(&before[299])];
    // What killed appends left: the same text with another salt, and half of a file.
    let stray = house.tiles().join("body").join("ab".repeat(32));
    fs::write(&stray, &texts[0].0).unwrap();
    fs::write(stray.with_extension("part"), &texts[0].0).unwrap();
    for _ in 0..2 {
        keeper.forget(302).unwrap();
    }
    for (text, _) in &texts {
        assert!(!holds(&house.tiles(), text), "{text}");
    }
    let after = read(&house, &keeper);
    for (index, receipt) in [0, 299].into_iter().zip(&receipts) {
        assert!(matches!(after[index].content, Content::Forgotten(_)));
        receipt.parse::<crate::receipt::Receipt>().unwrap().verify(keeper.vkey(), &after[index].leaf()).unwrap();
    }
    assert_eq!(after.iter().filter(|e| matches!(e.content, Content::Forgotten(_))).count(), 2);
    // The tail is packed without it.
    keeper.append(some(60, "on"), 0).unwrap();
    for _ in 0..4 {
        keeper.append(some(50, "on"), 0).unwrap();
    }
    drop(keeper);
    let mut keeper = house.open().unwrap().ordered_by(Some(rules()));
    assert!(matches!(read(&house, &keeper)[299].content, Content::Forgotten(_)));
    keeper.forget(302).unwrap();
}

#[test]
fn a_keeper_deletes_nothing_that_its_own_list_does_not_know() {
    let refused = |keeper: &mut Keeper, index: u64, said: &str| {
        let error = keeper.forget(index).unwrap_err();
        assert_eq!((error.code.as_str(), error.retry), ("forget-not-ordered", Retry::Never), "{error}");
        assert!(error.message.contains(said), "{error}");
    };
    let (house, mut keeper) = ordered(&[0], &[1]);
    refused(&mut keeper, 302, "1 of 2 people");
    let (_other, mut keeper) = ordered(&[0], &[1, 3]);
    refused(&mut keeper, 302, "1 of 2 people");
    drop(house);

    // A posture, a leaf of Rekor's, an entry after the order, and one that is not there.
    for (indexes, said) in
        [(&[300][..], "never forgotten"), (&[2], "none of ours"), (&[302], "none of ours"), (&[0, 301], "none of ours")]
    {
        let (_house, mut keeper) = ordered(indexes, &[1, 2]);
        refused(&mut keeper, 302, said);
    }

    let (house, mut keeper) = ordered(&[0], &[1, 2]);
    refused(&mut keeper, 301, "does not say");
    keeper.append(vec![forgotten(301, vec![0, 1]), forgotten(7, vec![0]), forgotten(999, vec![0])], 0).unwrap();
    refused(&mut keeper, 303, "something else");
    refused(&mut keeper, 304, "no order at 7");
    refused(&mut keeper, 305, "no order at 999");
    assert!(keeper.forget(400).is_err());
    assert!(read(&house, &keeper).iter().all(|e| !matches!(e.content, Content::Forgotten(_))));
    drop(keeper);
    let mut keeper = house.open().unwrap();
    refused(&mut keeper, 302, "nobody may order it here");
    let mut keeper = keeper.ordered_by(Some(rules()));
    keeper.forget(302).unwrap();
}

#[test]
fn an_order_that_was_not_taken_up_in_its_time_is_none() {
    let Body::Order(mut order) = order(vec![0], &[1, 2]) else { panic!("an order") };
    assert!(order.sound().is_ok());
    order.at = Moment::from_unix(9).unwrap();
    assert_eq!(order.sound().unwrap_err().code(), "order-expired");
}

#[test]
fn an_order_of_another_lane_deletes_nothing_and_none_is_taken_up_as_of_yesterday() {
    let (house, mut keeper) = ordered(&[0], &[1, 2]);
    let mut says = policy::Order {
        kind: NAMESPACE.to_owned(),
        lane: "embargo/case-1".parse().unwrap(),
        action: Action::Forget { indexes: vec![0] },
        rules: Digest::of(b"rules"),
        nonce: "1".repeat(32),
        expires: Moment::from_unix(9).unwrap(),
        reason: "a test".to_owned(),
    };
    let signed = |says: &policy::Order| {
        let statement = says.to_bytes().unwrap();
        let sign = |seed: &u8| {
            let signature = key(*seed).sign(NAMESPACE, HashAlg::Sha512, &statement).unwrap();
            let signature = Base64(signature.to_pem(LineEnding::LF).unwrap().into_bytes());
            OrderSignature { principal: format!("person {seed}"), signature }
        };
        let signatures = [1, 2].iter().map(sign).collect();
        Order { statement: Base64(statement.clone()), signatures, at: Moment::from_unix(1).unwrap() }
    };
    keeper.append(vec![Submission::Body(signed(&says).into()), forgotten(303, vec![0])], 0).unwrap();
    let error = keeper.forget(304).unwrap_err();
    assert_eq!(error.code, "forget-not-ordered");
    assert!(error.message.contains("lane"), "{error}");
    drop(house);

    says.lane = LaneName::Public;
    let late = [Submission::Body(signed(&says).into())];
    let at = |seconds| Moment::from_unix(seconds).unwrap();
    assert!(taken_up_in_time(&late, at(1 + 600)).is_ok());
    assert_eq!(taken_up_in_time(&late, at(1 + 601)).unwrap_err().code, "order-dated-back");
}

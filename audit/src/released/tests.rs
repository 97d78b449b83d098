use artifact::Moment;
use artifact::digest::Base64;
use artifact::key::{Ed25519Key, P256Key};
use artifact::lane::LaneName;
use serde_json::json;

use super::*;
use crate::entry::PromotionId;

fn vkey() -> Vkey {
    Vkey::new("t.example/log", &Ed25519Key::from_seed(&[7; 32]).unwrap()).unwrap()
}

fn image_signature(key: &P256Key, permit: u64, word: &str, tag: &str) -> Body {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": Digest::of(word.as_bytes()).hex()},
            "annotations": {"lane": "public", REPOSITORY: "r.example/app", TAGS: tag, PERMIT: permit.to_string()}}],
        "predicateType": SIGN,
        "predicate": {},
    });
    let payload = serde_json::to_vec(&statement).unwrap();
    let signature = key.sign(&dsse::pae(dsse::IN_TOTO, &payload));
    Body::Signature(Signature {
        promotion: PromotionId(Digest::of(b"p")),
        attempt: "00".repeat(16),
        payload_type: dsse::IN_TOTO.to_owned(),
        payload: Base64(payload),
        signature: Base64(signature),
        key: key.public().id(),
        key_kept: "file".into(),
        at: Moment::now(),
    })
}

fn release(permit: u64, word: &str, tags: &[&str]) -> Body {
    Body::Release(Release {
        promotion: PromotionId(Digest::of(b"p")),
        lane: LaneName::Public,
        trial: false,
        project: "app".parse().unwrap(),
        attempt: "00".repeat(16),
        permit,
        digest: Digest::of(word.as_bytes()),
        repository: "r.example/app".parse().unwrap(),
        tags: tags.iter().map(|t| t.parse().unwrap()).collect(),
        previous: None,
        referrers: vec![],
        at: Moment::now(),
    })
}

#[test]
fn a_release_that_the_image_key_did_not_sign_names_nothing() {
    let (key, other) = (P256Key::generate().unwrap(), P256Key::generate().unwrap());
    let mut log = Vouched::by(&key.public().into(), &vkey());
    let latest = |log: &Vouched| log.named(&"r.example/app".parse().unwrap(), &"latest".parse().unwrap());
    assert!(!log.read(9, &release(3, "evil", &["latest"])));
    log.read(9, &image_signature(&other, 3, "evil", "latest"));
    assert!(!log.read(9, &release(3, "evil", &["latest"])), "signed with another key");
    log.read(9, &image_signature(&key, 3, "one", "v1"));
    for forged in [
        release(3, "one", &["latest"]),
        release(3, "one", &["v1", "latest"]),
        release(4, "one", &["v1"]),
        release(3, "two", &["v1"]),
    ] {
        assert!(!log.read(9, &forged), "{forged:?}");
    }
    assert_eq!(latest(&log), None);
    assert!(log.read(9, &release(3, "one", &["v1"])));
    assert_eq!(latest(&log), None);
}

#[test]
fn an_old_release_written_down_again_stays_old() {
    let key = P256Key::generate().unwrap();
    let mut log = Vouched::by(&key.public().into(), &vkey());
    for (permit, word) in [(3, "one"), (17, "two")] {
        log.read(9, &image_signature(&key, permit, word, "latest"));
        assert!(log.read(9, &release(permit, word, &["latest"])));
    }
    log.read(9, &image_signature(&key, 3, "one", "latest"));
    assert!(log.read(9, &release(3, "one", &["latest"])));
    let named = log.named(&"r.example/app".parse().unwrap(), &"latest".parse().unwrap());
    assert_eq!(named, Some(Digest::of(b"two")));
}

#[test]
fn a_key_vouches_for_nothing_outside_its_range() {
    let (old, new) = (P256Key::generate().unwrap(), P256Key::generate().unwrap());
    let keys = ImageKeys::from(old.public()).rotated(new.public(), 7).unwrap();
    for (key, index, counts) in [(&old, 6, true), (&old, 7, false), (&new, 6, false), (&new, 7, true)] {
        let mut log = Vouched::by(&keys, &vkey());
        log.read(index, &image_signature(key, 3, "one", "v1"));
        assert_eq!(log.read(9, &release(3, "one", &["v1"])), counts, "{} at {index}", key.public().id());
    }
}

/// The one who reads has not heard of the rotation: the old key ends there all the same, for it has said so itself.
#[test]
fn a_key_that_has_handed_over_vouches_for_nothing_more() {
    let (old, new, thief) = (P256Key::generate().unwrap(), P256Key::generate().unwrap(), P256Key::generate().unwrap());
    let rotation = |by: &P256Key, key: &P256Key, possessed: &P256Key| {
        let (before, order, version) = (old.public().id(), 3, 2);
        let statement = crate::rotation::statement(&vkey(), order, &before, &key.public(), version);
        let (by_before, by_key) = (Base64(by.sign(&statement)), Base64(possessed.sign(&statement)));
        Body::from(Rotation { order, before, key: key.public(), version, by_before, by_key, at: Moment::now() })
    };
    let good = rotation(&old, &new, &new);
    for (said, ends) in [(good, true), (rotation(&thief, &new, &new), false), (rotation(&old, &new, &thief), false)] {
        let mut log = Vouched::by(&old.public().into(), &vkey());
        log.read(1, &image_signature(&old, 3, "one", "v1"));
        assert!(log.read(2, &release(3, "one", &["v1"])));
        log.read(7, &said);
        assert_eq!(log.rotated(), ends.then(|| (7, old.public().id())));
        log.read(8, &image_signature(&old, 9, "two", "v1"));
        assert_eq!(log.read(9, &release(9, "two", &["v1"])), !ends);
        let named = log.named(&"r.example/app".parse().unwrap(), &"v1".parse().unwrap());
        assert_eq!(named, Some(Digest::of(if ends { b"one" } else { b"two" })));
    }
}

//! A release over lines that do harm, to registries of every kind.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod fixture;
mod harm;
mod real;

use artifact::Digest;
use artifact::failure::Retry;
use artifact::oci;
use demo::registry::{Fault, Harm};

use super::{Failure, Published};
use fixture::{Fixture, client};

fn code(done: Result<Published, Failure>) -> (String, Retry) {
    let failure = done.unwrap_err();
    (failure.code, failure.retry)
}

#[test]
fn a_second_run_writes_nothing() {
    for referrers in [true, false] {
        let fixture = Fixture::new();
        fixture.registry.set_referrers_api(referrers);
        let first = fixture.publish().unwrap();
        assert!(fixture.wrong("app").is_empty(), "{:?}", fixture.wrong("app"));
        fixture.registry.clear_journal();
        assert_eq!(fixture.publish().unwrap(), first);
        assert_eq!(fixture.registry.journal(), [], "with the referrers API: {referrers}");
    }
}

#[test]
fn a_layer_that_another_project_has_released_is_not_sent_again() {
    let mut fixture = Fixture::new();
    fixture.publish().unwrap();
    fixture.beside = vec![fixture.repository("app")];
    fixture.path = "other".into();
    fixture.publish().unwrap();
    assert!(fixture.wrong("other").is_empty());
    // This registry mounts nothing, and begins an upload each time: that is used.
    let journal = fixture.registry.journal();
    let begun = journal.iter().filter(|w| w.repository == "other" && w.method == "POST").count();
    let ended = journal.iter().filter(|w| w.repository == "other" && w.method == "PUT" && w.path.contains("/uploads/"));
    assert_eq!(begun, ended.count(), "no upload was begun in vain");
}

#[test]
fn a_tag_that_may_not_be_overwritten_is_refused_once_and_what_it_names_is_said() {
    for (status, code_said) in [(409, "CONFLICT"), (400, "TAG_INVALID"), (403, "DENIED"), (412, "PRECONDITION")] {
        let fixture = Fixture::new();
        let other = fixture.other_image("app", "latest");
        fixture.registry.fault(Fault::next(Harm::Refused(status, code_said), "PUT /v2/app/manifests/latest", 100));
        let failure = fixture.publish().unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retry), ("tag-immutable", Retry::Never), "{failure}");
        assert!(failure.message.contains(&other.to_string()) && failure.message.contains(code_said), "{failure}");
        let tried = fixture.registry.journal().iter().filter(|w| w.path.ends_with("/latest")).count();
        assert_eq!(tried, 1);
        assert_eq!(fixture.registry.tags("app").get("latest"), Some(&other));
    }
}

#[test]
fn a_tag_that_may_not_be_overwritten_and_names_the_image_is_done() {
    let fixture = Fixture::new();
    fixture.publish().unwrap();
    fixture.registry.clear_journal();
    fixture.registry.fault(Fault::next(Harm::Refused(409, "CONFLICT"), "PUT /v2/app/manifests/latest", 100));
    fixture.publish().unwrap();
    assert_eq!(fixture.registry.journal(), []);
    // Written by another between the look and the push.
    let fixture = Fixture::new();
    fixture.publish().unwrap();
    fixture.registry.set_tag("app", "latest", None).unwrap();
    let digest = fixture.terms().digest;
    fixture.registry.fault(Fault::next(Harm::Taken(digest), "PUT /v2/app/manifests/latest", 1));
    fixture.publish().unwrap();
}

/// A 403 that has nothing to do with a tag that is there.
#[test]
fn a_refused_tag_that_is_not_there_is_no_immutable_one() {
    let fixture = Fixture::new();
    fixture.registry.fault(Fault::next(Harm::Refused(403, "DENIED"), "PUT /v2/app/manifests/latest", 100));
    assert_eq!(code(fixture.publish()), ("registry-unavailable".into(), Retry::Later));
}

#[test]
fn a_blob_that_the_registry_only_says_it_has_is_sent_all_the_same() {
    let fixture = Fixture::new();
    fixture.image("first");
    let layer = Digest::of(&[7; 5000]);
    fixture.registry.fault(Fault::next(Harm::Claimed(5000), &format!("HEAD /v2/app/blobs/{layer}"), usize::MAX));
    fixture.publish().unwrap();
    assert!(fixture.wrong("app").is_empty(), "{:?}", fixture.wrong("app"));
}

#[test]
fn what_a_registry_forgets_after_it_took_it_keeps_the_tag_unwritten() {
    let fixture = Fixture::new();
    // The blobs of the image are looked at once before the push, and once after it.
    fixture.registry.fault(Fault { harm: Harm::Unknown, on: "HEAD /v2/app/blobs/".into(), skip: 0, times: 1000 });
    assert_eq!(code(fixture.publish()), ("not-read-back".into(), Retry::Later));
    assert!(!fixture.registry.tags("app").contains_key("latest"));
}

#[test]
fn another_writer_of_a_legacy_tag_is_waited_for_and_loses_nothing() {
    let fixture = Fixture::new();
    let digest = fixture.terms().digest;
    let sig = format!("sha256-{}.sig", digest.hex());
    let theirs = fixture.signature_of_others();
    // Twice, another writer puts its own in place of ours between our writing and our reading back.
    fixture.registry.fault(Fault::next(Harm::Overwritten(theirs.digest), &format!("PUT /v2/app/manifests/{sig}"), 2));
    fixture.publish().unwrap();
    let there = fixture.registry.manifest("app", &sig).unwrap();
    let layers = oci::Manifest::parse(&there).unwrap().layers;
    assert!(layers.contains(&theirs.layer) && layers.len() == 2, "{layers:?}");
    assert!(fixture.wrong("app").is_empty());
    // One that never stops is named.
    let fixture = Fixture::new();
    let theirs = fixture.signature_of_others();
    fixture.registry.fault(Fault::next(Harm::Overwritten(theirs.digest), &format!("PUT /v2/app/manifests/{sig}"), 100));
    assert_eq!(code(fixture.publish()), ("legacy-tag-contended".into(), Retry::Later));
    assert!(!fixture.registry.tags("app").contains_key("latest"));
}

#[test]
fn another_writer_of_the_fallback_index_is_waited_for_and_loses_nothing() {
    let fixture = Fixture::new();
    fixture.registry.set_referrers_api(false);
    let index = format!("sha256-{}", fixture.terms().digest.hex());
    let theirs = fixture.index_of_others();
    fixture.registry.fault(Fault::next(Harm::Overwritten(theirs.digest), &format!("PUT /v2/app/manifests/{index}"), 2));
    fixture.publish().unwrap();
    let there = oci::Index::parse(&fixture.registry.manifest("app", &index).unwrap()).unwrap();
    assert!(there.manifests.contains(&theirs.layer) && there.manifests.len() == 4, "{there:?}");
}

#[test]
fn what_others_erased_of_the_release_before_is_said_at_the_next() {
    let fixture = Fixture::new();
    fixture.registry.set_referrers_api(false);
    fixture.publish().unwrap();
    let first = fixture.terms().digest;
    let next = || Fixture { previous: Some(first), word: "next".into(), ..fixture.again() };
    assert_eq!(next().publish().unwrap().erased, [""; 0], "nothing is said of a whole one");
    let hex = first.hex();
    for (tag, said) in [
        (format!("sha256-{hex}.sig"), "sig has lost"),
        (format!("sha256-{hex}.att"), "att has lost"),
        (format!("sha256-{hex}"), "no bundle of"),
    ] {
        let before = fixture.registry.tags("app")[&tag];
        fixture.registry.set_tag("app", &tag, None).unwrap();
        let erased = next().publish().unwrap().erased;
        assert!(!erased.is_empty() && erased.iter().all(|e| e.contains(said)), "{erased:?}");
        fixture.registry.set_tag("app", &tag, Some(before)).unwrap();
    }
    let gone = Fixture { previous: Some(Digest::of(b"gone")), ..next() };
    assert!(gone.publish().unwrap().erased[0].contains("the image itself is gone"));
    fixture.registry.fault(Fault::next(Harm::Unavailable, &format!("manifests/{first}"), 1000));
    let unseen = next().publish().unwrap().erased;
    assert!(unseen[0].contains("could not be looked at"), "{unseen:?}");
}

#[test]
fn a_replica_that_fails_keeps_no_other_from_being_whole() {
    let fixture = Fixture { replicas: vec!["dr".into(), "far".into()], ..Fixture::new() };
    for broken in ["app", "dr", "far"] {
        let fixture = Fixture { replicas: vec!["dr".into(), "far".into()], ..Fixture::new() };
        fixture.registry.fault(Fault::next(Harm::Unavailable, &format!("PUT /v2/{broken}/manifests/"), 1000));
        assert_eq!(code(fixture.publish()), ("registry-unavailable".into(), Retry::Later));
        for path in ["app", "dr", "far"] {
            let named = fixture.registry.tags(path).contains_key("latest");
            assert_eq!(named, path != broken, "{path}, when {broken} is broken");
            assert!(!named || fixture.wrong(path).is_empty(), "{:?}", fixture.wrong(path));
        }
        fixture.registry.mend();
        fixture.publish().unwrap();
        assert!(fixture.wrong(broken).is_empty());
    }
    fixture.publish().unwrap();
    fixture.registry.clear_journal();
    fixture.publish().unwrap();
    assert_eq!(fixture.registry.journal(), []);
}

#[test]
fn replicas_that_would_share_a_tag_are_a_mistake_in_the_configuration() {
    let parse = |lines: &str| {
        toml::from_str::<crate::config::SignerConfig>(&format!(
            "verifier_id = \"x\"\nkey = \"file\"\n[replicas]\n{lines}"
        ))
    };
    let two =
        parse("\"r.example/a\" = [\"dr.example/a\", \"far.example/a\"]\n\"r.example/b\" = [\"dr.example/b\"]").unwrap();
    assert_eq!(two.replicas.of(&"r.example/a".parse().unwrap()).len(), 2);
    for wrong in [
        "\"r.example/a\" = [\"r.example/a\"]",
        "\"r.example/a\" = []",
        "\"r.example/a\" = [\"dr.example/a\", \"dr.example/a\"]",
        "\"r.example/a\" = [\"dr.example/a\"]\n\"r.example/b\" = [\"dr.example/a\"]",
        "\"r.example/a\" = [\"r.example/b\"]\n\"r.example/b\" = [\"dr.example/b\"]",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn an_odd_answer_refuses_no_release() {
    let fixture = Fixture::new();
    fixture.registry.fault(Fault::next(Harm::Page, "GET /v2/app/manifests/latest", 1));
    assert_eq!(code(fixture.publish()), ("registry-odd".into(), Retry::Later));
    fixture.publish().unwrap();
    let nowhere = fixture.publish_to(&fixture.registry.host(), &client("127.0.0.1:1"));
    assert_eq!(code(nowhere), ("registry-unavailable".into(), Retry::Later));
}

//! Attacks on the sequence, by whoever carries entries to the signer; and its death at each record.

use artifact::digest::Base64;
use artifact::failure::Retry;
use artifact::layout::Layout;
use artifact::oci;
use artifact::statement::comparison::Level;
use artifact::statement::{Statement, Subject};
use artifact::{Digest, Moment};

use audit::entry::{Attempt, Bundle, Signature};
use audit::reader::Log;
use serde_json::json;

use super::testkit::World;
use super::{Answer, ReleaseAsk, Stop};
use crate::key::ImageKey as _;
use crate::state::{FileStore, Store as _};

pub(super) fn reasons(stop: Result<Answer, Stop>) -> Vec<String> {
    match stop {
        Err(Stop::Refused(r)) => r.into_iter().map(|r| r.code).collect(),
        Err(Stop::Failed(f)) => vec![format!("failed:{}:{}", f.code, f.message)],
        Ok(a) => vec![format!("{a:?}").chars().take(60).collect()],
    }
}

pub(super) fn simple(world: &mut World) -> (ReleaseAsk, u64) {
    let results = vec![world.result(true, 1)];
    let facts = world.facts(&results);
    world.ask(&facts, &results, Level::BitForBit, None, Moment::now())
}

#[test]
fn a_recorded_permit_becomes_one_release() {
    let mut world = World::new();
    let (ask, _) = simple(&mut world);
    let done = world.release(&ask, None);
    assert!(matches!(done, Ok(Answer::Released { .. })), "{:?}", reasons(done));
    assert_eq!((world.count("signature"), world.count("bundle"), world.count("release")), (4, 3, 1));
}

#[test]
fn killed_at_each_record_finishes_with_the_same_bytes() {
    for after in [false, true] {
        for n in 1..=4 {
            let mut world = World::new();
            let (mut ask, permit) = simple(&mut world);
            assert!(world.release(&ask, Some((n, after))).is_err());
            let before = world.count("release");
            if before == 1 {
                continue;
            }
            world.refresh(&mut ask, permit);
            let done = world.release(&ask, None);
            assert!(matches!(done, Ok(Answer::Released { .. })), "{n} {after}: {:?}", reasons(done));
            assert_eq!(
                (world.count("signature"), world.count("bundle"), world.count("release")),
                (4, 3, 1),
                "{n} {after}"
            );
            // One attempt more when nobody can know whether the first one was signed for.
            let attempts = if (n, after) == (1, true) || (n, after) == (2, false) { 2 } else { 1 };
            assert_eq!(world.count("attempt"), attempts, "{n} {after}");
        }
    }
}

/// A broken coordinator has the keeper record a signature entry that holds garbage.
#[test]
fn a_recorded_signature_that_is_none_is_not_published() {
    let mut world = World::new();
    let (mut ask, permit) = simple(&mut world);
    // What will be signed is known to anybody: run once on a copy of the state to learn it.
    assert!(world.release(&ask, Some((2, false))).is_err()); // attempt recorded, nothing signed
    world.refresh(&mut ask, permit);
    let (_, entries) = Log::open(&world.folder.path().join("public/log/tiles"), &world.keys.log).unwrap();
    let attempt: Attempt = entries
        .iter()
        .find_map(|e| match e.body() {
            Some(audit::entry::Body::Attempt(a)) => Some(a.clone()),
            _ => None,
        })
        .unwrap();
    let terms = match entries[permit as usize].body() {
        Some(audit::entry::Body::Permit(p)) => p.terms.clone(),
        _ => panic!(),
    };
    let simple = json!({"critical": {"identity": {"docker-reference": terms.repository.as_str()}, "image": {"docker-manifest-digest": terms.digest.to_string()},
        "type": "cosign container image signature"}, "optional": {"lane": "public", "key": "file", "trial": "true", "repository": terms.repository.as_str(),
            "tags": audit::released::tags(&terms.tags), "permit": permit.to_string()}});
    let payload = artifact::json::canonical("x", &simple).unwrap();
    assert!(attempt.statements.contains(&Digest::of(&payload)));
    let forged = Signature {
        promotion: world.promotion(),
        attempt: attempt.id.clone(),
        payload_type: "application/vnd.dev.cosign.simplesigning.v1+json".into(),
        payload: Base64(payload),
        signature: Base64(b"garbage".to_vec()),
        key: world.image.public().id(),
        key_kept: "file".into(),
        at: Moment::now(),
    };
    world.append(forged.into());
    world.refresh(&mut ask, permit);
    let done = world.release(&ask, None);
    let tags = world.registry.tags("prod/app");
    let sig = world.registry.manifest("prod/app", &format!("sha256-{}.sig", terms.digest.hex()));
    let published = sig.is_some_and(|s| String::from_utf8(s).unwrap().contains("Z2FyYmFnZQ==")); // base64 of garbage
    assert!(
        !published,
        "the garbage is on the registry, latest tagged: {}, answer {:?}",
        tags.contains_key("latest"),
        reasons(done)
    );
}

/// A broken coordinator keeps an expired permit and records one signature entry of its own making.
#[test]
fn an_expired_permit_signs_nothing_new() {
    let mut world = World::new();
    let past = Moment::from_unix(Moment::now().unix() - 3600).unwrap();
    let results = vec![world.result_at(true, 1, past)];
    let mut facts = world.facts(&results);
    facts.branch_checked = past;
    facts.stated = past;
    let (mut ask, permit) = world.ask(&facts, &results, Level::BitForBit, None, past);
    let honest = reasons(world.release(&ask, None));
    assert!(honest.contains(&"permit-expired".to_owned()) || honest.contains(&"branch-stale".to_owned()), "{honest:?}");
    let forged = Signature {
        promotion: world.promotion(),
        attempt: "00".repeat(16),
        payload_type: "x".into(),
        payload: Base64(b"x".to_vec()),
        signature: Base64(b"x".to_vec()),
        key: world.image.public().id(),
        key_kept: "file".into(),
        at: Moment::now(),
    };
    world.append(forged.into());
    world.refresh(&mut ask, permit);
    assert_eq!(reasons(world.release(&ask, None)), honest, "a signature that is none makes no old permit younger");
    assert_eq!(world.count("signature"), 1, "the forged one alone");
}

/// Intake saw a newer red result and stated it; a broken coordinator leaves it out of what the signer gets.
#[test]
fn a_result_that_the_facts_name_can_not_be_left_out() {
    let mut world = World::new();
    let (green, red) = (world.result(true, 1), world.result(false, 2));
    let facts = world.facts(&[green.clone(), red]);
    let (ask, _) = world.ask(&facts, &[green], Level::BitForBit, None, Moment::now());
    let done = world.release(&ask, None);
    assert!(done.is_err(), "released a commit whose newest result is FAILED: {:?}", reasons(done));
}

#[test]
fn a_recorded_bundle_that_is_none_is_not_published() {
    let mut world = World::new();
    let (mut ask, permit) = simple(&mut world);
    assert!(world.release(&ask, Some((3, false))).is_err()); // signed, no bundles
    let (_, entries) = Log::open(&world.folder.path().join("public/log/tiles"), &world.keys.log).unwrap();
    let attempt = entries
        .iter()
        .find_map(|e| match e.body() {
            Some(audit::entry::Body::Attempt(a)) => Some(a.id.clone()),
            _ => None,
        })
        .unwrap();
    let forged = Bundle {
        promotion: world.promotion(),
        attempt,
        subject: world.rebuild,
        predicate_type: crate::statements::SIGN.into(),
        bundle: Base64(b"{}".to_vec()),
        at: Moment::now(),
    };
    world.append(forged.into());
    world.refresh(&mut ask, permit);
    let done = world.release(&ask, None);
    let tagged = world.registry.tags("prod/app").contains_key("latest");
    let mut genuine = 0;
    for r in world.registry.referrers("prod/app", &world.rebuild).unwrap() {
        let m = oci::Manifest::parse(&world.registry.manifest("prod/app", &r.digest.to_string()).unwrap()).unwrap();
        genuine += usize::from(m.layers[0].size > 2);
    }
    assert!(done.is_ok() && tagged && genuine == 3, "{genuine} genuine bundles of 3, tagged: {tagged}");
}

#[test]
fn a_permit_that_was_released_is_not_used_again() {
    let mut world = World::new();
    let (mut ask, permit) = simple(&mut world);
    world.release(&ask, None).unwrap();
    world.refresh(&mut ask, permit);
    let done = world.release(&ask, None);
    assert!(done.is_err(), "{:?}, release entries: {}", reasons(done), world.count("release"));
}

/// Published, killed before the release is recorded, then the promotion ends for another reason (say, new rules). The next
/// permit must name what the log says, and the signer must not refuse it for good.
#[test]
fn a_release_that_was_never_recorded_does_not_block_the_tag_for_good() {
    let mut world = World::new();
    let (ask, _) = simple(&mut world);
    assert!(world.release(&ask, Some((4, false))).is_err()); // killed as the release is to be recorded
    assert_eq!(world.count("release"), 0);
    // The log has no release, so the coordinator says: previous none.
    let (mut next, permit) = simple(&mut world);
    world.refresh(&mut next, permit);
    next.recorded.clear();
    let done = world.release(&next, None);
    assert!(matches!(done, Ok(Answer::Released { .. })), "{:?}", reasons(done));
}

#[test]
fn a_lost_memory_is_not_a_first_start() {
    let mut world = World::new();
    let (ask, _) = simple(&mut world);
    world.release(&ask, None).unwrap();
    let own = world.folder.path().join("public/signer/own");
    std::fs::remove_file(own.join("state.json")).unwrap();
    let opened = FileStore::open(&own).unwrap().load();
    assert!(opened.is_err(), "an empty memory beside a used key: {:?}", opened.map(|m| m.seen.size()));
}

/// Same layers, another architecture: the comparer's own definition compares the whole configuration.
#[test]
fn same_layers_means_the_whole_configuration() {
    let mut world = World::new();
    let store = Layout::open(world.folder.path().join("public/intake/candidates"));
    let layer = store.put(oci::LAYER, b"other compression").unwrap();
    let config = json!({"architecture": "arm64", "os": "plan9", "config": {"Cmd": ["app"]}, "rootfs": {"type": "layers", "diff_ids": [Digest::of(b"app")]}});
    let config = store.put(oci::CONFIG, &serde_json::to_vec(&config).unwrap()).unwrap();
    let manifest = json!({"schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer]});
    world.candidate = store.put(oci::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap().digest;
    let results = vec![world.result(true, 1)];
    let facts = world.facts(&results);
    let (ask, _) = world.ask(&facts, &results, Level::SameLayers, None, Moment::now());
    let done = reasons(world.release(&ask, None));
    assert_eq!(done, ["level-not-shown"]);
}

#[test]
fn a_rolled_back_log_halts_even_when_evidence_is_bad_too() {
    let mut world = World::new();
    let (mut ask, _) = simple(&mut world);
    world.release(&ask, None).unwrap();
    // The old proof, under a checkpoint that is behind; and evidence that does not verify.
    ask.facts = Base64(b"{}".to_vec());
    match world.release(&ask, None) {
        Err(Stop::Failed(f)) => assert_eq!((f.code.as_str(), f.retry), ("log-rolled-back", Retry::Halt)),
        other => panic!("{:?}", reasons(other)),
    }
}

/// A broken intake seals a base that is on no list, and states a listed one; the comparer says what it was.
#[test]
fn a_base_that_only_the_facts_call_listed_is_refused() {
    let mut world = World::new();
    let (mut ask, _) = simple(&mut world);
    let facts = world.facts(&[]);
    let subject = vec![Subject::sha256("hello", &world.rebuild)];
    let mut says = world.provenance(&facts);
    let unlisted = format!("r.example/evil@{}", Digest::of(b"evil"));
    for names in [vec![unlisted], vec![]] {
        let inputs = &mut says.build_definition.resolved_dependencies;
        inputs.truncate(2);
        inputs.extend(names.iter().map(|name| Subject::sha256(name, &Digest::of(b"evil"))));
        let signed = Statement::new(subject.clone(), says.clone()).sign(&world.comparer).unwrap().to_bytes();
        ask.provenances = vec![Base64(signed)];
        assert_eq!(reasons(world.release(&ask, None)), ["base-not-allowed"]);
    }
    assert_eq!(world.count("attempt"), 0);
}

/// The comparer spoilt its store after it had attested, or packed what is no image of ours: nothing is signed.
#[test]
fn nothing_is_signed_that_can_not_be_published() {
    let mut world = World::new();
    let (ask, _) = simple(&mut world);
    let store = Layout::open(world.folder.path().join("public/compare/out"));
    let manifest = oci::Manifest::parse(&store.read_digest(&world.rebuild, 1 << 20).unwrap()).unwrap();
    for blob in [world.rebuild, manifest.config.digest, manifest.layers[0].digest] {
        let before = std::fs::read(store.path(&blob)).unwrap();
        std::fs::write(store.path(&blob), b"evil").unwrap();
        match world.release(&ask, None) {
            Err(Stop::Failed(f)) => assert_eq!((f.code.as_str(), f.retry), ("rebuild-broken", Retry::Halt)),
            other => panic!("{:?}", reasons(other)),
        }
        std::fs::write(store.path(&blob), before).unwrap();
    }
    assert_eq!((world.count("attempt"), world.count("signature")), (0, 0));
    assert!(world.release(&ask, None).is_ok());
}

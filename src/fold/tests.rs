use artifact::Moment;
use artifact::digest::Base64;
use artifact::dsse;
use artifact::key::{Ed25519Key, P256Key};
use artifact::lane::LaneName;
use artifact::statement::Statement;
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::facts::{self, Position};
use artifact::statement::permit::Terms;
use artifact::statement::provenance::Provenance;
use artifact::statement::sandbox::{Runs, Sandbox};
use audit::entry::{Failed, Halted, Resigning, Signature};
use audit::image_keys::ImageKeys;
use audit::leaf::{Commitment, RekorLeaf, Salt};
use audit::note::Vkey;
use policy::order::Action;
use serde_json::json;

use super::*;

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

/// Keys of a house, and entries as its rooms make them.
struct House {
    intake: Ed25519Key,
    comparer: Ed25519Key,
    image: P256Key,
    keys: HouseKeys,
}

const COMMIT: &str = "1111111111111111111111111111111111111111";

impl House {
    fn new() -> Self {
        let key = || Ed25519Key::generate().unwrap();
        let (intake, comparer, image) = (key(), key(), P256Key::generate().unwrap());
        let log = Vkey::new("t.example/log", &key()).unwrap();
        let keys = HouseKeys {
            intake: intake.public(),
            comparers: vec![comparer.public()],
            log,
            image: image.public().into(),
        };
        Self { intake, comparer, image, keys }
    }

    fn opened(&self, word: &str) -> Opened {
        let (lane, project, commit) = (LaneName::Public, "app".parse().unwrap(), COMMIT.parse().unwrap());
        let (evidence, rules) = (Digest::of(word.as_bytes()), Digest::of(b"rules"));
        let promotion = PromotionId::of(&lane, &project, &commit, None, &evidence, &rules);
        let at = at("2026-11-23T10:00:00Z");
        Opened { promotion, lane, trial: false, project, commit, candidate: None, evidence, rules, at }
    }

    fn id(&self, word: &str) -> PromotionId {
        self.opened(word).promotion
    }

    fn facts(&self, word: &str) -> Facts {
        self.facts_by(&self.intake, word, COMMIT)
    }

    fn facts_by(&self, key: &Ed25519Key, word: &str, commit: &str) -> Facts {
        let (dossier, now) = (Digest::of(b"dossier"), at("2026-11-23T10:00:05Z"));
        let says = facts::Facts {
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            source: "file:///a".into(),
            commit: commit.parse().unwrap(),
            tree: COMMIT.parse().unwrap(),
            branch: "main".parse().unwrap(),
            position: Position::Head,
            head: COMMIT.parse().unwrap(),
            branch_checked: now,
            rewritten: false,
            commit_signature: None,
            results: vec![],
            unusable: vec![],
            candidate: None,
            dossier,
            recipe: Digest::of(b"recipe"),
            bases: vec![],
            stated: now,
            nonce: "00".repeat(16),
        };
        let envelope = Base64(Statement::new(vec![], says).sign(key).unwrap().to_bytes());
        Facts {
            promotion: self.id(word),
            envelope,
            commit_object: Base64::default(),
            results: vec![],
            dossier,
            at: now,
        }
    }

    fn rebuild(&self, word: &str) -> Rebuild {
        let words = || "w".to_owned();
        let sandbox = Sandbox {
            runtime: words(),
            version: words(),
            verdict: words(),
            advisories: vec![],
            enforced: vec![],
            not_enforced: vec![],
        };
        let (rebuild, now) = (Digest::of(word.as_bytes()), at("2026-11-23T10:00:10Z"));
        let says = Comparison {
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            commit: COMMIT.parse().unwrap(),
            dossier: Digest::of(b"dossier"),
            nonce: "00".repeat(16),
            rebuild,
            candidate: rebuild,
            level: Level::BitForBit,
            differences: vec![],
            differences_total: 0,
            runs: Runs { varied: vec![], not_varied: vec![], equal: true },
            run_differences: vec![],
            run_differences_total: 0,
            sandbox: sandbox.clone(),
            builder: words(),
            finished: now,
        };
        let provenance: Provenance = serde_json::from_value(json!({
            "buildDefinition": {"buildType": "b", "externalParameters": {"source": "s", "commit": COMMIT, "recipe": "r"},
                "internalParameters": {"lane": "public", "project": "app", "trial": false, "sandbox": sandbox,
                    "packing": 1}, "resolvedDependencies": []},
            "runDetails": {"builder": {"id": "b"}, "metadata": {"invocationId": "n", "startedOn": now, "finishedOn": now}},
        }))
        .unwrap();
        let comparison = Base64(Statement::new(vec![], says).sign(&self.comparer).unwrap().to_bytes());
        let provenance = Base64(Statement::new(vec![], provenance).sign(&self.comparer).unwrap().to_bytes());
        Rebuild { promotion: self.id(word), comparison, provenance, level: Level::BitForBit, rebuild, at: now }
    }

    fn permit(&self, facts: &Facts, rebuild: &Rebuild) -> Permit {
        let terms = Terms {
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            commit: COMMIT.parse().unwrap(),
            digest: rebuild.rebuild,
            repository: "r.example/app".parse().unwrap(),
            tags: vec!["latest".parse().unwrap()],
            previous: None,
            level: Level::BitForBit,
            rules: Digest::of(b"rules"),
            facts: Digest::of(&facts.envelope.0),
            comparisons: vec![Digest::of(&rebuild.comparison.0)],
            branch_checked: at("2026-11-23T10:00:20Z"),
            decided: at("2026-11-23T10:00:20Z"),
            expires: at("2026-11-23T10:10:20Z"),
        };
        Permit { promotion: facts.promotion, terms }
    }

    /// Entries up to the permit, which is the last.
    fn permitted(&self, word: &str) -> Vec<Body> {
        let (facts, rebuild) = (self.facts(word), self.rebuild(word));
        let permit = self.permit(&facts, &rebuild);
        vec![self.opened(word).into(), facts.into(), rebuild.into(), permit.into()]
    }

    /// What the image key signs under the permit at this index.
    fn payload(&self, word: &str, permit: u64) -> Vec<u8> {
        let annotations = json!({"repository": "r.example/app", "tags": "latest", "permit": permit.to_string()});
        let statement = json!({"_type": "t", "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {},
            "subject": [{"digest": {"sha256": Digest::of(word.as_bytes()).hex()}, "annotations": annotations}]});
        serde_json::to_vec(&statement).unwrap()
    }

    fn attempt(&self, word: &str, permit: u64) -> Body {
        let statements = vec![Digest::of(&self.payload(word, permit))];
        let (promotion, id, at) = (self.id(word), "00".repeat(16), at("2026-11-23T10:00:25Z"));
        Attempt { promotion, id, permit, statements, at }.into()
    }

    fn signature(&self, word: &str, permit: u64, key: &P256Key) -> Body {
        let payload = self.payload(word, permit);
        let signature = Base64(key.sign(&dsse::pae(dsse::IN_TOTO, &payload)));
        Body::Signature(Signature {
            promotion: self.id(word),
            attempt: "00".repeat(16),
            payload_type: dsse::IN_TOTO.into(),
            payload: Base64(payload),
            signature,
            key: key.public().id(),
            key_kept: "file".into(),
            at: at("2026-11-23T10:00:30Z"),
        })
    }

    fn release(&self, word: &str, permit: u64) -> Body {
        Body::Release(Release {
            promotion: self.id(word),
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            attempt: "00".repeat(16),
            permit,
            digest: Digest::of(word.as_bytes()),
            repository: "r.example/app".parse().unwrap(),
            tags: vec!["latest".parse().unwrap()],
            previous: None,
            referrers: vec![],
            at: at("2026-11-23T10:00:40Z"),
        })
    }

    /// All entries of a release whose first has this index.
    fn released(&self, word: &str, first: u64) -> Vec<Body> {
        let permit = first + 3;
        let mut bodies = self.permitted(word);
        bodies.extend([
            self.attempt(word, permit),
            self.signature(word, permit, &self.image),
            self.release(word, permit),
        ]);
        bodies
    }

    fn fold(&self, bodies: impl IntoIterator<Item = Body>) -> Fold {
        let mut fold = Fold::new(&self.keys);
        for (index, body) in (0..).zip(bodies) {
            let bytes = body.to_bytes().unwrap();
            fold.apply(Entry { index, content: Content::Ours { body, bytes, salt: Salt::from_raw([0; 32]) } });
        }
        fold
    }

    fn stage(&self, fold: &Fold, word: &str, now: &str) -> Stage {
        fold.promotion(&self.id(word)).unwrap().stage(at(now))
    }
}

const EARLY: &str = "2026-11-23T10:05:00Z";
const LATE: &str = "2026-11-23T11:00:00Z";

fn latest(fold: &Fold) -> Option<Digest> {
    fold.tag(&"r.example/app".parse().unwrap(), &"latest".parse().unwrap())
}

#[test]
fn a_permit_that_ran_out_unsigned_is_decided_anew_and_a_signed_one_is_published() {
    let house = House::new();
    let mut bodies = house.permitted("a");
    let unsigned = house.fold(bodies.clone());
    let stages = (house.stage(&unsigned, "a", EARLY), house.stage(&unsigned, "a", LATE));
    assert_eq!(stages, (Stage::Permitted, Stage::Rebuilt));
    bodies.extend([house.attempt("a", 3), house.signature("a", 3, &house.image)]);
    let signed = house.fold(bodies);
    assert_eq!(house.stage(&signed, "a", LATE), Stage::Permitted);
    assert!(signed.void().is_empty());
}

#[test]
fn a_leaf_belongs_to_the_promotion_whose_signature_it_follows() {
    let house = House::new();
    let mut bodies = house.permitted("a");
    bodies.extend([house.opened("b").into(), house.attempt("a", 3), house.signature("a", 3, &house.image)]);
    let mut fold = house.fold(bodies);
    let leaf = || RekorLeaf::parse(br#"{"apiVersion":"0","kind":"k","spec":{}}"#.to_vec()).unwrap();
    fold.apply(Entry { index: 7, content: Content::Rekor(leaf()) });
    let under = |fold: &Fold, word: &str| {
        let promotion = fold.promotion(&house.id(word)).unwrap();
        promotion.under_permit.iter().map(|e| e.index).collect::<Vec<_>>()
    };
    assert_eq!((under(&fold, "a"), under(&fold, "b")), (vec![5, 6, 7], vec![]));
    for index in 8..10_000 {
        fold.apply(Entry { index, content: Content::Rekor(leaf()) });
    }
    assert_eq!(under(&fold, "a").len(), KEPT, "what the signer is shown fits into a frame, whatever is written down");
}

#[test]
fn what_a_release_has_overtaken_is_left_behind_and_tags_name_the_newest() {
    let house = House::new();
    let app = "app".parse().unwrap();
    let mut bodies = vec![house.opened("a").into()];
    bodies.extend(house.released("b", 1));
    let fold = house.fold(bodies.clone());
    assert_eq!((fold.unfinished(&app), latest(&fold)), (None, Some(Digest::of(b"b"))));
    bodies.push(house.opened("c").into());
    assert_eq!(house.fold(bodies).unfinished(&app), Some(house.id("c")));
}

#[test]
fn an_entry_of_a_promotion_that_never_began_changes_nothing() {
    let house = House::new();
    let fold = house.fold(house.released("a", 0).into_iter().skip(1));
    assert!(fold.promotion(&house.id("a")).is_none() && fold.promotions().next().is_none());
}

/// Whatever somebody had written down, the promotion is where it was, and the next honest pass goes on from there.
#[test]
fn what_no_room_vouches_for_is_void() {
    let house = House::new();
    let stranger = House::new();
    let opened = || Body::from(house.opened("a"));
    let prepared = || vec![opened(), house.facts("a").into()];
    let permitted = || house.permitted("a");
    let signed = || [permitted(), vec![house.attempt("a", 3), house.signature("a", 3, &house.image)]].concat();
    let facts_by = |key, commit| Body::from(house.facts_by(key, "a", commit));
    let other = "2222222222222222222222222222222222222222";
    let (mut lying, mut level) = (house.opened("a"), house.rebuild("a"));
    lying.commit = other.parse().unwrap();
    level.level = Level::SameLayers;
    let mut elsewhere = house.permit(&house.facts("a"), &house.rebuild("a"));
    elsewhere.terms.digest = Digest::of(b"evil");
    for (before, forged) in [
        (vec![], Body::from(lying)),
        (vec![opened()], facts_by(&stranger.intake, COMMIT)),
        (vec![opened()], facts_by(&house.intake, other)),
        (vec![opened()], permitted().remove(3)),
        (prepared(), Body::Rebuild(Rebuild { comparison: stranger.rebuild("a").comparison, ..house.rebuild("a") })),
        (prepared(), Body::Rebuild(Rebuild { provenance: Base64::default(), ..house.rebuild("a") })),
        (prepared(), Body::Rebuild(level)),
        (permitted(), Body::from(elsewhere)),
        (permitted(), house.attempt("a", 2)),
        (permitted(), house.signature("a", 3, &house.image)),
        ([permitted(), vec![house.attempt("a", 3)]].concat(), house.signature("a", 3, &stranger.image)),
        (permitted(), house.release("a", 3)),
        (signed(), house.attempt("a", 3)),
        (signed(), house.release("a", 2)),
        (signed(), house.release("b", 3)),
    ] {
        let index = before.len() as u64;
        let stages = |fold: &Fold| {
            let stage = |p: &Promotion| (p.stage(at(EARLY)), p.stage(at(LATE)), p.under_permit.len());
            fold.promotions().map(|(_, p)| stage(p)).collect::<Vec<_>>()
        };
        let honest = house.fold(before.clone());
        assert!(honest.void().is_empty(), "{:?}", honest.void());
        let fold = house.fold([before, vec![forged.clone()]].concat());
        assert!(fold.void().contains_key(&index), "{forged:?}");
        assert_eq!((stages(&honest), latest(&fold)), (stages(&fold), None), "{forged:?}");
    }
}

#[test]
fn a_signature_counts_by_the_key_that_is_in_force_where_it_stands() {
    let mut house = House::new();
    let new = P256Key::generate().unwrap();
    let bodies =
        |key: &P256Key| [house.permitted("a"), vec![house.attempt("a", 3), house.signature("a", 3, key)]].concat();
    let (by_old, by_new) = (bodies(&house.image), bodies(&new));
    let old = ImageKeys::from(house.image.public());
    // The signature is entry 5.
    for (from, old_counts) in [(6, true), (5, false), (4, false)] {
        house.keys.image = old.rotated(new.public(), from).unwrap();
        for (bodies, counts) in [(&by_old, old_counts), (&by_new, !old_counts)] {
            let fold = house.fold(bodies.clone());
            assert_eq!(fold.void().is_empty(), counts, "from {from}: {:?}", fold.void());
            assert_eq!(fold.promotion(&house.id("a")).unwrap().signed, counts);
        }
    }
}

#[test]
fn what_was_released_is_signed_again_by_nobody_without_an_order() {
    let house = House::new();
    let released = house.released("a", 0);
    let honest = house.fold(released.clone());
    assert!(honest.void().is_empty() && honest.resign_order().is_none());
    let says = Resigning {
        promotion: house.id("a"),
        order: 0,
        attempt: "00".repeat(16),
        digest: Digest::of(b"a"),
        referrers: vec![],
        at: at(EARLY),
    };
    for forged in [house.attempt("a", 3), house.signature("a", 3, &house.image), says.into()] {
        let fold = house.fold([released.clone(), vec![forged.clone()]].concat());
        assert!(fold.void().contains_key(&(released.len() as u64)), "{forged:?}");
        assert!(fold.promotion(&house.id("a")).unwrap().again.entries.is_empty());
    }
}

#[test]
fn what_says_nothing_of_a_promotion_changes_none() {
    let house = House::new();
    let failure = artifact::failure::Failure::halt("x", "forged");
    let (promotion, now) = (house.id("a"), at(EARLY));
    let mut bodies = house.released("a", 0);
    bodies.push(Halted { failure: failure.clone(), at: now }.into());
    bodies.push(Failed { promotion, failure, at: now }.into());
    let fold = house.fold(bodies);
    assert_eq!((house.stage(&fold, "a", LATE), latest(&fold)), (Stage::Released, Some(Digest::of(b"a"))));
}

#[test]
fn an_opening_that_lies_about_being_a_trial_voids_nothing_that_follows() {
    let house = House::new();
    let lie = Opened { trial: true, ..house.opened("a") };
    let fold = house.fold([lie.into(), house.facts("a").into(), house.rebuild("a").into()]);
    assert!(fold.void().is_empty(), "policy and the signer judge it: {:?}", fold.void());
    assert_eq!(house.stage(&fold, "a", "2026-11-23T10:00:20Z"), Stage::Rebuilt);
}

#[test]
fn facts_of_a_promotion_that_waits_behind_another_are_not_forgotten_before_it_ends() {
    let house = House::new();
    let forget = Action::Forget { indexes: vec![1] };
    let mut bodies = house.permitted("a");
    bodies.push(house.opened("b").into());
    let waiting = house.fold(bodies.clone());
    assert_eq!(waiting.unfinished(&"app".parse().unwrap()), Some(house.id("b")));
    assert!(waiting.may(&forget).unwrap_err().contains("in flight"));
    bodies.pop();
    bodies.extend(house.released("b", 4));
    house.fold(bodies).may(&forget).unwrap();
}

#[test]
fn what_waits_and_has_no_facts_any_more_is_prepared_again() {
    let house = House::new();
    let mut fold = Fold::new(&house.keys);
    let apply = |fold: &mut Fold, index, body: Body| {
        let bytes = body.to_bytes().unwrap();
        fold.apply(Entry { index, content: Content::Ours { body, bytes, salt: Salt::from_raw([0; 32]) } });
    };
    for (index, body) in (0..).zip(house.permitted("a")) {
        match body {
            Body::Facts(_) => {
                let commitment = Commitment::to(Facts::KIND, &Salt::from_raw([0; 32]), &body.to_bytes().unwrap());
                fold.apply(Entry { index, content: Content::Forgotten(commitment) });
            }
            body => apply(&mut fold, index, body),
        }
    }
    assert!(fold.promotion(&house.id("a")).unwrap().rebuild.is_some());
    for now in [EARLY, LATE] {
        assert_eq!(house.stage(&fold, "a", now), Stage::Opened);
    }
    // Whether what was made before is of these, policy and the signer judge.
    apply(&mut fold, 4, house.facts("a").into());
    assert_eq!(house.stage(&fold, "a", EARLY), Stage::Permitted);
}

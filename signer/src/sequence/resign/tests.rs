//! A key rotated and 200 releases signed again, by a signer that is killed over and over; and what is signed again by nobody.

use std::collections::BTreeMap;

use artifact::failure::Retry;
use artifact::key::{KeyId, PublicKey};
use artifact::layout::Layout;
use artifact::oci::Manifest;
use artifact::statement::comparison::Level;
use audit::entry::Attempt;
use audit::reader::{Entry, Log};

use super::super::rotate::tests::{Overtaken, world};
use super::super::testkit::{Carry, World, image_in};
use super::*;
use crate::key::FileVersions;

/// A release as the log has it: its permit's index, its entry's, and what stands between.
struct Past {
    digest: Digest,
    permit: u64,
    release: u64,
}

impl World {
    /// So many images, each released by what the signer uses now.
    fn releases(&mut self, count: usize) -> Vec<Past> {
        let at = |p: &str| self.folder.path().join(p);
        let rebuilds = Layout::open(at("public/compare/out"));
        let candidates = Layout::open(at("public/intake/candidates"));
        let mut past: Vec<Past> = Vec::new();
        for n in 0..count {
            let word = format!("app {n}");
            self.rebuild = image_in(&rebuilds, &word, "");
            self.candidate = image_in(&candidates, &word, "");
            let results = vec![self.result(true, 1)];
            let facts = self.facts(&results);
            let previous = past.last().map(|p| p.digest);
            let (mut ask, permit) = self.ask(&facts, &results, Level::BitForBit, previous, Moment::now());
            let seen = self.store().load().unwrap().seen.size();
            ask.consistency = self.keeper.prove(&[], seen).unwrap().consistency;
            self.release_now(&ask, None).unwrap();
            past.push(Past { digest: self.rebuild, permit, release: self.keeper.checkpoint().size() - 1 });
        }
        past
    }

    fn log(&self) -> Vec<Entry> {
        Log::open(&self.folder.path().join("public/log/tiles"), &self.keys.log).unwrap().1
    }

    /// Rotates to version 2 and pins it; gives both keys, and the order to sign releases again.
    fn rotated(&mut self) -> (PublicKey, PublicKey, u64) {
        let (old, new) = (self.keys.image.current().clone(), self.offered(2));
        let order = self.order_version(old.id(), &new, 2, &[1, 2]);
        self.rotate(order, None).unwrap();
        self.pin();
        let order = self.order(Action::Resign { key: new.id() }, &[1, 2]);
        (old, new, order)
    }

    /// What the coordinator asks with: by the log alone.
    fn ask_again(&mut self, order: u64, past: &Past) -> ResignAsk {
        let (entries, since) = (self.log(), self.keys.image.since());
        let name = |e: &Entry| e.body().map_or("rekor", Body::name);
        let within = |e: &&Entry| past.permit < e.index && e.index < past.release;
        let signed: Vec<u64> = entries
            .iter()
            .filter(within)
            .filter(|e| ["attempt", "signature"].contains(&name(e)))
            .map(|e| e.index)
            .collect();
        // All promotions of this world have one name: what is of this release is told by the permit and the attempt.
        let attempts: Vec<&Attempt> = entries
            .iter()
            .filter(|e| e.index >= since)
            .filter_map(|e| match e.body() {
                Some(Body::Attempt(a)) if a.permit == past.permit => Some(a),
                _ => None,
            })
            .collect();
        let ours = |id: &str| attempts.iter().any(|a| a.id == id);
        let mut last = false;
        let mut made = Vec::new();
        for entry in entries.iter().filter(|e| e.index >= since) {
            let of_this = match entry.body() {
                Some(Body::Attempt(a)) => ours(&a.id),
                Some(Body::Signature(s)) => ours(&s.attempt),
                Some(Body::Bundle(b)) => ours(&b.attempt),
                Some(_) => false,
                None => last,
            };
            last = of_this;
            made.extend(of_this.then_some(entry.index));
        }
        let seen = self.store().load().unwrap().seen.size();
        let all: Vec<u64> = [order, past.permit, past.release].into_iter().chain(signed.clone()).chain(made).collect();
        let proved = self.keeper.prove(&all, seen).unwrap();
        let proven: Vec<_> =
            all.iter().zip(proved.receipts).map(|(i, receipt)| entries[*i as usize].proven(receipt).unwrap()).collect();
        let [order, permit, release, rest @ ..] = &proven[..] else { panic!() };
        let (signed, made) = rest.split_at(signed.len());
        ResignAsk {
            order: order.clone(),
            permit: permit.clone(),
            signed: signed.to_vec(),
            release: release.clone(),
            made: made.to_vec(),
            consistency: proved.consistency,
        }
    }

    fn resign_with(
        &mut self,
        ask: &ResignAsk,
        store: &dyn Store,
        die: Option<(usize, bool)>,
    ) -> Result<Answer, Failure> {
        // The store is held: nobody else may open it meanwhile.
        let (own, version) = (self.own(), store.load()?.key_version(1));
        let key = FileVersions::new(&own, version).key(version)?;
        let (config, rules, keys) = (self.config.clone(), self.rules.clone(), self.keys.clone());
        let signer =
            Signer { config: &config, rules: &rules, keys: &keys, trial: self.trial, state: self.folder.path() };
        signer.resign(ask, &key, store, &mut Carry { keeper: &mut self.keeper, calls: 0, die })
    }

    fn resign(&mut self, order: u64, past: &Past, die: Option<(usize, bool)>) -> Result<Answer, Failure> {
        let ask = self.ask_again(order, past);
        let store = self.store();
        self.resign_with(&ask, &store, die)
    }

    /// The digests whose `resigning` entries the log has, and how often.
    fn resigned(&self) -> BTreeMap<Digest, usize> {
        let mut found = BTreeMap::new();
        for entry in self.log() {
            if let Some(Body::Resigning(says)) = entry.body() {
                *found.entry(says.digest).or_default() += 1;
            }
        }
        found
    }

    /// The bundles on an image, by the key that signed each: as a verifier sees them.
    fn bundles(&self, digest: &Digest) -> BTreeMap<KeyId, usize> {
        let mut found = BTreeMap::new();
        for listed in self.registry.referrers("prod/app", digest).unwrap() {
            let manifest = self.registry.manifest("prod/app", &listed.digest.to_string()).unwrap();
            let layer = Manifest::parse(&manifest).unwrap().layers[0].digest;
            let bytes = Layout::open(self.registry.layout("prod/app")).read_digest(&layer, 4 << 20).unwrap();
            let bundle: Value = serde_json::from_slice(&bytes).unwrap();
            let envelope = dsse::Envelope::parse(bundle["dsseEnvelope"].to_string().as_bytes()).unwrap();
            let index = bundle.pointer("/verificationMaterial/tlogEntries/0/logIndex").unwrap().as_str().unwrap();
            let key = self.keys.image.at(index.parse().unwrap()).unwrap().key;
            envelope.verify([key]).unwrap();
            *found.entry(key.id()).or_default() += 1;
        }
        found
    }
}

/// Numbers that look random, and are the same in each run.
fn drawn(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

#[test]
fn two_hundred_releases_are_signed_again_once_each_by_a_signer_that_is_killed_over_and_over() {
    const RELEASES: usize = 200;
    let mut world = world();
    let past = world.releases(RELEASES);
    let tags = world.registry.tags("prod/app");
    let (old, new, order) = world.rotated();
    let (mut seed, mut killed, mut passes) = (7, 0, 0);
    loop {
        passes += 1;
        let done = world.resigned();
        let due: Vec<&Past> = past.iter().filter(|p| !done.contains_key(&p.digest)).collect();
        if due.is_empty() {
            break;
        }
        // A pass: so many, until the signer dies; every third one lives.
        let lives = passes % 3 == 0;
        for one in due.into_iter().take(50) {
            let die = (!lives && drawn(&mut seed, 6) == 0)
                .then(|| (1 + drawn(&mut seed, 4) as usize, drawn(&mut seed, 2) == 0));
            match world.resign(order, one, die) {
                Ok(Answer::Resigned { digest }) => assert_eq!(digest, one.digest),
                Err(failure) if failure.code == "killed" => {
                    killed += 1;
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    println!("{RELEASES} releases, {killed} kills, {passes} passes");
    assert!(killed >= 5, "{killed}");
    let resigned = world.resigned();
    assert_eq!((resigned.len(), resigned.values().max()), (RELEASES, Some(&1)));
    for one in &past {
        let expected = BTreeMap::from([(old.id(), 3), (new.id(), 3)]);
        assert_eq!(world.bundles(&one.digest), expected, "{}", one.digest);
        let legacy = |suffix: &str| {
            let tag = format!("sha256-{}.{suffix}", one.digest.hex());
            Manifest::parse(&world.registry.manifest("prod/app", &tag).unwrap()).unwrap().layers.len()
        };
        assert_eq!((legacy("sig"), legacy("att")), (2, 4), "{}", one.digest);
    }
    // Of every payload one signature more; a new attempt each, and one more where an answer was lost.
    assert_eq!(world.count("signature"), 8 * RELEASES);
    assert!((2 * RELEASES..=2 * RELEASES + killed).contains(&world.count("attempt")), "{}", world.count("attempt"));
    assert_eq!((world.count("bundle"), world.count("release")), (6 * RELEASES, RELEASES));
    // No tag was touched but the legacy ones, which grew.
    assert_eq!(world.registry.tags("prod/app").get("latest"), tags.get("latest"));
    assert_eq!(world.registry.tags("prod/app").len(), tags.len());
}

#[test]
fn killed_at_each_record_a_release_has_one_new_set() {
    for after in [false, true] {
        for call in 1..=4 {
            let mut world = world();
            let past = world.releases(1).remove(0);
            let (old, new, order) = world.rotated();
            assert_eq!(world.resign(order, &past, Some((call, after))).unwrap_err().code, "killed");
            if world.resigned().is_empty() {
                world.resign(order, &past, None).unwrap();
            }
            let counts = ["attempt", "signature", "bundle", "resigning"].map(|kind| world.count(kind));
            // One attempt more when nobody can know whether it was signed for.
            let attempts = if (call, after) == (1, true) || (call, after) == (2, false) { 3 } else { 2 };
            assert_eq!(counts, [attempts, 8, 6, 1], "{call}, {after}");
            assert_eq!(world.bundles(&past.digest), BTreeMap::from([(old.id(), 3), (new.id(), 3)]));
        }
    }
}

#[test]
fn of_two_signers_at_once_one_signs_a_release_again() {
    let mut world = world();
    let past = world.releases(1).remove(0);
    let (_, _, order) = world.rotated();
    let (ask, before) = (world.ask_again(order, &past), world.memory());
    world.resign(order, &past, None).unwrap();
    let store = world.store();
    let failure = world.resign_with(&ask, &Overtaken(&store, before), None).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retry), ("signer-state-moved", Retry::Later));
    drop(store);
    assert_eq!((world.count("signature"), world.count("resigning")), (8, 1));
}

#[test]
fn nothing_is_signed_again_that_was_not_ordered_or_that_no_key_of_its_time_signed() {
    let mut world = world();
    let pasts = world.releases(2);
    let (old, new, order) = world.rotated();
    let good = world.ask_again(order, &pasts[0]);
    let other = world.ask_again(order, &pasts[1]);
    let one = world.order(Action::Resign { key: new.id() }, &[1]);
    let earlier = world.order(Action::Resign { key: old.id() }, &[1, 2]);
    let revoke = world.order(Action::Revoke { digest: pasts[0].digest }, &[1, 2]);
    let cases: Vec<(&str, ResignAsk)> = vec![
        ("one person", world.ask_again(one, &pasts[0])),
        ("for an earlier key", world.ask_again(earlier, &pasts[0])),
        ("another action", world.ask_again(revoke, &pasts[0])),
        ("another permit", ResignAsk { permit: other.permit.clone(), ..good.clone() }),
        ("another release", ResignAsk { release: other.release.clone(), ..good.clone() }),
        ("signatures of another", ResignAsk { signed: other.signed.clone(), ..good.clone() }),
        ("a signature missing", ResignAsk { signed: good.signed[..good.signed.len() - 1].to_vec(), ..good.clone() }),
        ("no attempt", ResignAsk { signed: good.signed[1..].to_vec(), ..good.clone() }),
        ("nothing signed", ResignAsk { signed: vec![], ..good.clone() }),
    ];
    for (what, mut ask) in cases {
        // The proofs of before the last orders are of an older log: what is asked for is proved anew.
        if !["one person", "for an earlier key", "another action"].contains(&what) {
            ask = world.reproved(&ask);
        }
        let store = world.store();
        let failure = world.resign_with(&ask, &store, None).unwrap_err();
        let known = ["not-ordered", "not-resigned"].contains(&failure.code.as_str());
        assert!(known && failure.retry == Retry::Never, "{what}: {failure}");
        drop(store);
        assert_eq!((world.count("signature"), world.count("attempt")), (8, 2), "{what}");
    }
    let later = world.log().len() as u64;
    // A key that was not in force where the signatures stand: they were made by whoever has it.
    let keys = world.keys.clone();
    let retired = vec![audit::image_keys::Retired { key: old, from: later, until: later + 1 }];
    world.keys.image = audit::image_keys::ImageKeys::new(new, later + 1, retired).unwrap();
    let ask = world.reproved(&good);
    let store = world.store();
    assert_eq!(world.resign_with(&ask, &store, None).unwrap_err().code, "not-resigned");
    drop(store);
    world.keys = keys;
    world.resign(order, &pasts[0], None).unwrap();
}

impl World {
    /// The same entries, proved under the newest checkpoint.
    fn reproved(&mut self, ask: &ResignAsk) -> ResignAsk {
        let seen = self.store().load().unwrap().seen.size();
        let entries = self.log();
        let mut again = |proven: &audit::recorded::Proven| {
            let receipt: audit::receipt::Receipt = proven.receipt.parse().unwrap();
            let fresh = self.keeper.prove(&[receipt.index], 0).unwrap().receipts.remove(0);
            entries[receipt.index as usize].proven(fresh).unwrap()
        };
        let (order, permit, release) = (again(&ask.order), again(&ask.permit), again(&ask.release));
        let signed = ask.signed.iter().map(&mut again).collect();
        let made = ask.made.iter().map(&mut again).collect();
        let consistency = self.keeper.prove(&[], seen).unwrap().consistency;
        ResignAsk { order, permit, signed, release, made, consistency }
    }
}

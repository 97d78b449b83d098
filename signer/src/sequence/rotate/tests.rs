//! Rotation, by whoever carries entries to the signer; its death at each step, and two at once.

use artifact::Digest;
use artifact::digest::Base64;
use artifact::failure::Retry;
use artifact::key::{KeyId, P256Key};
use artifact::statement::comparison::Level;
use audit::entry::{Body, OrderSignature};
use audit::image_keys::ImageKeys;
use audit::reader::Log;
use audit::released::Vouched;
use policy::Rules;
use policy::order::NAMESPACE;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};

use super::super::testkit::{Carry, World};
use super::super::{ReleaseAsk, Stop};
use super::*;
use crate::key::{FileKey, FileVersions};
use crate::state::{FileStore, Memory};

fn person(seed: u8) -> PrivateKey {
    PrivateKey::new(KeypairData::from(Ed25519Keypair::from_seed(&[seed; 32])), "").unwrap()
}

/// A world in which ann (1) and ben (2) together may rotate the key, by the signer's own list.
pub(in crate::sequence) fn world() -> World {
    let mut world = World::new();
    let line = |who: &str, seed: u8| format!("{who}@x {}\n", person(seed).public_key().to_openssh().unwrap());
    let rules = format!(
        "version = 1\n[[project]]\nname = \"hello\"\nbranch = \"main\"\nrepository = \"{}/prod/app\"\ntags = [\"latest\"]\nrequired_jobs = [\"test\"]\nproofs = [\"test-result\"]\nresult_keys = [\"\"\"{}\"\"\"]\nbases = [\"r.example/base@{}\"]\nleast_level = \"same-filesystem\"\nruntimes = [\"runc\"]\n[orders]\nrotate = 2\nallowed_signers = \"\"\"\n{}{}\"\"\"\n",
        world.registry.host(),
        world.ci.public(),
        Digest::of(b"base"),
        line("ann", 1),
        line("ben", 2),
    );
    world.rules = Rules::parse(rules.as_bytes()).unwrap();
    world
}

impl World {
    pub(in crate::sequence) fn own(&self) -> std::path::PathBuf {
        self.folder.path().join("public/signer/own")
    }

    pub(in crate::sequence) fn store(&self) -> FileStore {
        FileStore::open(&self.own()).unwrap()
    }

    pub(in crate::sequence) fn memory(&self) -> Memory {
        self.store().load().unwrap()
    }

    /// The public key of a version; the next one is made.
    pub(in crate::sequence) fn offered(&self, version: u64) -> PublicKey {
        FileVersions::new(&self.own(), self.memory_version()).offer(version).unwrap()
    }

    fn memory_version(&self) -> u64 {
        if self.own().join("state.json").exists() { self.memory().key_version(1) } else { 1 }
    }

    /// The key that the signer signs with now.
    pub(in crate::sequence) fn used(&self) -> FileKey {
        let version = self.memory_version();
        FileVersions::new(&self.own(), version).key(version).unwrap()
    }

    /// An order, signed by these and recorded.
    pub(in crate::sequence) fn order(&mut self, action: Action, seeds: &[u8]) -> u64 {
        let order = policy::Order {
            kind: NAMESPACE.to_owned(),
            lane: LaneName::Public,
            action,
            rules: self.rules.digest(),
            nonce: "ab".repeat(16),
            expires: Moment::now().plus_seconds(3600),
            reason: "a year is over".to_owned(),
        };
        let statement = order.to_bytes().unwrap();
        let signature = |seed: &u8| {
            let signature = person(*seed).sign(NAMESPACE, HashAlg::Sha512, &statement).unwrap();
            let signature = Base64(signature.to_pem(LineEnding::LF).unwrap().into_bytes());
            OrderSignature { principal: format!("{seed}@x"), signature }
        };
        let signatures = seeds.iter().map(signature).collect();
        self.append(Order { statement: Base64(statement), signatures, at: Moment::now() }.into())
    }

    pub(in crate::sequence) fn order_version(
        &mut self,
        before: KeyId,
        key: &PublicKey,
        version: u64,
        seeds: &[u8],
    ) -> u64 {
        self.order(Action::Rotate { before, key: key.clone(), version }, seeds)
    }

    fn signer(&self) -> Signer<'_> {
        let Self { config, rules, keys, trial, .. } = self;
        Signer { config, rules, keys, trial: *trial, state: self.folder.path() }
    }

    fn rotate_with(&mut self, order: u64, store: &dyn Store, die: Option<(usize, bool)>) -> Result<Answer, Failure> {
        let seen = if self.own().join("state.json").exists() { store.load()?.seen.size() } else { 0 };
        let consistency = self.keeper.prove(&[], seen).unwrap().consistency;
        let ask = RotateAsk { order: self.proven(order), consistency };
        let (own, version) = (self.own(), store.load()?.key_version(1));
        let (config, rules, keys) = (self.config.clone(), self.rules.clone(), self.keys.clone());
        let signer =
            Signer { config: &config, rules: &rules, keys: &keys, trial: self.trial, state: self.folder.path() };
        let mut carry = Carry { keeper: &mut self.keeper, calls: 0, die };
        signer.rotate(&ask, &FileVersions::new(&own, version), store, &mut carry)
    }

    pub(in crate::sequence) fn rotate(&mut self, order: u64, die: Option<(usize, bool)>) -> Result<Answer, Failure> {
        let store = self.store();
        self.rotate_with(order, &store, die)
    }

    /// A release with the key that the signer's memory says.
    pub(in crate::sequence) fn release_now(
        &mut self,
        ask: &ReleaseAsk,
        die: Option<(usize, bool)>,
    ) -> Result<Answer, Stop> {
        let (key, store) = (self.used(), self.store());
        let (config, rules, keys) = (self.config.clone(), self.rules.clone(), self.keys.clone());
        let signer =
            Signer { config: &config, rules: &rules, keys: &keys, trial: self.trial, state: self.folder.path() };
        signer.release(ask, &key, &store, &mut Carry { keeper: &mut self.keeper, calls: 0, die })
    }

    fn bodies(&self) -> Vec<(u64, Option<Body>)> {
        let (_, entries) = Log::open(&self.folder.path().join("public/log/tiles"), &self.keys.log).unwrap();
        entries.iter().map(|e| (e.index, e.body().cloned())).collect()
    }

    /// Does with `keys.toml` what the operator does once a rotation is recorded.
    pub(in crate::sequence) fn pin(&mut self) -> u64 {
        let rotation = self.bodies().into_iter().find_map(|(index, body)| match body {
            Some(Body::Rotation(rotation)) => Some((index, rotation)),
            _ => None,
        });
        let (index, rotation) = rotation.unwrap();
        rotation.verify(&self.keys.log, self.keys.image.current()).unwrap();
        self.keys.image = self.keys.image.rotated(rotation.key, index).unwrap();
        index
    }

    fn permitted(&mut self) -> (ReleaseAsk, u64) {
        let results = vec![self.result(true, 1)];
        let facts = self.facts(&results);
        self.ask(&facts, &results, Level::BitForBit, None, Moment::now())
    }
}

#[test]
fn an_ordered_version_is_taken_up_once_wherever_the_signer_is_killed() {
    for die in [None, Some((1, false)), Some((1, true))] {
        let mut world = world();
        let (old, new) = (world.image.public(), world.offered(2));
        let (ask, permit) = world.permitted();
        let order = world.order_version(old.id(), &new, 2, &[1, 2]);
        let done = world.rotate(order, die);
        assert_eq!(done.is_ok(), die.is_none(), "{done:?}");
        // Whatever came of it, the earlier key signs no image any more, and the later one none before it is pinned.
        assert_eq!(world.used().public(), new, "{die:?}");
        let mut refreshed = ask.clone();
        world.refresh(&mut refreshed, permit);
        let Err(Stop::Failed(failure)) = world.release_now(&refreshed, None) else { panic!("{die:?}") };
        assert_eq!(failure.code, "wrong-image-key");
        if world.count("rotation") == 0 {
            assert!(matches!(world.rotate(order, None), Ok(Answer::Rotated { .. })), "{die:?}");
        }
        assert_eq!(world.count("rotation"), 1, "{die:?}");
        let index = world.pin();
        assert_eq!(world.keys.image, ImageKeys::from(old.clone()).rotated(new.clone(), index).unwrap());
        world.refresh(&mut refreshed, permit);
        let done = world.release_now(&refreshed, None);
        assert!(matches!(done, Ok(Answer::Released { .. })), "{die:?}: {done:?}");
        assert_eq!((world.count("signature"), world.count("release")), (4, 1));
    }
}

#[test]
fn what_people_did_not_order_by_this_rooms_list_is_not_taken_up() {
    let mut world = world();
    let (old, new) = (world.image.public(), world.offered(2));
    let other = P256Key::generate().unwrap().public();
    let (before, never) = (old.id(), other.id());
    let rotate = |before, key: &PublicKey, version| Action::Rotate { before, key: key.clone(), version };
    let cases: Vec<(&str, &str, Action, &[u8])> = vec![
        ("one person", "not-ordered", rotate(before, &new, 2), &[1]),
        ("a person twice", "not-ordered", rotate(before, &new, 2), &[1, 1]),
        ("people on no list", "not-ordered", rotate(before, &new, 2), &[1, 3]),
        ("another action", "not-ordered", Action::Revoke { digest: Digest::of(b"x") }, &[1, 2]),
        ("for a key that is not today's", "not-ordered", rotate(never, &new, 2), &[1, 2]),
        ("a key that this version is not", "key-version", rotate(before, &other, 2), &[1, 2]),
        ("a version that is not there", "key-version", rotate(before, &new, 3), &[1, 2]),
        ("no later version", "key-version", rotate(before, &other, 1), &[1, 2]),
    ];
    for (what, code, action, seeds) in cases {
        let order = world.order(action, seeds);
        let failure = world.rotate(order, None).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retry), (code, Retry::Never), "{what}: {failure}");
        assert_eq!((world.memory().key, world.count("rotation")), (None, 0), "{what}");
    }
    // What is no order, and an order that nobody proves.
    let (_, permit) = world.permitted();
    assert_eq!(world.rotate(permit, None).unwrap_err().code, "not-recorded");
    let order = world.order_version(before, &new, 2, &[1, 2]);
    let (mine, mut forged) = (world.proven(order), world.proven(permit));
    forged.content = mine.content;
    let ask = RotateAsk { order: forged, consistency: vec![] };
    let (store, own) = (world.store(), world.own());
    let versions = FileVersions::new(&own, 1);
    let failure = world.signer().rotate(&ask, &versions, &store, &mut Nobody).unwrap_err();
    assert_eq!((failure.code.as_str(), world.count("rotation")), ("not-recorded", 0));
    drop(store);
    // Without a list nobody orders anything.
    world.rules = World::new().rules;
    assert_eq!(world.rotate(order, None).unwrap_err().code, "not-ordered");
}

/// Records nothing.
struct Nobody;

impl Recorder for Nobody {
    fn record(&mut self, _: Vec<Submission>, _: u64) -> Result<audit::door::Appended, Failure> {
        panic!("nothing may be recorded");
    }

    fn say(&mut self, _: &str) {}
}

/// One that another signer has overtaken between reading and writing.
pub(in crate::sequence) struct Overtaken<'a>(pub(in crate::sequence) &'a FileStore, pub(in crate::sequence) Memory);

impl Store for Overtaken<'_> {
    fn load(&self) -> Result<Memory, Failure> {
        Ok(self.1.clone())
    }

    fn recall(&self, memory: &mut Memory, tags: &[String]) -> Result<(), Failure> {
        self.0.recall(memory, tags)
    }

    fn swap(&self, memory: &mut Memory) -> Result<(), Failure> {
        self.0.swap(memory)
    }
}

#[test]
fn of_two_signers_at_once_one_takes_the_version_up_and_the_other_records_nothing() {
    let mut world = world();
    let new = world.offered(2);
    let (ask, _) = world.permitted();
    world.release_now(&ask, None).unwrap();
    let order = world.order_version(world.keys.image.current().id(), &new, 2, &[1, 2]);
    let before = world.memory();
    world.rotate(order, None).unwrap();
    let store = world.store();
    let late = Overtaken(&store, before);
    let failure = world.rotate_with(order, &late, None).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retry), ("signer-state-moved", Retry::Later));
    drop(store);
    assert_eq!((world.count("rotation"), world.memory_version()), (1, 2));
}

/// Signed and not published: what the earlier key signed counts where it stands, and the image gets the signatures of today, for
/// an attempt of their own.
#[test]
fn an_attempt_in_flight_is_signed_again_with_the_key_of_today() {
    for calls in [2, 3, 4] {
        let mut world = world();
        let (old, new) = (world.image.public(), world.offered(2));
        let (mut ask, permit) = world.permitted();
        assert!(world.release_now(&ask, Some((calls, false))).is_err());
        let order = world.order_version(old.id(), &new, 2, &[1, 2]);
        world.rotate(order, None).unwrap();
        let index = world.pin();
        world.refresh(&mut ask, permit);
        let done = world.release_now(&ask, None);
        assert!(matches!(done, Ok(Answer::Released { .. })), "{calls}: {done:?}");
        let mut vouched = Vouched::by(&world.keys.image, &world.keys.log);
        let bodies = world.bodies();
        let all: Vec<_> = bodies.iter().filter_map(|(at, b)| b.as_ref().map(|b| (*at, vouched.read(*at, b)))).collect();
        assert!(all.iter().all(|(_, counts)| *counts), "{calls}");
        for (at, body) in &bodies {
            let Some(Body::Signature(signature)) = body else { continue };
            let expected = if *at < index { old.id() } else { new.id() };
            assert_eq!(signature.key, expected, "{calls}: entry {at}");
        }
        assert_eq!(world.count("attempt"), 2, "{calls}");
        let of_today = bodies.iter().filter(|(at, b)| *at > index && matches!(b, Some(Body::Signature(_)))).count();
        assert_eq!(of_today, 4, "{calls}");
    }
}

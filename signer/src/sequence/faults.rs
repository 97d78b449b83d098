//! Each request to a real OpenBao spoilt in each way, and the signer ended after it: one release, whole, and nothing signed
//! that the log does not know.

use std::collections::BTreeMap;

use audit::entry::Body;
use audit::reader::Log;
use demo::Vault;
use demo::vault::proxy::{Fault, Proxy};
use demo::vault::{HEADER, KEY};
use serde_json::Value;

use super::testkit::World;
use super::tests::{reasons, simple};
use super::{Answer, Stop};
use crate::door::ReleaseAsk;
use crate::key::ImageKey as _;
use crate::state::Store as _;
use crate::vault::settings::VaultSettings;
use crate::vault::{Session, TransitKey, VaultStore, needs};

/// A Vault, and a proxy before it that sees the requests.
struct Line {
    vault: Vault,
    proxy: Proxy,
    _folder: tempfile::TempDir,
}

impl Line {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vault = Vault::start(folder.path()).unwrap();
        let proxy = Proxy::start(vault.plain()).unwrap();
        Self { vault, proxy, _folder: folder }
    }

    /// A signer's place in it: a role and a folder of this name.
    fn settings(&self, name: &str) -> VaultSettings {
        let settings = |login: &str| -> VaultSettings {
            let text = format!(
                "address = \"http://{}\"\nwait_seconds = 2\nkv.path = \"{name}\"\ntransit = {{key = \"{KEY}\", version = 1}}\n{login}",
                self.proxy.address()
            );
            toml::from_str(&text).unwrap()
        };
        let policy = needs::policy(&settings("login.agent.token_file = \"/\"\n"));
        self.vault.policy(name, &policy).unwrap();
        let (role, file) = self.vault.approle(name, name).unwrap();
        settings(&format!("login.approle = {{role_id = \"{role}\", secret_id_file = {file:?}}}\n"))
    }

    /// How often Vault signed, by attempt.
    fn signs(&self) -> BTreeMap<String, usize> {
        let path = format!("transit/sign/{KEY}/sha2-256");
        let mut signs = BTreeMap::new();
        for line in std::fs::read_to_string(self.vault.audit()).unwrap().lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            if line["type"] == "response" && line["request"]["path"] == path.as_str() {
                *signs.entry(line["request"]["headers"][HEADER][0].as_str().unwrap().to_owned()).or_default() += 1;
            }
        }
        signs
    }
}

/// One job of a signer that was just started: it logs in, says what it has seen, and releases.
fn job(world: &mut World, settings: &VaultSettings, ask: &mut ReleaseAsk, permit: u64) -> Result<Answer, Stop> {
    let session = Session::open(settings)?;
    let own = world.folder.path().join("public/signer/own");
    let store = VaultStore::open(&session, &settings.kv, &own)?;
    let key = TransitKey::open(&session, settings.transit.as_ref().unwrap())?;
    world.keys.image = key.public().into();
    let seen = store.load()?.seen.size();
    world.refresh_since(ask, permit, seen);
    world.release_by(ask, &key, &store, None)
}

/// The attempts that were recorded, and whether signatures of each are.
fn attempts(world: &World) -> BTreeMap<String, bool> {
    let (_, entries) = Log::open(&world.folder.path().join("public/log/tiles"), &world.keys.log).unwrap();
    let mut attempts = BTreeMap::new();
    for body in entries.iter().filter_map(|e| e.body()) {
        match body {
            Body::Attempt(attempt) => drop(attempts.insert(attempt.id.clone(), false)),
            Body::Signature(signature) => drop(attempts.insert(signature.attempt.clone(), true)),
            _ => {}
        }
    }
    attempts
}

#[test]
fn whatever_becomes_of_a_request_to_vault_there_is_one_release_and_each_sign_is_one_attempts() {
    let line = Line::new();
    let settings = line.settings("whole");
    let mut world = World::new();
    let (mut ask, permit) = simple(&mut world);
    let done = job(&mut world, &settings, &mut ask, permit);
    assert!(matches!(done, Ok(Answer::Released { .. })), "{:?}", reasons(done));
    let asked = line.proxy.asked();
    assert!(asked.len() > 8 && asked.iter().any(|line| line.contains("/sign/")), "{asked:?}");
    for (number, request) in asked.iter().enumerate() {
        for fault in Fault::ALL {
            // Nothing between two ends of TLS sends a request twice, but what ends TLS itself; `log reconcile` tells that.
            if fault == Fault::Doubled && request.contains("/sign/") {
                continue;
            }
            spoilt(&line, number, request, fault);
        }
    }
}

fn spoilt(line: &Line, number: usize, request: &str, fault: Fault) {
    let case = format!("{number} {request} {fault:?}");
    let settings = line.settings(&format!("case-{number}-{fault:?}"));
    let mut world = World::new();
    let (mut ask, permit) = simple(&mut world);
    let before = line.signs();
    line.proxy.spoil(Some((number, fault)));
    let first = job(&mut world, &settings, &mut ask, permit);
    line.proxy.spoil(None);
    // A release that is recorded, and an answer that is not heard by the memory, is over.
    if world.count("release") == 0 {
        assert!(first.is_err(), "{case}");
        if let Err(Stop::Refused(reasons)) = &first {
            panic!("{case}: {reasons:?}");
        }
        let next = job(&mut world, &settings, &mut ask, permit);
        assert!(matches!(next, Ok(Answer::Released { .. })), "{case}: {:?} {:?}", reasons(first), reasons(next));
    }
    assert_eq!((world.count("signature"), world.count("bundle"), world.count("release")), (4, 3, 1), "{case}");
    assert_eq!(world.registry.tags("prod/app").len(), 2 + 2, "{case}: {:?}", world.registry.tags("prod/app"));
    // What Vault signed since, against what is recorded.
    let attempts = attempts(&world);
    let signs: BTreeMap<String, usize> = line.signs().into_iter().filter(|(id, _)| !before.contains_key(id)).collect();
    for (id, times) in &signs {
        assert!(attempts.contains_key(id) && *times == 1, "{case}: {signs:?} {attempts:?}");
    }
    for id in attempts.iter().filter(|(_, signed)| **signed).map(|(id, _)| id) {
        assert!(signs.contains_key(id), "{case}: {signs:?} {attempts:?}");
    }
}

#[test]
fn two_signers_that_have_the_same_memory_do_not_both_go_on() {
    let line = Line::new();
    let settings = line.settings("two");
    let mut world = World::new();
    let own = world.folder.path().join("public/signer/own");
    let other = world.folder.path().join("other-host");
    std::fs::create_dir_all(&other).unwrap();
    let session = Session::open(&settings).unwrap();
    let (here, there) = (
        VaultStore::open(&session, &settings.kv, &own).unwrap(),
        VaultStore::open(&session, &settings.kv, &other).unwrap(),
    );
    let (mut first, mut second) = (here.load().unwrap(), there.load().unwrap());
    assert_eq!(first, second);
    here.swap(&mut first).unwrap();
    assert_eq!(there.swap(&mut second).unwrap_err().code, "signer-state-moved");
    assert_eq!(there.load().unwrap().version, first.version);
    // And a release by one is not released again by the other.
    drop((here, there));
    let (mut ask, permit) = simple(&mut world);
    assert!(matches!(job(&mut world, &settings, &mut ask, permit), Ok(Answer::Released { .. })));
    assert_eq!(reasons(job(&mut world, &settings, &mut ask, permit)), ["permit-used"]);
}

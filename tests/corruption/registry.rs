//! A registry that was broken into: what hangs on a release taken away, exchanged, or signed by somebody else. Each is
//! refused by `countersign-verify image`, with a reason that names it.

use std::fs;

use artifact::digest::Base64;
use artifact::dsse::{self, Envelope, IN_TOTO};
use artifact::key::P256Key;
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor, Index, MANIFEST_LIMIT, Manifest};
use artifact::{Digest, json};
use audit::receipt::Receipt;
use demo::command::{Ran, ran};
use demo::registry::{Fault, Harm};
use serde_json::{Value, json};
use verifier::trust::Trust;

use super::forged::Forged;
use super::release::says_the_same;
use super::scene::Promoted;
use super::{Flipped, Sample};
use crate::scene::Scene;

const REPOSITORY: &str = "prod/app";
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What hangs on the newest release, and a hand in the registry's store.
struct Broken {
    scene: Scene,
    trust: Trust,
    released: [Digest; 2],
    image: Digest,
    /// The manifests that attach, and the bundles: signature, provenance, verdict, in the order of the list.
    attached: Vec<(Descriptor, Value)>,
}

impl Broken {
    fn new() -> Self {
        let Promoted { scene, trust, released, .. } = Promoted::new();
        let scene = scene.into_inner().unwrap();
        let mut broken = Self { scene, trust, released, image: released[1], attached: Vec::new() };
        broken.attached = broken.attached_to(&released[1]);
        assert_eq!(broken.attached.len(), 3);
        broken
    }

    fn layout(&self) -> Layout {
        Layout::open(self.scene.world.production.layout(REPOSITORY))
    }

    fn attached_to(&self, image: &Digest) -> Vec<(Descriptor, Value)> {
        let (production, layout) = (&self.scene.world.production, self.layout());
        let index = production.manifest(REPOSITORY, &fallback(image)).unwrap();
        let bundle = |listed: &Descriptor| -> Value {
            let manifest = Manifest::parse(&layout.read(listed, MANIFEST_LIMIT).unwrap()).unwrap();
            serde_json::from_slice(&layout.read(&manifest.layers[0], MANIFEST_LIMIT).unwrap()).unwrap()
        };
        Index::parse(&index).unwrap().manifests.into_iter().map(|listed| (listed.clone(), bundle(&listed))).collect()
    }

    /// Puts a bundle into the registry and says how a list names what attaches it to the image.
    fn attach(&self, bundle: &Value) -> Descriptor {
        let bytes = json::canonical("bundle", bundle).unwrap();
        let empty = Descriptor::of(oci::EMPTY, b"{}");
        let manifest = json!({
            "schemaVersion": 2, "mediaType": oci::MANIFEST, "artifactType": BUNDLE, "config": empty,
            "layers": [Descriptor::of(BUNDLE, &bytes)], "subject": Descriptor::new(oci::MANIFEST, self.image, 1),
        });
        let manifest = json::canonical("manifest", &manifest).unwrap();
        self.with(async |client, repository| {
            client.push_bytes(repository, &bytes).await.unwrap();
            let reference = Digest::of(&manifest).to_string();
            client.push_manifest(repository, &reference, oci::MANIFEST, &manifest).await.unwrap();
        });
        let mut listed = Descriptor::of(oci::MANIFEST, &manifest);
        listed.artifact_type = Some(BUNDLE.to_owned());
        listed
    }

    /// Lets the fallback tag list these.
    fn list(&self, manifests: &[Descriptor]) {
        let index = json::canonical("index", &Index::of(manifests.to_vec())).unwrap();
        let tag = fallback(&self.image);
        self.with(async |client, repository| {
            client.push_manifest(repository, &tag, oci::INDEX, &index).await.unwrap();
        });
    }

    fn with(&self, work: impl AsyncFnOnce(&registry::Client, &artifact::name::Repository)) {
        let client = registry::Client::new(&self.trust.registry).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(work(&client, &self.scene.line.release));
    }

    /// The manifests that attach, with one exchanged.
    fn exchanged(&self, at: usize, by: Descriptor) -> Vec<Descriptor> {
        let mut all: Vec<_> = self.attached.iter().map(|(listed, _)| listed.clone()).collect();
        all[at] = by;
        all
    }

    fn verify(&self, reference: &str) -> Ran {
        let reference = format!("{}{reference}", self.scene.line.release);
        ran(self.scene.world.perimeter.verifier(&reference).arg("--json")).unwrap()
    }

    /// Verified with this status; among the checks that failed, one has this code and these words.
    fn refused(&self, what: &str, status: i32, code: &str, words: &str) {
        let ran = self.verify(&format!("@{}", self.image));
        self.expect(&ran, what, status, code, words);
    }

    fn expect(&self, ran: &Ran, what: &str, status: i32, code: &str, words: &str) {
        assert_eq!(ran.status, status, "{what}: {ran:?}");
        let report = ran.json().unwrap();
        assert_eq!(report["verified"], false, "{what}");
        let failed: Vec<_> = report["checks"].as_array().unwrap().iter().filter(|c| c["passed"] == false).collect();
        let named = |c: &&Value| c["code"] == code && c["found"].as_str().unwrap().contains(words);
        assert!(failed.iter().any(named), "{what}: {code}: {words:?} is expected: {failed:?}");
    }

    fn sound(&self) {
        let all: Vec<_> = self.attached.iter().map(|(listed, _)| listed.clone()).collect();
        self.list(&all);
        let ran = self.verify(&format!("@{}", self.image));
        assert_eq!(ran.status, 0, "{ran:?}");
    }
}

fn fallback(image: &Digest) -> String {
    format!("sha256-{}", image.hex())
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::from_value::<Base64>(value.clone()).unwrap().0
}

/// A statement with another signature, and a leaf that speaks of it: only the log was not asked.
fn signed(bundle: &Value, payload: &[u8], key: &P256Key) -> Value {
    let signature = key.sign(&dsse::pae(IN_TOTO, payload));
    let mut bundle = bundle.clone();
    let envelope = Envelope::new(payload.to_vec(), signature).to_bytes();
    bundle["dsseEnvelope"] = serde_json::from_slice(&envelope).unwrap();
    bundle
}

#[test]
fn what_a_registry_takes_away_exchanges_or_invents_is_refused_by_name() {
    let broken = Broken::new();
    broken.sound();
    let copied = broken.verify(&format!("@{}", broken.image));
    assert!(
        copied.stdout.contains("layers: who pulls them compares"),
        "what is not fetched is said: {}",
        copied.stdout
    );
    assert!(copied.stdout.contains("the legacy signatures"), "{}", copied.stdout);
    missing(&broken);
    exchanged(&broken);
    invented(&broken);
    spoilt(&broken);
    listed(&broken);
    moved(&broken);
    silent(&broken);
    broken.sound();
}

fn missing(broken: &Broken) {
    for (at, code) in ["signature", "provenance", "verdict"].into_iter().enumerate() {
        let mut rest = broken.exchanged(0, broken.attached[0].0.clone());
        rest.remove(at);
        broken.list(&rest);
        broken.refused("one bundle is not listed", 1, code, "no bundle of the trusted key");
    }
    broken.list(&[]);
    broken.refused("an empty list", 1, "signature", "no bundle of the trusted key");
    let production = &broken.scene.world.production;
    let tag = fallback(&broken.image);
    let there = production.tags(REPOSITORY)[&tag];
    production.set_tag(REPOSITORY, &tag, None).unwrap();
    broken.refused("no list at all", 1, "verdict", "no bundle of the trusted key");
    production.set_tag(REPOSITORY, &tag, Some(broken.image)).unwrap();
    broken.refused("a manifest for a list", 1, "signature", "index");
    production.set_tag(REPOSITORY, &tag, Some(there)).unwrap();
    let mut nowhere = broken.attached[0].0.clone();
    nowhere.digest = Digest::of(b"nowhere");
    // A registry takes no index that lists what it has not; it is written into its store.
    let index = json::canonical("index", &Index::of(vec![nowhere.clone()])).unwrap();
    fs::write(broken.layout().path(&there), index).unwrap();
    broken.refused("a list of what is not there", 1, "signature", &nowhere.digest.to_string());
    broken.sound();
}

fn exchanged(broken: &Broken) {
    let yesterday = broken.attached_to(&broken.released[0]);
    for (at, code) in ["signature", "provenance", "verdict"].into_iter().enumerate() {
        broken.list(&broken.exchanged(at, yesterday[at].0.clone()));
        broken.refused("another release's, as it hangs there", 1, code, "no bundle of the trusted key");
        broken.list(&broken.exchanged(at, broken.attach(&yesterday[at].1)));
        broken.refused("another release's, attached to this one", 1, "statement", "speaks of something else");
    }
    // One list may say of a manifest what is not so: others go by it.
    let mut listed = broken.attached[0].0.clone();
    listed.size += 1;
    broken.list(&broken.exchanged(0, listed));
    broken.refused("a wrong size in the list", 1, "referrers", "another size");
    let mut listed = broken.attached[0].0.clone();
    listed.artifact_type = Some(oci::EMPTY.to_owned());
    broken.list(&broken.exchanged(0, listed));
    broken.refused("the empty type in the list", 1, "referrers", "another artifactType");
    broken.sound();
}

fn invented(broken: &Broken) {
    let stranger = P256Key::generate().unwrap();
    let own = fs::read(broken.scene.world.perimeter.state().join("public/signer/own/key"));
    let trusted = P256Key::from_seed(&own.unwrap()).unwrap();
    let bundle = &broken.attached[0].1;
    let payload = bytes(&bundle["dsseEnvelope"]["payload"]);
    let text = String::from_utf8(payload.clone()).unwrap();
    let other = text.replace(&broken.image.hex(), &Digest::of(b"other").hex());
    let mut unsigned = bundle.clone();
    unsigned["dsseEnvelope"]["payload"] = json!(Base64(other.clone().into_bytes()));
    let none = "no bundle of the trusted key";
    for (what, bundle) in [
        ("a signature by another key", signed(bundle, &payload, &stranger)),
        ("a statement of another digest under the old signature", unsigned),
    ] {
        broken.list(&broken.exchanged(0, broken.attach(&bundle)));
        broken.refused(what, 1, "signature", none);
        let said = broken.verify(&format!("@{}", broken.image)).stdout;
        assert!(said.contains("1 bundles signed with other keys"), "{what}: {said}");
    }
    // With the trusted key, and not in the log: who has the key has no proof.
    broken.list(&broken.exchanged(0, broken.attach(&signed(bundle, other.as_bytes(), &trusted))));
    broken.refused("a signature that was never recorded", 1, "bundle", "the log entry is of another signature");
    let entry = "/verificationMaterial/tlogEntries/0";
    let mut cases = vec![("no log entry", "not exactly one log entry", bundle.clone())];
    cases[0].2["verificationMaterial"]["tlogEntries"] = json!([]);
    let mut twice = bundle.clone();
    let one = twice.pointer(entry).unwrap().clone();
    twice["verificationMaterial"]["tlogEntries"] = json!([one.clone(), one]);
    cases.push(("two log entries", "not exactly one log entry", twice));
    let mut empty = bundle.clone();
    empty.pointer_mut(entry).unwrap()["inclusionProof"]["hashes"] = json!([]);
    cases.push(("a proof of length 0", "too many or too few hashes", empty));
    let mut others = bundle.clone();
    *others.pointer_mut(entry).unwrap() = in_another_log(bundle.pointer(entry).unwrap());
    cases.push(("an entry of another log", "carries no signature", others));
    let mut leafs = bundle.clone();
    *leafs.pointer_mut(entry).unwrap() = broken.attached[1].1.pointer(entry).unwrap().clone();
    cases.push(("the entry of another signature", "of another signature", leafs));
    let mut index = bundle.clone();
    for place in ["/logIndex", "/inclusionProof/logIndex"] {
        *index.pointer_mut(&format!("{entry}{place}")).unwrap() = json!(u64::MAX.to_string());
    }
    cases.push(("an index beyond the log", "the tree does not have", index));
    for (what, words, bundle) in cases {
        broken.list(&broken.exchanged(0, broken.attach(&bundle)));
        broken.refused(what, 1, "bundle", words);
    }
    broken.sound();
}

/// The same leaf, properly proved by a log that nobody trusts.
fn in_another_log(entry: &Value) -> Value {
    let mut forged = Forged::new();
    let leaf = bytes(&entry["canonicalizedBody"]);
    forged.leaves.push(leaf.clone());
    let checkpoint = forged.checkpoint(1);
    let receipt = Receipt { extra: None, index: 0, proof: Vec::new(), checkpoint: checkpoint.note().to_owned() };
    receipt.verify(&forged.vkey(), &leaf).unwrap();
    let mut entry = entry.clone();
    entry["logIndex"] = json!("0");
    entry["logId"]["keyId"] = json!(Base64(forged.vkey().log_id().to_vec()));
    entry["inclusionProof"] = json!({
        "logIndex": "0", "rootHash": checkpoint.root(), "treeSize": "1", "hashes": [],
        "checkpoint": {"envelope": checkpoint.note()},
    });
    entry
}

/// Bytes changed in the registry's own store.
fn spoilt(broken: &Broken) {
    let layout = broken.layout();
    let (listed, _) = &broken.attached[1];
    let manifest = Manifest::parse(&layout.read(listed, MANIFEST_LIMIT).unwrap()).unwrap();
    let blob = manifest.layers[0].digest;
    for (what, digest, code) in [
        ("the manifest", broken.image, "manifest"),
        ("a referrer", listed.digest, "signature"),
        ("a bundle", blob, "signature"),
    ] {
        let flipped = Flipped::new(&layout.path(&digest));
        let middle = flipped.bytes.len() / 2;
        // What the client finds before any report: the image itself is other bytes.
        flipped.each([middle], |change| {
            let ran = broken.verify(&format!("@{}", broken.image));
            match what {
                "the manifest" => {
                    assert_eq!(ran.status, 1, "{ran:?}");
                    assert!(ran.stderr.contains(&digest.to_string()) && ran.json().unwrap()["verified"] == false);
                }
                _ => broken.expect(&ran, &format!("{what}: {change}"), 1, code, &digest.to_string()),
            }
        });
    }
}

/// The fallback tag's list has no digest that anybody knows: a sample of its bytes, each changed.
fn listed(broken: &Broken) {
    let production = &broken.scene.world.production;
    let path = broken.layout().path(&production.tags(REPOSITORY)[&fallback(&broken.image)]);
    let (mut sample, flipped) = (Sample::new("bytes of the fallback list"), Flipped::new(&path));
    let (before, mut passed) = (Index::parse(&flipped.bytes).unwrap(), 0);
    let places: Vec<_> = (0..30).map(|_| sample.below(flipped.bytes.len())).collect();
    let changes = flipped.each(places, |change| {
        let ran = broken.verify(&format!("@{}", broken.image));
        if ran.status == 0 {
            passed += 1;
            let now = Index::parse(&fs::read(&path).unwrap()).unwrap();
            assert!(says_the_same(&before, &now, &broken.image), "{change}: {now:?}");
        } else {
            assert_eq!((ran.status, &ran.json().unwrap()["verified"]), (1, &json!(false)), "{change}: {ran:?}");
        }
    });
    println!("fallback list: {changes} changes, {passed} of them in words that nobody reads");
}

fn moved(broken: &Broken) {
    let production = &broken.scene.world.production;
    assert_eq!(broken.verify(":latest").status, 0);
    production.set_tag(REPOSITORY, "latest", Some(broken.released[0])).unwrap();
    let rolled = broken.verify(":latest");
    broken.expect(&rolled, "a tag that was moved back", 1, "currency", &broken.image.to_string());
    production.set_tag(REPOSITORY, "latest", None).unwrap();
    broken.expect(&broken.verify(":latest"), "a tag that is gone", 1, "tag", "no such tag");
    production.set_tag(REPOSITORY, "latest", Some(broken.image)).unwrap();
    production.set_tag(REPOSITORY, "never", Some(broken.image)).unwrap();
    broken.expect(&broken.verify(":never"), "a tag of the registry's own", 1, "currency", "no release of");
}

/// A registry that stops answering in the middle is no verdict.
fn silent(broken: &Broken) {
    let production = &broken.scene.world.production;
    for on in ["/referrers/", "/blobs/"] {
        production.fault(Fault { harm: Harm::Unavailable, on: format!("GET /v2/{REPOSITORY}{on}"), skip: 0, times: 9 });
        broken.refused("a registry that does not answer", 3, "signature", "503");
        production.mend();
    }
}

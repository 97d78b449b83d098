//! Other people's verifiers, as a deployer runs them: the log required, our trusted root, nothing else of ours.

mod conformance;
mod libraries;
mod policy;
mod stock;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::Digest;
use artifact::digest::Base64;
use artifact::key::{Ed25519Key, PublicKey};
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor, Manifest};
use audit::door::Submission;
use audit::keeper::Keeper;
use audit::keys::HouseKeys;
use audit::note::Vkey;
use audit::receipt::Receipt;
use demo::command::{Ran, ran};
use demo::registry::Registry;
use serde_json::{Value, json};

use crate::peers::peer;
use crate::scene::Scene;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const SIGNATURE: &str = "https://sigstore.dev/cosign/sign/v1";
const VERDICT: &str = "https://slsa.dev/verification_summary/v1";

/// A release, and what an outsider has of the house: the image key and the trusted root.
struct Release {
    scene: Scene,
    digest: Digest,
    /// The bundles, by the types of their statements.
    bundles: Vec<(String, Value)>,
    root: Value,
    keys: HouseKeys,
    folder: tempfile::TempDir,
}

impl Release {
    fn new() -> Self {
        let scene = Scene::new();
        scene.green("one");
        scene.once(0);
        let digest: Digest = scene.released("latest").unwrap().parse().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root.json");
        let exported = ["trust", "export", "--out", root.to_str().unwrap()];
        let exported = scene.world.perimeter.countersign(&exported).unwrap();
        assert_eq!((exported.status, exported.stderr.as_str()), (0, ""), "the origin is a host name");
        let keys = fs::read_to_string(scene.world.perimeter.config().join("keys.toml")).unwrap();
        let keys: HouseKeys = keys.parse().unwrap();
        fs::write(folder.path().join("image.pub"), keys.image.current().to_string()).unwrap();
        fs::write(folder.path().join("image.der"), keys.image.current().to_der()).unwrap();
        let root = serde_json::from_slice(&fs::read(root).unwrap()).unwrap();
        let mut release = Self { scene, digest, bundles: Vec::new(), root, keys, folder };
        let referrers = release.scene.world.production.referrers("prod/app", &digest).unwrap();
        let layout = release.layout();
        release.bundles = referrers
            .iter()
            .map(|referrer| {
                let manifest = Manifest::parse(&layout.read(referrer, oci::MANIFEST_LIMIT).unwrap()).unwrap();
                let bundle = layout.read(&manifest.layers[0], 1 << 20).unwrap();
                let kind = referrer.annotations["dev.sigstore.bundle.predicateType"].clone();
                (kind, serde_json::from_slice(&bundle).unwrap())
            })
            .collect();
        assert_eq!(release.bundles.len(), 3);
        release
    }

    fn layout(&self) -> Layout {
        Layout::open(self.scene.world.production.layout("prod/app"))
    }

    /// The bundle of the statement of this type.
    fn bundle(&self, kind: &str) -> &Value {
        &self.bundles.iter().find(|(k, _)| k == kind).unwrap().1
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, value: &Value) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    }

    /// cosign about an image in a registry. It has a home of its own, so no trusted root that it found elsewhere.
    fn cosign(&self, command: &[&str], root: &Path, reference: &str) -> Ran {
        let mut cosign = Command::new(peer("cosign").join("cosign"));
        cosign.env("HOME", self.folder.path()).args(command).arg("--key").arg(self.path("image.pub"));
        ran(cosign.arg("--trusted-root").arg(root).arg(reference)).unwrap()
    }

    /// Puts an image into a repository of its own, with this bundle for its only one, and says how to name it.
    fn attached(&self, registry: &Registry, repository: &str, image: &Digest, bundle: &Value) -> String {
        let bytes = self.layout().read_digest(image, oci::MANIFEST_LIMIT).unwrap();
        let subject = Descriptor::of(oci::MANIFEST, &bytes);
        registry.import(repository, "image", &self.layout(), &subject).unwrap();
        let layout = Layout::create(self.path("referrers")).unwrap();
        let layer = layout.put(BUNDLE, bundle.to_string().as_bytes()).unwrap();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": oci::MANIFEST,
            "artifactType": BUNDLE,
            "config": layout.put(oci::EMPTY, b"{}").unwrap(),
            "layers": [layer],
            "subject": subject,
            "annotations": {
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": SIGNATURE,
            },
        });
        let referrer = layout.put(oci::MANIFEST, manifest.to_string().as_bytes()).unwrap();
        registry.import(repository, "bundle", &layout, &referrer).unwrap();
        format!("{}/{repository}@{image}", registry.host())
    }
}

/// What every judge is asked: does this bundle verify by this trusted root, for this image?
type Judge = fn(&Release, &Registry, usize, &Value, &Value) -> Ran;

const JUDGES: [(&str, Judge); 3] = [
    ("cosign", |release, registry, n, bundle, root| {
        let reference = release.attached(registry, &format!("case/{n}"), &release.digest, bundle);
        release.cosign(&["verify"], &release.write("root.json", root), &reference)
    }),
    ("sigstore-verify", |release, _, _, bundle, root| {
        let mut judge = Command::new(peer("sigstore-verify").join("sigstore-verify-judge"));
        judge.arg(release.write("bundle.json", bundle)).arg(release.write("root.json", root));
        ran(judge.arg(release.path("image.der")).arg(release.digest.to_string())).unwrap()
    }),
    ("@sigstore/verify", |release, _, _, bundle, root| {
        let place = peer("sigstore-js");
        let node = |arch: &str| place.join(format!("node_modules/node-linux-{arch}/bin/node"));
        let mut judge = Command::new([node("x64"), node("arm64")].iter().find(|node| node.exists()).unwrap());
        judge.arg(place.join("verify.js")).arg(release.write("bundle.json", bundle));
        ran(judge.arg(release.write("root.json", root)).arg(release.path("image.der"))).unwrap()
    }),
];

/// A fault, and what cosign, sigstore-verify and @sigstore/verify say of it.
type Fault = (&'static str, fn(&Release, &mut Value, &mut Value), [&'static str; 3]);

const PROOF: &str = "/verificationMaterial/tlogEntries/0/inclusionProof";

fn proof(bundle: &mut Value) -> &mut Value {
    bundle.pointer_mut(PROOF).unwrap()
}

fn hashes(bundle: &mut Value) -> &mut Vec<Value> {
    proof(bundle)["hashes"].as_array_mut().unwrap()
}

fn log(root: &mut Value) -> &mut Value {
    root.pointer_mut("/tlogs/0").unwrap()
}

fn another_key(release: &Release, root: &mut Value) -> Vkey {
    let key = Vkey::new(release.keys.log.name(), &Ed25519Key::generate().unwrap()).unwrap();
    log(root)["publicKey"]["rawBytes"] = json!(Base64(PublicKey::to_der(key.key())));
    key
}

/// The proof leads to another root.
const ROOT: [&str; 3] = ["does not match expected root", "root hash mismatch", "calculated root hash does not match"];

/// A proof of that length proves nothing at that size.
const LENGTH: [&str; 3] = ["wrong proof size", "proof hashes, got", "invalid hash count"];

const FAULTS: [Fault; 10] = [
    ("one hash of the proof is another", |_, bundle, _| hashes(bundle)[0] = json!(Base64(vec![7; 32])), ROOT),
    ("a hash is missing in the proof", |_, bundle, _| drop(hashes(bundle).pop()), LENGTH),
    ("a hash too many in the proof", |_, bundle, _| hashes(bundle).push(json!(Base64(vec![7; 32]))), LENGTH),
    (
        "a later checkpoint of the same log",
        |release, bundle, _| {
            let later = fs::read_to_string(release.scene.world.perimeter.log().join("checkpoint")).unwrap();
            proof(bundle)["checkpoint"]["envelope"] = json!(later);
        },
        LENGTH,
    ),
    (
        "the checkpoint's signature is another",
        |_, bundle, _| {
            let note = proof(bundle)["checkpoint"]["envelope"].as_str().unwrap().to_owned();
            let (before, signature) = note.rsplit_once(' ').unwrap();
            let (head, tail) = signature.split_at(20);
            let other = if tail.starts_with('A') { 'B' } else { 'A' };
            proof(bundle)["checkpoint"]["envelope"] = json!(format!("{before} {head}{other}{}", &tail[1..]));
        },
        ["invalid signature for key", "No valid Rekor signature", "invalid checkpoint signature"],
    ),
    (
        "another key by the log's name and id",
        |release, _, root| drop(another_key(release, root)),
        ["no verifiable signatures", "No valid Rekor signature", "invalid checkpoint signature"],
    ),
    (
        "another log by the log's name",
        |release, _, root| {
            let key = another_key(release, root);
            log(root)["logId"]["keyId"] = json!(Base64(key.log_id().to_vec()));
        },
        ["not enough verified log entries", "No matching Rekor key", "invalid checkpoint signature"],
    ),
    (
        "another index",
        |_, bundle, _| {
            let index: u64 = proof(bundle)["logIndex"].as_str().unwrap().parse().unwrap();
            let index = json!((index ^ 1).to_string());
            proof(bundle)["logIndex"] = index.clone();
            *bundle.pointer_mut("/verificationMaterial/tlogEntries/0/logIndex").unwrap() = index;
        },
        ROOT,
    ),
    (
        "the entry of another signature",
        |release, bundle, _| {
            let other = &release.bundle(VERDICT)["verificationMaterial"]["tlogEntries"];
            bundle["verificationMaterial"]["tlogEntries"] = other.clone();
        },
        ["does not match expected root", "artifact hash mismatch", "signature mismatch"],
    ),
    (
        "no entry at all",
        |_, bundle, _| bundle["verificationMaterial"]["tlogEntries"] = json!([]),
        ["not enough verified log entries", "must have an inclusion proof", "expected 1 tlog entries, got 0"],
    ),
];

#[test]
fn stock_verifiers_take_a_release_by_our_log_alone_and_refuse_every_damage_to_its_proof() {
    let release = Release::new();
    let registry = Registry::start(release.path("registry")).unwrap();
    let signature = release.bundle(SIGNATURE);
    let mut cases = 0;
    let mut ask = |judge: Judge, bundle: &Value, root: &Value| {
        cases += 1;
        judge(&release, &registry, cases, bundle, root)
    };
    for (name, judge) in JUDGES {
        for (kind, bundle) in &release.bundles {
            let taken = ask(judge, bundle, &release.root);
            assert_eq!(taken.status, 0, "{name}, {kind}: {}{}", taken.stdout, taken.stderr);
        }
    }
    let mut wrong = Vec::new();
    for (fault, damage, phrases) in FAULTS {
        let (mut bundle, mut root) = (signature.clone(), release.root.clone());
        damage(&release, &mut bundle, &mut root);
        assert!(bundle != *signature || root != release.root);
        for ((name, judge), phrase) in JUDGES.into_iter().zip(phrases) {
            let refused = ask(judge, &bundle, &root);
            if refused.status == 0 || !refused.stderr.contains(phrase) {
                wrong.push(format!("{fault}: {name} ended with {}: {}", refused.status, refused.stderr));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn cosign_verifies_a_release_in_its_registry_and_no_other_image_by_it() {
    let release = Release::new();
    let root = release.write("root.json", &release.root);
    let reference = format!("{}@{}", release.scene.line.release, release.digest);
    let statements: [&[&str]; 4] = [
        &["verify"],
        &["verify", "-a", "lane=public"],
        &["verify-attestation", "--type", "slsaprovenance1"],
        &["verify-attestation", "--type", VERDICT],
    ];
    for statement in statements {
        let taken = release.cosign(statement, &root, &reference);
        assert_eq!(taken.status, 0, "{statement:?}: {}", taken.stderr);
        let said = "Existence of the claims in the transparency log was verified offline";
        assert!(taken.stderr.contains(said), "{statement:?}: {}", taken.stderr);
    }
    // An image that nobody released: the same, but for a space in its manifest.
    let registry = Registry::start(release.path("registry")).unwrap();
    let layout = release.layout();
    let manifest = layout.read_digest(&release.digest, oci::MANIFEST_LIMIT).unwrap();
    let other = layout.put(oci::MANIFEST, &[&manifest[..], b" "].concat()).unwrap().digest;
    for (kind, bundle) in &release.bundles {
        let reference = release.attached(&registry, "case/other", &other, bundle);
        let refused = release.cosign(&["verify"], &root, &reference);
        let said = "provided artifact digest does not match any digest in statement";
        assert!(refused.status == 1 && refused.stderr.contains(said), "{kind}: {}", refused.stderr);
    }
}

#[test]
fn the_trust_file_that_is_printed_is_what_a_verifier_needs() {
    let scene = Scene::new();
    scene.green("one");
    scene.once(0);
    let shown = scene.world.perimeter.countersign(&["trust", "show"]).unwrap();
    assert_eq!(shown.status, 0, "{}", shown.stderr);
    let parse = |text: &str| text.parse::<toml::Table>().unwrap();
    let (shown, mut given) = (parse(&shown.stdout), parse(&fs::read_to_string(scene.world.perimeter.trust()).unwrap()));
    // Where the log can be read, and the registries, are the verifier's own business.
    assert!(given.remove("log_source").is_some() && given.remove("registry").is_some());
    assert_eq!(shown, given);
}

/// The signature's bundle with a proof of another log, which has this name, and the root that is exported for that.
fn logged_elsewhere(release: &Release, origin: &str) -> (Value, Ran) {
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for name in ["tiles", "own", "config"] {
        fs::create_dir(place(name)).unwrap();
    }
    let mut bundle = release.bundle(SIGNATURE).clone();
    let entry = bundle.pointer_mut("/verificationMaterial/tlogEntries/0").unwrap();
    let leaf: Base64 = serde_json::from_value(entry["canonicalizedBody"].clone()).unwrap();
    let mut keeper = Keeper::open(&place("tiles"), &place("own"), origin).unwrap();
    let appended = keeper.append(vec![Submission::Raw(leaf)], 0).unwrap();
    let receipt: Receipt = appended.receipts[0].parse().unwrap();
    entry["logIndex"] = json!("0");
    entry["logId"]["keyId"] = json!(Base64(keeper.vkey().log_id().to_vec()));
    entry["inclusionProof"] = json!({
        "logIndex": "0",
        "treeSize": "1",
        "rootHash": keeper.checkpoint().root().to_string(),
        "hashes": receipt.proof,
        "checkpoint": {"envelope": receipt.checkpoint},
    });
    let keys = HouseKeys { log: keeper.vkey().clone(), ..release.keys.clone() };
    fs::write(place("config/keys.toml"), keys.to_string()).unwrap();
    let mut export = Command::new(crate::binaries().join("countersign"));
    (bundle, ran(export.arg("--config").arg(place("config")).args(["trust", "export"])).unwrap())
}

#[test]
fn cosign_takes_no_proof_of_a_log_whose_origin_is_no_host_name_and_the_export_says_so() {
    let release = Release::new();
    let registry = Registry::start(release.path("registry")).unwrap();
    for (n, (origin, host)) in [("other.example", true), ("other.example/log", false)].into_iter().enumerate() {
        let (bundle, exported) = logged_elsewhere(&release, origin);
        assert_eq!(exported.status, 0, "{}", exported.stderr);
        assert_eq!(exported.stderr.contains("is no host name"), !host, "{}", exported.stderr);
        let root = exported.json().unwrap();
        for (name, judge) in JUDGES {
            let said = judge(&release, &registry, n, &bundle, &root);
            let takes = host || name != "cosign";
            assert_eq!(said.status == 0, takes, "{name}, {origin}: {}", said.stderr);
            assert!(takes || said.stderr.contains("unverified checkpoint signature"), "{}", said.stderr);
        }
    }
}

#[test]
fn nothing_is_exported_without_keys_or_into_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let trust = |arguments: &[&str]| {
        let mut trust = Command::new(crate::binaries().join("countersign"));
        ran(trust.arg("--config").arg(folder.path()).arg("trust").args(arguments)).unwrap()
    };
    for arguments in [&["export"][..], &["show"]] {
        let refused = trust(arguments);
        assert_eq!((refused.status, refused.stdout.as_str()), (2, ""));
        assert!(refused.stderr.contains("`countersign keys` writes it"), "{}", refused.stderr);
    }
    let ed25519 = || Ed25519Key::generate().unwrap();
    let keys = HouseKeys {
        intake: ed25519().public(),
        comparers: vec![ed25519().public()],
        log: Vkey::new("log.example", &ed25519()).unwrap(),
        image: artifact::key::P256Key::generate().unwrap().public().into(),
    };
    fs::write(folder.path().join("keys.toml"), keys.to_string()).unwrap();
    let refused = trust(&["export", "--out", "/no/such/folder/root.json"]);
    assert!(refused.status == 2 && refused.stderr.contains("/no/such/folder/root.json"), "{}", refused.stderr);
    let refused = trust(&["show"]);
    assert!(refused.status == 2 && refused.stderr.contains("signer.toml"), "{}", refused.stderr);
}

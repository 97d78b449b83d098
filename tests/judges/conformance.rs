//! Bundles of sigstore-conformance, and faults named as there in bundles of ours: what `countersign-verify` reads of a bundle.
//!
//! It takes less than others do, by intent: one managed key, one envelope, one entry of `hashedrekord` 0.0.2 in the one log. So
//! of their bundles it takes none, whatever others are expected to; that it is signed with the very key helps nothing.

use std::path::Path;

use artifact::digest::Base64;
use artifact::key::{Ed25519Key, P256Key};
use artifact::{Digest, dsse};
use audit::door::Submission;
use audit::keeper::Keeper;
use audit::note::Vkey;
use audit::receipt::Receipt;
use serde_json::{Value, json};
use verifier::bundle::{self, BundleError};
use verifier::trust::Trust;

use super::BUNDLE;

fn trust(image: &str, log: &Vkey) -> Trust {
    let text = format!("image = '''\n{image}'''\nlog = \"{log}\"\nverifier_id = \"v\"\nbuilder_id = \"b\"\n");
    Trust::parse(&text, Path::new("")).unwrap()
}

#[test]
fn bundles_of_sigstore_conformance_are_refused_for_what_we_do_not_read() {
    let log = Vkey::new("rekor.test", &Ed25519Key::generate().unwrap()).unwrap();
    // With a key of ours where theirs is not known.
    let stranger = P256Key::generate().unwrap().public().to_string();
    let leaf = "the log entry is of another signature";
    let cases: [(&str, Option<&str>, &str, &str); 4] = [
        (
            include_str!("conformance/dsse-statement-missing-type_fail.json"),
            Some(include_str!("conformance/dsse-statement-missing-type_fail.pub")),
            "missing field `keyDetails`",
            "",
        ),
        (
            include_str!("conformance/dsse-statement-unknown-type_fail.json"),
            Some(include_str!("conformance/dsse-statement-unknown-type_fail.pub")),
            "missing field `keyDetails`",
            "",
        ),
        (
            include_str!("conformance/intoto-canonical-log-entry.json"),
            Some(include_str!("conformance/intoto-canonical-log-entry.pub")),
            "unknown field `content`",
            leaf,
        ),
        (include_str!("conformance/managed-key-and-trusted-root.json"), None, "", ""),
    ];
    for (text, key, why, or) in cases {
        let said = bundle::verify(text.as_bytes(), &trust(key.unwrap_or(&stranger), &log)).unwrap_err();
        match (&said, key) {
            // Signed with the trusted key, so it is looked at, and that is what is wrong with it.
            (BundleError::Broken(text), Some(_)) => {
                assert!(text.contains(why) || (!or.is_empty() && text.contains(or)), "{why}: {text}");
            }
            (BundleError::Foreign, None) => {}
            _ => panic!("{said:?}: {text}"),
        }
        // With any other key nobody looks at it.
        assert_eq!(bundle::verify(text.as_bytes(), &trust(&stranger, &log)).unwrap_err(), BundleError::Foreign);
    }
}

/// A log of one entry, a key, and a bundle that verifies by both.
struct Made {
    key: P256Key,
    trust: Trust,
    bundle: Value,
    _folder: tempfile::TempDir,
}

const STATEMENT: &str =
    r#"{"_type":"https://in-toto.io/Statement/v1","predicate":{},"predicateType":"urn:p","subject":[]}"#;

fn base64(bytes: &[u8]) -> Value {
    json!(Base64(bytes.to_vec()))
}

fn signed(key: &P256Key, payload: &[u8]) -> (Vec<u8>, Value) {
    let message = dsse::pae(dsse::IN_TOTO, payload);
    let signature = key.sign(&message);
    let leaf = json!({
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {"hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": base64(Digest::of(&message).raw())},
            "signature": {
                "content": base64(&signature),
                "verifier": {
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "publicKey": {"rawBytes": base64(&key.public().to_der())},
                },
            },
        }},
    });
    (signature, leaf)
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["tiles", "own"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        let key = P256Key::generate().unwrap();
        let (signature, leaf) = signed(&key, STATEMENT.as_bytes());
        let leaf = artifact::json::canonical("leaf", &leaf).unwrap();
        let mut keeper = Keeper::open(&folder.path().join("tiles"), &folder.path().join("own"), "log.example").unwrap();
        let other = Submission::Raw(Base64(artifact::json::canonical("leaf", &signed(&key, b"{}").1).unwrap()));
        let appended = keeper.append(vec![Submission::Raw(Base64(leaf.clone())), other], 0).unwrap();
        let receipt: Receipt = appended.receipts[0].parse().unwrap();
        let trust = trust(&key.public().to_string(), keeper.vkey());
        let bundle = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {
                "publicKey": {"hint": base64(key.public().id().0.raw())},
                "tlogEntries": [{
                    "logIndex": "0",
                    "logId": {"keyId": base64(&keeper.vkey().log_id())},
                    "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                    "inclusionProof": {
                        "logIndex": "0",
                        "rootHash": keeper.checkpoint().root().to_string(),
                        "treeSize": "2",
                        "hashes": receipt.proof,
                        "checkpoint": {"envelope": receipt.checkpoint},
                    },
                    "canonicalizedBody": base64(&leaf),
                }],
            },
            "dsseEnvelope": {
                "payload": base64(STATEMENT.as_bytes()),
                "payloadType": dsse::IN_TOTO,
                "signatures": [{"sig": base64(&signature)}],
            },
        });
        Self { key, trust, bundle, _folder: folder }
    }

    fn verify(&self, bundle: &Value) -> Result<(), BundleError> {
        bundle::verify(bundle.to_string().as_bytes(), &self.trust).map(drop)
    }
}

/// A fault by its name in sigstore-conformance, or of its kind; and part of what is said, nothing where it is nobody's.
type Fault = (&'static str, fn(&Made, &mut Value), Option<&'static str>);

const ENTRY: &str = "/verificationMaterial/tlogEntries/0";

fn entry(bundle: &mut Value) -> &mut Value {
    bundle.pointer_mut(ENTRY).unwrap()
}

const FAULTS: [Fault; 16] = [
    ("dsse-mismatch-sig", |made, b| b["dsseEnvelope"]["signatures"][0]["sig"] = base64(&made.key.sign(b"x")), None),
    ("dsse-invalid-sig", |_, b| b["dsseEnvelope"]["signatures"][0]["sig"] = json!("AAAA"), None),
    ("dsse-no-signature", |_, b| b["dsseEnvelope"]["signatures"] = json!([]), None),
    (
        "dsse-two-signatures",
        |_, b| {
            let one = b["dsseEnvelope"]["signatures"][0].clone();
            b["dsseEnvelope"]["signatures"] = json!([one, one]);
        },
        None,
    ),
    ("dsse-payload-type", |_, b| b["dsseEnvelope"]["payloadType"] = json!("text/plain"), None),
    (
        "hashedrekord-mismatch-sig",
        |made, b| {
            let (_, mut leaf) = signed(&made.key, STATEMENT.as_bytes());
            leaf["spec"]["hashedRekordV002"]["signature"]["content"] = base64(&made.key.sign(b"x"));
            entry(b)["canonicalizedBody"] = base64(&artifact::json::canonical("leaf", &leaf).unwrap());
        },
        Some("of another signature: signature"),
    ),
    (
        "hashedrekord-mismatch-envelope",
        |made, b| {
            let payload = STATEMENT.replace("urn:p", "urn:q");
            b["dsseEnvelope"]["payload"] = base64(payload.as_bytes());
            b["dsseEnvelope"]["signatures"][0]["sig"] = base64(&signed(&made.key, payload.as_bytes()).0);
        },
        Some("of another signature: digest"),
    ),
    (
        "swapped-tlog-entry (CVE-2022-36056)",
        |made, b| {
            let (_, leaf) = signed(&made.key, b"{}");
            entry(b)["canonicalizedBody"] = base64(&artifact::json::canonical("leaf", &leaf).unwrap());
        },
        Some("of another signature: digest"),
    ),
    ("no-tlog-entry", |_, b| b["verificationMaterial"]["tlogEntries"] = json!([]), Some("not exactly one log entry")),
    (
        "two-tlog-entries",
        |_, b| {
            let one = entry(b).clone();
            b["verificationMaterial"]["tlogEntries"] = json!([one, one]);
        },
        Some("not exactly one log entry"),
    ),
    ("invalid-inclusion-proof", |_, b| entry(b)["inclusionProof"]["hashes"][0] = base64(&[7; 32]), Some("root")),
    (
        "checkpoint-wrong-roothash",
        |_, b| entry(b)["inclusionProof"]["rootHash"] = base64(&[7; 32]),
        Some("another root"),
    ),
    ("wrong-log-id", |_, b| entry(b)["logId"]["keyId"] = base64(&[7; 32]), Some("another log")),
    (
        "checkpoint-bad-keyhint",
        |_, b| {
            let envelope = &mut entry(b)["inclusionProof"]["checkpoint"]["envelope"];
            let (text, _) = envelope.as_str().unwrap().split_once("\n\n").unwrap();
            *envelope = json!(format!("{text}\n\n\u{2014} log.example AAAAAAAA\n"));
        },
        Some("checkpoint"),
    ),
    ("managed-key-wrong-hint", |_, b| b["verificationMaterial"]["publicKey"]["hint"] = base64(&[7; 32]), Some("hint")),
    ("another-media-type", |_, b| b["mediaType"] = json!(BUNDLE.replace("v0.3", "v0.2")), Some("media type")),
];

#[test]
fn faults_that_sigstore_conformance_names_are_refused_in_bundles_of_ours_and_each_is_named() {
    let made = Made::new();
    made.verify(&made.bundle).unwrap();
    for (name, spoil, words) in FAULTS {
        let mut bundle = made.bundle.clone();
        spoil(&made, &mut bundle);
        assert_ne!(bundle, made.bundle, "{name}");
        let said = made.verify(&bundle).unwrap_err();
        match (&said, words) {
            (BundleError::Foreign, None) => {}
            (BundleError::Broken(text), Some(words)) => assert!(text.contains(words), "{name}: {text}"),
            _ => panic!("{name}: {said:?}"),
        }
    }
}

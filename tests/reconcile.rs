//! The audit log of a real OpenBao laid beside ours: what belongs together, and what somebody did on the side.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use artifact::digest::Base64;
use artifact::key::PublicKey;
use artifact::{Digest, Moment};
use audit::door::Submission;
use audit::entry::{Attempt, Body, Configuration, Permit, PromotionId, Signature};
use audit::keeper::Keeper;
use audit::keys::HouseKeys;
use audit::reader::Log;
use demo::Vault;
use demo::command::{Ran, ran};
use demo::vault::{HEADER, KEY};
use serde_json::{Value, json};

use crate::scene::Scene;

/// What the signer asks for.
const SIGN: &str = "transit/sign/countersign/sha2-256";

/// A log whose image key is OpenBao's, with entries of a real promotion, to which attempts are appended here.
struct Beside {
    folder: tempfile::TempDir,
    vault: Vault,
    keeper: Keeper,
    permit: Permit,
    image: PublicKey,
}

impl Beside {
    /// `scene` has promoted something: up to the permit its entries are taken.
    fn new(scene: &Scene) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let vault = Vault::start(&at("vault")).unwrap();
        let key = vault.read(&format!("transit/keys/{KEY}")).unwrap();
        let image: PublicKey = key["data"]["keys"]["1"]["public_key"].as_str().unwrap().parse().unwrap();
        for name in ["config", "state/public/log/tiles", "own"] {
            fs::create_dir_all(at(name)).unwrap();
        }
        let mut keeper = Keeper::open(&at("state/public/log/tiles"), &at("own"), "log.example").unwrap();
        let pinned = fs::read_to_string(scene.world.perimeter.config().join("keys.toml")).unwrap();
        let theirs: HouseKeys = pinned.parse().unwrap();
        let (_, entries) = Log::open(&scene.world.perimeter.log(), &theirs.log).unwrap();
        let bodies = entries.iter().filter_map(|entry| entry.body());
        let began = |body: &&Body| matches!(body, Body::Opened(_) | Body::Facts(_) | Body::Rebuild(_));
        keeper.append(bodies.clone().filter(began).cloned().map(Submission::Body).collect(), 0).unwrap();
        let permit = bodies.clone().find_map(|body| match body {
            Body::Permit(permit) => Some(permit.clone()),
            _ => None,
        });
        let keys = HouseKeys { log: keeper.vkey().clone(), image: image.clone().into(), ..theirs };
        fs::write(at("config/keys.toml"), keys.to_string()).unwrap();
        let mut beside = Self { folder, vault, keeper, permit: permit.unwrap(), image };
        beside.pin(1);
        beside
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn append(&mut self, bodies: Vec<Body>) -> u64 {
        self.keeper.append(bodies.into_iter().map(Submission::Body).collect(), 0).unwrap().first
    }

    /// Records a configuration that pins this version.
    fn pin(&mut self, version: u64) {
        let text = format!("verifier_id = \"v\"\n[vault.transit]\nkey = \"{KEY}\"\nversion = {version}\n");
        let digest = Digest::of(text.as_bytes());
        let (file, at) = ("signer.toml".to_owned(), Moment::now());
        self.append(vec![Configuration { file, digest, before: None, text, at }.into()]);
    }

    /// Records an attempt of these statements under a permit of its own, and gives its id.
    fn attempt(&mut self, id: &str, statements: &[&[u8]]) -> String {
        let promotion: PromotionId = self.permit.promotion;
        let mut permit = self.permit.clone();
        permit.terms.decided = Moment::now();
        let permit = self.append(vec![permit.into()]);
        let id = format!("{}{id}", "0".repeat(32 - id.len()));
        let statements = statements.iter().map(|s| Digest::of(s)).collect();
        let at = Moment::now();
        self.append(vec![Attempt { promotion, id: id.clone(), permit, statements, at }.into()]);
        id
    }

    /// Has OpenBao sign statements as the signer does: one request, which names an attempt or none.
    fn sign(&self, id: Option<&str>, statements: &[&[u8]]) -> Vec<Vec<u8>> {
        let input = |s: &&[u8]| json!({"input": Base64(Digest::of(s).raw().to_vec())});
        let body = json!({
            "batch_input": statements.iter().map(input).collect::<Vec<_>>(), "prehashed": true,
            "marshaling_algorithm": "asn1", "key_version": 1,
        });
        let headers: Vec<_> = id.iter().map(|id| (HEADER, *id)).collect();
        let answer = self.vault.write_with(SIGN, &body, &headers).unwrap();
        let of = |result: &Value| {
            let text = result["signature"].as_str().unwrap().strip_prefix("vault:v1:").unwrap().to_owned();
            serde_json::from_value::<Base64>(json!(text)).unwrap().0
        };
        answer["data"]["batch_results"].as_array().unwrap().iter().map(of).collect()
    }

    /// Records the signatures of an attempt.
    fn record(&mut self, id: &str, statements: &[&[u8]], signatures: Vec<Vec<u8>>) {
        let entry = |(statement, signature): (&&[u8], Vec<u8>)| -> Body {
            Signature {
                promotion: self.permit.promotion,
                attempt: id.to_owned(),
                payload_type: "text/plain".to_owned(),
                payload: Base64(statement.to_vec()),
                signature: Base64(signature),
                key: self.image.id(),
                key_kept: "vault-transit".to_owned(),
                at: Moment::now(),
            }
            .into()
        };
        let bodies = statements.iter().zip(signatures).map(entry).collect();
        self.append(bodies);
    }

    /// A whole attempt, as the signer makes it.
    fn whole(&mut self, id: &str, statements: &[&[u8]]) -> String {
        let id = self.attempt(id, statements);
        let signatures = self.sign(Some(&id), statements);
        self.record(&id, statements, signatures);
        id
    }

    /// Something that Vault writes down, so that its log covers all before; the seconds are whole ones.
    fn later(&self) {
        sleep(Duration::from_millis(1100));
        self.vault.read(&format!("transit/keys/{KEY}")).unwrap();
        sleep(Duration::from_millis(1100));
    }

    fn reconcile(&self, files: &[&Path], more: &[&str]) -> Ran {
        let mut command = std::process::Command::new(crate::binaries().join("countersign"));
        command.arg("--config").arg(self.path("config")).arg("--state").arg(self.path("state"));
        command.args(["log", "reconcile", "--json", "--clocks", "0"]).args(more);
        for file in files {
            command.arg("--vault-audit").arg(file);
        }
        ran(&mut command).unwrap()
    }

    /// What stands in the report of the audit log as it is now; it must end so.
    fn report(&self, status: i32) -> Value {
        let said = self.reconcile(&[&self.vault.audit()], &[]);
        assert_eq!(said.status, status, "{}{}", said.stdout, said.stderr);
        said.json().unwrap()
    }
}

fn codes(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|finding| finding["code"].as_str().unwrap()).collect()
}

#[test]
fn the_audit_log_of_a_real_vault_matches_until_somebody_signs_on_the_side() {
    let scene = Scene::new();
    scene.green("promoted");
    scene.once(0);
    let mut beside = Beside::new(&scene);
    beside.later();
    beside.whole("a", &[b"one", b"two", b"three"]);
    let lost = beside.attempt("b", &[b"one", b"two"]);
    beside.sign(Some(&lost), &[b"one", b"two"]);
    beside.attempt("c", &[b"one"]);
    beside.whole("d", &[b"four"]);
    beside.later();

    let clean = beside.report(0);
    let counts = json!({"matched": 2, "lost": 1, "unused": 1, "elsewhere": 0, "outside": 0});
    assert_eq!(
        (&clean["attempts"], &clean["signs"], &clean["key"]),
        (&counts, &json!(3), &json!("transit/countersign"))
    );
    assert_eq!(clean["not_checked"], json!([]));
    // What stands hashed can be asked for: who may use Vault's own hash finds what was signed when the answer was lost.
    let input = json!({"input": Base64(Digest::of(b"two").raw().to_vec())});
    let hash = beside.vault.write("sys/audit-hash/file", &input).unwrap()["data"]["hash"].clone();
    let request = clean["lost"][0]["request"].as_str().unwrap();
    let line = crate::vault::lines(&beside.vault.audit()).into_iter().find(|l| l["request"]["id"] == request).unwrap();
    assert_eq!(line["request"]["data"]["batch_input"][1]["input"], hash);
    assert!(clean["lost"][0]["message"].as_str().unwrap().contains(&lost), "{clean}");
    // The key was made in that time.
    assert_eq!(clean["administered"].as_array().unwrap().len(), 1, "{clean}");

    // A path that the policy does not give is refused, and gives nothing away.
    assert!(beside.vault.read(&format!("transit/export/signing-key/{KEY}")).is_err());
    assert!(beside.vault.write(&format!("transit/sign/{KEY}/sha2-256"), &json!({"input": "!"})).is_err());
    // Nor does a body that anyone who reaches the server may send: it stands in the log as deep as it was.
    let deep = beside.path("deep.json");
    fs::write(&deep, format!("{{\"exportable\":{}{}}}", "[".repeat(5000), "]".repeat(5000))).unwrap();
    let mut stranger = beside.vault.command(&["write", SIGN, &format!("@{}", deep.display())]);
    assert_ne!(ran(stranger.env("BAO_TOKEN", "none")).unwrap().status, 0);
    assert!(fs::read_to_string(beside.vault.audit()).unwrap().contains(&"[".repeat(5000)), "it was written down");
    assert_eq!(beside.report(0)["refused"], 3);

    // Whatever else uses the key is found: the time, the path and what is wrong with it.
    beside.sign(None, &[b"five"]);
    beside.sign(Some(&"f".repeat(32)), &[b"five"]);
    beside.sign(Some(&lost), &[b"one", b"two"]);
    beside.vault.write(&format!("transit/hmac/{KEY}"), &json!({"input": "aaaa"})).unwrap();
    beside.vault.write(&format!("transit/sign/{KEY}"), &json!({"input": "aaaa"})).unwrap();
    let give = json!({"exportable": true, "allow_plaintext_backup": true});
    beside.vault.write(&format!("transit/keys/{KEY}/config"), &give).unwrap();
    beside.vault.read(&format!("transit/export/signing-key/{KEY}")).unwrap();
    beside.vault.read(&format!("transit/backup/{KEY}")).unwrap();
    let found = beside.report(4);
    let mut kinds = codes(&found);
    kinds.sort_unstable();
    let other = ["other-use"; 5];
    let rest = ["no-attempt", "signed-twice", "signed-twice", "unknown-attempt"];
    assert_eq!(kinds, [&rest[..1], &other[..], &rest[1..]].concat(), "{found}");
    assert!(found["findings"].as_array().unwrap().iter().all(|f| f["at"].as_str().unwrap().ends_with('Z')), "{found}");
    // For a person: what anyone could write into Vault's log moves no cursor.
    beside.vault.sign(&Digest::of(b"six"), Some("\u{202e}")).unwrap();
    let hostile = beside.path("hostile");
    let text = fs::read_to_string(beside.vault.audit()).unwrap();
    fs::write(&hostile, text.replace("\"display_name\":\"root\"", "\"display_name\":\"\\u001b[2Jroot\"")).unwrap();
    let mut command = std::process::Command::new(crate::binaries().join("countersign"));
    command.arg("--config").arg(beside.path("config")).arg("--state").arg(beside.path("state"));
    let said = ran(command.args(["log", "reconcile", "--vault-audit"]).arg(hostile)).unwrap();
    assert_eq!(said.status, 4, "{}", said.stderr);
    assert!(!said.stdout.contains(|c: char| c.is_control() && c != '\n') && !said.stdout.contains('\u{202e}'));
    for part in ["covered: 20", "export/signing-key/countersign: other-use: ", "[2Jroot from 127.0.0.1", "DIFFERS"] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let text = beside.reconcile(&[&beside.vault.audit()], &["--key", "another"]);
    assert_eq!((text.status, &text.json().unwrap()["signs"]), (0, &json!(0)), "another key was not used");
}

#[test]
fn another_version_of_the_key_and_an_engine_that_was_moved_are_found() {
    let scene = Scene::new();
    scene.green("promoted");
    scene.once(0);
    let mut beside = Beside::new(&scene);
    beside.later();
    beside.whole("a", &[b"one"]);
    beside.later();
    assert_eq!(beside.report(0)["attempts"]["matched"], 1);
    assert_eq!(beside.vault.rotate().unwrap(), 2);
    let rotated = beside.report(0);
    assert_eq!(rotated["administered"].as_array().unwrap().len(), 2, "{rotated}");

    let id = beside.attempt("b", &[b"two"]);
    beside.vault.sign(&Digest::of(b"two"), Some(&id)).unwrap();
    assert_eq!(codes(&beside.report(4)), ["other-version"], "version 2 signed, and 1 is pinned");

    // The same engine under another path: whoever looks for paths alone sees nothing.
    beside.vault.write("sys/remount", &json!({"from": "transit", "to": "aside"})).unwrap();
    let signed = || {
        let body = json!({"input": Base64(vec![0; 32]), "prehashed": true});
        beside.vault.write(&format!("aside/sign/{KEY}/sha2-256"), &body).is_ok()
    };
    (0..600).find(|_| signed() || (sleep(Duration::from_millis(100)), false).1).expect("the engine is moved");
    let moved = beside.report(4);
    assert_eq!(codes(&moved), ["other-version", "no-attempt"], "{moved}");
    assert!(moved["findings"][1]["path"].as_str().unwrap().starts_with("aside/sign/"), "{moved}");
}

#[test]
fn rotated_files_are_read_together_and_none_proves_anything_about_a_time_it_does_not_cover() {
    let scene = Scene::new();
    scene.green("promoted");
    scene.once(0);
    let mut beside = Beside::new(&scene);
    beside.later();
    beside.whole("a", &[b"one"]);
    beside.later();
    let first = beside.vault.rotate_audit("audit.1").unwrap();
    beside.later();
    beside.whole("b", &[b"two"]);
    beside.later();
    let second = beside.vault.audit();
    let counts = |files: &[&Path], status| {
        let said = beside.reconcile(files, &[]);
        assert_eq!(said.status, status, "{}{}", said.stdout, said.stderr);
        let report = said.json().unwrap();
        (report["attempts"]["matched"].as_u64().unwrap(), report["attempts"]["outside"].as_u64().unwrap())
    };
    assert_eq!(counts(&[&first, &second], 0), (2, 0));
    assert_eq!(counts(&[&second, &first, &second], 0), (2, 0), "order and repetition change nothing");
    assert_eq!((counts(&[&first], 0), counts(&[&second], 0)), ((1, 1), (1, 1)));

    // Without the lines of one signature, in a file that covers its time, the recorded one was made by nobody.
    let without = beside.path("without");
    let text = fs::read_to_string(&second).unwrap();
    let kept: String = text.lines().filter(|line| !line.contains(SIGN)).map(|line| format!("{line}\n")).collect();
    fs::write(&without, kept).unwrap();
    let said = beside.reconcile(&[&first, &without], &[]);
    assert_eq!((said.status, codes(&said.json().unwrap())), (4, vec!["not-signed"]), "{}", said.stderr);

    // A file that is cut or empty compares nothing.
    let place = beside.path("broken");
    for (content, why) in [
        (&text[..text.len() - 1], "cut short"),
        (&text[..text.len() - 300], "cut short"),
        (&text[1..], "line 1"),
        ("", "it covers no time"),
    ] {
        fs::write(&place, content).unwrap();
        let said = beside.reconcile(&[&place], &[]);
        assert_eq!((said.status, said.stdout.as_str()), (1, ""), "{}", said.stderr);
        assert!(said.stderr.contains(why), "{why}: {}", said.stderr);
    }
    fs::write(&place, "").unwrap();
    assert_eq!(
        counts(&[&first, &second, &place], 0),
        (2, 0),
        "an empty one beside others covers nothing and hides nothing"
    );
    assert_eq!(beside.reconcile(&[&beside.path("none")], &[]).status, 2);
    assert_eq!(beside.reconcile(&[&first], &["--key", "a/b"]).status, 2);
}

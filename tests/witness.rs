//! Witnesses of the log: a real one, false ones, and what a verifier makes of their words.

mod false_ones;
mod policy;
mod real;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::Moment;
use demo::command::{Ran, ran, run};
use demo::perimeter::Witnesses;

use audit::entry::Body;
use audit::reader::Log;
use verifier::trust::Trust;

use crate::scene::Scene;
use false_ones::{FalseWitness, cosigned, http, text};
use real::Litewitness;

/// A perimeter, and verifiers that ask for a quorum.
struct Witnessed {
    scene: Scene,
    folder: tempfile::TempDir,
}

impl Witnessed {
    fn new() -> Self {
        Self { scene: Scene::new(), folder: tempfile::tempdir().unwrap() }
    }

    /// The log's key.
    fn log(&self) -> String {
        let keys = fs::read_to_string(self.scene.world.perimeter.config().join("keys.toml")).unwrap();
        keys.parse::<audit::keys::HouseKeys>().unwrap().log.to_string()
    }

    /// Configures witnesses, and a policy by these lines; verifiers get the same, and the log's key.
    fn witnesses(&mut self, asked: &[(String, String)], policy: &str) {
        let asked = asked.to_vec();
        self.scene.world.settings.witnesses = Witnesses { policy: policy.to_owned(), asked, required: false };
        self.scene.world.configure().unwrap();
        fs::write(self.policy(), format!("log {}\n{policy}", self.log())).unwrap();
        let trust = fs::read_to_string(self.scene.world.perimeter.trust()).unwrap();
        fs::write(self.trust(), format!("log_policy = \"log.policy\"\n{trust}")).unwrap();
    }

    fn policy(&self) -> PathBuf {
        self.folder.path().join("log.policy")
    }

    fn trust(&self) -> PathBuf {
        self.folder.path().join("trust.toml")
    }

    fn checkpoint(&self) -> PathBuf {
        self.scene.world.perimeter.log().join("checkpoint")
    }

    /// How many entries the log has. [`Scene::entries`] would ask for the quorum first.
    fn size(&self) -> usize {
        self.list().len()
    }

    /// How many of a kind.
    fn count(&self, kind: &str) -> usize {
        self.list().iter().filter(|entry| entry["kind"] == kind).count()
    }

    fn list(&self) -> Vec<serde_json::Value> {
        let list = self.scene.world.perimeter.countersign(&["log", "list", "--json"]).unwrap();
        list.json().unwrap().as_array().unwrap().clone()
    }

    /// How many sign the published checkpoint.
    fn signed(&self) -> usize {
        fs::read_to_string(self.checkpoint()).unwrap().lines().filter(|line| line.starts_with("— ")).count()
    }

    /// Both verifiers judge the log by the policy: they must end so.
    fn judged(&self, status: i32, word: &str) {
        let auditor = self.scene.world.perimeter.audit_log(&self.trust()).unwrap();
        assert_eq!(auditor.status, status, "{}{}", auditor.stdout, auditor.stderr);
        assert!(auditor.stdout.contains(word), "{word}: {}", auditor.stdout);
        let ours = self.scene.world.perimeter.countersign(&["log", "verify"]).unwrap();
        assert_eq!(ours.status, status, "{}{}", ours.stdout, ours.stderr);
        let unasked = "no witness cosigned it";
        assert!(!auditor.stdout.contains(unasked) || status != 0, "{}", auditor.stdout);
        assert!(!ours.stdout.contains(unasked), "{}", ours.stdout);
        // Who has no policy is told that nobody's word was asked for.
        let without = self.scene.world.perimeter.audit_log(self.scene.world.perimeter.trust()).unwrap();
        assert!(without.status == 0 && without.stdout.contains(unasked), "{}", without.stdout);
        // And so is a receipt, which may be all that somebody has.
        let proof = self.folder.path().join("proof");
        let words = ["log", "prove", "0", "--out", proof.to_str().unwrap()];
        assert_eq!(self.scene.world.perimeter.countersign(&words).unwrap().status, 0);
        let mut verifier = Command::new(crate::binaries().join("countersign-verify"));
        let receipt =
            ran(verifier.arg("proof").arg(proof.join("0.tlog-proof")).arg("--trust").arg(self.trust())).unwrap();
        assert!(
            receipt.status == status && receipt.stdout.contains("witnesses"),
            "{}{}",
            receipt.stdout,
            receipt.stderr
        );
        // torchwood judges the same file by the same policy.
        let theirs = real::verify(&self.policy(), &self.checkpoint());
        assert_eq!(theirs.status, status, "{}{}", theirs.stdout, theirs.stderr);
    }

    /// A deployer who has the policy looks at the newest release, by its tag: it must end so.
    fn deployed(&self, status: i32, word: &str) {
        let image = format!("{}:latest", self.scene.line.release);
        let mut verifier = Command::new(crate::binaries().join("countersign-verify"));
        let ran = ran(verifier.args(["image", &image, "--trust"]).arg(self.trust())).unwrap();
        assert_eq!(ran.status, status, "{}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains(word), "{}", ran.stdout);
    }

    /// What a pass must have said.
    fn says(ran: &Ran, word: &str) {
        assert!(ran.stderr.contains(word), "{word} is expected\n{}", ran.stderr);
    }
}

/// A perimeter with a litewitness that knows its log.
fn real_one() -> (Witnessed, Litewitness) {
    let (mut house, mut lite) = (Witnessed::new(), Litewitness::new());
    let vkey = lite.start();
    lite.know(&house.log());
    house.witnesses(&[(vkey.clone(), lite.url())], &format!("witness lite {vkey}\nquorum lite\n"));
    (house, lite)
}

#[test]
fn a_release_carries_a_real_witnesss_word_that_everybody_verifies() {
    let (house, _lite) = real_one();
    for (word, round) in [("first", 1), ("second", 2)] {
        house.scene.green(word);
        let ran = house.scene.once(0);
        let size = house.size();
        Witnessed::says(&ran, &format!("witness lite cosigned {size} entries at 20"));
        assert_eq!(house.signed(), 2);
        house.judged(0, "cosigned by lite at 20");
        assert_eq!(house.count("release"), round);
        house.scene.verify(":latest", 0);
    }
    let theirs = real::verify(&house.policy(), &house.checkpoint());
    let size = house.size();
    assert!(theirs.stdout.starts_with(&format!("log.countersign.example {size}\nlite.example/w 20")), "{theirs:?}");
    let json = house.scene.world.perimeter.verify_log().unwrap().json().unwrap();
    assert_eq!(json["witnessed"][0]["witness"], "lite");
    // With a tag a deployer's policy counts as well.
    house.deployed(0, "the log of");
    // Nothing new, and nothing lacks: nobody is asked.
    let ran = house.scene.once(0);
    assert!(!ran.stderr.contains("witness"), "{}", ran.stderr);
    assert_eq!(house.signed(), 2);
}

#[test]
fn a_checkpoint_that_lacks_a_cosignature_is_brought_before_the_witness_from_the_size_it_names() {
    let (mut house, mut lite) = real_one();
    house.scene.green("seen");
    house.scene.once(0);
    let seen = house.size();
    // It is down for a promotion: named, and blocking nobody.
    lite.stop();
    house.scene.green("unseen");
    let ran = house.scene.once(0);
    Witnessed::says(&ran, "witness lite.example/w: http://127.0.0.1:");
    Witnessed::says(&ran, "too few witnesses cosigned the checkpoint of");
    assert_eq!((house.signed(), house.count("release")), (1, 2));
    house.judged(1, "too few witnesses cosigned");
    house.deployed(1, "too few witnesses cosigned");
    // What it has seen is known to nobody here any more: it says so itself (409).
    lite.start();
    let ran = house.scene.once(0);
    let size = house.size();
    assert!(size > seen);
    Witnessed::says(&ran, &format!("witness lite cosigned {size} entries"));
    house.judged(0, "cosigned by lite");
    // A cosignature that was lost on the disk is asked for again, by the same size.
    let note = fs::read_to_string(house.checkpoint()).unwrap();
    fs::write(house.checkpoint(), note.rsplit_once("— ").unwrap().0).unwrap();
    house.scene.once(0);
    house.judged(0, "cosigned by lite");
    // Whoever asks for another one as well is not content.
    let other = FalseWitness::start(1, |_, _| http("404 Not Found", b"unknown log\n"));
    let policy = fs::read_to_string(house.policy()).unwrap();
    let [_, lite_line, _] = policy.lines().collect::<Vec<_>>()[..] else { panic!("{policy}") };
    let policy = format!("{lite_line}\nwitness other {}\ngroup both all lite other\nquorum both\n", other.vkey);
    let lite_key = lite_line.split(' ').nth(2).unwrap().to_owned();
    house.witnesses(&[(lite_key, lite.url()), (other.vkey.to_string(), other.url.clone())], &policy);
    Witnessed::says(&house.scene.once(0), "does not know the log");
    house.judged(1, "only lite did");
}

#[test]
fn a_witness_that_has_seen_a_fork_refuses() {
    let (house, _lite) = real_one();
    house.scene.green("before");
    house.scene.once(0);
    let state = house.scene.world.perimeter.state();
    let aside = house.folder.path().join("aside");
    let copy = |from: &Path, to: &Path| run(Command::new("cp").arg("-a").arg(from).arg(to)).unwrap();
    copy(state, &aside);
    house.scene.green("one history");
    house.scene.once(0);
    house.judged(0, "cosigned by lite");
    fs::remove_dir_all(state).unwrap();
    copy(&aside, state);
    house.scene.green("another history");
    let ran = house.scene.once(0);
    assert!(
        ran.stderr.contains("it has seen another history of this log")
            || ran.stderr.contains("the log was rolled back"),
        "{}",
        ran.stderr
    );
    assert_eq!(house.signed(), 1);
    house.judged(1, "too few witnesses cosigned");
}

#[test]
fn an_operator_may_require_witnesses_before_anything_is_signed() {
    let (mut house, mut lite) = real_one();
    house.scene.world.settings.witnesses.required = true;
    house.scene.world.configure().unwrap();
    lite.stop();
    let commit = house.scene.green("waits");
    let ran = house.scene.once(3);
    Witnessed::says(&ran, "not-witnessed: too few witnesses");
    assert_eq!((house.scene.released("latest"), house.count("attempt")), (None, 0));
    assert_eq!(house.scene.world.perimeter.show(commit.as_str()).unwrap()["stage"], "permitted");
    lite.start();
    house.scene.once(0);
    assert_eq!(house.count("release"), 1);
    house.judged(0, "cosigned by lite");
    house.scene.verify(":latest", 0);
}

/// A promotion that was interrupted is proved under the newest checkpoint, which witnesses may have cosigned.
#[test]
fn a_bundle_whose_checkpoint_carries_cosignatures_verifies_as_one_without() {
    let scene = Scene::new();
    scene.green("bundled");
    scene.once(0);
    let perimeter = &scene.world.perimeter;
    let trust = Trust::load(perimeter.trust()).unwrap();
    let (_, entries) = Log::open(&perimeter.log(), &trust.log).unwrap();
    let bundles: Vec<Vec<u8>> = entries
        .iter()
        .filter_map(|entry| match entry.body() {
            Some(Body::Bundle(bundle)) => Some(bundle.bundle.0.clone()),
            _ => None,
        })
        .collect();
    assert!(!bundles.is_empty());
    for bundle in bundles {
        let plain = verifier::bundle::verify(&bundle, &trust).unwrap();
        let mut json: serde_json::Value = serde_json::from_slice(&bundle).unwrap();
        let envelope = &mut json["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]["envelope"];
        let note = envelope.as_str().unwrap().to_owned();
        let key = artifact::key::Ed25519Key::from_seed(&[1; 32]).unwrap();
        let at = Moment::now().unix() as u64;
        let line =
            audit::cosignature::cosign(&(note.split("\n\n").next().unwrap().to_owned() + "\n"), "w.example", &key, at);
        *envelope = serde_json::Value::from(note.clone() + &line.unwrap());
        let cosigned = verifier::bundle::verify(json.to_string().as_bytes(), &trust).unwrap();
        assert!(cosigned.checkpoint.says_as(&plain.checkpoint) && cosigned.checkpoint != plain.checkpoint);
        assert_eq!((cosigned.index, cosigned.payload), (plain.index, plain.payload));
    }
}

/// Each answers in a way of its own; all of them at once, while something is promoted.
#[test]
fn what_a_false_witness_answers_is_refused_by_name_and_harms_no_promotion() {
    let mut house = Witnessed::new();
    let now = || Moment::now().unix() as u64;
    let other_key = || artifact::key::Ed25519Key::from_seed(&[99; 32]).unwrap();
    let ones = [
        (
            FalseWitness::start(1, move |_, b| cosigned(&other_key(), "false.example/1", &text(b), now())),
            "no signature of",
        ),
        (
            FalseWitness::start(2, move |k, b| {
                cosigned(k, "false.example/2", &text(b).replacen('\n', "\n1", 1), now())
            }),
            "does not verify",
        ),
        (FalseWitness::start(3, move |k, b| cosigned(k, "false.example/3", &text(b), now() - 3600)), "clock is wrong"),
        (FalseWitness::start(4, |_, _| http("200 OK", b"\x1b[2Jgarbage\n")), "no cosignature"),
        (FalseWitness::start(5, |_, _| http("200 OK", &vec![b'x'; 1 << 20])), "more than the limit"),
        (FalseWitness::start(6, |_, _| Vec::new()), "no whole answer within"),
        (
            FalseWitness::start(7, |_, _| b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\r\n".to_vec()),
            "elsewhere",
        ),
        (FalseWitness::start(8, |_, _| http("409 Conflict", b"99999\n")), "has seen 99999 entries"),
        (
            FalseWitness::start(9, |_, b| http("409 Conflict", if b.starts_with("old 1\n") { b"2\n" } else { b"1\n" })),
            "",
        ),
        (FalseWitness::start(11, |_, _| http("409 Conflict", b"18446744073709551615\n")), "names no size"),
        (FalseWitness::start(10, |_, _| http("403 Forbidden", b"invalid signature\n")), "another key"),
    ];
    let asked: Vec<_> = ones.iter().map(|(one, _)| (one.vkey.to_string(), one.url.clone())).collect();
    let listed: String = ones.iter().map(|(one, _)| format!("witness {} {}\n", one.name, one.vkey)).collect();
    let names: Vec<_> = ones.iter().map(|(one, _)| one.name.as_str()).collect();
    house.witnesses(&asked, &format!("{listed}group any-one any {}\nquorum any-one\n", names.join(" ")));
    house.scene.green("unharmed");
    let ran = house.scene.once(0);
    for (one, word) in &ones {
        let mut lines = ran
            .stderr
            .lines()
            .filter(|line| line.contains(&format!("{}:", one.name)) || line.contains(&format!("{} says", one.name)));
        assert!(word.is_empty() || lines.any(|line| line.contains(word)), "{}: {word}\n{}", one.name, ran.stderr);
        assert!((1..=3).contains(&one.heard().len()), "{}: {:?}", one.name, one.heard());
    }
    assert!(!ran.stderr.contains('\u{1b}'));
    assert_eq!((house.signed(), house.count("release")), (1, 1));
    house.judged(1, "nobody whom it lists did");
    house.scene.verify(":latest", 0);
}

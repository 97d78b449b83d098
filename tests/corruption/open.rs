//! The ways in which verifiers of other logs were open: an error taken for nothing there, a loop over nothing, an empty
//! list, a size that overflows, keys that are none. Each tried on the real program.

use std::fs;
use std::path::{Path, PathBuf};

use artifact::key::{Ed25519Key, P256Key, PublicKey};
use demo::command::{Ran, ran};

use super::forged::Forged;
use super::scene::Promoted;
use super::{Damage, copy};

/// A trust file for a log of the test's own.
struct Trusting {
    folder: tempfile::TempDir,
    log: PathBuf,
    image: PublicKey,
    vkey: String,
}

impl Trusting {
    fn new(forged: &Forged) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, image) = (folder.path().join("log"), P256Key::generate().unwrap().public());
        forged.write(&log);
        Self { folder, log, image, vkey: forged.vkey().to_string() }
    }

    fn good(&self) -> String {
        let names = "verifier_id = \"https://v.example\"\nbuilder_id = \"https://b.example\"\n";
        format!("image = \"\"\"\n{}\"\"\"\nlog = \"{}\"\n{names}", self.image, self.vkey)
    }

    /// `countersign-verify --json log` with this trust file.
    fn verify(&self, trust: &str) -> Ran {
        let path = self.folder.path().join("trust.toml");
        fs::write(&path, trust).unwrap();
        program(&["log", self.log.to_str().unwrap(), "--trust", path.to_str().unwrap()])
    }
}

/// Runs the verifier; what it prints and how it ends must agree.
fn program(arguments: &[&str]) -> Ran {
    let mut command = std::process::Command::new("timeout");
    command.args(["-k", "1", "60"]).arg(crate::binaries().join("countersign-verify")).arg("--json").args(arguments);
    let ran = ran(&mut command).unwrap();
    let verified = ran.json().unwrap()["verified"].as_bool().unwrap();
    assert_eq!(verified, ran.status == 0, "{arguments:?}: {ran:?}");
    assert!((0..=3).contains(&ran.status) && !ran.stderr.contains("panicked"), "{ran:?}");
    ran
}

#[test]
fn an_empty_log_says_that_nothing_was_there_and_a_kept_checkpoint_tells_that_there_was() {
    let trusting = Trusting::new(&Forged::new());
    let empty = trusting.verify(&trusting.good());
    assert_eq!(empty.status, 0);
    assert!(empty.stdout.contains("the log is empty") && empty.stdout.contains("0 entries"), "{}", empty.stdout);
    // An attacker who kept the keeper's very first checkpoint: whoever kept any later one is not deceived.
    let kept = trusting.folder.path().join("kept");
    fs::write(&kept, Forged::of(3).checkpoint(3).note()).unwrap();
    let trust = trusting.folder.path().join("trust.toml");
    let log = ["log", trusting.log.to_str().unwrap(), "--trust", trust.to_str().unwrap(), "--since"];
    let found = program(&[&log[..], &[kept.to_str().unwrap()]].concat());
    assert_eq!(found.status, 1);
    assert!(found.stdout.contains("rolled back"), "{}", found.stdout);
    // A kept checkpoint of nothing tells nothing, and that is said.
    let own = trusting.log.join("checkpoint");
    let nothing = program(&[&log[..], &[own.to_str().unwrap()]].concat());
    assert!(nothing.status == 0 && nothing.stdout.contains("since you last saw it"), "{}", nothing.stdout);
    // Entries without a checkpoint that speaks of them are not verified by one of nothing.
    Forged::of(3).write(&trusting.log);
    fs::write(own, Forged::new().checkpoint(0).note()).unwrap();
    let beyond = trusting.verify(&trusting.good());
    assert!(beyond.stdout.contains("tile/0/000.p/3: no part of the log at this size"), "{}", beyond.stdout);
    assert!(beyond.stdout.contains("1 files in body/ that no entry names"), "{}", beyond.stdout);
}

#[test]
fn a_trust_file_without_keys_with_one_twice_or_with_none_of_the_kind_trusts_nobody() {
    let trusting = Trusting::new(&Forged::of(3));
    let good = trusting.good();
    assert_eq!(trusting.verify(&good).status, 0);
    let other = Ed25519Key::generate().unwrap().public();
    let twice = format!("{good}intake = \"\"\"\n{other}\"\"\"\ncomparers = [\"\"\"\n{other}\"\"\"]\n");
    let log_twice = format!("{good}intake = \"\"\"\n{}\"\"\"\n", Forged::new().key().public());
    let no_image = good.replace(&trusting.image.to_string(), "");
    let wrong = [
        ("empty", String::new()),
        ("no image key", good.lines().skip_while(|l| !l.starts_with("log = ")).collect::<Vec<_>>().join("\n")),
        ("an empty image key", no_image),
        ("an image key of another kind", good.replace(&trusting.image.to_string(), &other.to_string())),
        ("no log key", good.lines().filter(|l| !l.starts_with("log = ")).collect::<Vec<_>>().join("\n")),
        ("an empty log key", good.replace(&trusting.vkey, "")),
        ("the log twice", format!("{good}log = \"{}\"\n", trusting.vkey)),
        ("one key in two roles", twice),
        ("the log's key in two roles", log_twice),
        ("no verifier", good.replace("https://v.example", "")),
        ("no builder", good.replace("https://b.example", "")),
        ("a log_source that is no file", format!("{good}log_source = \"https://l.example\"\n")),
        ("a relative log_source", format!("{good}log_source = \"file://log\"\n")),
        ("an unknown field", format!("{good}trust_all = true\n")),
    ];
    for (what, text) in wrong {
        assert_ne!(text, good, "{what}");
        let ran = trusting.verify(&text);
        assert_eq!(ran.status, 2, "{what}: {ran:?}");
        assert!(ran.stderr.contains("trust.toml"), "{what}: {}", ran.stderr);
    }
    for path in ["/nowhere/trust.toml", "/dev/zero", "/"] {
        assert_eq!(program(&["log", trusting.log.to_str().unwrap(), "--trust", path]).status, 2, "{path}");
    }
}

#[test]
fn currency_without_its_log_or_with_another_one_never_passes() {
    let promoted = Promoted::shared();
    let latest = format!("{}:latest", promoted.release);
    let good = fs::read_to_string(&promoted.trust_file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = (folder.path().join("trust.toml"), folder.path().join("log"));
    let source = |to: &str| {
        let lines =
            good.lines().map(|l| if l.starts_with("log_source") { format!("log_source = \"{to}\"") } else { l.into() });
        lines.collect::<Vec<_>>().join("\n")
    };
    let with = |trust: String| {
        fs::write(&path, trust).unwrap();
        program(&["image", &latest, "--trust", path.to_str().unwrap()])
    };
    let currency = |ran: &Ran| {
        let checks = ran.json().unwrap()["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|c| c["code"] == "currency").unwrap()["found"].as_str().unwrap().to_owned()
    };
    copy(&promoted.today, &log);
    let here = format!("file://{}", log.display());
    assert_eq!(with(source(&here)).status, 0);
    let without = good.lines().filter(|l| !l.starts_with("log_source")).collect::<Vec<_>>().join("\n");
    assert_eq!(with(without).status, 2);
    let refused = |to: &str, word: &str| {
        let ran = with(source(to));
        assert_eq!(ran.status, 1, "{to}: {ran:?}");
        assert!(currency(&ran).contains(word), "{to}: {}", currency(&ran));
    };
    refused("file:///nowhere", "checkpoint: missing");
    refused("file:///dev/null", "Not a directory");
    refused(&format!("file://{}", promoted.yesterday.display()), "is not the log that the image is proved by");
    let mut damage = Damage::of(&log);
    damage.instead("checkpoint", &super::Thing::Pipe);
    refused(&here, "a pipe");
    drop(damage);
    let mut damage = Damage::of(&log);
    damage.remove("checkpoint");
    refused(&here, "checkpoint: missing");
    drop(damage);
    another_history(&promoted, &log, |why| refused(&here, why));
}

/// A log that its own key has signed, of as many entries, and another history: the keeper, broken, shows it to one reader.
/// It names the tag as the registry does, so only the image's proofs tell.
fn another_history(promoted: &Promoted, log: &Path, refused: impl Fn(&str)) {
    let mut forged = Forged::new();
    forged.halted("another beginning");
    forged.take(&promoted.entries()[1..]);
    promoted.show_instead(&forged, log);
    audit::reader::Log::open(log, &promoted.trust.log).unwrap();
    refused("is not the log that the image is proved by");
}

#[test]
fn what_does_not_answer_is_unavailable_and_what_is_not_listed_is_the_callers_mistake() {
    let trusting = Trusting::new(&Forged::of(3));
    let digest = artifact::Digest::of(b"x");
    let path = trusting.folder.path().join("trust.toml");
    // Nobody listens on the port of a listener that is gone.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    fs::write(&path, format!("{}[registry.\"{port}\"]\nplain_http = true\n", trusting.good())).unwrap();
    let image = |reference: &str| program(&["image", reference, "--trust", path.to_str().unwrap()]);
    assert_eq!(image(&format!("{port}/a@{digest}")).status, 3);
    assert_eq!(image(&format!("r.example/a@{digest}")).status, 2);
    for layout in ["/nowhere", "/dev/null", "/"] {
        assert_eq!(image(&format!("oci:{layout}@{digest}")).status, 1, "{layout}");
    }
    // A layout that lists nothing: three bundles are missing, and none is checked in vain.
    let layout = artifact::layout::Layout::create(trusting.folder.path().join("layout")).unwrap();
    let manifest = layout.put("x", b"{}").unwrap().digest;
    let empty = image(&format!("oci:{}@{manifest}", layout.root().display()));
    let missing = empty.stdout.matches("no bundle of the trusted key").count();
    assert_eq!((empty.status, missing), (1, 3), "{}", empty.stdout);
}

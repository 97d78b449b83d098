//! A release that is carried by hand: `countersign export` here, stock tools and our verifier on the other side; and what is
//! current, handed to deployers as one file.

mod current;
mod other_side;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use artifact::key::Ed25519Key;
use artifact::layout::Layout;
use artifact::oci::{self, Manifest};
use artifact::{Digest, regular};
use audit::cosignature::WitnessKey;
use demo::command::{Ran, program, ran};

use crate::peers::peer;
use crate::scene::Scene;

/// A house with a release, and a table to lay things on.
struct House {
    scene: Scene,
    image: Digest,
    table: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let scene = Scene::new();
        scene.green("one");
        scene.once(0);
        let image = scene.released("latest").unwrap().parse().unwrap();
        Self { scene, image, table: tempfile::tempdir().unwrap() }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.table.path().join(name)
    }

    fn pinned(&self) -> String {
        format!("{}@{}", self.scene.line.release, self.image)
    }

    fn try_export(&self, release: &str, name: &str, more: &[&str]) -> Ran {
        let place = self.place(name);
        let words = [&["export", release, place.to_str().unwrap()], more].concat();
        self.scene.world.perimeter.countersign(&words).unwrap()
    }

    /// The release, in a folder of this name.
    fn export(&self, release: &str, name: &str) -> PathBuf {
        let exported = self.try_export(release, name, &[]);
        assert_eq!((exported.status, exported.stderr.as_str()), (0, ""));
        self.place(name)
    }

    /// Nothing stands under this name, and this is the status and the reason.
    fn refused(&self, release: &str, name: &str, status: i32, words: &str) {
        let refused = self.try_export(release, name, &[]);
        assert_eq!(refused.status, status, "{}", refused.stderr);
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
        assert!(!self.place(name).exists());
    }
}

/// What a folder holds, by the names in it.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap().map(|e| e.unwrap().path()) {
            match entry.is_dir() {
                true => folders.push(entry),
                false => {
                    let name = entry.strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
                    files.insert(name, regular::read(&entry, 1 << 30).unwrap());
                }
            }
        }
    }
    files
}

/// Our verifier on a folder that was carried, with the trust file in it.
fn ours(folder: &Path, image: &Digest) -> Ran {
    let mut verify = Command::new(crate::binaries().join("countersign-verify"));
    verify.arg("image").arg(format!("oci:{}@{image}", folder.display()));
    ran(verify.arg("--trust").arg(folder.join("countersign/trust.toml"))).unwrap()
}

/// A cosign with a home of its own, with the keys of a folder that was carried.
fn cosign(name: &str, folder: &Path, words: &[&str]) -> Ran {
    let mut cosign = Command::new(peer(name).join("cosign"));
    let beside = |file: &str| folder.join("countersign").join(file);
    cosign.env("HOME", folder.with_extension("home")).args(words);
    cosign.arg("--key").arg(beside("image.pub")).arg("--trusted-root").arg(beside("trusted_root.json"));
    ran(&mut cosign).unwrap()
}

#[test]
fn a_release_is_exported_as_it_was_published_and_each_time_the_same() {
    let house = House::new();
    let hex = house.image.hex();
    let first = house.export(&house.pinned(), "a");
    let commit = house.scene.world.perimeter.status().unwrap()[0]["commit"].as_str().unwrap().to_owned();
    for (name, release) in [("b", format!("{}:latest", house.scene.line.release)), ("c", commit)] {
        assert_eq!(tree(&first), tree(&house.export(&release, name)), "{release}");
    }
    // The very manifests that are in production: nothing here is an image of its own.
    let (layout, production) = (Layout::open(&first), &house.scene.world.production);
    layout.check_marker().unwrap();
    for tag in ["latest".to_owned(), format!("sha256-{hex}.sig"), format!("sha256-{hex}.att")] {
        let carried = layout.read(&layout.find(&tag).unwrap(), oci::MANIFEST_LIMIT).unwrap();
        assert_eq!(Some(&carried), production.manifest("prod/app", &tag).as_ref(), "{tag}");
    }
    let published = production.referrers("prod/app", &house.image).unwrap();
    assert_eq!(published.len(), 3);
    let index = layout.read(&layout.find(&format!("sha256-{hex}")).unwrap(), oci::MANIFEST_LIMIT).unwrap();
    let listed = oci::Index::parse(&index).unwrap().manifests;
    for referrer in &published {
        let carried = listed.iter().find(|l| l.digest == referrer.digest).unwrap();
        assert_eq!((carried.size, &carried.artifact_type), (referrer.size, &referrer.artifact_type));
        assert_eq!(carried.annotations, referrer.annotations);
        layout.read(carried, oci::MANIFEST_LIMIT).unwrap();
    }
    // No registry has a say in it.
    production.set_tag("prod/app", &format!("sha256-{hex}.sig"), None).unwrap();
    production.set_tag("prod/app", "latest", None).unwrap();
    assert_eq!(tree(&first), tree(&house.export(&house.pinned(), "alone")));
    // Another release later, the layout is the same; the log's newest checkpoint and the proof under it are others.
    house.scene.green("two");
    house.scene.once(0);
    let (before, after) = (tree(&first), tree(&house.export(&house.pinned(), "d")));
    let others: Vec<_> =
        before.iter().filter(|(name, bytes)| after.get(*name) != Some(bytes)).map(|(n, _)| n).collect();
    assert_eq!(others, ["countersign/checkpoint", "countersign/release.tlog-proof"]);
    assert_eq!(before.len(), after.len());
    // By its tag the newest is meant.
    let newest = house.try_export(&format!("{}:latest", house.scene.line.release), "e", &["--json"]);
    assert_eq!(newest.json().unwrap()["digest"], house.scene.released("latest").unwrap());
}

#[test]
fn what_was_carried_is_verified_as_it_lies_and_every_byte_of_it_counts() {
    let house = House::new();
    let folder = house.export(&house.pinned(), "carried");
    let verified = ours(&folder, &house.image);
    assert_eq!(verified.status, 0, "{}", verified.stdout);
    let mut proof = Command::new(crate::binaries().join("countersign-verify"));
    proof.arg("proof").arg(folder.join("countersign/release.tlog-proof")).arg("--trust");
    let proved = ran(proof.arg(folder.join("countersign/trust.toml"))).unwrap();
    assert_eq!(proved.status, 0, "{}", proved.stdout);
    assert!(proved.stdout.contains(&house.image.to_string()), "{}", proved.stdout);
    // Stock cosign, without any registry.
    let lying = folder.to_str().unwrap();
    let local = |words: &[&str]| cosign("cosign", &folder, &[words, &["--local-image", lying]].concat());
    let asked: [&[&str]; 4] = [
        &["verify", "-a", "lane=public"],
        &["verify-attestation", "--type", "slsaprovenance1"],
        &["verify-attestation", "--type", "https://slsa.dev/verification_summary/v1"],
        &["verify", "-a", "lane=public", "--new-bundle-format=false", "--insecure-ignore-tlog=true"],
    ];
    for words in asked {
        let taken = local(words);
        assert_eq!(taken.status, 0, "{words:?}: {}", taken.stderr);
    }
    assert_ne!(local(&["verify", "-a", "lane=embargo"]).status, 0);
    let older = ["verify", "--local-image", lying, "--insecure-ignore-tlog=true", "-a", "lane=public"];
    let taken = cosign("cosign2", &folder, &older);
    assert_eq!(taken.status, 0, "{}", taken.stderr);

    // What our verifier reads is hashed; what it does not read it says.
    let layout = Layout::open(&folder);
    let read = |name: &str| layout.read(&layout.find(name).unwrap(), oci::MANIFEST_LIMIT).unwrap();
    let mut counts = vec![house.image];
    let image = Manifest::parse(&read("latest")).unwrap();
    counts.extend(image.layers.iter().chain([&image.config]).map(|blob| blob.digest));
    for listed in oci::Index::parse(&read(&format!("sha256-{}", house.image.hex()))).unwrap().manifests {
        let manifest = Manifest::parse(&layout.read(&listed, oci::MANIFEST_LIMIT).unwrap()).unwrap();
        counts.extend([listed.digest, manifest.layers[0].digest]);
    }
    assert_eq!(counts.len(), 3 + 3 * 2);
    for digest in counts {
        let path = layout.path(&digest);
        let whole = fs::read(&path).unwrap();
        let mut other = whole.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        for spoilt in [Some(&other[..]), Some(&whole[..middle]), None] {
            match spoilt {
                Some(bytes) => fs::write(&path, bytes).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            assert_eq!(ours(&folder, &house.image).status, 1, "{digest}");
        }
        fs::write(&path, whole).unwrap();
    }
    assert_eq!(ours(&folder, &house.image).status, 0);
}

#[test]
fn a_houses_witnesses_are_carried_along_and_asked_for_on_the_other_side() {
    let mut house = House::new();
    // Nobody is asked for yet.
    let world = &mut house.scene.world;
    world.settings.witnesses.policy = "quorum none\n".to_owned();
    world.configure().unwrap();
    let log = world.perimeter.log();
    let audit = |house: &House, folder: &Path| {
        let audited = house.scene.world.perimeter.audit_log(&folder.join("countersign/trust.toml")).unwrap();
        (audited.status, audited.stdout)
    };
    let folder = house.export(&house.pinned(), "none");
    let policy = fs::read_to_string(folder.join("countersign/log.policy")).unwrap();
    let checkpoint = fs::read_to_string(folder.join("countersign/checkpoint")).unwrap();
    assert_eq!(checkpoint, fs::read_to_string(log.join("checkpoint")).unwrap());
    assert!(policy.starts_with("log ") && policy.ends_with("\nquorum none\n"), "{policy}");
    assert_eq!(ours(&folder, &house.image).status, 0);
    let (status, said) = audit(&house, &folder);
    assert!(status == 0 && said.contains("the policy asks for none"), "{said}");
    // Then somebody is, and did not cosign.
    let vkey = WitnessKey::new("w.example", &Ed25519Key::generate().unwrap()).unwrap();
    house.scene.world.settings.witnesses.policy = format!("witness w {vkey}\nquorum w\n");
    house.scene.world.configure().unwrap();
    let folder = house.export(&house.pinned(), "one");
    let (status, said) = audit(&house, &folder);
    assert!(status == 1 && said.contains("NOT  witnesses"), "{said}");
}

#[test]
fn an_export_that_fails_or_is_killed_leaves_nothing_under_its_name() {
    let house = House::new();
    let (pinned, store) = (house.pinned(), house.scene.world.perimeter.state().join("public/compare/out"));
    house.refused("nowhere.example/app:latest", "x", 1, "no release of");
    house.refused(&format!("{}:other", house.scene.line.release), "x", 1, "no release of");
    house.refused(&format!("{}@sha256:12", house.scene.line.release), "x", 2, "pinned image");
    house.refused("ffffffffff", "x", 1, "no promotion of that name");

    // A folder of somebody's is left alone.
    fs::create_dir(house.place("theirs")).unwrap();
    fs::write(house.place("theirs/file"), "theirs").unwrap();
    let refused = house.try_export(&pinned, "theirs", &[]);
    assert!(refused.status == 2 && refused.stderr.contains("not empty"), "{}", refused.stderr);
    assert_eq!(tree(&house.place("theirs")).len(), 1);

    // Killed at each rename: each step that could show something.
    let whole = tree(&house.export(&pinned, "whole"));
    let strace = fs::canonicalize(ran(program("sh").args(["-c", "command -v strace"])).unwrap().stdout.trim()).unwrap();
    let mut killed = 0;
    for step in 1.. {
        assert!(step < 500, "it ends");
        let place = house.place("killed");
        let command = house.scene.world.perimeter.command(&["export", &pinned, place.to_str().unwrap()]);
        let mut traced = Command::new(&strace);
        let inject = format!("inject=rename,renameat,renameat2:signal=KILL:when={step}");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat,renameat2", "-e", &inject]);
        traced.arg(command.get_program()).args(command.get_args()).stdout(Stdio::null()).stderr(Stdio::null());
        if traced.status().unwrap().success() {
            break;
        }
        killed += 1;
        assert!(!place.exists() || tree(&place) == whole, "killed at {step}");
        if place.exists() {
            fs::remove_dir_all(&place).unwrap();
        }
    }
    assert!(killed > 20, "{killed}");
    assert_eq!(tree(&house.place("killed")), whole, "what the killed ones left behind is in nobody's way");
    assert!(!house.place(".killed.part").exists());

    // An image that is gone, and one that is another.
    let manifest =
        Manifest::parse(&Layout::open(&store).read_digest(&house.image, oci::MANIFEST_LIMIT).unwrap()).unwrap();
    let layer = Layout::open(&store).path(&manifest.layers[0].digest);
    let bytes = fs::read(&layer).unwrap();
    fs::remove_file(&layer).unwrap();
    house.refused(&pinned, "gone", 1, "--image");
    let published = house.scene.world.production.layout("prod/app");
    let again = house.try_export(&pinned, "again", &["--image", published.to_str().unwrap()]);
    assert_eq!(again.status, 0, "{}", again.stderr);
    assert_eq!(tree(&house.place("again")), whole, "from another layout it is the same");
    let mut other = bytes.clone();
    other[0] ^= 1;
    fs::write(&layer, other).unwrap();
    house.refused(&pinned, "broken", 4, "sha256:");
    assert!(!house.place(".broken.part").exists());
    fs::write(&layer, bytes).unwrap();
    house.export(&pinned, "mended");
}

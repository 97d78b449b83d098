//! Bad input on its way through the real binaries: a hostile candidate or repository ends in a refusal that is recorded,
//! with status 1, and a second pass says the same; never in "try again later", and never in a house that has stopped.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};

use artifact::layout::Layout;
use artifact::oci::{self, Descriptor, ImageConfig, Manifest, RootFs};
use artifact::{CommitId, Digest, json};
use demo::base::Base;
use demo::ci::Report;
use demo::command::Ran;
use rustix::fs::{CWD, FileType, mknodat};

use crate::scene::Scene;

/// A signed commit with a signed test result, and no candidate yet.
fn tested(scene: &Scene, word: &str) -> CommitId {
    let commit = scene.commit(word);
    report(scene, &commit);
    commit
}

fn report(scene: &Scene, commit: &CommitId) {
    scene.world.ci.report(&scene.line.evidence, commit, &Report::green(&["build", "test"])).unwrap();
}

/// Leaves an image of these layers in staging, under the commit, everything but the layers in order.
fn leave(scene: &Scene, commit: &CommitId, layers: &[(&str, Vec<u8>, Digest)]) -> Descriptor {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout::create(folder.path()).unwrap();
    let config = ImageConfig {
        created: None,
        architecture: "amd64".into(),
        os: "linux".into(),
        variant: None,
        config: Default::default(),
        rootfs: RootFs { kind: "layers".into(), diff_ids: layers.iter().map(|(.., diff_id)| *diff_id).collect() },
        history: Vec::new(),
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: oci::MANIFEST.into(),
        artifact_type: None,
        config: layout.put(oci::CONFIG, &json::canonical("config", &config).unwrap()).unwrap(),
        layers: layers.iter().map(|(media_type, bytes, _)| layout.put(media_type, bytes).unwrap()).collect(),
        subject: None,
        annotations: Default::default(),
    };
    let image = layout.put(oci::MANIFEST, &json::canonical("manifest", &manifest).unwrap()).unwrap();
    scene.world.staging.import("app", commit.as_str(), &layout, &image).unwrap();
    image
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(plain, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

/// A tar of empty files.
fn files(names: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for name in names {
        let mut header = tar::Header::new_gnu();
        header.set_size(0);
        header.set_mode(0o644);
        tar.append_data(&mut header, std::ffi::OsStr::from_bytes(&name), std::io::empty()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// More links than are listed, of names and targets that nobody sees: a letter of four bytes is sixteen when it is escaped.
fn unseen_links() -> Vec<u8> {
    let part = "\u{e0001}".repeat(60);
    let folder = [part.as_str(); 6].join("/");
    let mut tar = tar::Builder::new(Vec::new());
    for number in 0..250 {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        header.set_mode(0o777);
        tar.append_link(&mut header, format!("{folder}/{part}{number}"), "\u{e0001}".repeat(900)).unwrap();
    }
    tar.into_inner().unwrap()
}

/// One pass must refuse this commit by this code and in these words, record it, and leave production alone; and the next
/// pass must say the same without another entry.
fn refused(scene: &Scene, commit: &CommitId, code: &str, words: &str) {
    let writes = scene.world.production.journal().len();
    scene.once(1);
    let explained = scene.world.perimeter.explain(commit.as_str()).unwrap();
    let reason = &explained["reasons"][0];
    assert_eq!(reason["code"], code, "{explained:#}");
    let message = reason["message"].as_str().unwrap();
    assert!(message.contains(words) && message.len() < 1_000, "{message}");
    assert!(!message.contains(|c: char| c.is_control()), "{message:?}");
    assert_eq!(scene.world.production.journal().len(), writes, "production was written to");
    let entries = scene.entries().len();
    scene.once(1);
    assert_eq!(scene.entries().len(), entries, "a second pass refuses the same without a word in the log");
}

#[test]
fn a_hostile_candidate_ends_in_a_recorded_refusal() {
    let scene = Scene::new();
    let layout = Layout::open(scene.world.staging.layout("app"));
    let plain = |tar: Vec<u8>| (oci::LAYER, tar.clone(), Digest::of(&tar));

    // Documents that no promotion gets to read: they are still opened, and refused.
    let manifest = |size: &str| {
        let digest = Digest::of(b"");
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{digest}","size":{size}}},"layers":[]}}"#,
            oci::MANIFEST,
            oci::CONFIG
        )
    };
    for (number, (bytes, words)) in [
        (manifest("0"), "not there"),
        (manifest("0").replace("\"schemaVersion\":2", "\"schemaVersion\":2,\"schemaVersion\":2"), "no mediaType"),
        (manifest("0").replace(oci::MANIFEST, "\\u001b[2Jverified"), "media type \"\\u{1b}[2Jverified\""),
        ("\u{1b}[2J".repeat(3_000), "no JSON object"),
        (" ".repeat(5 << 20), "limit of 4194304 bytes"),
    ]
    .into_iter()
    .enumerate()
    {
        let commit = tested(&scene, &format!("document {number}"));
        let image = leave(&scene, &commit, &[]);
        // The registry gives other bytes than the digest that it says they have.
        fs::write(layout.path(&image.digest), bytes).unwrap();
        refused(&scene, &commit, "candidate-refused", words);
    }

    // Layers that only the comparer opens.
    let bomb = {
        let mut header = tar::Header::new_gnu();
        header.set_path("bomb").unwrap();
        header.set_size(600 << 20);
        header.set_mode(0o644);
        header.set_cksum();
        let mut tar = header.as_bytes().to_vec();
        tar.resize(512 + (600 << 20) + 1024, 0);
        (oci::LAYER_GZIP, gzip(&tar), Digest::of(&tar))
    };
    let unseen = unseen_links();
    let foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip";
    let (_, tar, diff_id) = plain(files([b"x".to_vec()]));
    let through = {
        let mut tar = include_bytes!("vectors/layer/accepted_below.tar").to_vec();
        tar.truncate(tar.len() - 1024);
        tar.extend(include_bytes!("vectors/layer/through_a_link.tar"));
        plain(tar)
    };
    for (number, (layer, code, words)) in [
        (plain(unseen), "diverged", "CI's image differs"),
        ((foreign, gzip(&tar), diff_id), "candidate-broken", "foreign.diff"),
        ((oci::LAYER_GZIP, gzip(&tar), Digest::of(b"another")), "candidate-broken", "before compression"),
        ((oci::LAYER_GZIP, gzip(&tar)[..20].to_vec(), diff_id), "candidate-broken", "could not be read"),
        (bomb, "candidate-broken", "the layers hold more than"),
        (through, "candidate-broken", "below something that is no folder"),
    ]
    .into_iter()
    .enumerate()
    {
        let commit = tested(&scene, &format!("layer {number}"));
        leave(&scene, &commit, &[layer]);
        refused(&scene, &commit, code, words);
    }

    // A blob that is another one than the manifest names.
    let commit = tested(&scene, "blob");
    leave(&scene, &commit, &[plain(files([b"y".to_vec()]))]);
    let (_, tar, diff_id) = plain(files([b"y".to_vec()]));
    fs::write(layout.path(&diff_id), vec![b'!'; tar.len()]).unwrap();
    refused(&scene, &commit, "candidate-refused", "other bytes than its digest");

    // And after all of them an honest one is released.
    scene.green("honest");
    scene.once(0);
}

/// Writes an object into a bare repository, past everything git refuses, and gives its id.
fn object(scene: &Scene, kind: &str, content: &[u8]) -> CommitId {
    use std::io::Write as _;
    let mut command = git(scene);
    command.args(["hash-object", "-w", "--literally", "--stdin", "-t", kind]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(content).unwrap();
    let out = child.wait_with_output().unwrap();
    String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
}

fn git(scene: &Scene) -> Command {
    let mut command = Command::new("git");
    command.arg("--git-dir").arg(scene.line.forge.bare());
    command
}

/// The head of the project's branch becomes a commit on this tree, by this committer.
fn push(scene: &Scene, tree: &CommitId, committer: &str) -> CommitId {
    let parent = scene.line.forge.head().unwrap();
    let text = format!("tree {tree}\nparent {parent}\nauthor A <a@x> 1790000000 +0000\ncommitter {committer}\n\nx\n");
    let commit = object(scene, "commit", text.as_bytes());
    let moved = git(scene).args(["update-ref", "refs/heads/main", commit.as_str()]).status().unwrap();
    assert!(moved.success());
    commit
}

/// Bytes of a tree's entry.
fn entry(mode: &str, name: &[u8], id: &CommitId) -> Vec<u8> {
    let raw = artifact::digest::unhex::<20>(id.as_str()).unwrap();
    [mode.as_bytes(), b" ", name, b"\0", &raw].concat()
}

#[test]
fn a_hostile_repository_ends_in_a_recorded_refusal() {
    for (case, code, words) in [
        ("dot-git", "source-refused", "git refuses its objects"),
        ("case-twins", "source-refused", "differing in case only"),
        ("bomb", "source-refused", "more than 2000000 files and folders"),
        ("recipe", "recipe-invalid", "unknown field"),
    ] {
        let scene = Scene::new();
        scene.commit("one");
        let blob = object(&scene, "blob", b"x");
        let tree = match case {
            "dot-git" => object(&scene, "tree", &entry("100644", b".git", &blob)),
            "case-twins" => {
                object(&scene, "tree", &[entry("100644", b"README", &blob), entry("100644", b"readme", &blob)].concat())
            }
            "bomb" => {
                let mut tree = object(&scene, "tree", &entry("100644", b"x", &blob));
                for _ in 0..8 {
                    let entries: Vec<u8> =
                        (0..10).flat_map(|n| entry("40000", n.to_string().as_bytes(), &tree)).collect();
                    tree = object(&scene, "tree", &entries);
                }
                tree
            }
            "recipe" => {
                let recipe =
                    object(&scene, "blob", format!("\"\\u001b[2J\\nverified{}\" = 1\n", "x".repeat(9_000)).as_bytes());
                object(&scene, "tree", &entry("100644", b".countersign.toml", &recipe))
            }
            _ => {
                let out = git(&scene).args(["rev-parse", "main^{tree}"]).output().unwrap();
                String::from_utf8(out.stdout).unwrap().trim().parse().unwrap()
            }
        };
        let commit = push(&scene, &tree, "A <a@x> 1790000000 +0000");
        report(&scene, &commit);
        leave(&scene, &commit, &[]);
        refused(&scene, &commit, code, words);
    }
}

fn build(folder: &std::path::Path, output: &std::path::Path) -> Ran {
    let mut command = Command::new(crate::binaries().join("countersign"));
    command.arg("build").arg(folder).arg("--output").arg(output);
    demo::command::ran(command.args(["--accept-runtime", &demo::binaries::runtime().unwrap()])).unwrap()
}

#[test]
fn building_a_hostile_work_tree_ends_with_1_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let source = folder.path().join("source");
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command.arg("-C").arg(&source).args(["-c", "user.name=a", "-c", "user.email=a@x"]).args(args);
        assert!(command.stdout(Stdio::null()).status().unwrap().success(), "{args:?}");
    };
    fs::create_dir(&source).unwrap();
    git(&["init", "-q", "-b", "main"]);
    for (name, text, words) in [
        ("README", "no recipe\n".to_owned(), "has no file .countersign.toml"),
        (".countersign.toml", "\u{1b}[2J = 1\n".to_owned(), "line 1"),
        (".countersign.toml", format!("version = 1\nx = \"{}\"\n", "y".repeat(70_000)), "70019 bytes"),
        (".countersign.toml", "version = 1\nbase = \"debian:12\"\nsteps = [\"x\"]\n".to_owned(), "debian:12"),
    ] {
        fs::write(source.join(name), text).unwrap();
        git(&["add", "."]);
        git(&["commit", "-q", "-m", "x"]);
        let ran = build(&source, &folder.path().join("out"));
        assert_eq!(ran.status, 1, "{}", ran.stderr);
        assert!(ran.stderr.contains(words) && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
        assert!(ran.stderr.lines().all(|line| line.len() < 1_200), "{}", ran.stderr);
    }
}

#[test]
fn a_verifier_that_is_given_a_hostile_folder_ends_with_1_and_waits_for_nothing() {
    let scene = Scene::new();
    let folder = tempfile::tempdir().unwrap();
    let (base, image) = Base::Tiny.get().unwrap();
    let manifest = base.read(&image, oci::MANIFEST_LIMIT).unwrap();
    let pipe = |path: &std::path::Path| mknodat(CWD, path, FileType::Fifo, 0o644.into(), 0).unwrap();
    for case in ["nothing", "pipe", "folder", "other bytes", "index is a pipe", "index twice", "index is a device"] {
        let path = folder.path().join(case);
        let layout = Layout::create(&path).unwrap();
        let blob = layout.path(&image.digest);
        match case {
            "pipe" => pipe(&blob),
            "folder" => fs::create_dir(&blob).unwrap(),
            "other bytes" => fs::write(&blob, b"\x1b[2Jverified").unwrap(),
            _ => drop(layout.put(oci::MANIFEST, &manifest).unwrap()),
        }
        let index = path.join("index.json");
        match case {
            "nothing" => fs::remove_file(&blob).unwrap(),
            "index is a pipe" => {
                fs::remove_file(&index).unwrap();
                pipe(&index);
            }
            "index twice" => fs::write(&index, "{\"schemaVersion\":2,\"manifests\":[],\"manifests\":[]}").unwrap(),
            "index is a device" => {
                fs::remove_file(&index).unwrap();
                std::os::unix::fs::symlink("/dev/zero", &index).unwrap();
            }
            _ => {}
        }
        let reference = format!("oci:{}@{}", path.display(), image.digest);
        let ran = scene.world.perimeter.verify_image(&reference).unwrap();
        assert_eq!(ran.status, 1, "{case}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("NOT VERIFIED") && !ran.stdout.contains('\u{1b}'), "{case}: {}", ran.stdout);
    }

    // And a log.
    let verify = |log: &std::path::Path, trust: &std::path::Path| {
        let mut command = Command::new(crate::binaries().join("countersign-verify"));
        demo::command::ran(command.arg("log").arg(log).arg("--trust").arg(trust)).unwrap()
    };
    let trust = scene.world.perimeter.trust();
    let tiles = scene.world.perimeter.log();
    scene.green("one");
    scene.once(0);
    assert_eq!(verify(&tiles, trust).status, 0);
    for case in ["nothing", "pipe", "control characters", "oversized"] {
        let log = folder.path().join(format!("log {case}"));
        fs::create_dir(&log).unwrap();
        let checkpoint = log.join("checkpoint");
        match case {
            "pipe" => pipe(&checkpoint),
            "control characters" => fs::write(&checkpoint, "\x1b[2Jverified\n0\n\n").unwrap(),
            "oversized" => fs::write(&checkpoint, vec![b'x'; 1 << 20]).unwrap(),
            _ => {}
        }
        let ran = verify(&log, trust);
        assert_eq!(ran.status, 1, "{case}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stdout.contains("NOT VERIFIED") && !ran.stdout.contains('\u{1b}'), "{case}: {}", ran.stdout);
    }
    let broken = folder.path().join("trust.toml");
    fs::write(&broken, "\"\\u001b[2J\" = 1\n").unwrap();
    let ran = verify(&tiles, &broken);
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("trust.toml: line 1") && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
    scene.world.perimeter.write("countersign.toml", "version = 1\n\"\\u001b[2J\" = 1\n").unwrap();
    let ran = scene.world.perimeter.once().unwrap();
    assert_eq!(ran.status, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("countersign.toml: line 2") && !ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

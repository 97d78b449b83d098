//! Stock cosign, of two ages and in each of its modes, on a release as it was published: each takes it, and none takes it with a
//! wrong key, another digest, a changed statement, a bundle that was removed, or another annotation asked for.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::attached;
use artifact::digest::Base64;
use artifact::key::P256Key;
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor, Manifest};
use artifact::{Digest, json};
use demo::command::{Ran, ran};
use demo::registry::Registry;
use serde_json::{Value, json};

use super::{BUNDLE, Release, SIGNATURE, VERDICT};
use crate::peers::peer;
use crate::scene::Scene;

/// Which shape a question is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Bundle,
    Legacy,
}

/// Which statement it must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Signature,
    Provenance,
    Verdict,
}

impl About {
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::Signature => &["verify", "-a"],
            Self::Provenance => &["verify-attestation", "--type", "slsaprovenance1"],
            Self::Verdict => &["verify-attestation", "--type", VERDICT],
        }
    }
}

/// A cosign and a mode of it: with the log required, or not; in the shape of now, or of before.
const MODES: [(&str, Shape, &[&str]); 6] = [
    ("cosign", Shape::Bundle, &[]),
    ("cosign", Shape::Bundle, &["--insecure-ignore-tlog=true"]),
    ("cosign2", Shape::Bundle, &["--new-bundle-format"]),
    ("cosign2", Shape::Bundle, &["--new-bundle-format", "--insecure-ignore-tlog=true"]),
    ("cosign", Shape::Legacy, &["--new-bundle-format=false", "--insecure-ignore-tlog=true"]),
    ("cosign2", Shape::Legacy, &["--insecure-ignore-tlog=true"]),
];

/// Whether a mode looks at no annotation of a bundle, although it says that it did: cosign 2.6 does not. There any statement of
/// the key will do for a signature, of any lane.
fn is_blind((tool, shape, _): (&str, Shape, &[&str]), about: About) -> bool {
    tool == "cosign2" && shape == Shape::Bundle && about == About::Signature
}

/// What is asked.
struct Question<'q> {
    key: &'q Path,
    root: &'q Path,
    annotation: &'q str,
    reference: &'q str,
}

impl Question<'_> {
    fn ask(&self, home: &Path, (tool, _, mode): (&str, Shape, &[&str]), about: About) -> Ran {
        let mut cosign = Command::new(peer(tool).join("cosign"));
        cosign.env("HOME", home).args(about.words());
        if about == About::Signature {
            cosign.arg(self.annotation);
        }
        cosign.arg("--key").arg(self.key).arg("--trusted-root").arg(self.root).args(mode);
        ran(cosign.arg(self.reference)).unwrap()
    }
}

/// What hangs on an image in a repository made for one case.
#[derive(Default)]
struct Hung {
    bundles: Vec<(String, Value)>,
    signatures: Vec<(Descriptor, Vec<u8>)>,
    attestations: Vec<(Descriptor, Vec<u8>)>,
}

impl Hung {
    /// As it was published.
    fn published(release: &Release) -> Self {
        let layers = |suffix: &str| {
            let layout = release.layout();
            let manifest =
                release.scene.world.production.manifest("prod/app", &attached::legacy_tag(&release.digest, suffix));
            let layers = Manifest::parse(&manifest.unwrap()).unwrap().layers;
            layers.into_iter().map(|l| (l.clone(), layout.read(&l, 1 << 20).unwrap())).collect()
        };
        Self { bundles: release.bundles.clone(), signatures: layers("sig"), attestations: layers("att") }
    }

    /// Hangs it on this image, in a repository of its own.
    fn hang(&self, release: &Release, registry: &Registry, repository: &str, image: &Digest, shape: Shape) -> String {
        let bytes = release.layout().read_digest(image, oci::MANIFEST_LIMIT).unwrap();
        let subject = Descriptor::of(oci::MANIFEST, &bytes);
        registry.import(repository, "image", &release.layout(), &subject).unwrap();
        let layout = Layout::create(release.path("hung")).unwrap();
        layout.put(oci::EMPTY, attached::EMPTY).unwrap();
        if shape == Shape::Bundle {
            for (n, (kind, bundle)) in self.bundles.iter().enumerate() {
                let bundle = layout.put(BUNDLE, bundle.to_string().as_bytes()).unwrap();
                let (manifest, _) = attached::referrer(&bundle, kind, &subject, "2026-01-01T00:00:00Z").unwrap();
                let referrer = layout.put(oci::MANIFEST, &manifest).unwrap();
                registry.import(repository, &format!("bundle-{n}"), &layout, &referrer).unwrap();
            }
        } else {
            for (suffix, layers) in [("sig", &self.signatures), ("att", &self.attestations)] {
                let described: Vec<_> = layers.iter().map(|(descriptor, _)| descriptor.clone()).collect();
                layers.iter().for_each(|(_, bytes)| drop(layout.put("", bytes).unwrap()));
                let (manifest, config) = attached::legacy(&described).unwrap();
                layout.put(oci::CONFIG, &config).unwrap();
                let manifest = layout.put(oci::MANIFEST, &manifest).unwrap();
                registry.import(repository, &attached::legacy_tag(image, suffix), &layout, &manifest).unwrap();
            }
        }
        format!("{}/{repository}@{image}", registry.host())
    }

    /// Every statement with a word changed, and every signature as it was.
    fn changed(&self) -> Self {
        let change = |bytes: &[u8]| -> Vec<u8> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            let changed = text.replacen("\"public\"", "\"public \"", 1).replacen("PASSED", "PASSED ", 1);
            assert_ne!(text, changed);
            changed.into_bytes()
        };
        let envelope = |envelope: &mut Value| {
            let payload: Base64 = serde_json::from_value(envelope["payload"].clone()).unwrap();
            envelope["payload"] = json!(Base64(change(&payload.0)));
        };
        let described = |layer: &Descriptor, bytes: Vec<u8>| {
            let mut descriptor = Descriptor::of(&layer.media_type, &bytes);
            descriptor.annotations = layer.annotations.clone();
            (descriptor, bytes)
        };
        let mut bundles = self.bundles.clone();
        bundles.iter_mut().for_each(|(_, bundle)| envelope(&mut bundle["dsseEnvelope"]));
        let signatures = self.signatures.iter().map(|(layer, payload)| described(layer, change(payload))).collect();
        let attestations = self.attestations.iter().map(|(layer, bytes)| {
            let mut value: Value = serde_json::from_slice(bytes).unwrap();
            envelope(&mut value);
            described(layer, json::canonical("envelope", &value).unwrap())
        });
        Self { bundles, signatures, attestations: attestations.collect() }
    }

    /// All but what is asked for.
    fn without(&self, about: About) -> Self {
        let kind = match about {
            About::Signature => SIGNATURE,
            About::Provenance => "https://slsa.dev/provenance/v1",
            About::Verdict => VERDICT,
        };
        let mut bundles = self.bundles.clone();
        bundles.retain(|(k, _)| k != kind);
        assert_eq!(bundles.len(), 2);
        let mut attestations = self.attestations.clone();
        attestations.retain(|(layer, _)| layer.annotations["predicateType"] != kind);
        let signatures = if about == About::Signature { Vec::new() } else { self.signatures.clone() };
        Self { bundles, signatures, attestations }
    }
}

/// Where each shape hangs, for a case.
struct Repositories<'r> {
    release: &'r Release,
    registry: &'r Registry,
    made: usize,
}

impl Repositories<'_> {
    fn hang(&mut self, hung: &Hung, image: &Digest, shape: Shape) -> String {
        self.made += 1;
        hung.hang(self.release, self.registry, &format!("case/{}", self.made), image, shape)
    }
}

const REMOVED: &str = "removed";
const LANE: &str = "another lane asked for";

const ABOUT: [About; 3] = [About::Signature, About::Provenance, About::Verdict];

#[test]
fn cosign_of_two_ages_takes_a_release_in_each_mode_and_refuses_every_fault() {
    let release = Release::new();
    let registry = Registry::start(release.path("registry")).unwrap();
    let mut places = Repositories { release: &release, registry: &registry, made: 0 };
    let (home, root, key) =
        (release.path("home"), release.write("root.json", &release.root), release.path("image.pub"));
    let published = Hung::published(&release);
    release.scene.green("another");
    release.scene.once(0);
    let another: Digest = release.scene.released("latest").unwrap().parse().unwrap();
    assert_ne!(another, release.digest);
    let stranger = release.path("stranger.pub");
    fs::write(&stranger, P256Key::generate().unwrap().public().to_string()).unwrap();

    let mut wrong = Vec::new();
    for shape in [Shape::Bundle, Shape::Legacy] {
        let sound = places.hang(&published, &release.digest, shape);
        let moved = places.hang(&published, &another, shape);
        let changed = places.hang(&published.changed(), &release.digest, shape);
        for about in ABOUT {
            let removed = places.hang(&published.without(about), &release.digest, shape);
            let bare = places.hang(&Hung::default(), &release.digest, shape);
            let right = Question { key: &key, root: &root, annotation: "lane=public", reference: &sound };
            let mut cases = vec![
                ("as published", true, Question { ..right }),
                ("a wrong key", false, Question { key: &stranger, ..right }),
                ("another image's", false, Question { reference: &moved, ..right }),
                ("a changed statement", false, Question { reference: &changed, ..right }),
                (REMOVED, false, Question { reference: &removed, ..right }),
                ("all removed", false, Question { reference: &bare, ..right }),
            ];
            if about == About::Signature {
                cases.push((LANE, false, Question { annotation: "lane=embargo", ..right }));
            }
            for mode in MODES.into_iter().filter(|(_, of, _)| *of == shape) {
                for (case, takes, question) in &cases {
                    let said = question.ask(&home, mode, about);
                    let takes = *takes || (is_blind(mode, about) && [REMOVED, LANE].contains(case));
                    if (said.status == 0) != takes || said.stderr.contains("panic:") {
                        wrong.push(format!("{mode:?}, {about:?}, {case}: {} {}", said.status, said.stderr));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What both registries must give: the release as the signer left it.
fn taken_where_it_was_published(scene: &Scene, folder: &Path) {
    let keys: audit::keys::HouseKeys =
        fs::read_to_string(scene.world.perimeter.config().join("keys.toml")).unwrap().parse().unwrap();
    let (key, root): (PathBuf, PathBuf) = (folder.join("image.pub"), folder.join("root.json"));
    fs::write(&key, keys.image.to_string()).unwrap();
    let exported = scene.world.perimeter.countersign(&["trust", "export", "--out", root.to_str().unwrap()]).unwrap();
    assert_eq!(exported.status, 0, "{}", exported.stderr);
    let reference = format!("{}@{}", scene.line.release, scene.released("latest").unwrap());
    let question = Question { key: &key, root: &root, annotation: "lane=public", reference: &reference };
    for mode in MODES {
        for about in ABOUT {
            let said = question.ask(&folder.join("home"), mode, about);
            assert_eq!(said.status, 0, "{mode:?}, {about:?}: {}", said.stderr);
        }
    }
}

#[test]
fn cosign_of_two_ages_takes_a_release_where_it_was_published_with_and_without_the_referrers_api() {
    for api in [true, false] {
        let scene = Scene::new();
        scene.world.production.set_referrers_api(api);
        scene.green("one");
        scene.once(0);
        let folder = tempfile::tempdir().unwrap();
        taken_where_it_was_published(&scene, folder.path());
        let listed = scene.world.production.tags("prod/app");
        let fallback = attached::fallback_tag(&scene.released("latest").unwrap().parse().unwrap());
        assert_eq!(listed.contains_key(&fallback), !api, "the other way was taken");
    }
}

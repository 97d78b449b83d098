//! Retention: what a replay of a release needs stays; what a refusal leaves goes by age and size, by a recorded act.

use artifact::Digest;
use artifact::layout::Layout;
use demo::ci::Report;
use serde_json::Value;

use crate::scene::Scene;

/// A release, then a refusal after a rebuild.
fn world() -> (Scene, String, String) {
    let scene = Scene::new();
    let released = scene.green("released");
    scene.once(0);
    let refused = scene.commit("another inside");
    let candidate = scene.world.ci.build(&scene.line.forge, &refused, &scene.world.settings.registries).unwrap();
    demo::spoil::make_setuid(&candidate.layout, refused.as_str()).unwrap();
    scene.world.ci.push(&candidate, &scene.line.staging).unwrap();
    let report = Report::green(&["build", "test"]);
    scene.world.ci.report(&scene.line.evidence, &refused, &report).unwrap();
    scene.once(1);
    (scene, released.to_string(), refused.to_string())
}

fn gc(scene: &Scene, more: &[&str]) -> Value {
    let ran = scene.world.perimeter.countersign(&[&["gc", "--json"], more].concat()).unwrap();
    assert_eq!(ran.status, 0, "{more:?}: {}", ran.stderr);
    ran.json().unwrap()
}

fn store(scene: &Scene, name: &str) -> Layout {
    Layout::open(scene.world.perimeter.state().join("public").join(name))
}

fn dossier(scene: &Scene, commit: &str) -> Digest {
    let shown = scene.world.perimeter.show(commit).unwrap();
    let facts = shown["history"].as_array().unwrap().iter().find(|step| step["kind"] == "facts").unwrap();
    let entry =
        scene.world.perimeter.countersign(&["log", "show", &facts["index"].to_string()]).unwrap().json().unwrap();
    entry["dossier"].as_str().unwrap().parse().unwrap()
}

#[test]
fn what_a_replay_needs_stays_and_the_rest_goes_by_age_and_size() {
    let (scene, released, refused) = world();
    let (kept, gone) = (dossier(&scene, &released), dossier(&scene, &refused));
    let dossiers = store(&scene, "intake/dossiers");
    assert!(kept != gone && dossiers.has(&kept) && dossiers.has(&gone));

    // Nothing is old enough.
    let young = gc(&scene, &[]);
    assert_eq!((&young["dossiers"]["blobs"], &young["candidates"]["blobs"]), (&0.into(), &0.into()), "{young}");
    assert_eq!(scene.count("collected"), 0, "an act that does nothing is none");

    // A look changes nothing.
    let entries = scene.entries().len();
    let looked = gc(&scene, &["--older-than", "0", "--max-mib", "0", "--dry-run"]);
    assert!(
        looked["dossiers"]["blobs"].as_u64().unwrap() > 0 && looked["candidates"]["blobs"].as_u64().unwrap() > 0,
        "{looked}"
    );
    assert!(dossiers.has(&gone) && scene.entries().len() == entries);

    let done = gc(&scene, &["--older-than", "0", "--max-mib", "0"]);
    assert_eq!(done["dossiers"], looked["dossiers"]);
    assert!(dossiers.has(&kept) && !dossiers.has(&gone));
    // Everything that the kept dossier lists is there, with its digest.
    let manifest = artifact::oci::Manifest::parse(&dossiers.read_digest(&kept, 1 << 20).unwrap()).unwrap();
    for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
        dossiers.stream(blob).unwrap().finish().unwrap();
    }
    let act = scene.entries().into_iter().find(|e| e["kind"] == "collected").unwrap();
    assert_eq!(act["index"].as_u64().unwrap() as usize, entries, "it is recorded");
    let again = gc(&scene, &["--older-than", "0", "--max-mib", "0"]);
    assert_eq!(again["dossiers"]["blobs"], 0, "{again}");
    assert_eq!(scene.count("collected"), 1);

    // The line goes on, and releases and decisions are all there.
    assert_eq!(scene.world.perimeter.reasons(&refused).unwrap(), ["diverged"]);
    scene.verify(":latest", 0);
    let next = scene.green("next");
    scene.once(0);
    assert_eq!(scene.world.perimeter.show(next.as_str()).unwrap()["stage"], "released");
}

#[test]
fn what_is_not_finished_needs_everything_and_a_damaged_dossier_stops_it() {
    let (scene, released, _) = world();
    let text = std::fs::read_to_string(scene.world.perimeter.config().join("signer.toml")).unwrap();
    scene.world.perimeter.write("signer.toml", "nonsense").unwrap();
    let waiting = scene.green("waits for its signer");
    scene.once(3);
    scene.world.perimeter.write("signer.toml", &text).unwrap();
    gc(&scene, &["--older-than", "0", "--max-mib", "0"]);
    assert!(store(&scene, "intake/dossiers").has(&dossier(&scene, waiting.as_str())));
    scene.once(0);
    assert_eq!(scene.world.perimeter.show(waiting.as_str()).unwrap()["stage"], "released");

    let kept = store(&scene, "intake/dossiers").path(&dossier(&scene, &released));
    let bytes = std::fs::read(&kept).unwrap();
    std::fs::write(&kept, "damaged").unwrap();
    let (count, folder) = (|| std::fs::read_dir(kept.parent().unwrap()).unwrap().count(), ["--older-than", "0"]);
    let before = count();
    let ran = scene.world.perimeter.countersign(&[&["gc"], &folder[..]].concat()).unwrap();
    assert_eq!(ran.status, 4, "{}", ran.stderr);
    assert_eq!(count(), before, "nothing went");
    std::fs::remove_file(&kept).unwrap();
    let ran = scene.world.perimeter.countersign(&[&["gc"], &folder[..]].concat()).unwrap();
    assert!(ran.status == 0 && ran.stderr.contains("1 dossiers of releases are not there"), "{}", ran.stderr);
    std::fs::write(&kept, bytes).unwrap();
}

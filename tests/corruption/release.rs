//! Every byte of a release that a verifier reads, changed one at a time: in the layout as it lies, and in bundles whose
//! digests a registry has put right again.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use artifact::Digest;
use artifact::layout::Layout;
use artifact::oci::{Descriptor, Index, MANIFEST_LIMIT, Manifest};
use verifier::bundle;
use verifier::image;
use verifier::report::Report;
use verifier::source::Source;
use verifier::trust::Trust;

use super::scene::Promoted;
use super::{Damage, Flipped, Sample, THINGS, copy};

/// What `countersign-verify image oci:FOLDER@DIGEST` reports. Reading a layout waits for nobody.
fn verified(folder: &Path, digest: &Digest, trust: &Trust) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(image::verify("image", &Source::Layout(folder.to_owned()), digest, None, trust))
}

/// The checks that failed, a line each.
fn failed(report: &Report) -> Vec<String> {
    report.checks.iter().filter(|c| !c.passed).map(|c| format!("{}: {}", c.code, c.found)).collect()
}

/// The files of a release: the manifest, what it lists, each bundle with what attaches it; by their place in the layout.
fn parts(folder: &Path, digest: &Digest) -> Vec<(&'static str, String)> {
    let layout = Layout::open(folder);
    let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let manifest = |digest: &Digest| Manifest::parse(&layout.read_digest(digest, MANIFEST_LIMIT).unwrap());
    let image = manifest(digest).unwrap();
    let mut parts = vec![("marker", "oci-layout".to_owned()), ("manifest", path(digest))];
    parts.push(("configuration", path(&image.config.digest)));
    parts.extend(image.layers.iter().map(|layer| ("layer", path(&layer.digest))));
    for listed in layout.index().unwrap().manifests {
        let Ok(attached) = manifest(&listed.digest) else { continue };
        if attached.subject.is_some_and(|s| s.digest == *digest) {
            parts.push(("referrer", path(&listed.digest)));
            parts.push(("bundle", path(&attached.layers[0].digest)));
        }
    }
    parts
}

#[test]
fn no_byte_of_a_release_can_be_another() {
    let promoted = Promoted::shared();
    let (folder, trust) = (tempfile::tempdir().unwrap(), &promoted.trust);
    let digest = &promoted.released[1];
    copy(&promoted.layout, folder.path());
    let whole = verified(folder.path(), digest, trust);
    assert!(whole.verified, "{whole:?}");
    assert!(whole.not_checked.iter().any(|n| n.contains("the legacy signatures")), "{whole:?}");
    let parts = parts(folder.path(), digest);
    assert_eq!(parts.iter().filter(|(kind, _)| *kind == "bundle").count(), 3);

    let mut sample = Sample::new("bytes of layers");
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    let all = |size: usize| (0..size).collect::<Vec<_>>();
    // A layer has millions of bytes and one digest: a sample of it; and it is away while all else is tried, for speed.
    let layers: Vec<_> = parts.iter().filter(|(kind, _)| *kind == "layer").collect();
    for (kind, name) in &layers {
        let flipped = Flipped::new(&folder.path().join(name));
        let places: Vec<_> = (0..40).map(|_| sample.below(flipped.bytes.len())).collect();
        let count = flipped.each(places, |what| must_name(&verified(folder.path(), digest, trust), name, what));
        *tried.entry(kind).or_default() += count;
    }
    let mut damage = Damage::of(folder.path());
    for (_, name) in &layers {
        damage.remove(name);
    }
    must_name(&verified(folder.path(), digest, trust), &layers[0].1, "a layer is missing");
    for (kind, name) in parts.iter().filter(|(kind, _)| *kind != "layer") {
        let flipped = Flipped::new(&folder.path().join(name));
        let places = all(flipped.bytes.len());
        let count = flipped.each(places, |what| must_name(&verified(folder.path(), digest, trust), name, what));
        *tried.entry(kind).or_default() += count;
    }
    for (kind, changes) in tried {
        println!("{kind}: {changes} changes, each found");
    }
    drop(damage);
    assert_eq!(verified(folder.path(), digest, trust).checks, whole.checks);
}

/// Not verified, and a failed check names the file.
fn must_name(report: &Report, name: &str, what: &str) {
    let short = name.rsplit('/').next().unwrap();
    let failed = failed(report);
    assert!(!report.verified && failed.iter().any(|f| f.contains(short)), "{name}: {what}: {failed:?}");
}

/// A layout's index is a list of hints: every digest in it leads to bytes that are hashed, and the image was named by its
/// own. A change passes only where the list still says the same of each manifest that is attached: in annotations, and where
/// an artifact type is not given at all, as the specification allows.
#[test]
fn a_change_in_the_index_passes_only_in_words_that_nobody_reads() {
    let promoted = Promoted::shared();
    let (folder, trust) = (tempfile::tempdir().unwrap(), &promoted.trust);
    let digest = &promoted.released[1];
    copy(&promoted.layout, folder.path());
    // Only this release, so that no other one's entries are in the list.
    let parts = parts(folder.path(), digest);
    let mut index = Layout::open(folder.path()).index().unwrap();
    index.manifests.retain(|m| parts.iter().any(|(_, name)| name.ends_with(&m.digest.hex())));
    let ours = index.manifests.iter().filter(|m| m.digest != *digest).count();
    assert_eq!(ours, 3, "{index:?}");
    let bytes = artifact::json::canonical("index", &index).unwrap();
    fs::write(folder.path().join("index.json"), &bytes).unwrap();
    assert!(verified(folder.path(), digest, trust).verified);
    let mut damage = Damage::of(folder.path());
    for (_, name) in parts.iter().filter(|(kind, _)| *kind == "layer") {
        damage.remove(name);
    }
    let layers = failed(&verified(folder.path(), digest, trust));
    let path = folder.path().join("index.json");
    let (flipped, mut passed) = (Flipped::new(&path), 0);
    let changes = flipped.each(0..bytes.len(), |what| {
        if failed(&verified(folder.path(), digest, trust)) == layers {
            passed += 1;
            let now = Index::parse(&fs::read(&path).unwrap()).unwrap();
            assert!(says_the_same(&index, &now, digest), "{what}: {now:?}");
        }
    });
    println!("index: {changes} changes, {passed} of them in words that nobody reads");
    assert!(passed < changes / 3);
}

/// Whether two lists say the same of everything but the image itself.
pub fn says_the_same(before: &Index, now: &Index, image: &Digest) -> bool {
    let same = |(a, b): (&Descriptor, &Descriptor)| {
        let kind = b.artifact_type.is_none() || a.artifact_type == b.artifact_type;
        a.digest == *image || (kind && a.digest == b.digest && a.size == b.size && a.media_type == b.media_type)
    };
    before.manifests.len() == now.manifests.len() && before.manifests.iter().zip(&now.manifests).all(same)
}

fn around(bytes: &[u8], at: usize) -> String {
    String::from_utf8_lossy(&bytes[at.saturating_sub(60)..(at + 60).min(bytes.len())]).into_owned()
}

/// A registry can give a changed bundle a digest of its own, and attach it as before. Then the signatures must tell, and
/// for what is not signed, that it agrees with what is.
#[test]
fn no_byte_of_a_bundle_can_be_another_whatever_its_digest() {
    let promoted = Promoted::shared();
    let trust = &promoted.trust;
    let mut changes = 0;
    for (kind, name) in parts(&promoted.layout, &promoted.released[1]) {
        if kind != "bundle" {
            continue;
        }
        let mut bytes = fs::read(promoted.layout.join(&name)).unwrap();
        let index = bundle::verify(&bytes, trust).unwrap().index;
        for at in 0..bytes.len() {
            let before = bytes[at];
            for flip in super::flips(before) {
                bytes[at] = flip;
                let found = bundle::verify(&bytes, trust).map(|v| v.index);
                assert!(found.is_err(), "{name}, byte {at}, {flip:#04x}: {}", around(&bytes, at));
                changes += 1;
            }
            bytes[at] = before;
        }
        assert_eq!(bundle::verify(&bytes, trust).unwrap().index, index);
    }
    println!("bundles with their digests put right: {changes} changes, each found");
}

#[test]
fn a_file_of_a_release_that_is_missing_cut_or_none_is_named() {
    let promoted = Promoted::shared();
    let (folder, trust) = (tempfile::tempdir().unwrap(), &promoted.trust);
    let digest = &promoted.released[1];
    copy(&promoted.layout, folder.path());
    let mut parts = parts(folder.path(), digest);
    parts.push(("index", "index.json".to_owned()));
    for (kind, name) in &parts {
        let tried = |what: &str, harm: &dyn Fn(&mut Damage<'_>)| {
            let mut damage = Damage::of(folder.path());
            harm(&mut damage);
            let report = verified(folder.path(), digest, trust);
            match *kind {
                "index" => assert!(!report.verified && failed(&report)[0].contains("index"), "{what}: {report:?}"),
                _ => must_name(&report, name, what),
            }
        };
        let bytes = fs::read(folder.path().join(name)).unwrap();
        tried("missing", &|d| drop(d.remove(name)));
        tried("empty", &|d| d.write(name, b""));
        tried("cut", &|d| d.write(name, &bytes[..bytes.len() - 1]));
        tried("longer", &|d| d.write(name, [&bytes[..], b"x"].concat()));
        for thing in &THINGS {
            tried(&format!("{thing:?}"), &|d| d.instead(name, thing));
        }
    }
    assert!(verified(folder.path(), digest, trust).verified);
}

#[test]
fn a_layout_with_a_release_of_yesterday_in_todays_place_is_refused() {
    let promoted = Promoted::shared();
    let (folder, trust) = (tempfile::tempdir().unwrap(), &promoted.trust);
    let [yesterday, today] = &promoted.released;
    copy(&promoted.layout, folder.path());
    for digest in [yesterday, today] {
        assert!(verified(folder.path(), digest, trust).verified, "both were released");
    }
    // Each file of the one in the place of the other's.
    let (old, new) = (parts(folder.path(), yesterday), parts(folder.path(), today));
    for ((kind, from), (_, to)) in old.iter().zip(&new) {
        let bytes = fs::read(folder.path().join(from)).unwrap();
        if from == to || bytes == fs::read(folder.path().join(to)).unwrap() {
            continue;
        }
        let mut damage = Damage::of(folder.path());
        damage.write(to, bytes);
        must_name(&verified(folder.path(), today, trust), to, kind);
    }
    // A layout that holds everything but what is attached to this image.
    let layout = Layout::open(folder.path());
    let mut index = layout.index().unwrap();
    index.manifests.retain(|m| !new.iter().any(|(kind, name)| *kind == "referrer" && name.ends_with(&m.digest.hex())));
    let mut damage = Damage::of(folder.path());
    damage.write("index.json", artifact::json::canonical("index", &index).unwrap());
    let report = verified(folder.path(), today, trust);
    let said = failed(&report);
    assert_eq!(said.iter().filter(|f| f.ends_with("no bundle of the trusted key")).count(), 3, "{said:?}");
}

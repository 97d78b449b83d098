//! The libraries that others build verifiers from: a bundle in a file, a key and a trusted root.

use std::fs;

use artifact::Digest;
use artifact::digest::Base64;
use artifact::key::P256Key;
use demo::registry::Registry;
use serde_json::json;

use super::{JUDGES, Release};

#[test]
fn libraries_take_each_bundle_and_refuse_a_wrong_key_and_a_changed_statement() {
    let mut release = Release::new();
    let registry = Registry::start(release.path("registry")).unwrap();
    let (right, stranger) =
        (fs::read(release.path("image.der")).unwrap(), P256Key::generate().unwrap().public().to_der());
    let bundles = release.bundles.clone();
    for (name, judge) in &JUDGES[1..] {
        for (kind, bundle) in &bundles {
            let ask = |release: &Release, bundle| judge(release, &registry, 0, bundle, &release.root);
            let taken = ask(&release, bundle);
            assert_eq!(taken.status, 0, "{name}, {kind}: {}", taken.stderr);

            fs::write(release.path("image.der"), &stranger).unwrap();
            let refused = ask(&release, bundle);
            assert_ne!(refused.status, 0, "{name}, {kind}: a wrong key");
            fs::write(release.path("image.der"), &right).unwrap();

            let mut changed = bundle.clone();
            let payload: Base64 = serde_json::from_value(bundle["dsseEnvelope"]["payload"].clone()).unwrap();
            let text = String::from_utf8(payload.0).unwrap();
            let other = text.replacen("\"predicate\":{", "\"predicate\": {", 1);
            assert_ne!(other, text);
            changed["dsseEnvelope"]["payload"] = json!(Base64(other.into_bytes()));
            assert_ne!(ask(&release, &changed).status, 0, "{name}, {kind}: a changed statement");

            // Which image a statement speaks of is for the caller of @sigstore/verify to compare.
            let image = std::mem::replace(&mut release.digest, Digest::of(b"another"));
            let elsewhere = ask(&release, bundle);
            assert_eq!(elsewhere.status == 0, *name == "@sigstore/verify", "{name}, {kind}: another image");
            release.digest = image;
        }
    }
}

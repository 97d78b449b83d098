use std::io::{Read as _, Write as _};
use std::process::Command;

use super::*;
use crate::command::{ran, run};

/// A layout with one image of one small layer, named `it`.
fn image(folder: &Path, content: &[u8]) -> (Layout, Descriptor) {
    let layout = Layout::create(folder).unwrap();
    let layer = layout.put(artifact::oci::LAYER, content).unwrap();
    let config = serde_json::json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer.digest.to_string()]}});
    let config = layout.put(artifact::oci::CONFIG, config.to_string().as_bytes()).unwrap();
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": artifact::oci::MANIFEST, "config": config,
        "layers": [layer]});
    let manifest = layout.put(artifact::oci::MANIFEST, manifest.to_string().as_bytes()).unwrap();
    layout.tag(&manifest, "it").unwrap();
    (layout, manifest)
}

/// One request, as bytes; the answer's head and body.
fn ask(registry: &Registry, request: &str) -> String {
    let mut wire = TcpStream::connect(registry.host()).unwrap();
    wire.write_all(request.as_bytes()).unwrap();
    wire.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    // A connection that is cut may say so with a reset.
    let _ = wire.read_to_string(&mut answer);
    answer
}

fn put_manifest(registry: &Registry, tag: &str, body: &str) -> String {
    let media = artifact::oci::MANIFEST;
    let length = body.len();
    ask(
        registry,
        &format!(
            "PUT /v2/a/manifests/{tag} HTTP/1.1\r\nContent-Type: {media}\r\nContent-Length: {length}\r\n\r\n{body}"
        ),
    )
}

#[test]
fn skopeo_pushes_and_pulls_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path().join("registry")).unwrap();
    // Larger than a pipe, a chunk and a socket's buffer.
    let (layout, manifest) = image(&folder.path().join("from"), &vec![7; 3 << 20]);
    let from = format!("oci:{}:it", layout.root().display());
    let there = format!("docker://{}/team/thing:v1", registry.host());
    let back = format!("oci:{}:back", folder.path().join("back").display());
    run(Command::new("skopeo").args(["copy", "-q", "--preserve-digests", "--dest-tls-verify=false", &from, &there]))
        .unwrap();
    run(Command::new("skopeo").args(["copy", "-q", "--preserve-digests", "--src-tls-verify=false", &there, &back]))
        .unwrap();
    let pulled = std::fs::read_to_string(folder.path().join("back/index.json")).unwrap();
    assert!(pulled.contains(&manifest.digest.to_string()), "{pulled}");
    assert_eq!(registry.tags("team/thing"), BTreeMap::from([("v1".to_owned(), manifest.digest)]));
    let journal = registry.journal();
    let last = journal.last().unwrap();
    assert_eq!((last.tag.as_deref(), last.digest, last.status), (Some("v1"), Some(manifest.digest), 201));
    assert!(journal.iter().any(|w| w.method == "PATCH"), "skopeo uploads in chunks");
}

#[test]
fn a_registry_that_is_started_again_has_its_port_and_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let (layout, manifest) = image(&folder.path().join("from"), b"layer");
    let first = Registry::start(folder.path().join("registry")).unwrap();
    let named = first.import("base", "latest", &layout, &manifest).unwrap();
    drop(first);
    let again = Registry::start(folder.path().join("registry")).unwrap();
    assert_eq!(named.repository, again.repository("base").unwrap());
    assert_eq!(again.tags("base").get("latest"), Some(&manifest.digest));
    let listed = run(Command::new("skopeo")
        .args(["list-tags", "--tls-verify=false"])
        .arg(format!("docker://{}", named.repository)))
    .unwrap();
    assert_eq!(listed.json().unwrap()["Tags"], serde_json::json!(["latest"]));
}

#[test]
fn a_manifest_needs_its_content_and_its_own_digest() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path()).unwrap();
    let absent = Digest::of(b"absent");
    let body = format!(r#"{{"schemaVersion":2,"config":{{"digest":"{absent}","size":6}},"layers":[]}}"#);
    assert!(put_manifest(&registry, "x", &body).contains("MANIFEST_BLOB_UNKNOWN"));
    assert!(put_manifest(&registry, &absent.to_string(), &body).contains("DIGEST_INVALID"));
    assert!(put_manifest(&registry, "x", "no json").contains("MANIFEST_INVALID"));
    assert!(registry.tags("a").is_empty());
    assert!(registry.journal().iter().all(|w| w.status == 400));
}

#[test]
fn referrers_are_listed_when_there_is_the_api_and_only_then() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path()).unwrap();
    let subject = Digest::of(b"image");
    let body = format!(
        r#"{{"schemaVersion":2,"artifactType":"a/b","subject":{{"digest":"{subject}"}},"annotations":{{"k":"v"}}}}"#
    );
    let get = format!("GET /v2/a/referrers/{subject}?artifactType=a%2Fb HTTP/1.1\r\n\r\n");
    assert!(put_manifest(&registry, "x", &body).contains(&format!("OCI-Subject: {subject}")));
    let listed = ask(&registry, &get);
    assert!(listed.contains("OCI-Filters-Applied: artifactType") && listed.contains(r#""annotations":{"k":"v"}"#));
    assert!(!ask(&registry, &get.replace("a%2Fb", "c")).contains(r#""k":"v""#));
    registry.set_referrers_api(false);
    assert!(!put_manifest(&registry, "x", &body).contains("OCI-Subject"));
    assert!(ask(&registry, &get).starts_with("HTTP/1.1 404"));
    assert_eq!(registry.journal()[0].subject, Some(subject));
    assert_eq!(registry.referrers("a", &subject).unwrap().len(), 1);
}

#[test]
fn faults_are_shown_and_then_it_works() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path()).unwrap();
    let body = r#"{"schemaVersion":2}"#;
    registry.fail_writes(1);
    assert!(put_manifest(&registry, "a", body).starts_with("HTTP/1.1 503"));
    assert!(put_manifest(&registry, "b", body).starts_with("HTTP/1.1 201"));
    registry.mend();
    registry.fault(Fault::next(Harm::CutBefore, "PUT ", 1));
    registry.fault(Fault { harm: Harm::CutAfter, on: "PUT ".into(), skip: 1, times: 1 });
    assert_eq!((put_manifest(&registry, "c", body), put_manifest(&registry, "d", body)), Default::default());
    let tags = registry.tags("a");
    assert_eq!(tags.keys().map(String::as_str).collect::<Vec<_>>(), ["b", "d"]);
}

#[test]
fn tags_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path()).unwrap();
    for tag in ["a", "b", "c"] {
        put_manifest(&registry, tag, r#"{"schemaVersion":2}"#);
    }
    let page = ask(&registry, "GET /v2/a/tags/list?n=2 HTTP/1.1\r\n\r\n");
    assert!(page.contains(r#"Link: </v2/a/tags/list?n=2&last=b>; rel="next""#) && page.ends_with(r#"["a","b"]}"#));
    assert!(ask(&registry, "GET /v2/a/tags/list?n=2&last=b HTTP/1.1\r\n\r\n").ends_with(r#"["c"]}"#));
}

#[test]
fn a_stopped_registry_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::start(folder.path()).unwrap();
    let there = format!("docker://{}/a:x", registry.host());
    drop(registry);
    assert_ne!(ran(Command::new("skopeo").args(["inspect", "--tls-verify=false", &there])).unwrap().status, 0);
}

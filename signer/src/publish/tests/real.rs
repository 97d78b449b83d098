//! Whole publications to other people's registries: distribution 2.8 and 3 without the referrers API, go-containerregistry's
//! with it.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use demo::wire::{Harm, Line};

use super::fixture::{Fixture, client, local, wrong};

struct Real {
    host: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Real {
    fn start(kind: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let host = demo::wire::free().unwrap().to_string();
        let store = folder.path().join("store");
        std::fs::create_dir(&store).unwrap();
        let mut command = match kind {
            "docker-registry" => {
                let config = folder.path().join("config.yml");
                let text = format!(
                    "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {store:?}}}}}\nhttp: {{addr: '{host}'}}\n"
                );
                std::fs::write(&config, text).unwrap();
                let mut command = Command::new("docker-registry");
                command.arg("serve").arg(config);
                command
            }
            kind => {
                let mut command = Command::new(peer().join("registries"));
                command.args([kind, &host]).arg(store);
                command
            }
        };
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.unwrap_or_else(|e| panic!("{kind}: {e}; tests/setup installs docker-registry"));
        let start = Instant::now();
        while TcpStream::connect(&host).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "{kind} does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { host, process, _folder: folder }
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn peer() -> PathBuf {
    let get = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/get");
    let built = Command::new(get).arg("registries").output().unwrap();
    assert!(built.status.success(), "tests/peers/get registries: {}", String::from_utf8_lossy(&built.stderr));
    String::from_utf8(built.stdout).unwrap().trim().into()
}

/// Publishes, publishes again, and breaks a third publication at every fifth request.
fn whole(kind: &str) {
    let real = Real::start(kind);
    let fixture = Fixture { replicas: vec!["dr".into()], ..Fixture::new() };
    let first = fixture.publish_to(&real.host, &client(&real.host)).unwrap();
    let reader = client(&real.host);
    let look = |path: &str| {
        let repository = format!("{}/{path}", real.host).parse().unwrap();
        local(wrong(&reader, &repository, &fixture.key.public()))
    };
    assert_eq!((look("app"), look("dr")), (Some(vec![]), Some(vec![])));
    let listing =
        local(reader.listing(&format!("{}/app", real.host).parse().unwrap(), &fixture.terms().digest)).unwrap();
    assert_eq!(listing.by_tag, kind != "ggcr", "{kind}");
    let line = Line::to(&real.host).unwrap();
    assert_eq!(fixture.publish_to(&line.host(), &client(&line.host())).unwrap(), first);
    // go-containerregistry's takes half a manifest for a whole one, under a tag as well: nobody can make that good for readers.
    let harms: Vec<Harm> = Harm::ALL.into_iter().filter(|h| kind != "ggcr" || *h != Harm::Within).collect();
    let again = line.requests();
    for (case, number) in (0..2 * again).step_by(5).enumerate() {
        let fixture = Fixture { path: format!("p{case}"), replicas: vec![], ..fixture.again() };
        line.harm(harms[case % harms.len()], number, 1 + 1000 * (case % 2));
        let _ = fixture.publish_to(&line.host(), &client(&line.host()));
        line.mend();
        fixture.publish_to(&line.host(), &client(&line.host())).unwrap();
        assert_eq!(look(&fixture.path), Some(vec![]), "{kind}: request {number}");
    }
}

#[test]
fn debians_docker_registry_gets_whole_releases() {
    whole("docker-registry");
}

#[test]
fn distribution_3_gets_whole_releases() {
    whole("distribution");
}

#[test]
fn a_real_registry_with_the_referrers_api_gets_whole_releases() {
    whole("ggcr");
}

//! The other side: a registry that the carried folder is copied into by the words of its own README.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use demo::command::{program, ran};
use demo::registry::Registry;

use super::{House, cosign};

/// Debian's docker-registry: no referrers API.
struct Plain {
    host: String,
    child: Child,
}

impl Plain {
    fn start(folder: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        let store = folder.join("plain");
        let config = folder.join("plain.yml");
        let text =
            "version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: STORE}\nhttp: {addr: HOST}\n";
        let text = text.replace("STORE", &format!("{store:?}")).replace("HOST", &format!("{host:?}"));
        fs::write(&config, text).unwrap();
        let mut serve = program("docker-registry");
        serve.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut plain = Self { host, child: serve.spawn().unwrap() };
        while TcpStream::connect(&plain.host).is_err() {
            assert!(plain.child.try_wait().unwrap().is_none(), "docker-registry ended");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        plain
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The commands of the folder's own README that copy it into a registry, run as they stand there but for the place.
fn follow_the_readme(folder: &Path, place: &str) {
    let readme = fs::read_to_string(folder.join("README.md")).unwrap();
    let (_, section) = readme.split_once("## Into a registry").unwrap();
    let lines: Vec<_> = section.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let copying = lines.iter().filter(|line| !line.starts_with("cosign")).copied().collect::<Vec<_>>().join("\n");
    assert_eq!(copying.matches("skopeo copy").count(), 4, "{copying}");
    let script = copying
        .replace("registry.example/app", place)
        .replace("skopeo copy", "skopeo copy --dest-tls-verify=false --insecure-policy");
    let followed = ran(program("sh").args(["-ec", &script]).current_dir(folder)).unwrap();
    assert_eq!(followed.status, 0, "{script}\n{}", followed.stderr);
}

#[test]
fn what_was_carried_verifies_in_a_registry_of_the_other_side_with_and_without_the_referrers_api() {
    let house = House::new();
    let folder = house.export(&house.pinned(), "carried");
    let with = Registry::start(house.place("registry")).unwrap();
    let without = Plain::start(house.table.path());
    for (host, api) in [(with.host(), true), (without.host.clone(), false)] {
        let place = format!("{host}/copy/app");
        follow_the_readme(&folder, &place);
        let reference = format!("{place}@{}", house.image);
        let asked: [(&str, &[&str]); 6] = [
            ("cosign", &["verify", "-a", "lane=public"]),
            ("cosign", &["verify-attestation", "--type", "slsaprovenance1"]),
            ("cosign", &["verify-attestation", "--type", "https://slsa.dev/verification_summary/v1"]),
            ("cosign", &["verify", "-a", "lane=public", "--new-bundle-format=false", "--insecure-ignore-tlog=true"]),
            ("cosign2", &["verify", "-a", "lane=public", "--new-bundle-format"]),
            ("cosign2", &["verify-attestation", "--type", "slsaprovenance1", "--new-bundle-format"]),
        ];
        for (tool, words) in asked {
            let taken = cosign(tool, &folder, &[words, &[&reference]].concat());
            assert_eq!(taken.status, 0, "{tool} {words:?}, api {api}: {}", taken.stderr);
        }
        let trust = folder.join("countersign/trust.toml");
        let text = fs::read_to_string(&trust).unwrap() + &format!("\n[registry.\"{host}\"]\nplain_http = true\n");
        let there = house.place("there.toml");
        fs::write(&there, text).unwrap();
        let mut verify = Command::new(crate::binaries().join("countersign-verify"));
        let verified = ran(verify.args(["image", &reference, "--trust"]).arg(&there)).unwrap();
        assert_eq!(verified.status, 0, "api {api}: {}", verified.stdout);
        assert!(verified.stdout.contains("a copy: the verdict is for"), "{}", verified.stdout);
    }
}

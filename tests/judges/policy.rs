//! What docs/consumers quotes, run as it stands there: cosign's lines, and the policy that podman, CRI-O and skopeo read.

use std::fs;
use std::path::Path;
use std::process::Command;

use artifact::key::P256Key;
use demo::command::{Ran, program, ran};

use super::Release;
use crate::peers::peer;

const README: &str = include_str!("../../docs/consumers/README.md");
const PLACE: &str = "registry.example/app";

/// The commands of a section.
fn quoted(section: &str) -> Vec<&'static str> {
    let (_, rest) = README.split_once(&format!("## {section}\n")).unwrap();
    let (_, block) = rest.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0.lines().collect()
}

#[test]
fn the_commands_that_deployers_are_given_for_cosign_work_as_they_stand() {
    let release = Release::new();
    release.write("trusted_root.json", &release.root);
    let reference = format!("{}@{}", release.scene.line.release, release.digest);
    for (section, tool, count) in [("cosign 3", "cosign", 3), ("cosign 2.6", "cosign2", 2)] {
        let lines = quoted(section);
        assert_eq!(lines.len(), count, "{lines:?}");
        for line in lines {
            let line = line.replace(&format!("{PLACE}@sha256:…"), &reference);
            let path = format!("{}:/usr/bin:/bin", peer(tool).display());
            let mut shell = program("sh");
            shell.args(["-ec", &line]).current_dir(release.folder.path()).env("PATH", path);
            let taken = ran(shell.env("HOME", release.folder.path())).unwrap();
            assert_eq!(taken.status, 0, "{line}: {}", taken.stderr);
        }
    }
}

/// containers/image about an image by the documented policy, with this place for its own and this key.
fn asked(release: &Release, key: &Path, place: &str, signed: &str, registries: bool, reference: &str) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let policy = include_str!("../../docs/consumers/policy.json")
        .replace(&format!("\"dockerRepository\": \"{PLACE}\""), &format!("\"dockerRepository\": \"{signed}\""))
        .replace(PLACE, place)
        .replace("/etc/countersign/image.pub", key.to_str().unwrap());
    assert!(policy.contains(place) && policy.contains(signed) && !policy.contains(PLACE));
    fs::write(folder.path().join("policy.json"), policy).unwrap();
    let lookaside = folder.path().join("registries.d");
    fs::create_dir(&lookaside).unwrap();
    if registries {
        let text = include_str!("../../docs/consumers/registries.d/countersign.yaml").replace(PLACE, place);
        fs::write(lookaside.join("countersign.yaml"), text).unwrap();
    }
    let mut judge = Command::new(peer("containers-image").join("containers-image"));
    judge.env("HOME", release.folder.path()).arg(folder.path().join("policy.json")).arg(lookaside);
    ran(judge.arg(format!("//{reference}"))).unwrap()
}

#[test]
fn the_policy_for_podman_and_its_kin_takes_a_release_and_refuses_the_rest() {
    let release = Release::new();
    let (key, stranger) = (release.path("image.pub"), release.path("stranger.pub"));
    fs::write(&stranger, P256Key::generate().unwrap().public().to_string()).unwrap();
    let place = release.scene.line.release.to_string();
    let (digest, tag) = (format!("{place}@{}", release.digest), format!("{place}:latest"));
    for reference in [&digest, &tag] {
        let taken = asked(&release, &key, &place, &place, true, reference);
        assert_eq!(taken.status, 0, "{reference}: {}", taken.stderr);
    }
    let base = release.scene.base.to_string();
    let refused: [(&str, Ran, &str); 4] = [
        ("a wrong key", asked(&release, &stranger, &place, &place, true, &digest), "verification failed"),
        ("nothing is looked for", asked(&release, &key, &place, &place, false, &digest), "no signature exists"),
        (
            "another name was signed",
            asked(&release, &key, &place, "other.example/app", true, &digest),
            "is not accepted",
        ),
        (
            "a place that the policy does not name",
            asked(&release, &key, &place, &place, true, &base),
            "rejected by policy",
        ),
    ];
    for (case, said, words) in refused {
        assert!(said.status == 1 && said.stderr.contains(words), "{case}: {} {}", said.status, said.stderr);
    }
}

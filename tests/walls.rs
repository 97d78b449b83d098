//! The dependency graph is an access control: what a room links is what an attacker in it can use. These tests read it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The names of every crate that a package of ours links, itself included.
fn links(package: &str) -> BTreeSet<String> {
    let out = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .args(["--package", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo tree runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let names: BTreeSet<String> =
        String::from_utf8_lossy(&out.stdout).lines().filter_map(|l| l.split(' ').next()).map(str::to_owned).collect();
    assert!(names.contains(package), "cargo tree names {package} itself, or this test reads nothing");
    names
}

fn assert_without(package: &str, forbidden: &[&str]) {
    let linked = links(package);
    let crossed: Vec<_> = forbidden.iter().filter(|f| linked.contains(**f)).collect();
    assert!(crossed.is_empty(), "{package} links {crossed:?}: a wall is crossed");
}

const ARCHIVES: &[&str] = &["tar", "flate2", "libdeflater", "zstd", "zstd-safe", "lz4_flex", "bzip2", "xz2", "zip"];
const NETWORK: &[&str] =
    &["reqwest", "hyper", "hyper-util", "h2", "rustls", "ring", "tokio", "native-tls", "ureq", "countersign-registry"];
const GIT: &[&str] = &["git2", "libgit2-sys", "gix", "gix-object"];

#[test]
fn the_signer_opens_no_archive_no_git_and_asks_no_ci() {
    assert_without("countersign-signer", ARCHIVES);
    assert_without("countersign-signer", GIT);
    assert_without("countersign-signer", &["countersign-intake", "countersign-builder", "countersign-demo"]);
}

#[test]
fn builder_comparer_and_keeper_have_no_network_client() {
    assert_without("countersign-builder", NETWORK);
    assert_without("countersign-audit", NETWORK);
    assert_without("countersign-hardening", NETWORK);
}

#[test]
fn the_coordinator_parses_nothing_that_was_fetched() {
    assert_without("countersign", ARCHIVES);
    assert_without("countersign", GIT);
    assert_without("countersign", NETWORK);
}

#[test]
fn the_keeper_links_no_archive() {
    assert_without("countersign-audit", ARCHIVES);
    // Policy is pure: the keeper asks it whether people ordered what it is to delete.
    assert_without("countersign-audit", &["countersign-intake", "countersign-builder", "countersign-signer"]);
}

#[test]
fn policy_has_no_network_no_runtime_and_no_clock() {
    assert_without("countersign-policy", NETWORK);
    assert_without("countersign-policy", ARCHIVES);
    assert_without("countersign-policy", &["countersign-hardening", "rustix", "async-trait", "futures"]);
    for (path, text) in sources("policy") {
        if path.ends_with("tests.rs") {
            continue;
        }
        let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
        for word in
            ["std::fs", "std::net", "std::process", "std::env", "SystemTime", "Instant", "Moment::now", "async "]
        {
            assert!(!shipped.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_verifier_links_no_other_room() {
    assert_without("countersign-verifier", ARCHIVES);
    assert_without("countersign-verifier", GIT);
    // Policy is no room: it is pure, and reading a log asks it whether people ordered what the log says they did.
    assert_without(
        "countersign-verifier",
        &["countersign-signer", "countersign-builder", "countersign-intake", "countersign-demo"],
    );
}

#[test]
fn the_vocabulary_depends_on_no_sibling() {
    let siblings: Vec<_> = links("countersign-artifact")
        .into_iter()
        .filter(|n| n.starts_with("countersign") && n != "countersign-artifact")
        .collect();
    assert!(siblings.is_empty(), "{siblings:?}");
}

#[test]
fn nobody_links_openssl_and_one_tls_stack_serves_all() {
    for package in ["countersign-intake", "countersign-signer", "countersign-verifier"] {
        assert_without(package, &["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "cmake"]);
        assert!(links(package).contains("rustls"), "{package}");
    }
}

/// Every Rust source of one folder of the house.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder of the house").map(|e| e.expect("an entry").path()) {
            if entry.is_dir() {
                walk(&entry, found);
            } else if entry.extension().is_some_and(|e| e == "rs") {
                let text = fs::read_to_string(&entry).expect("a source");
                found.push((entry, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("src"), &mut found);
    assert!(!found.is_empty(), "{folder}");
    found
}

const HOUSE: &[&str] =
    &["artifact", "audit", "builder", "hardening", "intake", "policy", "registry", "signer", "verifier", "."];

#[test]
fn unsafe_stands_in_one_file() {
    for folder in HOUSE.iter().chain(&["demo"]) {
        for (path, text) in sources(folder) {
            if path.ends_with("hardening/src/sys.rs") {
                continue;
            }
            let used = text.lines().map(|l| l.split("//").next().unwrap_or_default()).any(|l| l.contains("unsafe "));
            assert!(!used, "{}", path.display());
        }
    }
}

/// Whether the crate's root has this module for its unit tests and for nothing else.
fn for_tests_alone(module: &Path) -> bool {
    let Ok(root) = fs::read_to_string(module.with_file_name("lib.rs")) else { return false };
    if !module.ends_with("testkit.rs") {
        return false;
    }
    let lines: Vec<&str> = root.lines().collect();
    let Some(place) = lines.iter().position(|line| *line == "mod testkit;") else { return false };
    lines[..place].iter().rev().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[cfg(test)]")
}

#[test]
fn nothing_of_the_house_listens() {
    for folder in HOUSE {
        for (path, text) in sources(folder) {
            let shipped = text.split("#[cfg(test)]").next().unwrap_or_default();
            for word in ["TcpListener", "UnixListener", "UnixDatagram::bind", "net::listen", "net::accept"] {
                // The probe tries it in vain, in tests; a kit is compiled for unit tests alone.
                let excused = path.ends_with("countersign-room-probe.rs") || for_tests_alone(&path);
                assert!(!shipped.contains(word) || excused, "{}: {word}", path.display());
            }
        }
    }
}

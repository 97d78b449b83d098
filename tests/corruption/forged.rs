//! Logs of any size with a key of the test's own, written with the log's own formats: large ones, forks, and what a keeper
//! would never write.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::key::Ed25519Key;
use artifact::{Digest, Moment};
use audit::checkpoint::{Checkpoint, SignedCheckpoint};
use audit::edge::Edge;
use audit::entry::{Body, Halted, Order, OrderSignature};
use audit::leaf::{Commitment, Leaf, Salt};
use audit::merkle::TreeHash;
use audit::note::Vkey;
use audit::reader::{Content, Entry};
use audit::{pack, tile};
use demo::command::run;

pub const ORIGIN: &str = "forged.example/log";

/// A log that is being made up.
#[derive(Clone)]
pub struct Forged {
    seed: [u8; 32],
    pub leaves: Vec<Vec<u8>>,
    bodies: BTreeMap<String, Vec<u8>>,
}

impl Forged {
    pub fn new() -> Self {
        Self { seed: [7; 32], leaves: Vec::new(), bodies: BTreeMap::new() }
    }

    /// So many entries; every hundredth is one of ours.
    pub fn of(size: usize) -> Self {
        let mut forged = Self::new();
        for n in 0..size {
            match n % 100 {
                0 => forged.halted(&format!("entry {n}")),
                _ => forged.raw(&format!("{n}")),
            }
        }
        forged
    }

    pub fn key(&self) -> Ed25519Key {
        Ed25519Key::from_seed(&self.seed).unwrap()
    }

    pub fn vkey(&self) -> Vkey {
        Vkey::new(ORIGIN, &self.key()).unwrap()
    }

    pub fn raw(&mut self, word: &str) {
        self.leaves.push(format!(r#"{{"apiVersion":"0","kind":"k","spec":{{"n":"{word}"}}}}"#).into_bytes());
    }

    pub fn halted(&mut self, word: &str) {
        let at = Moment::from_unix(1).unwrap();
        let body = Body::from(Halted { failure: Failure::halt("test", word), at });
        let mut salt = [9; 32];
        salt[..8].copy_from_slice(&(self.leaves.len() as u64).to_be_bytes());
        self.body(body.kind(), salt, &body.to_bytes().unwrap());
    }

    /// An order of one person, signed by `ssh-keygen` with a key that nobody keeps.
    pub fn order(&mut self, action: serde_json::Value) {
        let folder = tempfile::tempdir().unwrap();
        let (key, path) = (folder.path().join("key"), folder.path().join("o.json"));
        let says = serde_json::json!({
            "type": "countersign-order@v1", "lane": "public", "action": action, "rules": Digest::of(b"rules"),
            "nonce": "0".repeat(32), "expires": "2026-11-24T00:00:00Z", "reason": "a test",
        });
        let statement = artifact::json::canonical("order", &says).unwrap();
        fs::write(&path, &statement).unwrap();
        let keygen = |words: &[&str], file: &Path| {
            run(Command::new("ssh-keygen").args(words).arg(&key).args(words.contains(&"sign").then_some(file)))
                .unwrap();
        };
        keygen(&["-q", "-t", "ed25519", "-N", "", "-f"], &path);
        keygen(&["-q", "-Y", "sign", "-n", "countersign-order@v1", "-f"], &path);
        let signature = Base64(fs::read(folder.path().join("o.json.sig")).unwrap());
        let signatures = vec![OrderSignature { principal: "ann".to_owned(), signature }];
        let at = "2026-11-23T10:00:00Z".parse().unwrap();
        let body = Body::from(Order { statement: Base64(statement), signatures, at });
        self.body(body.kind(), [2; 32], &body.to_bytes().unwrap());
    }

    /// Entries of another log.
    pub fn take(&mut self, entries: &[Entry]) {
        for entry in entries {
            match &entry.content {
                Content::Ours { body, bytes, salt } => self.body(body.kind(), *salt.raw(), bytes),
                Content::Rekor(leaf) => self.leaves.push(leaf.as_bytes().to_vec()),
                Content::Forgotten(_) => unreachable!("nothing was forgotten"),
            }
        }
    }

    /// One of ours, by its kind, its salt and its body.
    pub fn body(&mut self, kind: u8, salt: [u8; 32], body: &[u8]) {
        let commitment = Commitment::to(kind, &Salt::from_raw(salt), body);
        self.bodies.insert(commitment.digest().hex(), [&salt[..], body].concat());
        self.leaves.push(commitment.to_bytes());
    }

    /// The checkpoint at a size.
    pub fn checkpoint(&self, size: usize) -> SignedCheckpoint {
        let mut edge = Edge::default();
        for leaf in &self.leaves[..size] {
            edge.push(TreeHash::leaf(leaf));
        }
        self.sign(ORIGIN, size as u64, edge.root())
    }

    pub fn sign(&self, origin: &str, size: u64, root: TreeHash) -> SignedCheckpoint {
        SignedCheckpoint::sign(Checkpoint { origin: origin.to_owned(), size, root }, &self.key()).unwrap()
    }

    /// The body of a leaf, and what its file is called while its bundle is partial.
    fn body_of(&self, leaf: &[u8]) -> Option<(String, pack::Salted)> {
        let Ok(Leaf::Ours(commitment)) = Leaf::parse(leaf) else { return None };
        let name = commitment.digest().hex();
        let bytes = self.bodies.get(&name)?;
        let (salt, body) = bytes.split_first_chunk()?;
        Some((name, (Salt::from_raw(*salt), body.to_vec())))
    }

    /// The pack beside these entries.
    pub fn pack_of(&self, entries: &[Vec<u8>]) -> Vec<u8> {
        let slots: Vec<_> = entries.iter().map(|leaf| Some(self.body_of(leaf)?.1)).collect();
        pack::to_bytes(&slots)
    }

    /// Writes all of it.
    pub fn write(&self, folder: &Path) {
        let put = |name: String, bytes: Vec<u8>| {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        let mut edge = Edge::default();
        for leaf in &self.leaves {
            for (level, n, hashes) in edge.push(TreeHash::leaf(leaf)) {
                put(tile::path(level, n, tile::WIDTH), tile::hashes_to_bytes(&hashes));
            }
        }
        for (level, n, hashes) in edge.partials() {
            put(tile::path(level, n, hashes.len()), tile::hashes_to_bytes(&hashes));
        }
        for (n, entries) in (0..).zip(self.leaves.chunks(tile::WIDTH)) {
            put(tile::bundle_path(n, entries.len()), tile::bundle_to_bytes(entries));
            if entries.len() == tile::WIDTH {
                put(tile::pack_path(n), self.pack_of(entries));
                continue;
            }
            let bodies = entries.iter().filter_map(|leaf| self.body_of(leaf));
            for (name, (salt, body)) in bodies {
                put(format!("body/{name}"), [&salt.raw()[..], &body].concat());
            }
        }
        put(tile::CHECKPOINT.to_owned(), self.checkpoint(self.leaves.len()).note().as_bytes().to_vec());
    }
}

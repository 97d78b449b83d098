//! Reading a whole log: what a verifier does, and what the house does when it starts. The log is made here, without a single
//! fsync: nobody relies on it.

use std::fs;
use std::path::Path;
use std::time::Instant;

use artifact::digest::hex;
use artifact::failure::Failure;
use artifact::key::{Ed25519Key, P256Key};
use artifact::{Digest, Moment};
use audit::checkpoint::{Checkpoint, SignedCheckpoint};
use audit::edge::Edge;
use audit::entry::{Body, Halted};
use audit::keeper::Keeper;
use audit::keys::HouseKeys;
use audit::leaf::{Commitment, Salt};
use audit::merkle::TreeHash;
use audit::note::Vkey;
use audit::pack::Salted;
use audit::{pack, tile};
use demo::trouble::{During as _, Trouble};

use crate::measure::{Cost, seconds, table, time};

const ORIGIN: &str = "log.bench.example";

/// How many entries the logs have. Whoever reads them in turn uses no more memory for the second.
const SIZES: [u64; 2] = [100_000, 1_000_000];

/// Of so many entries one is shaped as Rekor's; the others have bodies.
const REKOR: u64 = 4;

/// Makes the logs, and reads each by every program.
///
/// # Errors
/// When a log can't be written, or a program does not take it.
pub fn measure(rounds: usize) -> Result<(), Trouble> {
    for size in SIZES {
        let folder = tempfile::tempdir().during("a folder for a log")?;
        let (config, state) = (folder.path().join("config"), folder.path().join("state"));
        let (tiles, own) = (state.join("public/log/tiles"), state.join("public/log/own"));
        for folder in [&config, &tiles, &own] {
            fs::create_dir_all(folder).during(folder.display())?;
        }
        let start = Instant::now();
        let keys = grow(size, &tiles, &own)?;
        let made = seconds(start.elapsed());
        let put = |path: &Path, text: String| fs::write(path, text).during(path.display());
        put(&config.join("keys.toml"), keys.to_string())?;
        let trust = folder.path().join("trust.toml");
        put(&trust, format!("{keys}verifier_id = \"bench\"\nbuilder_id = \"bench\"\n"))?;

        let binaries = std::env::current_exe().during("finding this program")?;
        let program = |name: &str| std::process::Command::new(binaries.with_file_name(name));
        let mut verify = program("countersign-verify");
        verify.arg("log").arg(&tiles).arg("--trust").arg(&trust);
        let mut status = program("countersign");
        status.arg("--config").arg(&config).arg("--state").arg(&state).arg("status");
        let mut costs: [Vec<Cost>; 3] = Default::default();
        for _ in 0..rounds {
            costs[0].push(time(&verify)?.0);
            costs[1].push(time(&status)?.0);
            let start = Instant::now();
            let keeper = Keeper::open(&tiles, &own, ORIGIN).map_err(Trouble::wrong)?;
            costs[2].push(Cost { wall: seconds(start.elapsed()), ..Cost::default() });
            if keeper.checkpoint().size() != size {
                return Err(Trouble::wrong("the keeper found a log of another size"));
            }
        }
        let names = ["countersign-verify log", "countersign status: read and fold", "keeper, until it is ready"];
        let title = format!("a log of {size} entries (made in {made:.0} s), median of {rounds}");
        table(&title, &Vec::from_iter(names.into_iter().zip(costs)));
    }
    Ok(())
}

/// Writes a log of this size as a keeper would have, and says what it and the house's other keys are.
fn grow(size: u64, tiles: &Path, own: &Path) -> Result<HouseKeys, Trouble> {
    let key = Ed25519Key::generate().map_err(Trouble::wrong)?;
    let (mut edge, mut leaves, mut slots) = (Edge::default(), Vec::new(), Vec::new());
    for index in 0..size {
        let (leaf, slot) = entry(index)?;
        for (level, n, hashes) in edge.push(TreeHash::leaf(&leaf)) {
            put(tiles, &tile::path(level, n, tile::WIDTH), &tile::hashes_to_bytes(&hashes))?;
        }
        leaves.push(leaf);
        slots.push(slot);
        if leaves.len() == tile::WIDTH {
            let n = index / tile::WIDTH as u64;
            put(tiles, &tile::bundle_path(n, tile::WIDTH), &tile::bundle_to_bytes(&leaves))?;
            put(tiles, &tile::pack_path(n), &pack::to_bytes(&slots))?;
            (leaves, slots) = (Vec::new(), Vec::new());
        }
    }
    for (level, n, hashes) in edge.partials() {
        put(tiles, &tile::path(level, n, hashes.len()), &tile::hashes_to_bytes(&hashes))?;
    }
    if !leaves.is_empty() {
        let n = size / tile::WIDTH as u64;
        put(tiles, &tile::bundle_path(n, leaves.len()), &tile::bundle_to_bytes(&leaves))?;
    }
    for (salt, body) in slots.iter().flatten() {
        let name = Commitment::to(12, salt, body).digest().hex();
        put(tiles, &format!("body/{name}"), &[&salt.raw()[..], body].concat())?;
    }
    let checkpoint = Checkpoint { origin: ORIGIN.to_owned(), size, root: edge.root() };
    let checkpoint = SignedCheckpoint::sign(checkpoint, &key).map_err(Trouble::wrong)?;
    for folder in [tiles, own] {
        put(folder, tile::CHECKPOINT, checkpoint.note().as_bytes())?;
    }
    put(own, "key", &key.seed()[..])?;
    let ed25519 = || Ed25519Key::generate().map(|key| key.public()).map_err(Trouble::wrong);
    Ok(HouseKeys {
        intake: ed25519()?,
        comparers: vec![ed25519()?],
        log: Vkey::new(ORIGIN, &key).map_err(Trouble::wrong)?,
        image: P256Key::generate().map_err(Trouble::wrong)?.public().into(),
    })
}

/// One entry: its leaf, and its body if it has one.
fn entry(index: u64) -> Result<(Vec<u8>, Option<Salted>), Trouble> {
    // As long as a signature's entry, and as a short body.
    let text = hex(Digest::of(&index.to_be_bytes()).raw()).repeat(10);
    if index.is_multiple_of(REKOR) {
        let leaf = format!(r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"text":"{text}"}}}}"#);
        return Ok((leaf.into_bytes(), None));
    }
    let at = Moment::from_unix(1).ok_or_else(|| Trouble::wrong("no such moment"))?;
    let body = Body::from(Halted { failure: Failure::halt("bench", text), at });
    let (bytes, salt) = (body.to_bytes().map_err(Trouble::wrong)?, Salt::from_raw(*Digest::of(b"salt").raw()));
    Ok((Commitment::to(body.kind(), &salt, &bytes).to_bytes(), Some((salt, bytes))))
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), Trouble> {
    let path = folder.join(name);
    let parent = path.parent().unwrap_or(folder);
    fs::create_dir_all(parent).during(parent.display())?;
    fs::write(&path, bytes).during(path.display())
}

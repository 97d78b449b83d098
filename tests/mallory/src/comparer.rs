//! A broken comparer: it holds its attestation key, and writes the store that the signer publishes from.

use std::fs;

use artifact::digest::{Base64, Digest};
use artifact::dsse::Envelope;
use artifact::frame;
use artifact::key::Ed25519Key;
use artifact::layout::Layout;
use artifact::oci::{self, Manifest};
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::provenance::Provenance;
use artifact::statement::{Predicate, Statement, Subject};
use builder::comparer::Comparer;
use builder::door::{Answer, CompareAsk, Compared, ComparerAsk};
use hardening::menu::Room;
use hardening::room::{Entered, Hello};
use serde_json::Value;

use crate::{Done, noise};

type Wrong = Box<dyn std::error::Error>;

pub fn serve(entered: &Entered, attack: &str) -> Done {
    let comparer = Comparer::open(&entered.config, &entered.state, entered.trial)?;
    frame::send(&entered.channel, &Hello::new(Room::Comparer, entered, Some(comparer.public_key())))?;
    let ask: CompareAsk = match frame::receive(&entered.channel)? {
        ComparerAsk::Compare(ask) => *ask,
        ComparerAsk::Collect { .. } => return Err("it was asked to collect".into()),
    };
    if noise::make(&entered.channel, attack)? {
        return Ok(());
    }
    let lane = entered.state.join("public");
    let honest = comparer.compare(&ask, &mut |_| ())?;
    let own = lane.join("compare/own");
    let first = replayed(&own, honest.clone())?;
    let mut done = honest;
    let key = match attack {
        "stranger" => Ed25519Key::generate()?,
        _ => Ed25519Key::from_seed(&fs::read(own.join("key"))?)?,
    };
    let store = Layout::open(lane.join("compare/out"));
    match attack {
        "vouch" => vouch(&mut done, &key, None, Level::BitForBit)?,
        "vouch-layers" => vouch(&mut done, &key, None, Level::SameLayers)?,
        "vouch-tree" => vouch(&mut done, &key, None, Level::SameFilesystem)?,
        "echo" => {
            let candidate = ask.candidate.ok_or("no candidate")?;
            echo(&Layout::open(lane.join("intake/candidates")), &store, &candidate)?;
            vouch(&mut done, &key, Some(candidate), Level::BitForBit)?;
        }
        "foreign" => {
            let rebuild = foreign(&store, &done.rebuild)?;
            vouch(&mut done, &key, Some(rebuild), Level::SameFilesystem)?;
        }
        "stranger" => vouch(&mut done, &key, None, Level::BitForBit)?,
        "level" => done.level = Some(Level::SameLayers),
        "other-digest" => done.rebuild = Digest::of(b"another image"),
        "replay" => done = first,
        "spoil" => {
            let manifest = Manifest::parse(&store.read_digest(&done.rebuild, oci::MANIFEST_LIMIT)?)?;
            let layer = manifest.layers.last().ok_or("no layer")?;
            fs::write(store.path(&layer.digest), b"evil")?;
        }
        _ => {}
    }
    Ok(frame::send(&entered.channel, &Answer::Done(done))?)
}

/// Signs that all is well, of this image or of another.
fn vouch(done: &mut Compared, key: &Ed25519Key, rebuild: Option<Digest>, level: Level) -> Done {
    let rebuild = rebuild.unwrap_or(done.rebuild);
    let comparison = done.comparison.as_ref().ok_or("nothing was compared")?;
    done.comparison = Some(again::<Comparison>(comparison, key, &rebuild, |says| {
        (says.rebuild, says.level) = (rebuild, level);
        (says.differences, says.differences_total) = (vec![], 0);
        says.runs.equal = true;
    })?);
    done.provenance = again::<Provenance>(&done.provenance, key, &rebuild, |_| ())?;
    (done.rebuild, done.level) = (rebuild, Some(level));
    Ok(())
}

fn again<P: Predicate>(
    envelope: &Base64,
    key: &Ed25519Key,
    rebuild: &Digest,
    change: impl FnOnce(&mut P),
) -> Result<Base64, Wrong> {
    let mut statement = Statement::<P>::parse(&Envelope::parse(&envelope.0)?.payload.0)?;
    change(&mut statement.predicate);
    statement.subject = vec![Subject::sha256(&statement.subject[0].name, rebuild)];
    Ok(Base64(statement.sign(key)?.to_bytes()))
}

/// Puts CI's own image in the place of the rebuild.
fn echo(from: &Layout, to: &Layout, image: &Digest) -> Done {
    let bytes = from.read_digest(image, oci::MANIFEST_LIMIT)?;
    let manifest = Manifest::parse(&bytes)?;
    for blob in manifest.layers.iter().chain([&manifest.config]) {
        to.put(&blob.media_type, &from.read(blob, 1 << 30)?)?;
    }
    to.put(oci::MANIFEST, &bytes)?;
    Ok(())
}

/// The rebuild's manifest, with a layer that clients are to fetch elsewhere.
fn foreign(store: &Layout, rebuild: &Digest) -> Result<Digest, Wrong> {
    let mut manifest: Value = serde_json::from_slice(&store.read_digest(rebuild, oci::MANIFEST_LIMIT)?)?;
    manifest["layers"][0]["urls"] = serde_json::json!(["https://evil.example/layer"]);
    manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip".into();
    Ok(store.put(oci::MANIFEST, &serde_json::to_vec(&manifest)?)?.digest)
}

/// What this room answered in the first job it ever had.
fn replayed(own: &std::path::Path, fresh: Compared) -> Result<Compared, Wrong> {
    let kept = own.join("kept-answer");
    if kept.exists() {
        return Ok(serde_json::from_slice(&fs::read(kept)?)?);
    }
    fs::write(kept, serde_json::to_vec(&fresh)?)?;
    Ok(fresh)
}

//! A broken intake: it holds its key, its stores and the network.

use std::fs;
use std::path::Path;
use std::time::Duration;

use artifact::Moment;
use artifact::digest::{Base64, Digest};
use artifact::dossier::Dossier;
use artifact::dsse::Envelope;
use artifact::failure::Failure;
use artifact::frame;
use artifact::key::Ed25519Key;
use artifact::lane::LaneName;
use artifact::layout::Layout;
use artifact::statement::Statement;
use artifact::statement::facts::{CommitSignature, Facts, Position};
use hardening::menu::Room;
use hardening::room::{Entered, Hello};
use intake::door::{Answer, Ask, Witnessed};
use intake::room::IntakeRoom;

use crate::{Done, noise};

pub fn serve(entered: &Entered, attack: &str) -> Done {
    let lane = entered.state.join("public");
    let room = IntakeRoom::open(&entered.config, &lane, entered.trial)?;
    let hello = Hello::new(Room::Intake, entered, Some(room.public_key().to_string()));
    if attack == "no-hello" {
        noise::make(&entered.channel, "silence")?;
    }
    frame::send(&entered.channel, &hello)?;
    let ask: Ask = frame::receive(&entered.channel)?;
    let preparing = !matches!(ask, Ask::Look { .. });
    if preparing && noise::make(&entered.channel, attack)? {
        return Ok(());
    }
    if preparing && attack == "escapes" {
        noise::escapes(&entered.channel)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (restating, mut ask, mut kept) = (matches!(ask, Ask::Restate { .. }), ask, None);
    if attack == "project-dossier"
        && let Ask::Restate { project, commit, nonce, dossier } = ask
    {
        // An honest intake would not state facts over this dossier again.
        kept = Some(dossier);
        ask = Ask::Prepare { project, commit, nonce };
    }
    let mut answer = runtime.block_on(room.answer(ask, &entered.config, &mut |_| ()));
    if attack == "babble" && preparing {
        answer = Answer::Failed(Failure::never("X y\n\x1b[2J", "z".repeat(3 << 20)));
    }
    if let Answer::Witnessed { answers } = &mut answer {
        witness(attack, answers);
    }
    if let Answer::Prepared { facts, commit_object: _, results: _, dossier, candidate: _ } = &mut answer {
        let own = lane.join("intake/own");
        let mut envelope = Envelope::parse(&facts.0)?;
        let mut says = Statement::<Facts>::parse(&envelope.payload.0)?;
        let key = Ed25519Key::from_seed(&fs::read(own.join("key"))?)?;
        let stores = (Layout::open(lane.join("intake/dossiers")), Layout::open(lane.join("intake/candidates")));
        lie(attack, &mut says.predicate, restating, &stores)?;
        if let Some(kept) = kept {
            says.predicate.dossier = kept;
        }
        if !matches!(attack, "dossier") {
            *dossier = says.predicate.dossier;
        }
        envelope = says.sign(&key)?;
        *facts = Base64(replayed(attack, &own, envelope.to_bytes())?);
    }
    frame::send(&entered.channel, &answer)?;
    if attack == "late"
        && !restating
        && let Answer::Prepared { dossier, .. } = &answer
    {
        // The next intake waits for this one's lock.
        drop(room);
        std::thread::sleep(Duration::from_millis(1500));
        let store = Layout::open(lane.join("intake/dossiers"));
        let objects = Dossier::open(&store, dossier)?.objects;
        fs::write(store.path(&objects.digest), b"spoilt")?;
    }
    Ok(())
}

/// Says what no witness said.
fn witness(attack: &str, answers: &mut Vec<Witnessed>) {
    let size = 1 << 50;
    for answer in answers.iter_mut() {
        match attack {
            "witness-rubbish" => *answer = Witnessed::Signed { lines: "\n\n— x\x1b[2J y\n".to_owned() },
            "witness-much" => *answer = Witnessed::Signed { lines: "— x AAAAAAA=\n".repeat(100_000) },
            "witness-ahead" => *answer = Witnessed::Has { size },
            "witness-turns" => *answer = Witnessed::Has { size: 1 + u64::from(std::process::id() % 2) },
            _ => {}
        }
    }
    if attack == "witness-fewer" {
        answers.pop();
    }
}

/// The facts of the first job that this room ever stated, when the attack is to say them again.
fn replayed(attack: &str, own: &Path, fresh: Vec<u8>) -> Result<Vec<u8>, std::io::Error> {
    let kept = own.join("kept-facts");
    match (attack, kept.exists()) {
        ("replay", true) => fs::read(kept),
        _ => {
            fs::write(kept, &fresh)?;
            Ok(fresh)
        }
    }
}

fn lie(attack: &str, says: &mut Facts, restating: bool, stores: &(Layout, Layout)) -> Done {
    let elsewhere = Digest::of(b"nothing that is anywhere");
    let hours = |n: i64| Moment::from_unix(says.stated.unix() + n * 3600).unwrap_or(says.stated);
    match attack {
        "green" => {
            for result in &mut says.results {
                result.result = "PASSED".to_owned();
                let failed = std::mem::take(&mut result.failed);
                result.passed.extend(failed);
            }
        }
        "untested" => says.results.clear(),
        "signed" => {
            says.commit_signature =
                Some(CommitSignature { scheme: "ssh".to_owned(), principal: "ann@example.org".to_owned() });
        }
        "head" => (says.position, says.rewritten, says.head) = (Position::Head, false, says.commit.clone()),
        "project" => says.project = "other".parse()?,
        "lane" => says.lane = "embargo/case-1".parse::<LaneName>()?,
        "commit" => says.commit = "2".repeat(40).parse()?,
        "nonce" => says.nonce = "0".repeat(32),
        "dossier" | "dossier-nowhere" => says.dossier = elsewhere,
        "past" => says.branch_checked = hours(-2),
        "future" => (says.branch_checked, says.stated) = (hours(2), hours(2)),
        "candidate" => {
            if let Some(candidate) = &mut says.candidate {
                candidate.digest = elsewhere;
            }
        }
        "candidate-after" if restating => {
            if let Some(candidate) = &says.candidate {
                fs::write(stores.1.path(&candidate.digest), b"another image")?;
            }
        }
        "tree" | "recipe" | "date" | "base" | "project-dossier" if !restating => reseal(attack, says, &stores.0)?,
        "spoilt" if !restating => {
            let objects = Dossier::open(&stores.0, &says.dossier)?.objects;
            fs::write(stores.0.path(&objects.digest), b"spoilt")?;
        }
        _ => {}
    }
    Ok(())
}

/// Seals another dossier in the place of the honest one.
fn reseal(attack: &str, says: &mut Facts, store: &Layout) -> Done {
    let mut dossier = Dossier::open(store, &says.dossier)?;
    match attack {
        "tree" => {
            let mut objects = store.read(&dossier.objects, 1 << 30)?;
            // The word that stands in a file of the source.
            let at = objects.windows(7).position(|w| w == b"honest ").ok_or("the source has another word")?;
            objects[at..at + 6].copy_from_slice(b"hostil");
            dossier.objects = store.put(&dossier.objects.media_type, &objects)?;
        }
        "recipe" => dossier.recipe = Digest::of(b"another recipe"),
        "date" => dossier.source_date += 1,
        "project-dossier" => dossier.project = "other".parse()?,
        _ => {
            // A base of its own making: another configuration over the same layers.
            let base = &mut dossier.bases[0];
            let config = store.read(&base.config, 1 << 20)?;
            let config = String::from_utf8(config)?.replacen("linux", "linuz", 1);
            let config = store.put(&base.config.media_type, config.as_bytes())?;
            let manifest = store.read(&base.manifest, 1 << 20)?;
            let manifest = String::from_utf8(manifest)?.replacen(&base.config.digest.hex(), &config.digest.hex(), 1);
            base.config = config;
            base.manifest = store.put(&base.manifest.media_type, manifest.as_bytes())?;
        }
    }
    says.dossier = dossier.seal(store)?;
    Ok(())
}

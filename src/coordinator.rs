//! The coordinator's process: locked down by the launcher and itself, it leads a pass, or asks the rooms for their keys.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use artifact::failure::{Failure, Retry};
use artifact::json;
use artifact::key::PublicKey;
use artifact::name::ProjectName;
use artifact::{CommitId, Moment};
use audit::keys::HouseKeys;
use hardening::menu::Room;
use hardening::room::{self, EnteredCoordinator};
use policy::Rules;
use serde::Serialize;
use signer::door::{Answer, Ask};

use crate::build::{PROJECT, Product};
use crate::config::{self, Config, Witnesses};
use crate::house::{Door, House, Pass};
use crate::keys;
use crate::ledger::Ledger;
use crate::orders;
use crate::pass::{self, Ended};
use crate::pipeline::{self, Outcome};
use crate::retention::{self, Limits};
use crate::stage::{self, prepare, rebuild, witness};
use crate::status::Status;
use crate::surroundings;
use crate::timeline::Timeline;

/// Runs what stood after `--` on the launcher's command line.
pub fn coordinate() -> Status {
    let entered = match room::enter_coordinator() {
        Ok(entered) => entered,
        Err(e) => return Status::say(Status::Unavailable, &format!("coordinator: {e}")),
    };
    let EnteredCoordinator { control, config, state, trial, args, .. } = entered;
    let (patience, witnesses, resign_per_pass) = match settings(&config) {
        Ok(settings) => settings,
        Err(failure) => return Status::of(&failure),
    };
    let (hellos, timeline) = (RefCell::default(), Timeline::start());
    let witnesses_required = witnesses == Witnesses::Required;
    let house =
        House { control, config, state, trial, patience, witnesses_required, resign_per_pass, hellos, timeline };
    if trial {
        house.timeline.line("launcher", "started by an ordinary user: everything that is signed says trial");
    }
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["once", json, project, commit] => once(&house, *json == "json", project, commit),
        ["gc", json, days, mib, how] => {
            gc(&house, *json == "json", days, mib, *how == "dry-run").map(|()| Status::Done)
        }
        ["keys"] => tell_keys(&house).map(|()| Status::Done),
        ["keys", version] => tell_key(&house, version).map(|()| Status::Done),
        ["build", source] => build(&house, source, None).map(|()| Status::Done),
        ["build", source, commit] => build(&house, source, Some(commit)).map(|()| Status::Done),
        _ => return Status::say(Status::Usage, "coordinator: started by hand; use the commands of `countersign`"),
    };
    done.unwrap_or_else(|failure| Status::of(&failure))
}

/// How long a room may take, and what waits for witnesses. `countersign build` works without a configuration.
fn settings(config: &Path) -> Result<(Duration, Witnesses, usize), Failure> {
    if !config.join("countersign.toml").exists() {
        return Ok((Duration::from_secs(config::ANSWER_SECONDS), Witnesses::Asked, config::RESIGN_PER_PASS));
    }
    let config = Config::load(config).map_err(|e| usage(e.to_string()))?;
    Ok((Duration::from_secs(config.answer_seconds), config.witnesses, config.resign_per_pass))
}

/// One line of `once --json`.
#[derive(Debug, Serialize)]
struct Line<'a> {
    project: &'a ProjectName,
    commit: &'a CommitId,
    promotion: Option<String>,
    outcome: &'a str,
}

fn once(house: &House, as_json: bool, project: &str, commit: &str) -> Result<Status, Failure> {
    let rules = read_rules(&house.config.join("rules.toml"))?;
    let keys = read_keys(&house.config.join(keys::FILE))?;
    let project: Option<ProjectName> = parse("--project", project)?;
    let commit: Option<CommitId> = parse("--commit", commit)?;
    let projects: Vec<&ProjectName> =
        rules.projects().iter().map(|p| &p.name).filter(|n| project.as_ref().is_none_or(|p| p == *n)).collect();
    if projects.is_empty() {
        return Err(usage("no such project in rules.toml"));
    }
    let mut ledger = Ledger::open(house, keys)?;
    surroundings::configuration(house, &mut ledger)?;
    let with = Pass { house, rules: &rules };
    let mut worst = orders::carry_out(&with, &mut ledger)?;
    let mut lines = Vec::new();
    for name in projects {
        match pass::project(&with, &mut ledger, name, commit.as_ref()) {
            Ok(ended) => {
                worst = worst.max(report(house, &ledger, &ended));
                lines.push(ended);
            }
            // One project that can't go on keeps no other from going on; a broken house does.
            Err(failure) if failure.retry != Retry::Halt => worst = worst.max(Status::of(&failure)),
            Err(failure) => return Err(failure),
        }
    }
    surroundings::posture(house, &mut ledger)?;
    // After the last append: what is published now is what witnesses have seen.
    match witness::witness(house, &mut ledger) {
        Err(failure) if failure.retry == Retry::Halt => return Err(failure),
        witnessed => worst = worst.max(witnessed.map_or_else(|failure| Status::of(&failure), |()| Status::Done)),
    }
    if as_json {
        let lines: Vec<Line<'_>> = lines.iter().map(line).collect();
        print(&lines)?;
    }
    Ok(worst)
}

fn line(ended: &Ended) -> Line<'_> {
    let outcome = ended.outcome.as_ref().map_or("waiting", Outcome::as_str);
    let promotion = ended.promotion.map(|id| id.to_string());
    Line { project: &ended.project, commit: &ended.commit, promotion, outcome }
}

/// Says how a project ended, with every reason when it was refused.
fn report(house: &House, ledger: &Ledger, ended: &Ended) -> Status {
    let (Some(id), Some(outcome)) = (ended.promotion, &ended.outcome) else { return Status::Done };
    pipeline::announce(&house.timeline, outcome);
    if let Some(refusal) = ledger.fold().promotion(&id).and_then(|p| p.refusal.as_ref()) {
        for reason in &refusal.reasons {
            house.timeline.line("refused", &format!("{}: {}", reason.code, reason.message));
        }
        house.timeline.line("refused", &format!("see: countersign explain {}", &id.0.hex()[..12]));
        return Status::Refused;
    }
    Status::Done
}

/// Lets go of what nothing needs.
fn gc(house: &House, as_json: bool, days: &str, mib: &str, dry_run: bool) -> Result<(), Failure> {
    let keys = read_keys(&house.config.join(keys::FILE))?;
    let days: u64 = parse("--older-than", days)?.unwrap_or_default();
    let mib: Option<u64> = parse("--max-mib", mib)?;
    let before = Moment::now().minus_seconds(days.saturating_mul(24 * 3600));
    let limits = Limits { before, bytes: mib.map(|mib| mib.saturating_mul(1 << 20)) };
    let mut ledger = Ledger::open(house, keys)?;
    let mut plan = retention::plan(house, ledger.fold(), &limits)?;
    if !dry_run && !plan.is_empty() {
        plan = retention::collect(house, &mut ledger, &plan)?;
    }
    let say = |text: String| house.timeline.line("coordinator", &text);
    let verb = if dry_run { "would go" } else { "went" };
    say(format!(
        "{} bytes {verb}, {} stay; of promotions that ended before {}",
        plan.bytes(),
        plan.kept(),
        plan.before
    ));
    if let Some(limit) = limits.bytes.filter(|limit| plan.kept() > *limit) {
        say(format!("that is more than {limit} bytes: the rest is needed by releases and by what is not finished"));
    }
    if plan.missing() > 0 {
        say(format!("{} dossiers of releases are not there: what they are for can't be replayed", plan.missing()));
    }
    if as_json { print(&plan) } else { Ok(()) }
}

/// Every room's public key, as `keys.toml` has them.
fn tell_keys(house: &House) -> Result<(), Failure> {
    let key = |room: Room| -> Result<String, Failure> {
        let door = house.room(room)?;
        let missing = || Failure::halt("key-missing", format!("{} told no key", crate::house::name(room)));
        door.hello().public_key.clone().ok_or_else(missing)
    };
    let broken = |what: &str, e: String| Failure::halt("key-broken", format!("{what}: {e}"));
    let keys = HouseKeys {
        log: key(Room::Keeper)?.parse().map_err(|e| broken("keeper", format!("{e}")))?,
        intake: key(Room::Intake)?.parse().map_err(|e| broken("intake", format!("{e}")))?,
        comparers: vec![key(Room::Comparer)?.parse().map_err(|e| broken("comparer", format!("{e}")))?],
        image: image_key(house)?.into(),
    };
    print!("{keys}");
    Ok(())
}

/// The image key: as the signer says first, or, when Vault keeps it, as it says when it has asked there.
fn image_key(house: &House) -> Result<PublicKey, Failure> {
    let mut signer = house.room(Room::Signer)?;
    match &signer.hello().public_key {
        Some(key) => key.parse().map_err(|e| Failure::halt("key-broken", format!("signer: {e}"))),
        None => asked_key(&mut signer, &Ask::Current),
    }
}

/// The public key of a version of the image key, in PEM.
fn tell_key(house: &House, version: &str) -> Result<(), Failure> {
    let version: u64 = parse("--key-version", version)?.unwrap_or_default();
    let key = asked_key(&mut house.room(Room::Signer)?, &Ask::Key { version })?;
    print!("{key}");
    Ok(())
}

fn asked_key(signer: &mut Door, ask: &Ask) -> Result<PublicKey, Failure> {
    signer.send(ask)?;
    match signer.receive()? {
        Answer::Key { key } => Ok(key),
        Answer::Failed(failure) => Err(failure),
        _ => Err(stage::signer::out_of_turn()),
    }
}

/// Builds outside any promotion: no evidence, no rules, no log.
fn build(house: &House, source: &str, commit: Option<&str>) -> Result<(), Failure> {
    let sealed = prepare::seal(house, Path::new(source), commit)?;
    let nonce = "0".repeat(32);
    house.timeline.line("intake", &format!("{PROJECT}: sealed {} of {}", sealed.dossier, sealed.commit));
    let ask = builder::door::BuildAsk { dossier: sealed.dossier, nonce: nonce.clone() };
    let built = rebuild::build(house, ask)?;
    let ask = builder::door::CompareAsk { dossier: sealed.dossier, candidate: None, nonce, built };
    let compared = rebuild::compare(house, ask)?;
    let product = Product { commit: sealed.commit, digest: compared.rebuild, deterministic: compared.runs_equal };
    print(&product)
}

/// Reads the rules.
///
/// # Errors
/// Exit status 2: missing, or not rules.
pub fn read_rules(path: &Path) -> Result<Rules, Failure> {
    let bytes = std::fs::read(path).map_err(|e| usage(format!("{}: {e}", path.display())))?;
    Rules::parse(&bytes).map_err(|e| usage(format!("{}: {e}", path.display())))
}

fn read_keys(path: &Path) -> Result<HouseKeys, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| usage(format!("{}: {e}. `countersign keys` writes it", path.display())))?;
    text.parse().map_err(|e| usage(format!("{}: {e}", path.display())))
}

fn parse<T: std::str::FromStr>(what: &str, text: &str) -> Result<Option<T>, Failure>
where
    T::Err: std::fmt::Display,
{
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|e| usage(format!("{what}: {e}")))
}

fn print<T: Serialize>(value: &T) -> Result<(), Failure> {
    let bytes = json::canonical("answer", value).map_err(|e| Failure::never("answer", e))?;
    println!("{}", String::from_utf8_lossy(&bytes));
    Ok(())
}

/// A failure that is the caller's to mend: exit status 2.
fn usage(message: impl Into<String>) -> Failure {
    Failure::never(Status::USAGE, message.into())
}

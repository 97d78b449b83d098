//! The command line, and the coordinator behind it.

mod build;
mod cli;
mod config;
mod coordinator;
mod fold;
mod house;
mod init;
mod keys;
mod launch;
mod ledger;
mod order;
mod orders;
mod pass;
mod pipeline;
mod reconcile;
mod retention;
mod review;
mod stage;
mod status;
mod surroundings;
mod timeline;
mod trust;
mod vault;

use std::path::Path;

use clap::{CommandFactory as _, Parser as _};

use crate::build::BuildError;
use crate::cli::{Cli, Command, Log, Places};
use crate::config::Config;
use crate::keys::{KeysError, Pinned};
use crate::status::Status;

fn main() -> Status {
    // The coordinator's lockdown comes before anything else reads the command line.
    if std::env::args_os().nth(1).is_some_and(|word| word == "coordinate") {
        return coordinator::coordinate();
    }
    hardening::end_with_the_pipe();
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => Status::Done,
        Err(status) => status,
    }
}

fn run(cli: &Cli) -> Result<(), Status> {
    let places = &cli.places;
    let of = |failure: artifact::failure::Failure| Status::of(&failure);
    match &cli.command {
        Command::Init { dir } => init(dir),
        Command::Keys { key_version: None } => pin_keys(places),
        Command::Keys { key_version: Some(version) } => tell_key(places, *version),
        Command::Once(once) => Err(pass(places, once)),
        Command::Gc(gc) => Err(lead(places, &gc.words(places.json))),
        Command::Build(args) => build(places, args),
        Command::Status => review::status(places).map_err(of),
        Command::Show { id } => review::show(places, id).map_err(of),
        Command::Explain { id } => review::explain(places, id).map_err(of),
        Command::Order(order) => order::write(places, order).map_err(of),
        Command::Log(Log::List(filter)) => review::list(places, filter).map_err(of),
        Command::Log(Log::Show { index }) => review::show_entry(places, *index).map_err(of),
        Command::Log(Log::Prove { index, out }) => review::prove(places, *index, out).map_err(of),
        Command::Log(Log::Verify { since }) => review::verify(places, since.as_deref()).map_err(of),
        Command::Log(Log::Reconcile(args)) => review::reconcile(places, args).map_err(of),
        Command::Trust(what) => trust::trust(places, what).map_err(of),
        Command::Vault(cli::Vault::Policy) => vault::policy(places).map_err(of),
        Command::Export(what) => review::export(places, what).map_err(of),
        Command::Current(what) => review::current(places, what).map_err(of),
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "countersign", &mut std::io::stdout());
            Ok(())
        }
        Command::Man { dir } => std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .map_err(|e| Status::say(Status::Usage, &format!("{}: {e}", dir.display()))),
        Command::Coordinate => Err(Status::say(Status::Usage, "coordinate is started by the launcher, never by hand")),
    }
}

fn init(dir: &Path) -> Result<(), Status> {
    init::init(dir).map_err(|e| Status::say(Status::Usage, &format!("{}: {e}", dir.display())))?;
    println!(
        "{}: edit rules.toml, signer-rules.toml and intake.toml, then: countersign --config {} keys",
        dir.display(),
        dir.display()
    );
    Ok(())
}

fn load(places: &Places) -> Result<Config, Status> {
    Config::load(&places.config).map_err(|e| Status::say(Status::Usage, &e.to_string()))
}

fn pin_keys(places: &Places) -> Result<(), Status> {
    let config = load(places)?;
    let path = places.config.join(keys::FILE);
    match keys::pin(&config, &places.config, &places.state) {
        Ok(Pinned::Written) => {
            println!("{}: written", path.display());
            trust::warn_of_origin(places).map_err(|failure| Status::of(&failure))?;
        }
        Ok(Pinned::Same) => println!("{}: the rooms have these keys", path.display()),
        Ok(Pinned::Rotated { index, key }) => println!(
            "{}: images are signed with key {key} from entry {index} on, as people ordered; the key before is among the \
             retired ones. Verifiers need the new file: countersign trust show",
            path.display()
        ),
        Err(KeysError::Log(failure)) => return Err(Status::of(&failure)),
        Err(KeysError::House(number)) => return Err(Status::from_number(number)),
        Err(e @ KeysError::Changed { .. }) => return Err(Status::say(Status::Halted, &e.to_string())),
        Err(e) => return Err(Status::say(Status::Unavailable, &e.to_string())),
    }
    Ok(())
}

/// The public key of a version of the image key.
fn tell_key(places: &Places, version: u64) -> Result<(), Status> {
    let config = load(places)?;
    match keys::tell(&config, &places.config, &places.state, &["keys", &version.to_string()]) {
        Ok(told) => {
            print!("{told}");
            Ok(())
        }
        Err(KeysError::House(number)) => Err(Status::from_number(number)),
        Err(e) => Err(Status::say(Status::Unavailable, &e.to_string())),
    }
}

/// One pass.
fn pass(places: &Places, once: &cli::Once) -> Status {
    let word = |text: Option<String>| text.unwrap_or_default();
    let words = [
        "once".to_owned(),
        if places.json { "json" } else { "text" }.to_owned(),
        word(once.project.as_ref().map(ToString::to_string)),
        word(once.commit.as_ref().map(ToString::to_string)),
    ];
    lead(places, &words)
}

/// Becomes the launcher; the coordinator under it does what the words say.
fn lead(places: &Places, words: &[String]) -> Status {
    let config = match load(places) {
        Ok(config) => config,
        Err(status) => return status,
    };
    let launcher = match launch::launcher(&config, &places.config, &places.state) {
        Ok(launcher) => launcher,
        Err(e) => return Status::say(Status::Usage, &e.to_string()),
    };
    let e = launch::become_launcher(launcher, words);
    Status::say(Status::Unavailable, &format!("countersign-launch: {e}. It must lie beside this program"))
}

fn build(places: &Places, args: &cli::Build) -> Result<(), Status> {
    let product = build::build(args).map_err(|e| match e {
        BuildError::House(number) => Status::from_number(number),
        BuildError::Usage(_) => Status::say(Status::Usage, &e.to_string()),
        _ => Status::say(Status::Unavailable, &e.to_string()),
    })?;
    if places.json {
        let text = serde_json::to_string_pretty(&product);
        println!("{}", text.map_err(|e| Status::say(Status::Unavailable, &e.to_string()))?);
    } else {
        println!("{}  {}", product.digest, args.output.display());
    }
    if !product.deterministic {
        return Err(Status::say(
            Status::Refused,
            "two runs of the recipe differ: the perimeter would refuse this image",
        ));
    }
    Ok(())
}

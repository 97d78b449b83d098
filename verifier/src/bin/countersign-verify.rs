//! Checks images and logs, with a trust file and nothing else of the house.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use artifact::failure::Retry;
use clap::{Parser, Subcommand};
use registry::{Client, Fault, RegistryError};
use verifier::reference::Reference;
use verifier::report::Report;
use verifier::source::Source;
use verifier::trust::Trust;
use verifier::{current, image, log, proof, site};

/// Checks countersigned images, their log, and single entries of it. Fails closed: what is missing is never a pass.
#[derive(Debug, Parser)]
#[command(
    name = "countersign-verify",
    version,
    after_help = "Exit status: 0 verified; 1 something did not verify; 2 usage or the trust file; 3 unavailable.\n\n\
                  trust.toml: image and log (keys, as in the perimeter's keys.toml), verifier_id, builder_id,\n\
                  log_policy = \"FILE\" (C2SP tlog-policy: the witnesses that must have cosigned the log),\n\
                  log_source = \"file:///…\" for the currency of tags, [registry.\"HOST\"] for each registry."
)]
struct Cli {
    /// Print JSON, one document, for programs.
    #[arg(long, global = true)]
    json: bool,
    /// What to check.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check an image: signature, provenance, verdict, each in the log; with a tag, that it is the current one.
    Image {
        /// HOST/REPO:TAG, HOST/REPO@sha256:… or oci:FOLDER@sha256:…
        reference: Reference,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
    },
    /// Check a whole log: every hash, every body; with --since, that it begins with what an older checkpoint says.
    Log {
        /// The folder with `checkpoint` and `tile`.
        folder: PathBuf,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// A checkpoint that was kept.
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
    },
    /// Check one entry by its receipt (C2SP tlog-proof), without the log. `countersign log prove` writes both.
    Proof {
        /// The receipt, as in 17.tlog-proof.
        receipt: PathBuf,
        /// The entry: a leaf, or a salt and its body. Default: the receipt's name with .entry.
        #[arg(long, value_name = "FILE")]
        entry: Option<PathBuf>,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
    },
    /// Check a hand-off (a file of `countersign current`): what is current for a project, offline, without the log.
    Current {
        /// The file.
        file: PathBuf,
        /// HOST/REPO:TAG: it must be about this.
        #[arg(long, value_name = "NAME")]
        name: Option<Reference>,
        /// The file of an earlier poll, that was verified then: this one must not go back behind it.
        #[arg(long, value_name = "FILE")]
        kept: Option<PathBuf>,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
    },
    /// Check a whole log, and make a page to review it in a browser: static, offline, and recomputed there.
    Site {
        /// The folder with `checkpoint` and `tile`.
        folder: PathBuf,
        /// Whom to trust.
        #[arg(long, value_name = "FILE")]
        trust: PathBuf,
        /// A checkpoint that was kept.
        #[arg(long, value_name = "FILE")]
        since: Option<PathBuf>,
        /// Where to: a new or an empty folder, or one that an earlier page was made in.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(report) => {
            print(&report, cli.json);
            ExitCode::from(report.status())
        }
        Err((status, text)) => {
            if cli.json {
                let _ = writeln!(std::io::stdout(), "{}", serde_json::json!({"verified": false, "error": text}));
            }
            eprintln!("countersign-verify: {text}");
            ExitCode::from(status)
        }
    }
}

fn run(cli: &Cli) -> Result<Report, (u8, String)> {
    match &cli.command {
        Command::Image { reference, trust } => {
            let trust = Trust::load(trust).map_err(|e| (2, e))?;
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| (3, e.to_string()))?;
            runtime.block_on(check_image(reference, &trust))
        }
        Command::Log { folder, trust, since } => {
            let trust = Trust::load(trust).map_err(|e| (2, e))?;
            log::verify(folder, &trust, since.as_deref()).map_err(|e| (2, e))
        }
        Command::Proof { receipt, entry, trust } => {
            let trust = Trust::load(trust).map_err(|e| (2, e))?;
            proof::verify(receipt, entry.as_deref(), &trust).map_err(|e| (2, e))
        }
        Command::Current { file, name, kept, trust } => {
            let trust = Trust::load(trust).map_err(|e| (2, e))?;
            let name = match name {
                Some(Reference::Tagged(repository, tag)) => Some((repository, tag)),
                Some(_) => return Err((2, "--name: HOST/REPO:TAG is expected".to_owned())),
                None => None,
            };
            current::verify(file, name, kept.as_deref(), &trust).map_err(|e| (2, e))
        }
        Command::Site { folder, trust, since, out } => {
            let trust = Trust::load(trust).map_err(|e| (2, e))?;
            site::make(folder, &trust, since.as_deref(), out)
        }
    }
}

async fn check_image(reference: &Reference, trust: &Trust) -> Result<Report, (u8, String)> {
    let client = Client::new(&trust.registry).map_err(|e| (2, e.to_string()))?;
    if let (Reference::Tagged(..), None) = (reference, &trust.log_source) {
        let text =
            "the trust file names no log_source, and a tag is current only by the log: add it, or name the digest";
        return Err((2, text.to_owned()));
    }
    Ok(match reference {
        Reference::Layout(folder, digest) => {
            let name = format!("oci:{}@{digest}", folder.display());
            image::verify(&name, &Source::Layout(folder.clone()), digest, None, trust).await
        }
        Reference::Pinned(pinned) => {
            // A registry that does not answer is no verdict.
            client.manifest(&pinned.repository, &pinned.digest.to_string()).await.map_err(unanswered)?;
            let source = Source::Registry(&client, pinned.repository.clone());
            image::verify(&pinned.to_string(), &source, &pinned.digest, None, trust).await
        }
        Reference::Tagged(repository, tag) => {
            let found = client.manifest(repository, tag.as_str()).await.map_err(unanswered)?;
            let name = format!("{repository}:{tag}");
            let Some((_, digest)) = found else {
                let mut report = Report { subject: name, ..Report::default() };
                report.check("tag", Err("the registry has no such tag".to_owned()));
                return Ok(report);
            };
            let source = Source::Registry(&client, repository.clone());
            image::verify(&name, &source, &digest, Some((repository, tag)), trust).await
        }
    })
}

/// Not listed or badly set up: 2. Not there for now: 3. Something else than was asked for: 1.
fn unanswered(error: RegistryError) -> (u8, String) {
    let status = match (error.fault(), error.retry()) {
        (Fault::Unlisted(_) | Fault::Setup(_), _) => 2,
        (_, Retry::Later) => 3,
        _ => 1,
    };
    (status, error.to_string())
}

/// Prints the report. A reader that has gone away reads nothing; the exit status says it all the same.
fn print(report: &Report, json: bool) {
    let text = match json {
        true => match serde_json::to_string_pretty(report) {
            Ok(document) => artifact::words::printable_json(&document),
            Err(e) => format!("{{\"error\": \"{e}\"}}"),
        },
        false => report.lines().join("\n"),
    };
    let _ = writeln!(std::io::stdout(), "{text}");
}

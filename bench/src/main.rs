//! What the house costs. Each figure is a ratio against another tool on the same machine in the same run, because machines
//! differ and drift: `make bench`.

mod append;
mod footprint;
mod measure;
mod packing;
mod promotion;
mod reading;
mod sandbox;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use demo::trouble::Trouble;

/// Measures packing, the log, promotion, the sandbox, and what rooms and binaries weigh. Needs root, Go, and buildah, umoci, pigz, tar and
/// time.
#[derive(Debug, Parser)]
#[command(name = "countersign-bench", version, max_term_width = 110)]
struct Cli {
    /// What to measure; everything when it is not said.
    #[command(subcommand)]
    what: Option<What>,
    /// How often each command runs.
    #[arg(long, global = true, default_value_t = 5, value_name = "N")]
    rounds: usize,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The packer against buildah, umoci and GNU tar with pigz, on a base of 400 MB.
    Packing,
    /// The log: durable appends against Tessera, and reading a log of a million entries.
    Log,
    /// A promotion after its build against a shell of skopeo and cosign, with the same key in Vault.
    Promotion,
    /// One start of the sandbox against the bare runtime.
    Sandbox,
    /// Memory of idle rooms, and sizes of binaries.
    Footprint,
    /// Reads a tar, packs it, and prints what that took: the part of `packing` that is ours.
    #[command(hide = true)]
    Pack {
        /// The tar.
        tar: PathBuf,
        /// A folder for everything.
        work: PathBuf,
        /// How many threads compress.
        threads: usize,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match cli.what {
        None => all(cli.rounds),
        Some(What::Packing) => packing::measure(cli.rounds),
        Some(What::Log) => log(cli.rounds),
        Some(What::Promotion) => promotion::measure(cli.rounds),
        Some(What::Sandbox) => sandbox::measure(cli.rounds),
        Some(What::Footprint) => footprint::measure(),
        Some(What::Pack { tar, work, threads }) => packing::pack(&tar, &work, threads),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("countersign-bench: {trouble}");
            ExitCode::FAILURE
        }
    }
}

fn all(rounds: usize) -> Result<(), Trouble> {
    packing::measure(rounds)?;
    log(rounds)?;
    footprint::measure()?;
    promotion::measure(rounds)?;
    // Last: it leaves this process without a network.
    sandbox::measure(rounds)
}

/// How long writers write in one round.
const WRITING: Duration = Duration::from_secs(3);

fn log(rounds: usize) -> Result<(), Trouble> {
    append::measure(rounds, WRITING)?;
    reading::measure(rounds)
}

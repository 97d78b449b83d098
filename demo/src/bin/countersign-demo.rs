//! The whole line on an embedded perimeter: see `make demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use demo::project::Upstream;
use demo::show::{self, Page, Show};

/// Shows the line on an embedded perimeter on loopback: one promotion, and three refusals with their causes.
///
/// The first time it makes a base image and fetches an upstream program, which takes a minute or two; later, seconds.
#[derive(Debug, Parser)]
#[command(name = "countersign-demo", version, max_term_width = 110)]
struct Cli {
    /// Leave everything in this folder, which must be new or empty, and say what to try with it.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// The upstream program that is built.
    #[arg(long, value_enum, default_value = "figlet")]
    program: Program,
    /// Serve the registries that --keep left in this folder, until Ctrl-C.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["keep", "program"])]
    serve: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Program {
    /// FIGlet: a Makefile and a test suite.
    Figlet,
    /// GNU hello: configure, automake, gnulib.
    Hello,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let page = Page::begin();
    let upstream = match cli.program {
        Program::Figlet => Upstream::Figlet,
        Program::Hello => Upstream::Hello,
    };
    let done = match &cli.serve {
        Some(folder) => show::serve(folder, &page),
        None => Show { upstream, keep: cli.keep }.play(&page),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("\ncountersign-demo: {trouble}");
            ExitCode::FAILURE
        }
    }
}

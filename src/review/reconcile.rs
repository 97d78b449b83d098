//! `countersign log reconcile`: Vault's audit log laid beside ours.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;

use artifact::Moment;
use artifact::failure::Failure;
use audit::vault_audit::{AuditError, AuditLog, Covered, Place, Request};
use clap::Args;
use serde::Serialize;

use super::{Read, print_json, read};
use crate::cli::Places;
use crate::reconcile::recorded::Recorded;
use crate::reconcile::{Compared, Finding, Vaults, compare};
use crate::status::Status;
use crate::timeline::printable;

/// Which audit log, and of which key.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// A file of Vault's or OpenBao's audit log, device `file`, in its own JSON; again for each further file, in any order.
    #[arg(long, value_name = "FILE", required = true)]
    vault_audit: Vec<PathBuf>,
    /// The transit key. Default: what the newest recorded signer.toml names.
    #[arg(long, value_name = "NAME")]
    key: Option<String>,
    /// Where the transit engine is mounted. Default: what the newest recorded signer.toml says, or transit.
    #[arg(long, value_name = "PATH")]
    mount: Option<String>,
    /// Vault's namespace. Default: what the newest recorded signer.toml says, or the root.
    #[arg(long, value_name = "PATH")]
    namespace: Option<String>,
    /// How far Vault's clock and the signer's may differ, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=3600))]
    clocks: u64,
}

/// What stands below the command's help.
pub const HELP: &str = "\
Vault writes down each request that it answers; the signer records each attempt before it asks, and sends its id in the \
header X-Countersign-Attempt, which Vault must keep as it is:\n\n  \
bao write sys/config/auditing/request-headers/x-countersign-attempt hmac=false\n\n\
Every signature in Vault's log must belong to exactly one recorded attempt, and be as many as are recorded for it. An attempt \
without a recorded signature may have at most one request: its answer was lost. Only the time from a file's first line to its \
last is covered; what lies outside is counted, and not checked. A file that still grows ends in the middle of a line sooner or \
later: give those that were rotated, or a copy.\n\n\
Exit status: 0 both say the same; 1 a file is no audit log, is cut short, or covers nothing; 4 they differ, a person must look.\n\
It reads, and records nothing.";

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    key: String,
    covered: Vec<Spoken>,
    entries: u64,
    #[serde(flatten)]
    compared: Compared,
}

/// What one file speaks of.
#[derive(Debug, Serialize)]
struct Spoken {
    file: String,
    lines: u64,
    from: Option<Moment>,
    to: Option<Moment>,
}

/// Compares Vault's audit log with ours, and prints what came of it.
///
/// # Errors
/// A file that is no audit log; files that cover nothing; both logs do not say the same; or ours is not what was recorded.
pub fn reconcile(places: &Places, args: &Reconcile) -> Result<(), Failure> {
    let place = place(places, args)?;
    // Vault's first: what it signs is recorded as an attempt before, so a log that is read after knows it.
    let (covered, requests) = audited(&place, args)?;
    let read = read(places)?;
    let recorded = Recorded::of(&read.entries, read.fold.void());
    let vaults = Vaults { place: &place, covered: &covered, requests: &requests, slack: args.clocks };
    let report = report(&place, &covered, &read, compare(&vaults, &recorded));
    match places.json {
        true => print_json(&report)?,
        false => print(&report),
    }
    match report.compared.findings.len() {
        0 => Ok(()),
        count => {
            let next = "each stands above with its time; ask who has a login for that key";
            Err(Failure::halt(
                "vault-audit-differs",
                format!("Vault's audit log and ours differ in {count} things: {next}"),
            ))
        }
    }
}

/// The key that is meant.
fn place(places: &Places, args: &Reconcile) -> Result<Place, Failure> {
    let (namespace, mount) = (args.namespace.as_deref(), args.mount.as_deref());
    let read = read(places)?;
    let newest = Recorded::of(&read.entries, read.fold.void()).newest;
    let (of_namespace, of_mount, of_key) = match &newest {
        Some(Place { namespace, mount, key }) => (Some(namespace.as_str()), mount.as_str(), Some(key.as_str())),
        None => (None, "transit", None),
    };
    let key = args.key.as_deref().or(of_key).ok_or_else(|| {
        Failure::never(Status::USAGE, "no recorded signer.toml names a key of a transit engine: name one with --key")
    })?;
    let place = Place::new(namespace.or(of_namespace), mount.unwrap_or(of_mount), key);
    match place.mount.is_empty() || place.key.is_empty() || place.key.contains('/') {
        true => Err(Failure::never(Status::USAGE, format!("{place}: no key of a transit engine is called so"))),
        false => Ok(place),
    }
}

fn audited(place: &Place, args: &Reconcile) -> Result<(Vec<Covered>, Vec<Request>), Failure> {
    let mut log = AuditLog::of(place.clone());
    for path in &args.vault_audit {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| Failure::never(Status::USAGE, format!("{name}: {e}")))?;
        log.read(&name, BufReader::with_capacity(1 << 20, file)).map_err(|e| match e {
            AuditError::Io { .. } => Failure::of_input("vault-audit-unread", &e),
            _ => Failure::never("vault-audit-broken", format!("{e}. Nothing was compared")),
        })?;
    }
    let (covered, requests) = log.finish();
    if covered.iter().all(|file| file.lines == 0) {
        let text = "Vault's audit log has no line: it covers no time, and nothing was compared";
        return Err(Failure::never("vault-audit-empty", text));
    }
    Ok((covered, requests))
}

fn report(place: &Place, covered: &[Covered], read: &Read, compared: Compared) -> Report {
    let file = |c: &Covered| {
        let (from, to) = c.period.unzip();
        Spoken { file: c.file.clone(), lines: c.lines, from, to }
    };
    let size = read.log.checkpoint().size();
    Report { key: place.to_string(), covered: covered.iter().map(file).collect(), entries: size, compared }
}

fn print(report: &Report) {
    for Spoken { file, lines, from, to } in &report.covered {
        match (from, to) {
            (Some(from), Some(to)) => println!("covered: {from} to {to}, {lines} lines of {}", printable(file)),
            _ => println!("covered: less than a second, {lines} lines of {}", printable(file)),
        }
    }
    let Compared { signs, refused, attempts, findings, lost, administered, not_checked } = &report.compared;
    println!("{}: {signs} requests signed, {refused} were refused", printable(&report.key));
    println!(
        "attempts in {} entries: {} match; {} were answered and no signature is recorded; {} never came to Vault",
        report.entries, attempts.matched, attempts.lost, attempts.unused
    );
    list("changed", administered);
    list("lost", lost);
    if attempts.elsewhere > 0 {
        println!("not checked: {} attempts with a key that is kept elsewhere", attempts.elsewhere);
    }
    if attempts.outside > 0 {
        println!("not checked: {} attempts outside of the time that is covered", attempts.outside);
    }
    not_checked.iter().for_each(|not| println!("not checked: {}", printable(not)));
    println!("not checked: what was signed, which Vault's log hashes; lines that were taken out of the files");
    list("DIFFERS", findings);
}

fn list(word: &str, findings: &[Finding]) {
    for Finding { code, at, path, by, request, entry, message } in findings {
        let entry = entry.map(|index| format!(" (entry {index})")).unwrap_or_default();
        let path = path.as_deref().map(|path| format!(" {path}")).unwrap_or_default();
        let request = request.as_deref().map(|id| format!(" [request {id}]")).unwrap_or_default();
        let by = by.as_deref().map(|by| format!(", by {by}")).unwrap_or_default();
        println!("{word}: {}", printable(&format!("{at}{path}: {code}: {message}{entry}{by}{request}")));
    }
}

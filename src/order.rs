//! `countersign order`: writes the statement of an order, for people to sign.

use std::path::{Path, PathBuf};

use artifact::digest::hex;
use artifact::failure::Failure;
use artifact::key::PublicKey;
use artifact::lane::LaneName;
use artifact::{Digest, Moment, durable};
use clap::{Args, Subcommand};
use policy::Order;
use policy::order::{Action, NAMESPACE};

use crate::cli::Places;
use crate::coordinator::read_rules;
use crate::keys;
use crate::review;
use crate::status::Status;

/// How a statement becomes an order, as --help says it.
const HOW: &str = "How many people must sign stands in rules.toml, under [orders]; each signs the very same file:\n\n    \
                   ssh-keygen -Y sign -n countersign-order@v1 -f ~/.ssh/id_ed25519 < ORDER.json > ORDER.json.NAME.sig\n\n\
                   Put ORDER.json and the .sig files into the folder that intake.toml names (orders = \"DIR\"). The next pass \
                   takes it up, once, and says so; or says why not, with a code.";

/// What is ordered.
#[derive(Debug, Clone, Subcommand)]
pub enum Ordered {
    /// Delete the bodies of entries of the log, with their salts: for personal data. Every proof still holds.
    ///
    /// Facts, failed, halted and configuration may go. What was decided, signed or released never goes. The keeper asks its
    /// own list of people too: keeper.toml, [orders].
    #[command(after_help = HOW)]
    Forget {
        /// The entries, as `countersign log list` numbers them.
        #[arg(required = true, value_name = "INDEX")]
        indexes: Vec<u64>,
        /// Why, until when, where to.
        #[command(flatten)]
        terms: Terms,
    },
    /// Have an image refused from now on: it is not released again, and verifiers that read the log refuse it.
    #[command(after_help = HOW)]
    Revoke {
        /// Its manifest, sha256:…
        digest: Digest,
        /// Why, until when, where to.
        #[command(flatten)]
        terms: Terms,
    },
    /// Sign every current release again that was signed with an earlier image key: the same statements, with the key of today.
    ///
    /// So many a pass as countersign.toml says (resign_per_pass); what is there stays, and a revoked image is left out.
    #[command(after_help = HOW)]
    Resign {
        /// Why, until when, where to.
        #[command(flatten)]
        terms: Terms,
    },
    /// Sign images with another version of the image key from now on. What the key of today signed stays good.
    ///
    /// The signer asks its own list of people too (signer-rules.toml, [orders]), and looks whether that version is this key.
    /// Then nothing is signed until `countersign keys` has pinned the new key.
    #[command(after_help = HOW)]
    Rotate {
        /// The other public key, PEM: countersign keys --key-version N prints it.
        #[arg(value_name = "KEYFILE")]
        key: PathBuf,
        /// Its version, where it is kept.
        #[arg(long, value_name = "N")]
        key_version: u64,
        /// Why, until when, where to.
        #[command(flatten)]
        terms: Terms,
    },
}

/// What every order says.
#[derive(Debug, Clone, Args)]
pub struct Terms {
    /// Why, for who reads the log later. It stays in the log for good: name no person in it.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Until when it may be taken up: 12h, 7d, or a moment as 2026-12-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Moment,
    /// Write the statement here instead of printing it; the file must not exist yet.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// A moment, or a span from now on.
fn expiry(text: &str) -> Result<Moment, String> {
    let wrong = || "hours, days or a moment are expected, as in 12h, 7d or 2026-12-01T12:00:00Z".to_owned();
    let span = |count: &str, seconds: u64| count.parse::<u32>().map(|n| u64::from(n) * seconds).map_err(|_| wrong());
    let moment = match (text.strip_suffix('h'), text.strip_suffix('d')) {
        (Some(hours), _) => Moment::now().plus_seconds(span(hours, 3600)?),
        (_, Some(days)) => Moment::now().plus_seconds(span(days, 86_400)?),
        _ => text.parse().map_err(|_| wrong())?,
    };
    match moment > Moment::now() {
        true => Ok(moment),
        false => Err("that is over already".to_owned()),
    }
}

/// Writes the statement, and says how it is signed.
///
/// # Errors
/// What can't be ordered, or by nobody; a file that can't be written.
pub fn write(places: &Places, ordered: &Ordered) -> Result<(), Failure> {
    let usage = |text: String| Failure::never(Status::USAGE, text);
    let path = places.config.join("rules.toml");
    let rules = read_rules(&path)?;
    let by = rules.orders().ok_or_else(|| {
        usage(format!(
            "{}: no [orders]: nobody may order anything. `countersign init` shows how it is written",
            path.display()
        ))
    })?;
    let (action, terms) = match ordered {
        Ordered::Forget { indexes, terms } => {
            let mut indexes = indexes.clone();
            indexes.sort_unstable();
            indexes.dedup();
            (Action::Forget { indexes }, terms)
        }
        Ordered::Revoke { digest, terms } => (Action::Revoke { digest: *digest }, terms),
        Ordered::Resign { terms } => {
            (Action::Resign { key: keys::pinned(&places.config)?.image.current().id() }, terms)
        }
        Ordered::Rotate { key, key_version, terms } => {
            let before = keys::pinned(&places.config)?.image.current().id();
            (Action::Rotate { before, key: public_key(key)?, version: *key_version }, terms)
        }
    };
    review::may(places, &action)?;
    let mut nonce = [0; 16];
    getrandom::fill(&mut nonce).map_err(|e| Failure::later("no-random-numbers", e))?;
    let (kind, needed) = (NAMESPACE.to_owned(), by.needed(&action));
    let (rules, reason) = (rules.digest(), terms.reason.clone());
    let order =
        Order { kind, lane: LaneName::Public, action, rules, nonce: hex(&nonce), expires: terms.expires, reason };
    let bytes = order.to_bytes().map_err(|e| usage(e.to_string()))?;
    let name = match &terms.out {
        Some(path) => {
            put(path, &bytes)?;
            path.display().to_string()
        }
        None => {
            // Without a newline: the very bytes are signed.
            print!("{}", String::from_utf8_lossy(&bytes));
            "ORDER.json".to_owned()
        }
    };
    eprintln!(
        "\n{needed} different people must sign it, until {}. Each:\n\n    ssh-keygen -Y sign -n {NAMESPACE} -f ~/.ssh/id_ed25519 < \
         {name} > {name}.NAME.sig\n\nThen put it and the .sig files into the folder that intake.toml names (orders = \
         \"DIR\").",
        terms.expires
    );
    Ok(())
}

/// The most bytes of a file with a public key.
const KEY: u64 = 4 << 10;

fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::never(Status::USAGE, format!("{}: {e}", path.display()));
    let bytes = artifact::regular::read(path, KEY).map_err(|e| wrong(&e))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong(&"not UTF-8"))?;
    text.parse().map_err(|e| wrong(&e))
}

fn put(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let wrong = |e: &dyn std::fmt::Display| Failure::never(Status::USAGE, format!("--out {}: {e}", path.display()));
    if !path.to_str().is_some_and(|name| name.ends_with(".json")) {
        return Err(wrong(&"the name must end with .json: intake looks for that"));
    }
    if path.try_exists().map_err(|e| wrong(&e))? {
        return Err(wrong(&"is there already; nothing was written"));
    }
    durable::replace(path, bytes, 0o644).map_err(|e| wrong(&e))
}

//! `trust.toml`: whom a verifier trusts. Holds no secret.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use artifact::key::PublicKey;
use audit::image_keys::{ImageKeys, Retired};
use audit::log_policy::{self, LogPolicy};
use audit::note::Vkey;
use registry::Hosts;
use serde::Deserialize;

/// The most bytes of the file: a few keys and names.
const LIMIT: u64 = 1 << 20;

/// Whom to trust.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The keys for images, each with the entries that it counts for: ECDSA P-256, PEM.
    pub image: ImageKeys,
    /// The log's key, as a verifier key of C2SP signed notes.
    pub log: Vkey,
    /// The witnesses that must have cosigned the log's checkpoint.
    pub log_policy: Option<LogPolicy>,
    /// Intake's key, as `keys.toml` has it; not needed for images.
    pub intake: Option<PublicKey>,
    /// The comparers' keys, as `keys.toml` has them; not needed for images.
    pub comparers: Vec<PublicKey>,
    /// The name that verdicts must be in.
    pub verifier_id: String,
    /// The name that provenance must be in.
    pub builder_id: String,
    /// Where the log can be read, `file:///…`: for the currency of tags.
    pub log_source: Option<String>,
    /// The registries that may be contacted.
    pub registry: Hosts,
}

/// The file, as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    image: PublicKey,
    /// As in `keys.toml`: the first entry that `image` counts for.
    #[serde(default)]
    image_from: u64,
    /// The image keys of earlier.
    #[serde(default)]
    retired: Vec<Retired>,
    #[serde(default)]
    log: Option<Vkey>,
    /// A file beside this one, in the form of C2SP tlog-policy.
    #[serde(default)]
    log_policy: Option<PathBuf>,
    #[serde(default)]
    intake: Option<PublicKey>,
    #[serde(default)]
    comparers: Vec<PublicKey>,
    verifier_id: String,
    builder_id: String,
    #[serde(default)]
    log_source: Option<String>,
    #[serde(default)]
    registry: Hosts,
}

impl Trust {
    /// Reads the file.
    ///
    /// # Errors
    /// A text for a person: the file, and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&read(path, LIMIT)?, folder).map_err(|e| format!("{}: {e}", path.display()))
    }

    /// Reads the text of the file; what it names lies in this folder.
    ///
    /// # Errors
    /// As [`Trust::load`].
    pub fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let written: Written = artifact::settings::parse(text).map_err(|e| e.to_string())?;
        let policy = written.log_policy.map(|name| policy(&folder.join(name))).transpose()?;
        let log = match (written.log, &policy) {
            (Some(log), Some(policy)) if !policy.lists(&log) => {
                return Err(format!("log_policy lists logs, and {log} is none of them"));
            }
            (Some(log), _) => log,
            (None, Some(policy)) => match policy.logs() {
                [one] => one.clone(),
                logs => return Err(format!("log is missing, and log_policy lists {} logs: name the one", logs.len())),
            },
            (None, None) => return Err("log is missing, and no log_policy names one".to_owned()),
        };
        let trust = Self {
            image: ImageKeys::new(written.image, written.image_from, written.retired).map_err(|e| e.to_string())?,
            log,
            log_policy: policy,
            intake: written.intake,
            comparers: written.comparers,
            verifier_id: written.verifier_id,
            builder_id: written.builder_id,
            log_source: written.log_source,
            registry: written.registry,
        };
        trust.check()?;
        Ok(trust)
    }

    fn check(&self) -> Result<(), String> {
        // As in keys.toml: who holds one key could speak for two.
        let image = self.image.all().map(|one| one.key);
        let all: Vec<_> = image.chain([self.log.key()]).chain(&self.intake).chain(&self.comparers).collect();
        let witnesses = self.log_policy.iter().flat_map(LogPolicy::witnesses);
        let all: Vec<_> = all.into_iter().chain(witnesses.map(|(_, key)| key.key())).collect();
        if all.iter().enumerate().any(|(n, key)| all[..n].contains(key)) {
            return Err("one key stands in two places; each room has its own".to_owned());
        }
        for (field, name) in [("verifier_id", &self.verifier_id), ("builder_id", &self.builder_id)] {
            if name.is_empty() {
                return Err(format!("{field} is empty: it names whom to trust"));
            }
        }
        self.log_folder().map(drop)
    }

    /// The folder of the log.
    ///
    /// # Errors
    /// A text for a person: not a `file://` address with an absolute path.
    pub fn log_folder(&self) -> Result<Option<PathBuf>, String> {
        let Some(source) = &self.log_source else { return Ok(None) };
        let path = source.strip_prefix("file://").filter(|p| p.starts_with('/'));
        path.map(|p| Some(PathBuf::from(p))).ok_or_else(|| format!("log_source {source:?}: file:///… is expected"))
    }
}

fn policy(path: &Path) -> Result<LogPolicy, String> {
    let text = read(path, log_policy::LIMIT as u64)?;
    LogPolicy::parse(&text).map_err(|e| format!("log_policy, {}: {e}", path.display()))
}

fn read(path: &Path, limit: u64) -> Result<String, String> {
    let named = |e: String| format!("{}: {e}", path.display());
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| named(e.to_string()))?;
    file.take(limit + 1).read_to_string(&mut text).map_err(|e| named(e.to_string()))?;
    if text.len() as u64 > limit { Err(named(format!("more than {limit} bytes"))) } else { Ok(text) }
}

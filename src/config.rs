//! `countersign.toml`: what the command line and the launcher need to know. The rooms read files of their own.

use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The configuration of the command line.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// 1.
    version: u32,
    /// The first uid of the rooms, when the launcher is root; the sandbox's ids lie above it.
    #[serde(default)]
    pub uid_base: Option<u32>,
    /// How long a room may take for one answer, in seconds. A builder has two runs of its own limit.
    #[serde(default = "answer_seconds")]
    pub answer_seconds: u64,
    /// Whether anything waits for the log's witnesses.
    #[serde(default)]
    pub witnesses: Witnesses,
    /// How many releases are signed again in one pass, once people ordered it: each takes the registry and the log's time.
    #[serde(default = "resign_per_pass")]
    pub resign_per_pass: usize,
    /// Folders and files outside, that a room may see, read-only.
    #[serde(default)]
    pub expose: Expose,
}

/// Whether anything waits for the log's witnesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Witnesses {
    /// They are asked; one that is down is named, and nothing waits for it.
    #[default]
    Asked,
    /// Without a quorum nothing is signed, and a pass ends with status 3.
    Required,
}

/// Twice the builder's own default limit for a run, and half of that again.
pub const ANSWER_SECONDS: u64 = 90 * 60;

/// Enough for a house that releases now and then, and a pause for everybody else at the registry.
pub const RESIGN_PER_PASS: usize = 50;

fn resign_per_pass() -> usize {
    RESIGN_PER_PASS
}

fn answer_seconds() -> u64 {
    ANSWER_SECONDS
}

/// Folders and files outside, that a room may see, read-only, at their own paths.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expose {
    /// For intake: repositories and evidence on this host, ssh keys, certificates.
    #[serde(default)]
    pub intake: Vec<PathBuf>,
    /// For the signer: certificates, password files.
    #[serde(default)]
    pub signer: Vec<PathBuf>,
}

/// Why the configuration was not accepted. Exit status 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{path}: {cause}. `countersign init DIR` writes a configuration; --config says where it is")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// Not this format. The text names line and column.
    #[error("{path}: {cause}")]
    Toml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        cause: artifact::settings::SettingsError,
    },
    /// A value that can't be meant.
    #[error("{path}: {why}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What, and what to write.
        why: String,
    },
}

/// Reads a file of the configuration.
///
/// # Errors
/// Missing, or unreadable.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|cause| ConfigError::Read { path: path.to_owned(), cause })
}

impl Config {
    /// Reads `countersign.toml` in the folder of the configuration.
    ///
    /// # Errors
    /// Missing, not this format, another version, a path that is not absolute.
    pub fn load(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join("countersign.toml");
        let config: Self = artifact::settings::parse(&read(&path)?)
            .map_err(|cause| ConfigError::Toml { path: path.clone(), cause })?;
        let fault = |why: String| ConfigError::Content { path: path.clone(), why };
        if config.version != 1 {
            return Err(fault(format!("version is {}, and this program reads 1", config.version)));
        }
        if !(1..=7 * 24 * 3600).contains(&config.answer_seconds) {
            return Err(fault("answer_seconds must be 1 to 604800".to_owned()));
        }
        if !(1..=10_000).contains(&config.resign_per_pass) {
            return Err(fault("resign_per_pass must be 1 to 10000".to_owned()));
        }
        if let Some(wrong) = config.expose.intake.iter().chain(&config.expose.signer).find(|p| !p.is_absolute()) {
            return Err(fault(format!("expose: {} is not absolute", wrong.display())));
        }
        Ok(config)
    }
}

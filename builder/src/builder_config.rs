//! `builder.toml`: the sandbox's runtime and limits.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

/// The most of anything in MiB: sixteen TiB.
const MOST: u64 = 16 << 20;

/// The builder's configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuilderConfig {
    /// The OCI runtime: a name, or an absolute path.
    pub runtime: String,
    /// Versions accepted by name, `NAME VERSION`.
    #[serde(default)]
    pub accept: Vec<String>,
    /// The operator's name for this host.
    #[serde(default = "name")]
    pub name: String,
    /// Memory for the processes of one build, in MiB, and again as much for its base. No single process has more; all
    /// together only where the host enforces it.
    #[serde(default = "memory")]
    pub memory_mib: u64,
    /// Processes of one build.
    #[serde(default = "processes")]
    pub processes: u64,
    /// How long one run of the recipe may take, in minutes.
    #[serde(default = "minutes")]
    pub minutes: u64,
    /// So many seconds more.
    #[serde(default)]
    pub seconds: u64,
    /// How large one run's source tree and what it leaves may be together, in MiB.
    #[serde(default = "output")]
    pub output_mib: u64,
}

fn name() -> String {
    "builder-1".to_owned()
}
fn memory() -> u64 {
    2048
}
fn processes() -> u64 {
    512
}
fn minutes() -> u64 {
    30
}
fn output() -> u64 {
    4096
}

impl BuilderConfig {
    /// Reads the file.
    ///
    /// # Errors
    /// A text for a person: the file, and what is wrong with it.
    pub fn load(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let config: Self = artifact::settings::parse(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        const DAY: u64 = 24 * 60 * 60;
        let positive = [config.memory_mib, config.processes, config.output_mib, config.limit().as_secs()];
        if positive.contains(&0) || config.limit().as_secs() > DAY || config.memory_mib.max(config.output_mib) > MOST {
            let path = path.display();
            return Err(format!("{path}: limits are positive, time is a day at most, and MiB are at most {MOST}"));
        }
        Ok(config)
    }

    /// How long one run of the recipe may take.
    pub fn limit(&self) -> Duration {
        Duration::from_secs(self.minutes.saturating_mul(60).saturating_add(self.seconds))
    }

    /// What the whole room may use, in bytes: processes, base and the files of a run are all memory.
    pub fn room_memory(&self) -> u64 {
        (2 * self.memory_mib + self.output_mib) << 20
    }
}

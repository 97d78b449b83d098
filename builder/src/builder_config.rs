//! `builder.toml`: the sandbox's runtime and limits.

use std::path::Path;

use serde::Deserialize;

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
    /// Memory for one build, in MiB, its files included.
    #[serde(default = "memory")]
    pub memory_mib: u64,
    /// Processes of one build.
    #[serde(default = "processes")]
    pub processes: u64,
    /// How long one run of the recipe may take.
    #[serde(default = "minutes")]
    pub minutes: u64,
    /// How much one run may leave, in MiB.
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
        let positive = [config.memory_mib, config.processes, config.minutes, config.output_mib];
        if positive.contains(&0) || config.minutes > 24 * 60 {
            return Err(format!("{}: limits are positive, and minutes at most 1440", path.display()));
        }
        Ok(config)
    }
}

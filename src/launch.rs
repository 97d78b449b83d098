//! Starting the house: the launcher's command line, made from the configuration.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use builder::builder_config::BuilderConfig;

use crate::config::Config;

/// The launcher, with everything but the coordinator's own arguments.
///
/// # Errors
/// When a folder's full path can't be found.
pub fn launcher(config: &Config, folder: &Path, state: &Path) -> std::io::Result<Command> {
    std::fs::create_dir_all(state).map_err(|e| std::io::Error::new(e.kind(), format!("{}: {e}", state.display())))?;
    let mut command = Command::new(beside("countersign-launch")?);
    command.arg("--state").arg(std::fs::canonicalize(state)?).arg("--config").arg(std::fs::canonicalize(folder)?);
    if let Some(base) = config.uid_base {
        command.arg("--uid-base").arg(base.to_string());
    }
    // One that can't be read is the builder's to speak of, when there is something to build.
    if let Ok(builder) = BuilderConfig::load(&folder.join("builder.toml")) {
        let runs = 2 * builder.limit().as_secs();
        if config.answer_seconds < runs {
            let text = format!(
                "countersign.toml: answer_seconds is {}, and the two runs that builder.toml allows take {runs} s: an honest \
                 build would be taken for a dead one. Raise it, or lower minutes and seconds there",
                config.answer_seconds
            );
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
        }
        command.arg("--builder-memory").arg(builder.room_memory().to_string());
    }
    for (room, paths) in [("intake", &config.expose.intake), ("signer", &config.expose.signer)] {
        for path in paths {
            command.arg("--expose").arg(format!("{room}={}", path.display()));
        }
    }
    Ok(command)
}

/// Becomes the launcher. Comes back only when that failed.
pub fn become_launcher(mut command: Command, args: &[String]) -> std::io::Error {
    command.arg("--").args(args).exec()
}

/// A binary of the house: they all lie in one folder.
fn beside(name: &str) -> std::io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().unwrap_or(Path::new("/")).join(name))
}

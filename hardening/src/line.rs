//! A room's command line: written by the launcher, read by the room, and by nobody else.

use std::path::PathBuf;

use crate::error::HardeningError;

/// What the launcher writes on a room's command line.
#[derive(Debug, Default)]
pub(crate) struct Line {
    pub config: PathBuf,
    pub state: PathBuf,
    pub trial: bool,
    pub exposed: Vec<PathBuf>,
    pub enforced: Vec<String>,
    pub words: Vec<String>,
}

impl Line {
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Self, HardeningError> {
        let mut line = Self::default();
        while let Some(name) = args.next() {
            let mut value = || args.next().ok_or_else(|| HardeningError::Usage("an option without its value".into()));
            match name.as_str() {
                "--config" => line.config = value()?.into(),
                "--state" => line.state = value()?.into(),
                "--lane" if value()? == "public" => {}
                "--trial" => line.trial = true,
                "--exposed" => line.exposed.push(value()?.into()),
                "--enforced" => line.enforced.push(value()?),
                "--" => {
                    line.words = args.collect();
                    break;
                }
                _ => return Err(HardeningError::Usage("an argument that the launcher does not write".into())),
            }
        }
        if !line.config.is_absolute() || !line.state.is_absolute() {
            return Err(HardeningError::Usage("--config and --state are missing".into()));
        }
        Ok(line)
    }
}

//! The house's own programs: the real ones, as they were built.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{program, run};
use crate::trouble::Trouble;

/// Where the house's programs lie.
#[derive(Debug, Clone)]
pub struct Binaries {
    folder: PathBuf,
}

impl Binaries {
    /// Finds them beside this program, or, for a test, in the folder above; `COUNTERSIGN_BIN` names another folder.
    ///
    /// # Errors
    /// When they are not there.
    pub fn find() -> Result<Self, Trouble> {
        let named = std::env::var_os("COUNTERSIGN_BIN").map(PathBuf::from);
        let own = std::env::current_exe().ok();
        let beside = own.iter().flat_map(|exe| exe.ancestors().skip(1).take(2)).map(Path::to_owned);
        let mut folders = named.into_iter().chain(beside);
        match folders.find(|folder| folder.join("countersign").is_file()) {
            Some(folder) => Ok(Self { folder }),
            None => Err(Trouble::wrong("the program `countersign` is not beside this one: cargo build --workspace")),
        }
    }

    /// Those in this folder.
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// One of the programs, to be started.
    pub fn command(&self, name: &str) -> Command {
        program(self.folder.join(name))
    }
}

/// The runtimes of this host by name and version, as `accept` in `builder.toml` names them. A demo runs on whatever the
/// distribution has; a real perimeter accepts a version only when somebody has read what is known against it.
///
/// # Errors
/// When there is none.
pub fn runtime() -> Result<String, Trouble> {
    let said = run(program("runc").arg("--version"))?.stdout;
    parse_version(&said).ok_or_else(|| Trouble::wrong(format!("runc --version says no version: {said}")))
}

/// The distribution's revision when it gives one: it stands in the commit line, and begins with the version.
fn parse_version(said: &str) -> Option<String> {
    let version = said.lines().next()?.strip_prefix("runc version ")?.trim();
    let revision = said.lines().find_map(|l| l.strip_prefix("commit: ")).filter(|r| r.starts_with(version));
    Some(format!("runc {}", revision.unwrap_or(version)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_is_named_with_its_revision() {
        let debian = "runc version 1.1.5+ds1\ncommit: 1.1.5+ds1-1+deb12u1\nspec: 1.0.2-dev\n";
        assert_eq!(parse_version(debian).unwrap(), "runc 1.1.5+ds1-1+deb12u1");
        assert_eq!(parse_version("runc version 1.3.4\ncommit: v1.3.4-0-gd6d73eb8\n").unwrap(), "runc 1.3.4");
        assert!(parse_version("crun version 1.8").is_none());
    }
}

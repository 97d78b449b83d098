//! Debian's packages by this host's apt: whatever comes is verified by it against the signed index.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::run;
use crate::trouble::{During as _, Trouble};

/// The archive that this host's apt is configured for.
///
/// # Errors
/// When it has none.
pub fn mirror() -> Result<String, Trouble> {
    let format = "$(TARGET_OF) $(ORIGIN) $(COMPONENT) $(SITE)";
    let list = || run(Command::new("apt-get").args(["indextargets", "--format", format]));
    let mut listed = list()?.stdout;
    if !listed.contains("deb Debian main ") {
        update()?;
        listed = list()?.stdout;
    }
    listed
        .lines()
        .filter_map(|line| line.strip_prefix("deb Debian main "))
        // Updates and security may come from elsewhere; the release's own archive comes first.
        .find(|site| !site.trim_end_matches('/').ends_with("-security"))
        .map(str::to_owned)
        .ok_or_else(|| Trouble::wrong("apt knows no archive of Debian: as root, run apt-get update"))
}

/// A binary package, downloaded into a folder.
///
/// # Errors
/// When apt can't.
pub fn binary(package: &str, folder: &Path) -> Result<PathBuf, Trouble> {
    let download = || {
        let quiet = ["-qq", "-o", "APT::Sandbox::User=", "download", package];
        run(Command::new("apt-get").args(quiet).current_dir(folder))
    };
    if download().is_err() {
        // On a fresh machine apt has no lists yet.
        update()?;
        download()?;
    }
    found(folder, |name| name.starts_with(&format!("{package}_")) && name.ends_with(".deb"))
}

/// Fetches this host's lists, which only root may.
fn update() -> Result<(), Trouble> {
    if crate::command::is_root() {
        run(Command::new("apt-get").args(["-qq", "update"]))?;
    }
    Ok(())
}

/// A source package, downloaded into a folder: its `.dsc`, and upstream's tar. This host's apt may not know of sources, so
/// it gets lists of its own for the time.
///
/// # Errors
/// When apt can't.
pub fn source(package: &str, suite: &str, folder: &Path) -> Result<PathBuf, Trouble> {
    let own = tempfile::tempdir().during("a folder for apt")?;
    let at = |name: &str| own.path().join(name);
    for name in ["lists/partial", "cache/archives/partial"] {
        fs::create_dir_all(at(name)).during(name)?;
    }
    let keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
    let line = format!("deb-src [signed-by={keys}] {} {suite} main\n", mirror()?);
    fs::write(at("sources.list"), line).during("sources.list")?;
    let apt = || {
        let mut command = Command::new("apt-get");
        command.arg("-qq").current_dir(folder);
        for (name, value) in [
            ("Dir::Etc::SourceList", at("sources.list")),
            ("Dir::Etc::SourceParts", "/dev/null".into()),
            ("Dir::State::Lists", at("lists")),
            ("Dir::State::status", "/dev/null".into()),
            ("Dir::Cache", at("cache")),
            ("APT::Sandbox::User", "".into()),
        ] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        command
    };
    run(apt().arg("update"))?;
    run(apt().args(["source", "--download-only", package]))?;
    found(folder, |name| {
        name.starts_with(&format!("{package}_")) && name.contains(".orig.tar.") && !name.ends_with(".asc")
    })
}

fn found(folder: &Path, is: impl Fn(&str) -> bool) -> Result<PathBuf, Trouble> {
    for entry in fs::read_dir(folder).during(folder.display())? {
        let entry = entry.during(folder.display())?;
        if is(&entry.file_name().to_string_lossy()) {
            return Ok(entry.path());
        }
    }
    Err(Trouble::wrong(format!("apt left nothing in {}", folder.display())))
}

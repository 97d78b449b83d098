//! One start of the sandbox, with everything that is asked back from inside it, against the bare runtime on the same bundle.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use artifact::oci::Manifest;
use demo::base::Base;
use demo::command::run;
use demo::trouble::{During as _, Trouble};
use hardening::bundle::Bundle;
use nix::sched::{CloneFlags, unshare};
use serde_json::{Value, json};

use crate::measure::{median, ratio, seconds};

/// Starts for each round: one takes some tens of milliseconds.
const STARTS: usize = 8;

/// How long a start may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Ours and the bare runtime, in turn.
///
/// # Errors
/// When there is no runtime, or no base.
pub fn measure(rounds: usize) -> Result<(), Trouble> {
    let folder = tempfile::tempdir().during("a folder for a sandbox")?;
    let rootfs = folder.path().join("rootfs");
    unpack(&rootfs)?;
    let bundle = Bundle {
        folder: folder.path().join("bundle"),
        rootfs,
        hostname: "bench".to_owned(),
        cwd: "/".to_owned(),
        umask: 0o022,
        env: vec!["PATH=/bin".to_owned()],
        binds: Vec::new(),
        ranges: false,
        processes: 4096,
        memory: 1 << 30,
    };
    // As in the builder room: an empty network. This process has none from here on.
    unshare(CloneFlags::CLONE_NEWNET).map_err(Trouble::wrong)?;
    let runtime = Path::new("/usr/sbin/runc");
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for number in 0..rounds * STARTS {
        let start = Instant::now();
        bundle.run(runtime, &format!("ours-{number}"), "true", LIMIT).map_err(Trouble::wrong)?;
        ours.push(seconds(start.elapsed()));
        let plain = plain(&bundle.folder)?;
        let mut command = Command::new(runtime);
        command.arg("--root").arg(plain.join("state")).args(["run", "--no-new-keyring", "--bundle"]);
        let start = Instant::now();
        run(command.arg(&plain).arg(format!("bare-{number}")))?;
        bare.push(seconds(start.elapsed()));
    }
    println!("\nsandbox, start to end, median of {}", ours.len());
    println!(
        "ours {:.1} ms, bare runtime {:.1} ms, ratio {:.2}",
        median(ours.clone()) * 1e3,
        median(bare.clone()) * 1e3,
        ratio(&ours, &bare)
    );
    Ok(())
}

/// The same bundle, whose first process does nothing else than what is measured.
fn plain(bundle: &Path) -> Result<PathBuf, Trouble> {
    let config = fs::read(bundle.join("config.json")).during("the bundle")?;
    let mut config: Value = serde_json::from_slice(&config).map_err(Trouble::wrong)?;
    config["process"]["args"] = json!(["/bin/sh", "-e", "-c", "true"]);
    let plain = bundle.with_extension("plain");
    fs::create_dir_all(&plain).during("a bundle")?;
    fs::write(plain.join("config.json"), config.to_string()).during("a bundle")?;
    Ok(plain)
}

fn unpack(rootfs: &Path) -> Result<(), Trouble> {
    let (layout, image) = Base::Tiny.get()?;
    let manifest = Manifest::parse(&layout.read(&image, 1 << 20).map_err(Trouble::wrong)?).map_err(Trouble::wrong)?;
    fs::create_dir(rootfs).during(rootfs.display())?;
    for folder in ["proc", "dev", "tmp"] {
        fs::create_dir_all(rootfs.join(folder)).during(folder)?;
    }
    for layer in &manifest.layers {
        run(Command::new("tar").arg("-xf").arg(layout.path(&layer.digest)).arg("-C").arg(rootfs))?;
    }
    Ok(())
}

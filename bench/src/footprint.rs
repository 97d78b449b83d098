//! What rooms and binaries weigh: peak memory of each room in a pass that finds nothing to do and in one that promotes a
//! tiny project, and the size of each binary.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;

use demo::base::Base;
use demo::project::tiny;
use demo::trouble::{During as _, Trouble};
use demo::world::World;

/// Measures both.
///
/// # Errors
/// When the perimeter can't be set up.
pub fn measure() -> Result<(), Trouble> {
    let own = std::env::current_exe().during("finding this program")?;
    let folder = own.parent().ok_or_else(|| Trouble::wrong("this program has no folder"))?;
    let place = tempfile::tempdir().during("a folder for a perimeter")?;
    fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).during("a folder")?;
    let mut world = World::start(place.path())?;
    let base = world.base(Base::Tiny)?;
    let line = world.project("app", &[&base], |_| {})?;
    world.keys()?;
    let commit = line.forge.commit(&tiny(&base, "word"), "word", Some(&world.developer))?;
    world.green(&line, &commit)?;
    let busy = peaks(&world)?;
    let idle = peaks(&world)?;
    println!("\n{:24} {:>12} {:>16} {:>12}", "", "size MiB", "promoting MiB", "idle MiB");
    let mut names: Vec<String> = fs::read_dir(folder)
        .during(folder.display())?
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with("countersign") && !name.contains('.'))
        .collect();
    names.sort();
    for name in names {
        let mib = fs::metadata(folder.join(&name)).during(&name)?.len() as f64 / f64::from(1 << 20);
        let of =
            |peaks: &BTreeMap<String, f64>| peaks.get(&name).map_or_else(|| "-".to_owned(), |mib| format!("{mib:.1}"));
        println!("{name:24} {mib:12.1} {:>16} {:>12}", of(&busy), of(&idle));
    }
    Ok(())
}

/// The most memory that a process of each binary had in one pass, in MiB, as far as it was seen.
fn peaks(world: &World) -> Result<BTreeMap<String, f64>, Trouble> {
    let mut peaks: BTreeMap<String, f64> = BTreeMap::new();
    let mut command = world.perimeter.command(&["once"]);
    let mut pass = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().during("starting a pass")?;
    while pass.try_wait().during("waiting for a pass")?.is_none() {
        for process in fs::read_dir("/proc").during("/proc")?.flatten() {
            let read = |name: &str| fs::read_to_string(process.path().join(name)).unwrap_or_default();
            let line = read("cmdline");
            let Some(name) = line.split('\0').next().and_then(|first| first.rsplit('/').next()) else { continue };
            let kib =
                read("status").lines().find_map(|l| l.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
            if let Some(kib) = kib.filter(|_: &f64| name.starts_with("countersign")) {
                let peak = peaks.entry(name.to_owned()).or_default();
                *peak = peak.max(kib / 1024.0);
            }
        }
    }
    Ok(peaks)
}

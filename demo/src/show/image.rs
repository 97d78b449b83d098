//! Running a verified image's program, with nothing but stock tools.

use std::path::Path;
use std::process::Command;

use artifact::durable;

use crate::command::{self, is_root};
use crate::trouble::{During as _, Trouble};

/// Pulls an image by its digest, unpacks it, and runs its program with its own root.
///
/// # Errors
/// When it can't be pulled, unpacked or run.
pub(super) fn run(pinned: &str, folder: &Path) -> Result<String, Trouble> {
    durable::create_folder(folder).during(folder.display())?;
    let work = tempfile::tempdir_in(folder).during(folder.display())?;
    let layout = work.path().join("layout");
    let named = format!("oci:{}:it", layout.display());
    let quiet = ["copy", "--quiet", "--preserve-digests", "--src-tls-verify=false"];
    command::run(Command::new("skopeo").args(quiet).args([&format!("docker://{pinned}"), &named]))?;
    let config = command::run(Command::new("skopeo").args(["inspect", "--config", &named]))?.json()?;
    let words = |name: &str| -> Vec<String> {
        let list = config.pointer(&format!("/config/{name}")).and_then(|l| l.as_array()).into_iter().flatten();
        list.filter_map(|word| word.as_str()).map(str::to_owned).collect()
    };
    let root = work.path().join("root");
    let unpack = ["raw", "unpack", "--rootless", "--image"];
    command::run(Command::new("umoci").args(unpack).arg(format!("{}:it", layout.display())).arg(&root))?;
    // An ordinary user gets a root of their own by being root in a user namespace.
    let mut program = match is_root() {
        true => command::program("chroot"),
        false => command::program("unshare"),
    };
    if !is_root() {
        program.args(["--map-root-user", "chroot"]);
    }
    Ok(command::run(program.arg(&root).args(words("Entrypoint")).args(words("Cmd")))?.stdout)
}

#[cfg(test)]
mod tests {
    use artifact::layout::Layout;
    use artifact::oci::{ImageConfig, Manifest};

    use super::*;
    use crate::base::{self, Base};
    use crate::registry::Registry;

    #[test]
    fn a_program_runs_with_the_image_for_its_root() {
        let folder = tempfile::tempdir().unwrap();
        let (tiny, image) = Base::Tiny.get().unwrap();
        command::run(Command::new("cp").arg("-r").arg(tiny.root()).arg(folder.path().join("copy"))).unwrap();
        let layout = Layout::open(folder.path().join("copy"));
        let manifest = Manifest::parse(&layout.read(&image, 1 << 20).unwrap()).unwrap();
        let mut config = ImageConfig::parse(&layout.read(&manifest.config, 1 << 20).unwrap()).unwrap();
        config.config.entrypoint = vec!["/bin/ls".to_owned()];
        config.config.cmd = vec!["/".to_owned()];
        let image = base::image(&layout, &config, manifest.layers).unwrap();
        let registry = Registry::start(folder.path().join("registry")).unwrap();
        let pinned = registry.import("a", "latest", &layout, &image).unwrap();
        let said = run(&pinned.to_string(), &folder.path().join("scratch")).unwrap();
        assert_eq!(
            said.split_whitespace().collect::<Vec<_>>(),
            ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr"]
        );
    }
}

//! Base images: one with a C compiler, made by mmdebstrap, and a tiny one of a static busybox for quick tests. Each is
//! made once and kept.

use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;
use std::process::Command;

use artifact::Digest;
use artifact::digest::HashingReader;
use artifact::layout::Layout;
use artifact::oci::{CONFIG, Descriptor, ImageConfig, LAYER_GZIP, MANIFEST, Manifest, RootFs, RuntimeConfig};

use crate::apt;
use crate::cache;
use crate::command::run;
use crate::trouble::{During as _, Trouble};

/// The number of the way in which bases are made. A change of it makes new ones.
const FORMAT: u32 = 1;

/// The release of Debian that bases are made of.
const SUITE: &str = "bookworm";

/// What the base with a compiler holds, with everything that these depend on.
const PACKAGES: &[&str] = &[
    "base-files",
    "bash",
    "coreutils",
    "dash",
    "debianutils",
    "diffutils",
    "findutils",
    "gcc",
    "grep",
    "gzip",
    "hostname",
    "libc-bin",
    "libc6-dev",
    "make",
    "mawk",
    "sed",
    "tar",
];

/// What is left out of it: half of it, and nothing that a C program's build asks for. Device nodes are the sandbox's
/// business, and an ordinary user could not unpack them; the folder stays.
const LEFT_OUT: &[&str] = &[
    "./dev/*",
    "./usr/share/doc/*",
    "./usr/share/man/*",
    "./usr/share/info/*",
    "./usr/share/locale/*",
    "./usr/lib/gcc/*/*/lto1",
    "./usr/bin/*-lto-dump-*",
    "./usr/lib/gcc/*/*/lib*san*",
    "./usr/lib/*/lib*san.so*",
];

/// When a base was made, as far as its files tell: 2025-01-01.
const DATE: u32 = 1_735_689_600;

/// A base image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// `/bin/busybox` and its applets, 2 MB.
    Tiny,
    /// Debian's gcc and make, and what builds ask for beside them, 130 MB.
    Compiler,
}

impl Base {
    /// A repository's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Compiler => "compiler",
        }
    }

    /// Whether it is there already, so that [`Base::get`] takes no time.
    pub fn is_kept(self) -> bool {
        cache::folder().is_ok_and(|folder| folder.join("bases").join(self.key()).is_dir())
    }

    /// The image in its layout, made when it is not there: a quarter of a minute for the one with a compiler.
    ///
    /// # Errors
    /// When its packages can't be had.
    pub fn get(self) -> Result<(Layout, Descriptor), Trouble> {
        let folder = cache::kept("bases", &self.key(), |folder| {
            let scratch = tempfile::tempdir().during("a folder for a base")?;
            let tar = scratch.path().join("base.tar");
            match self {
                Self::Tiny => tiny(scratch.path(), &tar)?,
                Self::Compiler => bootstrap(&tar)?,
            }
            pack(&tar, folder)
        })?;
        let layout = Layout::open(folder);
        let image = layout.find("base").map_err(Trouble::wrong)?;
        Ok((layout, image))
    }

    /// What it is kept as: the same packages in the same way are the same base.
    fn key(self) -> String {
        let made_of = format!("{FORMAT} {SUITE} {PACKAGES:?} {LEFT_OUT:?}");
        format!("{}-{}", self.name(), &Digest::of(made_of.as_bytes()).hex()[..12])
    }
}

/// Debian, as a tar: packages unpacked, and none of their scripts run, so that an ordinary user can do it too.
fn bootstrap(tar: &Path) -> Result<(), Trouble> {
    let mut command = Command::new("mmdebstrap");
    command.env("SOURCE_DATE_EPOCH", DATE.to_string());
    command.args(["--quiet", "--mode=chrootless", "--variant=extract"]);
    command.arg(format!("--include={}", PACKAGES.join(",")));
    command.arg(SUITE).arg(tar).arg(format!("deb {} {SUITE} main", apt::mirror()?));
    run(&mut command)?;
    run(Command::new("tar").args(["--delete", "--wildcards", "-f"]).arg(tar).args(LEFT_OUT)).map(drop)
}

/// A static busybox under all its names, as a tar.
fn tiny(scratch: &Path, tar: &Path) -> Result<(), Trouble> {
    let unpacked = scratch.join("package");
    let package = apt::binary("busybox-static", scratch)?;
    run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&unpacked))?;
    let found = ["bin/busybox", "usr/bin/busybox"].map(|p| unpacked.join(p)).into_iter().find(|p| p.is_file());
    let busybox = found.ok_or_else(|| Trouble::wrong("busybox-static holds no busybox"))?;
    let applets = run(Command::new(&busybox).arg("--list"))?.stdout;
    let root = scratch.join("root");
    for folder in ["bin", "dev", "etc", "proc", "root", "sys", "tmp", "usr"] {
        fs::create_dir_all(root.join(folder)).during(folder)?;
    }
    fs::copy(&busybox, root.join("bin/busybox")).during("bin/busybox")?;
    for applet in applets.lines().filter(|a| !["busybox", ""].contains(a)) {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).during(applet)?;
    }
    std::os::unix::fs::symlink("../bin", root.join("usr/bin")).during("usr/bin")?;
    let fixed = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mode=go=rX,u+rw,a-s", "--format=ustar"];
    let mtime = format!("--mtime=@{DATE}");
    run(Command::new("tar").args(fixed).arg(mtime).arg("-cf").arg(tar).arg("-C").arg(&root).arg(".")).map(drop)
}

/// A tar as an image of one layer.
fn pack(tar: &Path, folder: &Path) -> Result<(), Trouble> {
    let layout = Layout::create(folder).map_err(Trouble::wrong)?;
    let mut plain = HashingReader::new(BufReader::new(File::open(tar).during(tar.display())?));
    let blob = layout.writer().map_err(Trouble::wrong)?;
    let mut gzip = flate2::GzBuilder::new().write(blob, flate2::Compression::fast());
    io::copy(&mut plain, &mut gzip).during(tar.display())?;
    let (digest, size) = gzip.finish().during(folder.display())?.finish().map_err(Trouble::wrong)?;
    let layer = Descriptor::new(LAYER_GZIP, digest, size);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned();
    let config = ImageConfig {
        created: artifact::Moment::from_unix(DATE.into()).map(|m| m.to_string()),
        architecture: architecture().to_owned(),
        os: "linux".to_owned(),
        variant: None,
        config: RuntimeConfig { env: vec![path], ..RuntimeConfig::default() },
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![plain.finish().0] },
        history: Vec::new(),
    };
    let image = image(&layout, &config, vec![layer])?;
    layout.tag(&image, "base").map_err(Trouble::wrong)
}

/// Writes configuration and manifest of an image whose layers are there.
pub(crate) fn image(layout: &Layout, config: &ImageConfig, layers: Vec<Descriptor>) -> Result<Descriptor, Trouble> {
    let config = layout.put(CONFIG, &serde_json::to_vec(config).map_err(Trouble::wrong)?).map_err(Trouble::wrong)?;
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST.to_owned(),
        artifact_type: None,
        config,
        layers,
        subject: None,
        annotations: Default::default(),
    };
    layout.put(MANIFEST, &serde_json::to_vec(&manifest).map_err(Trouble::wrong)?).map_err(Trouble::wrong)
}

/// This host's architecture, as GOARCH has it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_base_says_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let tar = folder.path().join("a.tar");
        File::create(&tar).unwrap().write_all(&vec![7; 100_000]).unwrap();
        let out = folder.path().join("out");
        pack(&tar, &out).unwrap();
        let layout = Layout::open(&out);
        let bytes = layout.read(&layout.find("base").unwrap(), 4096).unwrap();
        let manifest = Manifest::parse(&bytes).unwrap();
        let config = ImageConfig::parse(&layout.read(&manifest.config, 4096).unwrap()).unwrap();
        let mut plain = HashingReader::new(flate2::read::GzDecoder::new(layout.stream(&manifest.layers[0]).unwrap()));
        io::copy(&mut plain, &mut io::sink()).unwrap();
        assert_eq!(plain.finish(), (config.rootfs.diff_ids[0], 100_000));
    }

    #[test]
    fn the_tiny_base_has_a_shell() {
        let (layout, image) = Base::Tiny.get().unwrap();
        let manifest = Manifest::parse(&layout.read(&image, 4096).unwrap()).unwrap();
        let listed = run(Command::new("tar").arg("-tvf").arg(layout.path(&manifest.layers[0].digest))).unwrap().stdout;
        assert!(listed.contains("./bin/sh -> busybox"), "{listed}");
        assert!(Base::Tiny.is_kept());
    }
}

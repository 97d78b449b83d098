//! Other people's tools, run as people run them: what they make of an image, and images of their making.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use artifact::Digest;
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor, ImageConfig, Manifest, RootFs, RuntimeConfig};
use builder::image::Image;
use builder::tree::{Scratch, Tree};
use demo::command::{Ran, program, ran, run};

use crate::disk;

/// A folder for one test, and what it keeps there.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub scratch: Scratch,
    pub layout: Layout,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path().join("scratch")).unwrap();
        let layout = Layout::create(folder.path().join("layout")).unwrap();
        Self { folder, scratch, layout }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// An image of these plain tars, under a name.
    pub fn image(&self, name: &str, layers: &[Vec<u8>], config: RuntimeConfig) -> Digest {
        let blobs = layers.iter().map(|tar| self.layout.put(oci::LAYER, tar).unwrap()).collect();
        self.image_of(name, blobs, layers.iter().map(|tar| Digest::of(tar)).collect(), config)
    }

    /// An image of layers that are there.
    pub fn image_of(&self, name: &str, layers: Vec<Descriptor>, ids: Vec<Digest>, config: RuntimeConfig) -> Digest {
        let config = ImageConfig {
            created: Some("2020-01-01T00:00:00Z".into()),
            architecture: "amd64".into(),
            os: "linux".into(),
            variant: None,
            config,
            rootfs: RootFs { kind: "layers".into(), diff_ids: ids },
            history: Vec::new(),
        };
        let put = |kind, value: serde_json::Value| self.layout.put(kind, value.to_string().as_bytes()).unwrap();
        let manifest = Manifest {
            schema_version: 2,
            media_type: oci::MANIFEST.into(),
            artifact_type: None,
            config: put(oci::CONFIG, serde_json::to_value(config).unwrap()),
            layers,
            subject: None,
            annotations: Default::default(),
        };
        let made = put(oci::MANIFEST, serde_json::to_value(manifest).unwrap());
        self.layout.tag(&made, name).unwrap();
        made.digest
    }

    /// What we make of an image.
    pub fn ours(&self, digest: &Digest) -> Result<(Image, Tree), String> {
        let image = Image::open(&self.layout, digest).map_err(|e| e.to_string())?;
        let tree = image.tree(&self.layout, &self.scratch).map_err(|e| e.to_string())?;
        Ok((image, tree))
    }

    /// What umoci unpacks of it, or what it said.
    pub fn umoci(&self, name: &str) -> Result<Tree, String> {
        let root = self.path("umoci");
        let image = format!("{}:{name}", self.layout.root().display());
        let rootless = if demo::command::is_root() { &[][..] } else { &["--rootless"] };
        let mut command = Command::new("umoci");
        command.args(["raw", "unpack"]).args(rootless).args(["--image", &image]).arg(&root);
        self.unpacked(&mut command, &root)
    }

    /// What containerd unpacks of these layers, or what it said. An ordinary user is root in a namespace of his own.
    pub fn containerd(&self, layers: &[Vec<u8>]) -> Result<Tree, String> {
        let root = self.path("containerd");
        fs::create_dir(&root).unwrap();
        let apply = peer("containerd").join("containerd");
        let mut command = match demo::command::is_root() {
            true => Command::new(apply),
            false => {
                let mut command = Command::new("unshare");
                command.args(["--user", "--map-root-user"]).arg(apply);
                command
            }
        };
        command.arg(&root);
        for (number, layer) in layers.iter().enumerate() {
            let path = self.path(&format!("{number}.tar"));
            File::create(&path).unwrap().write_all(layer).unwrap();
            command.arg(path);
        }
        self.unpacked(&mut command, &root)
    }

    /// What a program leaves in a folder, which goes again.
    fn unpacked(&self, command: &mut Command, root: &Path) -> Result<Tree, String> {
        let ran = ran(command).unwrap();
        let tree = match ran.status {
            0 => Ok(disk::read(root, &self.scratch)),
            _ => Err(format!("{}{}", ran.stdout, ran.stderr)),
        };
        if root.exists() {
            fs::remove_dir_all(root).unwrap();
        }
        tree
    }
}

/// The folder of a peer's programs, built by `tests/peers/get` when it is not there yet.
pub fn peer(name: &str) -> PathBuf {
    static FOUND: std::sync::Mutex<Vec<(String, PathBuf)>> = std::sync::Mutex::new(Vec::new());
    let mut found = FOUND.lock().unwrap_or_else(|broken| broken.into_inner());
    if let Some((_, place)) = found.iter().find(|(known, _)| known == name) {
        return place.clone();
    }
    let get = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/get");
    let built = run(Command::new(&get).arg(name)).unwrap_or_else(|why| panic!("tests/peers/get {name}: {why}"));
    let place = PathBuf::from(built.stdout.trim());
    found.push((name.to_owned(), place.clone()));
    place
}

/// A running buildkitd, killed when dropped.
pub struct BuildKit {
    child: std::process::Child,
    address: String,
}

impl BuildKit {
    /// Starts it with a state of its own. No network is asked for: what it builds comes from scratch.
    pub fn start(folder: &Path) -> Self {
        let address = format!("unix://{}", folder.join("buildkit.sock").display());
        let mut command = program(peer("buildkit").join("buildkitd"));
        command.arg("--root").arg(folder.join("buildkit")).args(["--addr", &address, "--containerd-worker=false"]);
        command.args(["--oci-worker=true", "--oci-worker-snapshotter=native"]);
        let log = File::create(folder.join("buildkit.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let mut started = Self { child, address };
        while started.ctl(&["debug", "workers"]).status != 0 {
            let log = || fs::read_to_string(folder.join("buildkit.log")).unwrap_or_default();
            assert!(started.child.try_wait().unwrap().is_none(), "buildkitd ended: {}", log());
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        started
    }

    pub fn ctl(&self, arguments: &[&str]) -> Ran {
        ran(program(peer("buildkit").join("buildctl")).args(["--addr", &self.address]).args(arguments)).unwrap()
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

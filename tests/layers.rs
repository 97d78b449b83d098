//! One small tree, made into an image by the tools that people use, each in its own way: the same file system to the
//! comparer. What a tool does not keep is told, by name.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::Digest;
use artifact::layout::Layout;
use artifact::oci::{self, Descriptor};
use artifact::statement::comparison::Level;
use builder::compare;
use builder::image::Image;
use builder::tree::Tree;
use demo::command::{is_root, program, run};

use crate::disk;
use crate::peers::{Bench, BuildKit, peer};
use crate::random::CAPABILITY;

/// What the second layer takes away.
const GONE: [&str; 2] = ["gone", "old"];

struct Small {
    bench: Bench,
    folder: PathBuf,
}

impl Small {
    fn new() -> Self {
        let bench = Bench::new();
        let folder = bench.path("tree");
        let long = format!("{}/{}", "deep/".repeat(30), "n".repeat(200));
        for path in ["bin", "empty", "old/below", "ä/ö", Path::new(&long).parent().unwrap().to_str().unwrap()] {
            fs::create_dir_all(folder.join(path)).unwrap();
        }
        fs::copy("/bin/busybox", folder.join("bin/busybox")).unwrap();
        let files = ["bin/su", "bin/ping", "one", "gone", "old/below/x", "ä/ö/ü", &long];
        files.iter().for_each(|path| fs::write(folder.join(path), path).unwrap());
        fs::hard_link(folder.join("one"), folder.join("two")).unwrap();
        symlink("../one", folder.join("bin/link")).unwrap();
        symlink("t".repeat(150), folder.join("ä/long")).unwrap();
        if is_root() {
            lchown(folder.join("bin/su"), Some(7), Some(3_000_000)).unwrap();
            let flags = rustix::fs::XattrFlags::empty();
            rustix::fs::lsetxattr(folder.join("bin/ping"), "security.capability", &CAPABILITY, flags).unwrap();
        }
        for (path, mode) in [("bin/su", 0o4755), ("bin/ping", 0o755), ("bin/busybox", 0o755), ("empty", 0o1777)] {
            fs::set_permissions(folder.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        Self { bench, folder }
    }

    /// What is there in the end.
    fn tree(&self) -> Tree {
        let mut tree = disk::read(&self.folder, &self.bench.scratch);
        let below =
            |path: &[u8], gone: &str| path == gone.as_bytes() || path.starts_with(format!("{gone}/").as_bytes());
        tree.retain(|path, _| !GONE.iter().any(|gone| below(path, gone)));
        tree
    }

    /// Opens the image that a tool left, and compares it with ours of the same configuration. What is told must be this.
    fn compared(&self, layout: &Layout, told: &[(&str, &str)]) -> Image {
        let named = &layout.index().unwrap().manifests;
        assert_eq!(named.len(), 1, "one image in the layout");
        let theirs = Image::open(layout, &named[0].digest).unwrap();
        let their_tree = theirs.tree(layout, &self.bench.scratch).unwrap();
        let mut packed = Vec::new();
        builder::pack::write_tar(&self.tree(), &self.bench.scratch, 1, &mut packed).unwrap();
        let ours = self.bench.image("ours", &[packed], theirs.config.config.clone());
        let (ours, tree) = self.bench.ours(&ours).unwrap();
        let (level, found) = compare::images((&ours, &tree), (&theirs, &their_tree), &self.bench.scratch).unwrap();
        let found = found.listed();
        let mut kinds: Vec<_> = found.iter().map(|d| (&d.path[..], &d.kind[..])).collect();
        kinds.sort_unstable();
        assert_eq!(kinds, told, "{found:#?}");
        assert_eq!(level, if told.is_empty() { Level::SameFilesystem } else { Level::Diverged });
        theirs
    }

    /// The tree as GNU tar writes it, and a layer that takes away.
    fn gnu(&self, format: &str) -> Vec<Vec<u8>> {
        let (tar, empty) = (self.bench.path("gnu.tar"), self.bench.path("whiteouts"));
        fs::create_dir(&empty).unwrap();
        GONE.iter().for_each(|gone| fs::write(empty.join(format!(".wh.{gone}")), "").unwrap());
        let owner: &[&str] = if is_root() { &["--numeric-owner"] } else { &["--owner=0", "--group=0"] };
        let tar_of = |folder: &Path| {
            let mut command = Command::new("tar");
            command.args([format, "--xattrs", "--xattrs-include=security.capability"]).args(owner);
            run(command.arg("-cf").arg(&tar).arg("-C").arg(folder).arg(".")).unwrap();
            fs::read(&tar).unwrap()
        };
        let both = vec![tar_of(&self.folder), tar_of(&empty)];
        fs::remove_dir_all(empty).unwrap();
        both
    }
}

#[test]
fn layers_of_gnu_tar_are_the_same_file_system() {
    let small = Small::new();
    // Attributes only fit in PAX records: asked for the others, GNU tar writes PAX all the same, or leaves them out.
    for format in ["--format=pax", "--format=posix", "--format=gnu"] {
        let layers = small.gnu(format);
        let layout = Layout::create(small.bench.path(format)).unwrap();
        let digest = small.bench.image("theirs", &layers, Default::default());
        copy(&small.bench.layout, &digest, &layout);
        let lost = is_root() && !layers[0].windows(19).any(|w| w == b"security.capability");
        small.compared(&layout, if lost { &[("bin/ping", "capability")] } else { &[] });
    }
}

/// An image from one layout to another.
fn copy(from: &Layout, digest: &Digest, to: &Layout) {
    let image = Image::open(from, digest).unwrap();
    for blob in image.manifest.layers.iter().chain([&image.manifest.config]) {
        to.put(&blob.media_type, &from.read(blob, 64 << 20).unwrap()).unwrap();
    }
    let manifest = to.put(oci::MANIFEST, &from.read_digest(digest, oci::MANIFEST_LIMIT).unwrap()).unwrap();
    to.tag(&manifest, "it").unwrap();
}

#[test]
fn any_compression_of_a_layer_is_the_same_file_system() {
    let small = Small::new();
    let layers = small.gnu("--format=pax");
    let ids: Vec<Digest> = layers.iter().map(|tar| Digest::of(tar)).collect();
    let compressed = |program: &str, tar: &[u8]| {
        let plain = small.bench.path("plain");
        fs::write(&plain, tar).unwrap();
        let output = Command::new(program).arg("-c").arg(&plain).output().unwrap();
        assert!(output.status.success(), "{program}");
        output.stdout
    };
    for (kind, program) in [(oci::LAYER_GZIP, "gzip"), (oci::DOCKER_LAYER, "gzip"), (oci::LAYER_ZSTD, "zstd")] {
        // Several members, or frames, as parallel compressors write them; the cut goes through a header.
        let blobs: Vec<Descriptor> = layers
            .iter()
            .map(|tar| {
                let (head, tail) = tar.split_at(700);
                let both = [compressed(program, head), compressed(program, tail)].concat();
                small.bench.layout.put(kind, &both).unwrap()
            })
            .collect();
        let layout = Layout::create(small.bench.path(&kind.replace('/', "-"))).unwrap();
        let digest = small.bench.image_of("theirs", blobs, ids.clone(), Default::default());
        copy(&small.bench.layout, &digest, &layout);
        small.compared(&layout, &[]);
    }
}

#[test]
fn layers_that_skopeo_compresses_with_zstd_are_the_same_file_system() {
    let small = Small::new();
    small.bench.image("theirs", &small.gnu("--format=pax"), Default::default());
    let to = small.bench.path("zstd");
    let from = format!("oci:{}:theirs", small.bench.layout.root().display());
    let compress = ["copy", "--insecure-policy", "--dest-compress", "--dest-compress-format", "zstd"];
    run(Command::new("skopeo").args(compress).arg(from).arg(format!("oci:{}:it", to.display()))).unwrap();
    let image = small.compared(&Layout::open(to), &[]);
    assert!(image.manifest.layers.iter().all(|layer| layer.media_type == oci::LAYER_ZSTD), "{:?}", image.manifest);
}

#[test]
fn layers_of_umoci_are_the_same_file_system() {
    let small = Small::new();
    let layout = small.bench.path("umoci-layout");
    let bundle = small.bench.path("bundle");
    let image = format!("{}:it", layout.display());
    let rootless = if is_root() { &[][..] } else { &["--rootless"] };
    let umoci = |arguments: &[&str]| run(Command::new("umoci").args(arguments)).unwrap();
    umoci(&["init", "--layout", layout.to_str().unwrap()]);
    umoci(&["new", "--image", &image]);
    run(Command::new("umoci").arg("unpack").args(rootless).args(["--image", &image]).arg(&bundle)).unwrap();
    run(Command::new("cp").arg("-a").arg(small.folder.join(".")).arg(bundle.join("rootfs"))).unwrap();
    umoci(&["repack", "--refresh-bundle", "--image", &image, bundle.to_str().unwrap()]);
    fs::remove_file(bundle.join("rootfs/gone")).unwrap();
    fs::remove_dir_all(bundle.join("rootfs/old")).unwrap();
    umoci(&["repack", "--image", &image, bundle.to_str().unwrap()]);
    // Its manifest does not say that it is one, and we ask for that: a manifest must not be read as an index.
    let layout = Layout::open(layout);
    let made = layout.find("it").unwrap();
    let refused = Image::open(&layout, &made.digest).unwrap_err().to_string();
    assert!(refused.contains("missing field `mediaType`"), "{refused}");
    let mut manifest: serde_json::Value = serde_json::from_slice(&layout.read(&made, 1 << 20).unwrap()).unwrap();
    manifest["mediaType"] = oci::MANIFEST.into();
    let said = Layout::create(small.bench.path("said")).unwrap();
    fs::remove_dir_all(said.path(&made.digest).parent().unwrap()).unwrap();
    fs::rename(layout.path(&made.digest).parent().unwrap(), said.root().join("blobs/sha256")).unwrap();
    said.tag(&said.put(oci::MANIFEST, manifest.to_string().as_bytes()).unwrap(), "it").unwrap();
    let image = small.compared(&said, &[]);
    assert_eq!(image.manifest.layers.len(), 2);
}

#[test]
fn layers_of_go_containerregistry_are_the_same_file_system() {
    let small = Small::new();
    let layout = small.bench.path("ggcr");
    let mut command = Command::new(peer("ggcr").join("ggcr"));
    command.arg(&layout).arg(&small.folder).args(GONE.map(|gone| format!("-{gone}")));
    run(&mut command).unwrap();
    // Its program takes owners from the disk: an ordinary user's files are his.
    let theirs = Layout::open(layout);
    if is_root() {
        small.compared(&theirs, &[]);
        return;
    }
    let tree = small.tree();
    let owned: Vec<_> = tree.keys().filter(|path| !path.is_empty()).map(|path| String::from_utf8_lossy(path)).collect();
    small.compared(&theirs, &owned.iter().map(|path| (&path[..], "owner")).collect::<Vec<_>>());
}

/// As root with a storage of its own; an ordinary user's buildah works in a user namespace of its own.
#[test]
fn layers_of_buildah_are_the_same_file_system() {
    let small = Small::new();
    let out = small.bench.path("buildah-layout");
    let script = r#"
        set -eu
        umask 022
        run() { work=$1; shift; buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }
        first=$(run "$1" from scratch)
        mount=$(run "$1" mount "$first")
        cp -a "$2/." "$mount/"
        run "$1" commit -q "$first" first
        second=$(run "$1" from --pull-never localhost/first)
        mount=$(run "$1" mount "$second")
        rm -r "$mount/gone" "$mount/old"
        run "$1" commit -q "$second" "oci:$3:it"
    "#;
    let mut command = match is_root() {
        true => program("sh"),
        false => program("buildah"),
    };
    if !is_root() {
        command.args(["unshare", "sh"]);
    }
    command.args(["-c", script, "sh"]).arg(small.bench.path("buildah")).arg(&small.folder).arg(&out);
    run(&mut command).unwrap();
    let image = small.compared(&Layout::open(out), &[]);
    assert_eq!(image.manifest.layers.len(), 2);
    if !is_root() {
        // What it keeps belongs to the namespace.
        run(program("buildah").args(["unshare", "rm", "-rf"]).arg(small.bench.path("buildah"))).unwrap();
    }
}

/// The real one: buildkitd on a socket of its own, a RUN in Debian's runc. `ADD` of a tar keeps owners and rights, `COPY`
/// of a folder gives everything to root and drops capabilities; the folders that a RUN's mounts leave stay. All that is told.
#[test]
fn layers_of_buildkit_are_the_same_file_system_or_the_difference_is_told() {
    let small = Small::new();
    let context = small.bench.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("tree.tar"), &small.gnu("--format=pax")[0]).unwrap();
    run(Command::new("cp").arg("-a").arg(&small.folder).arg(context.join("tree"))).unwrap();
    if !is_root() {
        // It wants root, or a namespace that only rootlesskit makes for it: this is what it says to an ordinary user.
        let mut command = program(peer("buildkit").join("buildkitd"));
        command.arg("--root").arg(small.bench.path("state")).arg("--addr");
        command.arg(format!("unix://{}", small.bench.path("socket").display()));
        let said = demo::command::ran(&mut command).unwrap();
        assert!(said.status != 0 && said.stderr.contains("root"), "{}", said.stderr);
        return;
    }
    let daemon = BuildKit::start(small.bench.folder.path());
    let mounts = [("dev", "only-in-candidate"), ("proc", "only-in-candidate"), ("sys", "only-in-candidate")];
    let copied = [&[("bin/ping", "capability"), ("bin/su", "owner")], &mounts[..]].concat();
    for (how, told) in [("ADD tree.tar /", &mounts[..]), ("COPY tree /", &copied)] {
        let run = format!(r#"RUN --network=none ["/bin/busybox", "rm", "-r", "/{}", "/{}"]"#, GONE[0], GONE[1]);
        fs::write(context.join("Dockerfile"), format!("FROM scratch\n{how}\n{run}\n")).unwrap();
        let out = small.bench.path(&how[..4]);
        let local = |name: &str| format!("{name}={}", context.display());
        let output = format!("type=oci,tar=false,dest={}", out.display());
        let (context, dockerfile) = (local("context"), local("dockerfile"));
        let build = ["build", "--progress=plain", "--frontend=dockerfile.v0"];
        let from = ["--local", &context, "--local", &dockerfile, "--output", &output];
        let ran = daemon.ctl(&[&build[..], &from].concat());
        assert_eq!(ran.status, 0, "{}{}", ran.stdout, ran.stderr);
        let image = small.compared(&Layout::open(out), told);
        assert_eq!(image.manifest.layers.len(), 2);
    }
}

/// GNU tar gives a hard link's entry no attributes. Some runtimes would take the file's capabilities away by it, so the
/// layer is refused.
#[test]
fn a_capability_on_a_hard_link_of_gnu_tar_is_refused_and_go_tools_repeat_it() {
    let small = Small::new();
    fs::hard_link(small.folder.join("bin/ping"), small.folder.join("bin/ping6")).unwrap();
    if !is_root() {
        // There is no capability then, and nothing to refuse.
        let image = small.bench.image("theirs", &small.gnu("--format=pax"), Default::default());
        assert!(small.bench.ours(&image).is_ok());
        return;
    }
    let image = small.bench.image("theirs", &small.gnu("--format=pax"), Default::default());
    let refused = small.bench.ours(&image).unwrap_err();
    assert!(refused.contains("bin/ping") && refused.contains("another mode, owner or attribute"), "{refused}");
    let layout = small.bench.path("ggcr");
    let mut command = Command::new(peer("ggcr").join("ggcr"));
    run(command.arg(&layout).arg(&small.folder).args(GONE.map(|gone| format!("-{gone}")))).unwrap();
    small.compared(&Layout::open(layout), &[]);
}

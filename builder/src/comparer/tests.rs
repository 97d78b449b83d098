use artifact::key::PublicKey;
use artifact::oci::{self, Platform};
use artifact::recipe;
use artifact::statement::Signed;
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::provenance::Provenance;
use artifact::statement::sandbox::Sandbox;

use super::*;
use crate::door::Built;
use crate::dossier_source::tests::dossier;
use crate::tree::{Kind, Node};

struct Perimeter {
    folder: tempfile::TempDir,
    scratch: Scratch,
}

impl Perimeter {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let toml = "builder_id = \"https://build.example/1\"\nbuilder = \"builder-1\"\nthreads = 2\n";
        fs::write(folder.path().join("compare.toml"), toml).unwrap();
        let scratch = Scratch::new(folder.path().join("contents")).unwrap();
        Self { folder, scratch }
    }

    fn store(&self, name: &str) -> Layout {
        Layout::create(self.folder.path().join("public").join(name)).unwrap()
    }

    fn open(&self) -> Comparer {
        Comparer::open(self.folder.path(), self.folder.path(), true).unwrap()
    }

    fn tree(&self, text: &str) -> Tree {
        let file = Node { kind: Kind::File(self.scratch.put(text.as_bytes()).unwrap()), ..Node::implied() };
        Tree::from([(b"bin".to_vec(), Node::implied()), (b"bin/tool".to_vec(), Node { mtime: 99, ..file })])
    }

    fn image(&self, store: &Layout, tree: &Tree) -> Digest {
        let packed = pack::pack(tree, &self.scratch, 5, 1, store).unwrap();
        let platform = Platform { architecture: "amd64".into(), os: "linux".into(), variant: None };
        let recipe = recipe::Image { cmd: vec!["/bin/tool".into()], ..recipe::Image::default() };
        let parts = Parts { base: None, platform, packed: &packed, recipe: &recipe, source_date: 5 };
        image::assemble(&parts, store).unwrap().digest
    }

    fn dossier(&self) -> Digest {
        let store = self.store("intake/dossiers");
        let base = self.image(&store, &self.tree("base"));
        let image = Image::open(&store, &base).unwrap();
        let pinned = format!("registry.example/base@{base}");
        let recipe = format!("version = 1\nbase = \"{pinned}\"\nsteps = [\"make\"]\n[image]\ncmd = [\"/bin/tool\"]\n");
        let mut dossier = dossier(&store, &[(".countersign.toml", recipe.as_bytes())], recipe.as_bytes());
        let manifest = Descriptor::new(oci::MANIFEST, base, fs::metadata(store.path(&base)).unwrap().len());
        let (config, layers) = (image.manifest.config, image.manifest.layers);
        dossier.bases.push(Base { pinned: pinned.parse().unwrap(), index: None, manifest, config, layers });
        dossier.seal(&store).unwrap()
    }

    fn ask(&self, runs: [&str; 2], candidate: Option<Digest>) -> CompareAsk {
        let tar = |text: &str| {
            let mut tar = Vec::new();
            pack::write_tar(&self.tree(text), &self.scratch, i64::MAX, &mut tar).unwrap();
            self.store("builder/out").put(oci::LAYER, &tar).unwrap()
        };
        let words = || "runc".to_owned();
        let sandbox = Sandbox {
            runtime: words(),
            version: words(),
            verdict: words(),
            advisories: vec![],
            enforced: vec![],
            not_enforced: vec![],
        };
        let (started, finished) = (Moment::now(), Moment::now());
        let trees = runs.map(tar);
        let built = Built { trees, sandbox, varied: vec![words()], not_varied: vec![], started, finished };
        CompareAsk { dossier: self.dossier(), candidate, nonce: "nonce".into(), built }
    }
}

#[test]
fn the_same_source_gives_the_candidate_bit_for_bit() {
    let perimeter = Perimeter::new();
    let candidate = perimeter.image(&perimeter.store("intake/candidates"), &perimeter.tree("built"));
    let ask = perimeter.ask(["built", "built"], Some(candidate));
    let room = perimeter.open();
    let mut lines = Vec::new();
    let done = room.compare(&ask, &mut |line| lines.push(line)).unwrap();
    assert_eq!((done.level, done.runs_equal, done.rebuild), (Some(Level::BitForBit), true, candidate), "{lines:?}");
    let scratch = room.scratch();
    drop(room);
    // The next start has the same key.
    let key: PublicKey = perimeter.open().public_key().parse().unwrap();
    let comparison: Signed<Comparison> = Signed::open(&done.comparison.unwrap().0, [&key]).unwrap();
    assert_eq!(comparison.says().differences_total, 0);
    assert!(comparison.says().trial && comparison.says().runs.equal);
    let provenance: Signed<Provenance> = Signed::open(&done.provenance.0, [&key]).unwrap();
    assert_eq!(provenance.says().dossier(), Some(ask.dossier));
    assert_eq!(provenance.subject()[0].digest["sha256"], candidate.hex());
    assert!(!scratch.exists());
    assert!(
        perimeter
            .store("compare/out")
            .find(&format!("tool-{}", provenance.says().build_definition.external_parameters.commit))
            .is_ok()
    );
}

#[test]
fn what_differs_is_told_and_what_is_not_asked_is_not_attested() {
    let perimeter = Perimeter::new();
    let candidate = perimeter.image(&perimeter.store("intake/candidates"), &perimeter.tree("other"));
    let room = perimeter.open();
    let done = room.compare(&perimeter.ask(["built", "again"], Some(candidate)), &mut |_| ()).unwrap();
    assert_eq!((done.level, done.runs_equal), (Some(Level::Diverged), false));
    let key: PublicKey = room.public_key().parse().unwrap();
    let comparison: Signed<Comparison> = Signed::open(&done.comparison.unwrap().0, [&key]).unwrap();
    let says = comparison.says();
    assert_eq!((says.differences_total, says.run_differences_total), (1, 1));
    assert!(says.differences[0].rebuild.ends_with("built") && says.differences[0].candidate.ends_with("other"));
    let done = room.compare(&perimeter.ask(["built", "built"], None), &mut |_| ()).unwrap();
    assert!(done.comparison.is_none() && done.level.is_none());
}

#[test]
fn what_is_not_as_its_digest_says_is_refused() {
    let perimeter = Perimeter::new();
    let ask = perimeter.ask(["built", "built"], Some(Digest::of(b"nowhere")));
    let room = perimeter.open();
    let code = |ask: &CompareAsk| room.compare(ask, &mut |_| ()).unwrap_err().code;
    assert_eq!(code(&ask), "candidate-broken");
    assert_eq!(code(&CompareAsk { dossier: Digest::of(b"nowhere"), ..ask.clone() }), "dossier-broken");
    let (mut nothing, mut endless) = (ask.clone(), ask.clone());
    nothing.built.trees[1].digest = Digest::of(b"nowhere");
    let refused = room.compare(&nothing, &mut |_| ()).unwrap_err();
    assert_eq!((refused.code.as_str(), refused.retry), ("output-missing", artifact::failure::Retry::Never));
    endless.built.sandbox.enforced = vec!["x".repeat(100 << 10)];
    assert_eq!(code(&endless), "built-refused");
    fs::write(perimeter.store("builder/out").path(&ask.built.trees[0].digest), b"other").unwrap();
    assert_eq!(code(&ask), "output-broken");
    drop(room);
    fs::write(perimeter.folder.path().join("public/compare/own/key"), b"short").unwrap();
    let failure = Comparer::open(perimeter.folder.path(), perimeter.folder.path(), true).unwrap_err();
    assert_eq!(failure.code, "compare-key");
}

#[test]
fn a_second_comparer_waits_and_then_clears_what_was_left() {
    let perimeter = Perimeter::new();
    let room = perimeter.open();
    let lock = File::open(perimeter.folder.path().join("public/compare/own/lock")).unwrap();
    let busy = rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    assert_eq!(busy, Err(rustix::io::Errno::WOULDBLOCK));
    let half = perimeter.store("compare/out").root().join("blobs/part-00");
    let whole = perimeter.store("compare/out").put(oci::LAYER, b"whole").unwrap();
    fs::write(&half, "half").unwrap();
    fs::create_dir_all(room.scratch()).unwrap();
    fs::write(room.scratch().join("part"), "half").unwrap();
    drop(room);
    let next = perimeter.open();
    assert!(!half.exists() && !next.scratch().exists());
    assert!(perimeter.store("compare/out").has(&whole.digest));
}

#[test]
fn no_umask_changes_a_byte() {
    let perimeter = Perimeter::new();
    let (room, ask) = (perimeter.open(), perimeter.ask(["built", "built"], None));
    let rebuild = |umask: u32| {
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        let done = room.compare(&ask, &mut |_| ());
        rustix::process::umask(before);
        done.unwrap().rebuild
    };
    assert_eq!(rebuild(0), rebuild(0o077));
}

/// A broken intake seals another image in the place of a listed base.
#[test]
fn a_base_that_is_not_the_pinned_one_is_refused() {
    let perimeter = Perimeter::new();
    let (room, ask) = (perimeter.open(), perimeter.ask(["built", "built"], None));
    let store = perimeter.store("intake/dossiers");
    let sealed = Dossier::open(&store, &ask.dossier).unwrap();
    let evil = perimeter.image(&store, &perimeter.tree("evil"));
    let image = Image::open(&store, &evil).unwrap();
    let swapped = |index: Option<Descriptor>| {
        let mut dossier = sealed.clone();
        let base = &mut dossier.bases[0];
        base.index = index;
        base.manifest = Descriptor::new(oci::MANIFEST, evil, fs::metadata(store.path(&evil)).unwrap().len());
        (base.config, base.layers) = (image.manifest.config.clone(), image.manifest.layers.clone());
        let ask = CompareAsk { dossier: dossier.seal(&store).unwrap(), ..ask.clone() };
        let refused = room.compare(&ask, &mut |_| ()).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.retry), ("base-broken", artifact::failure::Retry::Never));
        assert!(!dossier.bases.iter().any(|base| base.check(&store).is_ok()));
    };
    swapped(None);
    let index = oci::Index::of(vec![Descriptor::new(oci::MANIFEST, evil, 1)]);
    let index = store.put(oci::INDEX, &artifact::json::canonical("index", &index).unwrap()).unwrap();
    swapped(Some(index));
    // The pinned image's own manifest, with the layers of another.
    let mut dossier = sealed.clone();
    dossier.bases[0].layers.clone_from(&image.manifest.layers);
    assert!(dossier.bases[0].check(&store).is_err() && sealed.bases[0].check(&store).is_ok());
}

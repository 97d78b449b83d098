//! The comparer's work, top to bottom: read the dossier, take the two trees, pack, compare, attest. It believes neither
//! the builder nor the candidate: what they left is checked byte by byte, and the recipe comes from the dossier.

use std::error::Error;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use artifact::dossier::{Base, Dossier};
use artifact::durable;
use artifact::failure::Failure;
use artifact::key::Ed25519Key;
use artifact::lane::LaneName;
use artifact::layout::{Collected, Layout};
use artifact::name::Pinned;
use artifact::oci::Descriptor;
use artifact::recipe::Recipe;
use artifact::{Digest, Moment};
use serde::Deserialize;

use crate::archive::Budget;
use crate::attest::{self, Case, Outcome};
use crate::compare;
use crate::door::{CompareAsk, Compared};
use crate::dossier_source;
use crate::flatten::Flattener;
use crate::image::{self, Image, Parts};
use crate::pack::{self, XATTRS};
use crate::tree::{Scratch, Tree};

/// `compare.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareConfig {
    /// The operator's name for this perimeter's builder, a URI: stands in every provenance.
    pub builder_id: String,
    /// The operator's name for the builder host: stands in every comparison.
    pub builder: String,
    /// How many threads compress; zero for as many as there are cores, 64 at most. Changes no byte.
    #[serde(default)]
    pub threads: usize,
}

impl CompareConfig {
    /// Reads the text of `compare.toml`.
    ///
    /// # Errors
    /// With line and column, what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        const THREADS: usize = pack::MOST_THREADS;
        let config: Self = artifact::settings::parse(text).map_err(|e| e.to_string())?;
        if !config.builder_id.contains(':') || config.builder.is_empty() || config.threads > THREADS {
            return Err(format!("builder_id is a URI, builder a name, threads at most {THREADS}"));
        }
        Ok(config)
    }
}

/// The most bytes of what a builder says: all of it is stated again, twice, and each statement must fit into a frame.
const BUILT: usize = 64 << 10;

/// The comparer's room, open.
#[derive(Debug)]
pub struct Comparer {
    config: CompareConfig,
    key: Ed25519Key,
    lane: PathBuf,
    trial: bool,
    _lock: File,
}

impl Comparer {
    /// Waits for another comparer of this state to end. Then reads the configuration and the key, makes the key when
    /// there is none yet, and clears what a killed run left.
    ///
    /// # Errors
    /// A configuration that says something impossible, or a key file that holds no key.
    pub fn open(config: &Path, state: &Path, trial: bool) -> Result<Self, Failure> {
        let path = config.join("compare.toml");
        // The operator's to mend, and no commit's fault.
        let wrong = |cause: &dyn Display| Failure::later("compare-config", format!("{}: {cause}", path.display()));
        let text = fs::read_to_string(&path).map_err(|e| wrong(&e))?;
        let config = CompareConfig::parse(&text).map_err(|e| wrong(&e))?;
        let lane = state.join("public");
        let own = lane.join("compare/own");
        durable::create_folder(&own).map_err(|e| Failure::later("compare-store", format!("{}: {e}", own.display())))?;
        // `countersign keys` starts a comparer as well: it must not clear the scratch folder of one that works.
        let lock = lock(&own.join("lock")).map_err(later("compare-store"))?;
        let key = key(&own.join("key"))?;
        let room = Self { config, key, lane, trial, _lock: lock };
        room.clear()?;
        room.sweep()?;
        Ok(room)
    }

    /// The key that verifies what this room signs, as PEM.
    pub fn public_key(&self) -> String {
        self.key.public().to_string()
    }

    /// Counts what no kept rebuild leads to, and removes it when that is asked.
    ///
    /// # Errors
    /// A kept rebuild that is not what its digest says, or a store that fails: then nothing is removed.
    pub fn collect(&self, keep: &[Digest], remove: bool) -> Result<Collected, Failure> {
        let path = self.lane.join("compare/out");
        let store = Layout::create(path).map_err(|e| Failure::of_store("compare-store", &e))?;
        store.collect(keep, remove).map_err(|e| Failure::of_store("compare-store", &e))
    }

    /// Does what is asked, and says what it is doing.
    ///
    /// # Errors
    /// When anything is not as the dossier or its digest says, or a store fails.
    pub fn compare(&self, ask: &CompareAsk, say: &mut dyn FnMut(String)) -> Result<Compared, Failure> {
        let done = self.job(ask, say);
        // What fails here is cleared at the next start.
        let _ = self.clear();
        done
    }

    fn job(&self, ask: &CompareAsk, say: &mut dyn FnMut(String)) -> Result<Compared, Failure> {
        let dossiers = Layout::open(self.lane.join("intake/dossiers"));
        let dossier = Dossier::open(&dossiers, &ask.dossier).map_err(of_input("dossier-broken"))?;
        if dossier.lane != LaneName::Public {
            return Err(Failure::never("wrong-lane", format!("a dossier of lane {} in the public lane", dossier.lane)));
        }
        let said = artifact::json::canonical("built", &ask.built).map_err(of_input("built-refused"))?.len();
        if said > BUILT {
            let text = format!("the builder says {said} bytes of its sandbox and its runs, and the limit is {BUILT}");
            return Err(Failure::never("built-refused", text));
        }
        let recipe = dossier_source::recipe(&dossiers, &dossier).map_err(of_input("source-broken"))?;
        let recipe = Recipe::parse(&recipe).map_err(of_input("recipe-invalid"))?;
        let scratch = Scratch::new(self.scratch()).map_err(later("compare-scratch"))?;

        say("reading what the two runs left".to_owned());
        let [first, second] = &ask.built.trees;
        let first = self.output(first, &scratch)?;
        let second = self.output(second, &scratch)?;
        let runs = compare::trees(&first, &second, &scratch).map_err(later("compare-scratch"))?;
        let runs_equal = runs.is_empty();
        let told =
            if runs_equal { "the two runs are equal".to_owned() } else { format!("{} differences", runs.total()) };
        say(format!("{told}; packing {} names", first.len()));

        let store = Layout::create(self.lane.join("compare/out")).map_err(later("compare-store"))?;
        let made = self.pack(&first, &scratch, &dossiers, &dossier, &recipe, &store)?;
        let name = format!("{}-{}", dossier.project, dossier.commit);
        store.tag(&made, &name).map_err(later("compare-store"))?;
        say(format!("packed {}", made.digest));

        let mut case =
            Case { ask, dossier: &dossier, trial: self.trial, rebuild: made.digest, finished: Moment::now() };
        let provenance = attest::provenance(&case, &self.config.builder_id, &self.key).map_err(of_input("attest"))?;
        let mut done = Compared { comparison: None, provenance, rebuild: made.digest, level: None, runs_equal };
        if let Some(digest) = &ask.candidate {
            let candidates = Layout::open(self.lane.join("intake/candidates"));
            let (level, images) = candidate(&store, &made.digest, &candidates, digest, &scratch)?;
            say(format!("compared with the candidate: {level}, {} differences", images.total()));
            case.finished = Moment::now();
            let outcome = Outcome { candidate: *digest, level, images, runs };
            let signed = attest::comparison(&case, &self.config.builder, outcome, &self.key);
            done.comparison = Some(signed.map_err(of_input("attest"))?);
            done.level = Some(level);
        }
        Ok(done)
    }

    /// What one run left in `$OUT`, as far as it is packed: without the root folder, without a host's attributes.
    fn output(&self, tar: &Descriptor, scratch: &Scratch) -> Result<Tree, Failure> {
        let store = Layout::open(self.lane.join("builder/out"));
        // Nothing of that name is an answer of the builder's; what the disk can't give now may come tomorrow.
        let mut blob = store.stream(tar).map_err(of_input("output-missing"))?;
        let mut flattener = Flattener::new(scratch);
        let applied = flattener.apply_plain(&mut blob);
        blob.finish().map_err(of_input("output-broken"))?;
        applied.map_err(of_input("output-refused"))?;
        let mut tree = flattener.finish();
        tree.remove(&b""[..]);
        tree.values_mut().for_each(|node| node.xattrs.retain(|name, _| XATTRS.contains(&&name[..])));
        Ok(tree)
    }

    fn pack(
        &self,
        tree: &Tree,
        scratch: &Scratch,
        dossiers: &Layout,
        dossier: &Dossier,
        recipe: &Recipe,
        store: &Layout,
    ) -> Result<Descriptor, Failure> {
        let broken = of_input("base-broken");
        let image_base = recipe.image.base.as_ref().map(|pinned| base(dossier, pinned)).transpose()?;
        let image_base = image_base.map(|b| image::open_base(dossiers, b)).transpose().map_err(&broken)?;
        // An image from nothing runs where it was built.
        let build_base = image::open_base(dossiers, base(dossier, &recipe.base)?).map_err(&broken)?;
        let packed = pack::pack(tree, scratch, dossier.source_date, self.config.threads, store);
        let packed = packed.map_err(later("packing"))?;
        let parts = Parts {
            base: image_base.as_ref().map(|image| (image, dossiers)),
            platform: build_base.platform(),
            packed: &packed,
            recipe: &recipe.image,
            source_date: dossier.source_date,
        };
        image::assemble(&parts, store).map_err(of_input("packing"))
    }

    fn scratch(&self) -> PathBuf {
        self.lane.join("compare/own/scratch")
    }

    fn clear(&self) -> Result<(), Failure> {
        match fs::remove_dir_all(self.scratch()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(later("compare-scratch")(e)),
            _ => Ok(()),
        }
    }

    /// Removes blobs that a killed run did not finish.
    fn sweep(&self) -> Result<(), Failure> {
        let blobs = match fs::read_dir(self.lane.join("compare/out/blobs")) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            blobs => blobs.map_err(later("compare-store"))?,
        };
        for blob in blobs {
            let blob = blob.map_err(later("compare-store"))?;
            if blob.file_name().to_str().is_some_and(|name| name.starts_with("part-")) {
                fs::remove_file(blob.path()).map_err(later("compare-store"))?;
            }
        }
        Ok(())
    }
}

/// Flattens both images, every digest checked, and compares them.
fn candidate(
    store: &Layout,
    rebuild: &Digest,
    candidates: &Layout,
    digest: &Digest,
    scratch: &Scratch,
) -> Result<(artifact::statement::comparison::Level, compare::Differences), Failure> {
    let theirs = Image::open(candidates, digest).map_err(of_input("candidate-broken"))?;
    let ours = Image::open(store, rebuild).map_err(later("compare-store"))?;
    let our_tree = ours.tree(store, scratch).map_err(|e| Failure::of_store("rebuild-broken", &e))?;
    let budget = Budget::beside(&our_tree);
    let their_tree = theirs.tree_within(candidates, scratch, budget).map_err(of_input("candidate-broken"))?;
    compare::images((&ours, &our_tree), (&theirs, &their_tree), scratch).map_err(later("compare-scratch"))
}

fn base<'d>(dossier: &'d Dossier, pinned: &Pinned) -> Result<&'d Base, Failure> {
    let missing =
        || Failure::never("base-missing", format!("the dossier holds no {pinned}, which the recipe asks for"));
    dossier.bases.iter().find(|b| b.pinned == *pinned).ok_or_else(missing)
}

/// Waits for the lock, which ends with the process that holds it.
fn lock(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive)?;
    Ok(file)
}

/// The key, which is made at the first start and never leaves the room.
fn key(path: &Path) -> Result<Ed25519Key, Failure> {
    let wrong = |cause: &dyn Display| Failure::halt("compare-key", format!("{}: {cause}", path.display()));
    match fs::read(path) {
        Ok(seed) => Ed25519Key::from_seed(&seed).map_err(|e| wrong(&e)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let key = Ed25519Key::generate().map_err(later("compare-key"))?;
            durable::replace(path, &*key.seed(), 0o600).map_err(later("compare-key"))?;
            Ok(key)
        }
        Err(e) => Err(Failure::of_store("compare-key", &e)),
    }
}

/// What an input says of itself fails again; what this host could not do may go well tomorrow.
fn of_input<E: Error + 'static>(code: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::of_input(code, &error)
}

fn later<E: Display>(code: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::later(code, error)
}

#[cfg(test)]
mod tests;

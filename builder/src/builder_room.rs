//! The builder's work, top to bottom: open the dossier, know the runtime, unpack, and twice: check out, run, collect.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use artifact::dossier::Dossier;
use artifact::failure::Failure;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::Descriptor;
use artifact::recipe::{self, Recipe};
use artifact::statement::sandbox::Sandbox;
use artifact::{Digest, Moment};
use hardening::posture::Posture;
use hardening::probe::Runtime;
use rustix::mount::{MountFlags, UnmountFlags};

use crate::builder_config::BuilderConfig;
use crate::checkout::Objects;
use crate::collect::{CollectError, collect};
use crate::door::{BuildAsk, Built};
use crate::runs::{Ground, NOT_VARIED, SETTINGS, VARIED};
use crate::unpack::unpack;

/// What gives the base and the git objects their room.
const MEMORY: &str = "memory_mib in builder.toml";

/// What gives a run's source tree and its output their room.
const OUTPUT: &str = "output_mib in builder.toml";

/// How far apart the two runs start at least: seconds in file names and versions then differ.
const APART: Duration = Duration::from_millis(1100);

/// The builder's folders.
#[derive(Debug)]
pub struct BuilderRoom<'a> {
    /// The state folder.
    pub state: &'a Path,
    /// Limits and runtime.
    pub config: BuilderConfig,
    /// What confines the room.
    pub posture: &'a Posture,
}

impl BuilderRoom<'_> {
    /// Builds what is asked for.
    ///
    /// # Errors
    /// When anything is not as the dossier says, or a step fails.
    pub fn build(&self, ask: &BuildAsk, say: &mut dyn FnMut(String)) -> Result<Built, Failure> {
        let runtime = Runtime::probe(&self.config.runtime, &self.config.accept)
            .map_err(|e| Failure::later("runtime-refused", e))?;
        let lane = self.state.join("public");
        let dossiers = Layout::open(lane.join("intake/dossiers"));
        let dossier = Dossier::open(&dossiers, &ask.dossier).map_err(|e| Failure::of_input("dossier-broken", &e))?;
        let work = self.workplace(&lane.join("builder/work"))?;
        let objects = Objects::read(&dossiers, &dossier.objects, &dossier.commit, &work.join("blobs"))
            .map_err(|e| Failure::of_size("source-broken", &e, MEMORY))?;
        let recipe = recipe_of(&objects, &dossier)?;
        say(format!("{} {}: {} steps, twice", runtime.name, runtime.version, recipe.steps.len()));
        let rootfs = work.join("rootfs");
        let ranges = has_ranges();
        let base = dossier.bases.iter().find(|b| b.pinned == recipe.base);
        let base = base.ok_or_else(|| Failure::never("base-missing", format!("the dossier lacks {}", recipe.base)))?;
        base.check(&dossiers).map_err(|e| Failure::of_input("base-broken", &e))?;
        unpack(&dossiers, base, &rootfs, &work.join("layers"), ranges)
            .map_err(|e| Failure::of_size("base-broken", &e, MEMORY))?;
        let ground = Ground {
            recipe: &recipe,
            source_date: dossier.source_date,
            rootfs: &rootfs,
            work: &work,
            ranges,
            limit: self.config.limit(),
            processes: self.config.processes,
            memory: self.config.memory_mib << 20,
        };
        let store = emptied(&lane.join("builder/out")).map_err(|e| Failure::later("store", e))?;
        let started = Moment::now();
        let (first, enforced) = self.run(&ground, 0, &runtime, &objects, &dossiers, &dossier, &store)?;
        say("the first run is done".to_owned());
        std::thread::sleep(APART);
        let (second, _) = self.run(&ground, 1, &runtime, &objects, &dossiers, &dossier, &store)?;
        say("the second run is done".to_owned());
        Ok(Built {
            trees: [first, second],
            sandbox: self.sandbox(&runtime, enforced),
            varied: VARIED.map(str::to_owned).to_vec(),
            not_varied: NOT_VARIED.map(str::to_owned).to_vec(),
            started,
            finished: Moment::now(),
        })
    }

    /// One run, from an empty folder to a tar.
    #[expect(clippy::too_many_arguments, reason = "each is one thing, and a struct would only name them again")]
    fn run(
        &self,
        ground: &Ground<'_>,
        which: usize,
        runtime: &Runtime,
        objects: &Objects,
        dossiers: &Layout,
        dossier: &Dossier,
        store: &Layout,
    ) -> Result<(Descriptor, Vec<String>), Failure> {
        let setting = SETTINGS[which];
        let folder = self.ground_floor(&ground.work.join(setting.name))?;
        let source = folder.join("source");
        objects.write(&source, setting.order).map_err(|e| Failure::of_size("source-broken", &e, OUTPUT))?;
        for (number, submodule) in dossier.submodules.iter().enumerate() {
            if !objects.pins(&submodule.path, &submodule.commit) {
                let text = format!("{:?}: the source tree pins no such submodule there", submodule.path);
                return Err(Failure::never("submodule-broken", text));
            }
            let blobs = ground.work.join(format!("{}-blobs-{number}", setting.name));
            Objects::read(dossiers, &submodule.objects, &submodule.commit, &blobs)
                .and_then(|objects| objects.write(&source.join(&submodule.path), setting.order))
                .map_err(|e| Failure::of_size("submodule-broken", &e, OUTPUT))
                .map_err(|failure| Failure {
                    message: format!("{}: {}", submodule.path, failure.message),
                    ..failure
                })?;
        }
        make_folder(&folder.join("out")).map_err(|e| Failure::later("work-folder", e))?;
        let enforced = setting.run(ground, &runtime.path)?;
        let most = self.config.output_mib << 20;
        let tree = collect(&folder.join("out"), most, store).map_err(|e| match e {
            CollectError::Io { .. } | CollectError::Layout(_) => Failure::later("output", e),
            _ => Failure::never("output-refused", format!("the {} run: {e}", setting.name)),
        })?;
        // What one run left takes no room from the next.
        rustix::mount::unmount(&folder, UnmountFlags::DETACH).map_err(|e| Failure::later("work-folder", e))?;
        Ok((tree, enforced))
    }

    /// A file system of its own for this build, with a size; it goes when the room ends, however it ends.
    fn workplace(&self, work: &Path) -> Result<PathBuf, Failure> {
        tmpfs(work, self.config.memory_mib)
    }

    /// A file system for one run: a build that fills it has spoiled nothing but itself.
    fn ground_floor(&self, folder: &Path) -> Result<PathBuf, Failure> {
        make_folder(folder).map_err(|e| Failure::later("work-folder", e))?;
        tmpfs(folder, self.config.output_mib)
    }

    fn sandbox(&self, runtime: &Runtime, mut enforced: Vec<String>) -> Sandbox {
        let mut not_enforced = Vec::new();
        for (what, limit) in [("memory", &self.posture.memory), ("processes", &self.posture.processes)] {
            match limit.starts_with("not enforced") {
                true => not_enforced.push(format!("{what}: {limit}")),
                false => enforced.push(format!("{what}: {limit}")),
            }
        }
        enforced.push(format!("processes of one user id: {}", self.config.processes));
        enforced.push(format!("time: {} s a run", self.config.limit().as_secs()));
        enforced.push(format!("source tree and output: {} MiB a run", self.config.output_mib));
        if !has_ranges() {
            not_enforced.push("owners: one id only".to_owned());
        }
        Sandbox {
            runtime: runtime.name.clone(),
            version: runtime.version.clone(),
            verdict: runtime.verdict.as_str().to_owned(),
            advisories: runtime.advisories.clone(),
            enforced,
            not_enforced,
        }
    }
}

/// Whether this room's user namespace has more than one id.
fn has_ranges() -> bool {
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.lines().count() > 1)
}

/// A tmpfs, with one inode for each page it may have: these cost memory as well.
fn tmpfs(place: &Path, mib: u64) -> Result<PathBuf, Failure> {
    let options = std::ffi::CString::new(format!("size={mib}m,nr_inodes={},mode=0755", mib << 8)).unwrap_or_default();
    rustix::mount::mount("tmpfs", place, "tmpfs", MountFlags::NODEV, options.as_c_str())
        .map_err(|e| Failure::later("work-folder", format!("mounting a tmpfs on {}: {e}", place.display())))?;
    Ok(place.to_owned())
}

/// The store, without what earlier builds left: a comparer has read it, or its pass has ended and builds again.
fn emptied(store: &Path) -> Result<Layout, LayoutError> {
    let blobs = store.join("blobs");
    match fs::remove_dir_all(&blobs) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(LayoutError::Io { path: blobs, cause }),
        _ => Layout::create(store),
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// The recipe in the source tree, which is the one that the dossier names.
fn recipe_of(objects: &Objects, dossier: &Dossier) -> Result<Recipe, Failure> {
    let bytes = objects.root_file(recipe::PATH, recipe::LIMIT).map_err(|e| Failure::of_input("recipe-missing", &e))?;
    if Digest::of(&bytes) != dossier.recipe {
        return Err(Failure::never("dossier-broken", "the recipe in the tree is not the one that the dossier names"));
    }
    Recipe::parse(&bytes).map_err(|e| Failure::never("recipe-invalid", e))
}

//! Two real promotions, made once for all tests that only look at them: the log and the releases of yesterday and today.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use artifact::Digest;
use artifact::key::Ed25519Key;
use artifact::name::Repository;
use audit::checkpoint::{Checkpoint, SignedCheckpoint};
use audit::reader::{Entry, Log};
use verifier::trust::Trust;

use super::copy;
use super::forged::Forged;
use crate::scene::Scene;

/// A perimeter that has promoted twice.
pub struct Promoted {
    /// Whoever changes something in it has made it for itself.
    pub scene: Mutex<Scene>,
    /// Where it released to.
    pub release: Repository,
    /// The perimeter's configuration.
    pub config: PathBuf,
    /// The perimeter's state.
    pub state: PathBuf,
    /// The trust file of verifiers.
    pub trust_file: PathBuf,
    /// The log after the first promotion.
    pub yesterday: PathBuf,
    /// The log after the second.
    pub today: PathBuf,
    /// The production repository, an OCI layout.
    pub layout: PathBuf,
    /// What was released, the first first.
    pub released: [Digest; 2],
    pub trust: Trust,
    _folder: tempfile::TempDir,
}

static SHARED: Mutex<Weak<Promoted>> = Mutex::new(Weak::new());

impl Promoted {
    /// The one that another test has made, while it lives; or a new one.
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = shared.upgrade() {
            return there;
        }
        let new = Arc::new(Self::new());
        *shared = Arc::downgrade(&new);
        new
    }

    /// The entries of the second log.
    pub fn entries(&self) -> Vec<Entry> {
        Log::open(&self.today, &self.trust.log).unwrap().1
    }

    /// Writes a log that its own key has signed, and that this keeper would never write: it was taken over.
    pub fn show_instead(&self, forged: &Forged, folder: &Path) {
        fs::remove_dir_all(folder).unwrap();
        forged.write(folder);
        let seed = fs::read(self.state.join("public/log/own/key")).unwrap();
        let size = forged.leaves.len();
        let origin = self.trust.log.name().to_owned();
        let other = Checkpoint { origin, size: size as u64, root: *forged.checkpoint(size).root() };
        let signed = SignedCheckpoint::sign(other, &Ed25519Key::from_seed(&seed).unwrap()).unwrap();
        fs::write(folder.join("checkpoint"), signed.note()).unwrap();
    }

    /// Two promotions to a registry without the referrers API, so that there are fallback tags as well.
    pub fn new() -> Self {
        let (scene, folder) = (Scene::new(), tempfile::tempdir().unwrap());
        let at = |name: &str| folder.path().join(name);
        scene.world.production.set_referrers_api(false);
        let promote = |word: &str, log: &Path| -> Digest {
            scene.green(word);
            scene.once(0);
            copy(&scene.world.perimeter.log(), log);
            scene.released("latest").unwrap().parse().unwrap()
        };
        let (yesterday, today, layout) = (at("yesterday"), at("today"), at("layout"));
        let released = [promote("one", &yesterday), promote("two", &today)];
        copy(&scene.world.production.layout("prod/app"), &layout);
        assert!(fs::exists(layout.join("index.json")).unwrap() && released[0] != released[1]);
        let (perimeter, release) = (&scene.world.perimeter, scene.line.release.clone());
        let (config, state) = (perimeter.config().to_owned(), perimeter.state().to_owned());
        let trust_file = perimeter.trust().to_owned();
        let trust = Trust::load(&trust_file).unwrap();
        let (scene, _folder) = (Mutex::new(scene), folder);
        Self { scene, release, config, state, trust_file, yesterday, today, layout, released, trust, _folder }
    }
}

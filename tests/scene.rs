//! A world with one project on a tiny base, as most tests want it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use artifact::CommitId;
use artifact::name::Pinned;
use demo::base::Base;
use demo::command::Ran;
use demo::project::tiny;
use demo::world::{Line, World};
use serde_json::Value;

/// The world, and what one project of it needs.
pub struct Scene {
    pub world: World,
    pub line: Line,
    pub base: Pinned,
    /// Last, so that it goes last.
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A world with the project `app`, its keys pinned.
    pub fn new() -> Self {
        let scene = Self::unpinned();
        scene.world.keys().unwrap();
        scene
    }

    /// The same, before its keys are.
    pub fn unpinned() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut world = World::start(folder.path()).unwrap();
        let base = world.base(Base::Tiny).unwrap();
        let line = world.project("app", &[&base], |_| {}).unwrap();
        Self { world, line, base, _folder: folder }
    }

    /// A signed commit whose image holds a word.
    pub fn commit(&self, word: &str) -> CommitId {
        self.line.forge.commit(&tiny(&self.base, word), word, Some(&self.world.developer)).unwrap()
    }

    /// A signed commit that CI has made green.
    pub fn green(&self, word: &str) -> CommitId {
        let commit = self.commit(word);
        self.world.green(&self.line, &commit).unwrap();
        commit
    }

    /// One pass; it must end with this status.
    pub fn once(&self, status: i32) -> Ran {
        let ran = self.world.perimeter.once().unwrap();
        assert_eq!(ran.status, status, "{}\n{}", ran.stdout, ran.stderr);
        ran
    }

    /// The log's entries, as `log list --json` has them; the log must verify.
    pub fn entries(&self) -> Vec<Value> {
        let verified = self.world.perimeter.verify_log().unwrap();
        assert_eq!(verified.status, 0, "{}", verified.stderr);
        let list = self.world.perimeter.countersign(&["log", "list", "--json"]).unwrap();
        assert_eq!(list.status, 0, "{}", list.stderr);
        list.json().unwrap().as_array().unwrap().clone()
    }

    /// How many entries of a kind the log has.
    pub fn count(&self, kind: &str) -> usize {
        self.entries().iter().filter(|e| e["kind"] == kind).count()
    }

    /// What production names by a tag.
    pub fn released(&self, tag: &str) -> Option<String> {
        self.world.production.tags("prod/app").get(tag).map(ToString::to_string)
    }

    /// Checks a release as a deployer would; it must end with this status.
    pub fn verify(&self, reference: &str, status: i32) -> Ran {
        let ran = self.world.perimeter.verify_image(&format!("{}{reference}", self.line.release)).unwrap();
        assert_eq!(ran.status, status, "{}\n{}", ran.stdout, ran.stderr);
        ran
    }
}

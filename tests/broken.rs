//! Broken rooms: a stand-in (`tests/mallory`) takes a room's place, inside the same walls and with the same keys, and turns
//! one thing hostile. Each line of the table in docs/threats.md is tried here, on the real binaries.

mod builder;
mod comparer;
mod coordinator;
mod intake;
mod keeper;
mod stores;

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use artifact::CommitId;
use demo::binaries::Binaries;
use demo::ci::Report;
use demo::command::Ran;

use crate::scene::Scene;

/// A room that can be broken: its binary, and the file of the configuration that it reads.
#[derive(Clone, Copy)]
struct Room {
    binary: &'static str,
    file: &'static str,
}

const INTAKE: Room = Room { binary: "countersign-intake", file: "intake.toml" };
const BUILDER: Room = Room { binary: "countersign-builder", file: "builder.toml" };
const COMPARER: Room = Room { binary: "countersign-compare", file: "compare.toml" };
const KEEPER: Room = Room { binary: "countersign-keeper", file: "keeper.toml" };
const COORDINATOR: Room = Room { binary: "countersign", file: "countersign.toml" };

impl Room {
    /// The house's binaries with this one replaced, made once.
    fn house(self) -> PathBuf {
        static MADE: Mutex<Vec<&str>> = Mutex::new(Vec::new());
        let folder = crate::binaries().join("broken").join(self.binary);
        let mut made = MADE.lock().unwrap_or_else(|e| e.into_inner());
        if !made.contains(&self.binary) {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
            for entry in fs::read_dir(crate::binaries()).unwrap().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                if name.starts_with("countersign") && !name.contains('.') {
                    let from = if name == self.binary { "countersign-mallory" } else { &name };
                    let (from, to) = (crate::binaries().join(from), folder.join(&name));
                    fs::hard_link(&from, &to).or_else(|_| fs::copy(&from, &to).map(drop)).unwrap();
                }
            }
            made.push(self.binary);
        }
        folder
    }

    /// One pass with this room broken in this way; the next ones have the real room again.
    fn pass(self, scene: &Scene, attack: &str) -> Ran {
        scene.world.configure().unwrap();
        let path = scene.world.perimeter.config().join(self.file);
        let text = fs::read_to_string(&path).unwrap();
        scene.world.perimeter.write(self.file, &format!("{text}\n# mallory: {attack}\n")).unwrap();
        let ran = scene.world.perimeter.on(Binaries::at(&self.house())).once().unwrap();
        scene.world.configure().unwrap();
        ran
    }

    /// One pass that must end so: this status, this word on standard error, nothing new in production, and a log that
    /// verifies.
    fn fails(self, scene: &Scene, attack: &str, status: i32, word: &str) -> Ran {
        let (writes, tags) = (scene.world.production.journal().len(), scene.world.production.tags("prod/app"));
        let ran = self.pass(scene, attack);
        assert_eq!(ran.status, status, "{attack}\n{}", ran.stderr);
        assert!(ran.stderr.contains(word), "{attack}: {word} is expected\n{}", ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{attack}\n{}", ran.stderr);
        assert_eq!(scene.world.production.journal().len(), writes, "{attack}: production was written to");
        assert_eq!(scene.world.production.tags("prod/app"), tags, "{attack}");
        scene.entries();
        ran
    }
}

/// Evidence anew, so that a refused commit is a promotion again.
fn tested_again(scene: &Scene, commit: &CommitId, attempt: usize) {
    let report = Report::green(&["build", "test"]).attempt(attempt as u64 + 2);
    scene.world.ci.report(&scene.line.evidence, commit, &report).unwrap();
}

/// An honest pass releases the commit, and everything that says so agrees.
fn released_honestly(scene: &Scene, commit: &CommitId) {
    scene.once(0);
    let shown = scene.world.perimeter.show(commit.as_str()).unwrap();
    assert_eq!(shown["stage"], "released", "{shown}");
    assert_eq!(scene.released("latest").as_deref(), shown["digest"].as_str());
    scene.verify(":latest", 0);
}

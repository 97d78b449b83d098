//! Faults by system call: each call with which a room writes, names, unnames or sends, or reads one of its stores, fails *not
//! done*, fails *done*, and is the last of its process. Started again, the pass ends with one release. Meanwhile a reader
//! polls production, and never finds a name on what is not signed.
//!
//! The calls of a pass are listed first, and those that differ only in what is different each time (a digest, a number) are
//! one kind; each round takes one call of a kind. `COUNTERSIGN_FAULTS=all` tries every kind with every fate, a first and a
//! seeded further call of it, and any other value of it those whose description contains that; otherwise it is a seeded
//! sample of so many rounds, and `COUNTERSIGN_SEED` chooses another.

mod tracer;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use artifact::CommitId;
use demo::registry::Registry;

use self::tracer::{Call, End, Fate};
use crate::random::Dice;
use crate::scene::Scene;

/// The rounds of a sample: some three minutes of two cores.
const SAMPLE: usize = 80;

/// Worlds that are tried at the same time: a pass waits more than it works.
const WORLDS: usize = 3;

/// The binaries of the house whose calls are tried.
const TRIED: [&str; 7] = [
    "countersign",
    "countersign-launch",
    "countersign-intake",
    "countersign-builder",
    "countersign-compare",
    "countersign-keeper",
    "countersign-signer",
];

/// One call of a pass, and what becomes of it.
#[derive(Debug, Clone)]
struct Fault {
    call: Call,
    /// Which of the calls of its kind, from zero.
    which: usize,
    fate: Fate,
}

#[test]
fn a_pass_in_which_any_call_fails_or_is_the_last_ends_with_one_release() {
    let faults = faults();
    let (next, hits) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let faulty = Mutex::new(Vec::new());
    std::thread::scope(|threads| {
        for _ in 0..WORLDS {
            threads.spawn(|| {
                let mut world = Crashing::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fault) = faults.get(number) else { break };
                    eprintln!("{number}: {fault:?}");
                    match world.round(fault) {
                        Ok(struck) => {
                            if !struck {
                                eprintln!("{number}: was not met again");
                            }
                            hits.fetch_add(usize::from(struck), Ordering::Relaxed)
                        }
                        Err(what) => {
                            // At once: a run of everything takes long.
                            eprintln!("{fault:?}: {what}");
                            faulty.lock().unwrap().push(format!("{fault:?}: {what}"));
                            // Whatever is left behind must not spoil the next round.
                            world = Crashing::new();
                            continue;
                        }
                    };
                }
            });
        }
    });
    let faulty = faulty.into_inner().unwrap();
    assert!(faulty.is_empty(), "{} of {} rounds:\n{}", faulty.len(), faults.len(), faulty.join("\n"));
    // A call that happens twice in one pass may happen once in the next, and a log that has grown has other folders.
    let hits = hits.into_inner();
    assert!(hits * 5 > faults.len() * 4, "only {hits} of {} calls were met again", faults.len());
}

/// What is tried: everything, or a sample of it.
fn faults() -> Vec<Fault> {
    let mut calls: BTreeMap<Call, usize> = BTreeMap::new();
    let scene = Scene::new();
    // The second promotion: the first makes folders and keys that are there later.
    for word in ["first", "second"] {
        scene.green(word);
        calls.clear();
        let end = tracer::run(&scene.world.perimeter.command(&["once"]), scene.world.perimeter.state(), &mut |call| {
            *calls.entry(call.clone()).or_default() += 1;
            None
        });
        assert_eq!(
            end,
            End::Status(0),
            "a pass that is only looked at: {}",
            tracer::said(scene.world.perimeter.state())
        );
    }
    for binary in TRIED {
        assert!(calls.keys().any(|call| call.binary == binary), "no call of {binary} was seen");
    }
    let seed = std::env::var("COUNTERSIGN_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut random = Dice(seed);
    let mut faults = Vec::new();
    for (call, count) in &calls {
        for fate in Fate::ALL {
            faults.push(Fault { call: call.clone(), which: 0, fate });
            if *count > 1 {
                faults.push(Fault { call: call.clone(), which: 1 + random.roll(count - 1), fate });
            }
        }
    }
    let all = faults.len();
    if let Ok(chosen) = std::env::var("COUNTERSIGN_FAULTS") {
        faults.retain(|fault| chosen == "all" || format!("{fault:?}").contains(&chosen));
        assert!(!faults.is_empty(), "no fault is like {chosen}");
        eprintln!("{} kinds of calls, {} of {all} rounds", calls.len(), faults.len());
        return faults;
    }
    let sample = (0..SAMPLE.min(all)).map(|_| faults.swap_remove(random.roll(faults.len()))).collect();
    eprintln!("{} kinds of calls, {SAMPLE} of {all} rounds, seed {seed}", calls.len());
    sample
}

/// A world whose passes are disturbed, with a reader that polls its production.
struct Crashing {
    scene: Scene,
    releases: usize,
    entries: usize,
}

impl Crashing {
    fn new() -> Self {
        let scene = Scene::new();
        scene.green("before any fault");
        scene.once(0);
        let entries = scene.entries().len();
        Self { scene, releases: 1, entries }
    }

    /// One promotion with a fault in its first pass. Whether the call was met.
    fn round(&mut self, fault: &Fault) -> Result<bool, String> {
        let commit = self.scene.green(&format!("word {}", self.releases));
        let over = AtomicBool::new(false);
        let (production, state) = (&self.scene.world.production, self.scene.world.perimeter.state());
        let mut left = Some(fault.which);
        let end = std::thread::scope(|threads| {
            let poller = threads.spawn(|| poll(production, &over));
            let end = tracer::run(&self.scene.world.perimeter.command(&["once"]), state, &mut |call| {
                let which = left.filter(|_| *call == fault.call)?;
                left = which.checked_sub(1);
                (which == 0).then_some(fault.fate)
            });
            let kept = self.keep_checkpoint();
            let finished = self.finish().and_then(|()| self.begins_with(&kept?));
            over.store(true, Ordering::Relaxed);
            poller
                .join()
                .unwrap()
                .and(finished.map(|()| end))
                .map_err(|what| format!("{end:?}: {what}\n{}", tracer::said(state)))
        })?;
        if end == End::Hung {
            return Err("the pass did not end".to_owned());
        }
        let said = tracer::said(state);
        self.judge(&commit).map_err(|what| format!("{end:?}: {what}\n{said}"))?;
        Ok(left.is_none())
    }

    /// Keeps what the log had acknowledged when the fault had done its work.
    fn keep_checkpoint(&self) -> Result<PathBuf, String> {
        let kept = self.scene.world.perimeter.state().with_file_name("kept");
        fs::copy(self.scene.world.perimeter.log().join("checkpoint"), &kept).map_err(|e| e.to_string())?;
        Ok(kept)
    }

    /// What was acknowledged is still there, to the last entry.
    fn begins_with(&self, kept: &Path) -> Result<(), String> {
        let since = ["log", "verify", "--since", kept.to_str().unwrap()];
        let ran = self.scene.world.perimeter.countersign(&since).unwrap();
        if ran.status == 0 { Ok(()) } else { Err(ran.stderr) }
    }

    /// The next pass ends it; on a busy machine one may say first that something is not to be had.
    fn finish(&self) -> Result<(), String> {
        let mut said = String::new();
        for _ in 0..3 {
            let ran = self.scene.world.perimeter.once().unwrap();
            said = format!("{said}a pass without a fault ends with {}: {}\n", ran.status, ran.stderr);
            match ran.status {
                0 => return Ok(()),
                3 => eprintln!("{said}"),
                _ => break,
            }
        }
        Err(said)
    }

    /// One release, nothing twice, nothing lost.
    fn judge(&mut self, commit: &CommitId) -> Result<(), String> {
        let entries = self.scene.entries();
        let count = |kind: &str| entries.iter().filter(|e| e["kind"] == kind).count();
        let shown = self.scene.world.perimeter.show(commit.as_str()).map_err(|e| e.to_string())?;
        let bundles = shown["history"].as_array().unwrap().iter().filter(|e| e["kind"] == "bundle").count();
        let found = (count("release"), shown["stage"].as_str(), bundles);
        let named = self.scene.released("latest");
        if entries.len() <= self.entries || found != (self.releases + 1, Some("released"), 3) {
            return Err(format!(
                "{} entries after {}; releases, stage, bundles: {found:?}",
                entries.len(),
                self.entries
            ));
        }
        if named.is_none() || named.as_deref() != shown["digest"].as_str() {
            return Err(format!("latest is {named:?}, and {} was released", shown["digest"]));
        }
        (self.releases, self.entries) = (self.releases + 1, entries.len());
        self.scene.verify(":latest", 0);
        Ok(())
    }
}

/// Whatever a tag names has its three bundles, from the moment it names it.
fn poll(production: &Registry, over: &AtomicBool) -> Result<(), String> {
    let mut sound = BTreeSet::new();
    while !over.load(Ordering::Relaxed) {
        for (tag, digest) in production.tags("prod/app").into_iter().filter(|(tag, _)| !tag.starts_with("sha256-")) {
            if sound.contains(&digest) {
                continue;
            }
            let attached = production.referrers("prod/app", &digest).unwrap().len();
            if attached < 3 {
                return Err(format!("{tag} names {digest}, which has {attached} bundles"));
            }
            sound.insert(digest);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// One pass, in which the first process of a binary is killed at its first call. Whether there was one.
pub fn lose(scene: &Scene, binary: &str) -> bool {
    let mut lost = false;
    tracer::run(&scene.world.perimeter.command(&["once"]), scene.world.perimeter.state(), &mut |call| {
        let now = !lost && call.binary == binary;
        lost |= now;
        now.then_some(Fate::Killed)
    });
    lost
}

/// One pass, in which a binary is killed at this call of its own, counted from zero. Whether it got there.
pub fn disturb(scene: &Scene, binary: &str, which: usize) -> bool {
    let (mut count, mut struck) = (0, false);
    tracer::run(&scene.world.perimeter.command(&["once"]), scene.world.perimeter.state(), &mut |call| {
        let now = !struck && call.binary == binary && count == which;
        count += usize::from(call.binary == binary);
        struck |= now;
        now.then_some(Fate::Killed)
    });
    struck
}

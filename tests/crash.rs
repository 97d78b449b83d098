//! Kill -9, of each process, at each stage: started again, the pass ends with one release. Meanwhile a reader polls
//! production, and never finds a name on what is not signed.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use demo::registry::Registry;
use rustix::process::{Pid, Signal};

use crate::rooms::{first_argument, processes};
use crate::scene::Scene;

/// What to kill: a binary, its which-th process in the pass, and how long after it was first seen.
const POINTS: &[(&str, usize, u64)] = &[
    ("countersign-launch", 1, 0),
    ("countersign-launch", 1, 900),
    ("countersign", 1, 0),
    ("countersign", 1, 400),
    ("countersign-keeper", 1, 0),
    ("countersign-keeper", 1, 600),
    ("countersign-intake", 1, 0),
    ("countersign-intake", 2, 0),
    ("countersign-intake", 2, 60),
    ("countersign-builder", 1, 0),
    ("countersign-builder", 1, 700),
    ("countersign-compare", 1, 0),
    ("countersign-compare", 1, 30),
    ("countersign-intake", 3, 0),
    ("countersign-signer", 1, 0),
    ("countersign-signer", 1, 15),
    ("countersign-signer", 1, 40),
    ("countersign-signer", 1, 80),
    ("countersign-signer", 1, 150),
];

#[test]
fn a_pass_that_is_killed_anywhere_ends_with_one_release() {
    let scene = Scene::new();
    let done = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let (production, over) = (&scene.world.production, &done);
        let poller = threads.spawn(move || poll(production, over));
        let (mut size, mut hit) = (0, 0);
        for (number, point) in POINTS.iter().enumerate() {
            let commit = scene.green(&format!("word {number}"));
            hit += usize::from(kill_at(&scene, *point));
            let mut tries = 0;
            while scene.world.perimeter.once().unwrap().status != 0 {
                tries += 1;
                assert!(tries < 5, "{point:?}: the pass does not end");
            }
            let entries = scene.entries();
            assert!(entries.len() > size, "{point:?}: the log lost entries");
            size = entries.len();
            let releases = entries.iter().filter(|e| e["kind"] == "release").count();
            assert_eq!(releases, number + 1, "{point:?}: releases");
            let shown = scene.world.perimeter.show(commit.as_str()).unwrap();
            assert_eq!(shown["stage"], "released", "{point:?}");
            assert_eq!(scene.released("latest").as_deref(), shown["digest"].as_str(), "{point:?}");
            let bundles = shown["history"].as_array().unwrap().iter().filter(|e| e["kind"] == "bundle").count();
            assert_eq!(bundles, 3, "{point:?}: bundles, each made once");
            scene.verify(":latest", 0);
        }
        // A room can be quicker than the wait before its death; most must have been alive.
        assert!(hit > POINTS.len() / 2, "only {hit} of {} were killed in time", POINTS.len());
        done.store(true, Ordering::Relaxed);
        poller.join().unwrap();
    });
}

/// Whatever a tag names has its three bundles.
fn poll(production: &Registry, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        for (tag, digest) in production.tags("prod/app") {
            if tag.starts_with("sha256-") {
                continue;
            }
            let attached = production.referrers("prod/app", &digest).unwrap();
            assert!(attached.len() >= 3, "{tag} names {digest}, which has {} bundles", attached.len());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Starts a pass, waits for the process, kills it, and waits for the pass to end. Whether there was one to kill.
fn kill_at(scene: &Scene, (binary, which, after): (&str, usize, u64)) -> bool {
    let mut command = scene.world.perimeter.command(&["once"]);
    let mut pass = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let wanted = crate::binaries().join(binary);
    let mut seen: Vec<i32> = Vec::new();
    let victim = loop {
        if pass.try_wait().unwrap().is_some() {
            return false;
        }
        for process in processes() {
            let Ok(pid) = process.file_name().unwrap().to_string_lossy().parse::<i32>() else { continue };
            // `countersign once` itself becomes the launcher; the coordinator is the one inside.
            if first_argument(&process).as_deref() == Some(wanted.as_path())
                && is_below(pid, pass.id())
                && !seen.contains(&pid)
            {
                seen.push(pid);
            }
        }
        if let Some(pid) = seen.get(which - 1) {
            break *pid;
        }
    };
    std::thread::sleep(Duration::from_millis(after));
    // It may have ended by itself; then the pass goes on.
    let killed = Pid::from_raw(victim).is_some_and(|pid| rustix::process::kill_process(pid, Signal::KILL).is_ok());
    pass.wait().unwrap();
    killed
}

/// Whether a process is the pass itself or was started below it.
fn is_below(mut pid: i32, ancestor: u32) -> bool {
    while pid > 1 {
        if pid as u32 == ancestor {
            return true;
        }
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)?.parse().ok());
        pid = parent.unwrap_or(0);
    }
    false
}

//! The two runs of a recipe, in environments that differ.

use std::path::{Path, PathBuf};
use std::time::Duration;

use artifact::failure::Failure;
use artifact::recipe::{OUT, Recipe, SOURCE};
use hardening::bundle::{Bind, Bundle, Ended, SandboxError};
use rustix::thread::CpuSet;

use crate::checkout::Order;
use crate::escape::escaped;

/// The shared parts of both runs.
#[derive(Debug)]
pub struct Ground<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Seconds since 1970, for every time stamp.
    pub source_date: i64,
    /// The root file system.
    pub rootfs: &'a Path,
    /// Where runs have their folders.
    pub work: &'a Path,
    /// Whether this room has a range of ids.
    pub ranges: bool,
    /// How long one run may take.
    pub limit: Duration,
    /// How many processes one run may have.
    pub processes: u64,
    /// How much memory one process may have, in bytes.
    pub memory: u64,
}

/// What one run is given that the other is not.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// `first` or `second`.
    pub name: &'static str,
    hostname: &'static str,
    source: &'static str,
    locale: &'static str,
    zone: &'static str,
    one_cpu: bool,
    /// Which way its source folders are filled.
    pub order: Order,
}

/// The two settings.
pub const SETTINGS: [Setting; 2] = [
    Setting {
        name: "first",
        hostname: "build",
        source: SOURCE,
        locale: "C.UTF-8",
        zone: "UTC0",
        one_cpu: false,
        order: Order::Ascending,
    },
    Setting {
        name: "second",
        hostname: "rebuild-elsewhere",
        source: "/build/again/elsewhere/source",
        locale: "C",
        zone: "FAR-13",
        one_cpu: true,
        order: Order::Descending,
    },
];

/// What differs between the settings, for statements.
pub const VARIED: [&str; 7] = [
    "host name",
    "parent of the build path",
    "elapsed clock",
    "number of processors",
    "order of files in source folders",
    "locale",
    "time zone",
];

/// What is the same in both, and why.
pub const NOT_VARIED: [&str; 4] =
    ["uid: always 0 inside", "umask: recipes install with it", "date: the host's clock", "kernel: the host's"];

impl Setting {
    /// The bundle for this run.
    pub fn bundle(&self, ground: &Ground<'_>) -> Bundle {
        let folder = ground.work.join(self.name);
        let env = vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            "HOME=/tmp".to_owned(),
            format!("LANG={}", self.locale),
            format!("LC_ALL={}", self.locale),
            format!("OUT={OUT}"),
            format!("SOURCE_DATE_EPOCH={}", ground.source_date),
            format!("TZ={}", self.zone),
        ];
        Bundle {
            folder: folder.join("bundle"),
            rootfs: ground.rootfs.to_owned(),
            hostname: self.hostname.to_owned(),
            cwd: self.source.to_owned(),
            umask: 0o022,
            env,
            binds: vec![
                Bind { source: folder.join("source"), destination: PathBuf::from(self.source) },
                Bind { source: folder.join("out"), destination: PathBuf::from(OUT) },
            ],
            ranges: ground.ranges,
            processes: ground.processes,
            memory: ground.memory,
        }
    }

    /// Runs the recipe's steps, and says what the sandbox was found to enforce before them.
    ///
    /// # Errors
    /// A step that failed or took too long; or no sandbox.
    pub fn run(&self, ground: &Ground<'_>, runtime: &Path) -> Result<Vec<String>, Failure> {
        let everywhere = rustix::thread::sched_getaffinity(None).map_err(|e| Failure::later("no-processors", e))?;
        if self.one_cpu {
            let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| everywhere.is_set(*cpu)).unwrap_or(0);
            let mut one = CpuSet::new();
            one.set(last);
            rustix::thread::sched_setaffinity(None, &one).map_err(|e| Failure::later("no-processors", e))?;
        }
        let name = format!("countersign-{}", self.name);
        let ended = self.bundle(ground).run(runtime, &name, &script(ground.recipe), ground.limit);
        rustix::thread::sched_setaffinity(None, &everywhere).map_err(|e| Failure::later("no-processors", e))?;
        let ended = ended.map_err(|e| match &e {
            SandboxError::NotAsAsked(_) => Failure::later("sandbox-not-as-asked", e),
            SandboxError::Io { .. } => Failure::later("sandbox-unavailable", e),
        })?;
        self.judge(ground, &ended)?;
        Ok(ended.enforced)
    }

    fn judge(&self, ground: &Ground<'_>, ended: &Ended) -> Result<(), Failure> {
        let seconds = ground.limit.as_secs();
        match ended.status {
            Some(0) => Ok(()),
            None => {
                let last = last(&ended.tail);
                let text = format!("the {} run took more than {seconds} s. Its last lines:\n{last}", self.name);
                Err(Failure::never("build-timed-out", text))
            }
            Some(status) => {
                let step = step(&ended.tail, ground.recipe.steps.len());
                let last = last(&ended.tail);
                let killed = if status == KILLED { " (killed: out of memory?)" } else { "" };
                let text = format!(
                    "the {} run: step {step} ended with status {status}{killed}. Its last lines:\n{last}",
                    self.name
                );
                Err(Failure::never("build-failed", text))
            }
        }
    }
}

/// A shell's status for a program that was killed.
const KILLED: i32 = 128 + 9;

/// How many lines of a run's output are told.
const LINES: usize = 12;

/// The last lines that the recipe's own programs printed; nothing in them moves a cursor or hides.
fn last(tail: &str) -> String {
    let lines: Vec<String> =
        tail.lines().filter(|l| !l.starts_with(MARK)).map(|l| escaped(l.trim_end().as_bytes())).collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Which step was the last to begin, as far as the output tells: a build may print such lines itself.
fn step(tail: &str, steps: usize) -> String {
    let mut said = tail.lines().rev().filter_map(|l| l.strip_prefix(MARK)?.parse::<usize>().ok());
    said.find(|step| (1..=steps).contains(step)).map_or_else(|| "?".to_owned(), |step| step.to_string())
}

/// Printed before each step, so that a failing one can be named.
const MARK: &str = "countersign: step ";

/// All steps as one script: each in a shell of its own, in the source tree. The recipe's environment begins here: what
/// looks at the sandbox before it must not load what a variable names.
fn script(recipe: &Recipe) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let mut script = String::new();
    for (name, value) in &recipe.env {
        script.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    for (number, step) in recipe.steps.iter().enumerate() {
        script.push_str(&format!("echo '{MARK}{}'\n/bin/sh -e -c {}\n", number + 1, quoted(step)));
    }
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_build_printed_can_neither_name_a_step_that_is_none_nor_move_a_cursor() {
        let tail =
            "countersign: step 2\na\tb\x1b]0;done\x07\u{9b}2J\r\ncountersign: step 9\ncountersign: step \x1b[2J\n";
        assert_eq!((step(tail, 2), step(tail, 1)), ("2".to_owned(), "?".to_owned()));
        assert_eq!(step("countersign: step 2\ncountersign: step two\n", 2), "2");
        assert_eq!(last(tail), r"a\x09b\x1b]0;done\x07\xc2\x9b2J");
    }

    #[test]
    fn a_recipes_environment_is_in_its_steps_and_nowhere_before_them() {
        let base = format!("r.example/b@{}", artifact::Digest::of(b"x"));
        let text = format!("version = 1\nbase = \"{base}\"\nsteps = ['echo \"$A\"']\nenv = {{ A = \"it's\" }}\n");
        let recipe = Recipe::parse(text.as_bytes()).unwrap();
        let nowhere = Path::new("/nowhere");
        let ground = Ground {
            recipe: &recipe,
            source_date: 0,
            rootfs: nowhere,
            work: nowhere,
            ranges: false,
            limit: Duration::from_secs(1),
            processes: 1,
            memory: 1,
        };
        assert!(!SETTINGS[0].bundle(&ground).env.iter().any(|variable| variable.starts_with("A=")));
        let out = std::process::Command::new("/bin/sh").args(["-e", "-c", &script(&recipe)]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout), "countersign: step 1\nit's\n");
    }

    #[test]
    fn steps_are_quoted_and_numbered() {
        let base = format!("r.example/b@{}", artifact::Digest::of(b"x"));
        let text = format!("version = 1\nbase = \"{base}\"\nsteps = [\"echo 'a b'\", \"false\"]\n");
        let recipe = Recipe::parse(text.as_bytes()).unwrap();
        let out = std::process::Command::new("/bin/sh").args(["-e", "-c", &script(&recipe)]).output().unwrap();
        assert_eq!(out.status.code(), Some(1));
        assert_eq!(String::from_utf8_lossy(&out.stdout), "countersign: step 1\na b\ncountersign: step 2\n");
    }
}

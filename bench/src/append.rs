//! Durable appends: our keeper against Tessera's POSIX driver, on one disk in one run.
//!
//! A writer waits until its entry is acknowledged, and then has the next one ready. Ours is acknowledged with its receipt under a
//! checkpoint that is durable and published. Tessera publishes no more often than each 100 ms, so it is measured twice: until a
//! checkpoint holds the entry, and until the entry is durable and in the tree, with no checkpoint of it yet.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use artifact::Moment;
use artifact::digest::{Base64, hex};
use artifact::failure::Failure;
use audit::door::{SUBMISSIONS, Submission};
use audit::entry::{Body, Halted};
use audit::keeper::Keeper;
use demo::command::run;
use demo::trouble::{During as _, Trouble};

use crate::measure::{median, seconds};

/// How many writers there are.
const WRITERS: [usize; 3] = [1, 16, 256];

/// The bytes of a leaf, as Tessera's in `tests/peers/tessera`.
const LEAF: usize = 1000;

/// What a number of writers had.
#[derive(Default)]
struct Figures {
    /// Entries a second, a round each.
    rates: Vec<f64>,
    /// How long each entry took, in milliseconds.
    latencies: Vec<f64>,
}

impl Figures {
    fn add(&mut self, latencies: Vec<f64>, seconds: f64) {
        self.rates.push(latencies.len() as f64 / seconds);
        self.latencies.extend(latencies);
    }

    fn p99(&self) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    }
}

/// Each contestant in turn, so many rounds, for each number of writers.
///
/// # Errors
/// When a log can't be written, or Tessera not be had.
pub fn measure(rounds: usize, length: Duration) -> Result<(), Trouble> {
    let tessera = peer("tessera")?;
    println!("\ndurable appends, {rounds} rounds of {} s, leaves of {LEAF} bytes", length.as_secs());
    println!("{:>7} {:34} {:>10} {:>10} {:>10}   a second / ours", "writers", "", "a second", "median ms", "p99 ms");
    for writers in WRITERS {
        let names = ["ours", "ours, with bodies", "tessera, until published", "tessera, until integrated"];
        let mut figures: [Figures; 4] = Default::default();
        for _ in 0..rounds {
            for (figures, submission) in figures.iter_mut().zip([raw as Make, body]) {
                let (latencies, seconds) = ours(writers, length, submission)?;
                figures.add(latencies, seconds);
            }
            for (figures, until) in figures[2..].iter_mut().zip(["published", "integrated"]) {
                let (latencies, seconds) = theirs(&tessera, writers, length, until)?;
                figures.add(latencies, seconds);
            }
        }
        let first = median(figures[0].rates.clone());
        for (name, figures) in names.iter().zip(&figures) {
            let (rate, middle) = (median(figures.rates.clone()), median(figures.latencies.clone()));
            println!("{writers:7} {name:34} {rate:10.0} {middle:10.2} {:10.2}   {:.2}", figures.p99(), rate / first);
        }
    }
    Ok(())
}

/// The folder of a peer's programs.
pub fn peer(name: &str) -> Result<PathBuf, Trouble> {
    let get = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/get");
    Ok(PathBuf::from(run(Command::new(get).arg(name))?.stdout.trim()))
}

/// Makes an entry.
type Make = fn() -> Result<Submission, Trouble>;

/// A leaf shaped as Rekor's.
fn raw() -> Result<Submission, Trouble> {
    let mut random = [0; LEAF / 2];
    getrandom::fill(&mut random).map_err(Trouble::wrong)?;
    let around = r#"{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"text":""}}"#;
    let text = &hex(&random)[..LEAF - around.len()];
    Ok(Submission::Raw(Base64(around.replace(r#""""#, &format!("\"{text}\"")).into_bytes())))
}

/// An entry of ours, with a body of that size.
fn body() -> Result<Submission, Trouble> {
    let mut random = [0; LEAF / 2];
    getrandom::fill(&mut random).map_err(Trouble::wrong)?;
    let at = Moment::from_unix(1).ok_or_else(|| Trouble::wrong("no such moment"))?;
    Ok(Submission::Body(Body::from(Halted { failure: Failure::halt("bench", hex(&random)), at })))
}

/// One entry on its way, and whom to tell.
type Waiting = (Submission, Sender<()>);

/// Our keeper, behind a queue: each append takes as many as wait.
fn ours(writers: usize, length: Duration, make: Make) -> Result<(Vec<f64>, f64), Trouble> {
    let folder = place()?;
    let (tiles, own) = (folder.path().join("tiles"), folder.path().join("own"));
    for folder in [&tiles, &own] {
        fs::create_dir(folder).during(folder.display())?;
    }
    let mut keeper = Keeper::open(&tiles, &own, "log.bench.example").map_err(Trouble::wrong)?;
    let (queue, waiting) = channel();
    let start = Instant::now();
    let end = start + length;
    let latencies = std::thread::scope(|scope| {
        let keeping = scope.spawn(|| keep(&mut keeper, waiting));
        let writing: Vec<_> = (0..writers).map(|_| scope.spawn(write(queue.clone(), end, make))).collect();
        drop(queue);
        let written: Result<Vec<Vec<f64>>, Trouble> = writing.into_iter().map(joined).collect();
        joined(keeping)?;
        Ok(written?.concat())
    });
    latencies.map(|latencies: Vec<f64>| (latencies, seconds(start.elapsed())))
}

fn joined<T>(thread: std::thread::ScopedJoinHandle<'_, Result<T, Trouble>>) -> Result<T, Trouble> {
    thread.join().unwrap_or_else(|_| Err(Trouble::wrong("a thread panicked")))
}

fn keep(keeper: &mut Keeper, waiting: Receiver<Waiting>) -> Result<(), Trouble> {
    while let Ok(first) = waiting.recv() {
        let group: Vec<_> = std::iter::once(first).chain(waiting.try_iter().take(SUBMISSIONS - 1)).collect();
        let (submissions, writers): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let since = keeper.checkpoint().size();
        let appended = keeper.append(submissions, since).map_err(Trouble::wrong)?;
        if appended.receipts.len() != writers.len() {
            return Err(Trouble::wrong("a receipt is missing"));
        }
        writers.into_iter().try_for_each(|writer| writer.send(())).map_err(Trouble::wrong)?;
    }
    Ok(())
}

fn write(queue: Sender<Waiting>, end: Instant, make: Make) -> impl FnOnce() -> Result<Vec<f64>, Trouble> {
    move || {
        let mut latencies = Vec::new();
        while Instant::now() < end {
            let (submission, (done, acknowledged)) = (make()?, channel());
            let asked = Instant::now();
            queue.send((submission, done)).map_err(Trouble::wrong)?;
            acknowledged.recv().map_err(Trouble::wrong)?;
            latencies.push(seconds(asked.elapsed()) * 1e3);
        }
        Ok(latencies)
    }
}

fn theirs(tessera: &Path, writers: usize, length: Duration, until: &str) -> Result<(Vec<f64>, f64), Trouble> {
    let folder = place()?;
    let mut command = Command::new(tessera.join("tessera"));
    command.arg("add").arg(folder.path()).arg(writers.to_string()).arg(length.as_secs().to_string()).arg(until);
    let printed = run(&mut command)?.stdout;
    let mut numbers = printed.lines().map(str::parse).collect::<Result<Vec<f64>, _>>().map_err(Trouble::wrong)?;
    let seconds = numbers.pop().ok_or_else(|| Trouble::wrong("tessera printed nothing"))?;
    Ok((numbers, seconds))
}

/// A folder on a disk: `/tmp` may lie in memory.
fn place() -> Result<tempfile::TempDir, Trouble> {
    let own = std::env::current_exe().during("finding this program")?;
    let beside = own.parent().ok_or_else(|| Trouble::wrong("this program has no folder"))?;
    tempfile::tempdir_in(beside).during("a folder for a log")
}

//! Whole processes, timed from outside by `time`, several times in turn.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use demo::command::run;
use demo::trouble::{During as _, Trouble};

/// What one run took.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// From start to end, in seconds.
    pub wall: f64,
    /// On all processors, in seconds.
    pub cpu: f64,
    /// The largest of its processes, in MiB.
    pub peak: f64,
    /// What it left, in MiB; zero when that means nothing.
    pub size: f64,
}

/// What `time` is to print.
const FORMAT: &str = "%e %U %S %M";

/// Runs a command, and gives what it took and what it printed.
///
/// # Errors
/// When it fails.
pub fn time(command: &Command) -> Result<(Cost, String), Trouble> {
    let file = tempfile::NamedTempFile::new().during("a file for figures")?;
    let mut timed = Command::new("/usr/bin/time");
    timed.args(["-f", FORMAT, "-o"]).arg(file.path()).arg(command.get_program()).args(command.get_args());
    timed.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ran = run(&mut timed)?;
    let figures = std::fs::read_to_string(file.path()).during(file.path().display())?;
    let numbers: Vec<f64> = figures.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, user, system, kib] = numbers[..] else {
        return Err(Trouble::wrong(format!("time printed {figures:?}")));
    };
    Ok((Cost { wall, cpu: user + system, peak: kib / 1024.0, size: 0.0 }, ran.stdout))
}

/// The sizes of all files below a folder, in MiB.
pub fn size(folder: &Path) -> f64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => size(&entry.path()),
        Ok(meta) => meta.len() as f64 / f64::from(1 << 20),
        Err(_) => 0.0,
    });
    sizes.sum()
}

/// The one in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of the ratios, pair by pair.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(a, b)| a / b).collect())
}

/// As a fraction of seconds.
pub fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}

/// Prints one row for each contestant: its medians, and the median of its ratios to the first, round by round.
pub fn table(title: &str, contestants: &[(&str, Vec<Cost>)]) {
    println!("\n{title}");
    println!("{:34} {:>8} {:>8} {:>9} {:>9}   wall / ours", "", "wall s", "cpu s", "peak MiB", "size MiB");
    let Some((_, ours)) = contestants.first() else { return };
    for (name, costs) in contestants {
        let of = |figure: fn(&Cost) -> f64| median(costs.iter().map(figure).collect());
        let walls = |costs: &[Cost]| Vec::from_iter(costs.iter().map(|cost| cost.wall));
        println!(
            "{name:34} {:8.2} {:8.2} {:9.0} {:9.1}   {:.2}",
            of(|c| c.wall),
            of(|c| c.cpu),
            of(|c| c.peak),
            of(|c| c.size),
            ratio(&walls(costs), &walls(ours))
        );
    }
}

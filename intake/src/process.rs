//! Starting the one foreign program that intake starts, and not waiting for it forever.

use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group};

/// How often the clock and the folder are looked at.
const TICK: Duration = Duration::from_millis(250);

/// The most bytes of an error's text that are kept: its end, where the cause stands.
const SAID: usize = 4 << 10;

/// What a program may use.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// How long it may run.
    pub time: Duration,
    /// The most bytes of its output.
    pub output: usize,
    /// How large a folder may grow meanwhile, in bytes.
    pub folder: Option<(PathBuf, u64)>,
}

/// Why a program did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// It could not be started, or waited for.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It was killed for taking too long.
    #[error("not done within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// It was killed for what it said or fetched.
    #[error("more than the limit of {0} bytes")]
    TooLarge(u64),
    /// It failed.
    #[error("{said} ({status})")]
    Failed {
        /// How it ended.
        status: ExitStatus,
        /// What it said last, bounded and escaped.
        said: String,
    },
}

/// Runs a program to its end, in a process group of its own, and gives its output.
pub(crate) fn run(command: &mut Command, limits: &Limits) -> Result<Vec<u8>, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = command.spawn()?;
    let ran = watch(&mut child, limits);
    // It, and what it started: after an error, and after a good end that left something behind.
    let group = Pid::from_child(&child);
    let _ = kill_process_group(group, Signal::KILL);
    let status = child.wait()?;
    let (output, said) = ran?;
    match status.success() {
        true => Ok(output),
        false => Err(RunError::Failed { status, said: last_lines(&said) }),
    }
}

fn watch(child: &mut Child, limits: &Limits) -> Result<(Vec<u8>, Vec<u8>), RunError> {
    let deadline = Instant::now() + limits.time;
    let pipe = || io::Error::other("a pipe is missing");
    let mut stdout = child.stdout.take().ok_or_else(pipe)?;
    let mut stderr = child.stderr.take().ok_or_else(pipe)?;
    let (mut output, mut said) = (Vec::new(), Vec::new());
    let (mut out_open, mut err_open) = (true, true);
    let mut piece = [0; 16 << 10];
    while out_open || err_open || child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            return Err(RunError::TimedOut(limits.time));
        }
        if let Some((folder, limit)) = &limits.folder
            && size(folder) > *limit
        {
            return Err(RunError::TooLarge(*limit));
        }
        if !out_open && !err_open {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        }
        let (out_ready, err_ready) = {
            let (out_fd, err_fd) = (stdout.as_fd(), stderr.as_fd());
            let mut fds = Vec::new();
            fds.extend(out_open.then(|| PollFd::new(&out_fd, PollFlags::IN)));
            fds.extend(err_open.then(|| PollFd::new(&err_fd, PollFlags::IN)));
            let tick = Timespec { tv_sec: 0, tv_nsec: TICK.as_nanos() as _ };
            poll(&mut fds, Some(&tick)).map_err(io::Error::from)?;
            let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
            (out_open && ready.next().unwrap_or(false), err_open && ready.next().unwrap_or(false))
        };
        if out_ready {
            let n = stdout.read(&mut piece)?;
            out_open = n > 0;
            output.extend_from_slice(&piece[..n]);
            if output.len() > limits.output {
                return Err(RunError::TooLarge(limits.output as u64));
            }
        }
        if err_ready {
            let n = stderr.read(&mut piece)?;
            err_open = n > 0;
            said.extend_from_slice(&piece[..n]);
            let excess = said.len().saturating_sub(SAID);
            said.drain(..excess);
        }
    }
    Ok((output, said))
}

/// What git says after every failure of a remote, whatever it was.
const EMPTY_WORDS: [&str; 2] = ["Please make sure you have the correct access rights", "and the repository exists."];

/// The last lines that say something, for a person: on one line, escaped. Git names the cause before the consequence.
fn last_lines(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !EMPTY_WORDS.contains(l));
    let mut lines: Vec<&str> = lines.collect();
    lines.drain(..lines.len().saturating_sub(3));
    if lines.is_empty() {
        return "it said nothing".to_owned();
    }
    let lines: Vec<String> = lines.into_iter().map(artifact::digest::shortened).collect();
    printable(&lines.join("; "))
}

/// A text from outside for a person's terminal: what does not print is escaped, quotes stay as they are.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// The bytes of a folder's files, one level of folders deep: as far as git's object stores go.
fn size(folder: &Path) -> u64 {
    let files = |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten();
    files(folder)
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => files(&entry.path()).filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum(),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limits: &Limits) -> Result<Vec<u8>, RunError> {
        run(Command::new("sh").args(["-c", script]), limits)
    }

    fn limits() -> Limits {
        Limits { time: Duration::from_secs(20), output: 1000, folder: None }
    }

    #[test]
    fn output_comes_back_and_errors_say_why() {
        assert_eq!(sh("echo a; echo b >&2", &limits()).unwrap(), b"a\n");
        let error = sh("printf 'one\\ntw\\033o\\n' >&2; exit 3", &limits()).unwrap_err().to_string();
        assert_eq!(error, "one; tw\\u{1b}o (exit status: 3)");
    }

    #[test]
    fn what_takes_too_long_or_says_too_much_is_killed() {
        let soon = Limits { time: Duration::from_millis(300), ..limits() };
        let start = Instant::now();
        assert!(matches!(sh("sleep 30 & sleep 30", &soon), Err(RunError::TimedOut(_))));
        assert!(matches!(sh("exec >&- 2>&-; sleep 30", &soon), Err(RunError::TimedOut(_))));
        assert!(matches!(sh("yes", &limits()), Err(RunError::TooLarge(1000))));
        assert!(start.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_folder_that_grows_too_large_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let small = Limits { folder: Some((folder.path().to_owned(), 1000)), ..limits() };
        let script = format!("mkdir {0}/pack; head -c 5000 /dev/zero > {0}/pack/x; sleep 30", folder.path().display());
        assert!(matches!(sh(&script, &small), Err(RunError::TooLarge(1000))));
    }
}

//! Other programs, run to their end.

use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::trouble::Trouble;

/// How much of what a failed program printed is shown, in bytes: the last lines say why.
const SHOWN: usize = 4000;

/// What a program did.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its exit status; 128 and the signal's number when one ended it.
    pub status: i32,
    /// What it printed.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// What it printed, as JSON.
    ///
    /// # Errors
    /// When it is none.
    pub fn json(&self) -> Result<serde_json::Value, Trouble> {
        serde_json::from_str(&self.stdout)
            .map_err(|e| Trouble::wrong(format!("not JSON ({e}): {}\n{}", last(&self.stdout), last(&self.stderr))))
    }
}

/// Runs a program to its end, whatever its status.
///
/// # Errors
/// When it can't be started.
pub fn ran(command: &mut Command) -> Result<Ran, Trouble> {
    let start = Instant::now();
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().map_err(|cause| Trouble::Start { program, cause })?;
    Ok(Ran {
        status: number(output.status),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: start.elapsed(),
    })
}

/// Runs a program that must succeed.
///
/// # Errors
/// When it can't be started, or ends with another status than 0.
pub fn run(command: &mut Command) -> Result<Ran, Trouble> {
    let ran = ran(command)?;
    if ran.status == 0 {
        return Ok(ran);
    }
    let said = format!("{}{}", last(&ran.stdout), last(&ran.stderr));
    Err(Trouble::Command { command: words(command), status: ran.status, said })
}

/// A program by its name, looked for where an ordinary user's `PATH` does not look as well: runc and chroot lie in
/// `/usr/sbin`.
pub fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    path.push(":/usr/sbin:/sbin");
    let mut command = Command::new(name);
    command.env("PATH", path);
    command
}

/// Whether this process is root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// An exit status as shells number it.
pub fn number(status: std::process::ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// A command line for a person to read, and to paste.
pub fn words(command: &Command) -> String {
    let word = |w: &std::ffi::OsStr| {
        let text = w.to_string_lossy();
        let plain = !text.is_empty() && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_./:=@,+%".contains(&c));
        if plain { text.into_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    std::iter::once(command.get_program()).chain(command.get_args()).map(word).collect::<Vec<_>>().join(" ")
}

fn last(text: &str) -> &str {
    let mut from = text.len().saturating_sub(SHOWN);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_what_it_said() {
        let said = run(Command::new("sh").args(["-c", "echo why >&2; exit 7"])).unwrap_err().to_string();
        assert_eq!(said, "sh -c 'echo why >&2; exit 7'\nended with status 7:\nwhy\n");
        assert_eq!(ran(Command::new("sh").args(["-c", "kill -9 $$"])).unwrap().status, 137);
        assert!(matches!(run(&mut Command::new("/no/such/program")), Err(Trouble::Start { .. })));
    }
}

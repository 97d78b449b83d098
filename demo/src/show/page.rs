//! What the audience sees: headings, steps with the time they took, and other programs' lines as they come.

use std::io::{self, BufRead as _, BufReader, IsTerminal as _, Read as _, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{Ran, number};
use crate::trouble::{During as _, Trouble};

/// Standard output, with colours for a person only.
#[derive(Debug)]
pub struct Page {
    colour: bool,
    terminal: bool,
    start: Instant,
}

impl Page {
    /// An empty page.
    pub fn begin() -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { colour: terminal && !plain, terminal, start: Instant::now() }
    }

    /// How long the show has been going on.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// A heading.
    pub fn heading(&self, text: &str) {
        self.line(&format!("\n{}", self.paint("1", text)));
    }

    /// A paragraph.
    pub fn text(&self, text: &str) {
        self.line(text);
    }

    /// Does something, and says what and how long it took.
    ///
    /// # Errors
    /// As `work`.
    pub fn step<T>(&self, what: &str, work: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
        if self.terminal {
            // Cut, because a line that wraps can't be written over.
            let begin: String = what.chars().take(66).collect();
            self.write(&format!("  {} {begin}", self.paint("2", "      …")));
        }
        let start = Instant::now();
        let done = work();
        let mark = if done.is_ok() { seconds(start.elapsed()) } else { "failed ".to_owned() };
        let again = if self.terminal { "\r" } else { "" };
        self.line(&format!("{again}  {} {what}", self.paint(if done.is_ok() { "2" } else { "31" }, &mark)));
        done
    }

    /// A command as a person would type it.
    pub fn command(&self, text: &str) {
        self.line(&format!("\n  {} {}", self.paint("2", "$"), self.paint("1", text)));
    }

    /// Runs a program, and shows what it says on standard error as it comes, then what it printed.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn live(&self, command: &mut Command, with_output: bool) -> Result<Ran, Trouble> {
        let start = Instant::now();
        let program = command.get_program().to_string_lossy().into_owned();
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|cause| Trouble::Start { program: program.clone(), cause })?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        // Both pipes are read at once: a full one would stop the program.
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            out.map_or(Ok(0), |mut out| out.read_to_end(&mut bytes)).map(|_| bytes)
        });
        let mut stderr = String::new();
        for line in err.into_iter().flat_map(|err| BufReader::new(err).split(b'\n')) {
            let line = line.during(&program)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            self.quote(&line);
            stderr.push_str(&line);
            stderr.push('\n');
        }
        let status = child.wait().during(&program)?;
        let stdout = reader.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into())).during(&program)?;
        let stdout = String::from_utf8_lossy(&stdout).into_owned();
        if with_output {
            stdout.lines().for_each(|line| self.quote(line));
        }
        Ok(Ran { status: number(status), stdout, stderr, took: start.elapsed() })
    }

    /// A line that another program printed.
    pub fn quote(&self, line: &str) {
        // What others print can't move the cursor, whatever they mean by it.
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.line(&format!("  {} {line}", self.paint("2", "│")));
    }

    /// How an act ended.
    pub fn verdict(&self, good: bool, text: &str) {
        self.line(&format!("\n  {}", self.paint(if good { "1;32" } else { "1;31" }, text)));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    fn line(&self, text: &str) {
        self.write(&format!("{text}\n"));
    }

    /// Nobody listens any more when this fails, and the show is over at the next step anyway.
    fn write(&self, text: &str) {
        let mut out = io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}

/// In seven columns.
fn seconds(took: Duration) -> String {
    format!("{:6.1}s", took.as_secs_f32())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_says_much_is_heard_to_its_end() {
        let page = Page { colour: false, terminal: false, start: Instant::now() };
        let script = "i=0; while [ $i -lt 3000 ]; do echo out-of-the-pipe $i; i=$((i+1)); done; echo said >&2; exit 3";
        let ran = page.live(Command::new("sh").args(["-c", script]), false).unwrap();
        assert_eq!((ran.status, ran.stdout.lines().count(), ran.stderr.as_str()), (3, 3000, "said\n"));
    }
}

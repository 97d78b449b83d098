//! What a person reads while work goes on: one line a step, on standard error.

use std::io::IsTerminal as _;
use std::time::Instant;

pub use artifact::words::printable;

/// The most characters of a line.
const LINE: usize = 4000;

/// Prints lines with the time since the start.
#[derive(Debug)]
pub struct Timeline {
    start: Instant,
    colour: bool,
}

impl Timeline {
    /// Starts the clock.
    pub fn start() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Self { start: Instant::now(), colour: !plain && std::io::stderr().is_terminal() }
    }

    /// One line: who, what.
    pub fn line(&self, who: &str, what: &str) {
        let since = self.start.elapsed();
        // Rooms say what they like, and a frame has room for megabytes.
        let end = what.char_indices().nth(LINE).map_or(what.len(), |(end, _)| end);
        let what = printable(&what[..end]);
        if self.colour {
            eprintln!("\x1b[2m{:6.1}s\x1b[0m  \x1b[36m{who:<11}\x1b[0m {what}", since.as_secs_f32());
        } else {
            eprintln!("{:6.1}s  {who:<11} {what}", since.as_secs_f32());
        }
    }
}

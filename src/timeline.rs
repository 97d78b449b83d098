//! What a person reads while work goes on: one line a step, on standard error.

use std::io::IsTerminal as _;
use std::time::Instant;

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

/// Text from outside can't move the cursor, colour the terminal or begin a line of its own.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        let hidden =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if c.is_control() || hidden {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_can_not_forge_a_line() {
        assert_eq!(printable("a\nok\x1b[2J\u{202e}b"), "a\\u{a}ok\\u{1b}[2J\\u{202e}b");
    }
}

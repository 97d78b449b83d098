//! What came from outside, as a line that a person can read and a terminal can't be tricked with.

use std::fmt::Write as _;

/// The longest line, in bytes of what is printed, before it is cut: lists of differences must fit in a frame, and in an
/// entry of the log, whatever the names are made of.
const LONGEST: usize = 400;

/// A path, a link's target or words. Control characters, characters that turn the direction of writing or that nobody
/// sees, and bytes that are no UTF-8 are escaped (`\x1b`), and so is the backslash. What is very long is cut.
pub fn escaped(text: &[u8]) -> String {
    let mut line = String::new();
    for chunk in text.utf8_chunks() {
        for letter in chunk.valid().chars() {
            let mut bytes = [0; 4];
            match letter {
                '\\' => line.push_str("\\\\"),
                _ if hidden(letter) => hex(letter.encode_utf8(&mut bytes).as_bytes(), &mut line),
                _ => line.push(letter),
            }
            if line.len() >= LONGEST {
                line.push('…');
                return line;
            }
        }
        hex(chunk.invalid(), &mut line);
        if line.len() >= LONGEST {
            line.push('…');
            return line;
        }
    }
    line
}

/// A piece of a file: everything but printable ASCII is escaped.
pub fn escaped_bytes(bytes: &[u8]) -> String {
    let mut line = String::new();
    for byte in bytes {
        if line.len() >= LONGEST {
            line.push('…');
            return line;
        }
        match byte {
            b'\\' => line.push_str("\\\\"),
            0x20..=0x7e => line.push(char::from(*byte)),
            _ => hex(&[*byte], &mut line),
        }
    }
    line
}

fn hidden(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn hex(bytes: &[u8], line: &mut String) {
    for byte in bytes {
        // Writing to a String does not fail.
        let _ = write!(line, "\\x{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        assert_eq!(escaped(b"a\x1b[2J\\\xff\n"), r"a\x1b[2J\\\xff\x0a");
        assert_eq!(escaped("ä\u{202e}b\u{9b}".as_bytes()), r"ä\xe2\x80\xaeb\xc2\x9b");
        assert_eq!(escaped_bytes("ä\0~".as_bytes()), r"\xc3\xa4\x00~");
        assert!(escaped(&[b'a'; 5_000]).ends_with("a…"));
        for letter in ["\u{e0001}", "\u{ad}", "ä", "\\", "\u{1f600}"] {
            let line = escaped(letter.repeat(5_000).as_bytes());
            assert!(line.len() < LONGEST + 24 && line.ends_with('…'), "{line}");
        }
        for bytes in [[0xff; 5_000], [b'\\'; 5_000]] {
            assert!(escaped(&bytes).len() < LONGEST + 24 && escaped_bytes(&bytes).len() < LONGEST + 24);
        }
    }
}

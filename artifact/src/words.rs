//! Words from outside, as an error may quote them: bounded, on one line, with nothing in them that a terminal acts on.

/// The most characters that are quoted of a text.
const QUOTED: usize = 100;

/// The most bytes that a quotation has once it is escaped.
const ESCAPED: usize = 300;

/// How much of a long line is kept of its beginning, and of its end, in bytes: a parser says at the end where it was.
const HEAD: usize = 300;
const TAIL: usize = 100;

/// What an error quotes of a text from outside: enough to find it, never all of a hostile one. For `{:?}`, which escapes
/// what does not print.
pub fn shortened(text: &str) -> String {
    let mut escaped = 0;
    let end = text.char_indices().enumerate().find(|(count, (_, letter))| {
        escaped += letter.escape_debug().map(char::len_utf8).sum::<usize>();
        *count == QUOTED || escaped > ESCAPED
    });
    match end {
        Some((_, (end, _))) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A text with what a terminal would act on, or a reader would not see, spelled out: it can't move the cursor, colour the
/// terminal, turn the direction of writing or begin a line of its own.
pub fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match unseen(letter) {
            true => safe.extend(letter.escape_unicode()),
            false => safe.push(letter),
        }
    }
    safe
}

/// A JSON document for a terminal: what [`printable`] spells out, JSON's own escapes spell here. A program reads the same.
/// Outside of its strings JSON has nothing of the kind but line feeds, which stay.
pub fn printable_json(document: &str) -> String {
    let mut safe = String::with_capacity(document.len());
    for letter in document.chars() {
        match letter != '\n' && unseen(letter) {
            true => letter.encode_utf16(&mut [0; 2]).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}"))),
            false => safe.push(letter),
        }
    }
    safe
}

/// What a parser said, which quotes its input as it stands: on one line, escaped, and without the middle when it is long.
pub fn one_line(text: &str) -> String {
    let mut line = String::new();
    for letter in text.chars() {
        match letter {
            '\n' => line.push_str("; "),
            _ if unseen(letter) => line.extend(letter.escape_unicode()),
            _ => line.push(letter),
        }
    }
    if line.len() <= HEAD + TAIL {
        return line;
    }
    let boundary = |at: &usize| line.is_char_boundary(*at);
    let head = (0..=HEAD).rev().find(boundary).unwrap_or(0);
    let tail = (line.len() - TAIL..line.len()).find(boundary).unwrap_or(line.len());
    format!("{} … {}", &line[..head], &line[tail..])
}

/// Whether a terminal acts on it, or a reader does not see it: control characters, and those that turn the direction of
/// writing or have no width.
fn unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quotation_is_short_whatever_it_quotes() {
        assert_eq!(shortened("plain"), "plain");
        for letter in ["a", "\u{1b}", "\u{10ffff}", "\u{1f600}", "\\"] {
            let quoted = format!("{:?}", shortened(&letter.repeat(5_000)));
            assert!(quoted.len() < 420, "{} bytes", quoted.len());
        }
    }

    #[test]
    fn text_from_outside_can_not_forge_a_line() {
        assert_eq!(printable("a\nok\u{1b}[2J\u{202e}b\u{2028}"), "a\\u{a}ok\\u{1b}[2J\\u{202e}b\\u{2028}");
    }

    #[test]
    fn a_document_is_the_same_for_a_program_and_harmless_on_a_terminal() {
        let words = ["a\nok\u{1b}[2J", "\u{9b}2J\u{7f}", "\u{202e}b\u{2028}", "\u{e0001}", "plain \u{1f600} ä"];
        let document = serde_json::to_string_pretty(&words).unwrap();
        let safe = printable_json(&document);
        assert!(!safe.chars().any(|letter| letter != '\n' && unseen(letter)), "{safe}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&safe).unwrap(), words);
        assert!(safe.contains("\\u009b2J\\u007f") && safe.contains("plain \u{1f600} ä"), "{safe}");
    }

    #[test]
    fn a_line_is_one_line_and_keeps_its_end() {
        assert_eq!(one_line("a\n\u{1b}[2J\u{202e}"), "a; \\u{1b}[2J\\u{202e}");
        let long = format!("unknown field `{}` at line 1 column 7", "\u{7}ä".repeat(1_000));
        let line = one_line(&long);
        assert!(
            line.len() < 420 && line.ends_with("at line 1 column 7") && line.starts_with("unknown field"),
            "{line}"
        );
    }
}

//! Files that people write, in TOML: read strictly, with errors of one line. The TOML crate's own text shows the source
//! line as it stands, however long it is and whatever it would do to a terminal.

use serde::de::DeserializeOwned;

use crate::words::one_line;

/// Why a file was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {why}")]
pub struct SettingsError {
    line: usize,
    column: usize,
    why: String,
}

/// Reads a file's text. The type says whether unknown fields are errors; a key twice always is one.
///
/// # Errors
/// Not TOML, or another shape: where, and why.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, SettingsError> {
    toml::from_str(text).map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start).min(text.len());
        let before = &text.as_bytes()[..at];
        let begin = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        SettingsError {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            column: 1 + String::from_utf8_lossy(&before[begin..]).chars().count(),
            why: one_line(error.message()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct File {
        #[expect(dead_code, reason = "only its name matters")]
        name: String,
    }

    #[test]
    fn an_error_says_where_and_shows_nothing_of_the_file_that_could_hurt() {
        for (text, place) in [
            ("name = \"a\"\n\"\\u001b[2J\" = 1\n".to_owned(), "line 2, column 1: "),
            (format!("name = \"a\"\nother = \"{}\"\n", "x".repeat(9_000)), "line 2, column 1: "),
            ("name = \"a\"\nname = \"b\"\n".to_owned(), "line 2, column 1: "),
            ("name = \"\u{1b}\"\n".to_owned(), "line 1, column 9: "),
            (String::new(), "line 1, column 1: "),
        ] {
            let error = parse::<File>(&text).unwrap_err().to_string();
            assert!(error.starts_with(place) && error.len() < 500 && !error.contains(char::is_control), "{error}");
        }
    }
}

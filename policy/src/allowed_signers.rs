//! Allowed signers: whose SSH keys count, in the format of ssh-keygen(1), "ALLOWED SIGNERS", by a stricter reading.
//!
//! Principals are taken as they stand: a pattern (`*`, `?`, `!`), a certificate authority or a time without a `Z` is an
//! error that names the line, never a line that is passed over.

use artifact::Moment;
use artifact::digest::shortened;
use artifact::words::one_line;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

/// The most lines that are read.
const LINES: usize = 10_000;

/// Why a list was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("allowed signers, line {line}: {why}")]
pub struct AllowedSignersError {
    line: usize,
    why: String,
}

/// A list of keys, and whose they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedSigners(Vec<Signer>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Signer {
    principal: String,
    namespaces: Option<Vec<String>>,
    valid_after: Option<Moment>,
    valid_before: Option<Moment>,
    key: KeyData,
}

impl AllowedSigners {
    /// Reads a list.
    ///
    /// # Errors
    /// The first line that is not understood in full.
    pub fn parse(text: &str) -> Result<Self, AllowedSignersError> {
        let mut signers = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let error = |why: String| AllowedSignersError { line: number + 1, why };
            if number >= LINES {
                return Err(error(format!("more than {LINES} lines")));
            }
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                signers.extend(signers_of(line).map_err(error)?);
            }
        }
        Ok(Self(signers))
    }

    /// Whether nobody is on it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key this is, for signatures in a namespace made at a moment.
    pub fn principal(&self, key: &KeyData, namespace: &str, at: Moment) -> Option<&str> {
        let counts = |s: &&Signer| {
            s.key == *key
                && s.namespaces.as_ref().is_none_or(|n| n.iter().any(|n| n == namespace))
                && s.valid_after.is_none_or(|from| from <= at)
                && s.valid_before.is_none_or(|until| at <= until)
        };
        self.0.iter().find(counts).map(|s| s.principal.as_str())
    }
}

/// One line: a signer for each of its principals.
fn signers_of(line: &str) -> Result<Vec<Signer>, String> {
    let (principals, rest) = line.split_once([' ', '\t']).ok_or("only one word: principals, options, key")?;
    let rest = rest.trim_start();
    let (options, key) = match PublicKey::from_openssh(rest) {
        Ok(key) => ("", key),
        Err(_) => {
            let (options, key) = split_options(rest)?;
            (
                options,
                PublicKey::from_openssh(key)
                    .map_err(|e| format!("no key that we read: {}", one_line(&e.to_string())))?,
            )
        }
    };
    let mut signer = Signer {
        principal: String::new(),
        namespaces: None,
        valid_after: None,
        valid_before: None,
        key: key.key_data().clone(),
    };
    for option in split_quoted(options, ',') {
        apply(&mut signer, option)?;
    }
    principals
        .split(',')
        .map(|principal| {
            if principal.is_empty() || principal.contains(['*', '?', '!', '"']) {
                return Err(format!("principal {:?}: exact names only, no patterns", shortened(principal)));
            }
            Ok(Signer { principal: principal.to_owned(), ..signer.clone() })
        })
        .collect()
}

fn apply(signer: &mut Signer, option: &str) -> Result<(), String> {
    let (name, value) = option.split_once('=').unwrap_or((option, ""));
    let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
    let there = match name.to_ascii_lowercase().as_str() {
        "namespaces" => signer.namespaces.is_some(),
        "valid-after" => signer.valid_after.is_some(),
        "valid-before" => signer.valid_before.is_some(),
        _ => false,
    };
    if there {
        return Err(format!("option {:?} twice", shortened(name)));
    }
    match name.to_ascii_lowercase().as_str() {
        "namespaces" if value.contains(['*', '?', '!']) => Err("namespaces: exact names only, no patterns".to_owned()),
        "namespaces" => {
            signer.namespaces = Some(value.split(',').map(str::to_owned).collect());
            Ok(())
        }
        "valid-after" => {
            signer.valid_after = Some(time(value)?);
            Ok(())
        }
        "valid-before" => {
            signer.valid_before = Some(time(value)?);
            Ok(())
        }
        _ => Err(format!("option {:?} is not one that we honour", shortened(option))),
    }
}

/// `YYYYMMDDZ`, `YYYYMMDDHHMMZ` or `YYYYMMDDHHMMSSZ`: without the `Z` it would depend on this host's time zone.
fn time(text: &str) -> Result<Moment, String> {
    let error = || format!("time {:?}: YYYYMMDD[HHMM[SS]]Z is expected", shortened(text));
    let digits = text.strip_suffix('Z').filter(|d| d.bytes().all(|c| c.is_ascii_digit())).ok_or_else(error)?;
    let full = match digits.len() {
        8 => format!("{digits}000000"),
        12 => format!("{digits}00"),
        14 => digits.to_owned(),
        _ => return Err(error()),
    };
    let part = |from, to| &full[from..to];
    format!("{}-{}-{}T{}:{}:{}Z", part(0, 4), part(4, 6), part(6, 8), part(8, 10), part(10, 12), part(12, 14))
        .parse()
        .map_err(|_| error())
}

/// Splits `options key`: at the first blank that is not quoted.
fn split_options(text: &str) -> Result<(&str, &str), String> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((&text[..at], text[at..].trim_start())),
            _ => {}
        }
    }
    Err("no key after the options".to_owned())
}

/// Splits at a separator that is not quoted; empty pieces of an empty text are none.
fn split_quoted(text: &str, separator: char) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                pieces.push(&text[start..at]);
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    if !text.is_empty() {
        pieces.push(&text[start..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJKn1rXOMKvB7Bq6Vc7oTq0A3xkYBzT3WeOeC7u9VQ0X";

    fn key() -> KeyData {
        PublicKey::from_openssh(KEY).unwrap().key_data().clone()
    }

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_counts_for_its_principals_namespaces_and_times() {
        let list = format!(
            "# people\n\nann@x,ben@x namespaces=\"git,file\",valid-after=20260101Z,valid-before=\"20261231Z\" {KEY} laptop\n"
        );
        let signers = AllowedSigners::parse(&list).unwrap();
        assert_eq!(signers.principal(&key(), "git", at("2026-06-01T00:00:00Z")), Some("ann@x"));
        assert_eq!(signers.principal(&key(), "email", at("2026-06-01T00:00:00Z")), None);
        assert_eq!(signers.principal(&key(), "git", at("2025-12-31T23:59:59Z")), None);
        assert_eq!(signers.principal(&key(), "git", at("2026-12-31T00:00:01Z")), None);
    }

    #[test]
    fn a_line_that_is_not_understood_in_full_is_an_error() {
        for wrong in [
            format!("*@x {KEY}"),
            format!("!a@x {KEY}"),
            format!("a@x cert-authority {KEY}"),
            format!("a@x namespaces=\"*\" {KEY}"),
            format!("a@x valid-after=20260101 {KEY}"),
            format!("a@x valid-after=20261301Z {KEY}"),
            format!("a@x unheard-of {KEY}"),
            format!("a@x namespaces=\"git\",namespaces=\"file\" {KEY}"),
            format!("a@x valid-before=20260101Z,Valid-Before=20270101Z {KEY}"),
            format!("a@x, {KEY}"),
            "a@x".to_owned(),
            "a@x ssh-ed25519 AAAA".to_owned(),
            "a@x namespaces=\"git".to_owned(),
        ] {
            let error = AllowedSigners::parse(&format!("# one\n{wrong}")).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{wrong}: {error}");
        }
    }
}

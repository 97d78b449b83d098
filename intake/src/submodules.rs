//! Submodules: `.gitmodules` says where they come from, the tree says at which commit. Only listed addresses are asked.

use artifact::failure::Failure;

/// The most bytes of a `.gitmodules`.
pub(crate) const LIMIT: u64 = 256 << 10;
/// Where it stands.
pub(crate) const PATH: &str = ".gitmodules";

/// One section of `.gitmodules`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// The name; git keeps its clone of it under this name.
    pub name: String,
    /// Where it stands in the tree.
    pub path: String,
    /// Where it comes from.
    pub url: String,
}

/// Reads `.gitmodules`: a narrow part of git's configuration format. What is beyond it is an error, never a guess.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Section>, Failure> {
    let fault = |line: usize, why: &str| Failure::never("submodules-invalid", format!("{PATH}, line {line}: {why}"));
    let text = std::str::from_utf8(bytes).map_err(|_| fault(0, "not UTF-8"))?;
    let mut sections: Vec<Section> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let (at, line) = (at + 1, line.trim());
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if line.contains('\\') {
            return Err(fault(at, "a backslash: write the value plainly"));
        }
        if let Some(name) = line.strip_prefix("[submodule \"").and_then(|l| l.strip_suffix("\"]")) {
            if name.is_empty() || name.contains('"') || sections.iter().any(|s| s.name == name) {
                return Err(fault(at, "a section without a name, or of a name that was there already"));
            }
            sections.push(Section { name: name.to_owned(), ..Section::default() });
            continue;
        }
        let (Some(section), Some((key, value))) = (sections.last_mut(), line.split_once('=')) else {
            return Err(fault(at, "[submodule \"NAME\"], or KEY = VALUE below it, is expected"));
        };
        let value = value.trim();
        let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
        if value.is_empty() || value.contains(['"', '#', ';']) {
            return Err(fault(at, "a value that is empty, or holds a quote or a comment: write the value plainly"));
        }
        let field = match key.trim().to_ascii_lowercase().as_str() {
            "path" => &mut section.path,
            "url" => &mut section.url,
            // How people's own clones behave: nothing to a mirror.
            _ => continue,
        };
        if !field.is_empty() {
            return Err(fault(at, "a key twice"));
        }
        *field = value.to_owned();
    }
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read() {
        let text = b"# c\n[submodule \"lib\"]\n\tpath = third/lib\n\turl = ../lib.git\n\tbranch = main\n\n[submodule \"b\"]\nurl=\"https://h/b\"\npath=\"b\"\n";
        let sections = parse(text).unwrap();
        let section =
            |name: &str, path: &str, url: &str| Section { name: name.into(), path: path.into(), url: url.into() };
        assert_eq!(sections, [section("lib", "third/lib", "../lib.git"), section("b", "b", "https://h/b")]);
    }

    #[test]
    fn what_is_not_plain_is_refused() {
        for text in [
            "path = x",
            "[core]\nx = y",
            "[submodule \"a\"]\npath",
            "[submodule \"a\"]\npath = x\npath = y",
            "[submodule \"a\"]\npath = x ; y",
            "[submodule \"a\"]\nurl = a\\\nb",
            "[submodule \"a\"]\n[submodule \"a\"]",
            "[submodule \"\"]",
            "[submodule \"a\"] path = x",
            "[include]\npath = /etc/passwd",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"\xff").is_err());
    }
}

//! What registries say, read: challenges, tokens, pages of lists and the links between them. Nothing here asks anybody.

use std::collections::BTreeMap;

use artifact::json::{self, JsonError};
use artifact::name::Tag;
use serde::Deserialize;

/// What a registry asks for before it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    /// A user's name and password.
    Basic,
    /// A token.
    Bearer {
        /// Where tokens are given.
        realm: String,
        /// For whom.
        service: Option<String>,
    },
}

impl Challenge {
    /// Reads a challenge (RFC 9110, "WWW-Authenticate"): one scheme and its quoted parameters, each once.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Self::Basic);
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parameters = BTreeMap::new();
        let mut rest = rest.trim();
        while !rest.is_empty() {
            let (name, after) = rest.split_once("=\"")?;
            let (value, after) = after.split_once('"')?;
            if parameters.insert(name.trim().to_ascii_lowercase(), value.to_owned()).is_some() {
                return None;
            }
            rest = after.trim_start().trim_start_matches(',').trim_start();
        }
        Some(Self::Bearer { realm: parameters.remove("realm")?, service: parameters.remove("service") })
    }
}

/// The token in a token server's answer. `None`: there is none.
///
/// # Errors
/// Not JSON, a key twice, or another shape.
pub fn token(bytes: &[u8]) -> Result<Option<String>, JsonError> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        token: Option<String>,
        #[serde(default)]
        access_token: Option<String>,
    }
    let answer: Answer = json::parse_foreign("token", bytes)?;
    Ok(answer.token.or(answer.access_token).filter(|t| !t.is_empty()))
}

/// The tags on one page of a list.
///
/// # Errors
/// Not JSON, a key twice, another shape, or a tag that is none.
pub fn tags(bytes: &[u8]) -> Result<Vec<Tag>, JsonError> {
    #[derive(Deserialize)]
    struct Page {
        /// Some registries write null for none.
        tags: Option<Vec<Tag>>,
    }
    let page: Page = json::parse_foreign("list of tags", bytes)?;
    Ok(page.tags.unwrap_or_default())
}

/// Where the next page is, by one `Link` header (RFC 8288), which may hold several links. `None`: there is no next page.
///
/// # Errors
/// A header that is not understood in full, or that names two next pages: taken for none, it would make a list shorter.
pub fn next_page(link: &str) -> Result<Option<&str>, &'static str> {
    const BROKEN: &str = "a Link that is none";
    let mut found = None;
    let mut rest = link.trim();
    while !rest.is_empty() {
        let (target, after) = rest.strip_prefix('<').and_then(|r| r.split_once('>')).ok_or(BROKEN)?;
        let mut is_next = false;
        rest = after.trim_start();
        while let Some(parameter) = rest.strip_prefix(';') {
            let end = parameter.find(['=', ';', ',']).unwrap_or(parameter.len());
            let (name, after) = parameter.split_at(end);
            let (value, after) = match after.strip_prefix('=') {
                Some(after) => value(after).ok_or(BROKEN)?,
                None => ("", after),
            };
            if name.trim().eq_ignore_ascii_case("rel") {
                is_next |= value.split_ascii_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"));
            }
            rest = after.trim_start();
        }
        if is_next && found.replace(target).is_some() {
            return Err("a Link with two next pages");
        }
        rest = match rest.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if rest.is_empty() => rest,
            None => return Err(BROKEN),
        };
    }
    Ok(found)
}

/// A parameter's value, quoted or not, and what stands behind it.
fn value(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    match text.strip_prefix('"') {
        Some(quoted) => quoted.split_once('"').filter(|(value, _)| !value.contains('\\')),
        None => {
            let (value, after) = text.split_at(text.find([';', ',']).unwrap_or(text.len()));
            Some((value.trim_end(), after))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(Challenge::parse("Basic realm=\"x\""), Some(Challenge::Basic));
        let bearer =
            Challenge::parse("Bearer realm=\"https://a.example/t\",service=\"r, s\", scope=\"repository:x:pull\"");
        let expected = Challenge::Bearer { realm: "https://a.example/t".into(), service: Some("r, s".into()) };
        assert_eq!(bearer, Some(expected));
        let twice = "Bearer realm=\"https://a\",realm=\"https://b\"";
        for wrong in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"https://a", twice] {
            assert_eq!(Challenge::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_next_page_is_found_wherever_it_stands_in_the_header() {
        for (link, next) in [
            ("", None),
            ("</a>; rel=\"next\"", Some("/a")),
            ("</a>;rel=next", Some("/a")),
            ("</a?x=1,2;3>; title=\"b, <c>; rel=next\"; Rel=\"prev NEXT\"", Some("/a?x=1,2;3")),
            ("</a>; rel=\"next\", </b>; rel=\"prev\"", Some("/a")),
            ("</b>; rel=\"first\", </a>; rel=\"next\"", Some("/a")),
            ("</a>; rel=\"prev\"; anchor", None),
        ] {
            assert_eq!(next_page(link), Ok(next), "{link}");
        }
        for wrong in [
            "/a; rel=next",
            "</a; rel=next",
            "</a>; rel=\"next",
            "</a> rel=next",
            "</a>; rel=next, </b>; rel=next",
            "</a>; rel=\"prev\" </b>; rel=\"next\"",
        ] {
            assert!(next_page(wrong).is_err(), "{wrong}");
        }
    }
}

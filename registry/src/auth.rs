//! Logging in: HTTP Basic, and the bearer tokens of the distribution project ("Token Authentication Specification").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use base64ct::Encoding as _;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::Client;
use crate::error::{Fault, RegistryError};
use crate::transport::{Payload, Request, body, expect};

/// The most bytes of a token server's answer.
const ANSWER: u64 = 256 << 10;

/// A user's name and password, and what they earned so far.
pub(crate) struct Login {
    basic: Option<HeaderValue>,
    /// By scope. No thread shares them; the lock is for the type's sake.
    earned: Mutex<BTreeMap<String, HeaderValue>>,
}

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String> },
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    token: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
}

impl Login {
    pub(crate) fn new(credentials: Option<(String, Zeroizing<String>)>) -> Self {
        let basic = credentials.and_then(|(user, password)| {
            let both = Zeroizing::new(format!("{user}:{}", *password));
            secret("Basic", &base64ct::Base64::encode_string(both.as_bytes()))
        });
        Self { basic, earned: Mutex::default() }
    }

    /// What is sent without being asked: only what this scope has earned before.
    pub(crate) fn header(&self, scope: &str) -> Option<HeaderValue> {
        self.earned.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    /// What to send after a 401. `None`: there is nothing to offer.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        request: &Request<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = headers.get_all(WWW_AUTHENTICATE).iter().find_map(|h| challenge(h.to_str().ok()?));
        let header = match challenge {
            Some(Challenge::Basic) => self.basic.clone(),
            Some(Challenge::Bearer { realm, service }) => {
                Some(self.token(client, request, &realm, service.as_deref()).await?)
            }
            None => None,
        };
        if let Some(header) = &header {
            let mut earned = self.earned.lock().unwrap_or_else(PoisonError::into_inner);
            earned.insert(request.scope.clone(), header.clone());
        }
        Ok(header)
    }

    /// Asks the token server, which must be a listed host; this registry's own login is sent there and no other: a token
    /// earned with another host's login would end up with whoever runs this registry.
    async fn token(
        &self,
        client: &Client,
        request: &Request<'_>,
        realm: &str,
        service: Option<&str>,
    ) -> Result<HeaderValue, RegistryError> {
        let mut url = Url::parse(realm).map_err(|_| request.error(Fault::Protocol("a realm that is no address")))?;
        let host = authority(&url);
        let endpoint = client.listed(&host).ok_or_else(|| request.error(Fault::Unlisted(host)))?;
        if endpoint.own(&url, url.as_str()).is_none() {
            return Err(request.error(Fault::Protocol("a realm whose scheme is not that of the listed host")));
        }
        url.query_pairs_mut().extend_pairs(service.map(|s| ("service", s))).append_pair("scope", &request.scope);
        let asked = Request {
            place: request.place,
            tried: "asking for a token",
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            scope: String::new(),
            volume: ANSWER,
        };
        let answer = endpoint.once(&asked, self.basic.clone()).await?;
        let answer = body(&asked, expect(&asked, answer, 200).await?, ANSWER).await?;
        let answer: Answer = artifact::json::parse_foreign("token", &answer).map_err(|e| asked.error(e))?;
        let token = answer.token.or(answer.access_token).filter(|t| !t.is_empty());
        token
            .and_then(|token| secret("Bearer", &token))
            .ok_or_else(|| asked.error(Fault::Protocol("a token server's answer without a token")))
    }
}

/// A header that is never printed.
fn secret(scheme: &str, word: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {word}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `host[:port]`, as configurations list it.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Reads a challenge (RFC 9110, "WWW-Authenticate"): one scheme and its quoted parameters.
fn challenge(text: &str) -> Option<Challenge> {
    let (scheme, rest) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut parameters = BTreeMap::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        let (name, after) = rest.split_once("=\"")?;
        let (value, after) = after.split_once('"')?;
        parameters.insert(name.trim().to_ascii_lowercase(), value.to_owned());
        rest = after.trim_start().trim_start_matches(',').trim_start();
    }
    Some(Challenge::Bearer { realm: parameters.remove("realm")?, service: parameters.remove("service") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        assert_eq!(challenge("Basic realm=\"x\""), Some(Challenge::Basic));
        let bearer = challenge("Bearer realm=\"https://a.example/t\",service=\"r, s\", scope=\"repository:x:pull\"");
        let expected = Challenge::Bearer { realm: "https://a.example/t".into(), service: Some("r, s".into()) };
        assert_eq!(bearer, Some(expected));
        for wrong in ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm=\"https://a"] {
            assert_eq!(challenge(wrong), None, "{wrong}");
        }
    }
}

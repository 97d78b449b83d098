//! Witnesses of a log (C2SP tlog-witness), asked as registries are: no redirects, no proxy, bounded in time and size, and
//! plain HTTP on loopback only.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, Url};

use crate::auth::authority;
use crate::error::{Fault, RegistryError};
use crate::hosts::{Host, Hosts, is_loopback};
use crate::transport::{Endpoint, Payload, Request, body};

/// How long a witness may take for its whole answer, in seconds: it is asked while a pass waits.
const PATIENCE: u64 = 15;
/// The most bytes of its answer.
const ANSWER: u64 = 16 << 10;

/// Where a witness is asked: its submission prefix, `https://HOST[:PORT][/PATH]`, or `http://` on loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix {
    url: Url,
    host: Host,
}

impl Prefix {
    /// Reads a prefix; `ca` are the authorities that count instead of the host's own.
    ///
    /// # Errors
    /// A text for a person: not an address of one spelling, plain HTTP to elsewhere, a path that is not absolute.
    pub fn parse(text: &str, ca: Option<&Path>) -> Result<Self, String> {
        // What stands there may hold a password, so it is not repeated.
        let fault = || "url: https://HOST[:PORT][/PATH] is expected, without a / at the end".to_owned();
        let url = Url::parse(text).map_err(|_| fault())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:".contains(c);
        // Print again, compare: no user, no query, nothing that is spelled in two ways. A bare host is printed with a slash.
        let same = url.as_str() == text || url.as_str() == format!("{text}/");
        if !same || text.ends_with('/') || !text.chars().all(plain) || !["http", "https"].contains(&url.scheme()) {
            return Err(fault());
        }
        let host = Host { plain_http: url.scheme() == "http", ca: ca.map(Path::to_owned), ..Host::default() };
        if host.plain_http && !is_loopback(&authority(&url)) {
            return Err("url: http:// is for loopback addresses only; https:// is expected".to_owned());
        }
        // The same rules as for registries.
        Hosts::try_from(BTreeMap::from([(authority(&url), host.clone())])).map_err(|e| e.to_string())?;
        Ok(Self { url, host })
    }
}

/// A witness that may be asked.
#[derive(Debug)]
pub struct Witness {
    endpoint: Endpoint,
    url: Url,
}

/// What a witness answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Witness {
    /// Prepares to ask a witness; contacts none.
    ///
    /// # Errors
    /// A certificate authority that can't be read.
    pub fn new(prefix: &Prefix) -> Result<Self, RegistryError> {
        let mut url = prefix.url.clone();
        url.set_path(&format!("{}/add-checkpoint", prefix.url.path().trim_end_matches('/')));
        Ok(Self { endpoint: Endpoint::new(&authority(&url), &prefix.host, Duration::from_secs(PATIENCE))?, url })
    }

    /// Asks it to add a checkpoint, and gives its answer, whatever its status.
    ///
    /// # Errors
    /// No whole answer in time, or one that is too long.
    pub async fn add_checkpoint(&self, request: &str) -> Result<Added, RegistryError> {
        let request = Request {
            place: self.url.as_str(),
            tried: "asking a witness",
            method: Method::POST,
            url: self.url.clone(),
            headers: HeaderMap::new(),
            payload: Payload::Bytes(request.as_bytes().to_vec().into()),
            scope: String::new(),
            volume: ANSWER,
            repeatable: false,
        };
        let asked = async {
            let answer = self.endpoint.once(&request, None).await?;
            let status = answer.status().as_u16();
            Ok(Added { status, body: body(&request, answer, ANSWER).await? })
        };
        let answered = tokio::time::timeout(Duration::from_secs(PATIENCE), asked).await;
        answered.unwrap_or_else(|_| Err(request.error(Fault::TimedOut)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Script, local};

    #[test]
    fn a_prefix_has_one_spelling_and_leads_where_it_says() {
        for (text, asked) in [
            ("https://w.example", "https://w.example/add-checkpoint"),
            ("https://w.example:8443/a/b", "https://w.example:8443/a/b/add-checkpoint"),
            ("http://127.0.0.1:7380", "http://127.0.0.1:7380/add-checkpoint"),
        ] {
            let prefix = Prefix::parse(text, None).unwrap();
            let url =
                Witness::new(&Prefix { host: Host { plain_http: true, ..Host::default() }, ..prefix }).unwrap().url;
            assert_eq!(url.as_str(), asked);
        }
        for wrong in [
            "",
            "w.example",
            "https://",
            "https://w.example/",
            "https://w.example/a/../b",
            "https://w.example?x",
            "https://w.example#x",
            "https://u@w.example",
            "https://W.example",
            "https://w.example:443",
            "https://w.example/%2e",
            "ftp://w.example",
            "file:///w",
            "http://w.example",
            "http://10.0.0.1:7380",
            "http://localhost.example",
        ] {
            assert!(Prefix::parse(wrong, None).is_err(), "{wrong}");
        }
        assert!(Prefix::parse("https://w.example", Some(Path::new("ca.pem"))).is_err());
        assert!(Prefix::parse("http://127.0.0.1:1", Some(Path::new("/ca.pem"))).is_err());
    }

    #[test]
    fn every_whole_answer_is_given_and_a_long_one_or_none_is_an_error() {
        let long =
            format!("HTTP/1.1 200 OK\r\ncontent-length: {0}\r\n\r\n{1}", ANSWER + 1, "x".repeat(ANSWER as usize + 1));
        // Without a length it ends where the connection does.
        let endless = format!("HTTP/1.1 200 OK\r\n\r\n{}", "x".repeat(ANSWER as usize + 1));
        let script = Script::start(&[
            "HTTP/1.1 409 Conflict\r\ncontent-type: text/x.tlog.size\r\ncontent-length: 3\r\n\r\n17\n",
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
            &long,
            &endless,
            "",
        ]);
        let witness = Witness::new(&Prefix::parse(&format!("http://{}/w", script.address()), None).unwrap()).unwrap();
        let ask = || local(witness.add_checkpoint("old 0\n\n"));
        assert_eq!(ask().unwrap(), Added { status: 409, body: b"17\n".to_vec() });
        assert_eq!(ask().unwrap().status, 307);
        for _ in 0..2 {
            assert!(matches!(ask().unwrap_err().fault(), Fault::TooLarge(ANSWER)));
        }
        assert!(matches!(ask().unwrap_err().fault(), Fault::Unreachable(_)));
        assert!(script.heard()[0].starts_with("POST /w/add-checkpoint HTTP/1.1\r\n"), "{:?}", script.heard());
    }
}

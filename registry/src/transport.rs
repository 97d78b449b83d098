//! One registry: its address, its TLS, its connections; requests that are bounded in time and size.

use std::io::Read as _;
use std::time::Duration;

use artifact::digest::shortened;
use artifact::layout::{Layout, LayoutError};
use artifact::name::Repository;
use artifact::oci::Descriptor;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};

use crate::auth::Login;
use crate::error::{Fault, RegistryError, next_step};
use crate::hosts::Host;
use crate::https::{self, Trust};

/// How long a request without much content may take, in seconds.
const SMALL: u64 = 60;
/// The slowest transfer that is waited for, in bytes a second: a layer of 1 GiB may take under five hours.
const SLOWEST: u64 = 64 << 10;
/// The most bytes of an error's body that are read: enough for its cause.
const SAID: u64 = 4 << 10;
/// The most bytes of a password file.
const PASSWORD: u64 = 64 << 10;

/// A registry that may be contacted.
pub(crate) struct Endpoint {
    name: String,
    scheme: &'static str,
    http: reqwest::Client,
    login: Login,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({}://{})", self.scheme, self.name)
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) enum Payload<'a> {
    Nothing,
    Bytes(&'a [u8]),
    Blob(&'a Layout, &'a Descriptor),
}

/// A request, before anybody is logged in.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// For errors: the repository, and what is tried.
    pub place: &'a str,
    pub tried: &'a str,
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub payload: Payload<'a>,
    /// What a token must allow: `repository:NAME:pull`.
    pub scope: String,
    /// How many bytes pass, at most, in either direction.
    pub volume: u64,
}

impl<'a> Request<'a> {
    /// A request to a repository; `actions` are what a token must allow.
    pub(crate) fn to(
        endpoint: &Endpoint,
        repository: &'a Repository,
        tried: &'a str,
        method: Method,
        path: &str,
        actions: &str,
        volume: u64,
    ) -> Result<Self, RegistryError> {
        let place = repository.as_str();
        let unusual = || RegistryError::new(place, tried, Fault::Protocol("an address that is none"));
        let url = endpoint.url(path).ok_or_else(unusual)?;
        let scope = format!("repository:{}:{actions}", repository.path());
        Ok(Self { place, tried, method, url, headers: HeaderMap::new(), payload: Payload::Nothing, scope, volume })
    }

    pub(crate) fn error(&self, fault: impl Into<Fault>) -> RegistryError {
        RegistryError::new(self.place, self.tried, fault)
    }

    /// How long all of it may take.
    pub(crate) fn deadline(&self) -> u64 {
        SMALL + self.volume / SLOWEST
    }
}

impl Endpoint {
    pub(crate) fn new(name: &str, host: &Host) -> Result<Self, RegistryError> {
        let setup = |text: String| RegistryError::new(name, "preparing", Fault::Setup(text));
        let trust = match host.plain_http {
            true => Trust::Loopback,
            false => Trust::Authorities(host.authorities()),
        };
        let http = https::client(trust, None).map_err(setup)?;
        Ok(Self {
            name: name.to_owned(),
            scheme: if host.plain_http { "http" } else { "https" },
            http,
            login: Login::new(credentials(host).map_err(setup)?),
        })
    }

    /// An address on this registry. The path is made of checked names.
    pub(crate) fn url(&self, path: &str) -> Option<Url> {
        Url::parse(&format!("{}://{}{path}", self.scheme, self.name)).ok()
    }

    /// An address that this registry gave, when it is on this registry.
    pub(crate) fn own(&self, asked: &Url, given: &str) -> Option<Url> {
        let url = asked.join(given).ok()?;
        let same = url.origin() == asked.origin() && self.url("/").is_some_and(|own| own.origin() == url.origin());
        (same && url.username().is_empty() && url.password().is_none()).then_some(url)
    }

    /// Sends a request, logging in when that is asked for, and gives the answer's status and headers with its body to come.
    pub(crate) async fn send(&self, client: &crate::Client, request: &Request<'_>) -> Result<Response, RegistryError> {
        let answer = self.once(request, self.login.header(&request.scope)).await?;
        if answer.status() != reqwest::StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        match self.login.answer(client, request, answer.headers()).await? {
            Some(header) => self.once(request, Some(header)).await,
            None => Ok(answer),
        }
    }

    /// Sends a request as it is.
    pub(crate) async fn once(
        &self,
        request: &Request<'_>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let mut sent = self.http.request(request.method.clone(), request.url.clone()).headers(request.headers.clone());
        if let Some(header) = authorization {
            sent = sent.header(AUTHORIZATION, header);
        }
        sent = match request.payload {
            Payload::Nothing => sent,
            Payload::Bytes(bytes) => sent.body(bytes.to_vec()),
            Payload::Blob(layout, descriptor) => {
                let reader = layout.stream(descriptor).map_err(|e| request.error(e))?;
                sent.body(reqwest::Body::wrap(crate::upload::BlobBody::new(reader, descriptor.size)))
            }
        };
        let sent = sent.timeout(Duration::from_secs(request.deadline())).send();
        sent.await.map_err(|e| broken(request, &e))
    }
}

/// The answer, when its status is this one.
pub(crate) async fn expect(request: &Request<'_>, answer: Response, status: u16) -> Result<Response, RegistryError> {
    let found = answer.status();
    if found.as_u16() == status {
        return Ok(answer);
    }
    if found.is_redirection() {
        let to = answer.headers().get("location").map(|l| String::from_utf8_lossy(l.as_bytes()).into_owned());
        return Err(request.error(Fault::Redirect(shortened(&to.unwrap_or_default()))));
    }
    let said = body(request, answer, SAID).await.map(|bytes| said(&bytes)).unwrap_or_default();
    Err(request.error(Fault::Status { status: found.as_u16(), said, next: next_step(found.as_u16()) }))
}

/// Reads an answer's body whole.
pub(crate) async fn body(request: &Request<'_>, mut answer: Response, limit: u64) -> Result<Vec<u8>, RegistryError> {
    if answer.content_length().is_some_and(|length| length > limit) {
        return Err(request.error(Fault::TooLarge(limit)));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|e| broken(request, &e))? {
        if bytes.len() as u64 + chunk.len() as u64 > limit {
            return Err(request.error(Fault::TooLarge(limit)));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// The cause of a broken exchange, from its root: reqwest's own text names only the address.
pub(crate) fn broken(request: &Request<'_>, error: &reqwest::Error) -> RegistryError {
    if error.is_timeout() && !error.is_connect() {
        return request.error(Fault::TimedOut(request.deadline()));
    }
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    // What we sent came out of a store of ours, and was not what its name says.
    if let Some(spoilt) = root.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref()?.downcast_ref::<LayoutError>())
    {
        return request.error(Fault::Spoilt(spoilt.to_string()));
    }
    request.error(Fault::Unreachable(printable(&shortened(&root.to_string()))))
}

/// A registry's own words about an error (OCI distribution, "Error Codes"), for a person: bounded, on one line.
fn said(body: &[u8]) -> String {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<Error>,
    }
    #[derive(serde::Deserialize)]
    struct Error {
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(Errors { errors }) = artifact::json::parse_foreign("error", body) else { return String::new() };
    let Some(Error { code, message }) = errors.first() else { return String::new() };
    format!(" ({})", printable(&shortened(&format!("{code}: {message}"))))
}

/// A text from outside for a person's terminal: what does not print is escaped, quotes stay as they are.
fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\'' | '"' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

/// The user and the password, when there are any.
fn credentials(host: &Host) -> Result<Option<(String, zeroize::Zeroizing<String>)>, String> {
    if let Some(login) = &host.login {
        return Ok(Some((login.username.clone(), login.password.clone())));
    }
    let (Some(user), Some(path)) = (&host.username, &host.password_file) else { return Ok(None) };
    let fault = |e: &dyn std::fmt::Display| format!("password_file {}: {e}", path.display());
    let mut text = zeroize::Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(|e| fault(&e))?;
    file.take(PASSWORD).read_to_string(&mut text).map_err(|e| fault(&e))?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() || password.contains(['\r', '\n']) || text.len() as u64 == PASSWORD {
        return Err(fault(&"one line with the password is expected"));
    }
    Ok(Some((user.clone(), zeroize::Zeroizing::new(password.to_owned()))))
}

#[cfg(test)]
mod tests {
    use artifact::failure::Retry;

    use super::*;
    use crate::testkit::{Peer, Script, certificates, hosts, local};

    #[test]
    fn only_the_configured_authority_counts() {
        let (ours, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        certificates(ours.path());
        certificates(other.path());
        let file = |name: &str| ours.path().join(name);
        let tls = format!("  tls: {{certificate: {:?}, key: {:?}}}\n", file("server.pem"), file("key.pem"));
        let peer = Peer::start_with(&tls, "");
        let repository = peer.repository("a");
        let pinned = |folder: &std::path::Path| peer.client_with(&format!("ca = {:?}", folder.join("ca.pem")));
        local(async {
            pinned(ours.path()).push_bytes(&repository, b"x").await.unwrap();
            for client in [pinned(other.path()), peer.client_with("")] {
                let error = client.manifest(&repository, "x").await.unwrap_err();
                assert!(error.to_string().contains("certificate"), "{error}");
                assert_eq!(error.retry(), Retry::Later);
            }
        });
        // By the name in the certificate, and by no other.
        let named: Repository = repository.as_str().replace("127.0.0.1", "localhost").parse().unwrap();
        let ca = format!("[registry.\"{}\"]\nca = {:?}", named.registry(), file("ca.pem"));
        local(crate::Client::new(&hosts(&ca)).unwrap().manifest(&named, "x")).unwrap();
    }

    #[test]
    fn a_registry_that_stays_silent_is_not_waited_for_for_ever() {
        let request = |volume| Request {
            place: "r.example/x",
            tried: "trying",
            method: Method::GET,
            url: Url::parse("http://r.example/").unwrap(),
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            scope: String::new(),
            volume,
        };
        assert_eq!((request(0).deadline(), request(1 << 30).deadline()), (60, 60 + (1 << 14)));
    }

    #[test]
    fn an_error_without_words_says_its_status() {
        let peer = Script::start(&["HTTP/1.1 502 Bad Gateway\r\ncontent-length: 6\r\n\r\n<html>"]);
        let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
        assert!(error.to_string().ends_with("HTTP status 502; try again later"), "{error}");
    }
}

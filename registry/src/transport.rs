//! One registry: its address, its TLS, its connections; requests that are bounded in time and size.

use std::io::Read as _;
use std::time::Duration;

use artifact::Moment;
use artifact::digest::shortened;
use artifact::name::Repository;
use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Method, Response, Url};

use crate::auth::Login;
use crate::error::{Fault, RegistryError, next_step};
use crate::hosts::Host;
use crate::https::{self, Trust};
use crate::patience::{self, TRIES};

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
    /// How long a request without much content may take.
    answer: Duration,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Endpoint({}://{})", self.scheme, self.name)
    }
}

/// What is sent.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    Nothing,
    Bytes(Bytes),
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
    pub payload: Payload,
    /// What a token must allow: `repository:NAME:pull`, several with a space between.
    pub scope: String,
    /// How many bytes pass, at most, in either direction.
    pub volume: u64,
    /// Whether it may be sent again when nobody knows what became of it.
    pub repeatable: bool,
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
        let repeatable = [Method::GET, Method::HEAD].contains(&method);
        let (headers, payload) = (HeaderMap::new(), Payload::Nothing);
        Ok(Self { place, tried, method, url, headers, payload, scope, volume, repeatable })
    }

    pub(crate) fn error(&self, fault: impl Into<Fault>) -> RegistryError {
        RegistryError::new(self.place, self.tried, fault)
    }

    /// How long all of it may take, where a small one may take so long.
    fn deadline(&self, small: Duration) -> Duration {
        small.saturating_add(Duration::from_secs(self.volume / SLOWEST))
    }
}

impl Endpoint {
    pub(crate) fn new(name: &str, host: &Host, answer: Duration) -> Result<Self, RegistryError> {
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
            answer,
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

    /// Sends a request, and gives the answer's status and headers with its body to come. It is sent again, within the
    /// client's budget, when the registry says that it is busy; and when the connection fails, if it may be.
    pub(crate) async fn send(&self, client: &crate::Client, request: &Request<'_>) -> Result<Response, RegistryError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let outcome = self.logged_in(client, request).await;
            match again(client, request, tries, &outcome)? {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return outcome,
            }
        }
    }

    /// Sends a request once, logging in when that is asked for.
    async fn logged_in(&self, client: &crate::Client, request: &Request<'_>) -> Result<Response, RegistryError> {
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
        if let Payload::Bytes(bytes) = &request.payload {
            sent = sent.body(bytes.clone());
        }
        // For the whole exchange: an answer that drips byte by byte ends with it as well.
        let sent = sent.timeout(request.deadline(self.answer)).send();
        sent.await.map_err(|e| broken(request, &e))
    }
}

/// How long to wait before another try. `None`: this is how it ended.
fn again(
    client: &crate::Client,
    request: &Request<'_>,
    tries: u32,
    outcome: &Result<Response, RegistryError>,
) -> Result<Option<Duration>, RegistryError> {
    let asked = match outcome {
        Ok(answer) if matches!(answer.status().as_u16(), 429 | 502..=504) => {
            patience::asked(answer.headers(), Moment::now())
        }
        Err(error) if error.passing() && request.repeatable => None,
        _ => return Ok(None),
    };
    let wait = client.patience().after(tries).max(Duration::from_secs(asked.unwrap_or(0)));
    if tries < TRIES && client.may_wait(wait) {
        return Ok(Some(wait));
    }
    match (outcome, asked) {
        (Ok(answer), Some(seconds)) => Err(request.error(Fault::Busy { status: answer.status().as_u16(), seconds })),
        _ => Ok(None),
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
    if answer.headers().get_all(CONTENT_ENCODING).iter().any(|e| e != "identity") {
        return Err(request.error(Fault::Protocol("an answer in an encoding that was not asked for")));
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
        return request.error(Fault::TimedOut);
    }
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    // What TLS makes of a certificate it makes of it again.
    let refused = root.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::InvalidData);
    let fault = Fault::Unreachable(printable(&shortened(&root.to_string())));
    let broken = request.error(fault);
    if refused || root.is::<rustls::Error>() { broken } else { broken.that_may_pass() }
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
mod tests;

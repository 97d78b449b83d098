//! One Vault: requests that are bounded in time and size, and tried again only where that is sound.

use std::time::{Duration, Instant};

use artifact::failure::Failure;
use artifact::json;
use artifact::words::one_line;
use registry::https::{self, Identity, Trust};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::settings::{LoginBy, VaultSettings};

/// The most bytes of an answer.
const ANSWER: usize = 4 << 20;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The first pause between two tries; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);

/// When a request may be sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Again {
    /// Whatever happened: done twice is done once.
    Always,
    /// Only when Vault did not do it: there was no connection, or Vault itself says that it is not ready.
    WhenNotDone,
}

/// What came back.
#[derive(Debug)]
pub(super) enum Answer {
    /// A document, 200, or nothing, 204.
    Done(Zeroizing<Vec<u8>>),
    /// Vault understood, and says no: 400, 404, 405. Its words; and its document.
    No(StatusCode, String, Zeroizing<Vec<u8>>),
}

impl Answer {
    /// The document of a request that is answered by one.
    ///
    /// # Errors
    /// Vault says no, or the document is another.
    pub(super) fn document<T: DeserializeOwned>(self, tried: &str) -> Result<T, Failure> {
        match self {
            Self::Done(bytes) => parse(tried, &bytes),
            Self::No(status, said, _) => Err(refused(tried, status, &said)),
        }
    }
}

pub(super) fn refused(tried: &str, status: StatusCode, said: &str) -> Failure {
    let next = if status == StatusCode::NOT_FOUND { "; check the mount and the name in [vault]" } else { "" };
    Failure::later("vault-refused", format!("{tried}: HTTP status {}: {said}{next}", status.as_u16()))
}

pub(super) fn parse<T: DeserializeOwned>(tried: &str, bytes: &[u8]) -> Result<T, Failure> {
    json::parse_foreign("answer", bytes)
        .map_err(|e| Failure::later("vault-talks-nonsense", format!("{tried}: not what Vault answers: {e}")))
}

/// One Vault. It holds no token.
pub(super) struct Client {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    address: String,
    namespace: Option<HeaderValue>,
    wait: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.address)
    }
}

/// What is asked.
pub(super) struct Request<'a> {
    /// For errors: `signing`.
    pub tried: &'a str,
    /// GET without a body, POST with one.
    pub body: Option<Zeroizing<Vec<u8>>>,
    /// Below `/v1/`.
    pub path: &'a str,
    /// The token.
    pub token: Option<&'a HeaderValue>,
    /// The attempt.
    pub attempt: Option<&'a str>,
    /// When it may be sent again.
    pub again: Again,
}

/// Why one try did not do.
enum Stop {
    /// Nothing was sent, or Vault says it was not done. Whether another try can help; how long Vault asks to wait.
    NotDone(Failure, bool, Option<Duration>),
    /// Nobody knows whether it was done.
    Lost(Failure),
}

impl Client {
    pub(super) fn new(settings: &VaultSettings) -> Result<Self, Failure> {
        let setup = |e: String| Failure::later("configuration", format!("signer.toml: vault: {e}"));
        let trust = match settings.address.is_plain() {
            true => Trust::Loopback,
            false => Trust::Authorities(settings.authorities()),
        };
        let identity = match &settings.login {
            LoginBy::Certificate(login) => Some(Identity { certificate: &login.certificate, key: &login.key }),
            _ => None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let namespace = settings.namespace.as_ref().map(|name| HeaderValue::from_str(name.as_str()));
        Ok(Self {
            http: https::client(trust, identity).map_err(setup)?,
            runtime: runtime.map_err(|e| Failure::later("runtime", e))?,
            address: settings.address.as_str().to_owned(),
            namespace: namespace.transpose().map_err(|e| setup(e.to_string()))?,
            wait: Duration::from_secs(settings.wait_seconds),
        })
    }

    /// Asks, and again where that is sound, until the settings' time is over.
    pub(super) fn ask(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let until = Instant::now() + self.wait;
        let mut pause = PAUSE;
        loop {
            let (failure, asked) = match self.runtime.block_on(self.once(request)) {
                Ok(answer) => return Ok(answer),
                Err(Stop::NotDone(failure, true, asked)) => (failure, asked),
                Err(Stop::Lost(failure)) if request.again == Again::Always => (failure, None),
                Err(Stop::NotDone(failure, false, _) | Stop::Lost(failure)) => return Err(failure),
            };
            let next = asked.unwrap_or(pause).min(LONGEST);
            if Instant::now() + next >= until {
                return Err(failure);
            }
            std::thread::sleep(next);
            pause *= 2;
        }
    }

    async fn once(&self, request: &Request<'_>) -> Result<Answer, Stop> {
        let Request { tried, path, .. } = request;
        let named = |code: &str, why: &dyn std::fmt::Display| {
            Failure::later(code, format!("{tried} at {}/v1/{path}: {why}", self.address))
        };
        let answer = self.request(request).send().await.map_err(|e| match e.is_connect() {
            true => Stop::NotDone(named("vault-unreachable", &root(&e)), true, None),
            false => Stop::Lost(named("vault-answer-lost", &root(&e))),
        })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status.is_redirection() {
            let to = headers.get("location").map(|l| one_line(&String::from_utf8_lossy(l.as_bytes())));
            let to = to.unwrap_or_default();
            let why = format!("a standby that leads to {to}; name the active node, or what finds it, in vault.address");
            return Err(Stop::NotDone(named("vault-redirects", &why), false, None));
        }
        let body = body(answer).await.map_err(|e| Stop::Lost(named("vault-answer-lost", &e)))?;
        let said = said(&body);
        match (status.as_u16(), said) {
            (200 | 204, _) => Ok(Answer::Done(body)),
            (400 | 404 | 405, Some(said)) => Ok(Answer::No(status, said, body)),
            (403, Some(said)) => Err(Stop::NotDone(
                named("vault-denied", &format!("{said}; check the role's policy (countersign vault policy)")),
                false,
                None,
            )),
            // Vault's own words: sealed, no active node, a rate limit, a standby that lags.
            (412 | 429 | 472 | 473 | 503, Some(said)) => {
                let why = format!("HTTP status {}: {said}", status.as_u16());
                Err(Stop::NotDone(named("vault-not-ready", &why), true, retry_after(&headers)))
            }
            (other, said) => {
                let why = format!("HTTP status {other}: {}", said.as_deref().unwrap_or("without Vault's own words"));
                Err(Stop::Lost(named("vault-answer-lost", &why)))
            }
        }
    }

    fn request(&self, request: &Request<'_>) -> reqwest::RequestBuilder {
        let method = if request.body.is_some() { Method::POST } else { Method::GET };
        let mut headers = HeaderMap::new();
        let mut set = |name: &'static str, value: Option<HeaderValue>| {
            headers.extend(value.map(|value| (HeaderName::from_static(name), value)));
        };
        set("x-vault-request", Some(HeaderValue::from_static("true")));
        set("x-vault-token", request.token.cloned());
        set("x-vault-namespace", self.namespace.clone());
        set("x-countersign-attempt", request.attempt.and_then(|id| HeaderValue::from_str(id).ok()));
        let sent = self.http.request(method, format!("{}/v1/{}", self.address, request.path));
        let sent = sent.headers(headers).timeout(PATIENCE);
        match &request.body {
            Some(body) => sent.header("content-type", "application/json").body(body.to_vec()),
            None => sent,
        }
    }
}

async fn body(mut answer: reqwest::Response) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut bytes = Zeroizing::new(Vec::new());
    while let Some(chunk) = answer.chunk().await.map_err(|e| root(&e))? {
        if bytes.len() + chunk.len() > ANSWER {
            return Err(format!("an answer of more than {ANSWER} bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Vault's own words about an error, on one line. `None`: it is not Vault who speaks.
fn said(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Words {
        errors: Option<Vec<String>>,
        request_id: Option<String>,
    }
    let Words { errors, request_id } = json::parse_foreign("error", body).ok()?;
    let words = errors.or_else(|| request_id.map(|_| Vec::new()))?.join("; ");
    Some(if words.is_empty() { "no reason given".to_owned() } else { one_line(words.trim()) })
}

/// How long Vault asks to wait, in whole seconds.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get("retry-after")?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

/// The cause of a broken exchange, from its root: reqwest's own text names only the address.
fn root(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no whole answer within {} s", PATIENCE.as_secs());
    }
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    one_line(&root.to_string())
}

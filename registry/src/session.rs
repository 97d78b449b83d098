//! One upload of one blob (OCI distribution, "Pushing blobs"): in one piece when it is small, in chunks when it is not. After
//! a cut the registry is asked what it has, and it goes on from there; when it does not know the upload any more, over again.

use artifact::Digest;
use artifact::digest::shortened;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::Client;
use crate::error::{Fault, RegistryError};
use crate::source::Source;
use crate::transport::{Endpoint, Payload, Request, expect};

/// A blob of so many bytes is sent in one piece, and a larger one in chunks of so many.
pub(crate) const PIECE: u64 = 16 << 20;
/// The largest chunk that a registry may ask for, in bytes: it is held in memory.
const LARGEST: u64 = 128 << 20;
/// How often an upload may falter without getting any further.
const FALTERS: u32 = 5;

/// Where blobs of a repository are uploaded to.
pub(crate) struct Upload<'a> {
    pub client: &'a Client,
    pub endpoint: &'a Endpoint,
    /// As every request of it begins.
    pub place: &'a str,
    pub tried: &'a str,
    pub scope: String,
    /// Where uploads begin.
    pub begin: Url,
    /// The size of a piece, in bytes.
    pub piece: u64,
}

/// An upload that the registry has begun.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where the next request goes.
    url: Url,
    /// How many bytes are there.
    at: u64,
    /// The size of a chunk.
    chunk: u64,
}

/// What became of one step.
enum Step {
    Further,
    /// The registry does not know this upload, or has something else of it than we think.
    Lost,
    Done,
}

impl Upload<'_> {
    /// Uploads a blob; by a session that is there already, if there is one.
    pub(crate) async fn run(&self, source: &mut Source<'_>, session: Option<Session>) -> Result<(), RegistryError> {
        let (mut session, mut furthest, mut falters) = (session, 0, 0);
        let size = source.blob().size;
        loop {
            let before = session.as_ref().map(|s| s.at);
            let step = match session.as_mut() {
                Some(session) => self.step(session, source).await,
                None => self.start(&mut session).await,
            };
            let at = session.as_ref().map_or(0, |s| s.at);
            if at > furthest {
                (furthest, falters) = (at, 0);
            }
            let broken = match step {
                Ok(Step::Done) => return Ok(()),
                Ok(Step::Further) if before.is_none_or(|before| at > before) => continue,
                Ok(_) => self.error(Fault::Protocol("an upload that gets no further")),
                Err(error) if error.passing() => error,
                Err(error) => return Err(error),
            };
            // Nobody knows what became of it.
            falters += 1;
            let wait = self.client.patience().after(falters);
            if falters > FALTERS || !self.client.may_wait(wait) {
                return Err(broken);
            }
            tokio::time::sleep(wait).await;
            session = match session.take().filter(|_| size > self.piece) {
                Some(session) => self.ask(session).await?.filter(|s| s.at <= size),
                None => None,
            };
        }
    }

    fn error(&self, fault: Fault) -> RegistryError {
        RegistryError::new(self.place, self.tried, fault)
    }

    fn request(&self, method: Method, url: Url, volume: u64) -> Request<'_> {
        Request {
            place: self.place,
            tried: self.tried,
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            scope: self.scope.clone(),
            volume,
            repeatable: false,
        }
    }

    async fn start(&self, session: &mut Option<Session>) -> Result<Step, RegistryError> {
        let mut request = self.request(Method::POST, self.begin.clone(), 0);
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = expect(&request, self.endpoint.send(self.client, &request).await?, 202).await?;
        *session = Some(self.begun(&request, &answer)?);
        Ok(Step::Further)
    }

    /// The upload that an answer of 202 has begun.
    pub(crate) fn begun(&self, request: &Request<'_>, answer: &Response) -> Result<Session, RegistryError> {
        let url = self.next(request, answer)?;
        let url = url.ok_or_else(|| request.error(Fault::Protocol("an upload without a Location")))?;
        let least = answer.headers().get("oci-chunk-min-length").and_then(|l| l.to_str().ok()?.parse::<u64>().ok());
        match least.unwrap_or(0).max(self.piece) {
            chunk if chunk > LARGEST.max(self.piece) => {
                Err(request.error(Fault::Protocol("an upload in chunks that are larger than can be held")))
            }
            chunk => Ok(Session { url, at: 0, chunk }),
        }
    }

    /// Where an answer says that the next request goes, which must be on the same registry.
    fn next(&self, request: &Request<'_>, answer: &Response) -> Result<Option<Url>, RegistryError> {
        let Some(location) = answer.headers().get(LOCATION) else { return Ok(None) };
        let location = String::from_utf8_lossy(location.as_bytes());
        let elsewhere = || request.error(Fault::Redirect(shortened(&location)));
        self.endpoint.own(&request.url, &location).map(Some).ok_or_else(elsewhere)
    }

    /// Sends the next chunk, or ends the upload.
    async fn step(&self, session: &mut Session, source: &mut Source<'_>) -> Result<Step, RegistryError> {
        let size = source.blob().size;
        if size <= self.piece || session.at == size {
            return self.finish(session, source).await;
        }
        let mut request = self.request(Method::PATCH, session.url.clone(), session.chunk);
        let piece = source.piece(session.at, session.chunk).map_err(|e| request.error(e))?;
        let end = session.at + piece.len() as u64;
        request.headers.insert(CONTENT_RANGE, range(session.at, end));
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        request.payload = Payload::Bytes(piece);
        let answer = self.endpoint.send(self.client, &request).await?;
        if [404, 416].contains(&answer.status().as_u16()) {
            return Ok(Step::Lost);
        }
        let answer = expect(&request, answer, 202).await?;
        // It may have taken less than it was sent, and never more.
        let at = has(&answer).unwrap_or(end);
        if at > end {
            return Err(request.error(Fault::Protocol("an upload with more bytes than were sent")));
        }
        session.url = self.next(&request, &answer)?.unwrap_or_else(|| session.url.clone());
        session.at = at;
        Ok(Step::Further)
    }

    async fn finish(&self, session: &Session, source: &mut Source<'_>) -> Result<Step, RegistryError> {
        let blob = source.blob();
        let mut url = session.url.clone();
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let mut request = self.request(Method::PUT, url, blob.size);
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        request.payload = match session.at {
            at if at == blob.size => Payload::Bytes(bytes::Bytes::new()),
            at => Payload::Bytes(source.piece(at, blob.size).map_err(|e| request.error(e))?),
        };
        let answer = match self.endpoint.send(self.client, &request).await {
            // The answer was lost, perhaps to a try before this one: the blob may be there.
            Ok(answer) if answer.status() == StatusCode::NOT_FOUND => return self.there(source).await,
            // Other bytes than were sent: chunks came twice on their way.
            Ok(answer) if session.at > 0 && [400, 416].contains(&answer.status().as_u16()) => return Ok(Step::Lost),
            Ok(answer) => expect(&request, answer, 201).await?,
            Err(error) if error.passing() => match self.there(source).await? {
                Step::Done => return Ok(Step::Done),
                _ => return Err(error),
            },
            Err(error) => return Err(error),
        };
        // A hint; but a registry that says it stored other bytes is better believed.
        let said = answer.headers().get("docker-content-digest").and_then(|d| d.to_str().ok()?.parse::<Digest>().ok());
        match said {
            Some(found) if found != blob.digest => Err(request.error(Fault::Mismatch { expected: blob.digest, found })),
            _ => Ok(Step::Done),
        }
    }

    async fn there(&self, source: &Source<'_>) -> Result<Step, RegistryError> {
        let mut url = self.begin.clone();
        url.set_query(None);
        let path = url.path().trim_end_matches("uploads/").to_owned();
        url.set_path(&format!("{path}{}", source.blob().digest));
        let mut request = self.request(Method::HEAD, url, 0);
        request.repeatable = true;
        match crate::upload::claims(&request, self.endpoint.send(self.client, &request).await?, source.blob()).await? {
            true => Ok(Step::Done),
            false => Ok(Step::Lost),
        }
    }

    /// Asks what the registry has of an upload. `None`: nothing that could be gone on with.
    async fn ask(&self, session: Session) -> Result<Option<Session>, RegistryError> {
        let mut request = self.request(Method::GET, session.url.clone(), 0);
        request.repeatable = true;
        let answer = self.endpoint.send(self.client, &request).await?;
        if answer.status() != StatusCode::NO_CONTENT {
            return Ok(None);
        }
        let url = self.next(&request, &answer)?.unwrap_or(session.url);
        Ok(has(&answer).map(|at| Session { url, at, chunk: session.chunk }))
    }
}

/// How many bytes an answer says that there are: `Range: 0-LAST`. Registries write `0-0` for none.
fn has(answer: &Response) -> Option<u64> {
    let last = answer.headers().get(RANGE)?.to_str().ok()?.trim_start_matches("bytes=").strip_prefix("0-")?;
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

/// The bytes from an offset up to another, as headers have them: with the last one.
fn range(from: u64, end: u64) -> HeaderValue {
    HeaderValue::try_from(format!("{from}-{}", end.saturating_sub(1)))
        .unwrap_or_else(|_| HeaderValue::from_static("0-0"))
}

#[cfg(test)]
mod tests;

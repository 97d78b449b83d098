//! Blobs on their way in: hashed while they are written, kept when the digest was right.

use std::io::Write as _;

use artifact::Digest;
use artifact::digest::shortened;
use artifact::layout::{Layout, LayoutError};
use artifact::name::Repository;
use artifact::oci::Descriptor;
use reqwest::header::{HeaderValue, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};

use crate::Client;
use crate::auth::authority;
use crate::error::{Fault, RegistryError};
use crate::source::Source;
use crate::transport::{Payload, Request, body, broken, expect};

/// How much of a blob's end is read back, in bytes.
const END: u64 = 64 << 10;

impl Client {
    /// A small blob, in memory.
    ///
    /// # Errors
    /// Missing, larger than `limit`, other bytes, or as the network says.
    pub async fn blob(
        &self,
        repository: &Repository,
        wanted: &Descriptor,
        limit: u64,
    ) -> Result<Vec<u8>, RegistryError> {
        let tried = format!("getting blob {}", wanted.digest);
        let (request, answer) = self.get_blob(repository, &tried, wanted, limit, None).await?;
        let bytes = body(&request, answer, wanted.size).await?;
        match Digest::of(&bytes) {
            found if found == wanted.digest && bytes.len() as u64 == wanted.size => Ok(bytes),
            found => Err(request.error(Fault::Mismatch { expected: wanted.digest, found })),
        }
    }

    /// Pulls a blob into a store, unless it is there.
    ///
    /// # Errors
    /// Missing, larger than `limit`, other bytes, or as the network and the file system say.
    pub async fn pull_blob(
        &self,
        repository: &Repository,
        wanted: &Descriptor,
        store: &Layout,
        limit: u64,
    ) -> Result<(), RegistryError> {
        // A store takes whole blobs only, so the size tells a sound one; who reads it computes its digest.
        if std::fs::metadata(store.path(&wanted.digest)).is_ok_and(|m| m.is_file() && m.len() == wanted.size) {
            return Ok(());
        }
        let tried = format!("pulling blob {}", wanted.digest);
        let (request, mut answer) = self.get_blob(repository, &tried, wanted, limit, None).await?;
        let mut writer = store.writer().map_err(|e| request.error(e))?;
        let mut seen = 0;
        while let Some(chunk) = answer.chunk().await.map_err(|e| broken(&request, &e))? {
            seen += chunk.len() as u64;
            if seen > wanted.size {
                return Err(request.error(Fault::TooLarge(wanted.size)));
            }
            let io = |cause| LayoutError::Io { path: store.path(&wanted.digest), cause };
            writer.write_all(&chunk).map_err(|cause| request.error(io(cause)))?;
        }
        writer.finish_as(wanted).map_err(|e| match e {
            // Not our store's fault, but the registry's.
            LayoutError::Mismatch { .. } => request.error(Fault::Protocol("a blob with other bytes than its digest")),
            e => request.error(e),
        })
    }

    /// Asks for a blob. A redirect, as registries before an object store give it, is followed once, to a listed host
    /// only, and without any login.
    async fn get_blob<'a>(
        &self,
        repository: &'a Repository,
        tried: &'a str,
        wanted: &Descriptor,
        limit: u64,
        range: Option<HeaderValue>,
    ) -> Result<(Request<'a>, Response), RegistryError> {
        let endpoint = self.endpoint(repository, tried)?;
        let path = format!("/v2/{}/blobs/{}", repository.path(), wanted.digest);
        let mut request = Request::to(endpoint, repository, tried, Method::GET, &path, "pull", wanted.size)?;
        if wanted.size > limit {
            return Err(request.error(Fault::TooLarge(limit)));
        }
        let partial = range.is_some();
        request.headers.extend(range.map(|range| (RANGE, range)));
        let mut answer = endpoint.send(self, &request).await?;
        if let Some(to) = redirected(&request.url, &answer) {
            let host = authority(&to);
            let there = self.listed(&host).filter(|there| there.own(&to, to.as_str()).is_some());
            let there = there.ok_or_else(|| request.error(Fault::Redirect(shortened(&host))))?;
            request.url = to;
            request.payload = Payload::Nothing;
            answer = there.once(&request, None).await?;
        }
        match answer.status() {
            StatusCode::NOT_FOUND => Err(request.error(Fault::Missing)),
            StatusCode::PARTIAL_CONTENT if partial => Ok((request, answer)),
            _ => expect(&request, answer, 200).await.map(|answer| (request, answer)),
        }
    }

    /// Whether the registry gives the end of a blob as it is: the last 64 KiB, by a range where the registry knows ranges. One
    /// that only says that it has a blob is found by this; the other bytes are checked by whoever pulls them.
    pub(crate) async fn shows(&self, repository: &Repository, source: &mut Source<'_>) -> Result<bool, RegistryError> {
        let blob = source.blob();
        let tried = format!("reading the end of blob {}", blob.digest);
        let from = blob.size.saturating_sub(END);
        let range = HeaderValue::try_from(format!("bytes={from}-")).ok().filter(|_| from > 0);
        let (request, mut answer) = match self.get_blob(repository, &tried, blob, u64::MAX, range).await {
            Err(error) if matches!(error.fault(), Fault::Missing) => return Ok(false),
            asked => asked?,
        };
        let expected = source.piece(from, END).map_err(|e| request.error(e))?;
        if answer.status() == StatusCode::PARTIAL_CONTENT {
            return Ok(body(&request, answer, END).await? == expected);
        }
        let (mut end, mut seen) = (Vec::new(), 0);
        while let Some(chunk) = answer.chunk().await.map_err(|e| broken(&request, &e))? {
            seen += chunk.len() as u64;
            if seen > blob.size {
                return Ok(false);
            }
            end.extend_from_slice(&chunk);
            end.drain(..end.len().saturating_sub(expected.len()));
        }
        Ok(seen == blob.size && end == expected)
    }
}

fn redirected(asked: &Url, answer: &Response) -> Option<Url> {
    let to = answer.status().is_redirection().then(|| answer.headers().get(LOCATION))??;
    asked.join(to.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, hosts, local};

    const LIMIT: u64 = 1 << 20;

    fn store() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        (folder, store)
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn a_blob_is_pulled_once() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let (_folder, store) = store();
        let wanted = Descriptor::of("text/plain", b"content");
        local(async {
            let client = peer.client();
            let missing = client.pull_blob(&repository, &wanted, &store, LIMIT).await.unwrap_err();
            assert!(matches!(missing.fault(), Fault::Missing), "{missing}");
            client.push_bytes(&repository, b"content").await.unwrap();
            assert_eq!(client.blob(&repository, &wanted, LIMIT).await.unwrap(), b"content");
            assert!(client.pull_blob(&repository, &wanted, &store, 3).await.is_err());
            client.pull_blob(&repository, &wanted, &store, LIMIT).await.unwrap();
            assert_eq!(store.read(&wanted, LIMIT).unwrap(), b"content");
        });
        let (client, wanted) = (peer.client(), wanted);
        drop(peer);
        local(client.pull_blob(&repository, &wanted, &store, LIMIT)).unwrap();
    }

    #[test]
    fn other_bytes_fewer_or_more_leave_nothing() {
        let wanted = Descriptor::of("text/plain", b"content");
        for body in ["contemt", "conten", "content!", ""] {
            let (folder, store) = store();
            let peer = Script::start(&[&ok(body), &ok(body)]);
            let (client, repository) = (peer.client(), peer.repository());
            local(client.pull_blob(&repository, &wanted, &store, LIMIT)).unwrap_err();
            local(client.blob(&repository, &wanted, LIMIT)).unwrap_err();
            assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 1, "{body}");
            assert!(!store.has(&wanted.digest));
        }
    }

    #[test]
    fn a_connection_that_breaks_is_tried_again_later() {
        let (_folder, store) = store();
        let wanted = Descriptor::of("text/plain", b"content");
        let peer = Script::start(&["HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncon"]);
        let error = local(peer.client().pull_blob(&peer.repository(), &wanted, &store, LIMIT)).unwrap_err();
        assert_eq!(error.retry(), artifact::failure::Retry::Later, "{error}");
    }

    #[test]
    fn a_redirect_is_followed_to_a_listed_host_only_and_without_the_login() {
        let (folder, store) = store();
        let wanted = Descriptor::of("text/plain", b"content");
        let there = Script::start(&[&ok("content")]);
        let redirect = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/cdn/x\r\ncontent-length: 0\r\n\r\n",
            there.address()
        );
        let challenge = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"r\"\r\ncontent-length: 0\r\n\r\n";
        let here = Script::start(&[challenge, &redirect, &redirect]);
        let password = folder.path().join("password");
        std::fs::write(&password, "secret\n").unwrap();
        let login = format!("username = \"u\"\npassword_file = {password:?}\n");
        let alone = format!("[registry.\"{}\"]\nplain_http = true\n{login}", here.address());
        let both = format!("{alone}[registry.\"{}\"]\nplain_http = true\n", there.address());
        let client = Client::new(&hosts(&both)).unwrap();
        local(client.pull_blob(&here.repository(), &wanted, &store, LIMIT)).unwrap();
        assert!(here.heard()[1].contains("authorization: Basic dTpzZWNyZXQ="), "{:?}", here.heard());
        assert!(!there.heard()[0].to_lowercase().contains("authorization"), "{:?}", there.heard());
        let client = Client::new(&hosts(&alone)).unwrap();
        let error = local(client.blob(&here.repository(), &wanted, LIMIT)).unwrap_err();
        assert!(matches!(error.fault(), Fault::Redirect(to) if *to == there.address()), "{error}");
    }
}

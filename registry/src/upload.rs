//! Blobs on their way out: looked for, then sent in one piece (OCI distribution, "POST then PUT").

use std::io::Read as _;
use std::pin::Pin;
use std::task::{Context, Poll};

use artifact::layout::{BlobReader, Layout};
use artifact::name::Repository;
use artifact::oci::Descriptor;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode};

use crate::Client;
use crate::error::{Fault, RegistryError};
use crate::transport::{Endpoint, Payload, Request, expect};

/// How much of a blob is read at a time, in bytes.
const PIECE: usize = 128 << 10;

impl Client {
    /// Pushes a blob out of a store, unless it is there already.
    ///
    /// # Errors
    /// When the store has other bytes, or the registry does not take it.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        store: &Layout,
    ) -> Result<(), RegistryError> {
        self.push(repository, blob, Payload::Blob(store, blob)).await
    }

    /// Pushes a small blob, unless it is there already, and names it.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push_bytes(&self, repository: &Repository, bytes: &[u8]) -> Result<Descriptor, RegistryError> {
        let blob = Descriptor::of("application/octet-stream", bytes);
        self.push(repository, &blob, Payload::Bytes(bytes)).await?;
        Ok(blob)
    }

    async fn push(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        payload: Payload<'_>,
    ) -> Result<(), RegistryError> {
        let tried = format!("pushing blob {}", blob.digest);
        let endpoint = self.endpoint(repository, &tried)?;
        if self.has_blob(endpoint, repository, &tried, blob).await? {
            return Ok(());
        }
        let path = format!("/v2/{}/blobs/uploads/", repository.path());
        let mut request = Request::to(endpoint, repository, &tried, Method::POST, &path, "pull,push", blob.size)?;
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = expect(&request, endpoint.send(self, &request).await?, 202).await?;
        let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok());
        let location = location.ok_or_else(|| request.error(Fault::Protocol("an upload without a Location")))?;
        let mut url = endpoint
            .own(&request.url, location)
            .ok_or_else(|| request.error(Fault::Redirect(artifact::digest::shortened(location))))?;
        url.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
        let mut request = Request { method: Method::PUT, url, payload, headers: Default::default(), ..request };
        request.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        expect(&request, endpoint.send(self, &request).await?, 201).await.map(drop)
    }

    async fn has_blob(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        tried: &str,
        blob: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let path = format!("/v2/{}/blobs/{}", repository.path(), blob.digest);
        let request = Request::to(endpoint, repository, tried, Method::HEAD, &path, "pull,push", 0)?;
        let answer = endpoint.send(self, &request).await?;
        // A redirect points to where the content is: it is there.
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            status if status.is_redirection() => Ok(true),
            _ => expect(&request, answer, 200).await.map(|_| true),
        }
    }
}

/// A request's body out of a store. Its last piece is sent only when the digest was right: what a registry got until then
/// is no blob.
pub(crate) struct BlobBody {
    reader: Option<BlobReader>,
    left: u64,
}

impl BlobBody {
    pub(crate) fn new(reader: BlobReader, size: u64) -> Self {
        Self { reader: Some(reader), left: size }
    }

    fn piece(&mut self) -> std::io::Result<Option<Bytes>> {
        let Some(mut reader) = self.reader.take() else { return Ok(None) };
        let mut piece = vec![0; PIECE.min(usize::try_from(self.left).unwrap_or(PIECE))];
        reader.read_exact(&mut piece)?;
        self.left -= piece.len() as u64;
        match self.left {
            0 => reader.finish().map_err(std::io::Error::other)?,
            _ => self.reader = Some(reader),
        }
        Ok(Some(piece.into()))
    }
}

impl Body for BlobBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        // A file on this host: read here and now, so that no second thread is needed.
        Poll::Ready(self.get_mut().piece().map(|piece| piece.map(Frame::data)).transpose())
    }

    fn is_end_stream(&self) -> bool {
        self.reader.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, local};

    #[test]
    fn a_blob_out_of_a_store_comes_back() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        for size in [0, 1, PIECE, PIECE + 1, 3 * PIECE] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + size) as u8).collect();
            let blob = store.put("x", &bytes).unwrap();
            local(async {
                let client = peer.client();
                client.push_blob(&repository, &blob, &store).await.unwrap();
                client.push_blob(&repository, &blob, &store).await.unwrap();
                assert_eq!(client.blob(&repository, &blob, 1 << 20).await.unwrap(), bytes, "{size}");
            });
        }
    }

    #[test]
    fn a_blob_that_was_spoilt_on_disk_is_not_pushed() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        let blob = store.put("x", b"content").unwrap();
        std::fs::write(store.path(&blob.digest), b"contemt").unwrap();
        local(async {
            let client = peer.client();
            let error = client.push_blob(&repository, &blob, &store).await.unwrap_err();
            assert_eq!(error.retry(), artifact::failure::Retry::Halt, "{error}");
            assert!(client.blob(&repository, &blob, 10).await.is_err());
        });
    }

    #[test]
    fn an_upload_without_a_place_or_with_a_place_elsewhere_is_an_error() {
        let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        for (accepted, elsewhere) in [
            ("HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n", false),
            ("HTTP/1.1 202 Accepted\r\nlocation: http://127.0.0.1:1/up\r\ncontent-length: 0\r\n\r\n", true),
            ("HTTP/1.1 202 Accepted\r\nlocation: https://r.example/up\r\ncontent-length: 0\r\n\r\n", true),
        ] {
            let peer = Script::start(&[missing, accepted]);
            let error = local(peer.client().push_bytes(&peer.repository(), b"x")).unwrap_err();
            match elsewhere {
                true => assert!(matches!(error.fault(), Fault::Redirect(_)), "{error}"),
                false => assert!(matches!(error.fault(), Fault::Protocol(_)), "{error}"),
            }
            assert_eq!(peer.heard().len(), 2);
        }
    }
}

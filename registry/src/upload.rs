//! Blobs on their way out: looked for, then taken from a repository beside, or uploaded.

use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::oci::Descriptor;
use reqwest::header::{CONTENT_LENGTH, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use crate::Client;
use crate::error::{Fault, RegistryError};
use crate::session::{Session, Upload};
use crate::source::Source;
use crate::transport::{Endpoint, Request, expect};

/// What became of a blob that was to be pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It was there before, and nothing was sent.
    There,
    /// It was uploaded.
    Uploaded,
    /// The registry took it from another repository of its own.
    Mounted,
}

impl Client {
    /// Pushes a blob out of a store, unless it is there already: from the first of these repositories beside that has it,
    /// without its bytes going over the wire, where the registry does so.
    ///
    /// # Errors
    /// When the store has other bytes, or the registry does not take it.
    pub async fn push_blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        store: &Layout,
        beside: &[Repository],
    ) -> Result<Sent, RegistryError> {
        self.push(repository, Source::store(blob, store), beside).await
    }

    /// Pushes a small blob, unless it is there already, and names it.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub async fn push_bytes(&self, repository: &Repository, bytes: &[u8]) -> Result<Descriptor, RegistryError> {
        let blob = Descriptor::of("application/octet-stream", bytes);
        self.push(repository, Source::bytes(&blob, bytes), &[]).await?;
        Ok(blob)
    }

    /// Whether the registry says that it has a blob of this digest and size.
    ///
    /// # Errors
    /// When it can't be asked, or speaks of another size.
    pub async fn has_blob(&self, repository: &Repository, blob: &Descriptor) -> Result<bool, RegistryError> {
        let tried = format!("looking for blob {}", blob.digest);
        self.look(self.endpoint(repository, &tried)?, repository, &tried, blob).await
    }

    async fn push(
        &self,
        repository: &Repository,
        mut source: Source<'_>,
        beside: &[Repository],
    ) -> Result<Sent, RegistryError> {
        let tried = format!("pushing blob {}", source.blob().digest);
        let endpoint = self.endpoint(repository, &tried)?;
        // Some registries say 200 of a blob that is gone; what they can't show is uploaded.
        if self.look(endpoint, repository, &tried, source.blob()).await? && self.shows(repository, &mut source).await? {
            return Ok(Sent::There);
        }
        let path = format!("/v2/{}/blobs/uploads/", repository.path());
        let start = Request::to(endpoint, repository, &tried, Method::POST, &path, "pull,push", 0)?;
        let upload = Upload {
            client: self,
            endpoint,
            place: start.place,
            tried: &tried,
            scope: start.scope.clone(),
            begin: start.url.clone(),
            piece: self.piece(),
        };
        let session = match self.mount(&upload, repository, source.blob(), beside).await? {
            Mount::Done => return Ok(Sent::Mounted),
            Mount::Upload(session) => Some(session),
            Mount::No => None,
        };
        upload.run(&mut source, session).await?;
        Ok(Sent::Uploaded)
    }

    async fn look(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        tried: &str,
        blob: &Descriptor,
    ) -> Result<bool, RegistryError> {
        let path = format!("/v2/{}/blobs/{}", repository.path(), blob.digest);
        let request = Request::to(endpoint, repository, tried, Method::HEAD, &path, "pull,push", 0)?;
        claims(&request, endpoint.send(self, &request).await?, blob).await
    }

    /// Asks the registry to take a blob from a repository beside (OCI distribution, "Mounting a blob from another
    /// repository"). It may begin an upload instead, which is then to be used. What it does not want is no error: the blob
    /// is uploaded then.
    async fn mount(
        &self,
        upload: &Upload<'_>,
        repository: &Repository,
        blob: &Descriptor,
        beside: &[Repository],
    ) -> Result<Mount, RegistryError> {
        let Some(from) = self.beside(upload.endpoint, repository, blob, beside).await else { return Ok(Mount::No) };
        let path = format!("/v2/{}/blobs/uploads/", repository.path());
        let mut request = Request::to(upload.endpoint, repository, upload.tried, Method::POST, &path, "pull,push", 0)?;
        request.url.query_pairs_mut().append_pair("mount", &blob.digest.to_string()).append_pair("from", from.path());
        request.scope = format!("{} repository:{}:pull", request.scope, from.path());
        request.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        let answer = match upload.endpoint.send(self, &request).await {
            Ok(answer) => answer,
            // It may have been done, or not: uploading it does no harm.
            Err(error) if error.passing() => return Ok(Mount::No),
            Err(error) => return Err(error),
        };
        match answer.status() {
            // Shown, not believed.
            StatusCode::CREATED if self.look(upload.endpoint, repository, upload.tried, blob).await? => Ok(Mount::Done),
            StatusCode::ACCEPTED => upload.begun(&request, &answer).map(Mount::Upload),
            _ => Ok(Mount::No),
        }
    }

    /// The first of these repositories that is on the same registry and has the blob. One that does not say so has it not.
    async fn beside<'b>(
        &self,
        endpoint: &Endpoint,
        repository: &Repository,
        blob: &Descriptor,
        beside: &'b [Repository],
    ) -> Option<&'b Repository> {
        for from in beside.iter().filter(|f| f.registry() == repository.registry() && *f != repository) {
            let path = format!("/v2/{}/blobs/{}", from.path(), blob.digest);
            let request = Request::to(endpoint, from, "looking beside", Method::HEAD, &path, "pull", 0).ok()?;
            let Ok(answer) = endpoint.send(self, &request).await else { continue };
            if claims(&request, answer, blob).await.unwrap_or(false) {
                return Some(from);
            }
        }
        None
    }
}

/// What became of a mount.
enum Mount {
    Done,
    Upload(Session),
    No,
}

/// Whether an answer to HEAD says that there is a blob of this size. One that says no size says nothing.
pub(crate) async fn claims(request: &Request<'_>, answer: Response, blob: &Descriptor) -> Result<bool, RegistryError> {
    match answer.status() {
        StatusCode::NOT_FOUND => return Ok(false),
        // It points to where the content is: it is there.
        status if status.is_redirection() => return Ok(true),
        _ => {}
    }
    let answer = expect(request, answer, 200).await?;
    match answer.headers().get(CONTENT_LENGTH).and_then(|l| l.to_str().ok()?.parse::<u64>().ok()) {
        Some(size) if size == blob.size => Ok(true),
        Some(_) => Err(request.error(Fault::Protocol("a blob of another size than its digest has"))),
        None => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, local};

    #[test]
    fn a_blob_out_of_a_store_comes_back_in_one_piece_or_in_many() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        for size in [0, 1, 999, 1000, 1001, 3000, 3001] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + size) as u8).collect();
            let blob = store.put("x", &bytes).unwrap();
            local(async {
                let client = peer.client().in_pieces_of(1000);
                assert_eq!(client.push_blob(&repository, &blob, &store, &[]).await.unwrap(), Sent::Uploaded, "{size}");
                assert_eq!(client.push_blob(&repository, &blob, &store, &[]).await.unwrap(), Sent::There, "{size}");
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
            let error = client.push_blob(&repository, &blob, &store, &[]).await.unwrap_err();
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

    const MISSING: &str = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
    const THERE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n";
    const BEGUN: &str = "HTTP/1.1 202 Accepted\r\nlocation: /v2/x/blobs/uploads/1?state=a\r\ncontent-length: 0\r\n\r\n";
    const CREATED: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";

    /// Pushes seven bytes that may lie in the repository `y` beside.
    fn beside(answers: &[&str]) -> (Result<Sent, RegistryError>, Vec<String>) {
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        let blob = store.put("x", b"content").unwrap();
        let peer = Script::start(answers);
        let y: Repository = format!("{}/y", peer.address()).parse().unwrap();
        let elsewhere: Repository = "r.example/z".parse().unwrap();
        let sent = local(peer.client().push_blob(&peer.repository(), &blob, &store, &[elsewhere, y]));
        let lines = peer.heard().iter().map(|h| h.lines().next().unwrap().replace(" HTTP/1.1", "")).collect();
        (sent, lines)
    }

    #[test]
    fn a_blob_that_lies_beside_is_mounted_and_202_is_an_upload_like_any_other() {
        let digest = artifact::Digest::of(b"content");
        let (sent, lines) = beside(&[MISSING, THERE, CREATED, THERE]);
        assert_eq!(sent.unwrap(), Sent::Mounted);
        assert_eq!(lines[1], format!("HEAD /v2/y/blobs/{digest}"));
        assert_eq!(
            lines[2],
            format!("POST /v2/x/blobs/uploads/?mount={}&from=y", digest.to_string().replace(':', "%3A"))
        );
        let (sent, lines) = beside(&[MISSING, THERE, BEGUN, CREATED]);
        assert_eq!(sent.unwrap(), Sent::Uploaded);
        assert!(lines[3].starts_with("PUT /v2/x/blobs/uploads/1?state=a&digest="), "{lines:?}");
        assert_eq!(lines.len(), 4);
    }

    #[test]
    fn a_mount_that_was_not_done_is_no_error() {
        let refused = "HTTP/1.1 405 No\r\ncontent-length: 0\r\n\r\n";
        // Not beside; refused; said to be done, and not there.
        for answers in [
            &[MISSING, MISSING, BEGUN, CREATED][..],
            &[MISSING, THERE, refused, BEGUN, CREATED],
            &[MISSING, THERE, CREATED, MISSING, BEGUN, CREATED],
        ] {
            let (sent, lines) = beside(answers);
            assert_eq!((sent.unwrap(), lines.len()), (Sent::Uploaded, answers.len()));
        }
    }

    #[test]
    fn a_registry_mounts_what_lies_beside() {
        let peer = Peer::start();
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        let blob = store.put("x", b"content").unwrap();
        let (from, to) = (peer.repository("from"), peer.repository("to"));
        local(async {
            let client = peer.client();
            client.push_blob(&from, &blob, &store, &[]).await.unwrap();
            std::fs::remove_file(store.path(&blob.digest)).unwrap();
            let sent = client.push_blob(&to, &blob, &store, std::slice::from_ref(&from)).await.unwrap();
            assert_eq!(sent, Sent::Mounted);
            assert_eq!(client.blob(&to, &blob, 10).await.unwrap(), b"content");
        });
    }

    #[test]
    fn a_head_that_names_another_size_is_refused_and_one_that_names_none_says_nothing() {
        let other = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\n";
        let (sent, _) = beside(&[other]);
        assert!(sent.unwrap_err().to_string().contains("another size"));
        let (sent, lines) = beside(&["HTTP/1.1 200 OK\r\n\r\n", MISSING, BEGUN, CREATED]);
        assert_eq!((sent.unwrap(), lines.len()), (Sent::Uploaded, 4));
    }

    #[test]
    fn a_blob_that_a_registry_only_says_it_has_is_uploaded() {
        let other = "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontemt";
        for shown in [MISSING, other] {
            let (sent, lines) = beside(&[THERE, shown, MISSING, BEGUN, CREATED]);
            assert_eq!((sent.unwrap(), lines.len()), (Sent::Uploaded, 5), "{lines:?}");
        }
        let (sent, lines) = beside(&[THERE, "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\ncontent"]);
        assert_eq!((sent.unwrap(), lines.len()), (Sent::There, 2));
    }

    #[test]
    fn of_a_large_blob_the_end_is_shown_by_a_range_or_by_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        let bytes: Vec<u8> = (0..70_000_u32).map(|n| n as u8).collect();
        let blob = store.put("x", &bytes).unwrap();
        let peer = Peer::start();
        let repository = peer.repository("a");
        let client = peer.client();
        local(client.push_blob(&repository, &blob, &store, &[])).unwrap();
        assert_eq!(local(client.push_blob(&repository, &blob, &store, &[])).unwrap(), Sent::There);
        let text: String = bytes.iter().map(|b| char::from(b'a' + b % 26)).collect();
        let blob = store.put("x", text.as_bytes()).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 70000\r\n\r\n";
        let end = format!("HTTP/1.1 206 Part\r\ncontent-length: 65536\r\n\r\n{}", &text[4464..]);
        for shown in [format!("{head}{text}"), end] {
            let peer = Script::start(&[head, &shown]);
            let sent = local(peer.client().push_blob(&peer.repository(), &blob, &store, &[])).unwrap();
            assert_eq!(sent, Sent::There);
            assert!(peer.heard()[1].contains("range: bytes=4464-"), "{:?}", peer.heard());
        }
    }
}

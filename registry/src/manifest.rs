//! Manifests: bytes that are kept as they came, and the digest that we computed.

use artifact::Digest;
use artifact::name::Repository;
use artifact::oci::{self, MANIFEST_LIMIT};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};

use crate::Client;
use crate::error::{Fault, RegistryError};
use crate::names::Reference;
use crate::transport::{Payload, Request, body, expect};

/// What a registry said to a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// The registry has noted what this manifest is about, and its referrers API will list it. When not, the fallback
    /// tag must: [`Client::add_fallback_referrer`].
    pub oci_subject: bool,
}

impl Client {
    /// A manifest or an index by tag or digest: its bytes and their digest, computed here. `None`: there is none.
    ///
    /// # Errors
    /// When the registry can't be asked, answers something else, or gives other bytes than a digest names.
    pub async fn manifest(
        &self,
        repository: &Repository,
        reference: &str,
    ) -> Result<Option<(Vec<u8>, Digest)>, RegistryError> {
        let reference = Reference::parse(repository, reference)?;
        let tried = format!("getting manifest {reference}");
        let endpoint = self.endpoint(repository, &tried)?;
        let accepted = [oci::MANIFEST, oci::INDEX, oci::DOCKER_MANIFEST].join(", ");
        let mut request = request(repository, &tried, Method::GET, &reference, "pull", endpoint)?;
        request.headers.insert(ACCEPT, header(&request, &accepted)?);
        let answer = endpoint.send(self, &request).await?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let bytes = body(&request, expect(&request, answer, 200).await?, MANIFEST_LIMIT).await?;
        let found = Digest::of(&bytes);
        // A page for people, of whatever stands before the registry: under a tag nothing else tells it from a manifest.
        if bytes.iter().find(|c| !c.is_ascii_whitespace()) != Some(&b'{') {
            return Err(request.error(Fault::Protocol("a manifest that is no JSON object")));
        }
        match reference {
            Reference::Digest(expected) if expected != found => Err(request.error(Fault::Mismatch { expected, found })),
            _ => Ok(Some((bytes, found))),
        }
    }

    /// Puts a manifest or an index, under a tag or its digest.
    ///
    /// # Errors
    /// When the registry does not take it, or says that it took something else.
    pub async fn push_manifest(
        &self,
        repository: &Repository,
        reference: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<Pushed, RegistryError> {
        let reference = Reference::parse(repository, reference)?;
        let tried = format!("putting manifest {reference}");
        let endpoint = self.endpoint(repository, &tried)?;
        let mut request = request(repository, &tried, Method::PUT, &reference, "pull,push", endpoint)?;
        let expected = Digest::of(bytes);
        if bytes.len() as u64 > MANIFEST_LIMIT {
            return Err(request.error(Fault::TooLarge(MANIFEST_LIMIT)));
        }
        if let Reference::Digest(named) = reference
            && named != expected
        {
            return Err(request.error(Fault::Mismatch { expected: named, found: expected }));
        }
        request.headers.insert(CONTENT_TYPE, header(&request, media_type)?);
        request.payload = Payload::Bytes(bytes.to_vec().into());
        // The same bytes under the same name: a second time changes nothing.
        request.repeatable = true;
        let answer = expect(&request, endpoint.send(self, &request).await?, 201).await?;
        // A hint; but a registry that says it stored other bytes is better believed.
        let said = answer.headers().get("docker-content-digest").and_then(|d| d.to_str().ok()?.parse::<Digest>().ok());
        match said {
            Some(found) if found != expected => Err(request.error(Fault::Mismatch { expected, found })),
            _ => Ok(Pushed { oci_subject: answer.headers().contains_key("oci-subject") }),
        }
    }
}

fn request<'a>(
    repository: &'a Repository,
    tried: &'a str,
    method: Method,
    reference: &Reference,
    actions: &str,
    endpoint: &crate::transport::Endpoint,
) -> Result<Request<'a>, RegistryError> {
    let path = format!("/v2/{}/manifests/{reference}", repository.path());
    Request::to(endpoint, repository, tried, method, &path, actions, MANIFEST_LIMIT)
}

fn header(request: &Request<'_>, text: &str) -> Result<HeaderValue, RegistryError> {
    HeaderValue::from_str(text).map_err(|_| request.error(Fault::Protocol("a media type that no header can carry")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, local};

    const EMPTY_INDEX: &[u8] =
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

    #[test]
    fn a_manifest_comes_back_as_it_was_put() {
        let peer = Peer::start();
        let repository = peer.repository("a/b");
        local(async {
            let client = peer.client();
            assert_eq!(client.manifest(&repository, "x").await.unwrap(), None);
            let put = client.push_manifest(&repository, "x", oci::INDEX, EMPTY_INDEX).await.unwrap();
            // This registry has no referrers API, and says so by silence.
            assert!(!put.oci_subject);
            let digest = Digest::of(EMPTY_INDEX);
            for reference in ["x", &digest.to_string()] {
                let there = client.manifest(&repository, reference).await.unwrap();
                assert_eq!(there, Some((EMPTY_INDEX.to_vec(), digest)));
            }
            let other = Digest::of(b"").to_string();
            assert!(client.push_manifest(&repository, &other, oci::INDEX, EMPTY_INDEX).await.is_err());
            for wrong in ["", "a b", "../x", "x/y", "sha512:00", "x?y"] {
                let error = client.manifest(&repository, wrong).await.unwrap_err();
                assert!(matches!(error.fault(), Fault::Reference(_)), "{error}");
            }
        });
    }

    #[test]
    fn bytes_that_a_digest_does_not_name_are_refused() {
        let peer = Script::start(&["HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"]);
        let asked = Digest::of(b"asked").to_string();
        let error = local(peer.client().manifest(&peer.repository(), &asked)).unwrap_err();
        assert!(matches!(error.fault(), Fault::Mismatch { .. }), "{error}");
        let said = "HTTP/1.1 201 Created\r\ndocker-content-digest: sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\r\ncontent-length: 0\r\n\r\n";
        let peer = Script::start(&[said]);
        let error = local(peer.client().push_manifest(&peer.repository(), "x", oci::INDEX, EMPTY_INDEX)).unwrap_err();
        assert!(matches!(error.fault(), Fault::Mismatch { .. }), "{error}");
    }

    #[test]
    fn a_manifest_without_end_is_cut() {
        let huge = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", u64::MAX / 2);
        let chunk = format!("{:x}\r\n{}\r\n", 1 << 20, "x".repeat(1 << 20));
        let endless = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk.repeat(6));
        for answer in [huge, endless] {
            let peer = Script::start(&[&answer]);
            let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
            assert!(matches!(error.fault(), Fault::TooLarge(_)), "{error}");
        }
    }

    #[test]
    fn redirects_of_manifests_are_not_followed() {
        let peer = Script::start(&[
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n",
        ]);
        let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
        assert!(matches!(error.fault(), Fault::Redirect(to) if to == "http://127.0.0.1:1/x"), "{error}");
    }

    #[test]
    fn errors_say_where_and_why_and_what_next() {
        let said = r#"{"errors":[{"code":"DENIED","message":"no \u001b[31m red"}]}"#;
        let answer = format!("HTTP/1.1 403 Forbidden\r\ncontent-length: {}\r\n\r\n{said}", said.len());
        let peer = Script::start(&[&answer]);
        let error = local(peer.client().manifest(&peer.repository(), "x")).unwrap_err();
        let text = error.to_string();
        assert_eq!(error.retry(), artifact::failure::Retry::Later);
        assert!(text.starts_with(&format!("{}: getting manifest x: HTTP status 403", peer.repository())), "{text}");
        assert!(text.contains("DENIED") && text.contains("\\u{1b}") && text.contains("username"), "{text}");
        let gone = peer.repository();
        let client = peer.client();
        drop(peer);
        let error = local(client.manifest(&gone, "x")).unwrap_err();
        assert!(matches!(error.fault(), Fault::Unreachable(_)), "{error}");
        assert_eq!(error.retry(), artifact::failure::Retry::Later);
    }
}

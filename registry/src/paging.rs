//! Lists that come in pages: followed to their end by the server's own cursor (`Link`, RFC 8288), within limits.

use std::collections::BTreeSet;

use artifact::digest::shortened;
use artifact::name::{Repository, Tag};
use artifact::oci::MANIFEST_LIMIT;
use reqwest::header::LINK;
use reqwest::{Method, Response, Url};

use crate::Client;
use crate::answers::{self, next_page};
use crate::error::{Fault, RegistryError};
use crate::transport::{Endpoint, Request, body, expect};

/// The most pages that are followed. A list that is longer is an error, never a shorter list.
pub(crate) const PAGES: usize = 200;
/// The most items of a list.
pub(crate) const ITEMS: usize = 20_000;
/// The most bytes of all pages together: what is read of them is kept in memory.
pub(crate) const BYTES: usize = 32 << 20;
/// A list whose next page is one that was read.
pub(crate) const CIRCLE: &str = "a list that leads back into itself";

impl Client {
    /// Every tag of a repository; none when there is no such repository.
    ///
    /// # Errors
    /// When the registry can't be asked, or the list has no end within the limits.
    pub async fn tags(&self, repository: &Repository) -> Result<Vec<Tag>, RegistryError> {
        let tried = "listing tags";
        let endpoint = self.endpoint(repository, tried)?;
        let path = format!("/v2/{}/tags/list?n=1000", repository.path());
        let mut request = Request::to(endpoint, repository, tried, Method::GET, &path, "pull", MANIFEST_LIMIT)?;
        let (mut tags, mut bytes, mut seen) = (Vec::new(), 0, BTreeSet::from([request.url.clone()]));
        for _ in 0..PAGES {
            let answer = endpoint.send(self, &request).await?;
            if answer.status() == reqwest::StatusCode::NOT_FOUND && tags.is_empty() {
                return Ok(tags);
            }
            let answer = expect(&request, answer, 200).await?;
            let next = next(endpoint, &request, &answer)?;
            let page = body(&request, answer, MANIFEST_LIMIT).await?;
            bytes += page.len();
            tags.extend(answers::tags(&page).map_err(|e| request.error(e))?);
            match next {
                _ if tags.len() > ITEMS || bytes > BYTES => break,
                Some(url) if !seen.insert(url.clone()) => return Err(request.error(Fault::Protocol(CIRCLE))),
                Some(url) => request.url = url,
                None => return Ok(tags),
            }
        }
        Err(request.error(Fault::Protocol("a list without end")))
    }
}

/// The address of the next page, which must be on the same registry.
pub(crate) fn next(
    endpoint: &Endpoint,
    request: &Request<'_>,
    answer: &Response,
) -> Result<Option<Url>, RegistryError> {
    let mut found = None;
    for value in answer.headers().get_all(LINK) {
        let text = value.to_str().map_err(|_| request.error(Fault::Protocol("a Link that is no text")))?;
        let Some(target) = next_page(text).map_err(|why| request.error(Fault::Protocol(why)))? else { continue };
        let elsewhere = || request.error(Fault::Redirect(shortened(target)));
        let next = endpoint.own(&request.url, target).ok_or_else(elsewhere)?;
        if found.replace(next).is_some() {
            return Err(request.error(Fault::Protocol("two next pages")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, local};

    fn page(link: &str, tags: &str) -> String {
        let body = format!("{{\"name\":\"x\",\"tags\":{tags}}}");
        format!("HTTP/1.1 200 OK\r\n{link}content-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn tags_are_listed_to_the_end() {
        let first = page("link: </v2/x/tags/list?last=b&n=2>; rel=\"next\"\r\n", "[\"a\",\"b\"]");
        let peer = Script::start(&[&first, &page("", "null")]);
        let tags = local(peer.client().tags(&peer.repository())).unwrap();
        assert_eq!(tags.iter().map(Tag::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert!(peer.heard()[1].starts_with("GET /v2/x/tags/list?last=b&n=2 "));
    }

    #[test]
    fn a_link_that_is_not_understood_does_not_end_a_list() {
        for link in ["/v2/x/tags/list?last=b; rel=next", "</b>; rel=next, </c>; rel=next", "</b>; rel=\"next"] {
            let peer = Script::start(&[&page(&format!("link: {link}\r\n"), "[\"a\"]")]);
            let error = local(peer.client().tags(&peer.repository())).unwrap_err();
            assert!(matches!(error.fault(), Fault::Protocol(_)), "{error}");
        }
        let first = page("link: </v2/x/tags/list?n=2>; rel=\"next\", </v2/x/tags/list>; rel=\"first\"\r\n", "[\"a\"]");
        let peer = Script::start(&[&first, &page("", "[\"b\"]")]);
        assert_eq!(local(peer.client().tags(&peer.repository())).unwrap().len(), 2);
    }

    #[test]
    fn pages_elsewhere_and_pages_without_end_are_errors() {
        let elsewhere = page("link: <https://r.example/v2/x/tags/list?last=b>; rel=\"next\"\r\n", "[]");
        let peer = Script::start(&[&elsewhere]);
        let error = local(peer.client().tags(&peer.repository())).unwrap_err();
        assert!(matches!(error.fault(), Fault::Redirect(_)), "{error}");
        let long: Vec<_> = (0..=PAGES)
            .map(|n| page(&format!("link: </v2/x/tags/list?last={n}>; rel=\"next\"\r\n"), "[\"a\"]"))
            .collect();
        let more = format!("[],\"more\":\"{}\"", "x".repeat(4_000_000));
        let wide: Vec<_> = (0..=PAGES)
            .map(|n| page(&format!("link: </v2/x/tags/list?last={n}>; rel=\"next\"\r\n"), &more))
            .take(20)
            .collect();
        for (answers, pages) in [(long, PAGES), (wide, BYTES / 4_000_000 + 1)] {
            let peer = Script::start(&answers.iter().map(String::as_str).collect::<Vec<_>>());
            let error = local(peer.client().tags(&peer.repository())).unwrap_err();
            assert!(matches!(error.fault(), Fault::Protocol("a list without end")), "{error}");
            assert_eq!(peer.heard().len(), pages);
        }
    }

    #[test]
    fn a_list_that_leads_back_into_itself_ends() {
        let (there, back) = (
            page("link: </v2/x/tags/list?last=a>; rel=\"next\"\r\n", "[\"a\"]"),
            page("link: </v2/x/tags/list?last=b>; rel=\"next\"\r\n", "[\"b\"]"),
        );
        let peer = Script::start(&[&there, &back, &there, &back]);
        let error = local(peer.client().tags(&peer.repository())).unwrap_err();
        assert!(matches!(error.fault(), Fault::Protocol(CIRCLE)), "{error}");
        assert_eq!(peer.heard().len(), 3);
    }

    #[test]
    fn a_registry_lists_what_was_put() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        local(async {
            let client = peer.client();
            assert_eq!(client.tags(&repository).await.unwrap(), []);
            for tag in ["one", "two"] {
                client.push_manifest(&repository, tag, artifact::oci::INDEX, index).await.unwrap();
            }
            assert_eq!(client.tags(&repository).await.unwrap().len(), 2);
        });
    }
}

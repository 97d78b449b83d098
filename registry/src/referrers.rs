//! Referrers: what is attached to an image (OCI distribution, "Listing Referrers"), and the fallback tag for registries
//! without that API ("Referrers Tag Schema").

use std::collections::BTreeSet;

use artifact::Digest;
use artifact::attached::fallback_tag;
use artifact::name::Repository;
use artifact::oci::{self, Descriptor, Index, MANIFEST_LIMIT};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::Client;
use crate::error::{Fault, RegistryError};
use crate::paging::{BYTES, CIRCLE, ITEMS, PAGES, next};
use crate::transport::{Request, body, expect};

/// How often a fallback tag is written before another writer is blamed.
const TRIES: u32 = 5;

/// What is attached to an image, and who keeps the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The list.
    pub index: Index,
    /// Whether it is the fallback tag's: then writers keep it, and its words are theirs.
    pub by_tag: bool,
}

impl Listing {
    /// Whether it lists this manifest, as it is to be listed. A registry that keeps the list itself may describe it in words of
    /// its own.
    pub fn lists(&self, referrer: &Descriptor) -> bool {
        let named = |m: &&Descriptor| m.digest == referrer.digest;
        self.index.manifests.iter().filter(named).any(|m| !self.by_tag || m == referrer)
    }
}

impl Client {
    /// Everything that is attached to an image, to the last page.
    ///
    /// # Errors
    /// When the registry can't be asked, answers something else, or the list has no end within the limits.
    pub async fn referrers(&self, repository: &Repository, subject: &Digest) -> Result<Index, RegistryError> {
        Ok(self.listing(repository, subject).await?.index)
    }

    /// The same, and who keeps the list.
    ///
    /// # Errors
    /// As [`Client::referrers`].
    pub async fn listing(&self, repository: &Repository, subject: &Digest) -> Result<Listing, RegistryError> {
        let tried = format!("listing referrers of {subject}");
        let endpoint = self.endpoint(repository, &tried)?;
        let path = format!("/v2/{}/referrers/{subject}", repository.path());
        let mut request = Request::to(endpoint, repository, &tried, Method::GET, &path, "pull", MANIFEST_LIMIT)?;
        let (mut all, mut read, mut seen) = (Vec::new(), 0, BTreeSet::from([request.url.clone()]));
        for page in 0..PAGES {
            let answer = endpoint.send(self, &request).await?;
            if page == 0 && answer.status() == StatusCode::NOT_FOUND {
                return Ok(Listing { index: self.fallback(repository, subject).await?, by_tag: true });
            }
            let answer = expect(&request, answer, 200).await?;
            let next = next(endpoint, &request, &answer)?;
            let bytes = body(&request, answer, MANIFEST_LIMIT).await?;
            read += bytes.len();
            all.extend(Index::parse(&bytes).map_err(|e| request.error(e))?.manifests);
            match next {
                _ if all.len() > ITEMS || read > BYTES => break,
                Some(url) if !seen.insert(url.clone()) => return Err(request.error(Fault::Protocol(CIRCLE))),
                Some(url) => request.url = url,
                None => return Ok(Listing { index: Index::of(all), by_tag: false }),
            }
        }
        Err(request.error(Fault::Protocol("a list without end")))
    }

    async fn fallback(&self, repository: &Repository, subject: &Digest) -> Result<Index, RegistryError> {
        match self.manifest(repository, &fallback_tag(subject)).await? {
            None => Ok(Index::of(Vec::new())),
            Some((bytes, _)) => Index::parse(&bytes)
                .map_err(|e| RegistryError::new(repository, format!("reading tag {}", fallback_tag(subject)), e)),
        }
    }

    /// Adds a referrer to the fallback tag's index, beside whatever others put there, and reads it back. A tag has no
    /// compare-and-set: when another writer was in between, it is done again.
    ///
    /// # Errors
    /// When the tag names no index, the registry does not take the new one, or others keep replacing it.
    pub async fn add_fallback_referrer(
        &self,
        repository: &Repository,
        subject: &Digest,
        referrer: Descriptor,
    ) -> Result<(), RegistryError> {
        let tag = fallback_tag(subject);
        let error = |fault: Fault| RegistryError::new(repository, format!("adding to tag {tag}"), fault);
        for round in 0..TRIES {
            let there = self.manifest(repository, &tag).await?.map(|(bytes, _)| bytes);
            let Some(next) = with(there.as_deref(), &referrer).map_err(error)? else { return Ok(()) };
            if round > 0 {
                // Another writer is at it: give it time to finish.
                tokio::time::sleep(self.patience().after(round)).await;
            }
            self.push_manifest(repository, &tag, oci::INDEX, &next).await?;
            let back = self.manifest(repository, &tag).await?.map(|(bytes, _)| bytes);
            if with(back.as_deref(), &referrer).map_err(error)?.is_none() {
                return Ok(());
            }
        }
        Err(error(Fault::Contended(TRIES)))
    }
}

/// The index with one more referrer; `None` when it lists it already. What others wrote stays as they wrote it.
fn with(there: Option<&[u8]>, referrer: &Descriptor) -> Result<Option<Vec<u8>>, Fault> {
    let mut index = match there {
        None => json!(Index::of(Vec::new())),
        Some(bytes) => {
            let parsed = Index::parse(bytes)?;
            if parsed.manifests.iter().any(|m| m == referrer) {
                return Ok(None);
            }
            artifact::json::parse_foreign::<Value>("index", bytes)?
        }
    };
    let list = index.get_mut("manifests").and_then(Value::as_array_mut);
    let list = list.ok_or(Fault::Protocol("an index without a list"))?;
    // The same manifest with other words (an empty artifact type, say) would hide ours from clients that take the first.
    list.retain(|m| m.get("digest").and_then(Value::as_str) != Some(&referrer.digest.to_string()));
    list.push(json!(referrer));
    Ok(Some(artifact::json::canonical("index", &index)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, local};

    fn referrer(word: &str) -> Descriptor {
        let mut referrer = Descriptor::of(oci::MANIFEST, word.as_bytes()).annotated("word", word);
        referrer.artifact_type = Some("application/x".to_owned());
        referrer
    }

    fn page(link: &str, index: &Index) -> String {
        let body = serde_json::to_string(index).unwrap();
        format!("HTTP/1.1 200 OK\r\n{link}content-length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn the_api_is_followed_to_the_last_page() {
        let subject = Digest::of(b"subject");
        let first = page("link: </v2/x/referrers/next>; rel=\"next\"\r\n", &Index::of(vec![referrer("a")]));
        let peer = Script::start(&[&first, &page("", &Index::of(vec![referrer("b")]))]);
        let found = local(peer.client().referrers(&peer.repository(), &subject)).unwrap();
        assert_eq!(found.manifests, [referrer("a"), referrer("b")]);
        assert!(peer.heard()[0].starts_with(&format!("GET /v2/x/referrers/{subject} ")));
        let peer = Script::start(&["HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n"]);
        assert!(local(peer.client().referrers(&peer.repository(), &subject)).is_err());
    }

    #[test]
    fn a_registry_without_the_api_keeps_a_tag_and_nothing_is_lost() {
        let peer = Peer::start();
        let repository = peer.repository("a");
        let subject = Digest::of(b"subject");
        local(async {
            let client = peer.client();
            // Only manifests that are there may stand in an index here.
            for word in ["one", "two"] {
                let bytes =
                    json!({"schemaVersion": 2, "mediaType": oci::INDEX, "manifests": [], "annotations": {"w": word}});
                let bytes = artifact::json::canonical("x", &bytes).unwrap();
                let digest = Digest::of(&bytes).to_string();
                client.push_manifest(&repository, &digest, oci::INDEX, &bytes).await.unwrap();
                let mut listed = Descriptor::of(oci::INDEX, &bytes).annotated("word", word);
                listed.artifact_type = Some("application/x".to_owned());
                for _ in 0..2 {
                    client.add_fallback_referrer(&repository, &subject, listed.clone()).await.unwrap();
                }
            }
            let found = client.referrers(&repository, &subject).await.unwrap();
            let words: Vec<_> = found.manifests.iter().map(|m| m.annotations["word"].as_str()).collect();
            assert_eq!(words, ["one", "two"]);
            assert_eq!(found.manifests[1].artifact_type.as_deref(), Some("application/x"));
            assert_eq!(client.referrers(&repository, &Digest::of(b"other")).await.unwrap().manifests, []);
        });
    }

    #[test]
    fn what_others_wrote_stays_as_they_wrote_it() {
        let foreign = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","annotations":{"theirs":"y"},"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"urls":["https://x"]}]}"#;
        let next = with(Some(foreign), &referrer("a")).unwrap().unwrap();
        let value: Value = serde_json::from_slice(&next).unwrap();
        assert_eq!(value["manifests"][0]["urls"][0], "https://x");
        assert_eq!(value["annotations"]["theirs"], "y");
        assert_eq!(value["manifests"].as_array().unwrap().len(), 2);
        assert_eq!(with(Some(&next), &referrer("a")).unwrap(), None);
        assert!(with(Some(b"{}"), &referrer("a")).is_err());
    }

    #[test]
    fn a_writer_that_keeps_replacing_is_named() {
        let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let created = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n";
        let round = [missing, created, missing];
        let peer = Script::start(&round.repeat(TRIES as usize));
        let added = peer.client();
        let error =
            local(added.add_fallback_referrer(&peer.repository(), &Digest::of(b"s"), referrer("a"))).unwrap_err();
        assert!(matches!(error.fault(), Fault::Contended(TRIES)), "{error}");
    }
}

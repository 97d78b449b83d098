//! Which releases count. An entry is in the log because whoever leads a pass had it written down; that an image was signed
//! to be named so, only the image key can say. So a release counts when the image's own signature, which is in the log
//! before it, names the same place, tags, digest and permit. Of several, the newest permit's is current, in whatever order
//! they were written down.

use std::collections::BTreeMap;

use artifact::key::{KeyId, PublicKey};
use artifact::name::{Repository, Tag};
use artifact::{Digest, dsse, json};
use serde::Deserialize;

use crate::entry::{Body, Release, Rotation, Signature};
use crate::image_keys::ImageKeys;
use crate::note::Vkey;

/// The annotation that names the repository.
pub const REPOSITORY: &str = "repository";
/// The annotation that names the tags, with a comma between.
pub const TAGS: &str = "tags";
/// The annotation that names the index of the permit's entry.
pub const PERMIT: &str = "permit";

/// The predicate of an image signature, as cosign reads it.
const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";

/// Writes a list of tags as the annotation has it.
pub fn tags(tags: &[Tag]) -> String {
    tags.iter().map(Tag::to_string).collect::<Vec<_>>().join(",")
}

/// What an image signature says the image may be named.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    digest: String,
    repository: String,
    tags: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    predicate_type: String,
    subject: [Subject; 1],
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// What the image keys have vouched for, each in its time, as far as a log was read.
#[derive(Debug, Clone)]
pub struct Vouched {
    image: ImageKeys,
    log: Vkey,
    /// The rotation that the trusted keys do not have: from its entry on, the key before it vouches for nothing.
    rotated: Option<(u64, KeyId)>,
    claims: BTreeMap<u64, Vec<Claim>>,
    named: BTreeMap<(Repository, Tag), (u64, Digest)>,
}

impl Vouched {
    /// Nothing was read yet; images are signed with these keys.
    pub fn by(image: &ImageKeys, log: &Vkey) -> Self {
        Self { image: image.clone(), log: log.clone(), rotated: None, claims: BTreeMap::new(), named: BTreeMap::new() }
    }

    /// Reads the next entry of the log, which stands there. `false` for a release that no image key vouches for.
    pub fn read(&mut self, index: u64, body: &Body) -> bool {
        match body {
            Body::Signature(signature) => {
                if let Some((permit, claim)) = self.claim(index, signature) {
                    let claims = self.claims.entry(permit).or_default();
                    // The same signature written down again says nothing new.
                    if !claims.contains(&claim) {
                        claims.push(claim);
                    }
                }
                true
            }
            Body::Release(release) => {
                let vouched = self.vouches(release);
                if vouched {
                    self.name(release);
                }
                vouched
            }
            Body::Rotation(rotation) => {
                self.rotate(index, rotation);
                true
            }
            _ => true,
        }
    }

    /// The rotation that the trusted keys do not have: its entry, and the key that counts for nothing from there on. That key
    /// has signed it itself.
    pub fn rotated(&self) -> Option<(u64, KeyId)> {
        self.rotated
    }

    fn rotate(&mut self, index: u64, rotation: &Rotation) {
        let current = self.image.current();
        let unknown = self.image.called(&rotation.key.id()).is_none();
        if self.rotated.is_none() && unknown && rotation.verify(&self.log, current).is_ok() {
            self.rotated = Some((index, rotation.before));
        }
    }

    /// Whether the image key vouches for a release.
    pub fn vouches(&self, release: &Release) -> bool {
        let claim = Claim {
            digest: release.digest.hex(),
            repository: release.repository.to_string(),
            tags: tags(&release.tags),
        };
        self.claims.get(&release.permit).is_some_and(|claims| claims.contains(&claim))
    }

    /// What a tag names.
    pub fn named(&self, repository: &Repository, tag: &Tag) -> Option<Digest> {
        self.named.get(&(repository.clone(), tag.clone())).map(|(_, digest)| *digest)
    }

    fn name(&mut self, release: &Release) {
        for tag in &release.tags {
            let next = (release.permit, release.digest);
            let named = self.named.entry((release.repository.clone(), tag.clone())).or_insert(next);
            if named.0 <= next.0 {
                *named = next;
            }
        }
    }

    fn claim(&self, index: u64, signature: &Signature) -> Option<(u64, Claim)> {
        if signature.payload_type != dsse::IN_TOTO {
            return None;
        }
        let statement: Statement = json::parse_foreign("statement", &signature.payload.0).ok()?;
        let [Subject { digest, mut annotations }] = statement.subject;
        if statement.predicate_type != SIGN || self.rotated.is_some() || !signed(signature, self.image.at(index)?.key) {
            return None;
        }
        let permit = annotations.get(PERMIT)?.parse().ok()?;
        let (repository, tags) = (annotations.remove(REPOSITORY)?, annotations.remove(TAGS)?);
        Some((permit, Claim { digest: digest.get("sha256")?.clone(), repository, tags }))
    }
}

/// Whether a recorded signature is the image key's over what it says was signed.
pub fn signed(signature: &Signature, image: &PublicKey) -> bool {
    let pae;
    let message = match signature.payload_type.as_str() {
        dsse::IN_TOTO => {
            pae = dsse::pae(dsse::IN_TOTO, &signature.payload.0);
            &pae
        }
        _ => &signature.payload.0,
    };
    image.verify(message, &signature.signature.0).is_ok()
}

#[cfg(test)]
mod tests;

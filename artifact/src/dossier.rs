//! Dossiers: everything a rebuild needs, sealed as one OCI artifact. Its digest is the digest of its manifest.

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest};
use crate::json;
use crate::lane::LaneName;
use crate::layout::{Layout, LayoutError};
use crate::name::{Pinned, ProjectName};
use crate::oci::{self, Descriptor, Index, Manifest};

/// The artifact type of a dossier.
pub const ARTIFACT: &str = "application/vnd.countersign.dossier.v1";
/// The media type of its configuration, a [`Dossier`].
pub const CONFIG: &str = "application/vnd.countersign.dossier.config.v1+json";
/// A stream of git objects, uncompressed: see [`crate::git`].
pub const OBJECTS: &str = "application/vnd.countersign.git-objects.v1";
/// A piece of evidence as it was received.
pub const EVIDENCE: &str = "application/vnd.countersign.evidence.v1";

/// What a dossier holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dossier {
    /// The lane.
    pub lane: LaneName,
    /// The project.
    pub project: ProjectName,
    /// The repository's address.
    pub source: String,
    /// The commit.
    pub commit: CommitId,
    /// Its tree.
    pub tree: CommitId,
    /// Seconds since 1970: the committer's time, and every time stamp in what is built.
    pub source_date: i64,
    /// The objects of the commit: itself first, then its trees and blobs, each once.
    pub objects: Descriptor,
    /// Its submodules, by path.
    pub submodules: Vec<Submodule>,
    /// The recipe's digest: the bytes of `.countersign.toml` in this tree.
    pub recipe: Digest,
    /// The bases that the recipe asks for.
    pub bases: Vec<Base>,
    /// Evidence, as received.
    pub evidence: Vec<Descriptor>,
}

/// A submodule at its pinned commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Submodule {
    /// Where it stands in the tree.
    pub path: String,
    /// Its repository's address.
    pub source: String,
    /// The commit that the tree pins.
    pub commit: CommitId,
    /// Its objects, as in [`Dossier::objects`].
    pub objects: Descriptor,
}

/// A base image, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Base {
    /// What the recipe asks for. An index there has been resolved to this platform's manifest.
    pub pinned: Pinned,
    /// The index that the pin names, when it names one: it leads to the manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Descriptor>,
    /// The manifest of this platform.
    pub manifest: Descriptor,
    /// Its configuration.
    pub config: Descriptor,
    /// Its layers, the lowest first.
    pub layers: Vec<Descriptor>,
}

impl Base {
    /// Makes sure that these parts are the pinned image's: who sealed the dossier is not believed. The layers are checked
    /// when they are read.
    ///
    /// # Errors
    /// Parts of another image than the pinned one.
    pub fn check(&self, store: &Layout) -> Result<Manifest, LayoutError> {
        let fault = |why: &str| oci::OciError::Shape { what: "base", why: format!("{}: {why}", self.pinned) };
        if self.manifest.digest != self.pinned.digest {
            let index = self.index.as_ref().filter(|index| index.digest == self.pinned.digest);
            let index = index.ok_or_else(|| fault("the dossier holds another image in its place"))?;
            let index = Index::parse(&store.read(index, oci::MANIFEST_LIMIT)?)?;
            if !index.manifests.iter().any(|m| m.digest == self.manifest.digest) {
                return Err(fault("the dossier holds an image that the pinned index does not name").into());
            }
        }
        let manifest = Manifest::parse(&store.read_digest(&self.manifest.digest, oci::MANIFEST_LIMIT)?)?;
        let digests = |layers: &[Descriptor]| layers.iter().map(|l| l.digest).collect::<Vec<_>>();
        if manifest.config.digest != self.config.digest || digests(&manifest.layers) != digests(&self.layers) {
            return Err(fault("the dossier names other parts than the base's manifest").into());
        }
        Ok(manifest)
    }
}

impl Dossier {
    /// Seals it: every blob must be in the store already.
    ///
    /// # Errors
    /// A blob is missing, or the store can't be written.
    pub fn seal(&self, store: &Layout) -> Result<Digest, LayoutError> {
        let config = store.put(CONFIG, &json::canonical("dossier", self)?)?;
        let layers = self.blobs();
        for blob in &layers {
            if !store.has(&blob.digest) {
                return Err(LayoutError::Mismatch { expected: blob.digest, found: "not in the store".to_owned() });
            }
        }
        let manifest = Manifest {
            schema_version: 2,
            media_type: oci::MANIFEST.to_owned(),
            artifact_type: Some(ARTIFACT.to_owned()),
            config,
            layers,
            subject: None,
            annotations: Default::default(),
        };
        let sealed = store.put(oci::MANIFEST, &json::canonical("dossier manifest", &manifest)?)?;
        store.tag(&sealed, &format!("{}-{}", self.project, self.commit))?;
        Ok(sealed.digest)
    }

    /// Opens a dossier by its digest. The blobs it names are checked when they are read.
    ///
    /// # Errors
    /// Missing, other bytes, not a dossier, or a list of blobs that is not its own.
    pub fn open(store: &Layout, digest: &Digest) -> Result<Self, LayoutError> {
        let manifest = Manifest::parse(&store.read_digest(digest, oci::MANIFEST_LIMIT)?)?;
        let fault = |why: &str| oci::OciError::Shape { what: "dossier", why: why.to_owned() };
        if manifest.artifact_type.as_deref() != Some(ARTIFACT) || manifest.config.media_type != CONFIG {
            return Err(fault("the artifact is no dossier").into());
        }
        let dossier: Self = json::parse_canonical("dossier", &store.read(&manifest.config, oci::MANIFEST_LIMIT)?)?;
        if manifest.layers != dossier.blobs() {
            return Err(fault("its manifest lists other blobs than its configuration").into());
        }
        Ok(dossier)
    }

    /// Every blob, each once, in a fixed order.
    fn blobs(&self) -> Vec<Descriptor> {
        let mut blobs: Vec<Descriptor> = Vec::new();
        let bases = self.bases.iter().flat_map(|b| b.index.iter().chain([&b.manifest, &b.config]).chain(&b.layers));
        let sources = std::iter::once(&self.objects).chain(self.submodules.iter().map(|s| &s.objects));
        for blob in sources.chain(bases).chain(&self.evidence) {
            if !blobs.iter().any(|b| b.digest == blob.digest) {
                blobs.push(blob.clone());
            }
        }
        blobs
    }
}

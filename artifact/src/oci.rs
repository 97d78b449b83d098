//! OCI image formats (image-spec v1.1), read from bytes that are kept beside what was parsed.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::Digest;
use crate::json::{self, JsonError};

mod spelling;

/// An image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An image index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// A layer, uncompressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer, gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer, zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// The empty object, `{}`.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// Docker's image manifest, schema 2: the same shape as [`MANIFEST`].
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's image configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Docker's layer, gzip.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/// The most bytes of a manifest or an index: what registries agree to take.
pub const MANIFEST_LIMIT: u64 = 4 << 20;
/// The most bytes of a configuration.
pub const CONFIG_LIMIT: u64 = 4 << 20;
/// The most layers of an image. Overlay file systems stop long before.
pub const LAYERS_LIMIT: usize = 500;

/// Why an OCI document was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Not the JSON it should be.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// Well-formed, but not a document we know.
    #[error("{what}: {why}")]
    Shape {
        /// What was being read.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

/// What names a blob or a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What an artifact is, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What it runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Names these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// Names bytes that were hashed already.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        let media_type = media_type.to_owned();
        Self { media_type, digest, size, artifact_type: None, annotations: BTreeMap::new(), platform: None }
    }

    /// The same with one more annotation.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// As GOARCH has it.
    pub architecture: String,
    /// As GOOS has it.
    pub os: String,
    /// As for arm's v7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// An image manifest, or an artifact's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST`] or [`DOCKER_MANIFEST`]; required here, so that no manifest can be read as an index.
    pub media_type: String,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// What this artifact is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Not a manifest, a key twice or in another case, too large, too many layers.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        let manifest: Self = document("image manifest", bytes, MANIFEST_LIMIT)?;
        let fault = |why: String| OciError::Shape { what: "image manifest", why };
        if manifest.schema_version != 2 {
            return Err(fault(format!("schemaVersion {}; 2 is expected", manifest.schema_version)));
        }
        if ![MANIFEST, DOCKER_MANIFEST].contains(&manifest.media_type.as_str()) {
            return Err(fault(format!("mediaType {:?}", crate::digest::shortened(&manifest.media_type))));
        }
        if manifest.layers.len() > LAYERS_LIMIT {
            return Err(fault(format!("{} layers, and the limit is {LAYERS_LIMIT}", manifest.layers.len())));
        }
        Ok(manifest)
    }
}

/// An image index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX`].
    #[serde(default = "index_media_type")]
    pub media_type: String,
    /// What it lists.
    pub manifests: Vec<Descriptor>,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Layouts of stock tools leave it out, as the specification allows.
fn index_media_type() -> String {
    INDEX.to_owned()
}

impl Index {
    /// An index of these manifests.
    pub fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: INDEX.to_owned(), manifests, annotations: BTreeMap::new() }
    }

    /// Reads an index.
    ///
    /// # Errors
    /// Not an index, a key twice or in another case, too large.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        let index: Self = document("image index", bytes, MANIFEST_LIMIT)?;
        if index.schema_version != 2 || index.media_type != INDEX {
            return Err(OciError::Shape { what: "image index", why: "not schemaVersion 2 of the OCI index".into() });
        }
        Ok(index)
    }
}

/// An image's configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// When it was made; ours is the source date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// As GOARCH has it.
    pub architecture: String,
    /// As GOOS has it.
    pub os: String,
    /// As for arm's v7.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// What a runtime is told.
    #[serde(default)]
    pub config: RuntimeConfig,
    /// The layers' digests before compression.
    pub rootfs: RootFs,
    /// How it came about; words, compared by nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Value>,
}

impl ImageConfig {
    /// Reads a configuration.
    ///
    /// # Errors
    /// Not a configuration, a key twice or in another case, too large.
    pub fn parse(bytes: &[u8]) -> Result<Self, OciError> {
        document("image configuration", bytes, CONFIG_LIMIT)
    }
}

/// What a runtime is told: this decides what runs, so it is compared in full.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeConfig {
    /// `user[:group]`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `port/protocol`, as keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Empty>,
    /// `NAME=value`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Folders outside the image, as keys.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Empty>,
    /// Where it starts.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Words about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that stops it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// What we don't know (Healthcheck, Shell, OnBuild …) is kept and compared too.
    #[serde(flatten)]
    pub other: BTreeMap<String, Value>,
}

/// `{}`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// The layers before compression.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The lowest first.
    pub diff_ids: Vec<Digest>,
}

/// Reads a document as a runtime would, or not at all.
fn document<T: DeserializeOwned>(what: &'static str, bytes: &[u8], limit: u64) -> Result<T, OciError> {
    let limit = limit as usize;
    if bytes.len() > limit {
        return Err(JsonError::TooLarge { what, len: bytes.len(), limit }.into());
    }
    let mut value: Value = json::parse_foreign(what, bytes)?;
    spelling::settle(what, &mut value)?;
    Ok(json::shaped(what, value)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_can_not_be_read_as_an_index() {
        let both = br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[],"config":{"mediaType":"a","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}"#;
        assert!(Manifest::parse(both).is_err());
        assert!(Index::parse(both).is_ok());
    }

    #[test]
    fn null_lists_and_unknown_fields_of_a_configuration() {
        let config = ImageConfig::parse(br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":{"Healthcheck":{"Test":["NONE"]}}}"#).unwrap();
        assert!(config.config.other.contains_key("Healthcheck"));
        // As Docker's classic builder writes it.
        let docker = ImageConfig::parse(br#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"history":null,"config":{"Hostname":"","User":"","Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null}}"#).unwrap();
        assert!(docker.config.volumes.is_empty() && docker.config.cmd.is_empty());
    }
}

//! What is current for a project, as one file to hand to deployers: the image key's word that the image may be named so, and the
//! log's entry that it was published, each with its receipt under one checkpoint.
//!
//! It is believed by the same rule as a log that lies there whole ([`crate::released`]); what it can't show is that no later
//! entry says otherwise.

use artifact::json::{self, JsonError};
use artifact::name::ProjectName;
use serde::{Deserialize, Serialize};

use crate::checkpoint::SignedCheckpoint;
use crate::entry::{Body, Release, Signature};
use crate::image_keys::ImageKeys;
use crate::note::Vkey;
use crate::recorded::{LastSeen, Proven};
use crate::released::Vouched;

/// The most bytes of the file: two entries and their receipts.
pub const LIMIT: u64 = 8 << 20;

/// The format's name and version.
const TYPE: &str = "countersign-current@v1";

/// The file: canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Current {
    /// `countersign-current@v1`.
    #[serde(rename = "type")]
    kind: String,
    /// The project.
    pub project: ProjectName,
    /// The entry with the image key's signature (kind 8).
    pub signature: Proven,
    /// The entry of the release (kind 10).
    pub release: Proven,
}

/// A file that was verified.
#[derive(Debug)]
pub struct Shown {
    /// What was published.
    pub release: Release,
    /// The index of its entry.
    pub index: u64,
    /// The newest checkpoint when the file was made.
    pub checkpoint: SignedCheckpoint,
}

impl Current {
    /// Puts it together.
    pub fn new(project: ProjectName, signature: Proven, release: Proven) -> Self {
        Self { kind: TYPE.to_owned(), project, signature, release }
    }

    /// Reads a file. It has one spelling.
    ///
    /// # Errors
    /// Another spelling, or another format.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let current: Self = json::parse_canonical("current", bytes).map_err(|e| e.to_string())?;
        match current.kind.as_str() {
            TYPE => Ok(current),
            other => Err(format!("type {:?}; {TYPE} is expected", artifact::words::shortened(other))),
        }
    }

    /// The file's bytes.
    ///
    /// # Errors
    /// Never for what was read or made here.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JsonError> {
        json::canonical("current", self)
    }

    /// Verifies it: both entries are in the log under one checkpoint, and the image key signed, before the release, that this
    /// very image may be named so.
    ///
    /// # Errors
    /// A text for a person: what does not hold.
    pub fn verify(&self, log: &Vkey, image: &ImageKeys) -> Result<Shown, String> {
        let mut seen = LastSeen::default();
        let mut admit =
            |what: &str, proven: &Proven| seen.admit(log, proven, &[]).map_err(|e| format!("its {what}: {e}"));
        let signature = admit("signature", &self.signature)?;
        let release = admit("release", &self.release)?;
        if signature.index() >= release.index() || !signature.checkpoint().says_as(release.checkpoint()) {
            return Err("the signature is not before the release under one checkpoint".to_owned());
        }
        let (index, checkpoint) = (release.index(), release.checkpoint().clone());
        let signed_at = signature.index();
        let signature = signature.of_kind::<Signature>().map_err(|e| e.to_string())?;
        let release = release.of_kind::<Release>().map_err(|e| e.to_string())?.value().clone();
        let mut vouched = Vouched::by(image, log);
        vouched.read(signed_at, &Body::from(signature.value().clone()));
        if !vouched.vouches(&release) {
            return Err("the image key does not vouch for the release: another place, tag, digest or permit".to_owned());
        }
        if release.project != self.project {
            return Err(format!("it is of the project {}, and says {}", release.project, self.project));
        }
        Ok(Shown { release, index, checkpoint })
    }
}

//! Trust policies (C2SP tlog-policy): which logs are believed, and how many of which witnesses must have cosigned.
//!
//! Read strictly: what others read in another way than the specification, such as a `#` in the middle of a line, is
//! refused, so that one file means one thing to everybody.

use artifact::Moment;
use artifact::digest::shortened;
use serde::{Deserialize, Deserializer, Serialize};

use crate::checkpoint::{CheckpointError, SignedCheckpoint};
use crate::cosignature::{SKEW, WitnessKey};
use crate::note::{Note, NoteError, Vkey};

mod parse;

/// The most bytes of a policy.
pub const LIMIT: usize = 64 << 10;

/// The most logs, the most witnesses and the most groups of a policy. The specification asks for 32 of each.
pub const COUNT: usize = 64;

/// Why a policy was not accepted, or what it says of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Not a policy.
    #[error("not a log policy (c2sp.org/tlog-policy): {0}")]
    Shape(String),
    /// A line that is none of a policy.
    #[error("not a log policy (c2sp.org/tlog-policy): line {0}: {1}")]
    Line(usize, String),
    /// The checkpoint is of no log that the policy lists.
    #[error("the policy lists no log of the name {0:?}")]
    Unlisted(String),
    /// Not a checkpoint of the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A cosignature of a witness that the policy lists is there and wrong.
    #[error("witness {0}: {1}")]
    Cosignature(String, NoteError),
    /// A cosignature of a time to come.
    #[error("witness {0} cosigned at {1}, and that is to come: its clock is wrong, or this host's")]
    Future(String, Moment),
    /// Too few witnesses.
    #[error("too few witnesses cosigned the checkpoint of {size} entries: the policy asks for {quorum}, and {found}")]
    Quorum {
        /// How many entries the checkpoint speaks of.
        size: u64,
        /// The name of what is asked for.
        quorum: String,
        /// Who cosigned.
        found: String,
    },
}

/// Which logs are believed, and who must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogPolicy {
    logs: Vec<Vkey>,
    /// Witnesses and groups; a group's members stand before it.
    parts: Vec<Part>,
    /// Which part must have cosigned; `None`: nobody must.
    quorum: Option<usize>,
}

/// A witness or a group, by its name in the policy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a hundred of them at most")]
enum Kind {
    Witness(WitnessKey),
    Group { least: usize, members: Vec<usize> },
}

/// A witness that cosigned a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cosigned {
    /// What the policy calls it.
    pub witness: String,
    /// Its key.
    pub key: WitnessKey,
    /// When.
    pub at: Moment,
}

impl LogPolicy {
    /// The logs that are believed; none: the log is known otherwise.
    pub fn logs(&self) -> &[Vkey] {
        &self.logs
    }

    /// The witnesses, by their names in the policy.
    pub fn witnesses(&self) -> impl Iterator<Item = (&str, &WitnessKey)> {
        self.parts.iter().filter_map(|part| match &part.kind {
            Kind::Witness(key) => Some((part.name.as_str(), key)),
            Kind::Group { .. } => None,
        })
    }

    /// What the policy asks for; `None` when it says `quorum none`.
    pub fn quorum(&self) -> Option<&str> {
        self.quorum.and_then(|at| self.parts.get(at)).map(|part| part.name.as_str())
    }

    /// Whether this log is believed: it is listed, or none is.
    pub fn lists(&self, log: &Vkey) -> bool {
        self.logs.is_empty() || self.logs.contains(log)
    }

    /// Opens a checkpoint of one of the logs, and says who cosigned it.
    ///
    /// # Errors
    /// Signed by none of the logs, or as [`LogPolicy::judge`].
    pub fn open(&self, note: &str, now: Moment) -> Result<(SignedCheckpoint, Vec<Cosigned>), PolicyError> {
        let origin = note.lines().next().unwrap_or_default();
        let mut opened = Err(PolicyError::Unlisted(shortened(origin)));
        for log in self.logs.iter().filter(|log| log.name() == origin) {
            opened = SignedCheckpoint::open(note, log).map_err(PolicyError::from);
            if opened.is_ok() {
                break;
            }
        }
        let checkpoint = opened?;
        let cosigned = self.judge(&checkpoint, now)?;
        Ok((checkpoint, cosigned))
    }

    /// Says who cosigned a checkpoint of a log that is believed, once that is enough.
    ///
    /// # Errors
    /// Too few did; or a listed witness's cosignature is wrong, even when there are enough without.
    pub fn judge(&self, checkpoint: &SignedCheckpoint, now: Moment) -> Result<Vec<Cosigned>, PolicyError> {
        let cosigned = self.cosigned(checkpoint)?;
        if let Some(early) = cosigned.iter().find(|c| c.at > now.plus_seconds(SKEW)) {
            return Err(PolicyError::Future(early.witness.clone(), early.at));
        }
        if self.is_met(&cosigned) {
            return Ok(cosigned);
        }
        let names: Vec<_> = cosigned.iter().map(|c| c.witness.as_str()).collect();
        let found = match names.is_empty() {
            true => "nobody whom it lists did".to_owned(),
            false => shortened(&format!("of those whom it lists only {} did", names.join(", "))),
        };
        let quorum = format!("{:?}", self.quorum().unwrap_or_default());
        Err(PolicyError::Quorum { size: checkpoint.size(), quorum, found })
    }

    /// The listed witnesses that cosigned a checkpoint; enough or not.
    ///
    /// # Errors
    /// A cosignature of one is there and wrong.
    pub fn cosigned(&self, checkpoint: &SignedCheckpoint) -> Result<Vec<Cosigned>, PolicyError> {
        let note = Note::parse(checkpoint.note()).map_err(CheckpointError::from)?;
        let mut cosigned = Vec::new();
        for (name, key) in self.witnesses() {
            match key.cosigned(&note) {
                Ok(at) => cosigned.push(Cosigned { witness: name.to_owned(), key: key.clone(), at }),
                Err(NoteError::Unsigned(_)) => {}
                Err(wrong) => return Err(PolicyError::Cosignature(shortened(name), wrong)),
            }
        }
        Ok(cosigned)
    }

    /// Whether these witnesses are enough.
    fn is_met(&self, cosigned: &[Cosigned]) -> bool {
        let Some(quorum) = self.quorum else { return true };
        // A group's members stand before it, so one walk settles all, however deep they are nested.
        let mut met: Vec<bool> = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            met.push(match &part.kind {
                Kind::Witness(key) => cosigned.iter().any(|c| c.key == *key),
                Kind::Group { least, members } => {
                    members.iter().filter(|m| met.get(**m).is_some_and(|met| *met)).count() >= *least
                }
            });
        }
        met.get(quorum).is_some_and(|met| *met)
    }
}

impl<'de> Deserialize<'de> for LogPolicy {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests;

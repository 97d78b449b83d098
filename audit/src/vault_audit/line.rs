//! One line of an audit log.

use std::collections::{BTreeMap, BTreeSet};

use artifact::{Moment, json};
use serde::Deserialize;
use serde_json::Value;

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered(Answer),
    /// It was refused, or failed: no answer left Vault.
    Refused,
    /// No line speaks of an answer: it may have been made.
    Unanswered,
}

/// What an answer held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// How many signatures; `None`: that can't be seen.
    pub signatures: Option<u64>,
    /// By which versions of the key; `None` in it: that can't be seen.
    pub versions: BTreeSet<Option<u64>>,
}

/// A line. Unknown fields are other people's; the fields here are what Vault 1.10 and OpenBao 2.0 and later write.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub time: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub auth: Option<Auth>,
    pub request: Asked,
    #[serde(default)]
    pub response: Option<Answered>,
    #[serde(default)]
    pub error: Option<String>,
}

/// Who asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Auth {
    #[serde(default)]
    pub display_name: String,
}

/// What was asked.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    pub id: String,
    #[serde(default)]
    pub operation: String,
    #[serde(default)]
    pub path: String,
    #[serde(default)]
    pub mount_point: Option<String>,
    #[serde(default)]
    pub mount_accessor: Option<String>,
    #[serde(default)]
    pub namespace: Option<Namespace>,
    #[serde(default)]
    pub headers: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    pub data: Option<Value>,
    #[serde(default)]
    pub remote_address: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Namespace {
    #[serde(default)]
    pub path: String,
}

/// What was answered.
#[derive(Debug, Deserialize)]
pub(super) struct Answered {
    #[serde(default)]
    pub mount_accessor: Option<String>,
    #[serde(default)]
    pub data: Option<Value>,
    #[serde(default)]
    pub wrap_info: Option<Value>,
}

impl Line {
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        json::parse_foreign("an audit log's line", text).map_err(|e| e.to_string())
    }

    /// The second it was written in, and the first whole one that is not before it.
    pub(super) fn when(&self) -> Result<(Moment, Moment), String> {
        let wrong = || {
            format!("time {:?}: UTC is expected, as in 2026-11-23T10:00:00.5Z", artifact::digest::shortened(&self.time))
        };
        let bare = self.time.strip_suffix('Z').ok_or_else(wrong)?;
        let (seconds, fraction) = bare.split_once('.').unwrap_or((bare, "0"));
        if fraction.is_empty() || fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
            return Err(wrong());
        }
        let floor: Moment = format!("{seconds}Z").parse().map_err(|_| wrong())?;
        let whole = fraction.bytes().all(|b| b == b'0');
        Ok((floor, if whole { floor } else { floor.plus_seconds(1) }))
    }

    /// Whether a part of its path is this name.
    pub(super) fn names(&self, key: &str) -> bool {
        self.request.path.split('/').any(|part| part == key)
    }

    /// Whether something went wrong, as it says.
    fn failed(&self) -> bool {
        self.error.as_ref().is_some_and(|error| !error.is_empty()) || self.is_error()
    }

    /// Whether the answer is what an engine answers with when it will not: an error, and nothing beside it.
    fn is_error(&self) -> bool {
        let response = self.response.as_ref().filter(|r| r.wrap_info.as_ref().is_none_or(Value::is_null));
        let data = response.and_then(|r| r.data.as_ref()?.as_object());
        data.is_some_and(|data| data.len() == 1 && data.get("error").is_some_and(Value::is_string))
    }

    /// What it says came of the request.
    pub(super) fn outcome(&self) -> Result<Outcome, String> {
        match self.kind.as_str() {
            "request" if self.failed() => Ok(Outcome::Refused),
            "request" => Ok(Outcome::Unanswered),
            "response" => {
                let answer = self.answer();
                // What was signed was signed, whatever is said beside it.
                let signed = answer.signatures.is_some_and(|count| count > 0);
                Ok(if self.failed() && !signed { Outcome::Refused } else { Outcome::Answered(answer) })
            }
            other => {
                let kind = artifact::digest::shortened(other);
                Err(format!("type {kind:?}: an audit log has requests and responses"))
            }
        }
    }

    fn answer(&self) -> Answer {
        let response = self.response.as_ref();
        let data = response.and_then(|r| r.data.as_ref());
        let single = data.filter(|d| is_signature(d));
        let batch = data.and_then(|d| d.get("batch_results")).and_then(Value::as_array);
        let wrapped = response.is_some_and(|r| r.wrap_info.as_ref().is_some_and(|w| !w.is_null()));
        let signed: Vec<&Value> =
            single.into_iter().chain(batch.into_iter().flatten()).filter(|r| is_signature(r)).collect();
        let seen = !wrapped && (single.is_some() || batch.is_some());
        let asked = version(self.request.data.as_ref());
        let versions = signed.iter().map(|result| version(Some(result)).or(asked)).collect();
        Answer { signatures: seen.then_some(signed.len() as u64), versions }
    }
}

/// Whether a result holds a signature. It stands there hashed.
fn is_signature(result: &Value) -> bool {
    result.get("signature").is_some_and(Value::is_string)
}

/// A version of a key: Vault counts them from 1, and 0 stands for the latest.
fn version(of: Option<&Value>) -> Option<u64> {
    of?.get("key_version")?.as_u64().filter(|version| *version > 0)
}

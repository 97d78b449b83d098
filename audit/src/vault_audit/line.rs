//! One line of an audit log.

use std::collections::BTreeSet;

use artifact::Moment;
use artifact::digest::shortened;
use artifact::words::one_line;
use serde::Deserialize;

use super::body::{Attempts, Object, Value};

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

/// A line. Unknown fields are other people's; the fields here are what OpenBao 2.7 writes, and Vault before it.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub time: String,
    #[serde(rename = "type")]
    pub kind: String,
    #[serde(default)]
    pub auth: Option<Object<Auth>>,
    pub request: Object<Asked>,
    #[serde(default)]
    pub response: Option<Object<Answered>>,
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
    pub namespace: Option<Object<Namespace>>,
    #[serde(default)]
    pub headers: Option<Attempts>,
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
    /// Reads a line. What clients chose is only looked at as far as it matters: whoever reaches Vault, with a login or
    /// without, has it write down any body, however deep, and that must make no line unreadable.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        match serde_json::from_slice(text) {
            Ok(Object(line)) => Ok(line),
            Err(e) => Err(format!("no line of an audit log: {}", one_line(&e.to_string()))),
        }
    }

    /// The second it was written in, and the first whole one that is not before it.
    pub(super) fn when(&self) -> Result<(Moment, Moment), String> {
        let wrong = || format!("time {:?}: UTC is expected, as in 2026-11-23T10:00:00.5Z", shortened(&self.time));
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
        self.request.0.path.split('/').any(|part| part == key)
    }

    /// Whether Vault, or the engine, says that it would not.
    fn failed(&self) -> bool {
        let response = self.response.as_ref().filter(|r| !r.0.is_wrapped());
        self.error.as_ref().is_some_and(|error| !error.is_empty())
            || response.and_then(|r| r.0.data.as_ref()).is_some_and(Value::is_error)
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
            other => Err(format!("type {:?}: an audit log has requests and responses", shortened(other))),
        }
    }

    fn answer(&self) -> Answer {
        let response = self.response.as_ref().map(|response| &response.0);
        let asked = self.request.0.data.as_ref().and_then(Value::version);
        let seen = response.filter(|r| !r.is_wrapped()).and_then(|r| r.data.as_ref()?.signatures());
        let versions = seen.iter().flatten().map(|version| version.or(asked)).collect();
        Answer { signatures: seen.map(|signed| signed.len() as u64), versions }
    }
}

impl Answered {
    /// Whether the answer was put aside in Vault, for whoever has the token to it.
    fn is_wrapped(&self) -> bool {
        self.wrap_info.as_ref().is_some_and(|info| *info != Value::Null)
    }
}

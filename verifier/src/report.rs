//! What was checked, what came of it, and what was not checked.

use artifact::Digest;
use artifact::key::KeyId;
pub(crate) use artifact::words::printable;
use serde::Serialize;

/// A verification, for a person or a program.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was verified.
    pub subject: String,
    /// The image's manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Whether every check passed and none is missing.
    pub verified: bool,
    /// The image keys whose signatures were found, and why they count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<KeyUsed>,
    /// Each check.
    pub checks: Vec<Check>,
    /// What was not checked, and why.
    pub not_checked: Vec<String>,
    /// What a reader must not overlook.
    pub warnings: Vec<String>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// A stable code.
    pub code: &'static str,
    /// Whether it passed.
    pub passed: bool,
    /// What was found.
    pub found: String,
    /// It did not pass because somebody did not answer: another time it may.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unavailable: bool,
}

/// An image key, and the signatures of it that were found in the log while it was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyUsed {
    /// The key.
    pub key: KeyId,
    /// The first entry that it counts for.
    pub from: u64,
    /// The first that it no longer counts for; absent: it is the one of today.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
    /// The entries that are its signatures.
    pub entries: Vec<u64>,
}

/// Why something was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// It is not what it should be.
    Wrong(String),
    /// Nobody answered for now.
    Unavailable(String),
}

impl Report {
    /// Notes a check.
    pub fn check(&mut self, code: &'static str, outcome: Result<String, String>) {
        let passed = outcome.is_ok();
        let found = match outcome {
            Ok(found) | Err(found) => found,
        };
        self.checks.push(Check { code, passed, found, unavailable: false });
    }

    /// Notes a check that failed since something was not read.
    pub fn unread(&mut self, code: &'static str, why: Unread) {
        let (found, unavailable) = match why {
            Unread::Wrong(found) => (found, false),
            Unread::Unavailable(found) => (found, true),
        };
        self.checks.push(Check { code, passed: false, found, unavailable });
    }

    /// The exit status: 0 verified; 3 when nothing but silence stands in the way; 1 everything else.
    pub fn status(&self) -> u8 {
        let mut failed = self.checks.iter().filter(|c| !c.passed).peekable();
        match (self.verified, failed.peek().is_some() && failed.all(|c| c.unavailable)) {
            (true, _) => 0,
            (false, true) => 3,
            (false, false) => 1,
        }
    }

    /// Draws the conclusion: all passed, and there was something to pass.
    pub fn conclude(&mut self) {
        self.verified = !self.checks.is_empty() && self.checks.iter().all(|c| c.passed);
    }

    /// The report as lines.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![printable(&self.subject)];
        for check in &self.checks {
            let mark = if check.passed { "ok " } else { "NOT" };
            lines.push(format!("  {mark}  {:<12} {}", check.code, printable(&check.found)));
        }
        lines.extend(self.not_checked.iter().map(|n| format!("  --   not checked: {}", printable(n))));
        lines.extend(self.warnings.iter().map(|w| format!("  !!   {}", printable(w))));
        lines.push(if self.verified { "verified" } else { "NOT VERIFIED" }.to_owned());
        lines
    }
}

//! What was checked, what came of it, and what was not checked.

use artifact::Digest;
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
}

impl Report {
    /// Notes a check.
    pub fn check(&mut self, code: &'static str, outcome: Result<String, String>) {
        let passed = outcome.is_ok();
        let found = match outcome {
            Ok(found) | Err(found) => found,
        };
        self.checks.push(Check { code, passed, found });
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

/// Text from outside can't move the cursor or begin a line of its own.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }).collect()
}

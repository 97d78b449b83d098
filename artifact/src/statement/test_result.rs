//! in-toto test results (predicate `test-result` v0.1): how any CI that can sign says that its tests passed.

use serde::{Deserialize, Serialize};

use super::{Predicate, Statement, Subject};
use crate::digest::{CommitId, Digest, shortened};
use crate::key::KeyId;
use crate::moment::Moment;
use crate::statement::facts;

/// A test result. Subject: the commit, as `gitCommit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestResult {
    /// `PASSED`, `WARNED` or `FAILED`.
    pub result: String,
    /// How the tests were run. We ask for one entry named `run` with the annotations `id`, `attempt` and
    /// `finished`: without them no result can be told from an older or a newer one.
    #[serde(default)]
    pub configuration: Vec<Subject>,
    /// Where a person may read about the run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// The tests that passed.
    #[serde(default)]
    pub passed_tests: Vec<String>,
    /// The tests that passed with warnings.
    #[serde(default)]
    pub warned_tests: Vec<String>,
    /// The tests that failed.
    #[serde(default)]
    pub failed_tests: Vec<String>,
}

impl Predicate for TestResult {
    const TYPE: &'static str = "https://in-toto.io/attestation/test-result/v0.1";
    const OURS: bool = false;
}

/// The highest number of an attempt: beyond it JSON's readers disagree on what a number is (RFC 7493, section 2.2).
const ATTEMPTS: u64 = (1 << 53) - 1;

/// Why a verified test result says nothing about a commit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// It speaks of other commits.
    #[error("it speaks of another commit")]
    OtherCommit,
    /// No `run` entry, or one without what it must say.
    #[error("its configuration has no entry named \"run\" with the annotations id, attempt and finished: {0}")]
    NoRun(String),
}

impl Statement<TestResult> {
    /// Reads the result for one commit.
    ///
    /// # Errors
    /// It speaks of another commit, or does not say which run it speaks of.
    pub fn for_commit(&self, commit: &CommitId, key: KeyId, envelope: Digest) -> Result<facts::TestResult, Unusable> {
        if !self.subject.iter().any(|s| s.digest.get("gitCommit").is_some_and(|c| c == commit.as_str())) {
            return Err(Unusable::OtherCommit);
        }
        let missing = |what: &str| Unusable::NoRun(shortened(what));
        let mut runs = self.predicate.configuration.iter().filter(|c| c.name == "run");
        let run = match (runs.next(), runs.next()) {
            (Some(run), None) => run,
            (None, _) => return Err(missing("no entry")),
            (Some(_), Some(_)) => return Err(missing("two entries")),
        };
        let word = |key| run.annotations.get(key).and_then(|v| v.as_str());
        let finished = word("finished").ok_or_else(|| missing("finished"))?;
        let attempt = run.annotations.get("attempt").and_then(|v| v.as_u64()).filter(|attempt| *attempt <= ATTEMPTS);
        Ok(facts::TestResult {
            envelope,
            key,
            result: self.predicate.result.clone(),
            passed: self.predicate.passed_tests.clone(),
            warned: self.predicate.warned_tests.clone(),
            failed: self.predicate.failed_tests.clone(),
            run: word("id").ok_or_else(|| missing("id"))?.to_owned(),
            attempt: attempt.ok_or_else(|| missing("attempt"))?,
            finished: finished.parse::<Moment>().map_err(|e| missing(&e.to_string()))?,
        })
    }
}

//! Decisions: a permit that only [`crate::decide`] can make, or a refusal with every reason.

use artifact::lane::Lane;
use artifact::statement::permit::Terms;
use serde::{Deserialize, Serialize};

/// What was decided.
#[must_use = "a decision that nobody looks at permits nothing"]
#[derive(Debug)]
pub enum Decision<L: Lane> {
    /// It may be signed, on these terms.
    Permit(Permit<L>),
    /// It may not.
    Refusal(Refusal),
}

/// Leave to sign and publish one image in one place. Made by [`crate::decide`] alone; not copied, not read from a file.
#[must_use]
#[derive(Debug)]
pub struct Permit<L: Lane> {
    lane: L,
    terms: Box<Terms>,
}

impl<L: Lane> Permit<L> {
    pub(crate) fn new(lane: L, terms: Terms) -> Self {
        Self { lane, terms: Box::new(terms) }
    }

    /// The lane.
    pub fn lane(&self) -> &L {
        &self.lane
    }

    /// The terms, as they are written down.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Gives up the permit for its terms.
    pub fn into_terms(self) -> Terms {
        *self.terms
    }
}

/// A refusal: every reason, never only the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// At least one.
    pub reasons: Vec<Reason>,
}

/// One reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// A stable code.
    pub code: Code,
    /// The thing, the cause, and what would mend it.
    pub message: String,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

/// The codes of [`decide`](crate::decide): a closed list, so that each has a test and a line in the documentation.
macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Why something is refused. Stable: programs may rely on the text.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)+
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// The text.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text),+ }
            }
        }
    };
}

codes! {
    /// Facts or a comparison of another lane.
    WrongLane = "wrong-lane",
    /// Facts or a comparison of another project.
    WrongProject = "wrong-project",
    /// One room says trial and another does not.
    WrongTrial = "wrong-trial",
    /// Facts for another job.
    WrongNonce = "wrong-nonce",
    /// The facts speak of another branch than the rules.
    WrongBranch = "wrong-branch",
    /// The commit is not on the branch's first-parent line.
    NotOnBranch = "not-on-branch",
    /// The branch was force-pushed.
    HistoryRewritten = "history-rewritten",
    /// The branch was looked at too long ago.
    BranchStale = "branch-stale",
    /// A moment lies in the future.
    FromTheFuture = "from-the-future",
    /// The commit carries no signature that counts.
    CommitUnsigned = "commit-unsigned",
    /// No test result signed with a listed key.
    NoTestResult = "no-test-result",
    /// The newest test result is not PASSED.
    NotPassed = "not-passed",
    /// A required job is not among those that passed.
    JobMissing = "job-missing",
    /// A required job failed or passed with warnings only.
    JobNotPassed = "job-not-passed",
    /// The newest test result is too old.
    EvidenceStale = "evidence-stale",
    /// Test results contradict one another.
    EvidenceInconsistent = "evidence-inconsistent",
    /// CI left no image.
    CandidateMissing = "candidate-missing",
    /// The recipe asks for a base that is not on the list.
    BaseNotAllowed = "base-not-allowed",
    /// Fewer comparers than the rules ask for.
    TooFewComparers = "too-few-comparers",
    /// A comparison of another job: another commit, dossier, candidate or nonce.
    ComparisonMismatch = "comparison-mismatch",
    /// Comparers packed different images.
    RebuildsDisagree = "rebuilds-disagree",
    /// The candidate differs from our rebuild in what matters.
    Diverged = "diverged",
    /// Equal, but less than the rules ask for.
    LevelTooLow = "level-too-low",
    /// Two runs of the recipe left different trees.
    NotDeterministic = "not-deterministic",
    /// The runtime is not one that the rules accept.
    RuntimeNotAccepted = "runtime-not-accepted",
    /// The rules can't be applied to this commit.
    RulesImpossible = "rules-impossible",
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

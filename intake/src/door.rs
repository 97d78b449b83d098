//! Intake's door: one question a process. Content passes by digest, through intake's stores.

use std::path::PathBuf;

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::layout::Collected;
use artifact::name::{BranchName, ProjectName};
use artifact::{CommitId, Digest};
use serde::{Deserialize, Serialize};

/// The most manifests that a room is told to keep in one store: two such lists fit into a frame.
pub const KEPT: usize = 25_000;

/// What intake is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// Is there something new? A look at branch, evidence and candidate; no source is fetched.
    Look {
        /// The project.
        project: ProjectName,
        /// A commit to look for; the branch's head when there is none.
        commit: Option<CommitId>,
    },
    /// Pull everything that a rebuild needs, and state what was seen.
    Prepare {
        /// The project.
        project: ProjectName,
        /// The commit.
        commit: CommitId,
        /// 16 random bytes in hexadecimal: names this job.
        nonce: String,
    },
    /// Look again at branch, evidence and candidate, just before signing; the dossier stays.
    Restate {
        /// The project.
        project: ProjectName,
        /// The commit.
        commit: CommitId,
        /// The nonce of the job.
        nonce: String,
        /// The dossier of the job.
        dossier: Digest,
    },
    /// Count what no kept manifest leads to in both stores, and remove it when that is asked.
    Collect {
        /// The dossiers to keep; at most [`KEPT`].
        dossiers: Vec<Digest>,
        /// The candidates to keep; at most [`KEPT`].
        candidates: Vec<Digest>,
        /// Remove the rest.
        remove: bool,
    },
    /// Make a dossier of a local repository, without evidence and without rules: for `countersign build`.
    Seal {
        /// The absolute folder of a work tree, or of a bare repository.
        source: PathBuf,
        /// The commit; that of `HEAD` when there is none.
        commit: Option<CommitId>,
    },
    /// Bring a checkpoint of the log before witnesses, one after another (C2SP tlog-witness).
    Witness {
        /// 1 to [`WITNESSES`].
        requests: Vec<ToWitness>,
    },
    /// Carry the orders of people that lie in their folder.
    Orders,
}

/// The most witnesses at once; as many as a policy of the log has.
pub const WITNESSES: usize = 64;

/// A request for a witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToWitness {
    /// Its key, as `intake.toml` has it.
    pub witness: String,
    /// The size from which the body's proof leads.
    pub old: u64,
    /// The body of `add-checkpoint`.
    pub body: String,
}

/// What a witness said. Nothing of it is verified here: that is the keeper's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Witnessed {
    /// It cosigned: lines of a note.
    Signed {
        /// As they came.
        lines: String,
    },
    /// It has seen the log at another size: the proof must lead from there.
    Has {
        /// So many entries.
        size: u64,
    },
    /// It did not: no answer, or another one. One line for a person.
    Not {
        /// Which witness, and why.
        why: String,
    },
}

/// An order as it lies in its folder. What it is worth, intake can't say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PulledOrder {
    /// The name of its file, for people.
    pub name: String,
    /// The statement, verbatim.
    pub statement: Base64,
    /// The signature files, verbatim; in place of one that can't be read a word on why.
    pub signatures: Vec<Base64>,
}

/// What intake answers after its Hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// What it is doing: for a person, not for a program.
    Progress {
        /// One line.
        text: String,
    },
    /// To [`Ask::Look`].
    Looked {
        /// The branch that is promoted.
        branch: BranchName,
        /// Its head.
        head: CommitId,
        /// The commit that was asked for, or the head.
        commit: CommitId,
        /// A digest over the test results that speak of the commit and verify. `None`: there is none yet.
        evidence: Option<Digest>,
        /// The manifest of the image that CI left. `None`: there is none yet.
        candidate: Option<Digest>,
    },
    /// To [`Ask::Prepare`] and [`Ask::Restate`].
    Prepared {
        /// The facts, signed with intake's key.
        facts: Base64,
        /// The commit object, without its header.
        commit_object: Base64,
        /// The test results as received, in the order of the facts.
        results: Vec<Base64>,
        /// The dossier.
        dossier: Digest,
        /// The manifest of the image that CI left, in intake's store of candidates.
        candidate: Option<Digest>,
    },
    /// To [`Ask::Collect`].
    Collected {
        /// Of the dossiers.
        dossiers: Collected,
        /// Of the candidates.
        candidates: Collected,
    },
    /// To [`Ask::Seal`].
    Sealed {
        /// The dossier.
        dossier: Digest,
        /// The commit.
        commit: CommitId,
        /// Its tree.
        tree: CommitId,
    },
    /// To [`Ask::Witness`], in the order of the requests.
    Witnessed {
        /// An answer for each.
        answers: Vec<Witnessed>,
    },
    /// To [`Ask::Orders`].
    Orders {
        /// What lies there, by name.
        orders: Vec<PulledOrder>,
        /// What can't be used: which, and why.
        unusable: Vec<String>,
    },
    /// It could not be done.
    Failed(Failure),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_comes_back_and_another_is_refused() {
        let ask = Ask::Look { project: "hello".parse().unwrap(), commit: None };
        let mut wire = Vec::new();
        artifact::frame::send(&mut wire, &ask).unwrap();
        assert_eq!(artifact::frame::receive::<Ask>(&wire[..]).unwrap(), ask);
        for text in [
            &br#"{"ask":"run","project":"hello"}"#[..],
            br#"{"ask":"look","commit":null,"project":"../x"}"#,
            br#"{"ask":"look","commit":null,"more":1,"project":"hello"}"#,
            br#"{"ask":"look","commit":"main","project":"hello"}"#,
        ] {
            let mut wire = (text.len() as u32).to_be_bytes().to_vec();
            wire.extend_from_slice(text);
            assert!(artifact::frame::receive::<Ask>(&wire[..]).is_err(), "{}", String::from_utf8_lossy(text));
        }
    }
}

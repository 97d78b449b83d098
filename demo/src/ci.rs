//! An outside CI: it builds what anyone pushes, leaves an image in staging, and signs what its tests said. It is exposed,
//! and so it can be told to lie.

use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::dsse::Envelope;
use artifact::key::{Ed25519Key, PublicKey};
use artifact::layout::Layout;
use artifact::name::Repository;
use artifact::oci::Descriptor;
use artifact::statement::test_result::TestResult;
use artifact::statement::{Statement, Subject};
use artifact::{CommitId, Moment, durable};

use crate::binaries::{Binaries, runtime};
use crate::command::{Ran, ran, run};
use crate::forge::Forge;
use crate::trouble::{During as _, Trouble};

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Passed,
    /// Well, with warnings.
    Warned,
    /// Badly.
    Failed,
    /// It was not run; CIs call that green all the same.
    Skipped,
}

/// Who signs a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// CI, with the key that the rules list.
    ByCi,
    /// Somebody else.
    ByStranger,
    /// Nobody.
    Not,
}

/// One run of the tests.
#[derive(Debug, Clone)]
pub struct Report {
    /// Each job and how it ended.
    pub jobs: Vec<(String, Outcome)>,
    /// Which run.
    pub run: String,
    /// Which attempt of it.
    pub attempt: u64,
    /// When it ended.
    pub finished: Moment,
    /// Who signs.
    pub signed: Signed,
}

impl Report {
    /// Everything passed, just now.
    pub fn green(jobs: &[&str]) -> Self {
        Self {
            jobs: jobs.iter().map(|job| ((*job).to_owned(), Outcome::Passed)).collect(),
            run: "1".to_owned(),
            attempt: 1,
            finished: Moment::now(),
            signed: Signed::ByCi,
        }
    }

    /// The same, but for one job.
    #[must_use]
    pub fn but(mut self, job: &str, outcome: Outcome) -> Self {
        self.jobs.retain(|(name, _)| name != job);
        self.jobs.push((job.to_owned(), outcome));
        self
    }

    /// The same, as another attempt.
    #[must_use]
    pub fn attempt(mut self, attempt: u64) -> Self {
        self.attempt = attempt;
        self
    }

    /// The same, ended so many hours ago.
    #[must_use]
    pub fn hours_ago(mut self, hours: i64) -> Self {
        self.finished = Moment::from_unix(self.finished.unix() - hours * 3600).unwrap_or(self.finished);
        self
    }

    fn says(&self) -> TestResult {
        let that = |outcome: Outcome| -> Vec<String> {
            self.jobs.iter().filter(|(_, o)| *o == outcome).map(|(name, _)| name.clone()).collect()
        };
        let (warned, failed) = (that(Outcome::Warned), that(Outcome::Failed));
        let word = match (failed.is_empty(), warned.is_empty()) {
            (false, _) => "FAILED",
            (true, false) => "WARNED",
            (true, true) => "PASSED",
        };
        let mut run = Subject { name: "run".to_owned(), ..Subject::default() };
        run.annotations.insert("id".into(), self.run.clone().into());
        run.annotations.insert("attempt".into(), self.attempt.into());
        run.annotations.insert("finished".into(), self.finished.to_string().into());
        TestResult {
            result: word.to_owned(),
            configuration: vec![run],
            url: format!("https://ci.example.org/runs/{}", self.run),
            passed_tests: that(Outcome::Passed),
            warned_tests: warned,
            failed_tests: failed,
        }
    }
}

/// What CI left in staging.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The image.
    pub image: Descriptor,
    /// The layout in which it was built.
    pub layout: Layout,
    /// The name it has there, and in staging: the commit.
    pub commit: CommitId,
    /// Whether two builds of it were equal.
    pub deterministic: bool,
}

/// An outside CI.
#[derive(Debug)]
pub struct Ci {
    folder: PathBuf,
    key: Ed25519Key,
    stranger: Ed25519Key,
    binaries: Binaries,
}

impl Ci {
    /// A CI with a key of its own, that works in this folder.
    ///
    /// # Errors
    /// When the folder can't be made.
    pub fn new(folder: &Path, binaries: Binaries) -> Result<Self, Trouble> {
        durable::create_folder(folder).during(folder.display())?;
        let key = || Ed25519Key::generate().map_err(Trouble::wrong);
        Ok(Self { folder: folder.to_owned(), key: key()?, stranger: key()?, binaries })
    }

    /// The key its results are verified with.
    pub fn public(&self) -> PublicKey {
        self.key.public()
    }

    /// Builds a commit by its recipe with `countersign build`, as any CI could; bases come from these registries. An image
    /// that is another one at each build is an image to a careless CI.
    ///
    /// # Errors
    /// When it does not build.
    pub fn build(&self, forge: &Forge, commit: &CommitId, registries: &[String]) -> Result<Candidate, Trouble> {
        let (ran, words, output) = self.try_build(forge, commit, registries)?;
        let deterministic = ran.json().ok().and_then(|product| product.get("deterministic")?.as_bool());
        let Some(deterministic) = deterministic.filter(|_| output.is_dir()) else {
            return Err(Trouble::Command { command: words, status: ran.status, said: ran.stderr });
        };
        let layout = Layout::open(output);
        let image = layout.find(commit.as_str()).map_err(Trouble::wrong)?;
        Ok(Candidate { image, layout, commit: commit.clone(), deterministic })
    }

    /// Builds a commit, however that ends: what `countersign build` did, its command line, and where it left an image.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn try_build(
        &self,
        forge: &Forge,
        commit: &CommitId,
        registries: &[String],
    ) -> Result<(Ran, String, PathBuf), Trouble> {
        let work = tempfile::Builder::new().prefix("build-").tempdir_in(&self.folder).during(self.folder.display())?;
        let clone = work.path().join("clone");
        forge.clone_at(commit, &clone)?;
        // The image stays; the clone goes.
        let output = self.folder.join(format!("image-{}", unique(work.path())));
        let mut command = self.binaries.command("countersign");
        command.arg("build").arg(&clone).arg("--output").arg(&output).arg("--json");
        command.args(registries.iter().flat_map(|host| ["--registry-plain-http", host]));
        command.args(["--accept-runtime", &runtime()?]);
        Ok((ran(&mut command)?, crate::command::words(&command), output))
    }

    /// Leaves a candidate in staging, under its commit.
    ///
    /// # Errors
    /// When the registry does not take it.
    pub fn push(&self, candidate: &Candidate, staging: &Repository) -> Result<(), Trouble> {
        let from = format!("oci:{}:{}", candidate.layout.root().display(), candidate.commit);
        let to = format!("docker://{staging}:{}", candidate.commit);
        // Without --preserve-digests skopeo is free to compress again, and the candidate would be another image.
        let quiet = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"];
        // No logins but its own: a host's common ones may be in a folder that CI's user can't open.
        let logins = self.folder.join("auth.json");
        durable::replace(&logins, b"{}", 0o600).during(logins.display())?;
        run(Command::new("skopeo").env("REGISTRY_AUTH_FILE", &logins).args(quiet).args([from, to])).map(drop)
    }

    /// Signs what the tests said of a commit, and leaves it where intake looks for evidence.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn report(&self, evidence: &Path, commit: &CommitId, report: &Report) -> Result<PathBuf, Trouble> {
        let statement = Statement::new(vec![Subject::commit("source", commit)], report.says());
        let key = if report.signed == Signed::ByStranger { &self.stranger } else { &self.key };
        let mut envelope: Envelope = statement.sign(key).map_err(Trouble::wrong)?;
        if report.signed == Signed::Not {
            envelope.signatures.clear();
        }
        let path = evidence.join(format!("{commit}-{}-{}.json", report.run, report.attempt));
        durable::replace(&path, &envelope.to_bytes(), 0o644).during(path.display())?;
        Ok(path)
    }
}

fn unique(folder: &Path) -> String {
    let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    name.trim_start_matches("build-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";

    fn read(ci: &Ci, path: &Path) -> Result<artifact::statement::facts::TestResult, String> {
        let signed = artifact::statement::Signed::<TestResult>::open(&std::fs::read(path).unwrap(), [&ci.public()])
            .map_err(|e| e.to_string())?;
        let statement = Statement::<TestResult>::parse(&signed.envelope().payload.0).map_err(|e| e.to_string())?;
        let commit = COMMIT.parse().unwrap();
        statement.for_commit(&commit, signed.key(), signed.envelope().digest()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_report_says_what_the_jobs_did() {
        let folder = tempfile::tempdir().unwrap();
        // The folder is no folder of programs: nothing is built here.
        let ci = Ci::new(folder.path(), Binaries::at(folder.path())).unwrap();
        let report = |report: &Report| read(&ci, &ci.report(folder.path(), &COMMIT.parse().unwrap(), report).unwrap());
        let green = Report::green(&["build", "test"]);
        let facts = report(&green).unwrap();
        assert_eq!((facts.result.as_str(), facts.passed.join(" "), facts.attempt), ("PASSED", "build test".into(), 1));
        let skipped = report(&green.clone().but("test", Outcome::Skipped).attempt(2)).unwrap();
        assert_eq!((skipped.result.as_str(), skipped.passed.join(" "), skipped.attempt), ("PASSED", "build".into(), 2));
        let failed = report(&green.clone().but("test", Outcome::Failed)).unwrap();
        assert_eq!((failed.result.as_str(), failed.failed.join(" ")), ("FAILED", "test".into()));
        assert!(report(&green.clone().hours_ago(30)).unwrap().finished < green.finished);
        for signed in [Signed::ByStranger, Signed::Not] {
            assert!(report(&Report { signed, ..green.clone() }).is_err());
        }
    }
}

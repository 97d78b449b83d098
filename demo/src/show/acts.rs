//! The acts: a promotion, and three refusals.

use std::path::{Path, PathBuf};

use artifact::CommitId;

use super::page::Page;
use super::{image, said};
use crate::base::Base;
use crate::ci::{Outcome, Report};
use crate::command::Ran;
use crate::forge::Source;
use crate::project::{self, Upstream};
use crate::spoil;
use crate::trouble::Trouble;
use crate::world::{Line, World};

/// The jobs that must have passed.
const JOBS: &[&str] = &["build", "test"];

/// A project that is another one at each build.
const RESTLESS: &str = "restless";

/// Everything that the acts play on.
pub(super) struct Stage<'p> {
    page: &'p Page,
    pub world: World,
    upstream: Upstream,
    line: Line,
    restless: Line,
    tiny: artifact::name::Pinned,
    scratch: PathBuf,
}

impl<'p> Stage<'p> {
    /// Sets up the outside and the perimeter.
    pub fn set(page: &'p Page, upstream: Upstream, folder: &Path) -> Result<Self, Trouble> {
        page.heading("The outside: a forge, a CI, two registries. The perimeter: a configuration, and keys of its own");
        let mut world = page.step("registries for staging and production, on loopback", || World::start(folder))?;
        let compiler = page.step(said(Base::Compiler), || world.base(Base::Compiler))?;
        let tiny = page.step(said(Base::Tiny), || world.base(Base::Tiny))?;
        let name = upstream.package();
        let line = world.project(name, &[&compiler], |_| ())?;
        let restless = world.project(RESTLESS, &[&tiny], |_| ())?;
        let what = match upstream.is_kept() {
            true => format!("source: {}, kept from before", upstream.title()),
            false => format!("source: {}, from Debian's archive", upstream.title()),
        };
        page.step(&what, || upstream.lay_out(&line.forge, &compiler))?;
        page.step("perimeter: each room makes its own key; the operator pins them (countersign keys)", || {
            world.keys()
        })?;
        let scratch = folder.join("outside/scratch");
        Ok(Self { page, world, upstream, line, restless, tiny, scratch })
    }

    /// The line: from green to countersigned.
    pub fn promotion(&self) -> Result<(), Trouble> {
        let page = self.page;
        let name = self.upstream.package();
        page.heading(&format!("1  The line: {name} goes to production"));
        let commit = self.commit(&self.line, &[], &format!("Package {name}"))?;
        self.candidate(&self.line, &commit)?;
        self.report(&self.line, &commit, &Report::green(JOBS))?;
        self.once(&self.line, &commit, "released")?;
        let shown = self.world.perimeter.show(commit.as_str())?;
        let digest = shown.get("digest").and_then(|d| d.as_str()).unwrap_or_default().to_owned();
        let reference = format!("{}:latest", self.line.release);
        page.command(&format!("countersign-verify image {reference} --trust trust.toml"));
        let verified = page.live(&mut self.world.perimeter.verifier(&reference), true)?;
        self.expect(verified.status == 0, "the verifier does not accept what was released")?;
        let pinned = format!("{}@{digest}", self.line.release);
        page.text(
            "\n  The image, pulled by that digest with skopeo, unpacked with umoci, and run with nothing but itself:",
        );
        for line in image::run(&pinned, &self.scratch)?.lines() {
            page.quote(line);
        }
        page.verdict(true, "Released: what was published is the perimeter's own build, bit for bit what CI had built.");
        Ok(())
    }

    /// A refusal: one bit of CI's image is another.
    pub fn tampered(&self) -> Result<CommitId, Trouble> {
        let page = self.page;
        page.heading("2  Refused: somebody broke into CI, and made one file of its image setuid root");
        let commit = self.commit(&self.line, &[Source::text("NEWS.countersign", "2\n")], "Second release")?;
        let candidate = page.step("CI: builds the same recipe (countersign build)", || {
            self.world.ci.build(&self.line.forge, &commit, &self.world.settings.registries)
        })?;
        let spoiled = page.step("intruder: chmod u+s on one program, then every digest put right", || {
            spoil::make_setuid(&candidate.layout, commit.as_str())
        })?;
        page.step("CI: pushes the image to staging", || self.world.ci.push(&candidate, &self.line.staging))?;
        self.report(&self.line, &commit, &Report::green(JOBS))?;
        self.once(&self.line, &commit, "refused")?;
        self.explain(&commit, "diverged")?;
        page.verdict(
            false,
            &format!("Refused: /{} is not what the source makes.", spoiled.path.trim_start_matches("./")),
        );
        self.still_the_first()?;
        Ok(commit)
    }

    /// A refusal: a job did not run, and CI calls that green.
    pub fn skipped(&self) -> Result<(), Trouble> {
        let page = self.page;
        page.heading("3  Refused: a required job was skipped, and CI says PASSED all the same");
        let commit = self.commit(&self.line, &[Source::text("NEWS.countersign", "3\n")], "Third release")?;
        self.candidate(&self.line, &commit)?;
        self.report(&self.line, &commit, &Report::green(JOBS).but("test", Outcome::Skipped))?;
        self.once(&self.line, &commit, "refused")?;
        self.explain(&commit, "job-missing")?;
        page.verdict(false, "Refused, before anything was built: no `test` among the jobs that passed.");
        self.still_the_first()
    }

    /// A refusal: no two builds are equal.
    pub fn restless(&self) -> Result<(), Trouble> {
        let page = self.page;
        page.heading("4  Refused: a build that is never the same twice");
        let files = project::restless(&self.tiny);
        let commit = self.commit(&self.restless, &files, "Write down where and when it was built")?;
        self.candidate(&self.restless, &commit)?;
        self.report(&self.restless, &commit, &Report::green(JOBS))?;
        self.once(&self.restless, &commit, "refused")?;
        self.explain(&commit, "not-deterministic")?;
        page.verdict(false, "Refused: which file, and what stood in it each time, is above.");
        Ok(())
    }

    /// What the log says of it all; the log itself must verify.
    pub fn summary(&self) -> Result<(), Trouble> {
        self.page.heading("What the log says");
        for arguments in [["status"].as_slice(), &["log", "verify"]] {
            self.page.command(&format!("countersign {}", arguments.join(" ")));
            let ran = self.page.live(&mut self.world.perimeter.command(arguments), true)?;
            self.expect(ran.status == 0, "the log can't be read")?;
        }
        Ok(())
    }

    fn commit(&self, line: &Line, files: &[Source], message: &str) -> Result<CommitId, Trouble> {
        let what = format!("developer: commits \"{message}\", signed with an SSH key");
        self.page.step(&what, || line.forge.commit(files, message, Some(&self.world.developer)))
    }

    fn candidate(&self, line: &Line, commit: &CommitId) -> Result<(), Trouble> {
        let what = "CI: builds the recipe (countersign build), and pushes the image to staging";
        let built = self.page.step(what, || self.world.candidate(line, commit))?;
        if !built.deterministic {
            self.page.text("          countersign build warned that two runs differ. This CI does not care.");
        }
        Ok(())
    }

    fn report(&self, line: &Line, commit: &CommitId, report: &Report) -> Result<(), Trouble> {
        let passed: Vec<&str> =
            report.jobs.iter().filter(|(_, o)| *o == Outcome::Passed).map(|(name, _)| name.as_str()).collect();
        let what = format!("CI: signs its test result: PASSED ({})", passed.join(", "));
        self.page.step(&what, || self.world.ci.report(&line.evidence, commit, report)).map(drop)
    }

    /// One pass, live; it must end as announced.
    fn once(&self, line: &Line, commit: &CommitId, announced: &str) -> Result<Ran, Trouble> {
        self.page.command(&format!("countersign once --project {}", line.name));
        let mut command = self.world.perimeter.command(&["once", "--project", &line.name, "--json"]);
        let ran = self.page.live(&mut command, false)?;
        let ended = ran.json().unwrap_or_default();
        let of_commit = |e: &&serde_json::Value| e.get("commit").and_then(|c| c.as_str()) == Some(commit.as_str());
        let ended =
            ended.as_array().and_then(|list| list.iter().find(of_commit)).and_then(|e| e.get("outcome")?.as_str());
        let why = format!("status {}, outcome {}; {announced} was announced", ran.status, ended.unwrap_or("none"));
        self.expect(ended == Some(announced), &why)?;
        Ok(ran)
    }

    /// Why it was refused, which must be for the announced reason.
    fn explain(&self, commit: &CommitId, announced: &str) -> Result<(), Trouble> {
        let short = &commit.as_str()[..12];
        self.page.command(&format!("countersign explain {short}"));
        self.page.live(&mut self.world.perimeter.command(&["explain", short]), true)?;
        let codes = self.world.perimeter.reasons(commit.as_str())?;
        self.expect(codes.iter().any(|code| code == announced), &format!("{codes:?}; {announced} was announced"))
    }

    /// What is in production is what was released, and nothing that was refused.
    fn still_the_first(&self) -> Result<(), Trouble> {
        let tags = self.world.production.tags(&format!("prod/{}", self.upstream.package()));
        let commits = tags.keys().filter(|tag| tag.parse::<CommitId>().is_ok()).count();
        self.expect(commits == 1, &format!("production holds {commits} commits"))
    }

    fn expect(&self, holds: bool, otherwise: &str) -> Result<(), Trouble> {
        if holds { Ok(()) } else { Err(Trouble::wrong(format!("the show went wrong: {otherwise}"))) }
    }
}

//! Everything at once: two registries, a forge and evidence for each project, a CI, a developer, and the perimeter between.

use std::path::{Path, PathBuf};

use artifact::name::{Pinned, Repository};
use artifact::{CommitId, durable};

use crate::base::Base;
use crate::binaries::Binaries;
use crate::ci::{Candidate, Ci, Report};
use crate::forge::{Developer, Forge};
use crate::perimeter::{Perimeter, Project, Rules, Settings};
use crate::registry::Registry;
use crate::trouble::{During as _, Trouble};

/// The outside and the perimeter.
#[derive(Debug)]
pub struct World {
    /// Where CI leaves candidates.
    pub staging: Registry,
    /// Where bases come from and releases go.
    pub production: Registry,
    /// Who may sign commits.
    pub developer: Developer,
    /// The outside CI.
    pub ci: Ci,
    /// The perimeter.
    pub perimeter: Perimeter,
    /// What it is configured with; [`World::configure`] writes it again when it was changed.
    pub settings: Settings,
    outside: PathBuf,
}

/// A project of the world, from outside.
#[derive(Debug)]
pub struct Line {
    /// Its name.
    pub name: String,
    /// Its repository.
    pub forge: Forge,
    /// Where signed test results go.
    pub evidence: PathBuf,
    /// Where its candidates go.
    pub staging: Repository,
    /// Where its releases go.
    pub release: Repository,
}

impl World {
    /// A world in this folder, without projects: `staging` and `production` (the registries), `outside` (repositories,
    /// evidence, CI's work), `config`, `state` and `trust.toml` (the perimeter).
    ///
    /// # Errors
    /// When a folder can't be made, or a program of the house is missing.
    pub fn start(folder: &Path) -> Result<Self, Trouble> {
        let binaries = Binaries::find()?;
        durable::create_folder(folder).during(folder.display())?;
        let folder = std::fs::canonicalize(folder).during(folder.display())?;
        let outside = folder.join("outside");
        let staging = Registry::start(folder.join("staging"))?;
        let production = Registry::start(folder.join("production"))?;
        let registries = vec![staging.host(), production.host()];
        Ok(Self {
            developer: Developer::new(&outside.join("keys"), "ann@example.org")?,
            ci: Ci::new(&outside.join("ci"), binaries.clone())?,
            perimeter: Perimeter::new(&folder, binaries)?,
            settings: Settings { registries, ..Settings::default() },
            staging,
            production,
            outside,
        })
    }

    /// Puts a base into the production registry, and says how recipes name it. Rules of projects added later allow it.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn base(&self, base: Base) -> Result<Pinned, Trouble> {
        let (layout, image) = base.get()?;
        self.production.import(&format!("base/{}", base.name()), "latest", &layout, &image)
    }

    /// Adds a project with strict rules, which `change` may change, and writes the configuration.
    ///
    /// # Errors
    /// When its repository can't be made.
    pub fn project(&mut self, name: &str, bases: &[&Pinned], change: impl FnOnce(&mut Rules)) -> Result<Line, Trouble> {
        let forge = Forge::create(&self.outside.join("forge"), name)?;
        let evidence = self.outside.join("evidence").join(name);
        durable::create_folder(&evidence).during(evidence.display())?;
        let staging = self.staging.repository(name)?;
        let release = self.production.repository(&format!("prod/{name}"))?;
        let mut rules = Rules::strict(release.clone());
        rules.result_keys.push(self.ci.public());
        rules.allowed_signers = self.developer.allowed_signer();
        rules.bases = bases.iter().map(|base| (*base).clone()).collect();
        change(&mut rules);
        self.settings.projects.push(Project {
            name: name.to_owned(),
            source: forge.bare().to_owned(),
            evidence: evidence.clone(),
            candidate: staging.clone(),
            rules,
        });
        self.configure()?;
        Ok(Line { name: name.to_owned(), forge, evidence, staging, release })
    }

    /// Writes the configuration as [`World::settings`] has it now.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn configure(&self) -> Result<(), Trouble> {
        self.perimeter.configure(&self.settings)
    }

    /// Has the rooms make their keys, and pins them.
    ///
    /// # Errors
    /// As [`Perimeter::keys`].
    pub fn keys(&self) -> Result<(), Trouble> {
        self.perimeter.keys(&self.settings).map(drop)
    }

    /// Has CI build a commit and leave its image in staging.
    ///
    /// # Errors
    /// When it does not build.
    pub fn candidate(&self, line: &Line, commit: &CommitId) -> Result<Candidate, Trouble> {
        let candidate = self.ci.build(&line.forge, commit, &self.settings.registries)?;
        self.ci.push(&candidate, &line.staging)?;
        Ok(candidate)
    }

    /// Has CI do all its work on a commit: build, push, report.
    ///
    /// # Errors
    /// When it does not build.
    pub fn green(&self, line: &Line, commit: &CommitId) -> Result<Candidate, Trouble> {
        let candidate = self.candidate(line, commit)?;
        self.ci.report(&line.evidence, commit, &Report::green(&["build", "test"]))?;
        Ok(candidate)
    }
}

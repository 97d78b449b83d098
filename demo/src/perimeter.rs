//! A perimeter for trying: a configuration, a state folder, and the real programs started on them.

mod settings;

use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::durable;

pub use settings::{Kept, Orders, Project, Rules, Settings, Witnesses};

use crate::binaries::Binaries;
use crate::command::{Ran, ran, run};
use crate::trouble::{During as _, Trouble};

/// A perimeter.
#[derive(Debug)]
pub struct Perimeter {
    config: PathBuf,
    state: PathBuf,
    trust: PathBuf,
    binaries: Binaries,
}

impl Perimeter {
    /// A perimeter in this folder: `config`, `state` and, for verifiers, `trust.toml`. Nothing is configured yet.
    ///
    /// # Errors
    /// When the folders can't be made.
    pub fn new(folder: &Path, binaries: Binaries) -> Result<Self, Trouble> {
        let perimeter = Self {
            config: folder.join("config"),
            state: folder.join("state"),
            trust: folder.join("trust.toml"),
            binaries,
        };
        for folder in [&perimeter.config, &perimeter.state] {
            durable::create_folder(folder).during(folder.display())?;
        }
        Ok(perimeter)
    }

    /// The same perimeter, with the programs of another folder.
    pub fn on(&self, binaries: Binaries) -> Self {
        let (config, state, trust) = (self.config.clone(), self.state.clone(), self.trust.clone());
        Self { config, state, trust, binaries }
    }

    /// The folder of the configuration.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The folder of the state.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// The log, as verifiers read it.
    pub fn log(&self) -> PathBuf {
        self.state.join("public/log/tiles")
    }

    /// The trust file for verifiers; [`Perimeter::keys`] writes it.
    pub fn trust(&self) -> &Path {
        &self.trust
    }

    /// Writes the whole configuration, in place of what was there.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn configure(&self, settings: &Settings) -> Result<(), Trouble> {
        for (name, text) in settings.files()? {
            self.write(name, &text)?;
        }
        Ok(())
    }

    /// Writes one file of the configuration: for what [`Settings`] can't say, and for files that are wrong.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn write(&self, name: &str, text: &str) -> Result<(), Trouble> {
        let path = self.config.join(name);
        durable::replace(&path, text.as_bytes(), 0o644).during(path.display())
    }

    /// A command on this perimeter, to be started as one likes.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.binaries.command("countersign");
        command.arg("--config").arg(&self.config).arg("--state").arg(&self.state).args(arguments);
        command
    }

    /// Runs a command on this perimeter, however it ends.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn countersign(&self, arguments: &[&str]) -> Result<Ran, Trouble> {
        ran(&mut self.command(arguments))
    }

    /// Has the rooms make their keys and pins them; writes the trust file for verifiers.
    ///
    /// # Errors
    /// When `countersign keys` does not succeed.
    pub fn keys(&self, settings: &Settings) -> Result<Ran, Trouble> {
        let ran = run(&mut self.command(&["keys"]))?;
        let path = self.config.join("keys.toml");
        let keys = std::fs::read_to_string(&path).during(path.display())?;
        let trust = settings.trust(&keys, &self.log());
        durable::replace(&self.trust, trust.as_bytes(), 0o644).during(self.trust.display())?;
        Ok(ran)
    }

    /// One pass, however it ends.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn once(&self) -> Result<Ran, Trouble> {
        self.countersign(&["once", "--json"])
    }

    /// Everything that was promoted or refused, as JSON.
    ///
    /// # Errors
    /// When the command fails, or prints no JSON.
    pub fn status(&self) -> Result<serde_json::Value, Trouble> {
        run(&mut self.command(&["status", "--json"]))?.json()
    }

    /// A promotion's history, as JSON.
    ///
    /// # Errors
    /// When the command fails, or prints no JSON.
    pub fn show(&self, id: &str) -> Result<serde_json::Value, Trouble> {
        run(&mut self.command(&["show", id, "--json"]))?.json()
    }

    /// Why a promotion was refused, as JSON.
    ///
    /// # Errors
    /// When the command fails, or prints no JSON.
    pub fn explain(&self, id: &str) -> Result<serde_json::Value, Trouble> {
        run(&mut self.command(&["explain", id, "--json"]))?.json()
    }

    /// The codes of the reasons for which a promotion was refused.
    ///
    /// # Errors
    /// As [`Perimeter::explain`].
    pub fn reasons(&self, id: &str) -> Result<Vec<String>, Trouble> {
        let refusal = self.explain(id)?;
        let reasons = refusal.get("reasons").and_then(|r| r.as_array()).into_iter().flatten();
        Ok(reasons.filter_map(|r| r.get("code")?.as_str()).map(str::to_owned).collect())
    }

    /// Verifies the whole log, however that ends.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn verify_log(&self) -> Result<Ran, Trouble> {
        self.countersign(&["log", "verify", "--json"])
    }

    /// Verifies the whole log as an auditor would, with a trust file, however that ends.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn audit_log(&self, trust: &Path) -> Result<Ran, Trouble> {
        let mut command = self.binaries.command("countersign-verify");
        ran(command.arg("log").arg(self.log()).arg("--trust").arg(trust))
    }

    /// Verifies an image as a deployer would, however that ends: `HOST/REPO:TAG`, `HOST/REPO@sha256:…` or
    /// `oci:FOLDER@sha256:…`.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn verify_image(&self, reference: &str) -> Result<Ran, Trouble> {
        ran(&mut self.verifier(reference))
    }

    /// The verifier's command line for an image.
    pub fn verifier(&self, reference: &str) -> Command {
        let mut command = self.binaries.command("countersign-verify");
        command.args(["image", reference, "--trust"]).arg(&self.trust);
        command
    }
}

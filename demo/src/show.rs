//! The show: the line on an embedded perimeter, and three refusals. It judges what it shows: an act that ends otherwise
//! than announced is a failure of the show.

mod acts;
mod image;
mod page;

use std::path::{Path, PathBuf};

use artifact::CommitId;

pub use page::Page;

use crate::base::Base;
use crate::command::is_root;
use crate::project::Upstream;
use crate::registry::Registry;
use crate::trouble::{During as _, Trouble};
use crate::world::World;
use acts::Stage;

/// What is shown.
#[derive(Debug, Clone)]
pub struct Show {
    /// The program that is built.
    pub upstream: Upstream,
    /// Where everything is left; else it goes when the show ends.
    pub keep: Option<PathBuf>,
}

impl Show {
    /// Plays it.
    ///
    /// # Errors
    /// When something can't be set up, or an act ends otherwise than announced.
    pub fn play(&self, page: &Page) -> Result<(), Trouble> {
        let temporary = match &self.keep {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("countersign-demo-").tempdir().during("a temporary folder")?),
        };
        let folder = match (&self.keep, &temporary) {
            (Some(folder), _) => empty(folder)?,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => return Err(Trouble::wrong("no folder")),
        };
        page.text("Countersign: one commit, from green CI outside to a countersigned image inside, on this machine.");
        page.text("Everything listens on loopback only, and only the outside listens: the perimeter never does.");
        if !is_root() {
            page.text("You are an ordinary user: the rooms share your uid, and everything signed says `trial`.");
        }
        let stage = Stage::set(page, self.upstream, &folder)?;
        stage.promotion()?;
        let tampered = stage.tampered()?;
        stage.skipped()?;
        stage.restless()?;
        stage.summary()?;
        self.end(page, &stage.world, &folder, &tampered);
        Ok(())
    }

    /// Where everything lies, and what to try with it; `refused` is a commit to ask about.
    fn end(&self, page: &Page, world: &World, folder: &Path, refused: &CommitId) {
        page.heading(&format!("All that took {:.0} seconds. Where everything lies", page.elapsed().as_secs_f32()));
        let at = folder.display();
        let bin = world.perimeter.verifier("x");
        let bin = Path::new(bin.get_program()).parent().unwrap_or(Path::new("."));
        if self.keep.is_none() {
            page.text(&format!(
                "  It lay in {at}, which is gone now. To look around in it, and to try things:\n\n    {} --keep DIR",
                bin.join("countersign-demo").display()
            ));
            return;
        }
        let image = format!("{}/prod/{}:latest", world.production.host(), self.upstream.package());
        let [log, config] =
            [world.perimeter.log(), world.perimeter.config().to_owned()].map(|p| p.display().to_string());
        page.text(&format!(
            "  {config:<50} what the operator writes\n  {log:<50} the log, as C2SP tiles\n  {:<50} releases, as OCI layouts\n  \
             {:<50} repositories, evidence, CI's work\n\n  To try:\n\n    export PATH={}:$PATH\n    export \
             COUNTERSIGN_CONFIG={at}/config COUNTERSIGN_STATE={at}/state\n    countersign status\n    countersign explain \
             {}\n    countersign log list\n    countersign log verify\n    countersign-demo --serve {at} &   # the registries, \
             on their ports of now\n    countersign-verify image {image} --trust {at}/trust.toml",
            format!("{at}/production/repositories"),
            format!("{at}/outside"),
            bin.display(),
            &refused.as_str()[..12],
        ));
    }
}

/// A folder that is there, and empty.
fn empty(folder: &Path) -> Result<PathBuf, Trouble> {
    std::fs::create_dir_all(folder).during(folder.display())?;
    if std::fs::read_dir(folder).during(folder.display())?.next().is_some() {
        return Err(Trouble::wrong(format!("{} is not empty: name a new folder", folder.display())));
    }
    std::fs::canonicalize(folder).during(folder.display())
}

/// Serves the registries of a show that was kept, on the ports they had, until this program is ended.
///
/// # Errors
/// When nothing was kept there, or a port is taken.
pub fn serve(folder: &Path, page: &Page) -> Result<(), Trouble> {
    let mut registries = Vec::new();
    for name in ["staging", "production"] {
        let folder = folder.join(name);
        if !folder.join("port").is_file() {
            return Err(Trouble::wrong(format!("{} holds no registry: countersign-demo --keep DIR", folder.display())));
        }
        let registry = Registry::start(folder)?;
        page.text(&format!("{name:<11} http://{}  {}", registry.host(), registry.repositories().join(" ")));
        registries.push(registry);
    }
    page.text("Ctrl-C ends it.");
    loop {
        std::thread::park();
    }
}

/// What the demo says before its first act.
fn said(base: Base) -> &'static str {
    match (base, base.is_kept()) {
        (Base::Compiler, true) => "base: Debian bookworm with gcc and make, kept from before",
        (Base::Compiler, false) => "base: Debian bookworm with gcc and make, by mmdebstrap (once; some ten seconds)",
        (Base::Tiny, true) => "base: a static busybox, kept from before",
        (Base::Tiny, false) => "base: a static busybox",
    }
}

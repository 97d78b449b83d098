//! The auditor's page, in headless Chromium: what it shows of a log, that it goes red when a byte is another, that no text
//! of a log is more than text there, and that a person can use it.

mod browser;
mod damaged;
mod history;
mod hostile;
mod keys;
mod large;
mod made;
mod scripts;
mod serve;
mod shapes;
mod used;
mod verified;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use artifact::key::P256Key;
use demo::command::{Ran, ran};
use serde_json::{Value, json};

use crate::corruption::forged::Forged;
use browser::{Browser, Visit};

/// A log in a folder, whom an auditor trusts, and the pages that are made of it.
pub struct Review {
    pub log: PathBuf,
    pub trust: PathBuf,
    pub site: PathBuf,
    _folder: tempfile::TempDir,
}

impl Review {
    /// Of a log that is made up, written and shown. It stays for a person to look at, below `COUNTERSIGN_KEEP` if that is set.
    pub fn of(forged: &Forged) -> Self {
        let folder = match std::env::var_os("COUNTERSIGN_KEEP") {
            Some(to) => tempfile::Builder::new().prefix("page-").disable_cleanup(true).tempdir_in(to).unwrap(),
            None => tempfile::tempdir().unwrap(),
        };
        let at = |name: &str| folder.path().join(name);
        let (log, trust, site) = (at("log"), at("trust.toml"), at("site"));
        forged.write(&log);
        let image = P256Key::generate().unwrap().public();
        let names = "verifier_id = \"https://v.example\"\nbuilder_id = \"https://b.example\"\n";
        fs::write(&trust, format!("image = \"\"\"\n{image}\"\"\"\nlog = \"{}\"\n{names}", forged.vkey())).unwrap();
        Self { log, trust, site, _folder: folder }.made()
    }

    /// Of a log that is there.
    pub fn copied(from: &Path, trust: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, site) = (folder.path().join("log"), folder.path().join("site"));
        crate::corruption::copy(from, &log);
        Self { log, trust: trust.to_owned(), site, _folder: folder }.made()
    }

    fn made(self) -> Self {
        let made = self.make(&[]);
        assert_eq!(made.status, 0, "{}{}", made.stdout, made.stderr);
        self
    }

    /// `countersign-verify site`.
    pub fn make(&self, more: &[&str]) -> Ran {
        let mut command = Command::new(crate::binaries().join("countersign-verify"));
        command.arg("site").arg(&self.log).arg("--trust").arg(&self.trust).arg("--out").arg(&self.site).args(more);
        ran(&mut command).unwrap()
    }

    /// The address of one of the two pages.
    pub fn address(&self, page: &str) -> String {
        format!("file://{}/{page}", self.site.display())
    }

    /// Opens the page that was made for this log, waits for what came of it, and goes on.
    pub fn open(&self, browser: &Browser, more: &[Value]) -> Visit {
        self.open_as(browser, json!({}), more)
    }

    /// As [`Review::open`], in a browser that is set up so.
    pub fn open_as(&self, browser: &Browser, context: Value, more: &[Value]) -> Visit {
        let steps = [&[json!(["goto", self.address("index.html")]), json!(["settled"])], more].concat();
        browser.visit(context, &steps)
    }

    /// Opens the page that reads any folder, picks one, waits for what came of it, and goes on.
    pub fn pick(&self, browser: &Browser, folder: &Path, more: &[Value]) -> Visit {
        let picked =
            [json!(["goto", self.address("alone.html")]), json!(["pick", "#folder", folder]), json!(["settled"])];
        browser.visit(json!({}), &[&picked, more].concat())
    }
}

/// The page says that the log does not verify, names one of these, and shows nothing of the log.
fn red(visit: &Visit, names: &[&str], what: &str) {
    let said = visit.settled();
    assert!(said.contains("Does NOT verify"), "{what}: {said}");
    assert!(names.iter().any(|name| said.contains(name)), "{what}: {said:?} names none of {names:?}");
    assert!(!said.contains("Verified"), "{what}: {said}");
    let [.., nav, main] = &visit.answers[..] else { panic!("{what}") };
    assert_eq!(*nav, json!(false), "{what}: the views are still there");
    let main = main.as_str().unwrap();
    assert!(main.starts_with("This log is not what was recorded"), "{what}: {main}");
}

/// What [`red`] looks at.
fn look() -> [Value; 2] {
    [json!(["shown", "#nav"]), json!(["text", "#main"])]
}

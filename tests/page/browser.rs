//! Chromium, driven by `tests/peers/page/drive.mjs`: a line of JSON there, a line back.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde::Deserialize;
use serde_json::{Value, json};

/// A browser that tests share while any of them lives.
pub struct Browser {
    running: Mutex<Running>,
}

struct Running {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

/// What came of a visit.
#[derive(Debug, Deserialize)]
pub struct Visit {
    /// What each step gave.
    pub answers: Vec<Value>,
    /// Every address that was asked for, by whomever.
    pub requests: Vec<String>,
    /// What the browser complained of: errors, and whatever the policy forbade.
    pub complaints: Vec<String>,
    /// What a script of somebody else's did: dialogs and windows.
    pub ran: Vec<String>,
    failed: Option<String>,
}

static SHARED: Mutex<Weak<Browser>> = Mutex::new(Weak::new());

impl Browser {
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(there) = shared.upgrade() {
            return there;
        }
        let new = Arc::new(Self::start());
        *shared = Arc::downgrade(&new);
        new
    }

    fn start() -> Self {
        let driver = crate::peers::peer("page").join("drive.mjs");
        let mut command = Command::new("node");
        command.arg(driver).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("node is there: tests/setup installs it");
        let (to, from) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { running: Mutex::new(Running { child, to, from }) }
    }

    /// Takes these steps in a fresh profile. The first answers are those of the steps, in order.
    pub fn visit(&self, context: Value, steps: &[Value]) -> Visit {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let line = format!("{}\n", json!({"context": context, "steps": steps}));
        running.to.as_mut().unwrap().write_all(line.as_bytes()).expect("the driver reads: its complaints stand above");
        let mut answer = String::new();
        running.from.read_line(&mut answer).unwrap();
        let visit: Visit = serde_json::from_str(&answer).unwrap_or_else(|e| panic!("{e}: {answer:?}"));
        assert_eq!(visit.failed, None, "{steps:?}: {visit:?}");
        visit
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner);
        // The driver ends, and the browser with it, when nobody will ask any more.
        drop(running.to.take());
        let _ = running.child.wait();
    }
}

impl Visit {
    /// What the page said at the first step that waited for it.
    pub fn settled(&self) -> &str {
        let said = |answer: &&Value| answer.as_str().is_some_and(|text| !text.is_empty());
        self.answers.iter().find(said).and_then(Value::as_str).expect("a step waited for it")
    }

    /// The text that a step gave.
    pub fn text(&self, step: usize) -> &str {
        self.answers[step].as_str().unwrap_or_else(|| panic!("step {step}: {:?}", self.answers))
    }

    /// Nothing was asked for but below this address, nothing was forbidden, and nothing ran that is not the page's.
    pub fn calm(&self, below: &str) {
        let elsewhere: Vec<_> = self.requests.iter().filter(|address| !address.starts_with(below)).collect();
        assert!(elsewhere.is_empty() && !self.requests.is_empty(), "{elsewhere:?}");
        assert!(self.complaints.is_empty(), "{:?}", self.complaints);
        assert!(self.ran.is_empty(), "{:?}", self.ran);
    }
}

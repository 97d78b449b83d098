//! For tests: makes a step fail, before or after it was done, and lets a test watch what is durable when.

use std::cell::{Cell, RefCell};
use std::io;

use super::Step;

#[derive(Clone, Copy)]
enum Plug {
    In,
    /// Pulled at the step after so many; `true`: that one is done all the same.
    Armed(usize, bool),
    Pulled,
}

type Watcher = Box<dyn FnMut(Step<'_>)>;

thread_local! {
    static PLUG: Cell<Plug> = const { Cell::new(Plug::In) };
    static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
}

/// The step after `left` others fails, and every one after it: `done` says whether that one is done all the same.
pub(crate) fn arm(left: usize, done: bool) {
    PLUG.set(Plug::Armed(left, done));
}

/// No step fails any more. Says whether one did.
pub(crate) fn disarm() -> bool {
    matches!(PLUG.replace(Plug::In), Plug::Pulled)
}

/// Shows each step of this thread, once it is done, to a watcher; or to nobody any more.
pub(crate) fn watch(watcher: Option<Watcher>) {
    WATCHER.set(watcher);
}

pub(super) fn step(step: Step<'_>, action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    match PLUG.get() {
        Plug::In => return act(step, action),
        Plug::Armed(left @ 1.., done) => {
            PLUG.set(Plug::Armed(left - 1, done));
            return act(step, action);
        }
        Plug::Armed(0, true) => act(step, action)?,
        Plug::Armed(0, false) | Plug::Pulled => {}
    }
    PLUG.set(Plug::Pulled);
    Err(io::Error::other("the test pulled the plug"))
}

fn act(step: Step<'_>, action: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    action()?;
    WATCHER.with_borrow_mut(|watcher| {
        if let Some(watcher) = watcher {
            watcher(step);
        }
    });
    Ok(())
}

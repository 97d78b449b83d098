//! Every write to a registry, in order; and the faults it can be told to show.

use artifact::{Digest, Moment};

/// One write, in the order in which writes took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// `POST`, `PATCH`, `PUT` or `DELETE`.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The repository, without the registry.
    pub repository: String,
    /// What became of it. Only 201 and 202 had an effect.
    pub status: u16,
    /// The blob or manifest that was put.
    pub digest: Option<Digest>,
    /// The tag that was set by it.
    pub tag: Option<String>,
    /// What the manifest says it is about.
    pub subject: Option<Digest>,
    /// When it was answered.
    pub at: Moment,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The request is answered with 503 and has no effect.
    Unavailable,
    /// The connection is cut before the request has an effect.
    CutBefore,
    /// The request has its effect, and the connection is cut before the answer.
    CutAfter,
}

/// A fault to show.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What goes wrong.
    pub harm: Harm,
    /// With which requests: those whose `METHOD /path` contains this.
    pub on: String,
    /// How many such requests go well first.
    pub skip: usize,
    /// With how many it goes wrong then.
    pub times: usize,
}

impl Fault {
    /// The next so many writes of a method (`PUT`, `POST`, `PATCH`) go wrong.
    pub fn next(harm: Harm, on: &str, times: usize) -> Self {
        Self { harm, on: on.to_owned(), skip: 0, times }
    }
}

/// The faults that are still to be shown.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What goes wrong with this request.
    pub fn strike(&mut self, method: &str, path: &str) -> Option<Harm> {
        let line = format!("{method} {path}");
        let mut harm = None;
        for fault in self.0.iter_mut().filter(|f| line.contains(&f.on)) {
            match fault.skip.checked_sub(1) {
                Some(less) => fault.skip = less,
                None if harm.is_none() => {
                    harm = Some(fault.harm);
                    fault.times = fault.times.saturating_sub(1);
                }
                None => {}
            }
        }
        self.0.retain(|f| f.times > 0);
        harm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_strikes_as_often_as_it_was_told() {
        let mut faults = Faults::default();
        faults.add(Fault { harm: Harm::CutAfter, on: "PUT /v2/a/manifests".into(), skip: 1, times: 2 });
        let mut struck = |line: &str| faults.strike("PUT", line).is_some();
        let seen =
            ["/v2/a/manifests/1", "/v2/a/blobs/x", "/v2/a/manifests/2", "/v2/a/manifests/3", "/v2/a/manifests/4"]
                .map(&mut struck);
        assert_eq!(seen, [false, false, true, true, false]);
    }
}

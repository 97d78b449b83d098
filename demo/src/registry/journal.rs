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

/// The writes that gave a tag to an image of which nothing had been said yet: no manifest was about it, and no legacy tag
/// `sha256-….sig` named a signature. The tags of signatures and attestations themselves don't count.
pub fn bare_tags(journal: &[Write]) -> Vec<&Write> {
    let done = |w: &&Write| w.status == 201 && w.method == "PUT";
    let mut bare = Vec::new();
    for (at, write) in journal.iter().enumerate().filter(|(_, w)| done(w)) {
        let (Some(tag), Some(digest)) = (&write.tag, &write.digest) else { continue };
        let legacy = format!("sha256-{}.sig", digest.hex());
        let speaks_of = |w: &Write| {
            w.repository == write.repository && (w.subject == Some(*digest) || w.tag.as_ref() == Some(&legacy))
        };
        if !tag.starts_with("sha256-") && !journal[..at].iter().filter(done).any(speaks_of) {
            bare.push(write);
        }
    }
    bare
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
    /// The request is refused with this status and code, and has no effect.
    Refused(u16, &'static str),
    /// Another writer lets the tag name this manifest first, and then the request is refused: the tag is taken.
    Taken(Digest),
    /// The request has its effect, and before it is answered another writer lets the tag name this manifest.
    Overwritten(Digest),
    /// The answer is that there is a blob of this size, whatever there is.
    Claimed(u64),
    /// The answer is that there is nothing, whatever there is.
    Unknown,
    /// The answer is a page for people.
    Page,
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
    fn a_tag_before_its_signature_is_found() {
        let image = Digest::of(b"image");
        let write = |tag: Option<&str>, digest: Digest, subject: Option<Digest>, status| Write {
            method: "PUT".into(),
            path: String::new(),
            repository: "a".into(),
            status,
            digest: Some(digest),
            tag: tag.map(str::to_owned),
            subject,
            at: Moment::now(),
        };
        let tagged = write(Some("latest"), image, None, 201);
        let signed = write(None, Digest::of(b"bundle"), Some(image), 201);
        let legacy = write(Some(&format!("sha256-{}.sig", image.hex())), Digest::of(b"signature"), None, 201);
        let refused = Write { status: 503, ..signed.clone() };
        let elsewhere = Write { repository: "b".into(), ..signed.clone() };
        assert!(bare_tags(&[signed.clone(), tagged.clone()]).is_empty());
        assert!(bare_tags(&[legacy, tagged.clone()]).is_empty());
        for before in [vec![], vec![refused], vec![elsewhere]] {
            let journal = [before, vec![tagged.clone(), signed.clone()]].concat();
            assert_eq!(bare_tags(&journal), [&tagged]);
        }
    }

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

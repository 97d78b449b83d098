//! The whole sequence, on one page: verify, decide again, admit the permit, bind the attempt, sign, bundle, publish, read
//! back, record. Killed anywhere and asked again, it goes on with what is recorded, and makes nothing twice.

mod again;
#[cfg(test)]
mod faults;
mod resign;
mod rotate;
mod signing;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

use std::path::Path;

use again::{check_use, previous};
use artifact::failure::Failure;
use artifact::layout::Layout;
use artifact::statement::permit::Terms;
use artifact::{Digest, Moment};
use audit::door::{Appended, Submission};
use audit::entry::{Permit, Reason, Release};
use audit::keys::HouseKeys;
use audit::recorded::{LastSeen, Recorded};
use policy::Rules;
use signing::{Signing, at_registries};

use crate::attempt::{Made, not_recorded};
use crate::config::SignerConfig;
use crate::door::{Answer, ReleaseAsk};
use crate::evidence::{Evidence, Stores};
use crate::key::ImageKey;
use crate::state::{Memory, Store, Used};
use crate::statements::{ToSign, statements};

/// Why a release did not come about.
#[derive(Debug)]
pub enum Stop {
    /// Judged again, and refused: every reason.
    Refused(Vec<Reason>),
    /// It could not be done.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// Has entries recorded, through the coordinator.
pub trait Recorder {
    /// Sends them, and hears the proofs.
    ///
    /// # Errors
    /// When the coordinator is gone.
    fn record(&mut self, submissions: Vec<Submission>, since: u64) -> Result<Appended, Failure>;

    /// Says a line for a person.
    fn say(&mut self, text: &str);
}

/// The signer at work.
#[derive(Debug)]
pub struct Signer<'a> {
    /// Its configuration.
    pub config: &'a SignerConfig,
    /// Its own copy of the rules.
    pub rules: &'a Rules,
    /// The house's keys.
    pub keys: &'a HouseKeys,
    /// Whether the launcher was an ordinary user.
    pub trial: bool,
    /// The state folder.
    pub state: &'a Path,
}

/// One release in the making.
struct Job<'a> {
    permit: Recorded<Permit>,
    signing: Signing,
    memory: Memory,
    evidence: &'a Evidence,
}

/// What is recorded, before anything was made of the evidence.
struct Admitted {
    permit: Recorded<Permit>,
    made: Made,
    seen: LastSeen,
    memory: Memory,
}

impl Admitted {
    fn into_job(self, evidence: &Evidence, to_sign: Vec<ToSign>) -> Job<'_> {
        let Self { permit, made, seen, memory } = self;
        let (promotion, terms) = (permit.value().promotion, permit.value().terms.clone());
        let signing = Signing { promotion, permit: permit.index(), terms, to_sign, made, seen };
        Job { permit, signing, memory, evidence }
    }
}

impl Signer<'_> {
    /// Releases what was permitted.
    ///
    /// # Errors
    /// Refused, with every reason; or what kept it from being done.
    pub fn release(
        &self,
        ask: &ReleaseAsk,
        key: &dyn ImageKey,
        store: &dyn Store,
        recorder: &mut dyn Recorder,
    ) -> Result<Answer, Stop> {
        let rules = self
            .rules
            .project(&ask.project)
            .ok_or_else(|| refused("project-unlisted", format!("{} is not in signer-rules.toml", ask.project)))?;
        let lane = self.state.join("public");
        let stores = Stores {
            rebuilds: Layout::open(lane.join("compare/out")),
            candidates: Layout::open(lane.join("intake/candidates")),
        };
        if key.public() != *self.keys.image.current() {
            return Err(Failure::halt("wrong-image-key", "the image key is not the one that keys.toml pins").into());
        }
        // The log first: one that was rolled back halts the house, whatever else is wrong.
        let admitted = self.admit(ask, store)?;
        let evidence = Evidence::verify(ask, self.keys, rules, &stores).map_err(Stop::Refused)?;
        let to_sign = statements(&admitted.permit, &evidence, &self.config.verifier_id, key.kept())?;
        let mut job = admitted.into_job(&evidence, to_sign);
        job.signing.made.keep_sound(&job.signing.to_sign, &key.public(), self.keys);
        self.decide_again(&job, rules, job.signing.made.complete(&job.signing.to_sign))?;
        stores.whole(&job.signing.terms.digest)?;
        recorder.say("verified, and decided again");
        let attempt = self.bind(&mut job, store, recorder)?;
        job.signing.sign(&attempt, key, self.keys, recorder)?;
        job.signing.bundle(key, self.keys, recorder)?;
        recorder.say("signed and recorded");
        let mut publication = job.signing.publication(self, &stores.rebuilds, job.evidence.source_date)?;
        publication.beside = job.memory.beside(&job.signing.terms.repository);
        let published = at_registries(self, async |client| publication.publish(client).await)?;
        for erased in &published.erased {
            recorder.say(erased);
        }
        self.record_release(job, attempt, published.referrers, store, recorder)
    }

    /// Admits the permit and what is recorded under it, against the last checkpoint that was seen.
    fn admit(&self, ask: &ReleaseAsk, store: &dyn Store) -> Result<Admitted, Stop> {
        let mut memory = store.load()?;
        let mut seen = memory.seen;
        let recorded = |e| Stop::Failed(not_recorded(&e));
        let permit = seen.admit(&self.keys.log, &ask.permit, &ask.consistency).map_err(recorded)?;
        let permit = permit.of_kind::<Permit>().map_err(recorded)?;
        let mut made = Made::default();
        for proven in &ask.recorded {
            made.take(&mut seen, self.keys, proven, &ask.consistency).map_err(recorded)?;
        }
        store.recall(&mut memory, &names(&permit.value().terms))?;
        let index = permit.index();
        made.attempts.retain(|a| a.permit == index);
        Ok(Admitted { permit, made, seen, memory })
    }

    /// Records the attempt, and binds the tags to it by compare-and-set: a permit is used once, and never an older one.
    fn bind(&self, job: &mut Job<'_>, store: &dyn Store, recorder: &mut dyn Recorder) -> Result<String, Stop> {
        let terms = job.signing.terms.clone();
        check_use(job, &terms)?;
        let attempt = job.signing.attempt(self.keys, recorder)?;
        let (permit, previous) = (job.permit.index(), previous(job, &terms));
        for name in names(&terms) {
            let (attempt, digest) = (attempt.clone(), terms.digest);
            job.memory.tags.insert(name, Used { permit, attempt, digest, previous, released: false });
        }
        job.memory.seen = job.signing.seen;
        store.swap(&mut job.memory)?;
        Ok(attempt)
    }

    fn record_release(
        &self,
        mut job: Job<'_>,
        attempt: String,
        referrers: Vec<Digest>,
        store: &dyn Store,
        recorder: &mut dyn Recorder,
    ) -> Result<Answer, Stop> {
        let terms = job.signing.terms.clone();
        let release = Release {
            promotion: job.signing.promotion,
            lane: terms.lane.clone(),
            trial: terms.trial,
            project: terms.project.clone(),
            attempt,
            permit: job.permit.index(),
            digest: terms.digest,
            repository: terms.repository.clone(),
            tags: terms.tags.clone(),
            previous: terms.previous,
            referrers,
            at: Moment::now(),
        };
        job.signing.record(self.keys, recorder, vec![Submission::Body(release.into())])?;
        // Killed before this, the next permit may name either digest as the previous one: `previous` takes both.
        for name in names(&terms) {
            if let Some(used) = job.memory.tags.get_mut(&name) {
                used.released = true;
            }
        }
        job.memory.seen = job.signing.seen;
        store.swap(&mut job.memory)?;
        Ok(Answer::Released { digest: terms.digest, repository: terms.repository, tags: terms.tags })
    }
}

/// The tags of a permit, as the memory names them.
fn names(terms: &Terms) -> Vec<String> {
    terms.tags.iter().map(|tag| format!("{}:{tag}", terms.repository)).collect()
}

fn refused(code: &str, message: String) -> Stop {
    Stop::Refused(vec![Reason { code: code.to_owned(), message }])
}

fn lost() -> Failure {
    Failure::halt("recorded-lost", "what was recorded did not come back")
}

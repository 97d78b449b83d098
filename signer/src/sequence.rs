//! The whole sequence, on one page: verify, decide again, admit the permit, bind the attempt, sign, bundle, publish, read
//! back, record. Killed anywhere and asked again, it goes on with what is recorded, and makes nothing twice.

mod again;
#[cfg(test)]
mod faults;
mod record;
mod resign;
mod rotate;
#[cfg(test)]
mod testkit;
#[cfg(test)]
mod tests;

use std::path::Path;

use again::{check_use, previous};
use artifact::digest::{Base64, hex};
use artifact::failure::Failure;
use artifact::key::PublicKey;
use artifact::layout::Layout;
use artifact::statement::permit::Terms;
use artifact::{Digest, Moment};
use audit::door::{Appended, Submission};
use audit::entry::{Attempt, Bundle, Permit, PromotionId, Reason, Release, Signature};
use audit::keys::HouseKeys;
use audit::recorded::{LastSeen, Proven, Recorded};
use policy::Rules;
use registry::Client;

use crate::attempt::{ATTEMPTS, Made, not_recorded};
use crate::bundle;
use crate::config::SignerConfig;
use crate::door::{Answer, ReleaseAsk};
use crate::evidence::{Evidence, Stores};
use crate::key::ImageKey;
use crate::legacy;
use crate::publish::{Attached, Publication, Published};
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
    made: Made,
    seen: LastSeen,
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
    fn into_job(self, evidence: &Evidence) -> Job<'_> {
        let Self { permit, made, seen, memory } = self;
        Job { permit, made, seen, memory, evidence }
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
        let mut job = admitted.into_job(&evidence);
        let to_sign = statements(&job.permit, &evidence, &self.config.verifier_id, key.kept())?;
        job.made.keep_sound(&to_sign, &key.public(), self.keys);
        self.decide_again(&job, rules, job.made.complete(&to_sign))?;
        stores.whole(&job.permit.value().terms.digest)?;
        recorder.say("verified, and decided again");
        let attempt = self.bind(&mut job, &to_sign, store, recorder)?;
        self.sign(&mut job, &attempt, &to_sign, key, recorder)?;
        self.bundle(&mut job, &to_sign, &key.public(), recorder)?;
        recorder.say("signed and recorded");
        let published = self.publish(&job, &to_sign, &stores.rebuilds)?;
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
    ///
    /// What is not signed yet needs an attempt of its own: an older one may have had its answer, which is lost, and nobody
    /// signs twice for one attempt.
    fn bind(
        &self,
        job: &mut Job<'_>,
        to_sign: &[ToSign],
        store: &dyn Store,
        recorder: &mut dyn Recorder,
    ) -> Result<String, Stop> {
        let terms = job.permit.value().terms.clone();
        let index = job.permit.index();
        check_use(job, &terms)?;
        if !job.made.complete(to_sign) {
            if job.made.attempts.len() >= ATTEMPTS {
                let text = format!(
                    "{ATTEMPTS} attempts under the permit at {index}, and none had its answer: it must expire first"
                );
                return Err(Failure::later("attempts-exhausted", text).into());
            }
            let mut raw = [0; 16];
            getrandom::fill(&mut raw).map_err(|e| Failure::later("no-random-numbers", e))?;
            let attempt = Attempt {
                promotion: job.permit.value().promotion,
                id: hex(&raw),
                permit: index,
                statements: to_sign.iter().map(|s| Digest::of(&s.payload)).collect(),
                at: Moment::now(),
            };
            self.record(job, recorder, vec![Submission::Body(attempt.into())])?;
        }
        let attempt = job.made.attempts.last().map(|a| a.id.clone()).ok_or_else(lost)?;
        let previous = previous(job, &terms);
        for name in names(&terms) {
            let (attempt, digest) = (attempt.clone(), terms.digest);
            job.memory.tags.insert(name, Used { permit: index, attempt, digest, previous, released: false });
        }
        job.memory.seen = job.seen;
        store.swap(&mut job.memory)?;
        Ok(attempt)
    }

    /// Signs what is not signed yet, in one go, and records the signatures with their leaves before anything else happens
    /// with them.
    fn sign(
        &self,
        job: &mut Job<'_>,
        attempt: &str,
        to_sign: &[ToSign],
        key: &dyn ImageKey,
        recorder: &mut dyn Recorder,
    ) -> Result<(), Stop> {
        let missing: Vec<&ToSign> = to_sign.iter().filter(|s| job.made.signature(s).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let messages: Vec<Vec<u8>> = missing.iter().map(|s| s.message()).collect();
        let signatures = key.sign(&messages, attempt)?;
        let public = key.public();
        let mut submissions = Vec::new();
        for ((statement, message), signature) in missing.into_iter().zip(&messages).zip(signatures) {
            // Whoever keeps the key is not believed either.
            public
                .verify(message, &signature)
                .map_err(|e| Failure::later("signature-wrong", format!("signing: {e}")))?;
            let entry = Signature {
                promotion: job.permit.value().promotion,
                attempt: attempt.to_owned(),
                payload_type: statement.payload_type.to_owned(),
                payload: Base64(statement.payload.clone()),
                signature: Base64(signature.clone()),
                key: public.id(),
                key_kept: key.kept().to_owned(),
                at: Moment::now(),
            };
            submissions.push(Submission::Body(entry.into()));
            if statement.is_statement() {
                submissions.push(Submission::Raw(Base64(bundle::rekor_leaf(message, &signature, &public)?)));
            }
        }
        self.record(job, recorder, submissions)
    }

    /// Assembles the bundles that are not there yet, and records them: what is attached is these very bytes.
    fn bundle(
        &self,
        job: &mut Job<'_>,
        to_sign: &[ToSign],
        key: &PublicKey,
        recorder: &mut dyn Recorder,
    ) -> Result<(), Stop> {
        let (promotion, subject) = (job.permit.value().promotion, job.permit.value().terms.digest);
        let mut submissions = Vec::new();
        for statement in to_sign.iter().filter(|s| s.is_statement()) {
            if job.made.bundle(&statement.predicate_type, &subject).is_some() {
                continue;
            }
            let signature = job.made.signature(statement).ok_or_else(lost)?;
            let leaf = bundle::rekor_leaf(&statement.message(), &signature.signature.0, key)?;
            let leaf = job.made.leaf(&leaf).ok_or_else(lost)?;
            let bytes = bundle::bundle(&statement.payload, &signature.signature.0, key, leaf, &self.keys.log)?;
            submissions.push(Submission::Body(bundle_entry(promotion, &signature.attempt, subject, statement, bytes)));
        }
        if submissions.is_empty() { Ok(()) } else { self.record(job, recorder, submissions) }
    }

    fn publish(&self, job: &Job<'_>, to_sign: &[ToSign], rebuilds: &Layout) -> Result<Published, Stop> {
        let terms = &job.permit.value().terms;
        let mut publication = Publication {
            terms,
            rebuilds,
            bundles: Vec::new(),
            signatures: Vec::new(),
            attestations: Vec::new(),
            created: job.evidence.source_date,
            beside: job.memory.beside(&terms.repository),
            replicas: self.config.replicas.of(&terms.repository).to_vec(),
        };
        for statement in to_sign {
            let signature = job.made.signature(statement).ok_or_else(lost)?;
            if !statement.is_statement() {
                publication.signatures.push(legacy::signature_layer(&statement.payload, &signature.signature.0));
                continue;
            }
            let bundle = job.made.bundle(&statement.predicate_type, &terms.digest).ok_or_else(lost)?;
            let attached = Attached { predicate_type: bundle.predicate_type.clone(), bytes: bundle.bundle.0.clone() };
            publication.bundles.push(attached);
            if statement.predicate_type != crate::statements::SIGN {
                let envelope =
                    artifact::dsse::Envelope::new(statement.payload.clone(), signature.signature.0.clone()).to_bytes();
                publication.attestations.push(legacy::attestation_layer(&envelope, &statement.predicate_type));
            }
        }
        let client = Client::new(&self.config.registry).map_err(|e| Failure::later("registry-client", e))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| Failure::later("runtime", e))?;
        Ok(runtime.block_on(publication.publish(&client))?)
    }

    fn record_release(
        &self,
        mut job: Job<'_>,
        attempt: String,
        referrers: Vec<Digest>,
        store: &dyn Store,
        recorder: &mut dyn Recorder,
    ) -> Result<Answer, Stop> {
        let terms = job.permit.value().terms.clone();
        let release = Release {
            promotion: job.permit.value().promotion,
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
        self.record(&mut job, recorder, vec![Submission::Body(release.into())])?;
        // Killed before this, the next permit may name either digest as the previous one: `previous` takes both.
        for name in names(&terms) {
            if let Some(used) = job.memory.tags.get_mut(&name) {
                used.released = true;
            }
        }
        job.memory.seen = job.seen;
        store.swap(&mut job.memory)?;
        Ok(Answer::Released { digest: terms.digest, repository: terms.repository, tags: terms.tags })
    }

    /// Has entries recorded, and admits each: nothing goes on from what is not proved.
    fn record(&self, job: &mut Job<'_>, recorder: &mut dyn Recorder, submissions: Vec<Submission>) -> Result<(), Stop> {
        let appended = recorder.record(submissions.clone(), job.seen.size())?;
        if appended.receipts.len() != submissions.len() || appended.salts.len() != submissions.len() {
            return Err(lost().into());
        }
        for ((submission, receipt), salt) in submissions.into_iter().zip(appended.receipts).zip(appended.salts) {
            let content = match submission {
                Submission::Body(body) => Base64(body.to_bytes().map_err(|e| Failure::halt("entry-broken", e))?),
                Submission::Raw(raw) => raw,
            };
            let proven = Proven { content, salt, receipt };
            let taken = job.made.take(&mut job.seen, self.keys, &proven, &appended.consistency);
            taken.map_err(|e| Stop::Failed(not_recorded(&e)))?;
        }
        Ok(())
    }
}

fn bundle_entry(
    promotion: PromotionId,
    attempt: &str,
    subject: Digest,
    statement: &ToSign,
    bytes: Vec<u8>,
) -> audit::entry::Body {
    let predicate_type = statement.predicate_type.clone();
    let (attempt, bundle, at) = (attempt.to_owned(), Base64(bytes), Moment::now());
    Bundle { promotion, attempt, subject, predicate_type, bundle, at }.into()
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

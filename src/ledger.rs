//! The log as the coordinator uses it: a keeper to append with, and the fold over everything that is there.

use std::path::PathBuf;

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::statement::comparison::Comparison;
use artifact::{Digest, Moment};
use audit::checkpoint::SignedCheckpoint;
use audit::door::{Answer, Appended, Ask, Kept, Known, Proved, Signed, Submission, Unwitnessed};
use audit::entry::{Body, PromotionId, Reason, Refusal};
use audit::keys::HouseKeys;
use audit::leaf::{RekorLeaf, Salt};
use audit::prover::Prover;
use audit::reader::{self, Content, Entry, Log};
use audit::recorded::{LastSeen, Proven};
use hardening::menu::Room;

use crate::fold::{Fold, Promotion};
use crate::house::{Door, House};

/// The log, held: no other pass appends meanwhile.
#[derive(Debug)]
pub struct Ledger {
    folder: PathBuf,
    keeper: Door,
    keys: HouseKeys,
    seen: LastSeen,
    fold: Fold,
}

/// Where the log's tiles are.
pub fn folder(state: &std::path::Path) -> PathBuf {
    state.join("public/log/tiles")
}

impl Ledger {
    /// Has the keeper take the log's lock, which waits for another pass to end, and reads everything.
    ///
    /// # Errors
    /// The keeper can't start, has another key than was pinned, or the log is not what was recorded.
    pub fn open(house: &House, keys: HouseKeys) -> Result<Self, Failure> {
        let mut keeper = house.room(Room::Keeper)?;
        if keeper.hello().public_key.is_none() {
            // It could not open the log, and says why.
            return Err(match keeper.receive()? {
                Answer::Failed(failure) => failure,
                _ => out_of_turn(),
            });
        }
        if keeper.hello().public_key.as_deref() != Some(keys.log.to_string().as_str()) {
            let found = keeper.hello().public_key.clone().unwrap_or_default();
            return Err(Failure::halt("wrong-log-key", format!("keys.toml pins {}, the keeper has {found}", keys.log)));
        }
        let folder = folder(&house.state);
        let (log, fold) = Log::fold(&folder, &keys.log, Fold::new(&keys), |fold, e| fold.apply(e))?;
        if let Some((index, why)) = fold.void().first_key_value() {
            let text = format!(
                "{} entries of the log count for nothing, the first is {index}: {why}. The log is whole, but somebody else \
                 had them written down; see: countersign log list",
                fold.void().len()
            );
            house.timeline.line("coordinator", &text);
        }
        let seen = LastSeen::of(log.checkpoint());
        Ok(Self { folder, keeper, keys, seen, fold })
    }

    /// The house's keys.
    pub fn keys(&self) -> &HouseKeys {
        &self.keys
    }

    /// The fold.
    pub fn fold(&self) -> &Fold {
        &self.fold
    }

    /// One promotion.
    ///
    /// # Errors
    /// When it never began.
    pub fn promotion(&self, id: &PromotionId) -> Result<&Promotion, Failure> {
        self.fold.promotion(id).ok_or_else(|| Failure::halt("promotion-unknown", format!("the log does not know {id}")))
    }

    /// Appends entries, all or none. What comes back is durable, and proved to be so.
    ///
    /// # Errors
    /// When the keeper can't, or what it answers is not proved.
    pub fn append(&mut self, submissions: Vec<Submission>, since: u64) -> Result<Appended, Failure> {
        self.keeper.send(&Ask::Append { submissions: submissions.clone(), since })?;
        let appended = match self.keeper.receive()? {
            Answer::Appended(appended) => appended,
            Answer::Failed(failure) => return Err(failure),
            _ => return Err(out_of_turn()),
        };
        if appended.receipts.len() != submissions.len() || appended.salts.len() != submissions.len() {
            return Err(out_of_turn());
        }
        let own = self.consistency(&appended, since)?;
        if appended.first != self.seen.size() {
            let text = format!("the keeper says entry {}, and {} were there", appended.first, self.seen.size());
            return Err(Failure::halt("log-not-proved", text));
        }
        let proofs = appended.receipts.iter().zip(&appended.salts);
        for (index, (submission, (receipt, salt))) in (appended.first..).zip(submissions.into_iter().zip(proofs)) {
            let (at, content) = admit(&mut self.seen, &self.keys, submission, receipt, salt.as_ref(), &own)
                .map_err(|e| Failure::halt("log-not-proved", format!("entry {index}: {e}")))?;
            if at != index {
                return Err(Failure::halt("log-not-proved", format!("entry {index}: the proof is of entry {at}")));
            }
            self.fold.apply(Entry { index, content });
        }
        Ok(appended)
    }

    /// The proof from what this coordinator has seen, when the answer's begins elsewhere.
    fn consistency(&mut self, appended: &Appended, since: u64) -> Result<Vec<audit::merkle::TreeHash>, Failure> {
        match since == self.seen.size() {
            true => Ok(appended.consistency.clone()),
            false => Ok(self.prove(Vec::new(), self.seen.size())?.consistency),
        }
    }

    /// Appends one of our entries: one that counts. What would be void never gets into the log by us.
    ///
    /// # Errors
    /// As [`Ledger::append`]; or a room answered what its key does not vouch for, or of something else than was asked.
    pub fn record(&mut self, body: impl Into<Body>) -> Result<u64, Failure> {
        let (since, body) = (self.seen.size(), body.into());
        self.believed(&body)?;
        self.append(vec![Submission::Body(body)], since).map(|a| a.first)
    }

    fn believed(&self, body: &Body) -> Result<(), Failure> {
        if let Some(why) = self.fold.fault(self.seen.size(), body) {
            let text = format!(
                "{}: {why}; nothing was recorded. The room that answered this is not the one that keys.toml knows, or it \
                 lies: look at it before you start again",
                body.name()
            );
            return Err(Failure::halt("room-not-believed", text));
        }
        Ok(())
    }

    /// Appends several of our entries, all or none.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub fn record_all(&mut self, bodies: Vec<Body>) -> Result<(), Failure> {
        if bodies.is_empty() {
            return Ok(());
        }
        bodies.iter().try_for_each(|body| self.believed(body))?;
        self.append(bodies.into_iter().map(Submission::Body).collect(), self.seen.size()).map(drop)
    }

    /// One entry that is there, read again.
    ///
    /// # Errors
    /// It is not what was recorded.
    pub fn entry(&self, index: u64) -> Result<Entry, Failure> {
        let content = reader::entry(&self.folder, self.seen.size(), index)?;
        Ok(Entry { index, content })
    }

    /// Proofs of entries that are there already, under the current checkpoint.
    ///
    /// # Errors
    /// When the keeper can't.
    pub fn prove(&mut self, indexes: Vec<u64>, since: u64) -> Result<Proved, Failure> {
        self.keeper.send(&Ask::Prove { indexes, since })?;
        match self.keeper.receive()? {
            Answer::Proved(proved) => Ok(proved),
            Answer::Failed(failure) => Err(failure),
            _ => Err(out_of_turn()),
        }
    }

    /// The newest checkpoint, and the witnesses that have not cosigned it; `known` says what some have seen.
    ///
    /// # Errors
    /// When the keeper can't, or answers another checkpoint than the one that was proved.
    pub fn unwitnessed(&mut self, known: Vec<Known>) -> Result<(SignedCheckpoint, Unwitnessed), Failure> {
        self.keeper.send(&Ask::Unwitnessed { known })?;
        let unwitnessed = match self.keeper.receive()? {
            Answer::Unwitnessed(unwitnessed) => unwitnessed,
            Answer::Failed(failure) => return Err(failure),
            _ => return Err(out_of_turn()),
        };
        let checkpoint = SignedCheckpoint::open(&unwitnessed.checkpoint, &self.keys.log)
            .map_err(|e| Failure::halt("log-not-proved", format!("the checkpoint for witnesses: {e}")))?;
        // It goes outside: it is what was proved, with one signature, and holds nothing else.
        if LastSeen::of(&checkpoint) != self.seen || checkpoint.note().matches("\n— ").count() != 1 {
            let text =
                "the checkpoint for witnesses is another one than was proved, or holds more than the log's signature";
            return Err(Failure::halt("log-not-proved", text));
        }
        Ok((checkpoint, unwitnessed))
    }

    /// A request that leads a witness from a size to a checkpoint (C2SP tlog-witness, the body of `add-checkpoint`), made
    /// from the log's tiles.
    ///
    /// # Errors
    /// Tiles that are not what the checkpoint says.
    pub fn request(&self, checkpoint: &SignedCheckpoint, old: u64) -> Result<String, Failure> {
        let (_, proof) = Prover::new(&self.folder, checkpoint.clone()).prove_since(old)?;
        let proof: String = proof.iter().map(|hash| format!("{hash}\n")).collect();
        Ok(format!("old {old}\n{proof}\n{}", checkpoint.note()))
    }

    /// Has the keeper verify what witnesses answered, and publish what is theirs.
    ///
    /// # Errors
    /// When the keeper can't.
    pub fn cosign(&mut self, answers: Vec<Signed>) -> Result<Kept, Failure> {
        self.keeper.send(&Ask::Cosign { answers })?;
        match self.keeper.receive()? {
            Answer::Cosigned(kept) => Ok(kept),
            Answer::Failed(failure) => Err(failure),
            _ => Err(out_of_turn()),
        }
    }

    /// Has the keeper delete what an entry says was forgotten.
    ///
    /// # Errors
    /// When it can't, or its own list of people says no.
    pub fn forget(&mut self, forgotten: u64) -> Result<(), Failure> {
        self.keeper.send(&Ask::Forget { forgotten })?;
        match self.keeper.receive()? {
            Answer::Forgotten => self.fold.deleted(forgotten),
            Answer::Failed(failure) => return Err(failure),
            _ => return Err(out_of_turn()),
        }
        Ok(())
    }

    /// Ends a promotion with policy's reasons.
    ///
    /// # Errors
    /// As [`Ledger::append`].
    pub fn refuse(&mut self, id: &PromotionId, reasons: Vec<Reason>) -> Result<(), Failure> {
        let promotion = self.promotion(id)?;
        let says = promotion.rebuild.as_ref().map(|r| comparison(&self.keys, &r.comparison)).transpose()?;
        let refusal = Refusal {
            promotion: *id,
            reasons: reasons.into_iter().take(REASONS).map(bounded).collect(),
            differences: says.as_ref().map(|c| c.differences.clone()).unwrap_or_default(),
            differences_total: says.as_ref().map_or(0, |c| c.differences_total),
            run_differences: says.as_ref().map(|c| c.run_differences.clone()).unwrap_or_default(),
            run_differences_total: says.as_ref().map_or(0, |c| c.run_differences_total),
            rules: promotion.opened.rules,
            at: Moment::now(),
        };
        self.record(refusal).map(drop)
    }
}

/// The most reasons of a refusal; policy has fewer codes.
const REASONS: usize = 64;
/// The most bytes of a reason's text: a refusal must always fit into an entry.
const REASON: usize = 4 << 10;

/// A reason as it may be written down: rooms say what they like.
fn bounded(reason: Reason) -> Reason {
    let plain = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '-';
    let message = match reason.message.len() {
        0..=REASON => reason.message,
        // Of what a build printed the last lines say why.
        length => {
            let whole = |at: &usize| reason.message.is_char_boundary(*at);
            let head = (0..=REASON / 4).rev().find(whole).unwrap_or(0);
            let tail = (length - REASON * 3 / 4..length).find(whole).unwrap_or(length);
            format!("{} … {}", &reason.message[..head], &reason.message[tail..])
        }
    };
    Reason { code: reason.code.chars().filter(plain).take(64).collect(), message }
}

/// Opens a comparison that a pinned comparer signed.
///
/// # Errors
/// When it is not.
pub fn comparison(keys: &HouseKeys, envelope: &Base64) -> Result<Comparison, Failure> {
    artifact::statement::Signed::<Comparison>::open(&envelope.0, &keys.comparers)
        .map(|signed| signed.says().clone())
        .map_err(|e| Failure::halt("comparison-not-signed", format!("the log holds a comparison that {e}")))
}

/// The digest of an envelope's bytes.
pub fn envelope_digest(envelope: &Base64) -> Digest {
    Digest::of(&envelope.0)
}

fn admit(
    seen: &mut LastSeen,
    keys: &HouseKeys,
    submission: Submission,
    receipt: &str,
    salt: Option<&Base64>,
    consistency: &[audit::merkle::TreeHash],
) -> Result<(u64, Content), audit::recorded::RecordedError> {
    let receipt = receipt.to_owned();
    match submission {
        Submission::Body(body) => {
            let bytes = body.to_bytes().map_err(audit::leaf::LeafError::from)?;
            let raw =
                salt.and_then(|s| <[u8; 32]>::try_from(&s.0[..]).ok()).ok_or(audit::recorded::RecordedError::Salt)?;
            let proven = Proven { content: Base64(bytes.clone()), salt: salt.cloned(), receipt };
            let admitted = seen.admit(&keys.log, &proven, consistency)?;
            Ok((admitted.index(), Content::Ours { body, bytes, salt: Salt::from_raw(raw) }))
        }
        Submission::Raw(raw) => {
            let proven = Proven { content: raw.clone(), salt: None, receipt };
            let admitted = seen.admit_raw(&keys.log, &proven, consistency)?;
            Ok((admitted.index(), Content::Rekor(RekorLeaf::parse(raw.0)?)))
        }
    }
}

fn out_of_turn() -> Failure {
    Failure::halt("keeper-out-of-turn", "the keeper answered something else than was asked")
}

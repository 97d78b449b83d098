//! The keeper: the only writer of a log.
//!
//! An append writes bodies, bundles and tiles; when they are durable, the new checkpoint in `own`; when that is, the
//! same in the log's folder; and only then it is acknowledged. `own/checkpoint` is the truth: what lies beyond it was
//! never acknowledged and is written over, and the one in the folder is at most one append behind. Cosignatures of
//! witnesses stand in the folder's alone: that one file is put in place at once, and says the same with them and without.
//! At start the whole log is read by the code that everybody reads it with. Whatever can't be explained by an interrupted
//! append halts.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use artifact::Moment;
use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::frame::{self, FrameError};
use artifact::key::Ed25519Key;

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::clock::{Clock, SLACK};
use crate::door::{Answer, Appended, Ask, INDEXES, Proved, SUBMISSIONS, Submission};
use crate::edge::Edge;
use crate::entry::Body;
use crate::leaf::{Commitment, Leaf, LeafError, RekorLeaf, Salt};
use crate::log_policy::LogPolicy;
use crate::merkle::{SIZE_LIMIT, TreeHash};
use crate::note::Vkey;
use crate::pack::{self, Salted};
use crate::prover::Prover;
use crate::reader::{Log, LogError};
use crate::store::{self, Batch, Store};
use crate::tile;
use crate::tiles;
use policy::OrderRules;
use witnessed::Witnesses;

mod forget;
mod start;
mod tail;
mod witnessed;

use tail::Tail;

/// A log, opened for writing. It holds the lock until it goes.
#[derive(Debug)]
pub struct Keeper {
    tiles: PathBuf,
    own: PathBuf,
    key: Ed25519Key,
    vkey: Vkey,
    store: Store,
    /// The last one, as signed by this log and nobody else.
    checkpoint: SignedCheckpoint,
    witnesses: Witnesses,
    edge: Edge,
    clock: Clock,
    tail: Tail,
    /// Who may order that a body be deleted.
    orders: Option<OrderRules>,
    /// A write failed: what is on the disk is known only after it was read again.
    lost: bool,
    _lock: File,
}

impl Keeper {
    /// Opens a log, or begins one: waits for the lock, reads and verifies all there is. `tiles` and `own` exist.
    ///
    /// # Errors
    /// A halt when what lies there is not what was recorded.
    pub fn open(tiles: &Path, own: &Path, origin: &str) -> Result<Self, Failure> {
        Self::open_witnessed(tiles, own, origin, None)
    }

    /// As [`Keeper::open`], with the witnesses of a policy.
    ///
    /// # Errors
    /// As [`Keeper::open`]; a policy that lists another log.
    pub fn open_witnessed(tiles: &Path, own: &Path, origin: &str, policy: Option<LogPolicy>) -> Result<Self, Failure> {
        let lock = store::lock(&own.join("lock")).map_err(|e| unwritten(&own.join("lock"), &e))?;
        let mut store = Store::new([tiles, own]);
        let key = start::key(tiles, own, &mut store)?;
        let vkey = Vkey::new(origin, &key)
            .map_err(|e| Failure::never("keeper-config", format!("keeper.toml, origin: {e}")))?;
        let checkpoint = start::recover(tiles, own, &key, &vkey, &mut store)?;
        let (log, ()) = Log::fold_at(tiles, checkpoint, (), |(), _| {})?;
        let published = start::publish(tiles, &log, &vkey, &mut store)?;
        let witnesses = Witnesses::new(policy, published, &vkey, log.checkpoint())?;
        let (checkpoint, edge, clock) = (log.checkpoint().clone(), log.edge().clone(), log.clock());
        tail::tidy(tiles, edge.size())?;
        let tail = Tail::read(tiles, &edge)?;
        let (tiles, own) = (tiles.to_owned(), own.to_owned());
        let (tiles, own) = (tiles, own);
        Ok(Self {
            tiles,
            own,
            key,
            vkey,
            store,
            checkpoint,
            witnesses,
            edge,
            clock,
            tail,
            orders: None,
            lost: false,
            _lock: lock,
        })
    }

    /// The same keeper, which deletes what these people order.
    pub fn ordered_by(self, orders: Option<OrderRules>) -> Self {
        Self { orders, ..self }
    }

    /// The key that verifies this log.
    pub fn vkey(&self) -> &Vkey {
        &self.vkey
    }

    /// The current checkpoint, as it is published.
    pub fn checkpoint(&self) -> &SignedCheckpoint {
        self.witnesses.published()
    }

    /// Does what is asked. After a failure to write, or a halt, every further ask fails: end, and open it again.
    pub fn answer(&mut self, ask: Ask) -> Answer {
        let answer = match ask {
            Ask::Append { submissions, since } => taken_up_in_time(&submissions, Moment::now())
                .and_then(|()| self.append(submissions, since))
                .map(Answer::Appended),
            Ask::Prove { indexes, since } => self.prove(&indexes, since).map(Answer::Proved),
            Ask::Unwitnessed { known } => self.unwitnessed(&known).map(Answer::Unwitnessed),
            Ask::Cosign { answers } => self.cosign(&answers).map(Answer::Cosigned),
            Ask::Forget { forgotten } => self.forget(forgotten).map(|()| Answer::Forgotten),
        };
        answer.unwrap_or_else(Answer::Failed)
    }

    /// Answers asks until the other side closes.
    ///
    /// # Errors
    /// The other side is gone or talks nonsense; or the log has to be opened again, which the last answer said.
    pub fn serve(&mut self, mut channel: impl Read + Write) -> Result<(), Failure> {
        let gone = |error: FrameError| Failure::later("coordinator-lost", error);
        loop {
            let ask = match frame::receive(&mut channel) {
                Err(FrameError::Closed) => return Ok(()),
                ask => ask.map_err(gone)?,
            };
            frame::send(&mut channel, &self.answer(ask)).map_err(gone)?;
            if self.lost {
                return Err(Failure::later("log-lost", "the last answer said why; the next start reads the log anew"));
            }
        }
    }

    /// Appends all of these, durably, or none.
    ///
    /// # Errors
    /// Submissions that can't be entries; a disk that can't be written; a log that is not what was recorded.
    pub fn append(&mut self, submissions: Vec<Submission>, since: u64) -> Result<Appended, Failure> {
        self.check(since)?;
        if submissions.is_empty() || submissions.len() > SUBMISSIONS {
            let message = format!("{} entries at once, and 1 to {SUBMISSIONS} are taken", submissions.len());
            return Err(Failure::never("bad-submission", message));
        }
        if self.edge.size() + submissions.len() as u64 > SIZE_LIMIT {
            return Err(Failure::never("log-full", format!("the log would have more than {SIZE_LIMIT} entries")));
        }
        let mut clock = self.clock;
        submissions.iter().try_for_each(|submission| on_time(&mut clock, submission))?;
        let prepared = submissions.into_iter().map(Prepared::new).collect::<Result<Vec<_>, _>>();
        let prepared = prepared.map_err(|e| Failure::never("bad-submission", e))?;

        let first = self.edge.size();
        let salts = prepared.iter().map(|p| p.salt().map(|salt| Base64(salt.raw().to_vec()))).collect();
        let last = first + prepared.len() as u64;
        self.write(prepared).inspect_err(|_| self.lost = true)?;
        self.clock = clock;
        let Proved { receipts, consistency, .. } = self.prove(&Vec::from_iter(first..last), since)?;
        Ok(Appended { first, receipts, consistency, salts })
    }

    /// Proves what is there.
    ///
    /// # Errors
    /// An entry or a size that is not there; tiles that are not what was recorded.
    pub fn prove(&mut self, indexes: &[u64], since: u64) -> Result<Proved, Failure> {
        self.check(since)?;
        let size = self.edge.size();
        if indexes.len() > INDEXES || indexes.iter().any(|index| *index >= size) {
            let message = format!("{} proofs of a log with {size} entries; at most {INDEXES} at once", indexes.len());
            return Err(Failure::never("bad-indexes", message));
        }
        let mut prover = Prover::new(&self.tiles, self.checkpoint().clone());
        let mut prove = || -> Result<_, LogError> {
            let (_, consistency) = prover.prove_since(since)?;
            let receipts = indexes.iter().map(|index| prover.prove(*index).map(|r| r.to_string()));
            Ok((receipts.collect::<Result<Vec<_>, _>>()?, consistency))
        };
        let (receipts, consistency) = prove().inspect_err(|_| self.lost = true)?;
        Ok(Proved { size, receipts, consistency })
    }

    fn check(&self, since: u64) -> Result<(), Failure> {
        let size = self.edge.size();
        if self.lost {
            return Err(Failure::later(
                "log-lost",
                "an earlier write or read failed; start again: the log is read anew",
            ));
        }
        if since > size {
            let message = format!(
                "the asker has seen {since} entries, and the log has {size}: it was rolled back. \
                 Restore the newest copy of the log's folder and of the keeper's own"
            );
            return Err(Failure::halt("log-rolled-back", message));
        }
        Ok(())
    }

    fn write(&mut self, prepared: Vec<Prepared>) -> Result<(), Failure> {
        let (mut edge, mut tail) = (self.edge.clone(), self.tail.clone());
        let (mut batch, mut folders, mut bodies) = (Batch::default(), Vec::new(), Vec::new());
        // Entries before this one have their bodies on the disk.
        let mut fresh = tail.leaves.len();
        for entry in prepared {
            let (leaf, slot) = entry.into_leaf(&self.tiles, &mut batch);
            let completed = edge.push(TreeHash::leaf(&leaf));
            tail.push(leaf, slot);
            for (level, n, hashes) in completed {
                if level == 0 {
                    let Tail { leaves, slots } = std::mem::take(&mut tail);
                    batch.put(self.tiles.join(tile::bundle_path(n, tile::WIDTH)), tile::bundle_to_bytes(&leaves));
                    batch.put(self.tiles.join(tile::pack_path(n)), pack::to_bytes(&slots));
                    folders.push(self.partials(&tile::bundle_path(n, tile::WIDTH)));
                    bodies.extend(tail::superseded(&self.tiles, &leaves, &slots));
                    fresh = 0;
                }
                batch.put(self.tiles.join(tile::path(level, n, tile::WIDTH)), tile::hashes_to_bytes(&hashes));
                folders.push(self.partials(&tile::path(level, n, tile::WIDTH)));
            }
        }
        if !tail.leaves.is_empty() {
            let n = edge.size() / tile::WIDTH as u64;
            batch.put(self.tiles.join(tile::bundle_path(n, tail.leaves.len())), tile::bundle_to_bytes(&tail.leaves));
            tail.put_bodies(fresh, &self.tiles, &mut batch);
        }
        let before: Vec<_> = self.edge.partials().collect();
        for (level, n, hashes) in edge.partials().filter(|partial| !before.contains(partial)) {
            batch.put(self.tiles.join(tile::path(level, n, hashes.len())), tile::hashes_to_bytes(&hashes));
        }
        let origin = self.vkey.name().to_owned();
        let checkpoint = SignedCheckpoint::sign(Checkpoint { origin, size: edge.size(), root: edge.root() }, &self.key)
            .map_err(|e| Failure::halt("log-key", e))?;

        // Entries first, all of them durable; then what says that they are there, for us and for everyone.
        let [own, published] = [&self.own, &self.tiles].map(|folder| checkpoint_in(folder, &checkpoint));
        self.store.write_in_turn([batch, own, published]).map_err(|e| unwritten(&self.tiles, &e))?;
        self.witnesses.appended(checkpoint.clone());
        (self.edge, self.tail, self.checkpoint) = (edge, tail, checkpoint);
        // A reader at an older size takes the full file, or the pack. What stays behind is only in the way.
        folders.into_iter().for_each(|path| drop(fs::remove_dir_all(path)));
        bodies.into_iter().for_each(|path| drop(fs::remove_file(path)));
        Ok(())
    }

    /// The folder of a file's partial predecessors.
    fn partials(&self, full: &str) -> PathBuf {
        self.tiles.join(format!("{full}.p"))
    }
}

/// A submission that can be an entry.
enum Prepared {
    Ours { commitment: Commitment, salt: Salt, body: Vec<u8> },
    Rekor(RekorLeaf),
}

impl Prepared {
    fn new(submission: Submission) -> Result<Self, LeafError> {
        match submission {
            Submission::Raw(bytes) => RekorLeaf::parse(bytes.0).map(Self::Rekor),
            Submission::Body(body) => {
                let (bytes, salt) = (body.to_bytes()?, Salt::generate()?);
                Ok(Self::Ours { commitment: Commitment::to(body.kind(), &salt, &bytes), salt, body: bytes })
            }
        }
    }

    fn salt(&self) -> Option<&Salt> {
        match self {
            Self::Ours { salt, .. } => Some(salt),
            Self::Rekor(_) => None,
        }
    }

    /// The leaf, and what will lie in the bundle's pack. A body that is too large for that is put in a file of its own.
    fn into_leaf(self, tiles: &Path, batch: &mut Batch) -> (Vec<u8>, Option<Salted>) {
        match self {
            Self::Rekor(leaf) => (Leaf::Rekor(leaf).to_bytes(), None),
            Self::Ours { commitment, salt, body } if pack::holds(body.len()) => {
                (commitment.to_bytes(), Some((salt, body)))
            }
            Self::Ours { commitment, salt, body } => {
                batch.put(tiles.join(tiles::body_path(commitment.digest())), tiles::body_to_bytes(&salt, &body));
                (commitment.to_bytes(), None)
            }
        }
    }
}

/// An order counts by the moment at which it is taken up: whoever kept one past its time must not date that back.
///
/// # Errors
/// An order that is dated further back than clocks differ.
pub fn taken_up_in_time(submissions: &[Submission], now: Moment) -> Result<(), Failure> {
    let late = submissions.iter().find_map(|submission| match submission {
        Submission::Body(Body::Order(order)) if order.at.plus_seconds(SLACK) < now => Some(order.at),
        _ => None,
    });
    let Some(at) = late else { return Ok(()) };
    let text = format!("order: it is dated {at}, and now is {now}. Nothing was recorded");
    Err(Failure::later("order-dated-back", text))
}

/// Nothing is dated back: a reader would take the log for broken. Nor ahead: what happens until then would be dated back.
fn on_time(clock: &mut Clock, submission: &Submission) -> Result<(), Failure> {
    let Submission::Body(body) = submission else { return Ok(()) };
    let (at, now) = (body.at(), Moment::now());
    if at > now.plus_seconds(SLACK) {
        let text = format!(
            "{}: it is dated {at}, and now is {now}. Nothing was recorded: it would shut the log until then",
            body.name()
        );
        return Err(Failure::later("clock-ahead", text));
    }
    clock.take(body).map_err(|e| {
        let text = format!("{}: {e}. Nothing was recorded; set this host's clock right and start again", body.name());
        Failure::later("clock-went-back", text)
    })
}

fn put_checkpoint(folder: &Path, checkpoint: &SignedCheckpoint, store: &mut Store) -> Result<(), Failure> {
    store.write(checkpoint_in(folder, checkpoint)).map_err(|e| unwritten(&folder.join(tile::CHECKPOINT), &e))
}

fn checkpoint_in(folder: &Path, checkpoint: &SignedCheckpoint) -> Batch {
    let mut batch = Batch::default();
    batch.put(folder.join(tile::CHECKPOINT), checkpoint.note().as_bytes().to_vec());
    batch
}

fn unwritten(path: &Path, cause: &io::Error) -> Failure {
    let message = format!("{}: {cause}. Nothing was acknowledged; mend it and start again", path.display());
    Failure::later("log-not-written", message)
}

#[cfg(test)]
pub(crate) mod tests;

//! The keeper's witnesses: whom to ask, and which of their answers stand beside the log's signature.
//!
//! Nothing of this is the log's own truth. A cosignature is kept only once it verifies with a key of the policy in
//! `keeper.toml`; one that is lost is asked for again, and none at all stops an append.

use artifact::Moment;
use artifact::failure::Failure;

use super::{Keeper, put_checkpoint};
use crate::checkpoint::SignedCheckpoint;
use crate::cosignature::{SKEW, WitnessKey};
use crate::door::{Kept, Known, LINES, Signed, Unwitnessed};
use crate::log_policy::{COUNT, Cosigned, LogPolicy};
use crate::note::{Note, NoteError, Vkey};

/// Whom to ask, and what they have seen so far.
#[derive(Debug)]
pub(super) struct Witnesses {
    policy: Option<LogPolicy>,
    /// The current checkpoint with the cosignatures that are kept.
    published: SignedCheckpoint,
    /// The size that a witness cosigned last, as far as that is known here.
    seen: Vec<(WitnessKey, u64)>,
}

impl Witnesses {
    /// `published` is what lay in the log's folder: the last checkpoint, or one that is at most one append behind.
    pub(super) fn new(
        policy: Option<LogPolicy>,
        published: SignedCheckpoint,
        log: &Vkey,
        last: &SignedCheckpoint,
    ) -> Result<Self, Failure> {
        let Some(policy) = policy else {
            return Ok(Self { policy: None, published: last.clone(), seen: Vec::new() });
        };
        if !policy.lists(log) {
            let text =
                format!("keeper.toml, policy: it lists logs, and this log is none of them: {log}. Leave them out");
            return Err(Failure::never("keeper-config", text));
        }
        // What is here was verified when it was kept: a wrong one was changed since.
        let cosigned = policy.cosigned(&published).map_err(|e| {
            Failure::halt("log-broken", format!("the log's checkpoint: {e}. It was changed; restore it from its copy"))
        })?;
        let seen = cosigned.iter().map(|c| (c.key.clone(), published.size())).collect();
        let kept = match published.says_as(last) {
            true => lines(&cosigned, &published).map_err(|e| Failure::halt("log-broken", e))?,
            false => String::new(),
        };
        let published = last.cosigned(&kept).map_err(|e| Failure::halt("log-broken", e))?;
        Ok(Self { policy: Some(policy), published, seen })
    }

    /// The current checkpoint, as it is published.
    pub(super) fn published(&self) -> &SignedCheckpoint {
        &self.published
    }

    /// There is a new checkpoint, which nobody has cosigned.
    pub(super) fn appended(&mut self, checkpoint: SignedCheckpoint) {
        self.published = checkpoint;
    }

    /// What a witness has seen, as far as that is known here.
    fn seen(&self, witness: &WitnessKey) -> u64 {
        self.seen.iter().find(|(key, _)| key == witness).map_or(0, |(_, size)| *size)
    }

    fn see(&mut self, witness: &WitnessKey, size: u64) {
        self.seen.retain(|(key, _)| key != witness);
        self.seen.push((witness.clone(), size));
    }

    fn cosigned(&self) -> Vec<Cosigned> {
        // It was verified before it was kept.
        self.policy.as_ref().and_then(|p| p.cosigned(&self.published).ok()).unwrap_or_default()
    }

    /// Why the quorum is not met.
    fn unmet(&self) -> Option<String> {
        let policy = self.policy.as_ref()?;
        policy.judge(&self.published, Moment::now()).err().map(|e| e.to_string())
    }

    /// The name and the key of a witness that the policy lists.
    fn listed(&self, witness: &WitnessKey) -> Option<(&str, &WitnessKey)> {
        self.policy.iter().flat_map(LogPolicy::witnesses).find(|(_, key)| *key == witness)
    }
}

impl Keeper {
    /// The witnesses that have not cosigned the current checkpoint; `known` says what some have seen.
    ///
    /// # Errors
    /// A witness that no policy lists.
    pub fn unwitnessed(&self, known: &[Known]) -> Result<Unwitnessed, Failure> {
        self.check(0)?;
        let (size, checkpoint) = (self.checkpoint.size(), self.checkpoint.note().to_owned());
        let unmet = self.witnesses.unmet();
        let mut answer = Unwitnessed { checkpoint, lacking: Vec::new(), ahead: Vec::new(), unmet };
        if size == 0 {
            return Ok(answer);
        }
        for (name, key, seen) in self.lacking(known)? {
            if seen > size {
                let text = format!(
                    "witness {name} says it has seen {seen} entries of this log, and there are {size}: the log was rolled \
                     back, somebody else has its key, or the witness is wrong. Compare the log with its copies"
                );
                answer.ahead.push(text);
                continue;
            }
            answer.lacking.push(Known { witness: key, size: seen });
        }
        Ok(answer)
    }

    /// The witnesses to ask, with the size from which each is to be led on.
    fn lacking(&self, known: &[Known]) -> Result<Vec<(String, WitnessKey, u64)>, Failure> {
        if known.len() > COUNT {
            return Err(Failure::never("bad-witnesses", format!("more than {COUNT} witnesses")));
        }
        let stranger = |key: &WitnessKey| {
            Failure::never("bad-witnesses", format!("{key} is no witness of the policy in keeper.toml"))
        };
        if !known.is_empty() {
            let named = known.iter().map(|k| {
                let (name, key) = self.witnesses.listed(&k.witness).ok_or_else(|| stranger(&k.witness))?;
                Ok((name.to_owned(), key.clone(), k.size))
            });
            return named.collect();
        }
        let cosigned = self.witnesses.cosigned();
        let all = self.witnesses.policy.iter().flat_map(LogPolicy::witnesses);
        let lacking = all.filter(|(_, key)| !cosigned.iter().any(|c| c.key == **key));
        Ok(lacking.map(|(name, key)| (name.to_owned(), key.clone(), self.witnesses.seen(key))).collect())
    }

    /// Keeps the cosignatures of the current checkpoint among these answers, beside the log's own signature.
    ///
    /// # Errors
    /// More answers than there can be; a disk that can't be written.
    pub fn cosign(&mut self, answers: &[Signed]) -> Result<Kept, Failure> {
        self.check(0)?;
        if answers.len() > COUNT {
            return Err(Failure::never("bad-witnesses", format!("more than {COUNT} answers of witnesses")));
        }
        let (mut fresh, mut refused) = (Vec::new(), Vec::new());
        for answer in answers {
            match self.accept(answer) {
                Ok((cosigned, line)) => fresh.push((cosigned, line)),
                Err(why) => refused.push(why),
            }
        }
        if !fresh.is_empty() {
            self.keep(&fresh)?;
        }
        let cosigned = fresh.into_iter().map(|(cosigned, _)| cosigned).collect();
        Ok(Kept { cosigned, refused, unmet: self.witnesses.unmet() })
    }

    /// A witness's cosignature of the current checkpoint, of about now, and its line.
    fn accept(&self, answer: &Signed) -> Result<(Cosigned, String), String> {
        let Some((name, key)) = self.witnesses.listed(&answer.witness) else {
            return Err(format!("{} is no witness of the policy in keeper.toml", answer.witness));
        };
        if answer.lines.len() > LINES {
            return Err(format!("witness {name}: it answered more than {LINES} bytes"));
        }
        let wrong = |e: NoteError| format!("witness {name}: what it answered is not its cosignature: {e}");
        let note = self.checkpoint.cosigned(&answer.lines).map_err(wrong)?;
        let note = Note::parse(note.note()).map_err(wrong)?;
        let (at, now) = (key.cosigned(&note).map_err(wrong)?, Moment::now());
        if now.seconds_since(at) > SKEW || at.seconds_since(now) > SKEW {
            return Err(format!(
                "witness {name}: it cosigned at {at}, and now is {now}: its clock is wrong, or this host's"
            ));
        }
        let line = key.line(&note).map_err(wrong)?;
        Ok((Cosigned { witness: name.to_owned(), key: key.clone(), at }, line))
    }

    /// Writes the folder's checkpoint anew, with these and those that were there. It says what it said.
    fn keep(&mut self, fresh: &[(Cosigned, String)]) -> Result<(), Failure> {
        let mut older = self.witnesses.cosigned();
        older.retain(|old| !fresh.iter().any(|(new, _)| new.key == old.key));
        let broken = |e: NoteError| Failure::halt("log-broken", e);
        let mut kept = lines(&older, &self.witnesses.published).map_err(broken)?;
        let mut named: Vec<&WitnessKey> = Vec::new();
        for (cosigned, line) in fresh {
            if !named.contains(&&cosigned.key) {
                kept.push_str(line);
                named.push(&cosigned.key);
            }
        }
        let published = self.checkpoint.cosigned(&kept).map_err(broken)?;
        put_checkpoint(&self.tiles, &published, &mut self.store).inspect_err(|_| self.lost = true)?;
        for key in named {
            self.witnesses.see(key, published.size());
        }
        self.witnesses.published = published;
        Ok(())
    }
}

/// The lines of these cosignatures, as a checkpoint has them.
fn lines(cosigned: &[Cosigned], of: &SignedCheckpoint) -> Result<String, NoteError> {
    let note = Note::parse(of.note())?;
    cosigned.iter().map(|c| c.key.line(&note)).collect()
}

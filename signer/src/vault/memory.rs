//! The signer's memory in Vault: out of reach of whoever puts this host's disk back.
//!
//! One entry for the log, one for each tag, each changed by compare-and-set. Beside it, on this host, stands how far each of
//! them had come: so that a Vault that was put back is found as well, or an entry that was taken away, and neither host can go
//! back without the other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use artifact::digest::hex;
use artifact::failure::Failure;
use artifact::{Digest, durable, json};
use audit::recorded::LastSeen;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::kv::{self, Fields, Found};
use super::login::Session;
use super::needs::{LOG, TAGS};
use super::settings::Kv;
use crate::state::{Lock, Memory, Store, TakenUp, Used};

/// The field with the document.
const SAYS: &str = "says";
/// The field with the writer: two that write the same words are two nonetheless.
const BY: &str = "by";

/// The memory in Vault.
#[derive(Debug)]
pub struct VaultStore<'s> {
    session: &'s Session,
    kv: Kv,
    /// This writer, among all there ever were: random.
    by: String,
    beside: PathBuf,
    _lock: Lock,
}

/// What stands on this host of an entry.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beside {
    /// Its version in Vault.
    version: u64,
}

/// What the log's entry says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfLog {
    /// The last checkpoint that was seen.
    seen: LastSeen,
    /// The version of the image key that was taken up last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<TakenUp>,
}

/// What one tag's entry says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct OfTag {
    /// `repository:tag`: the entry's own name is a digest.
    tag: String,
    used: Used,
}

impl<'s> VaultStore<'s> {
    /// Waits for another signer on this host to end.
    ///
    /// # Errors
    /// As the file system says.
    pub fn open(session: &'s Session, kv: &Kv, own: &Path) -> Result<Self, Failure> {
        let mut raw = [0; 16];
        getrandom::fill(&mut raw).map_err(|e| Failure::later("no-random-numbers", e))?;
        let (by, beside) = (hex(&raw), own.join("vault"));
        Ok(Self { session, kv: kv.clone(), by, beside, _lock: Lock::take(own)? })
    }

    /// Where the version of an entry stands on this host. Entries' names hold letters, digits and `/` alone.
    fn beside(&self, name: &str) -> PathBuf {
        self.beside.join(name.replace('/', "-"))
    }

    fn come(&self, name: &str) -> Result<u64, Failure> {
        let path = self.beside(name);
        match fs::read(&path) {
            Ok(bytes) => json::parse_canonical("state", &bytes)
                .map(|beside: Beside| beside.version)
                .map_err(|e| Failure::halt("signer-state-broken", format!("{}: {e}", path.display()))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(0),
            Err(e) => Err(Failure::of_store("signer-state-broken", &e)),
        }
    }

    /// Vault's version of an entry, 0 for none, may never be below what stands here; and goes on from it.
    fn check(&self, name: &str, version: u64) -> Result<(), Failure> {
        let come = self.come(name)?;
        if version >= come {
            return self.go_on(name, version);
        }
        let text = format!(
            "{}/{}/{name} in Vault is at version {version}, and was at {come} before: Vault was put back, or the entry was removed. \
             Nothing is signed by an older memory. If Vault was restored on purpose, compare its {TAGS} with the log's newest \
             releases, then remove {}",
            self.kv.mount,
            self.kv.path,
            self.beside(name).display()
        );
        Err(Failure::halt("signer-state-rolled-back", text))
    }

    fn go_on(&self, name: &str, version: u64) -> Result<(), Failure> {
        if self.come(name)? >= version {
            return Ok(());
        }
        let path = self.beside(name);
        let failed = |e: io::Error| Failure::later("signer-state", format!("{}: {e}", path.display()));
        let bytes = json::canonical("state", &Beside { version }).map_err(|e| Failure::halt("signer-state", e))?;
        durable::create_folder(&self.beside).map_err(failed)?;
        durable::replace(&path, &bytes, 0o600).map_err(failed)
    }

    fn document(&self, name: &str, fields: &Fields) -> Result<Vec<u8>, Failure> {
        let text = fields.get(SAYS).filter(|_| fields.len() == 2 && fields.contains_key(BY));
        text.map(|text| text.as_bytes().to_vec())
            .ok_or_else(|| self.broken(name, &"it has other fields than it should"))
    }

    fn broken(&self, name: &str, why: &dyn std::fmt::Display) -> Failure {
        let text = format!("{}/{}/{name} in Vault: {why}; somebody else wrote there", self.kv.mount, self.kv.path);
        Failure::halt("signer-state-broken", text)
    }

    fn put(&self, name: &str, version: u64, document: &[u8]) -> Result<u64, Failure> {
        let text = String::from_utf8(document.to_vec()).map_err(|e| Failure::halt("signer-state", e))?;
        let fields: Fields =
            [(SAYS, text), (BY, self.by.clone())].map(|(name, text)| (name.to_owned(), Zeroizing::new(text))).into();
        kv::put(self.session, &self.kv, name, version, &fields)?
            .ok_or_else(|| Failure::later("signer-state-moved", "another signer went on meanwhile; start again"))
    }
}

impl Store for VaultStore<'_> {
    fn load(&self) -> Result<Memory, Failure> {
        let (version, of): (u64, OfLog) = match kv::read(self.session, &self.kv, LOG)? {
            Found::Nothing => (0, OfLog::default()),
            Found::Entry(version, fields) => {
                let document = self.document(LOG, &fields)?;
                (version, json::parse_canonical("state", &document).map_err(|e| self.broken(LOG, &e))?)
            }
            Found::Deleted(version) => return Err(self.broken(LOG, &format!("version {version} was deleted"))),
        };
        self.check(LOG, version)?;
        Ok(Memory { version, seen: of.seen, key: of.key, ..Memory::default() })
    }

    fn recall(&self, memory: &mut Memory, tags: &[String]) -> Result<(), Failure> {
        for tag in tags {
            let name = entry(tag);
            match kv::read(self.session, &self.kv, &name)? {
                Found::Nothing => {
                    self.check(&name, 0)?;
                    memory.known.insert(tag.clone(), (0, None));
                }
                Found::Entry(version, fields) => {
                    self.check(&name, version)?;
                    let document = self.document(&name, &fields)?;
                    let of: OfTag = json::parse_canonical("state", &document).map_err(|e| self.broken(&name, &e))?;
                    if of.tag != *tag {
                        return Err(self.broken(&name, &"it speaks of another tag"));
                    }
                    memory.known.insert(tag.clone(), (version, Some(of.used.clone())));
                    memory.tags.insert(tag.clone(), of.used);
                }
                Found::Deleted(version) => return Err(self.broken(&name, &format!("version {version} was deleted"))),
            }
        }
        Ok(())
    }

    fn swap(&self, memory: &mut Memory) -> Result<(), Failure> {
        // The tags first: a tag that is bound to an attempt which is recorded does no harm without the log's own entry.
        let changed: BTreeMap<_, _> = memory.tags.iter().map(|(tag, used)| (tag.clone(), used.clone())).collect();
        for (tag, used) in changed {
            let (version, before) = memory.known.get(&tag).cloned().unwrap_or_default();
            if before.as_ref() == Some(&used) {
                continue;
            }
            let of = OfTag { tag: tag.clone(), used: used.clone() };
            let document = json::canonical("state", &of).map_err(|e| Failure::halt("signer-state", e))?;
            let name = entry(&tag);
            let version = self.put(&name, version, &document)?;
            self.go_on(&name, version)?;
            memory.known.insert(tag, (version, Some(used)));
        }
        let of = OfLog { seen: memory.seen, key: memory.key.clone() };
        let document = json::canonical("state", &of).map_err(|e| Failure::halt("signer-state", e))?;
        memory.version = self.put(LOG, memory.version, &document)?;
        self.go_on(LOG, memory.version)
    }
}

/// The name of a tag's entry.
fn entry(tag: &str) -> String {
    format!("{TAGS}/{}", Digest::of(tag.as_bytes()).hex())
}

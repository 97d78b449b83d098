//! The image key as a value in Vault, for a Vault without a transit engine: it comes here, for one job.

use artifact::failure::Failure;
use artifact::key::{P256Key, PublicKey};

use super::kv::{self, Found};
use super::login::Session;
use super::needs::KEY;
use super::settings::Kv;
use crate::key::{ImageKey, Versions};

/// The key, in memory that is erased when it goes.
#[derive(Debug)]
pub struct KvKey(P256Key);

impl KvKey {
    /// Fetches a version of the key: PKCS #8 in PEM, in the field `private_key`.
    ///
    /// # Errors
    /// It is not there, or no such key.
    pub fn fetch(session: &Session, settings: &Kv, version: u64) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let place = format!("{}/{}/{KEY}, version {version}", settings.mount, settings.path);
            Failure::later(
                "vault-key-missing",
                format!("{place}: {why}. It needs the field private_key: PKCS #8, in PEM"),
            )
        };
        let Found::Entry(_, fields) = kv::read(session, settings, &format!("{KEY}?version={version}"))? else {
            return Err(wrong("no such entry"));
        };
        let pem = fields.get("private_key").ok_or_else(|| wrong("no such field"))?;
        P256Key::from_pem(pem).map(Self).map_err(|e| wrong(&e.to_string()))
    }
}

/// The versions of the image key in Vault's KV engine are the versions of its entry.
#[derive(Debug)]
pub struct KvVersions<'s> {
    session: &'s Session,
    settings: &'s Kv,
}

impl<'s> KvVersions<'s> {
    /// The versions of this key.
    pub fn new(session: &'s Session, settings: &'s Kv) -> Self {
        Self { session, settings }
    }
}

impl Versions for KvVersions<'_> {
    fn first(&self) -> u64 {
        self.settings.key_version
    }

    fn version(&self, version: u64) -> Result<Box<dyn ImageKey + '_>, Failure> {
        KvKey::fetch(self.session, self.settings, version).map(|key| Box::new(key) as _)
    }

    fn offer(&self, version: u64) -> Result<PublicKey, Failure> {
        self.version(version).map(|key| key.public())
    }
}

impl ImageKey for KvKey {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn kept(&self) -> &'static str {
        "vault-kv"
    }

    fn sign(&self, messages: &[Vec<u8>], _: &str) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(messages.iter().map(|message| self.0.sign(message)).collect())
    }
}

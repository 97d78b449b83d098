//! The image key as a value in Vault, for a Vault without a transit engine: it comes here, for one job.

use artifact::failure::Failure;
use artifact::key::{P256Key, PublicKey};

use super::kv::{self, Found};
use super::login::Session;
use super::needs::KEY;
use super::settings::Kv;
use crate::key::ImageKey;

/// The key, in memory that is erased when it goes.
#[derive(Debug)]
pub struct KvKey(P256Key);

impl KvKey {
    /// Fetches the key: PKCS #8 in PEM, in the field `private_key`.
    ///
    /// # Errors
    /// It is not there, or no such key.
    pub fn fetch(session: &Session, settings: &Kv) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            let place = format!("{}/{}/{KEY}", settings.mount, settings.path);
            Failure::later(
                "vault-key-missing",
                format!("{place}: {why}. It needs the field private_key: PKCS #8, in PEM"),
            )
        };
        let Found::Entry(_, fields) = kv::read(session, settings, KEY)? else {
            return Err(wrong("no such entry"));
        };
        let pem = fields.get("private_key").ok_or_else(|| wrong("no such field"))?;
        P256Key::from_pem(pem).map(Self).map_err(|e| wrong(&e.to_string()))
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

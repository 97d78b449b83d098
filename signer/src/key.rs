//! The image key: in Vault's transit engine, fetched from Vault for one job, or in a file, for trying.

use std::fs;
use std::io;
use std::path::Path;

use artifact::durable;
use artifact::failure::Failure;
use artifact::key::{P256Key, PublicKey};

use crate::state::Memory;

/// A key that signs images: ECDSA P-256 over SHA-256, in DER.
pub trait ImageKey {
    /// The key that verifies.
    fn public(&self) -> PublicKey;

    /// Where it is kept, as it stands in what is signed: `vault-transit`, `vault-kv` or `file`.
    fn kept(&self) -> &'static str;

    /// Signs messages, in one go, for one attempt: at most once for each attempt. The signatures are in the messages' order.
    ///
    /// # Errors
    /// When whoever keeps the key does not sign; or when its answer is lost: then the attempt is over.
    fn sign(&self, messages: &[Vec<u8>], attempt: &str) -> Result<Vec<Vec<u8>>, Failure>;
}

/// A key in a file of the signer's own.
#[derive(Debug)]
pub struct FileKey(P256Key);

impl FileKey {
    /// Opens the key, and makes it at the first start. A folder that has a state but no key has lost it: that is no first
    /// start.
    ///
    /// # Errors
    /// A key that can't be read, or was lost.
    pub fn open(own: &Path) -> Result<Self, Failure> {
        let path = own.join("key");
        let broken = |e: String| Failure::halt("image-key-broken", format!("{}: {e}", path.display()));
        match fs::read(&path) {
            Ok(seed) => P256Key::from_seed(&seed).map(Self).map_err(|e| broken(e.to_string())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                // The memory first: a key without one has lost it, and that is no first start.
                if !Memory::begin(own)? {
                    return Err(broken(
                        "the key is gone, and the state beside it is not: restore the folder".to_owned(),
                    ));
                }
                let key = P256Key::generate().map_err(|e| broken(e.to_string()))?;
                durable::replace(&path, &*key.seed(), 0o600).map_err(|e| broken(e.to_string()))?;
                Ok(Self(key))
            }
            Err(e) => Err(broken(e.to_string())),
        }
    }
}

impl ImageKey for FileKey {
    fn public(&self) -> PublicKey {
        self.0.public()
    }

    fn kept(&self) -> &'static str {
        "file"
    }

    fn sign(&self, messages: &[Vec<u8>], _: &str) -> Result<Vec<Vec<u8>>, Failure> {
        Ok(messages.iter().map(|message| self.0.sign(message)).collect())
    }
}

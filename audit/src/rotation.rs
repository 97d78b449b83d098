//! Rotation of the image key: what both keys sign when the signer takes up another one. The earlier key says that it hands
//! over, the later one that whoever has it is there; so an entry that says this was written by nobody else.

use artifact::key::{KeyError, KeyId, PublicKey};

use crate::entry::Rotation;
use crate::note::Vkey;

/// The first line of what is signed: neither an envelope nor a payload of older signatures begins so.
const DOMAIN: &str = "countersign-rotation@v1";

/// What both keys sign, in bytes: a line each for the log's key, the order's entry, the key before, the key after and its
/// version where it is kept.
pub fn statement(log: &Vkey, order: u64, before: &KeyId, key: &PublicKey, version: u64) -> Vec<u8> {
    format!("{DOMAIN}\n{log}\n{order}\n{before}\n{}\n{version}\n", key.id()).into_bytes()
}

/// How a signature over that is named to whoever keeps the keys, as an attempt is: by the order's entry and the version that
/// signs.
pub fn attempt(order: u64, version: u64) -> String {
    format!("rotation-{order}-{version}")
}

impl Rotation {
    /// Whether both keys have signed it: `before` is the one that it names so.
    ///
    /// # Errors
    /// Another key than it names, or a signature that is not the key's.
    pub fn verify(&self, log: &Vkey, before: &PublicKey) -> Result<(), KeyError> {
        if before.id() != self.before {
            return Err(KeyError::Signature(self.before));
        }
        let statement = statement(log, self.order, &self.before, &self.key, self.version);
        before.verify(&statement, &self.by_before.0)?;
        self.key.verify(&statement, &self.by_key.0)
    }
}

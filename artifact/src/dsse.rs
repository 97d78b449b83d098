//! DSSE envelopes with exactly one signature, kept and verified as the bytes they came in.

use serde::{Deserialize, Serialize};

use crate::digest::{Base64, Digest};
use crate::json::{self, JsonError};
use crate::key::{KeyError, KeyId, PublicKey};

/// The payload type of every envelope here.
pub const IN_TOTO: &str = "application/vnd.in-toto+json";

/// The most bytes of an envelope.
pub const LIMIT: usize = 1 << 20;

/// Why an envelope was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not an envelope.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// An envelope of something else than an in-toto statement.
    #[error("the envelope's payload type is {0:?}; {IN_TOTO} is expected")]
    PayloadType(String),
    /// None, or several, signatures: with several, which one counted would be a guess.
    #[error("the envelope carries {0} signatures; exactly one is expected")]
    Signatures(usize),
    /// None of the keys that may sign this has signed it.
    #[error("the envelope is signed by none of the {known} keys that may sign it")]
    NoKnownKey {
        /// How many keys were tried.
        known: usize,
    },
    /// A signature that does not verify.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// A signed statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The statement, as the signer wrote it.
    pub payload: Base64,
    /// [`IN_TOTO`].
    pub payload_type: String,
    /// Exactly one.
    pub signatures: Vec<Signature>,
}

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// A hint that nothing here trusts. Not written: some stock tools choke on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyid: Option<String>,
    /// The signature over the [pre-authentication encoding](pae).
    pub sig: Base64,
}

/// What an envelope's signature is over (DSSE v1, "PAE").
pub fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Wraps a statement's bytes and their signature over [`pae`].
    pub fn new(payload: Vec<u8>, signature: Vec<u8>) -> Self {
        Self {
            payload: Base64(payload),
            payload_type: IN_TOTO.to_owned(),
            signatures: vec![Signature { keyid: None, sig: Base64(signature) }],
        }
    }

    /// Reads an envelope that somebody made.
    ///
    /// # Errors
    /// Too large, not JSON, a key twice, another payload type, or not exactly one signature.
    pub fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > LIMIT {
            return Err(JsonError::TooLarge { what: "envelope", len: bytes.len(), limit: LIMIT }.into());
        }
        let envelope: Self = json::parse_foreign("envelope", bytes)?;
        if envelope.payload_type != IN_TOTO {
            return Err(EnvelopeError::PayloadType(crate::digest::shortened(&envelope.payload_type)));
        }
        match envelope.signatures.len() {
            1 => Ok(envelope),
            n => Err(EnvelopeError::Signatures(n)),
        }
    }

    /// The bytes to keep and to publish.
    pub fn to_bytes(&self) -> Vec<u8> {
        // An envelope holds strings only, so it always has a spelling.
        json::canonical("envelope", self).unwrap_or_default()
    }

    /// The digest of [`Envelope::to_bytes`].
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_bytes())
    }

    /// Verifies the one signature with one of these keys, and says with which.
    ///
    /// # Errors
    /// When none of them made it.
    pub fn verify<'k>(&self, keys: impl IntoIterator<Item = &'k PublicKey>) -> Result<KeyId, EnvelopeError> {
        let [signature] = &self.signatures[..] else {
            return Err(EnvelopeError::Signatures(self.signatures.len()));
        };
        let message = pae(&self.payload_type, &self.payload.0);
        let mut known = 0;
        for key in keys {
            if key.verify(&message, &signature.sig.0).is_ok() {
                return Ok(key.id());
            }
            known += 1;
        }
        Err(EnvelopeError::NoKnownKey { known })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Ed25519Key;

    #[test]
    fn pae_is_as_the_specification_writes_it() {
        assert_eq!(
            pae("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn an_envelope_holds_for_its_key_only() {
        let (key, other) = (Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap());
        let sealed = Envelope::new(b"{}".to_vec(), key.sign(&pae(IN_TOTO, b"{}")).to_vec());
        let read = Envelope::parse(&sealed.to_bytes()).unwrap();
        assert_eq!(read.verify([&other.public(), &key.public()]).unwrap(), key.public().id());
        assert!(read.verify([&other.public()]).is_err());
        assert!(read.verify([]).is_err());
    }

    #[test]
    fn two_signatures_are_one_too_many() {
        let key = Ed25519Key::generate().unwrap();
        let mut sealed = Envelope::new(b"{}".to_vec(), key.sign(&pae(IN_TOTO, b"{}")).to_vec());
        sealed.signatures.push(sealed.signatures[0].clone());
        assert!(matches!(Envelope::parse(&sealed.to_bytes()), Err(EnvelopeError::Signatures(2))));
    }
}

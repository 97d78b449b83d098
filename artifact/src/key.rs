//! Keys: Ed25519 for logs, facts and attestations; ECDSA P-256 with SHA-256, in DER, for images.

use std::fmt;

use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::{DecodePublicKey as _, EncodePublicKey as _};
use p256::ecdsa::signature::Verifier as _;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::{Digest, text_serde};

/// Why a key or a signature was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a public key in PEM (`BEGIN PUBLIC KEY`) of a kind we use.
    #[error("not a public key: PEM (SubjectPublicKeyInfo) of an Ed25519 or a P-256 key is expected")]
    Public,
    /// Not a private key in the form this key is kept in.
    #[error("not a private key of the expected kind")]
    Private,
    /// The signature is not this key's over these bytes.
    #[error("the signature does not verify with key {0}")]
    Signature(KeyId),
}

/// What a key is called: the SHA-256 of its SubjectPublicKeyInfo in DER. Sigstore's hint is the same digest
/// in base64.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// A key to verify with.
#[derive(Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// Ed25519 (RFC 8032), checked strictly.
    Ed25519(ed25519_dalek::VerifyingKey),
    /// ECDSA on P-256 with SHA-256; signatures in DER.
    P256(p256::ecdsa::VerifyingKey),
}

impl PublicKey {
    /// The key as SubjectPublicKeyInfo in DER.
    pub fn to_der(&self) -> Vec<u8> {
        let der = match self {
            Self::Ed25519(key) => key.to_public_key_der().map(|d| d.into_vec()),
            Self::P256(key) => key.to_public_key_der().map(|d| d.into_vec()),
        };
        // Both encoders fail only when lengths overflow, which a key's can't.
        der.unwrap_or_default()
    }

    /// What this key is called.
    pub fn id(&self) -> KeyId {
        KeyId(Digest::of(&self.to_der()))
    }

    /// Verifies a signature over a message.
    ///
    /// # Errors
    /// When it does not verify, for whatever reason.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), KeyError> {
        let good = match self {
            Self::Ed25519(key) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            Self::P256(key) => p256::ecdsa::DerSignature::from_bytes(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        };
        if good { Ok(()) } else { Err(KeyError::Signature(self.id())) }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use base64ct::Encoding as _;
        f.write_str("-----BEGIN PUBLIC KEY-----\n")?;
        for line in base64ct::Base64::encode_string(&self.to_der()).as_bytes().chunks(64) {
            writeln!(f, "{}", String::from_utf8_lossy(line))?;
        }
        f.write_str("-----END PUBLIC KEY-----\n")
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

impl std::str::FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(pem: &str) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_public_key_pem(pem)
            .map(Self::Ed25519)
            .or_else(|_| p256::ecdsa::VerifyingKey::from_public_key_pem(pem).map(Self::P256))
            .map_err(|_| KeyError::Public)?;
        match &key {
            // A weak key verifies what its owner never signed.
            Self::Ed25519(key) if key.is_weak() => Err(KeyError::Public),
            _ => Ok(key),
        }
    }
}

text_serde!(PublicKey);

/// An Ed25519 key to sign with. Its bytes are erased when it goes; it is never printed.
pub struct Ed25519Key(ed25519_dalek::SigningKey);

impl Ed25519Key {
    /// A new key from the kernel's random numbers.
    ///
    /// # Errors
    /// When the kernel has none to give.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(|_| KeyError::Private)?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The key from the 32 bytes it is kept as.
    ///
    /// # Errors
    /// When there are not 32.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        let seed = Zeroizing::new(<[u8; 32]>::try_from(seed).map_err(|_| KeyError::Private)?);
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The 32 bytes this key is kept as.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey::Ed25519(self.0.verifying_key())
    }

    /// The 32 bytes of the public key, as signed notes carry them.
    pub fn public_raw(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({})", self.public().id())
    }
}

/// A P-256 key to sign with, kept in a file: for trying. Production's image key lives in Vault.
pub struct P256Key(p256::ecdsa::SigningKey);

impl P256Key {
    /// A new key from the kernel's random numbers.
    ///
    /// # Errors
    /// When the kernel has none to give.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(&mut *seed).map_err(|_| KeyError::Private)?;
            // Fails for zero and for numbers not below the group's order: once in 2³² tries.
            if let Ok(key) = p256::ecdsa::SigningKey::from_slice(&*seed) {
                return Ok(Self(key));
            }
        }
    }

    /// The key from the 32 bytes it is kept as.
    ///
    /// # Errors
    /// When they are no P-256 scalar.
    pub fn from_seed(seed: &[u8]) -> Result<Self, KeyError> {
        p256::ecdsa::SigningKey::from_slice(seed).map(Self).map_err(|_| KeyError::Private)
    }

    /// The key from PKCS #8 in PEM, as `openssl genpkey` writes it.
    ///
    /// # Errors
    /// When it is none, or of another kind.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        use p256::pkcs8::DecodePrivateKey as _;
        p256::ecdsa::SigningKey::from_pkcs8_pem(pem).map(Self).map_err(|_| KeyError::Private)
    }

    /// The 32 bytes this key is kept as.
    pub fn seed(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The key that verifies what this one signs.
    pub fn public(&self) -> PublicKey {
        PublicKey::P256(*self.0.verifying_key())
    }

    /// Signs a message's SHA-256; the signature is DER. Nonces are derived (RFC 6979), not drawn.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::DerSignature = self.0.sign(message);
        signature.as_bytes().to_vec()
    }
}

impl fmt::Debug for P256Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P256Key({})", self.public().id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_key_and_bytes_only() {
        let (log, other) = (Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap());
        let image = P256Key::generate().unwrap();
        let (a, b) = (log.sign(b"m").to_vec(), image.sign(b"m"));
        assert!(log.public().verify(b"m", &a).is_ok());
        assert!(image.public().verify(b"m", &b).is_ok());
        assert!(log.public().verify(b"n", &a).is_err());
        assert!(other.public().verify(b"m", &a).is_err());
        assert!(image.public().verify(b"m", &a).is_err());
        assert!(log.public().verify(b"m", &b).is_err());
        assert!(image.public().verify(b"m", &[]).is_err());
    }

    #[test]
    fn a_public_key_survives_its_text() {
        for key in [Ed25519Key::generate().unwrap().public(), P256Key::generate().unwrap().public()] {
            assert_eq!(key.to_string().parse::<PublicKey>().unwrap(), key);
        }
        assert!("".parse::<PublicKey>().is_err());
    }
}

//! The image key: in Vault's transit engine, fetched from Vault for one job, or in a file, for trying.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

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

/// Where the versions of the image key are: each is a key of its own.
pub trait Versions {
    /// The version of the beginning: in use until people had another one taken up.
    fn first(&self) -> u64;

    /// The key of a version.
    ///
    /// # Errors
    /// No such version, or it can't be had now.
    fn version(&self, version: u64) -> Result<Box<dyn ImageKey + '_>, Failure>;

    /// The public key of a version that is there, or is made for that: for people to order a rotation to it.
    ///
    /// # Errors
    /// As [`Versions::version`].
    fn offer(&self, version: u64) -> Result<PublicKey, Failure>;
}

/// Files of the signer's own: `key`, and `key-N` for each later version.
#[derive(Debug)]
pub struct FileVersions<'a> {
    own: &'a Path,
    /// The version that is used now.
    current: u64,
}

impl<'a> FileVersions<'a> {
    /// The files in this folder.
    pub fn new(own: &'a Path, current: u64) -> Self {
        Self { own, current }
    }

    /// The version that is used now.
    pub fn current(&self) -> u64 {
        self.current
    }

    fn path(&self, version: u64) -> PathBuf {
        self.own.join(format!("key-{version}"))
    }

    /// The key of a version.
    pub(crate) fn key(&self, version: u64) -> Result<FileKey, Failure> {
        let missing = || {
            let text = format!("there is no version {version} of the image key: see countersign keys --help");
            Failure::never("key-version", text)
        };
        match version {
            0 => Err(missing()),
            1 => FileKey::open(self.own),
            _ => self.read(version)?.ok_or_else(missing),
        }
    }

    fn read(&self, version: u64) -> Result<Option<FileKey>, Failure> {
        let path = self.path(version);
        let broken = |e: String| Failure::halt("image-key-broken", format!("{}: {e}", path.display()));
        match fs::read(&path) {
            Ok(seed) => P256Key::from_seed(&seed).map(|key| Some(FileKey(key))).map_err(|e| broken(e.to_string())),
            Err(e) if e.kind() == io::ErrorKind::NotFound && version > self.current => Ok(None),
            Err(e) => Err(broken(e.to_string())),
        }
    }
}

impl Versions for FileVersions<'_> {
    fn first(&self) -> u64 {
        1
    }

    fn version(&self, version: u64) -> Result<Box<dyn ImageKey + '_>, Failure> {
        self.key(version).map(|key| Box::new(key) as _)
    }

    /// Only the next one is made: nobody fills the disk with keys.
    fn offer(&self, version: u64) -> Result<PublicKey, Failure> {
        if version == self.current + 1 && self.read(version)?.is_none() {
            let failed = |e: String| Failure::later("image-key", e);
            let key = P256Key::generate().map_err(|e| failed(e.to_string()))?;
            durable::replace(&self.path(version), &*key.seed(), 0o600).map_err(|e| failed(e.to_string()))?;
        }
        self.version(version).map(|key| key.public())
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

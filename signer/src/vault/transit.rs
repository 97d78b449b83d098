//! The image key in Vault's transit engine: it signs digests, and nobody can have the key.

use std::collections::BTreeMap;

use artifact::digest::Digest;
use artifact::failure::Failure;
use artifact::key::PublicKey;
use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::client::Again;
use super::login::Session;
use super::settings::Transit;
use crate::key::{ImageKey, Versions};

/// The image key, at its pinned version.
#[derive(Debug)]
pub struct TransitKey<'s> {
    session: &'s Session,
    settings: Transit,
    public: PublicKey,
}

#[derive(Deserialize)]
struct Described {
    data: Key,
}

#[derive(Deserialize)]
struct Key {
    #[serde(rename = "type")]
    kind: String,
    keys: BTreeMap<String, Version>,
    exportable: bool,
    allow_plaintext_backup: bool,
}

#[derive(Deserialize)]
struct Version {
    public_key: String,
}

#[derive(Serialize)]
struct Sign {
    batch_input: Vec<Input>,
    prehashed: bool,
    marshaling_algorithm: &'static str,
    key_version: u64,
}

#[derive(Serialize)]
struct Input {
    input: String,
}

#[derive(Deserialize)]
struct Signed {
    data: Batch,
}

#[derive(Deserialize)]
struct Batch {
    batch_results: Vec<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    signature: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

impl<'s> TransitKey<'s> {
    /// Asks Vault for the public key of the pinned version.
    ///
    /// # Errors
    /// No such key or version, one of another kind, or one that Vault would give away.
    pub fn open(session: &'s Session, settings: &Transit) -> Result<Self, Failure> {
        let tried = format!("reading the key {}", settings.key);
        let path = format!("{}/keys/{}", settings.mount, settings.key);
        let Described { data } = session.read(&tried, &path)?.document(&tried)?;
        let wrong = |code: &str, why: String| Err(Failure::later(code, format!("{path}: {why}")));
        if data.kind != "ecdsa-p256" {
            let kind = artifact::words::one_line(&data.kind);
            return wrong("vault-key-kind", format!("it is of type {kind}, and an image key is ecdsa-p256"));
        }
        if data.exportable || data.allow_plaintext_backup {
            let why = "Vault would give it away (exportable, or allow_plaintext_backup): make one that it keeps";
            return wrong("vault-key-exportable", why.to_owned());
        }
        let Some(version) = data.keys.get(&settings.version.to_string()) else {
            let there: Vec<&str> = data.keys.keys().map(String::as_str).collect();
            let why = format!("it has no version {}; there are: {}", settings.version, there.join(", "));
            return wrong("vault-key-version", why);
        };
        match version.public_key.parse() {
            Ok(public) => Ok(Self { session, settings: settings.clone(), public }),
            Err(e) => wrong("vault-talks-nonsense", format!("{e}")),
        }
    }

    /// The signature in one answer of a batch: by the pinned version, or none.
    fn signature(&self, outcome: &Outcome) -> Result<Vec<u8>, Failure> {
        let nonsense = |why: String| Failure::later("vault-answer-lost", format!("signing: {why}"));
        if let Some(error) = &outcome.error {
            return Err(nonsense(artifact::words::one_line(error)));
        }
        let text = outcome.signature.as_deref().unwrap_or_default();
        let by = format!("vault:v{}:", self.settings.version);
        let Some(base64) = text.strip_prefix(&by) else {
            let found = artifact::digest::shortened(&text.chars().take(20).collect::<String>());
            return Err(nonsense(format!("{by}… was asked for, and {found:?} came")));
        };
        Base64::decode_vec(base64).map_err(|e| nonsense(format!("a signature that is no base64: {e}")))
    }
}

/// The versions of the image key in Vault's transit engine: Vault makes them, people have them taken up.
#[derive(Debug)]
pub struct TransitVersions<'s> {
    session: &'s Session,
    settings: &'s Transit,
}

impl<'s> TransitVersions<'s> {
    /// The versions of this key.
    pub fn new(session: &'s Session, settings: &'s Transit) -> Self {
        Self { session, settings }
    }
}

impl Versions for TransitVersions<'_> {
    fn first(&self) -> u64 {
        self.settings.version
    }

    fn version(&self, version: u64) -> Result<Box<dyn ImageKey + '_>, Failure> {
        let settings = Transit { version, ..self.settings.clone() };
        TransitKey::open(self.session, &settings).map(|key| Box::new(key) as _)
    }

    fn offer(&self, version: u64) -> Result<PublicKey, Failure> {
        self.version(version).map(|key| key.public())
    }
}

impl ImageKey for TransitKey<'_> {
    fn public(&self) -> PublicKey {
        self.public.clone()
    }

    fn kept(&self) -> &'static str {
        "vault-transit"
    }

    /// One request for all, and never twice for one attempt: when its answer is lost, the attempt is over.
    fn sign(&self, messages: &[Vec<u8>], attempt: &str) -> Result<Vec<Vec<u8>>, Failure> {
        let input = |message: &Vec<u8>| Input { input: Base64::encode_string(Digest::of(message).raw()) };
        let body = Sign {
            batch_input: messages.iter().map(input).collect(),
            prehashed: true,
            marshaling_algorithm: "asn1",
            key_version: self.settings.version,
        };
        let path = format!("{}/sign/{}/sha2-256", self.settings.mount, self.settings.key);
        let answer = self.session.write("signing", &path, &body, Some(attempt), Again::WhenNotDone)?;
        let Signed { data: Batch { batch_results } } = answer.document("signing")?;
        if batch_results.len() != messages.len() {
            let text = format!("{} signatures were asked for, and {} came", messages.len(), batch_results.len());
            return Err(Failure::later("vault-answer-lost", text));
        }
        batch_results.iter().map(|outcome| self.signature(outcome)).collect()
    }
}

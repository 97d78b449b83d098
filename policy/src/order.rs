//! People's orders: statements that people sign with their SSH keys (SSHSIG), and what makes one count.
//!
//! An order says exactly one thing, once: its nonce is used up by the entry that records it. How many different people an
//! action needs stands in the rules; two keys of one person are one person.

use std::collections::BTreeMap;

use artifact::digest::shortened;
use artifact::json;
use artifact::key::{KeyId, PublicKey as ImageKey};
use artifact::lane::LaneName;
use artifact::words::{one_line, printable};
use artifact::{Digest, Moment};
use serde::{Deserialize, Deserializer, Serialize};
use ssh_key::{HashAlg, PublicKey, SshSig};

use crate::allowed_signers::AllowedSigners;

/// The namespace in which people sign, and the type of the statement.
pub const NAMESPACE: &str = "countersign-order@v1";

/// The most bytes of a statement.
pub const LIMIT: usize = 8 << 10;
/// The most signatures of one order.
pub const SIGNATURES: usize = 5;
/// The most bytes of a signature: one of a large RSA key has less than 2 KiB.
pub const SIGNATURE_LIMIT: usize = 4 << 10;
/// The most entries that one order may name.
pub const INDEXES: usize = 256;
/// The most bytes of a reason.
pub const REASON: usize = 1000;
/// Below this is every version of a key that can be named.
pub const VERSION: u64 = 1_000_000;

/// What people order: the very bytes of its canonical JSON (RFC 8785) are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// [`NAMESPACE`].
    #[serde(rename = "type")]
    pub kind: String,
    /// The lane it is for.
    pub lane: LaneName,
    /// What is to be done, with everything it needs.
    pub action: Action,
    /// The digest of the rules that were in force when it was written: with other rules it says nothing.
    pub rules: Digest,
    /// 16 random bytes in hexadecimal: used once.
    pub nonce: String,
    /// Until when it may be taken up.
    pub expires: Moment,
    /// Why, for who reads the log later.
    pub reason: String,
}

/// What can be ordered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(clippy::large_enum_variant, reason = "orders are few, and live for a moment")]
pub enum Action {
    /// Delete the bodies of these entries, with their salts.
    Forget {
        /// Ascending, 1 to [`INDEXES`].
        indexes: Vec<u64>,
    },
    /// Have an image refused from now on.
    Revoke {
        /// Its manifest.
        digest: Digest,
    },
    /// Sign images with another key from now on.
    Rotate {
        /// The key of today.
        before: KeyId,
        /// The other key, P-256, in PEM.
        key: ImageKey,
        /// Its version, where it is kept: from 1, below [`VERSION`].
        version: u64,
    },
    /// Sign every current release again that was signed with an earlier key.
    Resign {
        /// The key of today.
        key: KeyId,
    },
}

/// Who may order, and how many of them an action needs: the table `[orders]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderRules {
    #[serde(deserialize_with = "allowed_signers")]
    allowed_signers: AllowedSigners,
    #[serde(default = "two")]
    forget: usize,
    #[serde(default = "two")]
    revoke: usize,
    #[serde(default = "two")]
    rotate: usize,
    #[serde(default = "two")]
    resign: usize,
}

fn two() -> usize {
    2
}

fn allowed_signers<'de, D: Deserializer<'de>>(d: D) -> Result<AllowedSigners, D::Error> {
    AllowedSigners::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
}

/// Why an order does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Not a statement.
    #[error("{0}. `countersign order` writes statements")]
    Malformed(String),
    /// For another lane.
    #[error("it is for the lane {0}")]
    Lane(LaneName),
    /// Written for other rules.
    #[error("it is for the rules {found}, and rules.toml is {expected} now: write it anew and have it signed again")]
    Rules {
        /// As it says.
        found: Digest,
        /// As they are.
        expected: Digest,
    },
    /// Too late.
    #[error("it expired at {0}: write it anew and have it signed again")]
    Expired(Moment),
    /// Too few people.
    #[error("{found} of {needed} people have signed it{why}")]
    Signers {
        /// How many have.
        found: usize,
        /// How many must.
        needed: usize,
        /// What is wrong with the other signatures.
        why: String,
    },
}

impl OrderError {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "order-malformed",
            Self::Lane(_) => "order-lane",
            Self::Rules { .. } => "order-rules",
            Self::Expired(_) => "order-expired",
            Self::Signers { .. } => "order-signers",
        }
    }
}

/// A person's signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Who.
    pub principal: String,
    /// The signature as it came.
    pub signature: Vec<u8>,
}

impl Order {
    /// Reads a statement. It has one spelling.
    ///
    /// # Errors
    /// [`OrderError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, OrderError> {
        let wrong = |why: &str| OrderError::Malformed(why.to_owned());
        if bytes.len() > LIMIT {
            return Err(OrderError::Malformed(format!("more than {LIMIT} bytes")));
        }
        let order: Self =
            json::parse_canonical("order", bytes).map_err(|e| OrderError::Malformed(one_line(&e.to_string())))?;
        order.check().map_err(wrong)?;
        Ok(order)
    }

    /// The bytes that are signed.
    ///
    /// # Errors
    /// [`OrderError::Malformed`]: nobody could carry it out.
    pub fn to_bytes(&self) -> Result<Vec<u8>, OrderError> {
        self.check().map_err(|why| OrderError::Malformed(why.to_owned()))?;
        let bytes = json::canonical("order", self).map_err(|e| OrderError::Malformed(e.to_string()))?;
        match bytes.len() > LIMIT {
            true => Err(OrderError::Malformed(format!("more than {LIMIT} bytes"))),
            false => Ok(bytes),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
        if self.kind != NAMESPACE {
            return Err("the type is not countersign-order@v1");
        }
        if self.nonce.len() != 32 || !self.nonce.bytes().all(hex) {
            return Err("the nonce is not 16 bytes in hexadecimal");
        }
        if self.reason.trim().is_empty() || self.reason.len() > REASON {
            return Err("the reason must have 1 to 1000 bytes");
        }
        match &self.action {
            Action::Forget { indexes } if indexes.is_empty() || indexes.len() > INDEXES => {
                Err("1 to 256 entries can be named")
            }
            Action::Forget { indexes } if !indexes.is_sorted_by(|a, b| a < b) => {
                Err("the entries must be named in ascending order, each once")
            }
            Action::Rotate { key: ImageKey::Ed25519(_), .. } => Err("the key must be a P-256 key"),
            Action::Rotate { before, key, .. } if key.id() == *before => Err("the key is the one of before"),
            Action::Rotate { version: 0 | VERSION.., .. } => Err("a version of a key is 1 to 999999"),
            Action::Forget { .. } | Action::Revoke { .. } | Action::Rotate { .. } | Action::Resign { .. } => Ok(()),
        }
    }
}

impl Action {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Forget { .. } => "forget",
            Self::Revoke { .. } => "revoke",
            Self::Rotate { .. } => "rotate",
            Self::Resign { .. } => "resign",
        }
    }
}

impl OrderRules {
    /// Rules that would let anything through can't be meant.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.allowed_signers.is_empty() {
            return Err("allowed_signers is empty: leave the table out when nobody may order anything");
        }
        let needed = [self.forget, self.revoke, self.rotate, self.resign];
        if needed.contains(&0) {
            return Err("an order needs at least 1 person");
        }
        if needed.iter().any(|needed| *needed > SIGNATURES) {
            return Err("an order can have 5 signatures at most");
        }
        Ok(())
    }

    /// How many people an action needs.
    pub fn needed(&self, action: &Action) -> usize {
        match action {
            Action::Forget { .. } => self.forget,
            Action::Revoke { .. } => self.revoke,
            Action::Rotate { .. } => self.rotate,
            Action::Resign { .. } => self.resign,
        }
    }

    /// Judges an order that was just received, and gives the signatures that count: one a person.
    ///
    /// # Errors
    /// Why it does not count.
    pub fn judge(
        &self,
        statement: &[u8],
        signatures: &[Vec<u8>],
        (lane, rules, now): (&LaneName, &Digest, Moment),
    ) -> Result<(Order, Vec<Signed>), OrderError> {
        let order = Order::parse(statement)?;
        if order.lane != *lane {
            return Err(OrderError::Lane(order.lane));
        }
        if order.rules != *rules {
            return Err(OrderError::Rules { found: order.rules, expected: *rules });
        }
        if order.expires <= now {
            return Err(OrderError::Expired(order.expires));
        }
        let signed = self.signers(&order, statement, signatures, now)?;
        Ok((order, signed))
    }

    /// Counts the people who have signed an order at a moment.
    ///
    /// # Errors
    /// [`OrderError::Signers`], with what is wrong with each signature that does not count.
    pub fn signers(
        &self,
        order: &Order,
        statement: &[u8],
        signatures: &[Vec<u8>],
        at: Moment,
    ) -> Result<Vec<Signed>, OrderError> {
        let (mut people, mut wrong) = (BTreeMap::new(), Vec::new());
        for signature in signatures.iter().take(SIGNATURES) {
            match verify(statement, signature).and_then(|key| self.person(&key, at)) {
                Ok(person) if people.contains_key(&person) => wrong.push(format!("{person} signed twice")),
                Ok(person) => drop(people.insert(person, signature.clone())),
                Err(why) => wrong.push(why),
            }
        }
        let needed = self.needed(&order.action);
        if people.len() < needed {
            wrong.splice(0..0, people.keys().map(|person| format!("{person} has")));
            let why = if wrong.is_empty() { String::new() } else { format!(": {}", wrong.join("; ")) };
            return Err(OrderError::Signers { found: people.len(), needed, why });
        }
        Ok(people.into_iter().map(|(principal, signature)| Signed { principal, signature }).collect())
    }

    fn person(&self, key: &PublicKey, at: Moment) -> Result<String, String> {
        let person = self.allowed_signers.principal(key.key_data(), NAMESPACE, at);
        person.map(|p| printable(&shortened(p))).ok_or_else(|| {
            let fingerprint = key.fingerprint(HashAlg::Sha256);
            format!("{fingerprint} is on no line of allowed_signers that counts for {NAMESPACE} now")
        })
    }
}

/// Whether each of these people's signatures is one over the statement, by keys that differ. Whose the keys are is not
/// known here: whoever recorded the order asked that.
///
/// # Errors
/// What is wrong.
pub fn sound<'a>(
    statement: &[u8],
    signatures: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Result<Order, OrderError> {
    let order = Order::parse(statement)?;
    let (mut people, mut keys) = (Vec::new(), Vec::new());
    for (principal, signature) in signatures {
        let key = verify(statement, signature).map_err(OrderError::Malformed)?;
        if people.contains(&principal) || keys.contains(key.key_data()) {
            return Err(OrderError::Malformed("a person or a key stands there twice".to_owned()));
        }
        people.push(principal);
        keys.push(key.key_data().clone());
    }
    match people.len() {
        1..=SIGNATURES => Ok(order),
        count => Err(OrderError::Malformed(format!("{count} signatures, and 1 to {SIGNATURES} are expected"))),
    }
}

/// The key that signed a statement.
fn verify(statement: &[u8], signature: &[u8]) -> Result<PublicKey, String> {
    let no_signature = |why: &str| format!("a file that is no SSH signature ({})", one_line(why));
    if signature.len() > SIGNATURE_LIMIT {
        return Err(no_signature("too large"));
    }
    let text = std::str::from_utf8(signature).map_err(|e| no_signature(&e.to_string()))?;
    let parsed = SshSig::from_pem(text.trim_end()).map_err(|e| no_signature(&e.to_string()))?;
    let key = PublicKey::new(parsed.public_key().clone(), "");
    if parsed.namespace() != NAMESPACE {
        let namespace = printable(&shortened(parsed.namespace()));
        return Err(format!("a signature for {namespace:?}: sign with -n {NAMESPACE}"));
    }
    let fingerprint = key.fingerprint(HashAlg::Sha256);
    key.verify(NAMESPACE, statement, &parsed)
        .map_err(|_| format!("the signature of {fingerprint} is over another text: the statement was changed since"))?;
    Ok(key)
}

#[cfg(test)]
mod tests;

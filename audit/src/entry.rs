//! What happened: the bodies of our entries. Canonical JSON, one kind each, with a number that never changes meaning.

use std::fmt;
use std::str::FromStr;

use artifact::digest::DigestError;
use artifact::json::{self, JsonError};
use artifact::lane::LaneName;
use artifact::name::ProjectName;
use artifact::{CommitId, Digest, Moment};
use serde::{Deserialize, Serialize};

mod kinds;

pub use kinds::{
    Attempt, Body, Bundle, Collected, Configuration, Facts, Failed, Forgotten, Halted, Kind, Opened, Order,
    OrderSignature, Permit, Posture, Rebuild, Refusal, Release, Resigning, Revocation, Rotation, Signature,
};

/// The most bytes of a body: facts with every piece of evidence as received are some hundreds of kilobytes.
pub const LIMIT: usize = 2 << 20;

/// What a promotion is called: the digest of everything that makes it this one and no other. The same commit with the
/// same candidate, evidence and rules is the same promotion, so asking twice starts nothing twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromotionId(pub Digest);

impl PromotionId {
    /// The id of a promotion with these inputs.
    pub fn of(
        lane: &LaneName,
        project: &ProjectName,
        commit: &CommitId,
        candidate: Option<&Digest>,
        evidence: &Digest,
        rules: &Digest,
    ) -> Self {
        // A line each; none of these texts can hold a newline.
        let candidate = candidate.map(Digest::to_string).unwrap_or_default();
        let text = format!("countersign-promotion@v1\n{lane}\n{project}\n{commit}\n{candidate}\n{evidence}\n{rules}\n");
        Self(Digest::of(text.as_bytes()))
    }
}

impl fmt::Display for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for PromotionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for PromotionId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        text.parse().map(Self)
    }
}

/// One reason of a refusal, as it is written down: the codes are policy's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reason {
    /// A stable code.
    pub code: String,
    /// The thing, the cause, and what would mend it.
    pub message: String,
}

impl Order {
    /// The order, if its signatures are over its statement. Whose keys they are was asked when it was recorded.
    ///
    /// # Errors
    /// What is wrong.
    pub fn sound(&self) -> Result<policy::Order, policy::order::OrderError> {
        let signatures = self.signatures.iter().map(|s| (s.principal.as_str(), &s.signature.0[..]));
        let says = policy::order::sound(&self.statement.0, signatures)?;
        // One that was never taken up in its time is nobody's to take up later.
        if says.expires <= self.at { Err(policy::order::OrderError::Expired(says.expires)) } else { Ok(says) }
    }
}

impl Body {
    /// The bytes that are hashed and kept.
    ///
    /// # Errors
    /// More than [`LIMIT`], or a number that canonical JSON can't carry.
    pub fn to_bytes(&self) -> Result<Vec<u8>, JsonError> {
        let bytes = json::canonical("entry", self)?;
        bounded(&bytes)?;
        Ok(bytes)
    }

    /// Reads a body. It has one spelling.
    ///
    /// # Errors
    /// More than [`LIMIT`], another spelling, or a kind that this program does not know.
    pub fn parse(bytes: &[u8]) -> Result<Self, JsonError> {
        bounded(bytes)?;
        json::parse_canonical("entry", bytes)
    }

    /// The promotion it speaks of.
    pub fn promotion(&self) -> Option<PromotionId> {
        match self {
            Self::Opened(b) => Some(b.promotion),
            Self::Facts(b) => Some(b.promotion),
            Self::Rebuild(b) => Some(b.promotion),
            Self::Permit(b) => Some(b.promotion),
            Self::Refusal(b) => Some(b.promotion),
            Self::Failed(b) => Some(b.promotion),
            Self::Attempt(b) => Some(b.promotion),
            Self::Signature(b) => Some(b.promotion),
            Self::Bundle(b) => Some(b.promotion),
            Self::Release(b) => Some(b.promotion),
            Self::Resigning(b) => Some(b.promotion),
            Self::Posture(_) | Self::Halted(_) | Self::Order(_) | Self::Configuration(_) => None,
            Self::Forgotten(_) | Self::Collected(_) | Self::Revocation(_) | Self::Rotation(_) => None,
        }
    }

    /// Whether the body of an entry of this kind may be forgotten. What was decided, signed and released never goes, nor
    /// what says that something went.
    pub fn may_be_forgotten(kind: u8) -> bool {
        [Facts::KIND, Failed::KIND, Halted::KIND, Configuration::KIND].contains(&kind)
    }

    /// When it happened, by the clock of the room that said so.
    pub fn at(&self) -> Moment {
        match self {
            Self::Opened(b) => b.at,
            Self::Facts(b) => b.at,
            Self::Rebuild(b) => b.at,
            Self::Permit(b) => b.terms.decided,
            Self::Refusal(b) => b.at,
            Self::Failed(b) => b.at,
            Self::Attempt(b) => b.at,
            Self::Signature(b) => b.at,
            Self::Bundle(b) => b.at,
            Self::Release(b) => b.at,
            Self::Posture(b) => b.at,
            Self::Halted(b) => b.at,
            Self::Configuration(b) => b.at,
            Self::Forgotten(b) => b.at,
            Self::Collected(b) => b.at,
            Self::Order(b) => b.at,
            Self::Revocation(b) => b.at,
            Self::Rotation(b) => b.at,
            Self::Resigning(b) => b.at,
        }
    }
}

fn bounded(bytes: &[u8]) -> Result<(), JsonError> {
    match bytes.len() {
        len if len > LIMIT => Err(JsonError::TooLarge { what: "entry", len, limit: LIMIT }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened() -> Opened {
        let digest = |text: &[u8]| Digest::of(text);
        let (lane, project) = (LaneName::Public, "hello".parse().unwrap());
        let commit = "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap();
        let promotion = PromotionId::of(&lane, &project, &commit, None, &digest(b"e"), &digest(b"r"));
        let at = "2026-11-23T10:00:00Z".parse().unwrap();
        Opened {
            promotion,
            lane,
            trial: true,
            project,
            commit,
            candidate: None,
            evidence: digest(b"e"),
            rules: digest(b"r"),
            at,
        }
    }

    #[test]
    fn a_body_has_one_spelling() {
        let body = Body::from(opened());
        let bytes = body.to_bytes().unwrap();
        assert_eq!(Body::parse(&bytes).unwrap(), body);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.contains(r#""kind":"opened""#), "{text}");
        for wrong in [
            text.replace("true", "true "),
            text.replace(r#""kind":"opened""#, r#""kind":"opened","more":1"#),
            text.replace(r#""candidate":null,"#, ""),
            text.replace(r#""kind":"opened""#, r#""kind":"permit""#),
            text.replace(r#""kind":"opened","#, ""),
            format!("{text}\n"),
        ] {
            assert_ne!(wrong, text);
            assert!(Body::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_numbers_of_the_kinds_stay() {
        let names: Vec<_> = (0..=31).filter_map(Body::name_of).collect();
        let expected = "opened facts rebuild permit refusal failed attempt signature bundle release posture halted order \
                        configuration forgotten collected revocation rotation resigning";
        assert_eq!(names.join(" "), expected);
        assert_eq!((Body::name_of(0), Body::name_of(1), Body::name_of(12)), (None, Some("opened"), Some("halted")));
        assert_eq!((Body::from(opened()).kind(), Opened::KIND, Release::KIND), (1, 1, 10));
    }

    #[test]
    fn another_input_is_another_promotion() {
        let o = opened();
        let id = |candidate: Option<&Digest>, evidence, rules| {
            PromotionId::of(&o.lane, &o.project, &o.commit, candidate, evidence, rules)
        };
        assert_eq!(id(None, &o.evidence, &o.rules), o.promotion);
        assert_ne!(id(Some(&o.rules), &o.evidence, &o.rules), o.promotion);
        assert_ne!(id(None, &o.rules, &o.evidence), o.promotion);
    }
}

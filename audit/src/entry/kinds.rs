//! The kinds of entries: what each says, and its number.

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::key::{KeyId, PublicKey};
use artifact::lane::LaneName;
use artifact::name::{ProjectName, Repository, Tag};
use artifact::statement::comparison::{Difference, Level};
use artifact::statement::permit::Terms;
use artifact::{CommitId, Digest, Moment};
use serde::{Deserialize, Serialize};

use super::{PromotionId, Reason};

/// A kind of entry: one of [`Body`]'s.
pub trait Kind: Sized + Into<Body> {
    /// The number in the leaf, 1 to 31. A change of meaning is a new number.
    const KIND: u8;
    /// What it is called.
    const NAME: &'static str;

    /// The body, if it is of this kind.
    fn from_body(body: Body) -> Option<Self>;
}

macro_rules! kinds {
    ($($number:literal $name:literal $(#[$doc:meta])* $kind:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase", deny_unknown_fields)]
            pub struct $kind {
                $($(#[$field_doc])* pub $field: $type,)+
            }

            impl Kind for $kind {
                const KIND: u8 = $number;
                const NAME: &'static str = $name;

                fn from_body(body: Body) -> Option<Self> {
                    match body {
                        Body::$kind(body) => Some(body),
                        _ => None,
                    }
                }
            }

            impl From<$kind> for Body {
                fn from(body: $kind) -> Self {
                    Self::$kind(body)
                }
            }
        )+

        /// The body of one of our entries.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum Body {
            $($(#[$doc])* #[serde(rename = $name)] $kind($kind),)+
        }

        impl Body {
            /// The number of its kind.
            pub fn kind(&self) -> u8 {
                match self { $(Self::$kind(_) => $number,)+ }
            }

            /// What its kind is called.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$kind(_) => $name,)+ }
            }

            /// What the kind of this number is called; `None` for one that this program does not know.
            pub fn name_of(kind: u8) -> Option<&'static str> {
                match kind { $($number => Some($name),)+ _ => None }
            }
        }
    };
}

kinds! {
    1 "opened"
    /// A promotion began: a commit, the image CI left for it, and the evidence that spoke of it.
    Opened {
        /// The promotion.
        promotion: PromotionId,
        /// The lane.
        lane: LaneName,
        /// Whether this perimeter is one for trying.
        trial: bool,
        /// The project.
        project: ProjectName,
        /// The commit.
        commit: CommitId,
        /// The manifest of the image CI left; `null`: there was none.
        candidate: Option<Digest>,
        /// The digest over the digests of the evidence, as intake works it out.
        evidence: Digest,
        /// The digest of the coordinator's rules.
        rules: Digest,
        /// When.
        at: Moment,
    }

    2 "facts"
    /// Intake sealed a dossier and stated what it saw.
    Facts {
        /// The promotion.
        promotion: PromotionId,
        /// Intake's signed facts.
        envelope: Base64,
        /// The commit object without its header: its signature can be checked again.
        commit_object: Base64,
        /// The test results as received, in the order of the facts.
        results: Vec<Base64>,
        /// The dossier.
        dossier: Digest,
        /// When.
        at: Moment,
    }

    3 "rebuild"
    /// A comparer packed what was built, and compared it.
    Rebuild {
        /// The promotion.
        promotion: PromotionId,
        /// The signed comparison.
        comparison: Base64,
        /// The signed provenance.
        provenance: Base64,
        /// The level, as the comparison says.
        level: Level,
        /// The manifest of the rebuild.
        rebuild: Digest,
        /// When.
        at: Moment,
    }

    4 "permit"
    /// Policy permitted, on these terms.
    Permit {
        /// The promotion.
        promotion: PromotionId,
        /// The terms.
        terms: Terms,
    }

    5 "refusal"
    /// Policy refused.
    Refusal {
        /// The promotion.
        promotion: PromotionId,
        /// Every reason.
        reasons: Vec<Reason>,
        /// How the candidate differs from the rebuild, as far as the comparison lists it.
        differences: Vec<Difference>,
        /// How many differences there are.
        differences_total: u64,
        /// How two runs of the recipe differ, as far as the comparison lists it.
        run_differences: Vec<Difference>,
        /// How many there are.
        run_differences_total: u64,
        /// The digest of the rules.
        rules: Digest,
        /// When.
        at: Moment,
    }

    6 "failed"
    /// A room could not do its part.
    Failed {
        /// The promotion.
        promotion: PromotionId,
        /// What the room said.
        failure: Failure,
        /// When.
        at: Moment,
    }

    7 "attempt"
    /// The signer is about to sign: recorded before it asks for a signature.
    Attempt {
        /// The promotion.
        promotion: PromotionId,
        /// The attempt: 16 random bytes in hexadecimal.
        id: String,
        /// The index of the permit's entry.
        permit: u64,
        /// The digests of what will be signed.
        statements: Vec<Digest>,
        /// When.
        at: Moment,
    }

    8 "signature"
    /// A signature was made.
    Signature {
        /// The promotion.
        promotion: PromotionId,
        /// The attempt's id.
        attempt: String,
        /// The media type of what was signed.
        payload_type: String,
        /// What was signed: the payload of an envelope, or the exact bytes where there is none.
        payload: Base64,
        /// The signature.
        signature: Base64,
        /// The key.
        key: KeyId,
        /// Where that key is kept: `file`.
        key_kept: String,
        /// When.
        at: Moment,
    }

    9 "bundle"
    /// A Sigstore bundle was assembled. What is attached to the image is these very bytes.
    Bundle {
        /// The promotion.
        promotion: PromotionId,
        /// The attempt's id.
        attempt: String,
        /// The manifest it speaks of.
        subject: Digest,
        /// The type of the statement in it.
        predicate_type: String,
        /// The bundle, verbatim.
        bundle: Base64,
        /// When.
        at: Moment,
    }

    10 "release"
    /// An image was published, read back and verified.
    Release {
        /// The promotion.
        promotion: PromotionId,
        /// The lane.
        lane: LaneName,
        /// Whether this perimeter is one for trying.
        trial: bool,
        /// The project.
        project: ProjectName,
        /// The attempt's id.
        attempt: String,
        /// The index of the permit's entry.
        permit: u64,
        /// The manifest.
        digest: Digest,
        /// Where.
        repository: Repository,
        /// Under which tags.
        tags: Vec<Tag>,
        /// What the tags named before, by the log.
        previous: Option<Digest>,
        /// The manifests that were attached to it.
        referrers: Vec<Digest>,
        /// When.
        at: Moment,
    }

    11 "posture"
    /// What the rooms said of themselves, and of what confines them.
    Posture {
        /// Each room's Hello, as the room wrote it.
        hellos: Vec<serde_json::Value>,
        /// When.
        at: Moment,
    }

    12 "halted"
    /// The house stopped, and a person must look.
    Halted {
        /// What was wrong.
        failure: Failure,
        /// When.
        at: Moment,
    }

    13 "order"
    /// People ordered something: an order that counts, used up by this entry.
    Order {
        /// The statement, verbatim.
        statement: Base64,
        /// Who signed it, each with another key.
        signatures: Vec<OrderSignature>,
        /// When it was taken up.
        at: Moment,
    }

    14 "configuration"
    /// A file of the configuration was another in this pass than in the one before. Who changed it is not known.
    Configuration {
        /// Its name in the folder of the configuration.
        file: String,
        /// Its digest.
        digest: Digest,
        /// The digest that was recorded before; `null`: none was.
        before: Option<Digest>,
        /// The file, verbatim.
        text: String,
        /// When the pass saw it.
        at: Moment,
    }

    15 "forgotten"
    /// Bodies were deleted, with their salts: an order of people asked for it. Every proof still holds.
    Forgotten {
        /// The index of the order's entry.
        order: u64,
        /// The entries whose bodies went, ascending.
        indexes: Vec<u64>,
        /// When.
        at: Moment,
    }

    16 "collected"
    /// Stores gave up what no unfinished promotion and no replay of a release needs. Recorded before anything went.
    Collected {
        /// Promotions that ended before this gave up what they had.
        before: Moment,
        /// What went of intake's dossiers, and what stayed.
        dossiers: artifact::layout::Collected,
        /// Of its candidates.
        candidates: artifact::layout::Collected,
        /// Of the comparer's rebuilds.
        rebuilds: artifact::layout::Collected,
        /// When.
        at: Moment,
    }

    17 "revocation"
    /// An image is refused from now on.
    Revocation {
        /// Its manifest.
        digest: Digest,
        /// The index of the order's entry.
        order: u64,
        /// Why, as the order says.
        reason: String,
        /// When.
        at: Moment,
    }

    18 "rotation"
    /// Images are signed with another key from this entry on: the signer has taken up what people ordered.
    Rotation {
        /// The index of the order's entry.
        order: u64,
        /// The key before.
        before: KeyId,
        /// The key from here on.
        key: PublicKey,
        /// Its version, where it is kept.
        version: u64,
        /// The signature of the key before over the statement of the rotation.
        by_before: Base64,
        /// The signature of the key from here on over the same.
        by_key: Base64,
        /// When.
        at: Moment,
    }

    19 "resigning"
    /// A release was signed again with another key than before: the same statements. Read back before it is recorded.
    Resigning {
        /// The promotion.
        promotion: PromotionId,
        /// The index of the order's entry.
        order: u64,
        /// The attempt's id.
        attempt: String,
        /// The manifest.
        digest: Digest,
        /// The manifests that were attached to it.
        referrers: Vec<Digest>,
        /// When.
        at: Moment,
    }
}

/// A person's signature of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderSignature {
    /// Who, as `allowed_signers` of that day says.
    pub principal: String,
    /// The SSHSIG file, verbatim.
    pub signature: Base64,
}

//! State is a fold over the log: what is known of each promotion, by its entries and nothing else.

use std::collections::BTreeMap;

use artifact::name::{ProjectName, Repository, Tag};
use artifact::{Digest, Moment};
use audit::entry::{Attempt, Body, Facts, Opened, Permit, PromotionId, Rebuild, Refusal, Release};
use audit::reader::{Content, Entry};

/// Where a promotion is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Begun; no facts yet.
    Opened,
    /// Facts and dossier are there.
    Prepared,
    /// The rebuild is there, and no permit that still holds.
    Rebuilt,
    /// A permit holds, or signatures were made under one that did.
    Permitted,
    /// Published. The end.
    Released,
    /// Refused. The end.
    Refused,
}

impl Stage {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Prepared => "prepared",
            Self::Rebuilt => "rebuilt",
            Self::Permitted => "permitted",
            Self::Released => "released",
            Self::Refused => "refused",
        }
    }
}

/// What the log says of one promotion.
#[derive(Debug, Clone)]
pub struct Promotion {
    /// How it began.
    pub opened: Opened,
    /// What intake saw, until the promotion ended.
    pub facts: Option<Facts>,
    /// What the comparer found, until the promotion ended.
    pub rebuild: Option<Rebuild>,
    /// The newest permit.
    pub permit: Option<Permit>,
    /// Its entry, until the promotion ended.
    pub permit_entry: Option<Entry>,
    /// The newest attempt.
    pub attempt: Option<Attempt>,
    /// What was recorded under the newest permit: attempt, signatures, leaves, bundles.
    pub under_permit: Vec<Entry>,
    /// Whether a signature is among that.
    pub signed: bool,
    /// Why it was refused.
    pub refusal: Option<Refusal>,
    /// What was published.
    pub release: Option<Release>,
}

impl Promotion {
    /// Where it is.
    pub fn stage(&self, now: Moment) -> Stage {
        if self.release.is_some() {
            Stage::Released
        } else if self.refusal.is_some() {
            Stage::Refused
        } else if self.permit.as_ref().is_some_and(|p| self.signed || now < p.terms.expires) {
            Stage::Permitted
        } else if self.rebuild.is_some() {
            Stage::Rebuilt
        } else if self.facts.is_some() {
            Stage::Prepared
        } else {
            Stage::Opened
        }
    }
}

/// Every promotion, and what each tag names.
#[derive(Debug, Default)]
pub struct Fold {
    promotions: BTreeMap<PromotionId, Promotion>,
    order: Vec<PromotionId>,
    tags: BTreeMap<(Repository, Tag), Digest>,
    last: Option<PromotionId>,
}

impl Fold {
    /// One promotion.
    pub fn promotion(&self, id: &PromotionId) -> Option<&Promotion> {
        self.promotions.get(id)
    }

    /// Every promotion, the oldest first.
    pub fn promotions(&self) -> impl DoubleEndedIterator<Item = (&PromotionId, &Promotion)> {
        self.order.iter().filter_map(|id| self.promotions.get_key_value(id))
    }

    /// The newest promotion of a project that has not ended. One that a later release has overtaken is left behind: a tag
    /// would go back to an older commit.
    pub fn unfinished(&self, project: &ProjectName) -> Option<PromotionId> {
        let of = self.promotions().rev().filter(|(_, p)| p.opened.project == *project);
        let newest = of.take_while(|(_, p)| p.release.is_none()).find(|(_, p)| p.refusal.is_none());
        newest.map(|(id, _)| *id)
    }

    /// What a tag names, by the log.
    pub fn tag(&self, repository: &Repository, tag: &Tag) -> Option<Digest> {
        self.tags.get(&(repository.clone(), tag.clone())).copied()
    }

    /// Takes the next entry. One that speaks of a promotion that never began changes nothing: it can't come from us.
    pub fn apply(&mut self, entry: Entry) {
        match &entry.content {
            Content::Rekor(_) => {
                // Leaves follow the signatures they belong to, in the same append.
                if let Some(promotion) = self.last.and_then(|id| self.promotions.get_mut(&id)) {
                    promotion.under_permit.push(entry);
                }
            }
            Content::Ours { body, .. } => {
                let body = body.clone();
                self.last = body.promotion();
                self.apply_body(entry, body);
            }
        }
    }

    fn apply_body(&mut self, entry: Entry, body: Body) {
        if let Body::Opened(opened) = body {
            let id = opened.promotion;
            if !self.promotions.contains_key(&id) {
                self.order.push(id);
                self.promotions.insert(id, Promotion::new(opened));
            }
            return;
        }
        let Some(promotion) = body.promotion().and_then(|id| self.promotions.get_mut(&id)) else { return };
        if let Body::Release(release) = &body {
            for tag in &release.tags {
                self.tags.insert((release.repository.clone(), tag.clone()), release.digest);
            }
        }
        promotion.apply(entry, body);
    }
}

impl Promotion {
    fn new(opened: Opened) -> Self {
        Self {
            opened,
            facts: None,
            rebuild: None,
            permit: None,
            permit_entry: None,
            attempt: None,
            under_permit: Vec::new(),
            signed: false,
            refusal: None,
            release: None,
        }
    }

    fn apply(&mut self, entry: Entry, body: Body) {
        match body {
            Body::Facts(facts) => self.facts = Some(facts),
            Body::Rebuild(rebuild) => self.rebuild = Some(rebuild),
            Body::Permit(permit) => {
                self.permit = Some(permit);
                self.permit_entry = Some(entry);
                self.under_permit.clear();
                self.attempt = None;
                self.signed = false;
            }
            Body::Attempt(attempt) => {
                self.attempt = Some(attempt);
                self.under_permit.push(entry);
            }
            Body::Signature(_) => {
                self.signed = true;
                self.under_permit.push(entry);
            }
            Body::Bundle(_) => self.under_permit.push(entry),
            Body::Refusal(refusal) => {
                self.refusal = Some(refusal);
                self.let_go();
            }
            Body::Release(release) => {
                self.release = Some(release);
                self.let_go();
            }
            Body::Opened(_) | Body::Failed(_) | Body::Posture(_) | Body::Halted(_) => {}
        }
    }

    /// What has ended needs its evidence no more; the log still holds it.
    fn let_go(&mut self) {
        self.facts = None;
        self.rebuild = None;
        self.permit_entry = None;
        self.under_permit = Vec::new();
    }
}

#[cfg(test)]
mod tests {
    use artifact::Moment;
    use artifact::digest::Base64;
    use artifact::lane::LaneName;
    use artifact::statement::comparison::Level;
    use artifact::statement::permit::Terms;
    use audit::entry::Signature;
    use audit::leaf::{RekorLeaf, Salt};

    use super::*;

    fn at(text: &str) -> Moment {
        text.parse().unwrap()
    }

    fn id(word: &str) -> PromotionId {
        PromotionId(Digest::of(word.as_bytes()))
    }

    fn begun(word: &str) -> Body {
        Body::Opened(Opened {
            promotion: id(word),
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            commit: "1111111111111111111111111111111111111111".parse().unwrap(),
            candidate: None,
            evidence: Digest::of(b"evidence"),
            rules: Digest::of(b"rules"),
            at: at("2026-11-23T10:00:00Z"),
        })
    }

    fn rebuilt(word: &str) -> Body {
        let empty = Base64::default();
        let (promotion, rebuild, when) = (id(word), Digest::of(b"image"), at("2026-11-23T10:00:10Z"));
        let (comparison, provenance) = (empty.clone(), empty);
        Body::Rebuild(Rebuild { promotion, comparison, provenance, level: Level::BitForBit, rebuild, at: when })
    }

    fn permitted(word: &str) -> Body {
        let terms = Terms {
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            commit: "1111111111111111111111111111111111111111".parse().unwrap(),
            digest: Digest::of(b"image"),
            repository: "r.example/app".parse().unwrap(),
            tags: vec!["latest".parse().unwrap()],
            previous: None,
            level: Level::BitForBit,
            rules: Digest::of(b"rules"),
            facts: Digest::of(b"facts"),
            comparisons: vec![],
            branch_checked: at("2026-11-23T10:00:20Z"),
            decided: at("2026-11-23T10:00:20Z"),
            expires: at("2026-11-23T10:10:20Z"),
        };
        Body::Permit(Permit { promotion: id(word), terms })
    }

    fn signed(word: &str) -> Body {
        Body::Signature(Signature {
            promotion: id(word),
            attempt: "00".repeat(16),
            payload_type: "x".into(),
            payload: Base64::default(),
            signature: Base64::default(),
            key: artifact::key::KeyId(Digest::of(b"key")),
            key_kept: "file".into(),
            at: at("2026-11-23T10:00:30Z"),
        })
    }

    fn released(word: &str) -> Body {
        Body::Release(Release {
            promotion: id(word),
            lane: LaneName::Public,
            trial: false,
            project: "app".parse().unwrap(),
            attempt: "00".repeat(16),
            permit: 2,
            digest: Digest::of(word.as_bytes()),
            repository: "r.example/app".parse().unwrap(),
            tags: vec!["latest".parse().unwrap()],
            previous: None,
            referrers: vec![],
            at: at("2026-11-23T10:00:40Z"),
        })
    }

    fn fold(bodies: impl IntoIterator<Item = Body>) -> Fold {
        let mut fold = Fold::default();
        for (index, body) in (0..).zip(bodies) {
            let bytes = body.to_bytes().unwrap();
            fold.apply(Entry { index, content: Content::Ours { body, bytes, salt: Salt::from_raw([0; 32]) } });
        }
        fold
    }

    #[test]
    fn a_permit_that_ran_out_unsigned_is_decided_anew_and_a_signed_one_is_published() {
        let (early, late) = (at("2026-11-23T10:05:00Z"), at("2026-11-23T11:00:00Z"));
        let unsigned = fold([begun("a"), rebuilt("a"), permitted("a")]);
        let stage = |fold: &Fold, now| fold.promotion(&id("a")).unwrap().stage(now);
        assert_eq!((stage(&unsigned, early), stage(&unsigned, late)), (Stage::Permitted, Stage::Rebuilt));
        let signed = fold([begun("a"), rebuilt("a"), permitted("a"), signed("a")]);
        assert_eq!(stage(&signed, late), Stage::Permitted);
    }

    #[test]
    fn a_leaf_belongs_to_the_promotion_whose_signature_it_follows() {
        let mut fold = fold([begun("a"), begun("b"), permitted("a"), signed("a")]);
        let leaf = RekorLeaf::parse(br#"{"apiVersion":"0","kind":"k","spec":{}}"#.to_vec()).unwrap();
        fold.apply(Entry { index: 4, content: Content::Rekor(leaf) });
        let under =
            |word: &str| fold.promotion(&id(word)).unwrap().under_permit.iter().map(|e| e.index).collect::<Vec<_>>();
        assert_eq!((under("a"), under("b")), (vec![3, 4], vec![]));
    }

    #[test]
    fn what_a_release_has_overtaken_is_left_behind_and_tags_name_the_newest() {
        let fold = fold([begun("a"), begun("b"), permitted("b"), released("b"), begun("c")]);
        let app = "app".parse().unwrap();
        assert_eq!(fold.unfinished(&app), Some(id("c")));
        let fold = self::fold([begun("a"), begun("b"), permitted("b"), released("b")]);
        assert_eq!(fold.unfinished(&app), None);
        let (repository, tag) = ("r.example/app".parse().unwrap(), "latest".parse().unwrap());
        assert_eq!(fold.tag(&repository, &tag), Some(Digest::of(b"b")));
    }

    #[test]
    fn an_entry_of_a_promotion_that_never_began_changes_nothing() {
        let fold = fold([permitted("a"), signed("a"), released("a")]);
        assert!(fold.promotion(&id("a")).is_none() && fold.promotions().next().is_none());
        assert_eq!(fold.tag(&"r.example/app".parse().unwrap(), &"latest".parse().unwrap()), None);
    }
}

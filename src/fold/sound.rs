//! Which entries count. The coordinator has no key, so what it writes itself (that a promotion began, a permit, a refusal)
//! can be told from nobody else's; but it can lead to nothing that intake, a comparer and the image key did not sign.
//! Whether a perimeter is a trial is in no promotion's name, so an opening that lies about it is judged like any other: by
//! policy and the signer.

use artifact::Digest;
use artifact::statement::Signed;
use artifact::statement::comparison::Comparison;
use artifact::statement::provenance::Provenance;
use audit::entry::{Attempt, Body, Bundle, Facts, Opened, Permit, PromotionId, Rebuild, Release, Signature};
use audit::released;

use super::{Fold, Promotion};

type Fault = Option<&'static str>;

/// The most statements of one attempt.
const STATEMENTS: usize = 16;

/// The most attempts under one permit: the signer makes no more.
const ATTEMPTS: usize = 16;

impl Fold {
    /// Why an entry that says this, and stands there in the log, would be void; `None`: it counts.
    pub fn fault(&self, index: u64, body: &Body) -> Fault {
        match body {
            Body::Opened(opened) => return opened_fault(opened),
            Body::Order(order) => return self.order_fault(order),
            Body::Forgotten(_) | Body::Revocation(_) => return self.people().effect_fault(body),
            Body::Rotation(rotation) => return self.rotation_fault(index, rotation),
            _ => {}
        }
        if let Body::Configuration(said) = body {
            return (Digest::of(said.text.as_bytes()) != said.digest).then_some("a text that has another digest");
        }
        let id = body.promotion()?;
        let Some(promotion) = self.promotion(&id) else { return Some("of a promotion that never began") };
        match body {
            Body::Facts(facts) => self.facts_fault(promotion, facts),
            Body::Rebuild(rebuild) => self.rebuild_fault(rebuild),
            Body::Permit(permit) => self.permit_fault(promotion, permit),
            Body::Attempt(attempt) if promotion.release.is_some() => self.again_fault(promotion, attempt),
            Body::Attempt(attempt) => attempt_fault(promotion, attempt),
            Body::Resigning(resigning) => self.resigning_fault(promotion, resigning),
            Body::Signature(signature) => self.signature_fault(promotion, index, signature),
            Body::Bundle(bundle) => bundle_fault(promotion, bundle),
            Body::Release(release) => release_fault(promotion, release),
            Body::Opened(_) | Body::Refusal(_) | Body::Failed(_) => None,
            Body::Posture(_) | Body::Halted(_) | Body::Order(_) | Body::Configuration(_) => None,
            Body::Forgotten(_) | Body::Collected(_) | Body::Revocation(_) | Body::Rotation(_) => None,
        }
    }

    fn facts_fault(&self, promotion: &Promotion, facts: &Facts) -> Fault {
        let opened = &promotion.opened;
        let signed = Signed::<artifact::statement::facts::Facts>::open(&facts.envelope.0, [&self.keys.intake]);
        let Ok(signed) = signed else { return Some("facts that intake did not sign") };
        let says = signed.says();
        let ours = says.project == opened.project
            && says.commit == opened.commit
            && says.lane == opened.lane
            && says.dossier == facts.dossier;
        (!ours).then_some("facts of something else")
    }

    /// Whether it is of the same job is policy's question: a comparer that was given another dossier says so, truly.
    fn rebuild_fault(&self, rebuild: &Rebuild) -> Fault {
        let comparison = Signed::<Comparison>::open(&rebuild.comparison.0, &self.keys.comparers);
        let Ok(comparison) = comparison else { return Some("a comparison that no comparer signed") };
        if Signed::<Provenance>::open(&rebuild.provenance.0, &self.keys.comparers).is_err() {
            return Some("provenance that no comparer signed");
        }
        let says = comparison.says();
        let ours = says.rebuild == rebuild.rebuild && says.level == rebuild.level;
        (!ours).then_some("a comparison of something else")
    }

    /// What a permit rests on must be there before it. Nothing is signed by what is forgotten: the signer asks for the facts.
    fn permit_fault(&self, promotion: &Promotion, permit: &Permit) -> Fault {
        let Some(rebuild) = &promotion.rebuild else { return Some("a permit without a rebuild") };
        let (opened, terms) = (&promotion.opened, &permit.terms);
        let of_facts = match &promotion.facts {
            Some(facts) => terms.facts == Digest::of(&facts.envelope.0) || self.forgotten_facts,
            None => self.forgotten_facts,
        };
        let ours = terms.project == opened.project
            && terms.commit == opened.commit
            && terms.lane == opened.lane
            && terms.digest == rebuild.rebuild
            && terms.comparisons == [Digest::of(&rebuild.comparison.0)];
        if self.people().revocation(&terms.digest).is_some() {
            return Some("a permit of an image that was revoked");
        }
        match (of_facts, ours) {
            (false, _) => Some("a permit without its facts"),
            (_, false) => Some("a permit of something else"),
            _ => None,
        }
    }

    fn signature_fault(&self, promotion: &Promotion, index: u64, signature: &Signature) -> Fault {
        let Some(attempt) = promotion.signing(&signature.attempt) else {
            return Some("a signature without an attempt");
        };
        if self.unpinned().is_some() {
            return Some("a signature after the image key was rotated, and before keys.toml says so");
        }
        let announced = attempt.statements.contains(&Digest::of(&signature.payload.0))
            && self.keys.image.at(index).is_some_and(|one| released::signed(signature, one.key));
        (!announced).then_some("a signature that is not the image key's, or was not announced")
    }
}

fn opened_fault(opened: &Opened) -> Fault {
    let Opened { lane, project, commit, candidate, evidence, rules, .. } = opened;
    let id = PromotionId::of(lane, project, commit, candidate.as_ref(), evidence, rules);
    (id != opened.promotion).then_some("its name is not that of what it says")
}

fn attempt_fault(promotion: &Promotion, attempt: &Attempt) -> Fault {
    if promotion.permit_index != Some(attempt.permit) || attempt.statements.len() > STATEMENTS {
        return Some("an attempt under another permit");
    }
    if promotion.attempts.len() >= ATTEMPTS {
        return Some("more attempts than a permit has");
    }
    // A new one for each answer that was lost; the signer's memory says which is the newest.
    promotion.attempts.iter().any(|a| a.id == attempt.id).then_some("an attempt that is there already")
}

fn bundle_fault(promotion: &Promotion, bundle: &Bundle) -> Fault {
    let known = promotion.signing(&bundle.attempt).is_some();
    (!known || !promotion.signed).then_some("a bundle without a signature")
}

fn release_fault(promotion: &Promotion, release: &Release) -> Fault {
    (promotion.permit_index != Some(release.permit)).then_some("a release under another permit")
}

//! Intake's work, top to bottom: look at the branch, remember it, gather source, evidence, bases and candidate, seal the
//! dossier, state the facts.

use std::path::Path;

use artifact::digest::{Base64, unhex};
use artifact::dossier::{self, Base, Dossier};
use artifact::failure::{Failure, Retry};
use artifact::git::{self, Commit, Kind};
use artifact::lane::LaneName;
use artifact::layout::Layout;
use artifact::name::{Pinned, ProjectName};
use artifact::statement::facts::{Facts, Position};
use artifact::statement::{Statement, Subject};
use artifact::{CommitId, Digest, Moment};
use policy::{ProjectRules, Rules};

use crate::address::Address;
use crate::config::Project;
use crate::door::{Answer, Ask};
use crate::evidence::{self, Evidence};
use crate::memory::Memory;
use crate::mirror::{self, Mirror};
use crate::orders;
use crate::room::{IntakeRoom, rules, usage};
use crate::source::{Allowed, Source, gather_source, recipe_of};
use crate::{bases, candidate};

/// The project's name in a dossier that belongs to none.
const OUTSIDE: &str = "build";

/// What was seen of a branch.
struct Branch {
    head: CommitId,
    position: Position,
    checked: Moment,
    rewritten: bool,
}

/// What facts are stated about.
struct Case<'a> {
    project: &'a Project,
    rules: &'a ProjectRules,
    commit: &'a Commit,
    nonce: String,
    dossier: Digest,
    recipe: Digest,
    bases: Vec<Pinned>,
}

impl IntakeRoom {
    /// Answers one question. `config` is the folder of the configuration; `say` tells a person what is going on.
    pub async fn answer(&self, ask: Ask, config: &Path, say: &mut dyn FnMut(String)) -> Answer {
        let answered = match ask {
            Ask::Look { project, commit } => match rules(config) {
                Ok(rules) => self.look(&rules, &project, commit).await,
                Err(e) => Err(e),
            },
            Ask::Prepare { project, commit, nonce } => match rules(config) {
                Ok(rules) => self.prepare(&rules, &project, &commit, nonce, say).await,
                Err(e) => Err(e),
            },
            Ask::Restate { project, commit, nonce, dossier } => match rules(config) {
                Ok(rules) => self.restate(&rules, &project, &commit, nonce, dossier).await,
                Err(e) => Err(e),
            },
            Ask::Collect { dossiers, candidates, remove } => self.collect(&dossiers, &candidates, remove),
            Ask::Seal { source, commit } => self.seal(&source, commit, say).await,
            Ask::Witness { requests } => self.witness(&requests).await,
            Ask::Orders => match self.config.orders() {
                Some(folder) => orders::read(folder),
                None => Err(Failure::later(
                    "orders-unlisted",
                    "rules.toml has [orders], and intake.toml names no folder of orders",
                )),
            },
        };
        answered.unwrap_or_else(Answer::Failed)
    }

    fn collect(&self, dossiers: &[Digest], candidates: &[Digest], remove: bool) -> Result<Answer, Failure> {
        let of = |store: &Layout, keep: &[Digest]| {
            store.collect(keep, remove).map_err(|e| Failure::of_store("intake-store", &e))
        };
        Ok(Answer::Collected { dossiers: of(&self.dossiers, dossiers)?, candidates: of(&self.candidates, candidates)? })
    }

    async fn look(&self, rules: &Rules, name: &ProjectName, commit: Option<CommitId>) -> Result<Answer, Failure> {
        let (project, rules) = self.project(rules, name)?;
        let head = mirror::head(&self.git, &project.source, &rules.branch)?;
        Memory::open(&self.memory, &project.source, &rules.branch)?.note(&head)?;
        let commit = commit.unwrap_or_else(|| head.clone());
        let evidence = self.evidence(project, rules, &commit)?.digest();
        let candidate = candidate::look(&self.client, &project.candidate, &commit).await?;
        Ok(Answer::Looked { branch: rules.branch.clone(), head, commit, evidence, candidate })
    }

    async fn prepare(
        &self,
        rules: &Rules,
        name: &ProjectName,
        commit: &CommitId,
        nonce: String,
        say: &mut dyn FnMut(String),
    ) -> Result<Answer, Failure> {
        check_nonce(&nonce)?;
        let (project, rules) = self.project(rules, name)?;
        say(format!("fetching {} of {}", rules.branch, project.source));
        let (mirror, branch) = self.branch(project, rules, commit)?;
        let allowed = Allowed::Listed(&project.submodules);
        let source = gather_source(&self.git, &mirror, commit, allowed, &self.dossiers)?;
        let evidence = self.evidence(project, rules, commit).map_err(mendable)?;
        let asked = bases::asked(&source.recipe);
        say(format!("pulling {} bases and the candidate", asked.len()));
        let pulled = bases::pull(&self.client, &asked, |b| rules.bases.contains(b), &self.dossiers).await?;
        let candidate = candidate::pull(&self.client, &project.candidate, commit, &self.candidates).await?;
        let dossier = self.seal_dossier(name, &project.source, &source, pulled, &evidence)?;
        let Source { gathered, recipe_digest: recipe, .. } = source;
        let case = Case { project, rules, commit: &gathered.commit, nonce, dossier, recipe, bases: asked };
        self.state(case, branch, evidence, candidate, gathered.raw)
    }

    async fn restate(
        &self,
        rules: &Rules,
        name: &ProjectName,
        commit: &CommitId,
        nonce: String,
        digest: Digest,
    ) -> Result<Answer, Failure> {
        check_nonce(&nonce)?;
        let (project, rules) = self.project(rules, name)?;
        let opened = Dossier::open(&self.dossiers, &digest).map_err(|e| Failure::of_store("dossier-broken", &e))?;
        if opened.project != *name || opened.commit != *commit {
            let text = format!("dossier {digest} is of {} {}, not of {name} {commit}", opened.project, opened.commit);
            return Err(Failure::never("wrong-dossier", text));
        }
        let raw = commit_object(&self.dossiers, &opened)?;
        let parsed = Commit::parse(commit, &raw).map_err(|e| Failure::halt("dossier-broken", e))?;
        let (mirror, branch) = self.branch(project, rules, commit)?;
        let (recipe, recipe_digest) = recipe_of(&mirror, commit)?;
        let evidence = self.evidence(project, rules, commit).map_err(mendable)?;
        let candidate = candidate::look(&self.client, &project.candidate, commit).await?;
        let candidate = candidate.map(|digest| Pinned { repository: project.candidate.clone(), digest });
        let bases = bases::asked(&recipe);
        let case = Case { project, rules, commit: &parsed, nonce, dossier: digest, recipe: recipe_digest, bases };
        self.state(case, branch, evidence, candidate, raw)
    }

    async fn seal(
        &self,
        folder: &Path,
        commit: Option<CommitId>,
        say: &mut dyn FnMut(String),
    ) -> Result<Answer, Failure> {
        let wrong =
            || Failure::never("source-refused", format!("{}: an absolute folder is expected", folder.display()));
        let address = Address::file(folder).ok_or_else(wrong)?;
        let named = mirror::named(&self.git, &address, "HEAD")?;
        let commit = commit.or(named).ok_or_else(|| unknown(&address, "HEAD"))?;
        say(format!("sealing {commit}; what is not committed is not in it"));
        let mirror = Mirror::open(&self.git, &address, &commit)?;
        if !mirror.obtain(&commit)? {
            return Err(unknown(&address, commit.as_str()));
        }
        let source = gather_source(&self.git, &mirror, &commit, Allowed::Within(folder), &self.dossiers)?;
        let asked = bases::asked(&source.recipe);
        say(format!("pulling {} bases", asked.len()));
        let pulled = bases::pull(&self.client, &asked, |_| true, &self.dossiers).await?;
        let project = OUTSIDE.parse().map_err(|e| usage(&e))?;
        let dossier = self.seal_dossier(&project, &address, &source, pulled, &Evidence::default())?;
        Ok(Answer::Sealed { dossier, commit, tree: source.gathered.commit.tree })
    }

    fn project<'a>(&'a self, rules: &'a Rules, name: &ProjectName) -> Result<(&'a Project, &'a ProjectRules), Failure> {
        let missing = |file: &str| usage(&format!("{file} has no project {name}; both files need one of this name"));
        let project = self.config.project(name).ok_or_else(|| missing("intake.toml"))?;
        Ok((project, rules.project(name).ok_or_else(|| missing("rules.toml"))?))
    }

    fn evidence(&self, project: &Project, rules: &ProjectRules, commit: &CommitId) -> Result<Evidence, Failure> {
        evidence::collect(&self.git, &project.evidence, &rules.result_keys, commit, &self.dossiers)
    }

    /// Fetches the branch, remembers its head, and has the commit in the mirror.
    fn branch(
        &self,
        project: &Project,
        rules: &ProjectRules,
        commit: &CommitId,
    ) -> Result<(Mirror<'_>, Branch), Failure> {
        let checked = Moment::now();
        let listed = mirror::head(&self.git, &project.source, &rules.branch)?;
        let mut memory = Memory::open(&self.memory, &project.source, &rules.branch)?;
        let mirror = Mirror::open(&self.git, &project.source, &listed)?;
        let head = mirror.fetch_branch(&rules.branch)?;
        let rewritten = memory.settle(&head, |newer, older| mirror.descends(newer, older))?;
        if !mirror.obtain(commit)? {
            return Err(unknown(&project.source, commit.as_str()));
        }
        let position = mirror.position(commit, &head)?;
        Ok((mirror, Branch { head, position, checked, rewritten }))
    }

    fn seal_dossier(
        &self,
        project: &ProjectName,
        address: &Address,
        source: &Source,
        bases: Vec<Base>,
        evidence: &Evidence,
    ) -> Result<Digest, Failure> {
        let commit = &source.gathered.commit;
        let sealed = Dossier {
            lane: LaneName::Public,
            project: project.clone(),
            source: address.to_string(),
            commit: commit.id.clone(),
            tree: commit.tree.clone(),
            source_date: commit.committed,
            objects: source.gathered.objects.clone(),
            submodules: source.submodules.clone(),
            recipe: source.recipe_digest,
            bases,
            evidence: evidence.kept.clone(),
        };
        sealed.seal(&self.dossiers).map_err(|e| Failure::later("intake-store", e))
    }

    fn state(
        &self,
        case: Case<'_>,
        branch: Branch,
        evidence: Evidence,
        candidate: Option<Pinned>,
        raw: Vec<u8>,
    ) -> Result<Answer, Failure> {
        let commit = case.commit;
        let found = candidate.as_ref().map(|c| c.digest);
        let facts = Facts {
            lane: LaneName::Public,
            trial: self.trial,
            project: case.project.name.clone(),
            source: case.project.source.to_string(),
            commit: commit.id.clone(),
            tree: commit.tree.clone(),
            branch: case.rules.branch.clone(),
            position: branch.position,
            head: branch.head,
            branch_checked: branch.checked,
            rewritten: branch.rewritten,
            // Policy and the signer verify it again and say why one does not count.
            commit_signature: case.rules.verify_commit(commit).ok(),
            results: evidence.results,
            unusable: evidence.unusable,
            candidate,
            dossier: case.dossier,
            recipe: case.recipe,
            bases: case.bases,
            stated: Moment::now(),
            nonce: case.nonce,
        };
        let statement = Statement::new(vec![Subject::commit("", &commit.id)], facts);
        let envelope = statement.sign(&self.key).map_err(|e| Failure::never("facts-unwritable", e))?;
        Ok(Answer::Prepared {
            facts: Base64(envelope.to_bytes()),
            commit_object: Base64(raw),
            results: evidence.received.into_iter().map(Base64).collect(),
            dossier: case.dossier,
            candidate: found,
        })
    }
}

fn check_nonce(nonce: &str) -> Result<(), Failure> {
    match unhex::<16>(nonce) {
        Some(_) => Ok(()),
        None => Err(Failure::never("bad-nonce", "a nonce is 16 bytes in hexadecimal")),
    }
}

/// Evidence that can't be read now may be mended, and is then the same evidence: of a promotion that has begun it is no
/// answer.
fn mendable(failure: Failure) -> Failure {
    Failure { retry: if failure.retry == Retry::Never { Retry::Later } else { failure.retry }, ..failure }
}

fn unknown(address: &Address, what: &str) -> Failure {
    Failure::never("commit-unknown", format!("{address} does not give {what}; was it pushed, and is it still there?"))
}

/// The commit object out of a dossier's stream, without its header. Its id says whether it is the right one.
fn commit_object(store: &Layout, dossier: &Dossier) -> Result<Vec<u8>, Failure> {
    use std::io::Read as _;
    let broken = |e: &dyn std::fmt::Display| Failure::halt("dossier-broken", e);
    let mut stream = std::io::BufReader::new(store.stream(&dossier.objects).map_err(|e| broken(&e))?);
    let (kind, size) = git::next_header(&mut stream).map_err(|e| broken(&e))?.ok_or_else(|| broken(&"no objects"))?;
    if kind != Kind::Commit || dossier.objects.media_type != dossier::OBJECTS {
        return Err(broken(&"its objects do not begin with the commit"));
    }
    let mut raw = Vec::new();
    stream.take(size).read_to_end(&mut raw).map_err(|e| broken(&e))?;
    Ok(raw)
}

#[cfg(test)]
mod tests;

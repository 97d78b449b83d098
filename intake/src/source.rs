//! The source of a dossier: the commit's objects, its submodules' at their pinned commits, and its recipe.

use std::path::Path;

use artifact::digest::shortened;
use artifact::dossier::Submodule;
use artifact::failure::Failure;
use artifact::git::{EntryKind, TreeEntry};
use artifact::layout::Layout;
use artifact::recipe::{self, Recipe};
use artifact::{CommitId, Digest};

use crate::address::Address;
use crate::git::Git;
use crate::mirror::Mirror;
use crate::objects::{GatherError, Gathered, gather};
use crate::session::{ObjectError, Session};
use crate::submodules::{self, Section};

/// How deep submodules of submodules go.
const NESTED: usize = 4;
/// The most submodules, all told.
const SUBMODULES: usize = 200;

/// Where submodules may come from.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Allowed<'a> {
    /// These addresses, exactly.
    Listed(&'a [Address]),
    /// The clones that a work tree on this host holds of them.
    Within(&'a Path),
}

/// A source, whole.
#[derive(Debug)]
pub(crate) struct Source {
    pub gathered: Gathered,
    pub submodules: Vec<Submodule>,
    pub recipe: Recipe,
    pub recipe_digest: Digest,
}

/// Gathers a commit that the mirror has.
pub(crate) fn gather_source(
    git: &Git,
    mirror: &Mirror<'_>,
    commit: &CommitId,
    allowed: Allowed<'_>,
    store: &Layout,
) -> Result<Source, Failure> {
    let mut session = mirror.session()?;
    let gathered = gather(&mut session, commit, store).map_err(|e| refused(mirror.address(), commit, &e))?;
    let (recipe, recipe_digest) = read_recipe(&mut session, &gathered.root, commit)?;
    let mut found = Found { git, allowed, store, submodules: Vec::new() };
    found.follow(mirror.address(), &mut session, &gathered, "", 0)?;
    Ok(Source { gathered, submodules: found.submodules, recipe, recipe_digest })
}

/// The recipe of a commit, out of a mirror that has it.
pub(crate) fn recipe_of(mirror: &Mirror<'_>, commit: &CommitId) -> Result<(Recipe, Digest), Failure> {
    let mut session = mirror.session()?;
    let root = session.commit(commit).and_then(|(commit, _)| session.tree(&commit.tree));
    let (root, _) = root.map_err(|e| refused(mirror.address(), commit, &e.into()))?;
    read_recipe(&mut session, &root, commit)
}

fn read_recipe(session: &mut Session, root: &[TreeEntry], commit: &CommitId) -> Result<(Recipe, Digest), Failure> {
    let is_file = |e: &&TreeEntry| matches!(e.kind, EntryKind::File | EntryKind::Executable);
    let entry = root.iter().find(|e| e.name == recipe::PATH).filter(is_file).ok_or_else(|| {
        let text =
            format!("commit {commit} has no file {} in its root folder: it says how the tree is built", recipe::PATH);
        Failure::never("recipe-missing", text)
    })?;
    let bytes = session.blob(&entry.id, recipe::LIMIT as u64);
    let bytes = bytes.map_err(unread("recipe-invalid", recipe::PATH))?;
    let recipe = Recipe::parse(&bytes).map_err(|e| Failure::never("recipe-invalid", e))?;
    Ok((recipe, Digest::of(&bytes)))
}

struct Found<'a> {
    git: &'a Git,
    allowed: Allowed<'a>,
    store: &'a Layout,
    submodules: Vec<Submodule>,
}

impl Found<'_> {
    /// Gathers the submodules of a tree, then theirs.
    fn follow(
        &mut self,
        from: &Address,
        session: &mut Session,
        gathered: &Gathered,
        below: &str,
        depth: usize,
    ) -> Result<(), Failure> {
        if gathered.links.is_empty() {
            return Ok(());
        }
        let sections = sections(session, &gathered.root)?;
        for (path, commit) in &gathered.links {
            let full = if below.is_empty() { path.clone() } else { format!("{below}/{path}") };
            let refuse =
                |code: &str, why: String| Failure::never(code, format!("submodule {:?}: {why}", shortened(&full)));
            if depth >= NESTED || self.submodules.len() >= SUBMODULES {
                return Err(refuse(
                    "submodules-too-many",
                    format!("more than {SUBMODULES}, or nested deeper than {NESTED}"),
                ));
            }
            let section = sections.iter().find(|s| s.path == *path && !s.url.is_empty());
            let section = section
                .ok_or_else(|| refuse("submodules-invalid", format!("{} says nothing of it", submodules::PATH)))?;
            let (declared, address) = self.place(from, section).map_err(|why| refuse("submodule-not-allowed", why))?;
            let mirror = Mirror::open(self.git, &address, commit)?;
            if !mirror.obtain(commit)? {
                return Err(refuse("submodule-commit-unknown", format!("{address} has no commit {commit}")));
            }
            let mut session = mirror.session()?;
            let inner = gather(&mut session, commit, self.store).map_err(|e| refused(&address, commit, &e))?;
            let (commit, objects) = (commit.clone(), inner.objects.clone());
            self.submodules.push(Submodule { path: full.clone(), source: declared.to_string(), commit, objects });
            self.follow(&declared, &mut session, &inner, &full, depth + 1)?;
        }
        Ok(())
    }

    /// Where a submodule is said to come from, and where it is taken from.
    fn place(&self, from: &Address, section: &Section) -> Result<(Address, Address), String> {
        let relative = section.url.starts_with("./") || section.url.starts_with("../");
        let declared = if relative { from.join(&section.url) } else { section.url.parse() };
        let declared = declared.map_err(|e| e.to_string())?;
        match self.allowed {
            Allowed::Listed(listed) if listed.contains(&declared) => Ok((declared.clone(), declared)),
            Allowed::Listed(_) => Err(format!(
                "{} is not among the project's submodules in intake.toml",
                shortened(&declared.to_string())
            )),
            Allowed::Within(folder) => {
                let plain = section.name.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
                let clone = folder.join(".git/modules").join(&section.name);
                match Address::file(&clone).filter(|_| plain && clone.is_dir()) {
                    Some(address) => Ok((declared, address)),
                    None => {
                        Err("this work tree has no clone of it; run `git submodule update --init --recursive`".into())
                    }
                }
            }
        }
    }
}

fn sections(session: &mut Session, root: &[TreeEntry]) -> Result<Vec<Section>, Failure> {
    let entry = root.iter().find(|e| e.name == submodules::PATH && e.kind == EntryKind::File);
    let Some(entry) = entry else { return Ok(Vec::new()) };
    let bytes = session.blob(&entry.id, submodules::LIMIT);
    submodules::parse(&bytes.map_err(unread("submodules-invalid", submodules::PATH))?)
}

/// A file that can't be had: git that does not answer may answer tomorrow.
fn unread(code: &'static str, path: &'static str) -> impl Fn(ObjectError) -> Failure {
    move |error| match &error {
        ObjectError::Io(_) => Failure::later("source-unavailable", format!("{path}: {error}")),
        _ => Failure::never(code, format!("{path}: {error}")),
    }
}

fn refused(address: &Address, commit: &CommitId, error: &GatherError) -> Failure {
    let text = format!("{address}, commit {commit}: {error}");
    match error {
        GatherError::Store(_) => Failure::later("intake-store", text),
        GatherError::Object(ObjectError::Io(_)) => Failure::later("source-unavailable", text),
        _ => Failure::never("source-refused", text),
    }
}

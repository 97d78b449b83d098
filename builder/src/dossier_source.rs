//! The recipe, straight from a dossier's git objects: the comparer does not ask the builder what was built.

use std::io::{self, BufRead, BufReader, Read as _};

use artifact::Digest;
use artifact::dossier::Dossier;
use artifact::git::{self, Commit, EntryKind, GitError, Kind};
use artifact::layout::{Layout, LayoutError};
use artifact::recipe;

/// Why a dossier gave no recipe.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The stream is missing, or not the one that the dossier names.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An object that git would not have written.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The objects and the dossier tell different stories.
    #[error("the dossier's git objects: {0}")]
    Content(&'static str),
}

impl From<io::Error> for SourceError {
    fn from(error: io::Error) -> Self {
        Self::Git(error.into())
    }
}

/// The bytes of the recipe: the blob that the commit's own tree names. Commit, tree and blob are checked by their git
/// ids, and the bytes by the digest in the dossier. What else the dossier says of the commit is checked as well.
///
/// # Errors
/// When anything is not as the dossier says.
pub fn recipe(store: &Layout, dossier: &Dossier) -> Result<Vec<u8>, SourceError> {
    let mut objects = BufReader::with_capacity(128 << 10, store.stream(&dossier.objects)?);
    let read = read(&mut objects, dossier);
    // Other bytes than the named ones explain whatever else is wrong.
    objects.into_inner().finish()?;
    read
}

fn read(objects: &mut impl BufRead, dossier: &Dossier) -> Result<Vec<u8>, SourceError> {
    let Some((Kind::Commit, size)) = git::next_header(objects)? else {
        return Err(SourceError::Content("a commit is expected first"));
    };
    let commit = Commit::parse(&dossier.commit, &content(objects, size)?)?;
    if commit.tree != dossier.tree || commit.committed != dossier.source_date {
        return Err(SourceError::Content("the commit has another tree or another date than the dossier says"));
    }
    let (mut entry, mut blob) = (None, None);
    while let Some((kind, size)) = git::next_header(objects)? {
        match kind {
            Kind::Commit => return Err(SourceError::Content("a second commit")),
            Kind::Tree if entry.is_none() => {
                let bytes = content(objects, size)?;
                if git::object_id(&commit.tree, Kind::Tree, &bytes) == commit.tree {
                    let mut entries = git::parse_tree(&commit.tree, &bytes)?.into_iter();
                    entry = Some(entries.find(|e| e.name == recipe::PATH));
                }
            }
            // Whether these are the bytes that the tree names is asked at the end: the tree may come later.
            Kind::Blob if size <= recipe::LIMIT as u64 && blob.is_none() => {
                let bytes = content(objects, size)?;
                blob = Some(bytes).filter(|bytes| Digest::of(bytes) == dossier.recipe);
            }
            _ => skip(objects, size)?,
        }
    }
    let entry = entry.ok_or(SourceError::Content("the commit's tree is missing"))?;
    let entry = entry.ok_or(SourceError::Content("the source has no recipe"))?;
    let blob = blob.ok_or(SourceError::Content("no file has the recipe's digest"))?;
    let file = matches!(entry.kind, EntryKind::File | EntryKind::Executable);
    if !file || git::object_id(&commit.tree, Kind::Blob, &blob) != entry.id {
        return Err(SourceError::Content("the recipe that the dossier names is not the one in the source"));
    }
    Ok(blob)
}

fn content(objects: &mut impl BufRead, size: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    objects.take(size).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn skip(objects: &mut impl BufRead, size: u64) -> io::Result<()> {
    let skipped = io::copy(&mut objects.take(size), &mut io::sink())?;
    if skipped == size { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use artifact::CommitId;

    /// Objects of a commit with these files in its root: the stream, the commit and its tree.
    pub(crate) fn objects(files: &[(&str, &[u8])]) -> (Vec<u8>, CommitId, CommitId) {
        let like: CommitId = "0".repeat(40).parse().unwrap();
        let object = |kind, bytes: &[u8]| [git::header(kind, bytes.len() as u64).as_bytes(), bytes].concat();
        let mut tree = Vec::new();
        for (name, bytes) in files {
            let id = git::object_id(&like, Kind::Blob, bytes);
            tree.extend_from_slice(format!("100644 {name}\0").as_bytes());
            tree.extend_from_slice(&artifact::digest::unhex::<20>(id.as_str()).unwrap());
        }
        let root = git::object_id(&like, Kind::Tree, &tree);
        let commit = format!("tree {root}\nauthor A <a> 5 +0000\ncommitter A <a> 5 +0000\n\nwords\n");
        let id = git::object_id(&like, Kind::Commit, commit.as_bytes());
        let mut stream = object(Kind::Commit, commit.as_bytes());
        stream.extend(files.iter().flat_map(|(_, bytes)| object(Kind::Blob, bytes)));
        stream.extend(object(Kind::Tree, &tree));
        (stream, id, root)
    }

    /// A dossier around a stream.
    pub(crate) fn dossier(store: &Layout, files: &[(&str, &[u8])], recipe: &[u8]) -> Dossier {
        let (stream, commit, tree) = objects(files);
        Dossier {
            lane: artifact::lane::LaneName::Public,
            project: "tool".parse().unwrap(),
            source: "https://git.example/tool.git".into(),
            commit,
            tree,
            source_date: 5,
            objects: store.put(artifact::dossier::OBJECTS, &stream).unwrap(),
            submodules: Vec::new(),
            recipe: Digest::of(recipe),
            bases: Vec::new(),
            evidence: Vec::new(),
        }
    }

    #[test]
    fn the_recipe_is_the_one_in_the_tree() {
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        let files: [(&str, &[u8]); 3] = [(".countersign.toml", b"right"), ("a", b"wrong"), ("b", &[7; 70_000])];
        let right = dossier(&store, &files, b"right");
        assert_eq!(recipe(&store, &right).unwrap(), b"right");
        assert!(recipe(&store, &dossier(&store, &files, b"wrong")).is_err());
        assert!(recipe(&store, &dossier(&store, &files, b"nowhere")).is_err());
        assert!(recipe(&store, &dossier(&store, &files[1..], b"wrong")).is_err());
        assert!(recipe(&store, &Dossier { source_date: 6, ..right.clone() }).is_err());
        std::fs::write(store.path(&right.objects.digest), b"").unwrap();
        assert!(recipe(&store, &right).is_err());
    }
}

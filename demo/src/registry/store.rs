//! What a registry holds: each repository is an OCI layout in a folder of its own, so that stock tools can look into it
//! when the registry is gone.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use artifact::layout::{self, Layout};
use artifact::oci::{Descriptor, Index};
use artifact::{Digest, durable, json};

/// Everything in one registry.
#[derive(Debug)]
pub(super) struct Store {
    folder: PathBuf,
    repositories: BTreeMap<String, Repository>,
}

#[derive(Debug, Default)]
struct Repository {
    manifests: BTreeMap<Digest, Descriptor>,
    tags: BTreeMap<String, Digest>,
}

/// Why a manifest was not taken.
#[derive(Debug)]
pub(super) enum Refused {
    /// It is no manifest.
    Invalid(String),
    /// It speaks of content that is not there.
    Unknown(String),
    /// The file system said no.
    Io(io::Error),
}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Store {
    /// Opens what is in a folder, and makes it when it is not there.
    pub fn open(folder: &Path) -> io::Result<Self> {
        durable::create_folder(&folder.join("uploads"))?;
        let mut store = Self { folder: folder.to_owned(), repositories: BTreeMap::new() };
        let top = store.top();
        durable::create_folder(&top)?;
        store.load(&top, "")?;
        Ok(store)
    }

    /// Where repositories lie.
    fn top(&self) -> PathBuf {
        self.folder.join("repositories")
    }

    fn load(&mut self, folder: &Path, name: &str) -> io::Result<()> {
        if folder.join("oci-layout").is_file() {
            let index = Layout::open(folder).index().map_err(io::Error::other)?;
            let repository = self.repositories.entry(name.to_owned()).or_default();
            for mut listed in index.manifests {
                if let Some(tag) = listed.annotations.remove(layout::REF_NAME) {
                    repository.tags.insert(tag, listed.digest);
                }
                repository.manifests.insert(listed.digest, listed);
            }
            return Ok(());
        }
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let part = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type()?.is_dir() {
                let name = if name.is_empty() { part } else { format!("{name}/{part}") };
                self.load(&entry.path(), &name)?;
            }
        }
        Ok(())
    }

    /// The layout of a repository.
    pub fn layout(&self, name: &str) -> PathBuf {
        self.top().join(name)
    }

    /// Where a blob is, or would be.
    pub fn blob(&self, name: &str, digest: &Digest) -> PathBuf {
        Layout::open(self.layout(name)).path(digest)
    }

    /// Where an upload's bytes are until they have a digest.
    pub fn upload(&self, id: &str) -> PathBuf {
        self.folder.join("uploads").join(id)
    }

    /// Gives a finished upload its name.
    pub fn keep_blob(&self, name: &str, upload: &Path, digest: &Digest) -> io::Result<()> {
        Layout::create(self.layout(name)).map_err(io::Error::other)?;
        fs::rename(upload, self.blob(name, digest))
    }

    /// Keeps a manifest, under a tag when there is one.
    pub fn put(&mut self, name: &str, media: &str, bytes: &[u8], tag: Option<&str>) -> Result<Digest, Refused> {
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| Refused::Invalid(e.to_string()))?;
        self.check(name, &value)?;
        let layout = Layout::create(self.layout(name)).map_err(io::Error::other)?;
        let mut descriptor = layout.put(media, bytes).map_err(io::Error::other)?;
        let kind = value.get("artifactType").or_else(|| value.pointer("/config/mediaType"));
        descriptor.artifact_type = kind.and_then(|k| k.as_str()).map(str::to_owned);
        let digest = descriptor.digest;
        let repository = self.repositories.entry(name.to_owned()).or_default();
        repository.manifests.insert(digest, descriptor);
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest);
        }
        self.write_index(name)?;
        Ok(digest)
    }

    /// Everything a manifest speaks of must be there, but for its subject.
    fn check(&self, name: &str, manifest: &serde_json::Value) -> Result<(), Refused> {
        let list = |key: &str| manifest.get(key).and_then(|l| l.as_array()).into_iter().flatten();
        let digest = |d: &serde_json::Value| d.get("digest").and_then(|d| d.as_str()).map(str::parse::<Digest>);
        for blob in manifest.get("config").into_iter().chain(list("layers")) {
            match digest(blob) {
                Some(Ok(digest)) if self.blob(name, &digest).is_file() => {}
                Some(Ok(digest)) => return Err(Refused::Unknown(digest.to_string())),
                _ => return Err(Refused::Invalid(format!("a descriptor without a sha256 digest: {blob}"))),
            }
        }
        for listed in list("manifests") {
            match digest(listed) {
                Some(Ok(digest)) if self.find(name, &digest.to_string()).is_some() => {}
                _ => return Err(Refused::Unknown(listed.to_string())),
            }
        }
        Ok(())
    }

    /// Finds a manifest by its tag or its digest.
    pub fn find(&self, name: &str, reference: &str) -> Option<&Descriptor> {
        let repository = self.repositories.get(name)?;
        let digest = reference.parse().ok().or_else(|| repository.tags.get(reference).copied())?;
        repository.manifests.get(&digest)
    }

    /// The tags of a repository and what they name. `None`: there is no such repository.
    pub fn tags(&self, name: &str) -> Option<&BTreeMap<String, Digest>> {
        self.repositories.get(name).map(|r| &r.tags)
    }

    /// The names of all repositories.
    pub fn names(&self) -> Vec<String> {
        self.repositories.keys().cloned().collect()
    }

    /// The manifests whose subject is this one, with their annotations.
    pub fn referrers(&self, name: &str, subject: &Digest) -> io::Result<Vec<Descriptor>> {
        let mut found = Vec::new();
        for descriptor in self.repositories.get(name).into_iter().flat_map(|r| r.manifests.values()) {
            let bytes = fs::read(self.blob(name, &descriptor.digest))?;
            let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(&bytes) else { continue };
            let speaks_of = manifest.pointer("/subject/digest").and_then(|d| d.as_str());
            if speaks_of != Some(subject.to_string().as_str()) {
                continue;
            }
            let mut descriptor = descriptor.clone();
            let words = manifest.get("annotations").and_then(|a| a.as_object()).into_iter().flatten();
            descriptor.annotations = words.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
            found.push(descriptor);
        }
        Ok(found)
    }

    /// Lets a tag name another manifest of the repository, or none: a registry that was broken into.
    pub fn set_tag(&mut self, name: &str, tag: &str, digest: Option<Digest>) -> io::Result<()> {
        let repository = self.repositories.entry(name.to_owned()).or_default();
        match digest {
            Some(digest) => repository.tags.insert(tag.to_owned(), digest),
            None => repository.tags.remove(tag),
        };
        self.write_index(name)
    }

    /// Takes an image from a layout, with hard links where that can be.
    pub fn import(&mut self, name: &str, tag: &str, from: &Layout, image: &Descriptor) -> Result<Digest, Refused> {
        let to = Layout::create(self.layout(name)).map_err(io::Error::other)?;
        let bytes = from.read(image, artifact::oci::MANIFEST_LIMIT).map_err(io::Error::other)?;
        let manifest = artifact::oci::Manifest::parse(&bytes).map_err(|e| Refused::Invalid(e.to_string()))?;
        for blob in std::iter::once(&manifest.config).chain(&manifest.layers) {
            let (source, target) = (from.path(&blob.digest), to.path(&blob.digest));
            if !target.exists() && fs::hard_link(&source, &target).is_err() {
                let part = self.upload(&format!("import-{}", blob.digest.hex()));
                io::copy(&mut File::open(&source)?, &mut File::create(&part)?)?;
                fs::rename(&part, &target)?;
            }
        }
        self.put(name, &image.media_type, &bytes, Some(tag))
    }

    fn write_index(&self, name: &str) -> io::Result<()> {
        let Some(repository) = self.repositories.get(name) else { return Ok(()) };
        let tagged = repository.tags.iter().filter_map(|(tag, digest)| {
            Some(repository.manifests.get(digest)?.clone().annotated(layout::REF_NAME, tag))
        });
        let untagged = repository.manifests.values().filter(|m| !repository.tags.values().any(|d| *d == m.digest));
        let index = Index::of(tagged.chain(untagged.cloned()).collect());
        let bytes = json::canonical("index", &index).map_err(io::Error::other)?;
        durable::replace(&self.layout(name).join("index.json"), &bytes, 0o644)
    }
}

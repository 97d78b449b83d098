//! Images: made of a packed layer, from nothing or on top of a base, and opened again.

use artifact::dossier::Base;
use artifact::json;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Descriptor, ImageConfig, Manifest, OciError, Platform, RootFs, RuntimeConfig};
use artifact::recipe;
use artifact::{Digest, Moment};

use crate::archive::Budget;
use crate::flatten::{FlattenError, flatten};
use crate::pack::Packed;
use crate::tree::{Scratch, Tree};

/// An image whose documents were read. Its layers are checked when they are flattened.
#[derive(Debug, Clone)]
pub struct Image {
    /// What names it.
    pub digest: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// Its configuration.
    pub config: ImageConfig,
}

impl Image {
    /// Opens an image of a store by its manifest.
    ///
    /// # Errors
    /// Missing, other bytes, not an image, or not one digest before compression for each layer.
    pub fn open(store: &Layout, digest: &Digest) -> Result<Self, LayoutError> {
        let manifest = Manifest::parse(&store.read_digest(digest, oci::MANIFEST_LIMIT)?)?;
        let known = [oci::CONFIG, oci::DOCKER_CONFIG].contains(&manifest.config.media_type.as_str());
        if !known || manifest.artifact_type.is_some() {
            return Err(fault("an artifact of another kind").into());
        }
        let config = ImageConfig::parse(&store.read(&manifest.config, oci::CONFIG_LIMIT)?)?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(fault("its manifest and its configuration name different numbers of layers").into());
        }
        Ok(Self { digest: *digest, manifest, config })
    }

    /// Flattens its layers; every digest, before and after compression, is checked.
    ///
    /// # Errors
    /// As [`flatten`].
    pub fn tree(&self, store: &Layout, scratch: &Scratch) -> Result<Tree, FlattenError> {
        self.tree_within(store, scratch, Budget::default())
    }

    /// As [`Image::tree`], with limits of its own.
    ///
    /// # Errors
    /// As [`flatten`].
    pub fn tree_within(&self, store: &Layout, scratch: &Scratch, budget: Budget) -> Result<Tree, FlattenError> {
        let layers = self.manifest.layers.iter().zip(self.config.rootfs.diff_ids.iter().map(Some));
        flatten(store, layers, scratch, budget)
    }

    /// What it runs on.
    pub fn platform(&self) -> Platform {
        let ImageConfig { architecture, os, variant, .. } = self.config.clone();
        Platform { architecture, os, variant }
    }
}

/// Opens a base that a dossier holds, and makes sure that it is the pinned one.
///
/// # Errors
/// As [`Image::open`], or parts that are another image's.
pub fn open_base(dossiers: &Layout, base: &Base) -> Result<Image, LayoutError> {
    base.check(dossiers)?;
    Image::open(dossiers, &base.manifest.digest)
}

/// What an image is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The base and the store that holds its layers; none for an image from nothing.
    pub base: Option<(&'a Image, &'a Layout)>,
    /// What it runs on, when there is no base to say so.
    pub platform: Platform,
    /// The layer.
    pub packed: &'a Packed,
    /// What the recipe says of the image.
    pub recipe: &'a recipe::Image,
    /// Seconds since 1970.
    pub source_date: i64,
}

/// Writes an image into the store that holds its packed layer already. The layers of the base are copied there, so
/// that the image is whole.
///
/// # Errors
/// A layer of the base that is not what its manifest names, a source date outside the years 1970 to 9999, or as the
/// store says.
pub fn assemble(parts: &Parts<'_>, store: &Layout) -> Result<Descriptor, LayoutError> {
    let mut layers = Vec::new();
    let mut diff_ids = Vec::new();
    if let Some((base, from)) = parts.base {
        for layer in &base.manifest.layers {
            copy(from, layer, store)?;
            let media_type = if layer.media_type == oci::DOCKER_LAYER { oci::LAYER_GZIP } else { &layer.media_type };
            layers.push(Descriptor::new(media_type, layer.digest, layer.size));
        }
        diff_ids.clone_from(&base.config.rootfs.diff_ids);
    }
    layers.push(parts.packed.layer.clone());
    diff_ids.push(parts.packed.diff_id);
    let platform = parts.base.map_or_else(|| parts.platform.clone(), |(base, _)| base.platform());
    let created = Moment::from_unix(parts.source_date).ok_or_else(|| fault("the source date is no date"))?;
    let config = ImageConfig {
        created: Some(created.to_string()),
        architecture: platform.architecture,
        os: platform.os,
        variant: platform.variant,
        config: runtime(parts.base.map(|(base, _)| &base.config.config), parts.recipe),
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids },
        history: Vec::new(),
    };
    let manifest = Manifest {
        schema_version: 2,
        media_type: oci::MANIFEST.to_owned(),
        artifact_type: None,
        config: store.put(oci::CONFIG, &json::canonical("image configuration", &config)?)?,
        layers,
        subject: None,
        annotations: Default::default(),
    };
    store.put(oci::MANIFEST, &json::canonical("image manifest", &manifest)?)
}

/// The base's configuration with what the recipe says laid over it. As everywhere, arguments belong to a program:
/// a new entrypoint drops the base's arguments.
fn runtime(base: Option<&RuntimeConfig>, recipe: &recipe::Image) -> RuntimeConfig {
    let mut config = base.cloned().unwrap_or_default();
    if !recipe.entrypoint.is_empty() {
        config.entrypoint.clone_from(&recipe.entrypoint);
        config.cmd.clear();
    }
    if !recipe.cmd.is_empty() {
        config.cmd.clone_from(&recipe.cmd);
    }
    for (ours, theirs) in [(&recipe.user, &mut config.user), (&recipe.working_dir, &mut config.working_dir)] {
        if !ours.is_empty() {
            theirs.clone_from(ours);
        }
    }
    for variable in &recipe.env {
        let name = |v: &str| v.split('=').next().unwrap_or_default().to_owned();
        match config.env.iter_mut().find(|v| name(v) == name(variable)) {
            Some(place) => place.clone_from(variable),
            None => config.env.push(variable.clone()),
        }
    }
    config.labels.extend(recipe.labels.clone());
    config
}

fn copy(from: &Layout, blob: &Descriptor, to: &Layout) -> Result<(), LayoutError> {
    // What is there is looked at: one spoilt layer of a base would refuse every commit on it.
    if to.has(&blob.digest) && to.stream(blob).and_then(|there| there.finish()).is_ok() {
        return Ok(());
    }
    let mut writer = to.writer()?;
    std::io::copy(&mut from.stream(blob)?, &mut writer)
        .map_err(|cause| LayoutError::Io { path: from.path(&blob.digest), cause })?;
    writer.finish_as(blob)
}

fn fault(why: &str) -> OciError {
    OciError::Shape { what: "image", why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::pack;
    use crate::tree::{Kind, Node};

    #[test]
    fn an_image_from_nothing_and_one_on_top_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path().join("scratch")).unwrap();
        let store = Layout::create(folder.path().join("a")).unwrap();
        let other = Layout::create(folder.path().join("b")).unwrap();
        let file = |text: &str| Node { kind: Kind::File(scratch.put(text.as_bytes()).unwrap()), ..Node::implied() };
        let platform = Platform { architecture: "amd64".into(), os: "linux".into(), variant: None };
        let recipe = recipe::Image {
            entrypoint: vec!["/a".into()],
            cmd: vec!["x".into()],
            env: vec!["A=1".into(), "B=1".into()],
            ..recipe::Image::default()
        };
        let below = Tree::from([(b"a".to_vec(), file("one")), (b"b".to_vec(), file("two"))]);
        let packed = pack(&below, &scratch, 5, 1, &store).unwrap();
        let parts = Parts { base: None, platform: platform.clone(), packed: &packed, recipe: &recipe, source_date: 5 };
        let made = assemble(&parts, &store).unwrap();
        assert_eq!(made, assemble(&parts, &store).unwrap());
        let base = Image::open(&store, &made.digest).unwrap();
        assert_eq!(base.config.created.as_deref(), Some("1970-01-01T00:00:05Z"));
        assert_eq!(base.tree(&store, &scratch).unwrap(), below);

        let recipe = recipe::Image {
            entrypoint: vec!["/b".into()],
            env: vec!["A=2".into(), "C=1".into()],
            ..recipe::Image::default()
        };
        let packed = pack(&Tree::from([(b"a".to_vec(), file("new"))]), &scratch, 5, 1, &other).unwrap();
        let parts = Parts { base: Some((&base, &store)), platform, packed: &packed, recipe: &recipe, source_date: 5 };
        let made = assemble(&parts, &other).unwrap();
        let image = Image::open(&other, &made.digest).unwrap();
        assert_eq!(image.config.config.env, ["A=2", "B=1", "C=1"]);
        assert!(image.config.config.cmd.is_empty());
        assert_eq!(image.manifest.layers.len(), 2);
        // A layer of the base that was spoilt meanwhile is laid down anew.
        std::fs::write(other.path(&base.manifest.layers[0].digest), "spoilt").unwrap();
        assert_eq!(assemble(&parts, &other).unwrap(), made);
        let tree = image.tree(&other, &scratch).unwrap();
        assert_eq!(tree[&b"a"[..]], file("new"));
        assert_eq!(tree[&b"b"[..]], file("two"));
    }
}

//! The folder: the OCI layout, and beside it what the other side verifies by.

use std::io;
use std::path::Path;

use artifact::failure::Failure;
use artifact::key::PublicKey;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Descriptor, Index};
use artifact::{Digest, attached, durable};
use audit::config::KeeperConfig;
use audit::entry::Release;
use audit::reader::Content;

use super::attached::{Everything, Layer};
use super::image::{self, Image};
use super::{Read, unwritten};
use crate::cli::Places;
use crate::status::Status;
use crate::trust;

/// The folder beside the blobs with keys and proofs.
pub(super) const BESIDE: &str = "countersign";

/// What to read first.
pub(super) const README: &str = "README.md";

/// How cosign finds the parts in a layout (`cosign load`, `cosign verify --local-image`).
const KIND: &str = "kind";
const KIND_IMAGE: &str = "dev.cosignproject.cosign/image";
const KIND_INDEX: &str = "dev.cosignproject.cosign/imageIndex";
const KIND_SIGNATURES: &str = "dev.cosignproject.cosign/sigs";
/// Without it `cosign load` of 3.1 goes on to the bundles, puts their manifests before their blobs, and is refused.
const KIND_ATTESTATIONS: &str = "dev.cosignproject.cosign/atts";

/// Writes the layout, and gives the names that a copying tool carries, the image's own last.
pub(super) fn layout(
    folder: &Path,
    store: &Layout,
    release: &Release,
    image: &Image,
    everything: &Everything,
) -> Result<Vec<String>, Failure> {
    let written = |e: LayoutError| match e {
        LayoutError::Io { path, cause } => unwritten(&path, &cause),
        other => Failure::halt("export-broken", other),
    };
    let layout = Layout::create(folder).map_err(written)?;
    for blob in image.blobs.values().chain(image.documents.values()) {
        copy(store, &layout, blob).map_err(|copied| match copied {
            Copied::Unread(e) => image::unread(store, release, &e),
            Copied::Unwritten(e) => written(e),
        })?;
    }
    let mut names = Vec::new();
    for subject in image.documents.keys() {
        let root = *subject == image.root.digest;
        put_attached(&layout, subject, root, everything, &mut names).map_err(written)?;
    }
    for (number, tag) in release.tags.iter().enumerate() {
        let kind = if image.root.media_type == oci::INDEX { KIND_INDEX } else { KIND_IMAGE };
        let named = if number == 0 { image.root.clone().annotated(KIND, kind) } else { image.root.clone() };
        layout.tag(&named, tag.as_str()).map_err(written)?;
        names.push(tag.to_string());
    }
    Ok(names)
}

/// Why a blob was not copied.
enum Copied {
    Unread(LayoutError),
    Unwritten(LayoutError),
}

fn copy(from: &Layout, to: &Layout, blob: &Descriptor) -> Result<(), Copied> {
    let mut reader = from.stream(blob).map_err(Copied::Unread)?;
    let mut writer = to.writer().map_err(Copied::Unwritten)?;
    let failed = |cause| Copied::Unwritten(LayoutError::Io { path: to.path(&blob.digest), cause });
    io::copy(&mut reader, &mut writer).map_err(failed)?;
    // What was read counts only now: what is not the right blob is never kept.
    reader.finish().map_err(Copied::Unread)?;
    writer.finish_as(blob).map_err(Copied::Unwritten)
}

/// What hangs on one manifest: each bundle under a name of its own, all of them as the fallback tag's index, and the legacy
/// tags. No tool that copies by name leaves something out that way.
fn put_attached(
    layout: &Layout,
    subject: &Digest,
    root: bool,
    everything: &Everything,
    names: &mut Vec<String>,
) -> Result<(), LayoutError> {
    let bundles: Vec<_> = everything.bundles.iter().filter(|b| b.subject == *subject).collect();
    let mut listed = Vec::new();
    for (number, bundle) in bundles.iter().enumerate() {
        layout.put(oci::EMPTY, attached::EMPTY)?;
        layout.put(attached::BUNDLE, &bundle.bundle)?;
        layout.put(oci::MANIFEST, &bundle.manifest)?;
        layout.tag(&bundle.listed, &attached::legacy_tag(subject, &format!("bundle-{number}")))?;
        listed.push(bundle.listed.clone());
    }
    if !listed.is_empty() {
        let index = artifact::json::canonical("index", &Index::of(listed))?;
        let index = layout.put(oci::INDEX, &index)?;
        let name = attached::fallback_tag(subject);
        layout.tag(&index, &name)?;
        names.push(name);
    }
    let legacy =
        [("sig", KIND_SIGNATURES, &everything.signatures), ("att", KIND_ATTESTATIONS, &everything.attestations)];
    for (suffix, kind, layers) in legacy {
        let layers: Vec<&Layer> = layers.iter().filter(|l| l.subject == *subject).collect();
        if layers.is_empty() {
            continue;
        }
        let descriptors: Vec<Descriptor> = layers.iter().map(|l| l.descriptor.clone()).collect();
        let (manifest, config) = attached::legacy(&descriptors)?;
        for bytes in layers.iter().map(|l| &l.bytes).chain([&config]) {
            layout.put("", bytes)?;
        }
        let mut named = layout.put(oci::MANIFEST, &manifest)?;
        if root {
            named = named.annotated(KIND, kind);
        }
        let name = attached::legacy_tag(subject, suffix);
        layout.tag(&named, &name)?;
        names.push(name);
    }
    Ok(())
}

/// Writes what is no part of the image: public keys, the trusted root, the log's newest checkpoint, the release's entry with its
/// proof; and what to read first.
pub(super) fn beside(
    folder: &Path,
    places: &Places,
    read: &Read,
    index: u64,
    release: &Release,
) -> Result<(), Failure> {
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        durable::create_folder(folder)
            .and_then(|()| durable::replace(&path, bytes, 0o644))
            .map_err(|e| unwritten(&path, &e))
    };
    let mut trusted = trust::trust_toml(&read.keys, &places.config)?;
    if let Some(policy) = log_policy(read, &places.config)? {
        put("log.policy", policy.as_bytes())?;
        trusted =
            format!("# Whose cosignatures the log's checkpoint must carry.\nlog_policy = \"log.policy\"\n{trusted}");
    }
    put("trust.toml", trusted.as_bytes())?;
    let key = image_key(read, index);
    put("image.pub", key.to_string().as_bytes())?;
    put("trusted_root.json", trust::trusted_root_text(&read.keys.log)?.as_bytes())?;
    put("checkpoint", read.log.checkpoint().note().as_bytes())?;
    let entry = usize::try_from(index).ok().and_then(|at| read.entries.get(at));
    let Some(Content::Ours { bytes, salt, .. }) = entry.map(|e| &e.content) else {
        return Err(Failure::halt("export-differs", format!("entry {index} is no release")));
    };
    put("release.entry", &[&salt.raw()[..], bytes].concat())?;
    put("release.tlog-proof", read.log.prover().prove(index)?.to_string().as_bytes())?;
    let readme = readme(read, release, key);
    let path = folder.with_file_name(README);
    durable::replace(&path, readme.as_bytes(), 0o644).map_err(|e| unwritten(&path, &e))
}

/// The witnesses that the keeper asks for, as a file for verifiers: it names the log as well.
fn log_policy(read: &Read, config: &Path) -> Result<Option<String>, Failure> {
    #[derive(serde::Deserialize)]
    struct Written {
        policy: Option<String>,
    }
    let path = config.join("keeper.toml");
    let usage = |e: &dyn std::fmt::Display| Failure::never(Status::USAGE, format!("{}: {e}", path.display()));
    let text = std::fs::read_to_string(&path).map_err(|e| usage(&e))?;
    // Read as the keeper does, so that no file is handed out that it would not take.
    KeeperConfig::parse(&text).map_err(|e| usage(&e))?;
    let written: Written = toml::from_str(&text).map_err(|e| usage(&e))?;
    let lists_the_log = |policy: &str| policy.lines().any(|line| line.starts_with("log "));
    Ok(written.policy.map(|policy| match lists_the_log(&policy) {
        true => policy,
        false => format!("log {}\n{policy}", read.keys.log),
    }))
}

/// The image key that was in force when the release was recorded there.
fn image_key(read: &Read, index: u64) -> &PublicKey {
    read.keys.image.at(index).map_or(read.keys.image.current(), |one| one.key)
}

fn readme(read: &Read, release: &Release, key: &PublicKey) -> String {
    let tags: Vec<String> = release.tags.iter().map(ToString::to_string).collect();
    include_str!("README.md")
        .replace("{{repository}}", release.repository.as_str())
        .replace("{{digest}}", &release.digest.to_string())
        .replace("{{hex}}", &release.digest.hex())
        .replace("{{tags}}", &tags.join(" "))
        .replace("{{tag}}", tags.first().map_or("", String::as_str))
        .replace("{{image-key}}", &key.id().to_string())
        .replace("{{log-key}}", &read.keys.log.to_string())
}

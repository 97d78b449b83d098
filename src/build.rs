//! `countersign build`: the recipe, outside the perimeter. The same rooms run it, on a house made for the occasion; so the
//! candidate that CI leaves has the bytes that the perimeter will find again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use artifact::digest::CommitId;
use artifact::layout::{Layout, LayoutError};
use artifact::oci::{self, Manifest, OciError};
use artifact::recipe::{self, Recipe};
use artifact::{Digest, durable, json};
use serde::{Deserialize, Serialize};

use crate::cli::Build;
use crate::config::Config;
use crate::launch;

/// The project's name in a house that is made for one build.
pub const PROJECT: &str = "build";

/// The largest layer that is copied out, in bytes: as large as the sandbox's output can be.
const LAYER_LIMIT: u64 = 64 << 30;

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Product {
    /// The commit.
    pub commit: CommitId,
    /// The image's manifest.
    pub digest: Digest,
    /// Whether two runs of the recipe left the same tree.
    pub deterministic: bool,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The command line can't be meant. Exit status 2.
    #[error("{0}")]
    Usage(String),
    /// Something on this host failed.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The house failed; its own lines say why.
    #[error("no image was built")]
    House(u8),
    /// The image can't be read back.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The image can't be read back.
    #[error(transparent)]
    Oci(#[from] OciError),
}

/// A folder that goes when it is dropped.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        // A killed build leaves it behind; its name says what it is.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Builds a commit and leaves the image as an OCI layout.
///
/// # Errors
/// As [`BuildError`].
pub fn build(args: &Build) -> Result<Product, BuildError> {
    let io = |what: String| move |cause| BuildError::Io { what, cause };
    let source = std::fs::canonicalize(&args.dir).map_err(io(args.dir.display().to_string()))?;
    if args.output.exists() {
        return Err(BuildError::Usage(format!("{} is there already: name a new folder", args.output.display())));
    }
    let parent = args.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let parent = std::fs::canonicalize(parent).map_err(io(parent.display().to_string()))?;
    let scratch = Scratch(parent.join(format!(".countersign-build-{}", std::process::id())));
    let (config, state) = (scratch.0.join("config"), scratch.0.join("state"));
    write_configuration(args, &source, &config).map_err(io(config.display().to_string()))?;
    let loaded = Config::load(&config).map_err(|e| BuildError::Usage(e.to_string()))?;
    let mut command = launch::launcher(&loaded, &config, &state).map_err(io("the launcher".into()))?;
    command.args(["--", "build"]).arg(&source).args(args.commit.iter().map(CommitId::as_str));
    let ran = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(io("the launcher".into()))?;
    if !ran.status.success() {
        return Err(BuildError::House(ran.status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(3)));
    }
    let product: Product = json::parse_foreign("product", ran.stdout.trim_ascii_end())
        .map_err(|e| BuildError::Io { what: "the coordinator's answer".into(), cause: std::io::Error::other(e) })?;
    copy_image(&Layout::open(state.join("public/compare/out")), &product, &args.output)?;
    Ok(product)
}

/// A configuration for one build: nothing is promoted with it.
fn write_configuration(args: &Build, source: &Path, config: &Path) -> std::io::Result<()> {
    durable::create_folder(config)?;
    let write = |name: &str, text: String| durable::replace(&config.join(name), text.as_bytes(), 0o644);
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let source = source.to_string_lossy().into_owned();
    write("countersign.toml", format!("version = 1\n[expose]\nintake = [{}]\n", quoted(&source)))?;
    let mut intake = String::new();
    for host in registries(args) {
        let plain = if args.registry_plain_http.contains(&host) { "plain_http = true\n" } else { "" };
        intake.push_str(&format!("[registry.{}]\n{plain}", quoted(&host)));
    }
    write("intake.toml", intake)?;
    let accept: Vec<String> = args.accept_runtime.iter().map(|a| quoted(a)).collect();
    let runtime = quoted(&args.runtime);
    write("builder.toml", format!("runtime = {runtime}\naccept = [{}]\nname = \"outside\"\n", accept.join(", ")))?;
    write("compare.toml", "builder_id = \"urn:countersign:outside\"\nbuilder = \"outside\"\n".to_owned())
}

/// The registries that the recipe's bases lie in, by the work tree's copy of the recipe: a hint for the list of hosts.
/// Intake reads the committed recipe, and refuses a host that is not on the list.
fn registries(args: &Build) -> BTreeSet<String> {
    let mut hosts: BTreeSet<String> = args.registry_plain_http.iter().cloned().collect();
    let recipe = std::fs::read(args.dir.join(recipe::PATH)).ok().and_then(|bytes| Recipe::parse(&bytes).ok());
    if let Some(recipe) = recipe {
        hosts.extend(recipe.bases().iter().map(|b| b.repository.registry().to_owned()));
    }
    hosts
}

/// Copies one image out of the house's store; every byte is hashed on the way.
fn copy_image(from: &Layout, product: &Product, output: &Path) -> Result<(), BuildError> {
    let manifest = from.read_digest(&product.digest, oci::MANIFEST_LIMIT)?;
    let parsed = Manifest::parse(&manifest)?;
    let to = Layout::create(output)?;
    for blob in std::iter::once(&parsed.config).chain(&parsed.layers) {
        if blob.size > LAYER_LIMIT {
            return Err(LayoutError::TooLarge { digest: blob.digest, size: blob.size, limit: LAYER_LIMIT }.into());
        }
        let mut reader = from.stream(blob)?;
        let mut writer = to.writer()?;
        let what = || format!("copying {}", blob.digest);
        std::io::copy(&mut reader, &mut writer).map_err(|cause| BuildError::Io { what: what(), cause })?;
        reader.finish()?;
        writer.finish()?;
    }
    let sealed = to.put(oci::MANIFEST, &manifest)?;
    to.tag(&sealed, product.commit.as_str())?;
    Ok(())
}

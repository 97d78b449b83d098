//! Recipes: `.countersign.toml` in the source tree says how the tree is built. Reviewed like any code.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::shortened;
use crate::name::Pinned;
use crate::settings::{self, SettingsError};

/// Where a recipe stands in the source tree.
pub const PATH: &str = ".countersign.toml";

/// The most bytes of a recipe.
pub const LIMIT: usize = 64 << 10;

/// Where the source tree is in the sandbox, in the first run.
pub const SOURCE: &str = "/build/source";

/// Where a recipe leaves what is to be packed, in the sandbox; `$OUT` there.
pub const OUT: &str = "/out";

/// Why a recipe was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// More bytes than [`LIMIT`].
    #[error("{PATH} has {0} bytes, and the limit is {LIMIT}")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("{PATH} is not UTF-8")]
    NotUtf8,
    /// Not a recipe. The text names line and column.
    #[error("{PATH}: {0}")]
    Toml(#[from] SettingsError),
    /// A recipe that says something impossible.
    #[error("{PATH}: {0}")]
    Content(String),
}

/// A recipe of the kind `steps`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// 1.
    pub version: u32,
    /// The image the steps run in, by digest. It must be on the operator's list.
    pub base: Pinned,
    /// Commands for `/bin/sh -e`, one after another, in the source tree. What they leave in `$OUT` is packed.
    pub steps: Vec<String>,
    /// The steps' environment, beside what the sandbox sets.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// The image that is made.
    #[serde(default)]
    pub image: Image,
}

/// The image that is made of what the steps left.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The image it stands on, by digest; none for an image from nothing. It must be on the operator's list.
    #[serde(default)]
    pub base: Option<Pinned>,
    /// The program.
    #[serde(default)]
    pub entrypoint: Vec<String>,
    /// Its arguments.
    #[serde(default)]
    pub cmd: Vec<String>,
    /// Its environment, `NAME=value`, beside the base's.
    #[serde(default)]
    pub env: Vec<String>,
    /// `user[:group]`.
    #[serde(default)]
    pub user: String,
    /// Where it starts.
    #[serde(default)]
    pub working_dir: String,
    /// Words about it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

impl Recipe {
    /// Reads a recipe.
    ///
    /// # Errors
    /// Too large, not TOML, an unknown field, another version, no steps.
    pub fn parse(bytes: &[u8]) -> Result<Self, RecipeError> {
        if bytes.len() > LIMIT {
            return Err(RecipeError::TooLarge(bytes.len()));
        }
        let recipe: Self = settings::parse(std::str::from_utf8(bytes).map_err(|_| RecipeError::NotUtf8)?)?;
        let fault = |text: &str| Err(RecipeError::Content(text.to_owned()));
        if recipe.version != 1 {
            return fault("version must be 1");
        }
        if recipe.steps.is_empty() {
            return fault("steps is empty: nothing would be built");
        }
        if recipe.steps.iter().any(|s| s.contains('\0')) {
            return fault("a step with a NUL");
        }
        let reserved = ["OUT", "SOURCE_DATE_EPOCH", "HOME", "PATH", "LANG", "LC_ALL", "TZ"];
        if let Some(name) = recipe.env.keys().find(|n| reserved.contains(&n.as_str()) || !is_variable(n)) {
            return fault(&format!("env.{:?}: not a name, or one that the sandbox sets", shortened(name)));
        }
        if recipe.env.values().chain(&recipe.image.env).any(|v| v.contains('\0')) {
            return fault("an environment value with a NUL");
        }
        Ok(recipe)
    }

    /// Every image this recipe asks for.
    pub fn bases(&self) -> Vec<&Pinned> {
        let mut bases = vec![&self.base];
        bases.extend(self.image.base.iter().filter(|b| **b != self.base));
        bases
    }
}

fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str =
        "base = \"r.example/b@sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\"\n";

    #[test]
    fn a_recipe_says_all_it_needs() {
        let text = format!("version = 1\n{BASE}steps = [\"make\"]\n[image]\nentrypoint = [\"/usr/bin/x\"]\n");
        let recipe = Recipe::parse(text.as_bytes()).unwrap();
        assert_eq!(recipe.bases().len(), 1);
    }

    #[test]
    fn a_recipe_that_says_something_else_is_refused() {
        for text in [
            "steps = [\"make\"]",
            "steps = []\nversion = 1",
            "version = 2\nsteps = [\"a\"]",
            "version = 1\nsteps = [\"a\"]\nnetwork = true",
            "version = 1\nsteps = [\"a\"]\n[env]\nOUT = \"/\"",
            "version = 1\nsteps = [\"a\"]\n[env]\n\"a b\" = \"/\"",
        ] {
            let text = format!("{BASE}{text}");
            assert!(Recipe::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Recipe::parse(b"version = 1\nbase = \"debian:12\"\nsteps = [\"a\"]").is_err());
    }
}

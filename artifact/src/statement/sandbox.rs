//! What a build ran in: stated in the comparison and in the provenance, so that rules can ask for more.

use serde::{Deserialize, Serialize};

/// The runtime and what it was found to enforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sandbox {
    /// The runtime's name: `runc`, `crun` …
    pub runtime: String,
    /// Its version, and the distribution's revision where there is one.
    pub version: String,
    /// `known-good`, `known-broken`, `unknown`.
    pub verdict: String,
    /// What is known against this version.
    pub advisories: Vec<String>,
    /// What was asked of the runtime and read back from inside.
    pub enforced: Vec<String>,
    /// What this host could not enforce.
    pub not_enforced: Vec<String>,
}

/// What two runs of a recipe were given that differed, and what came out different.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Runs {
    /// What differed between the two environments.
    pub varied: Vec<String>,
    /// What this host could not vary.
    pub not_varied: Vec<String>,
    /// Whether the same tree came out.
    pub equal: bool,
}

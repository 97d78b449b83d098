//! An embedded perimeter on loopback: registries, a git repository and an outside CI, for trying and for tests.
//!
//! This crate plays the *outside*, and it is the only one in the house that listens. The inside, which is what is
//! tried, is always the real binaries, started as a person would start them.

mod apt;
pub mod base;
pub mod cache;
pub mod command;
pub mod forge;
pub mod project;
pub mod registry;
pub mod trouble;

pub use trouble::Trouble;

//! An embedded perimeter on loopback: registries, a git repository and an outside CI, for trying and for tests.
//!
//! This crate plays the *outside*, and it is the only one in the house that listens. The inside, which is what is
//! tried, is always the real binaries, started as a person would start them.

pub mod command;
pub mod registry;
pub mod trouble;

pub use trouble::Trouble;

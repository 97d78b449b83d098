//! An embedded perimeter on loopback: registries, a git repository and an outside CI, for trying and for tests.
//!
//! This crate plays the *outside*, and it is the only one in the house that listens. The inside, which is what is
//! tried, is always the real binaries, started as a person would start them.

pub mod apt;
pub mod base;
pub mod binaries;
pub mod cache;
pub mod ci;
pub mod command;
pub mod forge;
pub mod perimeter;
pub mod project;
pub mod registry;
pub mod show;
pub mod spoil;
pub mod trouble;
pub mod vault;
pub mod wire;
pub mod world;

pub use trouble::Trouble;
pub use vault::Vault;
pub use world::{Line, World};

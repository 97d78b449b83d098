//! Pulls evidence, source, bases and candidate into a dossier, and states signed facts.
//!
//! Nothing fetched is executed: the git binary moves objects into a bare mirror and out of it again, with hooks,
//! filters and work trees out of reach; what they are worth is worked out here, from their bytes.

pub mod door;

#[cfg(feature = "room")]
mod address;
#[cfg(feature = "room")]
mod bases;
#[cfg(feature = "room")]
mod candidate;
#[cfg(feature = "room")]
pub mod config;
#[cfg(feature = "room")]
mod evidence;
#[cfg(feature = "room")]
mod folder;
#[cfg(feature = "room")]
mod git;
#[cfg(feature = "room")]
mod memory;
#[cfg(feature = "room")]
mod mirror;
#[cfg(feature = "room")]
mod objects;
#[cfg(feature = "room")]
mod orders;
#[cfg(feature = "room")]
mod prepare;
#[cfg(feature = "room")]
mod process;
#[cfg(feature = "room")]
pub mod room;
#[cfg(feature = "room")]
mod session;
#[cfg(feature = "room")]
mod source;
#[cfg(feature = "room")]
mod submodules;
#[cfg(test)]
#[cfg(feature = "room")]
mod testkit;
#[cfg(feature = "room")]
mod witness;

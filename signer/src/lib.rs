//! Recorded permit in, published release out.
//!
//! The signer trusts nobody's conclusion: it verifies what intake, comparers and people signed, decides again by its own
//! copy of the rules and its own clock, and signs only what is recorded. It opens no source, no archive, no git.

pub mod door;

#[cfg(feature = "room")]
mod attempt;
#[cfg(feature = "room")]
mod bundle;
#[cfg(feature = "room")]
pub mod config;
#[cfg(feature = "room")]
mod evidence;
#[cfg(feature = "room")]
pub mod key;
#[cfg(feature = "room")]
mod legacy;
#[cfg(feature = "room")]
mod publish;
#[cfg(feature = "room")]
pub mod sequence;
#[cfg(feature = "room")]
pub mod state;
#[cfg(feature = "room")]
mod statements;
pub mod vault;

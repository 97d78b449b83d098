//! The log: tiles, checkpoints, proofs, and the keeper that alone may write it.
//!
//! The formats are C2SP's (signed-note, tlog-checkpoint, tlog-tiles, tlog-proof, tlog-cosignature,
//! tlog-policy), so that others' tools read the log; what lies in it is ours ([`entry`], [`leaf`]) or shaped as Rekor's.
//! Whoever relies on an entry holds it as [`recorded::Recorded`], which only a proof can make.

mod ahead;
pub mod checkpoint;
pub mod clock;
pub mod config;
pub mod cosignature;
pub mod current;
pub mod door;
pub mod edge;
pub mod entry;
pub mod image_keys;
pub mod keeper;
pub mod keys;
pub mod leaf;
pub mod log_policy;
pub mod merkle;
pub mod note;
pub mod pack;
pub mod prover;
pub mod reader;
pub mod receipt;
pub mod recorded;
pub mod released;
pub mod rotation;
mod store;
mod sweep;
pub mod tile;
mod tiles;
pub mod vault_audit;
pub mod verify;

//! The vocabulary of Countersign: what every room may know, and nothing that any room does.
//!
//! Digests, names, lanes, statements and their envelopes, the OCI layout on disk and the frames that
//! rooms speak. This crate depends on no sibling, opens no socket and starts no process.

pub mod attached;
pub mod digest;
pub mod dossier;
pub mod dsse;
pub mod durable;
pub mod failure;
pub mod frame;
pub mod git;
pub mod json;
pub mod key;
pub mod lane;
pub mod layout;
pub mod moment;
pub mod name;
pub mod oci;
pub mod recipe;
pub mod regular;
pub mod settings;
pub mod statement;
pub mod words;

pub use digest::{CommitId, Digest};
pub use moment::Moment;

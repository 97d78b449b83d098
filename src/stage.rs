//! What happens at each stage of a promotion. Each ends with an entry in the log; `pipeline.rs` says which comes when.
//! Witnessing ends with none: it is about the log.

pub mod decide;
pub mod prepare;
pub mod rebuild;
pub mod resign;
pub mod rotate;
pub mod sign;
pub mod signer;
pub mod witness;

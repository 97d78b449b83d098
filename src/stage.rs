//! What happens at each stage of a promotion. Each ends with an entry in the log; `pipeline.rs` says which comes when.

pub mod decide;
pub mod prepare;
pub mod rebuild;
pub mod sign;

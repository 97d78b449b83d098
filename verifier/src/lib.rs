//! Checks images, proofs and whole logs, offline, with a trust file and nothing else of the house.
//!
//! Fails closed: what is missing, unknown or can't be read is never a pass, and what was not checked is said.

pub mod bundle;
pub mod currency;
pub mod current;
pub mod image;
pub mod log;
pub mod proof;
pub mod reference;
pub mod report;
pub mod site;
pub mod source;
pub mod trust;

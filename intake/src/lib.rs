//! Pulls evidence, source, bases and candidate into a dossier, and states signed facts.
//!
//! Nothing fetched is executed: the git binary moves objects into a bare mirror and out of it again, with hooks,
//! filters and work trees out of reach; what they are worth is worked out here, from their bytes.

pub mod door;

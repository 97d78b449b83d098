//! Checks images, proofs and whole logs, offline.

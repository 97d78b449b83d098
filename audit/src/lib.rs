//! The log: tiles, checkpoints, proofs, and the keeper that alone may write it.

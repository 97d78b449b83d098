//! Turns a recorded permit into a signed, published release.

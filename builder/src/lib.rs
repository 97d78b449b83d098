//! Two rooms: the builder runs a recipe in the sandbox, the comparer packs, compares and attests.

#[cfg(feature = "room")]
pub mod archive;
pub mod door;
#[cfg(feature = "room")]
pub mod flatten;
#[cfg(feature = "room")]
mod header;
#[cfg(feature = "room")]
pub mod tree;

//! Two rooms: the builder runs a recipe in the sandbox, the comparer packs, compares and attests.

#[cfg(feature = "room")]
pub mod archive;
pub mod builder_config;
#[cfg(feature = "room")]
pub mod compare;
#[cfg(feature = "room")]
pub mod comparer;
pub mod door;
#[cfg(feature = "room")]
pub mod dossier_source;
#[cfg(feature = "room")]
mod escape;
#[cfg(feature = "room")]
pub mod flatten;
#[cfg(feature = "room")]
mod header;
#[cfg(feature = "room")]
pub mod image;
#[cfg(feature = "room")]
pub mod pack;
#[cfg(feature = "room")]
pub mod tree;

#[cfg(feature = "room")]
pub mod attest;
#[cfg(feature = "room")]
pub mod builder_room;
#[cfg(feature = "room")]
pub mod checkout;
#[cfg(feature = "room")]
pub mod collect;
#[cfg(feature = "room")]
pub mod runs;
#[cfg(feature = "room")]
pub mod unpack;

//! Two rooms: the builder runs a recipe in the sandbox, the comparer packs, compares and attests.

pub mod door;

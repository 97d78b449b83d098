//! The launcher, the rooms' lockdown, and the sandbox's OCI bundle.
//!
//! [`room::enter`] is the first thing that a room's `main` calls; [`menu`] is what the launcher offers; [`launch`] is how
//! it starts a room.

pub mod attempt;
pub mod bundle;
mod capabilities;
mod cgroup;
mod denied;
pub mod error;
mod landlock;
pub mod launch;
mod line;
pub mod menu;
pub mod patient;
pub mod posture;
pub mod probe;
mod readback;
pub mod room;
mod seccomp;
mod sys;
mod tree;

pub use error::HardeningError;
pub use menu::Room;
pub use posture::Posture;
pub use sys::end_with_the_pipe;

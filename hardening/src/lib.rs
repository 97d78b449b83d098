//! The launcher, the rooms' lockdown, and the sandbox's OCI bundle.
//!
//! [`room::enter`] is the first thing that a room's `main` calls; [`menu`] is what the launcher offers; the
//! launcher itself is `countersign-launch`.

pub mod error;
pub mod menu;
pub mod posture;
pub mod room;
mod sys;

pub use error::HardeningError;
pub use menu::Room;
pub use posture::Posture;

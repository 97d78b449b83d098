//! Vault, or OpenBao: where the image key, what the signer remembers and the registries' logins are kept.
//!
//! Asked over our own bounded HTTP, with pinned authorities and nothing of the environment. A session is one login; its token
//! can do what [`needs`] lists and nothing else, and it is revoked when the job is over.

pub mod needs;
pub mod settings;

#[cfg(feature = "room")]
mod access;
#[cfg(feature = "room")]
mod client;
#[cfg(feature = "room")]
mod key;
#[cfg(feature = "room")]
mod kv;
#[cfg(feature = "room")]
mod login;
#[cfg(feature = "room")]
mod memory;
#[cfg(feature = "room")]
mod transit;

#[cfg(feature = "room")]
pub use key::{KvKey, KvVersions};
#[cfg(feature = "room")]
pub use login::Session;
#[cfg(feature = "room")]
pub use memory::VaultStore;
#[cfg(feature = "room")]
pub use transit::{TransitKey, TransitVersions};

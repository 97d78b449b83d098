//! One bounded client of the OCI distribution protocol, for intake, signer and verifier.
//!
//! A host that is not listed is refused before any packet. Bodies, pages and times are bounded; digests are computed
//! from what came, never believed; redirects, proxies of the environment and other certificate authorities than the
//! configured one are not followed. Everything runs on one thread. [`Witness`] is asked by the same means.

pub mod answers;
mod auth;
mod blob;
mod client;
mod error;
mod hosts;
pub mod https;
mod image;
mod manifest;
mod names;
mod paging;
mod patience;
mod referrers;
mod session;
mod source;
#[cfg(test)]
mod testkit;
mod transport;
mod upload;
mod witness;

pub use client::Client;
pub use error::{Fault, RegistryError};
pub use hosts::{Host, Hosts, HostsError, Login};
pub use image::{IMAGE_LIMIT, Pulled};
pub use manifest::Pushed;
pub use patience::Patience;
pub use referrers::Listing;
pub use upload::Sent;
pub use witness::{Added, Prefix, Witness};

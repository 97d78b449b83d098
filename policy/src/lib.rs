//! Facts and rules make a permit or a refusal.
//!
//! Pure: no I/O, no clock, no async. The coordinator decides with it first, the signer decides again with its own copy
//! of the rules and its own clock, and both must come to the same.

pub mod allowed_signers;
pub mod case;
pub mod decision;
mod judge;
pub mod order;
pub mod rules;
pub mod source;

pub use allowed_signers::AllowedSigners;
pub use case::{Attested, Case};
pub use decision::{Code, Decision, Permit, Reason, Refusal};
pub use judge::{decide, unready};
pub use order::{Order, OrderRules};
pub use rules::{ProjectRules, Rules};

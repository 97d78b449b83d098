//! Statements of our own, and the bodies of entries: one spelling each.
#![no_main]

use artifact::statement::comparison::Comparison;
use artifact::statement::facts::Facts;
use artifact::statement::provenance::Provenance;
use artifact::statement::vsa::VerificationSummary;
use artifact::statement::{Predicate, Statement};
use audit::entry::Body;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    one::<Facts>(bytes);
    one::<Comparison>(bytes);
    one::<Provenance>(bytes);
    one::<VerificationSummary>(bytes);
    match Body::parse(bytes) {
        Ok(body) => assert_eq!(body.to_bytes().unwrap(), bytes),
        Err(error) => bounded(&error),
    }
});

fn one<P: Predicate>(bytes: &[u8]) {
    match Statement::<P>::parse(bytes) {
        Ok(statement) => assert_eq!(statement.to_bytes().unwrap(), bytes),
        Err(error) => bounded(&error),
    }
}

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

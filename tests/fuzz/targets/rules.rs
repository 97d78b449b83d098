//! Rules.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::Rules;

fuzz_target!(|bytes: &[u8]| {
    match Rules::parse(bytes) {
        Ok(rules) => assert_eq!(rules.digest(), artifact::Digest::of(bytes)),
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

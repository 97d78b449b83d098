//! Allowed signers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::AllowedSigners;

fuzz_target!(|text: &str| {
    if let Err(error) = AllowedSigners::parse(text) {
        bounded(&error);
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

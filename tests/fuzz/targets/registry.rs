//! What registries say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use registry::answers;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = answers::tags(bytes) {
        bounded(&error);
    }
    if let Err(error) = answers::token(bytes) {
        bounded(&error);
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(Some(target)) = answers::next_page(text) {
        assert!(text.contains(&format!("<{target}>")) && !target.contains(char::from(62)));
    }
    if let Some(answers::Challenge::Bearer { realm, .. }) = answers::Challenge::parse(text) {
        assert!(text.contains(&realm));
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

//! Manifests, indexes and configurations: what is parsed is printed and parsed again as the same.
#![no_main]

use artifact::json;
use artifact::oci::{ImageConfig, Index, Manifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Manifest::parse(bytes) {
        // Whole numbers that a double does not hold have no spelling.
        Ok(read) => {
            if let Ok(printed) = json::canonical("manifest", &read) {
                assert_eq!(Manifest::parse(&printed).unwrap(), read);
            }
        }
        Err(error) => bounded(&error),
    }
    match Index::parse(bytes) {
        Ok(read) => {
            if let Ok(printed) = json::canonical("index", &read) {
                assert_eq!(Index::parse(&printed).unwrap(), read);
            }
        }
        Err(error) => bounded(&error),
    }
    match ImageConfig::parse(bytes) {
        Ok(read) => {
            if let Ok(printed) = json::canonical("configuration", &read) {
                let again = ImageConfig::parse(&printed).unwrap();
                assert_eq!(json::canonical("configuration", &again).unwrap(), printed);
            }
        }
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

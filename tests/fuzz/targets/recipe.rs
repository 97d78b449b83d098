//! Recipes.
#![no_main]

use artifact::recipe::Recipe;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Recipe::parse(bytes) {
        Ok(recipe) => assert!(!recipe.steps.is_empty() && !recipe.bases().is_empty()),
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

//! Names: what is taken is printed as it came.
#![no_main]

use std::fmt::Display;
use std::str::FromStr;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    name::<artifact::Digest>(text);
    name::<artifact::CommitId>(text);
    name::<artifact::Moment>(text);
    name::<artifact::name::ProjectName>(text);
    name::<artifact::name::BranchName>(text);
    name::<artifact::name::Tag>(text);
    name::<artifact::name::Repository>(text);
    name::<artifact::name::Pinned>(text);
    name::<artifact::lane::LaneName>(text);
    name::<audit::merkle::TreeHash>(text);
    if let Err(error) = text.parse::<artifact::key::PublicKey>() {
        bounded(&error);
    }
    if let Err(error) = text.parse::<verifier::reference::Reference>() {
        // It quotes what a person typed.
        assert!(!error.contains(|c: char| c.is_control()), "{error:?}");
    }
});

fn name<T: FromStr<Err: Display> + Display>(text: &str) {
    match text.parse::<T>() {
        Ok(name) => assert_eq!(name.to_string(), text),
        Err(error) => bounded(&error),
    }
}

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

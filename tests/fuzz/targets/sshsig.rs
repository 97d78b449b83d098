//! The signature in a commit object: what is changed in any way does not count.
#![no_main]

use std::sync::LazyLock;

use artifact::git::{self, Commit, Kind};
use libfuzzer_sys::fuzz_target;
use policy::AllowedSigners;
use policy::source::verify_commit;

fuzz_target!(|bytes: &[u8]| {
    static ALLOWED: LazyLock<AllowedSigners> =
        LazyLock::new(|| AllowedSigners::parse(include_str!("../../vectors/sshsig/allowed_signers")).unwrap());
    let like = "0".repeat(40).parse().unwrap();
    let Ok(commit) = Commit::parse(&git::object_id(&like, Kind::Commit, bytes), bytes) else { return };
    match verify_commit(&commit, &ALLOWED) {
        // Only what the vectors signed can be here: the text that was signed has not changed.
        Ok(said) => {
            assert!(["ann@x", "rsa@x"].contains(&said.principal.as_str()) && commit.signed.ends_with(b"\n\nword\n"))
        }
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

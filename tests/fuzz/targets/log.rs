//! The log: keys, notes, policies, checkpoints, receipts, tiles, bundles and leaves; what is current; and Sigstore bundles.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use artifact::Moment;
use audit::checkpoint::SignedCheckpoint;
use audit::current::Current;
use audit::leaf::Leaf;
use audit::log_policy::LogPolicy;
use audit::note::{Note, Vkey};
use audit::receipt::Receipt;
use audit::{pack, tile};
use libfuzzer_sys::fuzz_target;
use verifier::trust::Trust;

fuzz_target!(|bytes: &[u8]| {
    static TRUST: LazyLock<Trust> = LazyLock::new(|| {
        Trust::parse(include_str!("../../vectors/config/accepted_trust.toml"), Path::new("")).unwrap()
    });
    if let Some(entries) = tile::bundle_from_bytes(bytes, 2) {
        assert_eq!(tile::bundle_to_bytes(&entries), bytes);
    }
    if let Some(hashes) = tile::hashes_from_bytes(bytes, 2) {
        assert_eq!(tile::hashes_to_bytes(&hashes), bytes);
    }
    if let Some(slots) = pack::from_bytes(bytes) {
        assert_eq!(pack::to_bytes(&slots), bytes);
    }
    match Leaf::parse(bytes) {
        Ok(leaf) => assert_eq!(leaf.to_bytes(), bytes),
        Err(error) => bounded(&error),
    }
    assert!(verifier::bundle::verify(bytes, &TRUST).is_err(), "a signature that nobody made");
    match Current::parse(bytes) {
        Ok(current) => {
            assert_eq!(current.to_bytes().unwrap(), bytes);
            match current.verify(&TRUST.log, &TRUST.image) {
                Ok(shown) => panic!("a receipt that nobody made: {shown:?}"),
                Err(error) => bounded(&error),
            }
        }
        Err(error) => bounded(&error),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match text.parse::<Vkey>() {
        Ok(vkey) => assert_eq!(vkey.to_string(), text),
        Err(error) => bounded(&error),
    }
    match Note::parse(text) {
        Ok(note) => assert_eq!(note.to_string(), text),
        Err(error) => bounded(&error),
    }
    match LogPolicy::parse(text) {
        // What is accepted is judged by; nobody made a signature of a listed key.
        Ok(policy) => assert!(policy.quorum().is_none() || policy.open(text, Moment::now()).is_err()),
        Err(error) => bounded(&error),
    }
    if let Err(error) = SignedCheckpoint::open(text, &TRUST.log) {
        bounded(&error);
    }
    match text.parse::<Receipt>() {
        Ok(receipt) => {
            assert_eq!(receipt.to_string(), text);
            if let Err(error) = receipt.verify(&TRUST.log, b"entry") {
                bounded(&error);
            }
        }
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

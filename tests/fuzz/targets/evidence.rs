//! Envelopes, and the test results in them, whoever signed them.
#![no_main]

use artifact::dsse::Envelope;
use artifact::key::KeyId;
use artifact::statement::test_result::TestResult;
use artifact::statement::{Statement, facts};
use artifact::{Digest, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let payload = match Envelope::parse(bytes) {
        Ok(envelope) => {
            assert_eq!(Envelope::parse(&envelope.to_bytes()).unwrap(), envelope);
            // Nobody vouches for what a fuzzer wrote.
            assert!(envelope.verify([]).is_err());
            envelope.payload.0
        }
        Err(error) => {
            bounded(&error);
            bytes.to_vec()
        }
    };
    match Statement::<TestResult>::parse(&payload) {
        Ok(statement) => {
            let commit = "00000000000000000000000000000000000000aa".parse().unwrap();
            match statement.for_commit(&commit, KeyId(Digest::of(b"")), Digest::of(bytes)) {
                // What intake states of it has a spelling, and one only.
                Ok(read) => {
                    let printed = json::canonical("result", &read).unwrap();
                    assert_eq!(json::parse_canonical::<facts::TestResult>("result", &printed).unwrap(), read);
                }
                Err(error) => bounded(&error),
            }
        }
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

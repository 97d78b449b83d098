//! What each room hears: every frame that is taken is sent again as the same bytes.
#![no_main]

use std::io::Cursor;

use artifact::frame::{self, FrameError};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

fuzz_target!(|bytes: &[u8]| {
    heard::<intake::door::Ask>(bytes);
    heard::<intake::door::Answer>(bytes);
    heard::<builder::door::BuildAsk>(bytes);
    heard::<builder::door::ComparerAsk>(bytes);
    heard::<builder::door::Answer<builder::door::Compared>>(bytes);
    heard::<audit::door::Ask>(bytes);
    heard::<audit::door::Answer>(bytes);
    heard::<signer::door::Ask>(bytes);
    heard::<signer::door::Answer>(bytes);
});

fn heard<T: DeserializeOwned + Serialize>(bytes: &[u8]) {
    let mut wire = Cursor::new(bytes);
    loop {
        let before = wire.position() as usize;
        match frame::receive::<T>(&mut wire) {
            Ok(value) => {
                let mut again = Vec::new();
                frame::send(&mut again, &value).unwrap();
                assert_eq!(again, bytes[before..wire.position() as usize]);
            }
            Err(FrameError::Closed) => return,
            Err(error) => return bounded(&error),
        }
    }
}

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

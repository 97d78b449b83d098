//! People's orders: what is read is written again in the same way.
#![no_main]

use libfuzzer_sys::fuzz_target;
use policy::Order;

fuzz_target!(|bytes: &[u8]| {
    match Order::parse(bytes) {
        Ok(order) => assert_eq!(order.to_bytes().unwrap(), bytes),
        Err(error) => bounded(&error),
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

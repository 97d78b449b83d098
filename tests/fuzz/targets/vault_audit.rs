//! Vault's audit log: read, and read twice, which changes nothing.
#![no_main]

use audit::vault_audit::{AuditLog, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let read = |times: usize| {
        let mut log = AuditLog::of(Place::new(None, "transit", "countersign"));
        for _ in 0..times {
            log.read("audit.log", bytes)?;
        }
        Ok::<_, audit::vault_audit::AuditError>(log.finish().1)
    };
    match (read(1), read(2)) {
        (Ok(once), Ok(twice)) => assert_eq!(once, twice),
        (Err(error), Err(_)) => {
            let text = error.to_string();
            assert!(text.len() <= 1000 && !text.contains(|c: char| c.is_control()), "{text:?}");
        }
        _ => panic!("a second reading is another one"),
    }
});

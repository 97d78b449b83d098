//! Files of the configuration.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file.toml");
    std::fs::write(&path, text).unwrap();
    if let Err(error) = intake::config::IntakeConfig::load(&path) {
        bounded(&error);
    }
    if let Err(error) = signer::config::SignerConfig::load(&path) {
        bounded(&error);
    }
    if let Err(error) = verifier::trust::Trust::load(&path) {
        bounded(&error);
    }
    if let Err(error) = builder::builder_config::BuilderConfig::load(&path) {
        bounded(&error);
    }
    if let Err(error) = builder::comparer::CompareConfig::parse(text) {
        bounded(&error);
    }
    if let Err(error) = text.parse::<audit::keys::HouseKeys>() {
        bounded(&error);
    }
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

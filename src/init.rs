//! `countersign init`: a commented configuration to start from.

use std::path::Path;

use artifact::durable;

/// The files, as they are written. `signer-rules.toml` is the signer's own copy of the rules: written from the same
/// template, changed by other hands.
const FILES: &[(&str, &str)] = &[
    ("countersign.toml", include_str!("init/countersign.toml")),
    ("rules.toml", include_str!("init/rules.toml")),
    ("intake.toml", include_str!("init/intake.toml")),
    ("builder.toml", include_str!("init/builder.toml")),
    ("compare.toml", include_str!("init/compare.toml")),
    ("keeper.toml", include_str!("init/keeper.toml")),
    ("signer.toml", include_str!("init/signer.toml")),
    ("signer-rules.toml", include_str!("init/rules.toml")),
];

/// Writes the configuration into an empty folder, or one that is made for it.
///
/// # Errors
/// When the folder holds anything already, or can't be written.
pub fn init(folder: &Path) -> std::io::Result<()> {
    durable::create_folder(folder)?;
    if std::fs::read_dir(folder)?.next().is_some() {
        let why = format!("{} is not empty: nothing was written", folder.display());
        return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, why));
    }
    for (name, text) in FILES {
        durable::replace(&folder.join(name), text.as_bytes(), 0o644)?;
    }
    Ok(())
}

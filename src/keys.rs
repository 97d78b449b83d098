//! `countersign keys`: the rooms' public keys, pinned by the operator in `keys.toml`.

use std::path::Path;
use std::process::Stdio;

use artifact::durable;
use artifact::failure::Failure;
use artifact::key::{KeyId, PublicKey};
use audit::keys::HouseKeys;
use audit::reader::Log;

use crate::config::Config;
use crate::fold::Fold;
use crate::launch;
use crate::ledger;
use crate::status::Status;

/// The file's name in the folder of the configuration.
pub const FILE: &str = "keys.toml";

/// What became of `keys.toml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pinned {
    /// It was written now.
    Written,
    /// It was there, and says the same.
    Same,
    /// It was there, and has the key now that the image key was rotated to.
    Rotated {
        /// The entry from which that key counts.
        index: u64,
        /// That key.
        key: KeyId,
    },
}

/// Why the keys could not be pinned.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// Something on this host failed.
    #[error("{what}: {cause}")]
    Io {
        /// What was tried.
        what: String,
        /// What the kernel said.
        cause: std::io::Error,
    },
    /// The house failed; its own lines say why.
    #[error("the rooms did not tell their keys")]
    House(u8),
    /// The log, which alone can say that the image key was rotated, can't be read.
    #[error("{0}")]
    Log(Failure),
    /// A key is another one than was pinned: our own state is not what was recorded.
    #[error(
        "{path} pins other keys than the rooms have now. Nothing was changed. If the rooms' folders were replaced on \
         purpose, move {path} away and pin again; verifiers then need the new keys"
    )]
    Changed {
        /// The file.
        path: String,
    },
}

/// The keys that the configuration in this folder pins.
///
/// # Errors
/// No such file, or not its format: the caller's to mend.
pub fn pinned(folder: &Path) -> Result<HouseKeys, Failure> {
    let path = folder.join(FILE);
    let usage = |e: String| Failure::never(Status::USAGE, e);
    let text = std::fs::read_to_string(&path)
        .map_err(|e| usage(format!("{}: {e}. `countersign keys` writes it", path.display())))?;
    text.parse().map_err(|e| usage(format!("{}: {e}", path.display())))
}

/// Starts each room once, and writes its key down or compares it with what is written.
///
/// # Errors
/// As [`KeysError`].
pub fn pin(config: &Config, folder: &Path, state: &Path) -> Result<Pinned, KeysError> {
    let io = |what: String| move |cause| KeysError::Io { what, cause };
    let path = folder.join(FILE);
    let told = tell(config, folder, state, &["keys"])?;
    let keys: HouseKeys =
        told.parse().map_err(|e| KeysError::Io { what: "the rooms' keys".into(), cause: std::io::Error::other(e) })?;
    match std::fs::read_to_string(&path) {
        Ok(pinned) => match pinned.parse::<HouseKeys>() {
            Ok(pinned) => {
                let (image, key) = (pinned.image.clone(), keys.image.current().clone());
                if (HouseKeys { image: image.clone(), ..keys }) != pinned {
                    return Err(KeysError::Changed { path: path.display().to_string() });
                }
                if *image.current() == key {
                    return Ok(Pinned::Same);
                }
                let changed = || KeysError::Changed { path: path.display().to_string() };
                let index = rotated(&pinned, &key, state)?.ok_or_else(changed)?;
                let id = key.id();
                let image = image.rotated(key, index).map_err(|_| changed())?;
                let keys = HouseKeys { image, ..pinned };
                durable::replace(&path, keys.to_string().as_bytes(), 0o644).map_err(io(path.display().to_string()))?;
                Ok(Pinned::Rotated { index, key: id })
            }
            Err(_) => Err(KeysError::Changed { path: path.display().to_string() }),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            durable::replace(&path, keys.to_string().as_bytes(), 0o644).map_err(io(path.display().to_string()))?;
            Ok(Pinned::Written)
        }
        Err(cause) => Err(KeysError::Io { what: path.display().to_string(), cause }),
    }
}

/// The entry from which this key counts, if the log has a rotation to it: one that people ordered, and that both keys signed.
fn rotated(pinned: &HouseKeys, key: &PublicKey, state: &Path) -> Result<Option<u64>, KeysError> {
    let folder = ledger::folder(state);
    let (_, fold) = Log::fold(&folder, &pinned.log, Fold::new(pinned), |fold, e| fold.apply(e))
        .map_err(|e| KeysError::Log(e.into()))?;
    Ok(fold.unpinned().filter(|(_, rotation)| rotation.key == *key).map(|(index, _)| index))
}

/// Has the coordinator ask the rooms, and gives what it printed.
///
/// # Errors
/// The launcher can't be started, or the house failed.
pub fn tell(config: &Config, folder: &Path, state: &Path, words: &[&str]) -> Result<String, KeysError> {
    let io = |cause| KeysError::Io { what: "the launcher".to_owned(), cause };
    let mut command = launch::launcher(config, folder, state).map_err(io)?;
    command.arg("--").args(words).stdin(Stdio::null()).stderr(Stdio::inherit());
    let ran = command.output().map_err(io)?;
    match ran.status.success() {
        true => Ok(String::from_utf8_lossy(&ran.stdout).into_owned()),
        false => Err(KeysError::House(ran.status.code().and_then(|c| u8::try_from(c).ok()).unwrap_or(3))),
    }
}

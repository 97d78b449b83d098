//! What verifiers elsewhere are handed: `trust.toml` for `countersign-verify`, a Sigstore trusted root for everybody's tools.

use std::path::Path;

use artifact::failure::Failure;
use artifact::{digest::Base64, durable};
use audit::keys::HouseKeys;
use audit::note::Vkey;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::{Places, Trust};
use crate::keys;
use crate::status::Status;

/// The media type of a Sigstore trusted root.
const TRUSTED_ROOT: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

/// From when on the log's key counts. Keys are pinned without a date, and tools ask for one.
const START: &str = "1970-01-01T00:00:00Z";

/// Does what `countersign trust` is asked for.
///
/// # Errors
/// No keys are pinned, a name is missing, or a file can't be written.
pub fn trust(places: &Places, what: &Trust) -> Result<(), Failure> {
    let keys = keys::pinned(&places.config)?;
    match what {
        Trust::Show => print!("{}", trust_toml(&keys, &places.config)?),
        Trust::Export { out } => {
            let text = trusted_root_text(&keys.log)?;
            warn_of_origin(places)?;
            match out {
                Some(path) => std::path::absolute(path)
                    .and_then(|path| durable::replace(&path, text.as_bytes(), 0o644))
                    .map_err(|e| usage(path, &e))?,
                None => print!("{text}"),
            }
        }
    }
    Ok(())
}

/// The log as the only one that is trusted (protobuf's JSON of `dev.sigstore.trustroot.v1.TrustedRoot`).
///
/// Tools take the checkpoint's origin for the host of `baseUrl`; nobody asks there. `logId` is the one of bundles: all of
/// the digest whose first bytes are the checkpoint's key id.
fn trusted_root(log: &Vkey) -> Value {
    json!({
        "mediaType": TRUSTED_ROOT,
        "tlogs": [{
            "baseUrl": format!("https://{}", log.name()),
            "hashAlgorithm": "SHA2_256",
            "publicKey": {
                "rawBytes": Base64(log.key().to_der()),
                "keyDetails": "PKIX_ED25519",
                "validFor": {"start": START},
            },
            "logId": {"keyId": Base64(log.log_id().to_vec())},
        }],
        "certificateAuthorities": [],
        "ctlogs": [],
        "timestampAuthorities": [],
    })
}

/// The trusted root of a log, as a file.
///
/// # Errors
/// Never for a log's key.
pub fn trusted_root_text(log: &Vkey) -> Result<String, Failure> {
    text_of(&trusted_root(log))
}

fn text_of(root: &Value) -> Result<String, Failure> {
    serde_json::to_string_pretty(root).map(|text| text + "\n").map_err(|e| Failure::halt("trusted-root", e))
}

/// Says so when the log's origin keeps stock tools from verifying its proofs: best before there is anything in the log.
///
/// # Errors
/// No keys are pinned.
pub fn warn_of_origin(places: &Places) -> Result<(), Failure> {
    let keys = keys::pinned(&places.config)?;
    let name = keys.log.name();
    if !is_host(name) {
        let text = format!(
            "the log's origin {name:?} is no host name: cosign will refuse every proof of this log, for it takes the origin \
             for the host of a URL. An origin is for good; give a new log a plain host name in keeper.toml"
        );
        eprintln!("countersign: {text}");
    }
    Ok(())
}

/// Whether a URL with this name for its host has it for its host name again: no port, no path, and nothing to escape.
fn is_host(name: &str) -> bool {
    name.split('.').all(|label| !label.is_empty() && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-'))
}

/// The names that verdicts and provenance are in.
#[derive(Deserialize)]
struct Names {
    verifier_id: Option<String>,
    builder_id: Option<String>,
}

/// `trust.toml` for `countersign-verify`.
///
/// # Errors
/// A name is missing in the configuration.
pub fn trust_toml(keys: &HouseKeys, config: &Path) -> Result<String, Failure> {
    let names = |file: &str| -> Result<Names, Failure> {
        let path = config.join(file);
        let text = std::fs::read_to_string(&path).map_err(|e| usage(&path, &e))?;
        toml::from_str(&text).map_err(|e| usage(&path, &e))
    };
    let missing = |name: &str| Failure::never(Status::USAGE, format!("{name} is missing in the configuration"));
    let verifier = names("signer.toml")?.verifier_id.ok_or_else(|| missing("signer.toml: verifier_id"))?;
    let builder = names("compare.toml")?.builder_id.ok_or_else(|| missing("compare.toml: builder_id"))?;
    let names =
        toml::Table::from_iter([("verifier_id", verifier), ("builder_id", builder)].map(|(k, v)| (k.into(), v.into())));
    Ok(format!("{keys}\n# The names that verdicts and provenance must be in.\n{names}"))
}

fn usage(path: &Path, cause: &dyn std::fmt::Display) -> Failure {
    Failure::never(Status::USAGE, format!("{}: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::key::Ed25519Key;

    #[test]
    fn the_trusted_root_is_as_documented() {
        let key = Ed25519Key::from_seed(&[7; 32]).unwrap();
        let text = text_of(&trusted_root(&Vkey::new("log.example", &key).unwrap())).unwrap();
        assert_eq!(text, include_str!("trust/golden.json"));
    }

    #[test]
    fn a_host_name_is_told_from_a_path() {
        for host in ["log.example", "localhost", "10.0.0.1", "a-b.c"] {
            assert!(is_host(host), "{host}");
        }
        for other in
            ["", "log.example/log", "log.example:80", "log..example", "log.example.", "lög.example", "a%2fb", "[::1]"]
        {
            assert!(!is_host(other), "{other}");
        }
    }
}

//! Asks the crate sigstore-verify about one bundle, the log required.
//!
//! `sigstore-verify BUNDLE TRUSTED_ROOT KEY.DER sha256:HEX` ends with 0 when it verifies, and else says why not.

use std::error::Error;
use std::process::ExitCode;

use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::{Bundle, DerPublicKey, Sha256Hash};
use sigstore_verify::{PublicKeyVerificationPolicy, Verifier};

fn main() -> ExitCode {
    match verify() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn verify() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, bundle, root, key, digest] = &args[..] else { return Err("BUNDLE TRUSTED_ROOT KEY.DER sha256:HEX".into()) };
    let bundle = Bundle::from_json(&std::fs::read_to_string(bundle)?)?;
    let root = TrustedRoot::from_json(&std::fs::read_to_string(root)?)?;
    let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(std::fs::read(key)?));
    let digest = Sha256Hash::from_hex(digest.strip_prefix("sha256:").ok_or("the digest is no sha256")?)?;
    let result = Verifier::new(&root)?.verify(digest, &bundle, &policy)?;
    if result.tlog_verified() { Ok(()) } else { Err("the log was not verified".into()) }
}

//! One bounded client of the OCI distribution protocol, for intake, signer and verifier.

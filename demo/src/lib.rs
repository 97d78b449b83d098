//! An embedded perimeter on loopback: registries, a git repository and an outside CI, for trying and for tests.

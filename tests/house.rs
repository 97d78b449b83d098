//! The house, tried as a whole, on its real binaries.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

mod bombs;
mod broken;
mod carried;
mod corruption;
mod crash;
mod differential;
mod disk;
mod doors;
mod e2e;
mod escape;
mod hostile;
mod judges;
mod layers;
mod nobody;
mod orders;
mod page;
mod peers;
mod random;
mod reconcile;
mod retention;
mod review;
mod rooms;
mod scene;
mod unpacked;
mod vault;
mod vectors;
mod walls;
mod witness;

use std::path::PathBuf;

/// The folder of the house's binaries: `make test` builds them all before it runs this.
fn binaries() -> PathBuf {
    let own = std::env::current_exe().expect("this test has a path");
    let folder = own.parent().and_then(|deps| deps.parent()).expect("target/PROFILE/deps").to_owned();
    let launcher = folder.join("countersign-launch");
    assert!(
        launcher.exists(),
        "{} is missing: run `make test`, or `cargo build --workspace` first",
        launcher.display()
    );
    folder
}

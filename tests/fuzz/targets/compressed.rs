//! Layers by media type and by their first bytes: undone within a budget, and then read as a tar.
#![no_main]

use std::io::Read as _;

use artifact::oci;
use builder::archive::{self, Budget};
use builder::tree::{Scratch, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((which, bytes)) = input.split_first() else { return };
    let media_type = [oci::LAYER_GZIP, oci::LAYER_ZSTD, oci::DOCKER_LAYER, oci::LAYER, ""][usize::from(which % 5)];
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    let Ok(plain) = archive::decompressed(bytes, media_type) else { return };
    // A bomb is the budget's to stop, and that is shown elsewhere: here it would only be slow.
    let mut plain = plain.take(4 << 20);
    let _ = archive::entries(&mut plain, &mut Budget::beside(&Tree::new()), &scratch);
});

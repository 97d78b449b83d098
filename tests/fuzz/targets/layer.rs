//! Tar entries, laid over one another; and what was taken is packed and read again as the same tree.
#![no_main]

use artifact::oci;
use builder::archive::Budget;
use builder::flatten::Flattener;
use builder::pack;
use builder::tree::{Scratch, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|tar: &[u8]| {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path().join("contents")).unwrap();
    let mut flattener = Flattener::within(&scratch, Budget::beside(&Tree::new()));
    if let Err(error) = flattener.apply(tar, oci::LAYER, None) {
        return bounded(&error);
    }
    let mut tree = flattener.finish();
    // As the comparer does before it packs.
    tree.remove(&b""[..]);
    tree.values_mut().for_each(|node| node.xattrs.retain(|name, _| pack::XATTRS.contains(&&name[..])));
    let mut packed = Vec::new();
    pack::write_tar(&tree, &scratch, i64::MAX, &mut packed).unwrap();
    let mut again = Flattener::new(&scratch);
    again.apply(&packed[..], oci::LAYER, None).unwrap();
    assert_eq!(again.finish(), tree, "a tree that was packed is another one");
});

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

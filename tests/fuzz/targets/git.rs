//! Git objects: a stream of them, and one as a commit and as a tree.
#![no_main]

use artifact::CommitId;
use artifact::git::{self, Commit, EntryKind, Kind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let like: CommitId = "0".repeat(40).parse().unwrap();
    let mut stream = bytes;
    while let Ok(Some((kind, size))) = git::next_header(&mut stream) {
        let header = git::header(kind, size);
        let read = bytes.len() - stream.len();
        assert!(bytes[..read].ends_with(header.as_bytes()), "a header with two spellings");
        let Some(content) = stream.get(..size as usize) else { break };
        object(&like, content);
        stream = &stream[content.len()..];
    }
    object(&like, bytes);
});

fn object(like: &CommitId, content: &[u8]) {
    match Commit::parse(&git::object_id(like, Kind::Commit, content), content) {
        Ok(commit) if commit.signature.is_none() => assert_eq!(commit.signed, content, "nothing was taken out"),
        Ok(commit) => assert!(commit.signed.len() < content.len()),
        Err(error) => bounded(&error),
    }
    match git::parse_tree(&git::object_id(like, Kind::Tree, content), content) {
        Ok(entries) => {
            let mut printed = Vec::new();
            for entry in &entries {
                assert!(![".", "..", ""].contains(&entry.name.as_str()) && !entry.name.contains(['/', '\0']));
                let mode = match entry.kind {
                    EntryKind::Tree => "40000",
                    EntryKind::File => "100644",
                    EntryKind::Executable => "100755",
                    EntryKind::Symlink => "120000",
                    EntryKind::Submodule => "160000",
                };
                printed.extend(format!("{mode} {}\0", entry.name).into_bytes());
                printed.extend(artifact::digest::unhex::<20>(entry.id.as_str()).unwrap());
            }
            let old_mode = content.windows(7).any(|w| w == b"100664 ");
            assert!(printed == content || old_mode, "a tree with two spellings");
        }
        Err(error) => bounded(&error),
    }
}

fn bounded(error: &dyn std::fmt::Display) {
    let text = error.to_string();
    assert!(text.len() <= 1_000 && !text.contains(|c: char| c.is_control()), "{text:?}");
}

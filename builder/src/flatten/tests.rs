use super::*;

/// `dir/` a folder, `file=content`, `name->target` a symbolic link, `name=>target` a hard link.
fn layer(lines: &[&str]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for line in lines {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_size(0);
        if let Some((name, target)) = line.split_once("=>") {
            header.set_entry_type(tar::EntryType::Link);
            builder.append_link(&mut header, name, target).unwrap();
        } else if let Some((name, target)) = line.split_once("->") {
            header.set_entry_type(tar::EntryType::Symlink);
            builder.append_link(&mut header, name, target).unwrap();
        } else if let Some((name, content)) = line.split_once('=') {
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, name, content.as_bytes()).unwrap();
        } else {
            header.set_entry_type(tar::EntryType::Directory);
            builder.append_data(&mut header, line, &b""[..]).unwrap();
        }
    }
    builder.into_inner().unwrap()
}

fn flat(layers: &[&[&str]]) -> Result<Vec<String>, FlattenError> {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    let mut flattener = Flattener::new(&scratch);
    for lines in layers {
        flattener.apply(&layer(lines)[..], "", None)?;
    }
    let tree = flattener.finish();
    let line = |(path, node): (&Vec<u8>, &Node)| {
        let kind = match &node.kind {
            Kind::Folder => "/".to_owned(),
            Kind::File(c) => format!("={}#{}", io::read_to_string(scratch.open(c).unwrap()).unwrap(), node.group),
            other => format!("{other:?}"),
        };
        String::from_utf8_lossy(path).into_owned() + &kind
    };
    Ok(tree.iter().map(line).collect())
}

#[test]
fn whiteouts_hide_what_is_below_and_nothing_of_their_own_layer() {
    let below: &[&str] = &["a/", "a/x=1", "a/y=1", "b=1", "ab=1"];
    assert_eq!(flat(&[below, &["a/.wh.x=", ".wh.b="]]).unwrap(), ["a/", "a/y=1#0", "ab=1#0"]);
    assert_eq!(flat(&[below, &["a/z=2", "a/.wh..wh..opq="]]).unwrap(), ["a/", "a/z=2#0", "ab=1#0", "b=1#0"]);
    assert_eq!(flat(&[below, &["a/.wh..wh..opq=", "a/z=2"]]).unwrap(), ["a/", "a/z=2#0", "ab=1#0", "b=1#0"]);
    assert_eq!(flat(&[below, &[".wh.b=", "b=2"]]).unwrap(), ["a/", "a/x=1#0", "a/y=1#0", "ab=1#0", "b=2#0"]);
    assert!(flat(&[&["a/.wh.="]]).is_err());
    assert!(flat(&[&[".wh.a/x="]]).is_err());
    assert!(flat(&[&[".wh.."]]).is_err() && flat(&[&[".wh..wh.plnk="]]).is_err());
}

/// Docker and containerd take entries as they come; umoci protects a layer from its own whiteouts; an overlay file system
/// lets the lower folder shine through a new one, and knows no opaque root.
#[test]
fn a_whiteout_that_runtimes_would_read_differently_is_refused() {
    let below: &[&str] = &["a/", "a/x=1", "b=1", "l->a"];
    let differ: [&[&str]; 16] = [
        &["d/", "d/e/", "d=2"],
        &["d/e=1", "d=2"],
        &["a=2", "a/n/.wh.x="],
        &["a=2", "a/"],
        &["a/n/z=2", "a/.wh..wh..opq="],
        &["b2=>b", ".wh.b="],
        &["b=2", ".wh.b="],
        &["a/", "a/z=2", ".wh.a="],
        &["a/z=2", ".wh.a="],
        &[".wh.a=", "a/"],
        &[".wh.a=", "a/z=2"],
        &[".wh.a=", "a/.wh.x="],
        &[".wh..wh..opq="],
        &["none/.wh.x="],
        &["none/.wh..wh..opq="],
        &["a=2", "a/.wh.x="],
    ];
    for layer in differ.iter().chain([&["l/.wh.x="][..], &["b/.wh.x="]].iter()) {
        let error = flat(&[below, layer]).expect_err(&format!("{layer:?}")).to_string();
        assert!(error.contains("in a layer:") && error.len() < 200, "{error}");
    }
    // A link that becomes a folder, as an overlay file system tells it: the new folder is opaque.
    assert_eq!(flat(&[below, &["l/", "l/.wh..wh..opq=", "l/y=2"]]).unwrap()[3..], ["l/", "l/y=2#0"]);
}

/// The kernel lets what is made in a set-group-id folder inherit it; who unpacks a layer beside the others makes it
/// elsewhere.
#[test]
fn a_folder_that_is_implied_in_a_set_group_id_folder_is_refused_unless_it_is_described_in_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    let apply = |entries: &[(&str, u32)]| {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, mode) in entries {
            let mut header = tar::Header::new_ustar();
            header.set_mode(*mode);
            header.set_size(0);
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            builder.append_data(&mut header, path, &b""[..]).unwrap();
        }
        Flattener::new(&scratch).apply(&builder.into_inner().unwrap()[..], "", None).map_err(|e| e.to_string())
    };
    for refused in [&[("d/", 0o2755), ("d/e/f", 0o644)][..], &[("./", 0o2755), ("e/f", 0o644)]] {
        assert!(apply(refused).unwrap_err().contains("a set-group-id folder above it"), "{refused:?}");
    }
    assert!(apply(&[("d/", 0o2755), ("d/e/f", 0o644), ("d/e/", 0o755)]).is_ok());
    assert!(apply(&[("d/e/f", 0o644), ("d/", 0o2755)]).is_ok());
}

#[test]
fn what_comes_later_replaces_what_was_there() {
    assert_eq!(flat(&[&["a=1", "a=2"], &["a=3"]]).unwrap(), ["a=3#0"]);
    assert_eq!(flat(&[&["a=1"], &["a/", "a/b=2"]]).unwrap(), ["a/", "a/b=2#0"]);
    assert_eq!(flat(&[&["a/", "a/b=2", "a-c=1"], &["a=1"]]).unwrap(), ["a=1#0", "a-c=1#0"]);
    assert_eq!(flat(&[&["a/b/c=1"], &["a/"]]).unwrap(), ["a/", "a/b/", "a/b/c=1#0"]);
}

#[test]
fn hard_links_are_one_file_until_one_is_replaced() {
    assert_eq!(flat(&[&["a=1", "b=>a", "c=>b"], &["b=2"]]).unwrap(), ["a=1#1", "b=2#0", "c=1#1"]);
    assert_eq!(flat(&[&["a=1", "b=>a"], &["b=2"]]).unwrap(), ["a=1#0", "b=2#0"]);
    assert!(flat(&[&["b=>a"]]).is_err() && flat(&[&["a/", "b=>a"]]).is_err());
    assert!(flat(&[&["a/b=1", "a=>a/b"]]).is_err());
}

/// Containerd and Docker write mode, owner and attributes of a link's own entry through to its file: a way to a setuid
/// program that no file's entry shows, and out of a capability.
#[test]
fn a_hard_link_that_says_something_else_than_its_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    let apply = |file: (u32, u64, &[u8]), link: (u32, u64, &[u8])| {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, (mode, uid, capability)) in [("file", file), ("link", link)] {
            let mut header = tar::Header::new_ustar();
            header.set_mode(mode);
            header.set_uid(uid);
            header.set_gid(uid);
            header.set_size(0);
            if !capability.is_empty() {
                builder.append_pax_extensions([("SCHILY.xattr.security.capability", capability)]).unwrap();
            }
            if name == "link" {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, name, "file").unwrap();
            } else {
                builder.append_data(&mut header, name, &b""[..]).unwrap();
            }
        }
        Flattener::new(&scratch).apply(&builder.into_inner().unwrap()[..], "", None)
    };
    let file = (0o755, 7, &b"cap"[..]);
    assert!(apply(file, file).is_ok());
    for link in
        [(0o4755, 7, &b"cap"[..]), (0o755, 0, b"cap"), (0o755, 7, b""), (0o755, 7, b"other"), (0o700, 7, b"cap")]
    {
        let error = apply(file, link).unwrap_err().to_string();
        assert!(error.contains("another mode, owner or attribute"), "{error}");
    }
    assert!(apply((0o755, 0, b""), (0o755, 0, b"cap")).is_err());
}

#[test]
fn a_hard_link_that_replaces_what_it_leads_to_is_refused() {
    assert!(flat(&[&["a=1", "a=>a"]]).is_err() && flat(&[&["d/", "d/x=1", "d=>d/x"]]).is_err());
    assert_eq!(flat(&[&["d/", "d/x=1", "d/y=>d/x"]]).unwrap(), ["d/", "d/x=1#1", "d/y=1#1"]);
    // What was linked keeps its content when the first name gets another.
    assert_eq!(flat(&[&["a=1", "b=>a", "a=2"]]).unwrap(), ["a=2#0", "b=1#0"]);
}

#[test]
fn nothing_is_placed_through_a_link_or_a_file() {
    assert!(flat(&[&["a->/etc", "a/passwd=x"]]).is_err());
    assert!(flat(&[&["a=1"], &["a/b=2"]]).is_err());
}

#[test]
fn a_layer_with_another_digest_is_refused_and_a_plain_tar_has_no_whiteouts() {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    let tar = layer(&["a=1"]);
    let mut flattener = Flattener::new(&scratch);
    assert!(flattener.apply(&tar[..], "", Some(&Digest::of(&tar))).is_ok());
    assert!(flattener.apply(&tar[..], "", Some(&Digest::of(b""))).is_err());
    assert!(flattener.apply_plain(&layer(&["a/.wh.b="])[..]).is_err());
}

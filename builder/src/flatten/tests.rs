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
    assert_eq!(flat(&[below, &["a/x=2", ".wh.a=", ".wh..wh..opq="]]).unwrap(), ["a/", "a/x=2#0"]);
    assert!(flat(&[&["a/.wh.="]]).is_err());
    assert!(flat(&[&[".wh.a/x="]]).is_err());
    assert!(flat(&[&[".wh.."]]).is_err() && flat(&[&[".wh..wh.plnk="]]).is_err());
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

use super::*;

fn read(tar: &[u8]) -> Result<Vec<Entry>, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    entries(&mut &tar[..], &mut Budget::default(), &Scratch::new(folder.path()).unwrap())
}

fn header(path: &[u8], kind: u8, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

fn block(path: &[u8], kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = header(path, kind, body.len() as u64).as_bytes().to_vec();
    bytes.extend_from_slice(body);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

#[test]
fn extended_headers_and_long_names_are_read() {
    let long = [b"d/".as_slice(), &[b'n'; 200]].concat();
    let pax = b"00 SCHILY.xattr.user.a=x\ny=z\x00\xff\n";
    let pax = [format!("{} ", pax.len()).as_bytes(), &pax[3..]].concat();
    let tar = [block(b"x", b'L', &long), block(b"x", b'x', &pax), block(b"short", b'0', b"hello")].concat();
    let found = read(&tar).unwrap();
    assert_eq!(found[0].path, long);
    assert_eq!(found[0].xattrs[&b"user.a"[..]], b"x\ny=z\x00\xff");
    assert!(matches!(found[0].kind, EntryKind::File(Content { size: 5, .. })));
}

#[test]
fn a_leading_slash_is_the_root_of_the_image() {
    let found = read(&[block(b"/", b'5', b""), block(b"//app/x", b'0', b"")].concat()).unwrap();
    assert_eq!((&found[0].path[..], &found[1].path[..]), (&b""[..], &b"app/x"[..]));
}

#[test]
fn hostile_archives_are_refused_with_short_errors() {
    let sparse = block(b"h", b'x', b"22 GNU.sparse.major=1\n");
    let hostile = [
        block(b"../etc", b'0', b""),
        block(b"/../etc", b'0', b""),
        block(b"a/../b", b'5', b""),
        [block(b"h", b'x', b"12 path=a\0b\n"), block(b"f", b'0', b"")].concat(),
        [sparse, block(b"f", b'0', b"")].concat(),
        block(b"f", b'S', b""),
        block(b"f", b'5', b"content of a folder"),
        block(b"f", b'1', b""),
        block(b"f", b'z', b""),
        block(b"h", b'g', b"10 path=a\n"),
        block(b"h", b'x', b"99 path=a\n"),
        [block(b"h", b'x', b""), block(b"h", b'x', b"")].concat(),
        [block(b"h", b'x', b"10 path=a\n"), block(b"h", b'L', b"b"), block(b"f", b'0', b"")].concat(),
        [block(b"h", b'x', b"14 linkpath=a\n"), block(b"h", b'K', b"b"), block(b"f", b'2', b"")].concat(),
        [vec![0; 512], block(b"f", b'0', b"")].concat(),
        block(b"h", b'L', b"name for nothing"),
        header(b"f", b'0', 1 << 40).as_bytes().to_vec(),
        header(b"h", b'L', 1 << 30).as_bytes().to_vec(),
        header(b"f", b'0', 600).as_bytes().to_vec(),
        block(b"f", b'0', b"")[..300].to_vec(),
        vec![b'!'; 512],
    ];
    for (i, tar) in hostile.iter().enumerate() {
        let error = read(tar).expect_err(&i.to_string()).to_string();
        assert!(error.len() < 300, "{error}");
    }
}

#[test]
fn every_member_of_a_gzip_stream_is_read() {
    let member = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let two = [member(b"one"), member(b"two")].concat();
    for kind in ["", oci::LAYER_GZIP, oci::DOCKER_LAYER] {
        assert_eq!(io::read_to_string(decompressed(&two[..], kind).unwrap()).unwrap(), "onetwo");
    }
    let frames = zstd::encode_all(&b"three"[..], 1).unwrap().repeat(2);
    assert_eq!(io::read_to_string(decompressed(&frames[..], oci::LAYER_ZSTD).unwrap()).unwrap(), "threethree");
    let trailing = [two, b"rubbish".to_vec()].concat();
    assert!(io::read_to_string(decompressed(&trailing[..], "").unwrap()).is_err());
    assert!(decompressed(&b""[..], "text/plain").is_err());
}

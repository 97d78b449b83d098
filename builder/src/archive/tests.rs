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
        block(b"f", b'7', b""),
        block(b"f", b'3', b""),
        [block(b"h", b'x', b"42 SCHILY.xattr.system.posix_acl_default=\n"), block(b"d", b'5', b"")].concat(),
        block(b"h", b'x', b"26 hdrcharset=ISO-IR 8859\n"),
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

/// A header with these bytes in these places, sealed again.
fn changed(mut tar: Vec<u8>, changes: &[(usize, &[u8])]) -> Vec<u8> {
    for (at, bytes) in changes {
        tar[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    let mut header = tar::Header::new_old();
    header.as_mut_bytes().copy_from_slice(&tar[..512]);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    tar
}

/// What Go makes of these was tried with umoci and containerd: the first three become `etc/passwd` there.
#[test]
fn a_path_that_readers_put_together_differently_is_refused() {
    let file = block(b"passwd", b'0', b"");
    for changes in [
        &[(345, &b"etc"[..])][..],
        &[(257, b"ustar\0\0\0"), (345, b"etc")],
        &[(257, b"ustar\x00  "), (345, b"etc")],
        &[(257, b"ustar\x0000"), (345, &[b'e'; 140]), (508, b"tar\0")],
        &[(257, b"ustar  0"), (345, b"etc")],
        &[(357, b"not a time")],
    ] {
        let error = read(&changed(file.clone(), changes)).expect_err(&format!("{changes:?}")).to_string();
        assert!(error.contains("readers disagree"), "{error}");
    }
    let ustar = read(&changed(file.clone(), &[(257, b"ustar\x0000"), (345, b"etc")])).unwrap();
    assert_eq!(ustar[0].path, b"etc/passwd");
    // Before POSIX there was no prefix, and there were no devices.
    let old = &[(257, &[0; 8][..]), (345, b"etc")];
    assert_eq!(read(&changed(file, old)).unwrap()[0].path, b"passwd");
    assert!(read(&changed(block(b"null", b'3', b""), &[(257, &[0; 8]), (329, b"0000001")])).is_err());
    // GNU's own times stand where the prefix would.
    let timed = changed(block(b"f", b'0', b""), &[(345, b"15006517601\x0015006517601\0")]);
    assert_eq!(read(&timed).unwrap()[0].path, b"f");
}

#[test]
fn a_time_before_1970_is_read_as_gnu_tar_writes_it() {
    let time = |field: &[u8; 12]| read(&changed(block(b"f", b'0', b""), &[(136, field)])).map(|found| found[0].mtime);
    assert_eq!(time(&[0xff; 12]).unwrap(), -1);
    assert_eq!(time(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xae\x80").unwrap(), -86_400);
    assert!(time(&[0xfe; 12]).is_err() && time(b"\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff").is_err());
}

/// Nobody knows who reads them: so they are told when they differ, and never taken for the attribute that Linux knows.
#[test]
fn a_record_that_is_not_known_is_kept_beside_the_attributes() {
    let with = |record: &[u8]| {
        let length = record.len() + 4;
        let body = [format!("{length} ").as_bytes(), record, b"\n"].concat();
        read(&[block(b"h", b'x', &body), block(b"f", b'0', b"")].concat()).map(|found| found[0].xattrs.clone())
    };
    for record in ["LIBARCHIVE.xattr.security.capability=AQ", "RHT.security.selinux=x", "security.capability=x"] {
        let (key, value) = record.split_once('=').unwrap();
        let kept = BTreeMap::from([(format!("pax:{key}").into_bytes(), value.as_bytes().to_vec())]);
        assert_eq!(with(record.as_bytes()).unwrap(), kept);
    }
    assert!(with(b"SCHILY.xattr.pax:security.capability=x").is_err());
    for known in ["uname=somebody", "atime=1.5", "hdrcharset=BINARY", "LIBARCHIVE.creationtime=1"] {
        assert!(with(known.as_bytes()).unwrap().is_empty(), "{known}");
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

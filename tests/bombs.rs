//! What is too large to lie in a folder of vectors: made while it is read, never in memory as a whole, and stopped by a
//! limit rather than by what is left of the machine.

use std::io::{self, Read};

use artifact::oci;
use artifact::{frame, json};
use builder::archive::{self, ArchiveError, Budget, ENTRIES};
use builder::flatten::{FlattenError, Flattener};
use builder::tree::{Scratch, Tree};

/// Pieces that are made one after another, as one stream.
struct Stream<F> {
    next: F,
    piece: io::Cursor<Vec<u8>>,
    given: u64,
}

impl<F: FnMut() -> Option<Vec<u8>>> Read for Stream<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.piece.read(buffer)?;
            self.given += n as u64;
            match (n, buffer.is_empty()) {
                (0, false) => match (self.next)() {
                    Some(piece) => self.piece = io::Cursor::new(piece),
                    None => return Ok(0),
                },
                _ => return Ok(n),
            }
        }
    }
}

fn stream<F: FnMut() -> Option<Vec<u8>>>(next: F) -> Stream<F> {
    Stream { next, piece: io::Cursor::default(), given: 0 }
}

fn header(path: &str, kind: u8, size: u64) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Carries a layer to the flattener and gives the limit that stopped it, with how much had been asked for by then.
fn stopped(layer: impl Read, media_type: &str, budget: Budget) -> (&'static str, u64) {
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    match Flattener::within(&scratch, budget).apply(layer, media_type, None) {
        Err(FlattenError::Archive(ArchiveError::TooMuch { what, limit })) => (what, limit),
        other => panic!("{other:?}"),
    }
}

/// Files of one MiB of zeros each, for as long as anybody reads.
fn files_without_end() -> impl Read {
    let mut number = 0;
    stream(move || {
        number += 1;
        let mut file = header(&format!("f{number}"), b'0', 1 << 20);
        file.resize(512 + (1 << 20), 0);
        Some(file)
    })
}

/// A tar's end, and then zeros for as long as anybody reads.
fn padding_without_end() -> impl Read {
    stream(|| Some(vec![0; 1 << 20]))
}

#[test]
fn a_bomb_of_gzip_or_zstd_is_stopped_where_our_own_image_says() {
    // Beside an empty rebuild: 256 MiB, of which a gzip stream of a quarter of a MiB is enough.
    let beside = || Budget::beside(&Tree::new());
    let gzip = |inner| flate2::read::GzEncoder::new(inner, flate2::Compression::fast());
    for inner in [Box::new(files_without_end()) as Box<dyn Read>, Box::new(padding_without_end())] {
        assert_eq!(stopped(gzip(inner), oci::LAYER_GZIP, beside()), ("bytes", 256 << 20));
    }
    for inner in [Box::new(files_without_end()) as Box<dyn Read>, Box::new(padding_without_end())] {
        let packed = zstd::stream::read::Encoder::new(inner, 1).unwrap();
        assert_eq!(stopped(packed, oci::LAYER_ZSTD, beside()), ("bytes", 256 << 20));
    }
}

#[test]
fn what_a_header_promises_counts_before_a_byte_of_it_is_read() {
    for size in [1_u64 << 40, u64::MAX >> 3] {
        let layer = io::Cursor::new(header("f", b'0', size)).chain(io::repeat(0));
        assert_eq!(stopped(layer, oci::LAYER, Budget::default()), ("bytes", archive::BYTES));
    }
}

#[test]
fn a_million_entries_are_read_and_one_more_is_not() {
    // Most are folders: a file system makes a million files far more slowly than this reads them.
    let mut number = 0;
    let mut layer = stream(move || {
        number += 1;
        let kind = if number % 100 == 0 { b'0' } else { b'5' };
        Some(header(&format!("d{:03}/{number}", number % 1000), kind, 0))
    });
    assert_eq!(stopped(&mut layer, oci::LAYER, Budget::default()), ("entries", ENTRIES));
    assert!(layer.given >= ENTRIES * 512);
}

#[test]
fn names_and_headers_without_end_are_stopped() {
    let beside = || Budget::beside(&Tree::new());
    let mut number = 0;
    let long_names = stream(move || {
        number += 1;
        let name = format!("{}/{number}", ["n"; 1_900].join("/"));
        let mut entry = header("././@LongLink", b'L', name.len() as u64);
        entry.extend(name.bytes());
        entry.resize(entry.len().next_multiple_of(512), 0);
        entry.extend(header("short", b'0', 0));
        Some(entry)
    });
    assert_eq!(stopped(long_names, oci::LAYER, beside()).0, "bytes of names");
    let comments = stream(|| {
        let mut entry = header("comment", b'g', 15);
        entry.extend(b"15 comment=abc\n");
        entry.resize(1024, 0);
        Some(entry)
    });
    assert_eq!(stopped(comments, oci::LAYER, beside()).0, "entries");
}

#[test]
fn members_without_content_do_not_end_a_layer_early() {
    // A million empty gzip members, and then an entry.
    let pack = |bytes: &[u8]| {
        let mut packed = Vec::new();
        flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut packed).unwrap();
        packed
    };
    let (empty, mut left) = (pack(b""), 1_000_000);
    let last = pack(&[header("f", b'0', 0), vec![0; 1024]].concat());
    let layer = stream(move || {
        left -= 1;
        match left {
            -1.. => Some(if left < 0 { last.clone() } else { empty.clone() }),
            _ => None,
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let mut flattener = Flattener::new(&Scratch::new(folder.path()).unwrap());
    flattener.apply(layer, oci::LAYER_GZIP, None).unwrap();
    assert_eq!(flattener.finish().len(), 1);
}

#[test]
fn documents_over_their_limit_are_refused_unread() {
    let large = |limit: u64| vec![b' '; limit as usize + 1];
    let errors = [
        oci::Manifest::parse(&large(oci::MANIFEST_LIMIT)).unwrap_err().to_string(),
        oci::Index::parse(&large(oci::MANIFEST_LIMIT)).unwrap_err().to_string(),
        oci::ImageConfig::parse(&large(oci::CONFIG_LIMIT)).unwrap_err().to_string(),
        artifact::dsse::Envelope::parse(&large(artifact::dsse::LIMIT as u64)).unwrap_err().to_string(),
        policy::Rules::parse(&large(policy::rules::LIMIT as u64)).unwrap_err().to_string(),
        audit::entry::Body::parse(&large(audit::entry::LIMIT as u64)).unwrap_err().to_string(),
    ];
    for error in errors {
        assert!(error.contains("the limit is"), "{error}");
    }
    // Four GiB are promised, and none of them is waited for.
    let error = frame::receive::<String>(&mut io::Cursor::new([0xff; 4]).chain(io::repeat(b' '))).unwrap_err();
    assert!(matches!(error, frame::FrameError::TooLarge(_)), "{error}");
}

#[test]
fn nesting_without_end_is_refused_before_the_stack_ends() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let deep = open.repeat((oci::MANIFEST_LIMIT as usize) / open.len() - 1);
        let error = json::parse_foreign::<serde_json::Value>("test", deep.as_bytes()).unwrap_err().to_string();
        assert!(error.contains("recursion limit"), "{error}");
    }
    let base = format!("base = \"r.example/b@{}\"\n", artifact::Digest::of(b""));
    for open in ["[", "{a="] {
        let text = format!("version = 1\n{base}steps = {}", open.repeat(60_000 / open.len()));
        let error = artifact::recipe::Recipe::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.len() < 1_000, "{error}");
    }
}

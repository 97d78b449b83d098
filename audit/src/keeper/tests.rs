use std::fs;
use std::time::Duration;

use artifact::Moment;
use artifact::failure::Retry;
use tempfile::TempDir;

use super::*;
use crate::entry::{Body, Halted};
use crate::reader::Content;
use crate::recorded::{LastSeen, Proven};

mod cosigning;
mod crash;
pub(crate) mod forget;

const ORIGIN: &str = "a.example/log";

/// A keeper's two folders.
pub(crate) struct House {
    folder: TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let house = Self { folder: TempDir::new().unwrap() };
        fs::create_dir(house.tiles()).unwrap();
        fs::create_dir(house.own()).unwrap();
        house
    }

    pub(crate) fn tiles(&self) -> PathBuf {
        self.folder.path().join("tiles")
    }

    pub(crate) fn own(&self) -> PathBuf {
        self.folder.path().join("own")
    }

    pub(crate) fn open(&self) -> Result<Keeper, Failure> {
        Keeper::open(&self.tiles(), &self.own(), ORIGIN)
    }

    /// The same folders, elsewhere.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self { folder: TempDir::new().unwrap() };
        copy_folder(self.folder.path(), copy.folder.path());
        copy
    }
}

impl House {
    /// The same folders, elsewhere, and what a keeper there appends.
    pub(crate) fn open_copy_with(&self, submissions: Vec<Submission>) -> Self {
        let copy = self.copy();
        copy.open().unwrap().append(submissions, 0).unwrap();
        copy
    }
}

impl Keeper {
    /// From here on any time will do.
    pub(crate) fn forget_the_time(&mut self) {
        self.clock = Clock::default();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                fs::create_dir(&to).unwrap();
                copy_folder(&entry.path(), &to);
            }
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

pub(crate) fn body(text: &str) -> Body {
    Halted { failure: Failure::halt("test", text), at: Moment::from_unix(1).unwrap() }.into()
}

pub(crate) fn rekor(text: &str) -> Vec<u8> {
    format!(r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"text":"{text}"}}}}"#).into_bytes()
}

/// So many entries, every third one shaped as Rekor's.
pub(crate) fn some(count: usize, text: &str) -> Vec<Submission> {
    let one = |n| match n % 3 {
        2 => Submission::Raw(Base64(rekor(&format!("{text} {n}")))),
        _ => Submission::Body(body(&format!("{text} {n}"))),
    };
    (0..count).map(one).collect()
}

fn fill(keeper: &mut Keeper, mut count: usize) {
    while count > 0 {
        let now = count.min(SUBMISSIONS);
        keeper.append(some(now, "fill"), 0).unwrap();
        count -= now;
    }
}

#[test]
fn what_is_appended_is_read_and_proved() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    let vkey = keeper.vkey().clone();
    assert!(Log::open(&house.tiles(), &vkey).unwrap().1.is_empty());
    let (mut seen, mut expected) = (LastSeen::default(), Vec::new());
    for step in 0..12 {
        let submissions = some(1 + step * 5, &step.to_string());
        let answer = keeper.append(submissions.clone(), seen.size()).unwrap();
        assert_eq!(answer.first, expected.len() as u64);
        for ((submission, salt), receipt) in submissions.iter().zip(answer.salts).zip(answer.receipts) {
            match submission {
                Submission::Body(body) => {
                    let proven = Proven { content: Base64(body.to_bytes().unwrap()), salt, receipt };
                    let recorded = seen.admit(&vkey, &proven, &answer.consistency).unwrap();
                    assert_eq!((recorded.value(), recorded.index()), (body, expected.len() as u64));
                }
                Submission::Raw(leaf) => {
                    let proven = Proven { content: leaf.clone(), salt, receipt };
                    let recorded = seen.admit_raw(&vkey, &proven, &answer.consistency).unwrap();
                    assert_eq!(recorded.value().as_bytes(), leaf.0);
                }
            }
            expected.push(submission.clone());
        }
        assert_eq!(seen, LastSeen::of(keeper.checkpoint()));
    }
    assert!(expected.len() > 256, "a tile was completed");
    let same = |entries: &[crate::reader::Entry]| {
        entries.len() == expected.len()
            && entries.iter().zip(&expected).all(|(entry, submission)| match (&entry.content, submission) {
                (Content::Ours { body, .. }, Submission::Body(expected)) => body == expected,
                (Content::Rekor(leaf), Submission::Raw(expected)) => leaf.as_bytes() == expected.0,
                _ => false,
            })
    };
    assert!(same(&Log::open(&house.tiles(), &vkey).unwrap().1));
    drop(keeper);
    let mut again = house.open().unwrap();
    assert_eq!(again.checkpoint().size(), expected.len() as u64);
    assert!(same(&Log::open(&house.tiles(), again.vkey()).unwrap().1));
    assert_eq!(again.append(some(1, "more"), seen.size()).unwrap().first, expected.len() as u64);
}

#[test]
fn a_reader_at_an_older_size_is_not_disturbed() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    fill(&mut keeper, 250);
    let older = keeper.checkpoint().clone();
    fill(&mut keeper, 20);
    assert!(!house.tiles().join("tile/entries/000.p").exists(), "the full bundle has taken its place");
    let (log, count) = Log::fold_at(&house.tiles(), older.clone(), 0, |count, _| *count += 1).unwrap();
    assert_eq!(count, 250);
    assert_eq!(log.prover().prove(249).unwrap().checkpoint, older.note());
    let (now, _) = Log::open(&house.tiles(), keeper.vkey()).unwrap();
    now.prover().begins_with(&older).unwrap();
}

#[test]
fn what_no_interruption_explains_halts() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    fill(&mut keeper, 70);
    let old = keeper.checkpoint().note().to_owned();
    fill(&mut keeper, 70);
    drop(keeper);
    let (own, log) = ("own/checkpoint", "tiles/checkpoint");
    let other = Vkey::new(ORIGIN, &Ed25519Key::generate().unwrap()).unwrap();
    let foreign = Checkpoint { origin: ORIGIN.into(), size: 140, root: TreeHash::leaf(b"other") };
    let key = Ed25519Key::from_seed(&fs::read(house.own().join("key")).unwrap()).unwrap();
    let behind = Checkpoint { size: 135, ..foreign.clone() };
    let [forked, forked_behind] = [foreign, behind].map(|c| SignedCheckpoint::sign(c, &key).unwrap().note().to_owned());
    let cases: [(&str, Option<&[u8]>); 11] = [
        ("own/key", None),
        ("own/key", Some(&[7; 32])),
        ("own/key", Some(&[7; 31])),
        (own, None),
        (own, Some(old.as_bytes())),
        (own, Some(forked.as_bytes())),
        (log, None),
        (log, Some(old.as_bytes())),
        (log, Some(forked.as_bytes())),
        (log, Some(forked_behind.as_bytes())),
        (log, Some(b"")),
    ];
    for (path, bytes) in cases {
        let house = house.copy();
        let path = house.folder.path().join(path);
        match bytes {
            Some(bytes) => fs::write(&path, bytes).unwrap(),
            None => fs::remove_file(&path).unwrap(),
        }
        let failure = house.open().unwrap_err();
        assert_eq!(failure.retry, Retry::Halt, "{}: {failure}", path.display());
        assert!(failure.message.contains("checkpoint") || failure.message.contains("key"), "{failure}");
        assert_eq!(bytes.is_some(), path.exists(), "nothing is made good silently");
    }
    assert!(Keeper::open(&house.tiles(), &house.own(), "b.example/log").is_err());
    assert!(Log::open(&house.tiles(), &other).is_err());
}

#[test]
fn no_byte_of_a_keepers_own_files_can_be_another() {
    let house = House::new();
    house.open().unwrap().append(some(3, "x"), 0).unwrap();
    for path in [house.own().join("checkpoint"), house.own().join("key"), house.tiles().join("checkpoint")] {
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            for flip in [0x01, 0x20, 0x80] {
                let mut bytes = good.clone();
                bytes[at] ^= flip;
                fs::write(&path, bytes).unwrap();
                let failure = house.open().map(drop).unwrap_err();
                assert_eq!(failure.retry, Retry::Halt, "{}, byte {at}: {failure}", path.display());
            }
        }
        fs::write(&path, good).unwrap();
    }
    house.open().unwrap();
}

#[test]
fn a_second_keeper_waits_for_the_first() {
    let house = House::new();
    let mut first = house.open().unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| house.open().unwrap().append(some(1, "second"), 0).unwrap().first);
        std::thread::sleep(Duration::from_millis(100));
        assert!(!second.is_finished());
        assert_eq!(first.append(some(3, "first"), 0).unwrap().first, 0);
        drop(first);
        assert_eq!(second.join().unwrap(), 3);
    });
}

#[test]
fn what_can_not_be_an_entry_is_refused_and_changes_nothing() {
    let house = House::new();
    let mut keeper = house.open().unwrap();
    fill(&mut keeper, 3);
    let before = keeper.checkpoint().clone();
    let raw = |text: &[u8]| vec![Submission::Body(body("good")), Submission::Raw(Base64(text.to_vec()))];
    for wrong in [
        Vec::new(),
        some(SUBMISSIONS + 1, "many"),
        vec![Submission::Body(body(&"x".repeat(crate::entry::LIMIT)))],
        raw(b""),
        raw(b"\x01\x01"),
        raw(b"{}"),
        raw(br#"{"kind":"a","kind":"b","apiVersion":"1","spec":{}}"#),
        raw(&rekor(&"x".repeat(65_536))),
    ] {
        let failure = keeper.append(wrong, 0).unwrap_err();
        assert_eq!((failure.code.as_str(), failure.retry), ("bad-submission", Retry::Never));
    }
    assert_eq!(keeper.prove(&[3], 0).unwrap_err().code, "bad-indexes");
    let rolled_back = keeper.append(some(1, "a"), 4).unwrap_err();
    assert_eq!((rolled_back.code.as_str(), rolled_back.retry), ("log-rolled-back", Retry::Halt));
    assert_eq!(*keeper.checkpoint(), before);
    assert_eq!(Log::open(&house.tiles(), keeper.vkey()).unwrap().1.len(), 3);
}

#[test]
fn the_door_answers_until_it_closes_and_takes_no_nonsense() {
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use artifact::frame;

    let house = House::new();
    let mut keeper = house.open().unwrap();
    let (mut here, there) = UnixStream::pair().unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| keeper.serve(&there));
        frame::send(&here, &Ask::Append { submissions: some(3, "x"), since: 0 }).unwrap();
        assert!(matches!(frame::receive(&here).unwrap(), Answer::Appended(a) if a.receipts.len() == 3));
        frame::send(&here, &Ask::Prove { indexes: vec![2], since: 1 }).unwrap();
        assert!(matches!(frame::receive(&here).unwrap(), Answer::Proved(p) if p.size == 3 && p.receipts.len() == 1));
        frame::send(&here, &Ask::Append { submissions: some(1, "x"), since: 9 }).unwrap();
        assert!(matches!(frame::receive(&here).unwrap(), Answer::Failed(f) if f.code == "log-rolled-back"));
        here.shutdown(Shutdown::Both).unwrap();
        serving.join().unwrap().unwrap();
    });
    for nonsense in [&b"\0\0\0\x02{}"[..], b"\0\0\0\x05{\"x\":", b"\xff\xff\xff\xff", b"\0\0"] {
        let there;
        (here, there) = UnixStream::pair().unwrap();
        std::io::Write::write_all(&mut here, nonsense).unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        assert_eq!(keeper.serve(&there).unwrap_err().code, "coordinator-lost");
    }
    let extra = br#"{"prove":{"indexes":[],"more":1,"since":0}}"#;
    assert!(artifact::json::parse_canonical::<Ask>("ask", extra).is_err());
    assert_eq!(keeper.checkpoint().size(), 3);
}

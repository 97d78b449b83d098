//! Other implementations on our folders: random logs, random reads. What they work out from the files alone is what we say, and
//! what they make of our receipts is what we make of them.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use artifact::Moment;
use artifact::digest::Base64;
use artifact::failure::Failure;
use audit::checkpoint::SignedCheckpoint;
use audit::door::{SUBMISSIONS, Submission};
use audit::entry::{Body, Halted};
use audit::keeper::Keeper;
use audit::leaf::{Commitment, Salt};
use audit::merkle::TreeHash;
use audit::note::Vkey;
use audit::prover::Prover;
use audit::receipt::Receipt;
use demo::command::{Ran, ran};
use serde::Deserialize;
use serde_json::json;
use tlog_tiles::{Hash, Tile, TileHashReader, TileReader};

use crate::corruption::Sample;
use crate::corruption::forged::Forged;
use crate::peers::peer;

/// How many reads of each log.
const READS: usize = 40;

/// A log, and all that was put into it.
struct Log {
    folder: tempfile::TempDir,
    vkey: Vkey,
    leaves: Vec<Vec<u8>>,
    /// Those that readers may still be at, the newest last.
    checkpoints: Vec<SignedCheckpoint>,
}

impl Log {
    /// Written by a keeper, in appends of random sizes. Some entries have bodies, which are none of the others' business.
    fn kept(sample: &mut Sample, least: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (tiles, own) = (folder.path().join("tiles"), folder.path().join("own"));
        for folder in [&tiles, &own] {
            fs::create_dir(folder).unwrap();
        }
        let mut keeper = Keeper::open(&tiles, &own, "log.differential.example").unwrap();
        let mut log = Self { vkey: keeper.vkey().clone(), folder, leaves: Vec::new(), checkpoints: Vec::new() };
        while log.leaves.len() < least {
            let submissions: Vec<_> = (0..1 + sample.below(SUBMISSIONS)).map(|_| submission(sample)).collect();
            let appended = keeper.append(submissions.clone(), 0).unwrap();
            log.leaves.extend(submissions.into_iter().zip(appended.salts).map(leaf));
            log.checkpoints.push(keeper.checkpoint().clone());
        }
        log
    }

    /// Of three levels of tiles, written at once.
    fn large(sample: &mut Sample) -> Self {
        let forged = Forged::of(65_536 + sample.below(3_000));
        let folder = tempfile::tempdir().unwrap();
        forged.write(&folder.path().join("tiles"));
        let checkpoints = vec![forged.checkpoint(forged.leaves.len())];
        Self { folder, vkey: forged.vkey(), leaves: forged.leaves, checkpoints }
    }

    fn tiles(&self) -> PathBuf {
        self.folder.path().join("tiles")
    }

    fn now(&self) -> &SignedCheckpoint {
        self.checkpoints.last().unwrap()
    }

    /// A receipt for a random entry, as the log was at a random time.
    fn receipt(&self, sample: &mut Sample) -> Receipt {
        let at = sample.of(&self.checkpoints).clone();
        let index = sample.below(usize::try_from(at.size()).unwrap()) as u64;
        Prover::new(&self.tiles(), at).prove(index).unwrap()
    }

    fn tessera(&self, command: &str, questions: &str) -> Ran {
        let asked = self.folder.path().join("questions");
        fs::write(&asked, questions).unwrap();
        let mut tessera = Command::new("/bin/sh");
        tessera.args(["-c", "exec \"$@\" < \"$0\""]).arg(asked).arg(peer("tessera").join("tessera"));
        ran(tessera.arg(command).arg(self.tiles()).arg(self.vkey.to_string())).unwrap()
    }
}

fn submission(sample: &mut Sample) -> Submission {
    let word = "x".repeat(sample.below(300));
    if sample.below(2) == 0 {
        let leaf = format!(r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"text":"{word}"}}}}"#);
        return Submission::Raw(Base64(leaf.into_bytes()));
    }
    let at = Moment::from_unix(1).unwrap();
    Submission::Body(Body::from(Halted { failure: Failure::halt("test", word), at }))
}

/// The leaf that must have come of a submission.
fn leaf((submission, salt): (Submission, Option<Base64>)) -> Vec<u8> {
    match submission {
        Submission::Raw(leaf) => leaf.0,
        Submission::Body(body) => {
            let salt = Salt::from_raw(salt.unwrap().0.try_into().unwrap());
            Commitment::to(body.kind(), &salt, &body.to_bytes().unwrap()).to_bytes()
        }
    }
}

/// Logs of random sizes, a large one among them.
fn logs(sample: &mut Sample) -> Vec<Log> {
    let mut logs: Vec<_> = [1, 250, 1_000]
        .map(|most| {
            let least = 1 + sample.below(most);
            Log::kept(sample, least)
        })
        .into();
    logs.push(Log::large(sample));
    logs
}

/// A random read: an entry and its receipt at one time, and the root and proof since another.
struct Read {
    receipt: Receipt,
    checkpoint: SignedCheckpoint,
    older: u64,
    older_root: TreeHash,
    consistency: Vec<TreeHash>,
}

impl Read {
    fn of(log: &Log, sample: &mut Sample) -> Self {
        let receipt = log.receipt(sample);
        let checkpoint = receipt.verify(&log.vkey, &log.leaves[receipt.index as usize]).unwrap();
        let older = 1 + sample.below(log.leaves.len()) as u64;
        let (older_root, consistency) = Prover::new(&log.tiles(), log.now().clone()).prove_since(older).unwrap();
        Self { receipt, checkpoint, older, older_root, consistency }
    }
}

#[derive(Deserialize)]
struct Answer {
    entry: Base64,
    inclusion: Option<Vec<TreeHash>>,
    consistency: Option<Vec<TreeHash>>,
}

#[test]
fn tessera_reads_our_folder_and_proves_what_we_prove() {
    let mut sample = Sample::new("tessera");
    for log in logs(&mut sample) {
        let reads: Vec<_> = (0..READS).map(|_| Read::of(&log, &mut sample)).collect();
        let question = |read: &Read| {
            let (at, root) = (&read.checkpoint, read.checkpoint.root());
            let asked = json!({"Index": read.receipt.index, "Size": at.size(), "Root": root.to_string(),
                               "Older": read.older, "OlderRoot": read.older_root.to_string()});
            format!("{asked}\n")
        };
        let answered = log.tessera("read", &reads.iter().map(question).collect::<String>());
        assert_eq!(answered.status, 0, "{}", answered.stderr);
        let answers: Vec<Answer> = answered.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(answers.len(), READS);
        for (read, answer) in reads.iter().zip(answers) {
            assert_eq!(answer.entry.0, log.leaves[read.receipt.index as usize]);
            assert_eq!(answer.inclusion.unwrap_or_default(), read.receipt.proof);
            assert_eq!(answer.consistency.unwrap_or_default(), read.consistency);
        }
        let checked = log.tessera("fsck", "");
        assert_eq!(checked.status, 0, "{}", checked.stderr);
    }
}

#[test]
fn tessera_finds_a_changed_byte_where_we_do() {
    let mut sample = Sample::new("tessera on a changed byte");
    let log = Log::kept(&mut sample, 300);
    let verified = || audit::verify::whole(&log.tiles(), &log.vkey, None);
    assert!(verified().is_ok());
    let (size, full) = (log.leaves.len() as u64, log.leaves.len() as u64 / 256);
    let names = [
        "checkpoint".to_owned(),
        "tile/entries/000".to_owned(),
        "tile/0/000".to_owned(),
        audit::tile::path(1, 0, audit::tile::width(1, 0, size)),
        audit::tile::bundle_path(full, audit::tile::width(0, full, size)),
    ];
    for name in names {
        let path = log.tiles().join(&name);
        let good = fs::read(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let mut bytes = good.clone();
        // The last characters of a checkpoint are base64, which has more than one spelling for others.
        let at = sample.below(bytes.len() - 4);
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(verified().is_err(), "{name}, byte {at}");
        assert_ne!(log.tessera("fsck", "").status, 0, "{name}, byte {at}");
        fs::write(&path, good).unwrap();
    }
    assert_eq!(log.tessera("fsck", "").status, 0);
}

/// Our folder, for the crate tlog_tiles. A partial tile that is gone is the beginning of the full one.
struct Folder(PathBuf);

impl TileReader for Folder {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog_tiles::Error> {
        let read = |tile: &Tile| {
            let path = tile.path().replacen("tile/8/", "tile/", 1);
            fs::read(self.0.join(&path)).unwrap_or_else(|_| {
                let full = path.split(".p/").next().unwrap();
                fs::read(self.0.join(full)).unwrap()[..32 * tile.width() as usize].to_vec()
            })
        };
        Ok(tiles.iter().map(read).collect())
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

#[test]
fn tlog_tiles_proves_and_verifies_from_our_folder_what_we_do() {
    let mut sample = Sample::new("tlog_tiles");
    for log in logs(&mut sample) {
        let folder = Folder(log.tiles());
        for _ in 0..READS {
            let read = Read::of(&log, &mut sample);
            let hash = |hash: &TreeHash| Hash(*hash.raw());
            let (index, at, now) = (read.receipt.index, &read.checkpoint, log.now());
            let then = TileHashReader::new(at.size(), hash(at.root()), &folder);
            let inclusion = tlog_tiles::prove_record(at.size(), index, &then).unwrap();
            assert_eq!(inclusion, read.receipt.proof.iter().map(hash).collect::<Vec<_>>());
            let leaf = tlog_tiles::record_hash(&log.leaves[index as usize]);
            tlog_tiles::check_record(&inclusion, at.size(), hash(at.root()), index, leaf).unwrap();
            let today = TileHashReader::new(now.size(), hash(now.root()), &folder);
            let consistency = tlog_tiles::prove_tree(now.size(), read.older, &today).unwrap();
            assert_eq!(consistency, read.consistency.iter().map(hash).collect::<Vec<_>>());
            let older = hash(&read.older_root);
            tlog_tiles::check_tree(&consistency, now.size(), hash(now.root()), read.older, older).unwrap();
        }
    }
}

/// What torchwood says of receipts, each for an entry.
fn torchwood(vkey: &Vkey, cases: &[(String, &[u8])]) -> Vec<String> {
    let mut asked = tempfile::NamedTempFile::new().unwrap();
    for (receipt, entry) in cases {
        let case = json!({"Receipt": Base64(receipt.as_bytes().to_vec()), "Entry": Base64(entry.to_vec())});
        writeln!(asked, "{case}").unwrap();
    }
    let mut torchwood = Command::new("/bin/sh");
    torchwood.args(["-c", "exec \"$@\" < \"$0\""]).arg(asked.path()).arg(peer("tlog-proof").join("tlog-proof"));
    let said = ran(torchwood.arg(vkey.to_string())).unwrap();
    assert_eq!(said.status, 0, "{}", said.stderr);
    let lines: Vec<_> = said.stdout.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), cases.len());
    lines
}

/// A bit of a receipt flipped. The last four characters of a line are left alone: they may be base64, which has more than one
/// spelling for others, and one for us.
fn flipped(receipt: &str, sample: &mut Sample) -> String {
    loop {
        let mut bytes = receipt.as_bytes().to_vec();
        let at = sample.below(bytes.len());
        let rest = receipt.as_bytes()[at..].iter().take(5);
        bytes[at] ^= 1 << sample.below(7);
        if let Ok(text) = String::from_utf8(bytes)
            && !rest.into_iter().any(|byte| *byte == b'\n')
            && !text.as_bytes()[at].is_ascii_control()
        {
            return text;
        }
    }
}

#[test]
fn torchwood_verifies_our_receipts_and_refuses_the_damaged_ones_that_we_refuse() {
    let mut sample = Sample::new("torchwood");
    for log in logs(&mut sample) {
        let receipts: Vec<_> = (0..READS).map(|_| log.receipt(&mut sample)).collect();
        let entry = |receipt: &Receipt| &log.leaves[receipt.index as usize][..];
        let good: Vec<_> = receipts.iter().map(|r| (r.to_string(), entry(r))).collect();
        assert!(torchwood(&log.vkey, &good).iter().all(|said| said == "ok"));

        let mut damaged = Vec::new();
        for receipt in &receipts {
            let entry = entry(receipt);
            let mut wrong = |change: &dyn Fn(&mut Receipt)| {
                let mut wrong = receipt.clone();
                change(&mut wrong);
                damaged.push((wrong.to_string(), entry));
            };
            wrong(&|r| r.index ^= 1);
            wrong(&|r| r.proof.push(TreeHash::empty()));
            wrong(&|r| r.proof.iter_mut().for_each(|hash| *hash = TreeHash::empty()));
            wrong(&|r| r.proof.truncate(r.proof.len().saturating_sub(1)));
            wrong(&|r| r.checkpoint = r.checkpoint.replacen("\n", "\n1", 1));
            let text = receipt.to_string();
            damaged.push((text.clone(), b"another entry"));
            damaged.push((text[..text.len() / 2].to_owned(), entry));
            damaged.extend((0..10).map(|_| (flipped(&text, &mut sample), entry)));
        }
        // A receipt of a log with one entry has no hash that could be another or missing.
        damaged.retain(|(text, entry)| !good.contains(&(text.clone(), *entry)));
        for ((text, entry), said) in damaged.iter().zip(torchwood(&log.vkey, &damaged)) {
            let ours = text.parse::<Receipt>().map_err(|e| e.to_string());
            let ours = ours.and_then(|r| r.verify(&log.vkey, entry).map_err(|e| e.to_string()));
            assert!(ours.is_err() && said != "ok", "torchwood: {said}; ours: {ours:?}\n{text}");
        }
    }
}

#[test]
fn another_logs_receipt_is_refused_by_both() {
    let mut sample = Sample::new("two logs");
    let (log, other) = (Log::kept(&mut sample, 5), Log::kept(&mut sample, 5));
    let receipt = log.receipt(&mut sample);
    let entry = &log.leaves[receipt.index as usize][..];
    assert!(receipt.verify(&other.vkey, entry).is_err());
    assert_ne!(torchwood(&other.vkey, &[(receipt.to_string(), entry)]), ["ok"]);
}

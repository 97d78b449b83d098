//! Test results (EVIDENCE: in-toto): kept as they came, hashed, and only then verified and read.

use std::collections::BTreeMap;

use artifact::dossier;
use artifact::dsse::Envelope;
use artifact::failure::Failure;
use artifact::key::PublicKey;
use artifact::layout::Layout;
use artifact::oci::Descriptor;
use artifact::statement::facts::TestResult as Stated;
use artifact::statement::test_result::{TestResult, Unusable};
use artifact::statement::{Statement, Subject};
use artifact::{CommitId, Digest, json};
use serde::Deserialize;

use crate::config::EvidenceSource;
use crate::folder::{self, Found};
use crate::git::Git;
use crate::process::printable;

/// The most results of one commit: runs, attempts and matrices of a day.
const RESULTS: usize = 64;
/// The most bytes of them together: they stand in one entry of the log, once as they came and once in the facts.
const BYTES: usize = 256 << 10;
/// The most unusable pieces that are listed; the last line says how many there are.
const UNUSABLE: usize = 50;

/// What is known of a commit's tests.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// The results that verify and speak of the commit, by the digests of their envelopes.
    pub results: Vec<Stated>,
    /// Their bytes as received, in the same order.
    pub received: Vec<Vec<u8>>,
    /// What could not be used: which, and why.
    pub unusable: Vec<String>,
    /// Every piece that speaks of the commit, or of nothing, in the store.
    pub kept: Vec<Descriptor>,
}

impl Evidence {
    /// One digest over the results; `None` when there is none.
    pub(crate) fn digest(&self) -> Option<Digest> {
        let list: String = self.results.iter().map(|r| format!("{}\n", r.envelope)).collect();
        (!list.is_empty()).then(|| Digest::of(list.as_bytes()))
    }
}

/// Reads every source to its end and gives what speaks of a commit.
pub(crate) fn collect(
    git: &Git,
    sources: &[EvidenceSource],
    keys: &[PublicKey],
    commit: &CommitId,
    store: &Layout,
) -> Result<Evidence, Failure> {
    let mut found = Vec::new();
    for source in sources {
        found.extend(folder::read(git, source)?);
    }
    sift(found, keys, commit, store)
}

fn sift(found: Vec<Found>, keys: &[PublicKey], commit: &CommitId, store: &Layout) -> Result<Evidence, Failure> {
    let mut results = BTreeMap::new();
    let mut kept = BTreeMap::new();
    let mut unusable = Vec::new();
    for Found { name, bytes } in found {
        let bytes = match bytes {
            Ok(bytes) => bytes,
            Err(why) => {
                unusable.push(format!("{name}: {why}"));
                continue;
            }
        };
        // First kept, then parsed: what breaks a parser is still there to be looked at.
        let piece = keep(&bytes, store)?;
        match judge(&bytes, &piece.digest, keys, commit) {
            Judgement::Usable(stated) => {
                kept.insert(piece.digest, piece);
                results.insert(stated.envelope, (stated, bytes));
            }
            Judgement::Elsewhere => {}
            Judgement::Unusable(why) => {
                kept.insert(piece.digest, piece);
                unusable.push(format!("{name}: {}", printable(&artifact::digest::shortened(&why))));
            }
        }
    }
    let bytes: usize = results.values().map(|(_, bytes)| bytes.len()).sum();
    if results.len() > RESULTS || bytes > BYTES {
        let text =
            format!("{} test results speak of {commit}; at most {RESULTS} and {BYTES} bytes count", results.len());
        return Err(Failure::never("evidence-too-much", text));
    }
    if unusable.len() > UNUSABLE {
        let more = unusable.len() - UNUSABLE;
        unusable.truncate(UNUSABLE);
        unusable.push(format!("and {more} more"));
        // What is not listed is not carried along either.
        kept.retain(|digest, _| results.contains_key(digest));
    }
    let (results, received) = results.into_values().unzip();
    Ok(Evidence { results, received, unusable, kept: kept.into_values().collect() })
}

fn keep(bytes: &[u8], store: &Layout) -> Result<Descriptor, Failure> {
    let piece = Descriptor::of(dossier::EVIDENCE, bytes);
    if store.has(&piece.digest) {
        return Ok(piece);
    }
    store.put(dossier::EVIDENCE, bytes).map_err(|e| Failure::later("intake-store", e))
}

enum Judgement {
    Usable(Stated),
    /// It speaks of other commits.
    Elsewhere,
    Unusable(String),
}

fn judge(bytes: &[u8], digest: &Digest, keys: &[PublicKey], commit: &CommitId) -> Judgement {
    let envelope = match Envelope::parse(bytes) {
        Ok(envelope) => envelope,
        Err(e) => return Judgement::Unusable(e.to_string()),
    };
    let unusable = |why: String| match speaks_of_another(&envelope.payload.0, commit) {
        true => Judgement::Elsewhere,
        false => Judgement::Unusable(why),
    };
    let key = match envelope.verify(keys) {
        Ok(key) => key,
        Err(e) => return unusable(e.to_string()),
    };
    let statement = match Statement::<TestResult>::parse(&envelope.payload.0) {
        Ok(statement) => statement,
        Err(e) => return unusable(e.to_string()),
    };
    match statement.for_commit(commit, key, *digest) {
        Ok(stated) => Judgement::Usable(stated),
        Err(Unusable::OtherCommit) => Judgement::Elsewhere,
        Err(e) => Judgement::Unusable(e.to_string()),
    }
}

/// Whether a statement that nobody vouches for names commits, and not this one: then it is no concern of this one's facts.
fn speaks_of_another(payload: &[u8], commit: &CommitId) -> bool {
    #[derive(Deserialize)]
    struct Says {
        subject: Vec<Subject>,
    }
    let Ok(Says { subject }) = json::parse_foreign("statement", payload) else { return false };
    let mut commits = subject.iter().filter_map(|s| s.digest.get("gitCommit")).peekable();
    commits.peek().is_some() && commits.all(|c| c != commit.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Ground, test_result};
    use artifact::key::Ed25519Key;

    fn id(n: u32) -> CommitId {
        format!("{n:040x}").parse().unwrap()
    }

    fn collected(ground: &Ground, key: &Ed25519Key, commit: &CommitId) -> Result<Evidence, Failure> {
        let sources = [EvidenceSource::Folder(ground.evidence())];
        collect(&ground.git(), &sources, &[key.public()], commit, &ground.store())
    }

    #[test]
    fn only_what_a_listed_key_signed_about_this_commit_counts() {
        let ground = Ground::new();
        let (key, other) = (Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap());
        ground.leave("a.json", &test_result(&key, &id(1), "PASSED", 1));
        ground.leave("again.json", &test_result(&key, &id(1), "PASSED", 1));
        ground.leave("b.json", &test_result(&key, &id(1), "FAILED", 2));
        ground.leave("c.json", &test_result(&key, &id(2), "PASSED", 1));
        ground.leave("d.json", &test_result(&other, &id(1), "PASSED", 3));
        ground.leave("e.json", &test_result(&other, &id(2), "PASSED", 3));
        ground.leave("note.txt", b"not evidence");
        let evidence = collected(&ground, &key, &id(1)).unwrap();
        assert_eq!(evidence.results.len(), 2);
        for (stated, received) in evidence.results.iter().zip(&evidence.received) {
            assert_eq!(stated.envelope, Digest::of(received));
            assert!(ground.store().has(&stated.envelope));
        }
        assert_eq!(evidence.unusable.len(), 1, "{:?}", evidence.unusable);
        assert!(evidence.unusable[0].starts_with("d.json: ") && evidence.unusable[0].contains("none of the 1 keys"));
        assert_eq!(evidence.kept.len(), 3);
        assert_ne!(evidence.digest(), collected(&ground, &key, &id(2)).unwrap().digest());
        assert_eq!(collected(&ground, &key, &id(3)).unwrap().digest(), None);
    }

    #[test]
    fn garbage_is_listed_and_hides_nothing() {
        let ground = Ground::new();
        let key = Ed25519Key::generate().unwrap();
        ground.leave("good.json", &test_result(&key, &id(1), "PASSED", 1));
        ground.leave("not.json", b"{");
        ground.leave("twice.json", br#"{"payload":"","payload":"","payloadType":"x","signatures":[]}"#);
        ground.leave("large.json", &vec![b' '; artifact::dsse::LIMIT + 1]);
        ground.leave("\u{1b}[31m.json", b"x");
        std::os::unix::fs::symlink("/etc/passwd", ground.evidence().join("link.json")).unwrap();
        std::fs::create_dir(ground.evidence().join("folder.json")).unwrap();
        let pipe = std::process::Command::new("mkfifo").arg(ground.evidence().join("pipe.json")).status();
        assert!(pipe.unwrap().success());
        let evidence = collected(&ground, &key, &id(1)).unwrap();
        assert_eq!(evidence.results.len(), 1);
        assert_eq!(evidence.unusable.len(), 7, "{:#?}", evidence.unusable);
        assert!(evidence.unusable.iter().all(|why| !why.contains('\u{1b}')));
    }

    #[test]
    fn too_many_results_are_an_error_and_too_much_garbage_is_counted() {
        let ground = Ground::new();
        let key = Ed25519Key::generate().unwrap();
        for n in 0..=UNUSABLE {
            ground.leave(&format!("{n}.json"), format!("garbage {n}").as_bytes());
        }
        let evidence = collected(&ground, &key, &id(1)).unwrap();
        assert_eq!(evidence.unusable.last().unwrap(), "and 1 more");
        for n in 0..=RESULTS as u64 {
            ground.leave(&format!("r{n}.json"), &test_result(&key, &id(1), "PASSED", n));
        }
        assert_eq!(collected(&ground, &key, &id(1)).unwrap_err().code, "evidence-too-much");
    }

    #[test]
    fn a_source_that_can_not_be_read_is_not_an_empty_one() {
        let ground = Ground::new();
        let key = Ed25519Key::generate().unwrap();
        std::fs::remove_dir(ground.evidence()).unwrap();
        let error = collected(&ground, &key, &id(1)).unwrap_err();
        assert_eq!((error.code.as_str(), error.retry), ("evidence-unavailable", artifact::failure::Retry::Later));
    }

    #[test]
    fn a_repository_of_results_is_read_at_its_head() {
        let ground = Ground::new();
        let key = Ed25519Key::generate().unwrap();
        let sources = [EvidenceSource::Repository(ground.address())];
        let collected = || collect(&ground.git(), &sources, &[key.public()], &id(1), &ground.store()).unwrap();
        assert!(collected().results.is_empty());
        ground.write("x/y/r.json", &String::from_utf8(test_result(&key, &id(1), "PASSED", 1)).unwrap());
        ground.write("README", "not evidence");
        ground.commit("results");
        assert_eq!(collected().results.len(), 1);
    }
}

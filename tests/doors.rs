//! Every parser that reads what others wrote, as one function from bytes to what came of them: the doors that vectors are
//! carried to. A result is told in words, so that a vector can say which one is right.

use std::io::Cursor;
use std::path::Path;

use artifact::dsse::Envelope;
use artifact::git::{self, Commit, Kind};
use artifact::key::{Ed25519Key, KeyId};
use artifact::layout::Layout;
use artifact::oci::{self, ImageConfig, Index, Manifest};
use artifact::recipe::Recipe;
use artifact::statement::comparison::Comparison;
use artifact::statement::facts::Facts;
use artifact::statement::provenance::Provenance;
use artifact::statement::test_result::TestResult;
use artifact::statement::vsa::VerificationSummary;
use artifact::statement::{Predicate, Statement};
use artifact::{CommitId, Digest, Moment, frame, json};
use audit::checkpoint::SignedCheckpoint;
use audit::cosignature::WitnessKey;
use audit::current::Current;
use audit::leaf::Leaf;
use audit::log_policy::LogPolicy;
use audit::note::{Note, Vkey};
use audit::receipt::Receipt;
use audit::vault_audit::{AuditLog, Place};
use builder::checkout::{Objects, Order};
use builder::flatten::Flattener;
use builder::tree::{self, Scratch, Tree};
use policy::{AllowedSigners, Rules};
use registry::answers;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What came of some bytes.
pub type Outcome = Result<String, String>;

/// A parser, and the vectors that are carried to it: those in this folder whose names begin like this.
pub struct Door {
    pub folder: &'static str,
    pub prefix: &'static str,
    pub parse: fn(&[u8], ending: &str) -> Outcome,
}

macro_rules! doors {
    ($($folder:literal: $($prefix:literal => $parse:expr),+;)+) => {
        &[$($(Door { folder: $folder, prefix: $prefix, parse: $parse }),+),+]
    };
}

/// All of them. Of two prefixes that fit, the first counts.
pub const DOORS: &[Door] = doors! {
    "oci":
        "manifest" => |b, _| told(Manifest::parse(b).map(|m| format!("{} layers", m.layers.len()))),
        "config" => |b, _| told(ImageConfig::parse(b).map(|c| format!("{}, {:?}", c.os, c.config.entrypoint))),
        "index" => |b, _| told(Index::parse(b).map(|i| format!("{} manifests", i.manifests.len())));
    "layer":
        "" => layer;
    "git":
        "commit_of_another_id" => |b, _| told(Commit::parse(&zero(), b).map(|c| c.tree.to_string())),
        "tree_of_another_id" => |b, _| told(git::parse_tree(&zero(), b).map(|t| t.len().to_string())),
        "commit" => |b, _| told(commit(b).map(|c| format!("{} parents, at {}", c.parents.len(), c.committed))),
        "tree" => git_tree,
        "stream" => stream,
        "checkout" => checkout;
    "recipe":
        "" => |b, _| told(Recipe::parse(b).map(|r| format!("{} steps, {} bases", r.steps.len(), r.bases().len())));
    "rules":
        "" => |b, _| told(Rules::parse(b).map(|r| format!("{} projects", r.projects().len())));
    "evidence":
        "envelope" => |b, _| told(Envelope::parse(b).map(|e| format!("{} bytes", e.payload.0.len()))),
        "signed" => |b, _| told(artifact::statement::Signed::<TestResult>::open(b, [&key().public()])
            .map(|s| s.says().result.clone())),
        "result" => test_result;
    "statement":
        "facts" => statement::<Facts>,
        "comparison" => statement::<Comparison>,
        "provenance" => statement::<Provenance>,
        "verdict" => statement::<VerificationSummary>,
        "permit" => |b, _| told(audit::entry::Body::parse(b).map(|body| format!("kind {}", body.kind()))),
        "resigning" => |b, _| told(audit::entry::Body::parse(b).map(|body| format!("kind {}", body.kind()))),
        "rotation" => |b, _| told(audit::entry::Body::parse(b).map(|body| format!("kind {}", body.kind())));
    "frame":
        "intake" => framed::<intake::door::Ask>,
        "builder" => framed::<builder::door::BuildAsk>,
        "comparer" => framed::<builder::door::ComparerAsk>,
        "keeper" => framed::<audit::door::Ask>,
        "signer" => framed::<signer::door::Ask>,
        "answer" => framed::<intake::door::Answer>;
    "log":
        "vkey" => |b, _| told(text(b)?.parse::<Vkey>().map(|v| v.name().to_owned())),
        "note" => |b, _| told(Note::parse(text(b)?).and_then(|n| n.verify(&log()).map(str::len)).map(|n| format!("{n} bytes"))),
        "checkpoint" => |b, _| told(SignedCheckpoint::open(text(b)?, &log()).map(|c| format!("{} entries", c.size()))),
        "policy" => |b, _| told(LogPolicy::parse(text(b)?)
            .map(|p| format!("{} logs, {} witnesses, quorum {:?}", p.logs().len(), p.witnesses().count(), p.quorum()))),
        "cosignature" => |b, _| told(witnessed().open(text(b)?, noon()).map(|(_, by)| format!("{} at {}", by[0].witness, by[0].at))),
        "receipt" => |b, _| {
            let receipt = text(b)?.parse::<Receipt>().map_err(|e| e.to_string())?;
            told(receipt.verify(&log(), b"entry").map(|c| format!("entry {} of {}", receipt.index, c.size())))
        },
        "current" => |b, _| Current::parse(b).map(|c| c.project.to_string()),
        "tile" => |b, _| audit::tile::hashes_from_bytes(b, 2).map(|h| format!("{} hashes", h.len())).ok_or("no tile".into()),
        "bundle" => |b, _| audit::tile::bundle_from_bytes(b, 2)
            .map(|e| format!("entries of {:?} bytes", e.iter().map(Vec::len).collect::<Vec<_>>()))
            .ok_or("no bundle".into()),
        "pack" => |b, _| audit::pack::from_bytes(b).map(|p| format!("{} bodies", p.iter().flatten().count())).ok_or("no pack".into()),
        "leaf" => |b, _| told(Leaf::parse(b).map(|l| format!("{} bytes", l.to_bytes().len())));
    "vault_audit":
        "" => vault_audit;
    "order":
        "" => |b, _| told(policy::Order::parse(b).map(|order| order.action.name()));
    "allowed_signers":
        "" => |b, _| told(AllowedSigners::parse(text(b)?).map(|s| format!("empty: {}", s.is_empty())));
    "sshsig":
        "" => sshsig;
    "registry":
        "tags" => |b, _| told(answers::tags(b).map(|t| format!("{t:?}"))),
        "referrers" => |b, _| told(Index::parse(b).map(|i| format!("{} referrers", i.manifests.len()))),
        "token" => |b, _| told(answers::token(b).map_err(|e| e.to_string()).and_then(|t| t.ok_or("no token".to_owned()))),
        "link" => |b, _| told(answers::next_page(text(b)?).map(|next| format!("{next:?}"))),
        "challenge" => |b, _| answers::Challenge::parse(text(b)?).map(|c| format!("{c:?}")).ok_or("no challenge".into());
    "config":
        "intake" => |b, _| file(b, "intake.toml", |p| told(intake::config::IntakeConfig::load(p).map(|c| format!("{:?}", c.outside())))),
        "signer" => |b, _| file(b, "signer.toml", |p| told(signer::config::SignerConfig::load(p).map(|c| c.verifier_id))),
        "trust" => |b, _| file(b, "trust.toml", |p| told(verifier::trust::Trust::load(p).map(|t| t.verifier_id))),
        "builder" => |b, _| file(b, "builder.toml", |p| told(builder::builder_config::BuilderConfig::load(p).map(|c| c.runtime))),
        "compare" => |b, _| told(builder::comparer::CompareConfig::parse(text(b)?).map(|c| c.builder)),
        "keeper" => |b, _| told(audit::config::KeeperConfig::parse(text(b)?)
            .map(|c| format!("{}, {} witnesses", c.origin, c.policy.iter().flat_map(LogPolicy::witnesses).count()))),
        "keys" => |b, _| told(text(b)?.parse::<audit::keys::HouseKeys>().map(|k| format!("{} comparers", k.comparers.len())));
    "name":
        "digest" => named::<Digest>,
        "commit" => named::<CommitId>,
        "repository" => named::<artifact::name::Repository>,
        "tag" => named::<artifact::name::Tag>,
        "pinned" => named::<artifact::name::Pinned>,
        "project" => named::<artifact::name::ProjectName>,
        "branch" => named::<artifact::name::BranchName>,
        "lane" => named::<artifact::lane::LaneName>,
        "moment" => named::<artifact::Moment>,
        "key" => |b, _| told(text(b)?.parse::<artifact::key::PublicKey>().map(|k| k.id().to_string())),
        "reference" => |b, _| told(text(b)?.parse::<verifier::reference::Reference>().map(|r| format!("{r:?}")));
};

fn vault_audit(bytes: &[u8], _: &str) -> Outcome {
    let mut log = AuditLog::of(Place::new(None, "transit", "countersign"));
    log.read("audit.log", Cursor::new(bytes)).map_err(|e| e.to_string())?;
    let (covered, requests) = log.finish();
    let told = requests.iter().map(|r| format!("; {:?} for {:?}: {:?}", r.act, r.attempts, r.outcome));
    Ok(format!("{} lines{}", covered[0].lines, told.collect::<String>()))
}

fn told<E: ToString>(outcome: Result<impl ToString, E>) -> Outcome {
    outcome.map(|found| found.to_string()).map_err(|error| error.to_string())
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())
}

/// A text of one spelling: what is accepted is printed as it came.
fn named<T: std::str::FromStr<Err: ToString> + ToString>(bytes: &[u8], _: &str) -> Outcome {
    let found: T = text(bytes)?.parse().map_err(|e: T::Err| e.to_string())?;
    assert_eq!(found.to_string().as_bytes(), bytes, "a name with two spellings");
    Ok(found.to_string())
}

/// The key that vectors are signed with, where a signature is not the point.
pub fn key() -> Ed25519Key {
    Ed25519Key::from_seed(&[7; 32]).unwrap()
}

fn log() -> Vkey {
    Vkey::new("a.example/log", &key()).unwrap()
}

/// A policy of one witness.
pub fn witnessed() -> LogPolicy {
    let witness = WitnessKey::new("w.example/1", &Ed25519Key::from_seed(&[9; 32]).unwrap()).unwrap();
    LogPolicy::parse(&format!("log {}\nwitness w {witness}\nquorum w\n", log())).unwrap()
}

/// When vectors are judged.
fn noon() -> Moment {
    Moment::from_unix(1_800_000_000).unwrap()
}

fn zero() -> CommitId {
    "0".repeat(40).parse().unwrap()
}

fn commit(bytes: &[u8]) -> Result<Commit, git::GitError> {
    Commit::parse(&git::object_id(&zero(), Kind::Commit, bytes), bytes)
}

fn git_tree(bytes: &[u8], _: &str) -> Outcome {
    let entries = git::parse_tree(&git::object_id(&zero(), Kind::Tree, bytes), bytes);
    told(entries.map(|t| t.iter().map(|e| format!("{:?} {}", e.kind, e.name)).collect::<Vec<_>>().join(", ")))
}

fn stream(mut bytes: &[u8], _: &str) -> Outcome {
    let mut kinds = Vec::new();
    while let Some((kind, size)) = git::next_header(&mut bytes).map_err(|e| e.to_string())? {
        kinds.push(kind.to_string());
        bytes = bytes.get(size as usize..).ok_or("the stream ends within an object")?;
    }
    Ok(kinds.join(", "))
}

/// A stream of git objects, written out as the builder does it; told is what lies there afterwards.
fn checkout(bytes: &[u8], _: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let store = Layout::create(folder.path().join("store")).unwrap();
    let objects = store.put(artifact::dossier::OBJECTS, bytes).unwrap();
    let mut first = bytes;
    let (kind, size) = git::next_header(&mut first).map_err(|e| e.to_string())?.ok_or("no object")?;
    let id = git::object_id(&zero(), kind, &first[..first.len().min(size as usize)]);
    let (blobs, out) = (folder.path().join("blobs"), folder.path().join("out/source"));
    let written = Objects::read(&store, &objects, &id, &blobs).and_then(|o| o.write(&out, Order::Ascending));
    let told = written.map(|()| listed(&folder.path().join("out")));
    told.map_err(|e| e.to_string().replace(&folder.path().display().to_string(), ""))
}

fn listed(folder: &Path) -> String {
    let mut found: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        let name = entry.file_name().to_string_lossy().into_owned();
        found.push(match () {
            () if kind.is_dir() => format!("{name}/({})", listed(&path)),
            () if kind.is_symlink() => format!("{name}->{}", std::fs::read_link(&path).unwrap().display()),
            () => format!("{name}={}", std::fs::read_to_string(&path).unwrap()),
        });
    }
    found.sort();
    found.join(" ")
}

fn test_result(bytes: &[u8], _: &str) -> Outcome {
    let statement = Statement::<TestResult>::parse(bytes).map_err(|e| e.to_string())?;
    let commit = "00000000000000000000000000000000000000aa".parse().unwrap();
    let read = statement.for_commit(&commit, KeyId(Digest::of(b"")), Digest::of(b"")).map_err(|e| e.to_string())?;
    // What intake states of it must have a spelling.
    told(json::canonical("facts", &read).map(|_| format!("{}, attempt {}", read.result, read.attempt)))
}

fn statement<P: Predicate>(bytes: &[u8], _: &str) -> Outcome {
    let statement = Statement::<P>::parse(bytes).map_err(|e| e.to_string())?;
    assert_eq!(statement.to_bytes().unwrap(), bytes, "ours has one spelling");
    Ok(format!("{} subjects", statement.subject.len()))
}

/// Everything that a room hears in one conversation: frame after frame.
fn framed<T: DeserializeOwned + Serialize>(bytes: &[u8], _: &str) -> Outcome {
    let mut wire = Cursor::new(bytes);
    let mut frames = 0;
    loop {
        match frame::receive::<T>(&mut wire) {
            Ok(_) => frames += 1,
            Err(frame::FrameError::Closed) => return Ok(format!("{frames} frames")),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn sshsig(bytes: &[u8], _: &str) -> Outcome {
    let signers = include_str!("vectors/sshsig/allowed_signers");
    let allowed = AllowedSigners::parse(signers).map_err(|e| e.to_string())?;
    let commit = commit(bytes).map_err(|e| e.to_string())?;
    told(policy::source::verify_commit(&commit, &allowed).map(|s| s.principal))
}

fn file(bytes: &[u8], name: &str, load: impl Fn(&Path) -> Outcome) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    load(&path)
}

/// A layer on top of `layer/accepted_below.tar`, by the media type that its ending stands for.
fn layer(bytes: &[u8], ending: &str) -> Outcome {
    let media_type = match ending {
        "tar" => oci::LAYER,
        "tar.gz" => oci::LAYER_GZIP,
        "tar.zst" => oci::LAYER_ZSTD,
        "foreign" => "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
        _ => return Err(format!("no layer ends in {ending}")),
    };
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::new(folder.path()).unwrap();
    let mut flattener = Flattener::new(&scratch);
    flattener.apply(&include_bytes!("vectors/layer/accepted_below.tar")[..], oci::LAYER, None).unwrap();
    flattener.apply(bytes, media_type, None).map_err(|e| e.to_string())?;
    Ok(flat(&flattener.finish(), &scratch))
}

fn flat(tree: &Tree, scratch: &Scratch) -> String {
    let of = |node: &tree::Node| match &node.kind {
        tree::Kind::Folder => "/".to_owned(),
        tree::Kind::File(content) => {
            let mut text = std::io::read_to_string(scratch.open(content).unwrap()).unwrap();
            text.truncate(20);
            format!("={text}")
        }
        tree::Kind::Symlink(target) => format!("->{}", String::from_utf8_lossy(target)),
        tree::Kind::Char(a, b) => format!(" c{a}:{b}"),
        tree::Kind::Block(a, b) => format!(" b{a}:{b}"),
        tree::Kind::Fifo => " pipe".to_owned(),
    };
    let line = |(path, node): (&Vec<u8>, &tree::Node)| {
        let link = if node.group == 0 { String::new() } else { format!(" (linked {})", node.group) };
        format!("{}{}{link}", String::from_utf8_lossy(path), of(node))
    };
    tree.iter().map(line).collect::<Vec<_>>().join(" ")
}

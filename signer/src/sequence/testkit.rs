//! A whole signer against a real keeper and a registry on loopback: what its tests set up.
#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::path::PathBuf;

use artifact::digest::Base64;
use artifact::failure::Failure;
use artifact::git::{Kind, object_id};
use artifact::key::Ed25519Key;
use artifact::lane::{LaneName, Public};
use artifact::layout::Layout;
use artifact::oci;
use artifact::statement::comparison::{Comparison, Level};
use artifact::statement::facts::{self, Facts, Position};
use artifact::statement::provenance::{
    BUILD_TYPE_STEPS, BuildDefinition, Builder, ExternalParameters, InternalParameters, Metadata, Provenance,
    RunDetails,
};
use artifact::statement::sandbox::{Runs, Sandbox};
use artifact::statement::test_result::TestResult;
use artifact::statement::{Statement, Subject};
use artifact::{CommitId, Digest, Moment};
use audit::door::{Appended, Submission};
use audit::entry::{Permit, PromotionId};
use audit::keeper::Keeper;
use audit::keys::HouseKeys;
use audit::reader::Log;
use audit::recorded::Proven;
use demo::registry::Registry;
use policy::{Attested, Case, Decision, Rules};
use serde_json::json;
use tempfile::TempDir;

use crate::config::SignerConfig;
use crate::door::{Answer, ReleaseAsk};
use crate::key::{FileKey, ImageKey};
use crate::sequence::{Recorder, Signer, Stop};
use crate::state::{FileStore, Store};

pub(super) struct World {
    pub(super) folder: TempDir,
    pub(super) registry: Registry,
    pub(super) keeper: Keeper,
    pub(super) intake: Ed25519Key,
    pub(super) comparer: Ed25519Key,
    pub(super) ci: Ed25519Key,
    pub(super) image: FileKey,
    pub(super) keys: HouseKeys,
    pub(super) rules: Rules,
    pub(super) config: SignerConfig,
    pub(super) commit: CommitId,
    pub(super) commit_object: Vec<u8>,
    pub(super) rebuild: Digest,
    pub(super) candidate: Digest,
    pub(super) trial: bool,
}

pub(super) struct Carry<'a> {
    pub(super) keeper: &'a mut Keeper,
    pub(super) calls: usize,
    /// Dies at this call, before or after it was persisted.
    pub(super) die: Option<(usize, bool)>,
}

impl Recorder for Carry<'_> {
    fn record(&mut self, submissions: Vec<Submission>, since: u64) -> Result<Appended, Failure> {
        self.calls += 1;
        let dead = || Failure::later("killed", "test");
        match self.die {
            Some((n, false)) if n == self.calls => Err(dead()),
            Some((n, true)) if n == self.calls => {
                self.keeper.append(submissions, since).unwrap();
                Err(dead())
            }
            _ => self.keeper.append(submissions, since),
        }
    }
    fn say(&mut self, _: &str) {}
}

pub(super) fn image_in(store: &Layout, word: &str, annotation: &str) -> Digest {
    let layer = store.put(oci::LAYER_GZIP, format!("layer {word}").as_bytes()).unwrap();
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": [word]},
        "rootfs": {"type": "layers", "diff_ids": [Digest::of(word.as_bytes())]}});
    let config = store.put(oci::CONFIG, &serde_json::to_vec(&config).unwrap()).unwrap();
    let mut manifest = json!({"schemaVersion": 2, "mediaType": oci::MANIFEST, "config": config, "layers": [layer]});
    if !annotation.is_empty() {
        manifest["annotations"] = json!({"word": annotation});
    }
    store.put(oci::MANIFEST, &serde_json::to_vec(&manifest).unwrap()).unwrap().digest
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().to_owned();
        let at = |p: &str| -> PathBuf {
            let p = state.join(p);
            std::fs::create_dir_all(&p).unwrap();
            p
        };
        let registry = Registry::start(at("registry")).unwrap();
        let keeper = Keeper::open(&at("public/log/tiles"), &at("public/log/own"), "t.example/log").unwrap();
        let image = FileKey::open(&at("public/signer/own")).unwrap();
        let (intake, comparer, ci) =
            (Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap(), Ed25519Key::generate().unwrap());
        let keys = HouseKeys {
            intake: intake.public(),
            comparers: vec![comparer.public()],
            log: keeper.vkey().clone(),
            image: image.public().into(),
        };
        let rebuilds = Layout::create(at("public/compare/out")).unwrap();
        let candidates = Layout::create(at("public/intake/candidates")).unwrap();
        let rebuild = image_in(&rebuilds, "app", "");
        let candidate = image_in(&candidates, "app", "");
        let rules = format!(
            "version = 1\n[[project]]\nname = \"hello\"\nbranch = \"main\"\nrepository = \"{}/prod/app\"\ntags = [\"latest\", \"{{commit}}\"]\nrequired_jobs = [\"test\"]\nproofs = [\"test-result\"]\nresult_keys = [\"\"\"{}\"\"\"]\nbases = [\"r.example/base@{}\"]\nleast_level = \"same-filesystem\"\nruntimes = [\"runc\"]\n",
            registry.host(),
            ci.public(),
            Digest::of(b"base")
        );
        let rules = Rules::parse(rules.as_bytes()).unwrap();
        let hosts = format!(
            "verifier_id = \"https://v.example\"\nkey = \"file\"\n[registry.\"{}\"]\nplain_http = true\n",
            registry.host()
        );
        let config: SignerConfig = toml::from_str(&hosts).unwrap();
        let tree = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        let commit_object =
            format!("tree {tree}\nauthor A <a@x> 1790000000 +0000\ncommitter A <a@x> 1790000000 +0000\n\nword\n")
                .into_bytes();
        let commit = object_id(&tree.parse().unwrap(), Kind::Commit, &commit_object);
        Self {
            folder,
            registry,
            keeper,
            intake,
            comparer,
            ci,
            image,
            keys,
            rules,
            config,
            commit,
            commit_object,
            rebuild,
            candidate,
            trial: true,
        }
    }

    pub(super) fn result(&self, passed: bool, attempt: u64) -> Vec<u8> {
        self.result_at(passed, attempt, Moment::now())
    }

    pub(super) fn result_at(&self, passed: bool, attempt: u64, at: Moment) -> Vec<u8> {
        let predicate = json!({"result": if passed {"PASSED"} else {"FAILED"},
            "configuration": [{"name": "run", "annotations": {"id": "1", "attempt": attempt, "finished": at.to_string()}}],
            "passedTests": if passed { vec!["test"] } else { vec![] }, "warnedTests": [], "failedTests": if passed { vec![] } else { vec!["test"] }});
        let predicate: TestResult = serde_json::from_value(predicate).unwrap();
        Statement::new(vec![Subject::commit("", &self.commit)], predicate).sign(&self.ci).unwrap().to_bytes()
    }

    pub(super) fn facts(&self, results: &[Vec<u8>]) -> Facts {
        let results = results.iter().map(|raw| {
            let e = artifact::dsse::Envelope::parse(raw).unwrap();
            Statement::<TestResult>::parse(&e.payload.0)
                .unwrap()
                .for_commit(&self.commit, self.ci.public().id(), Digest::of(raw))
                .unwrap()
        });
        Facts {
            lane: LaneName::Public,
            trial: self.trial,
            project: "hello".parse().unwrap(),
            source: "file:///srv/hello.git".into(),
            commit: self.commit.clone(),
            tree: "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().unwrap(),
            branch: "main".parse().unwrap(),
            position: Position::Head,
            head: self.commit.clone(),
            branch_checked: Moment::now(),
            rewritten: false,
            commit_signature: None,
            results: results.collect::<Vec<facts::TestResult>>(),
            unusable: vec![],
            candidate: Some(format!("s.example/app@{}", self.candidate).parse().unwrap()),
            dossier: Digest::of(b"dossier"),
            recipe: Digest::of(b"recipe"),
            bases: vec![format!("r.example/base@{}", Digest::of(b"base")).parse().unwrap()],
            stated: Moment::now(),
            nonce: "ab".repeat(16),
        }
    }

    pub(super) fn sandbox() -> Sandbox {
        Sandbox {
            runtime: "runc".into(),
            version: "1".into(),
            verdict: "known-good".into(),
            advisories: vec![],
            enforced: vec![],
            not_enforced: vec![],
        }
    }

    pub(super) fn comparison(&self, facts: &Facts, level: Level) -> Comparison {
        Comparison {
            lane: LaneName::Public,
            trial: self.trial,
            project: facts.project.clone(),
            commit: facts.commit.clone(),
            dossier: facts.dossier,
            nonce: facts.nonce.clone(),
            rebuild: self.rebuild,
            candidate: self.candidate,
            level,
            differences: vec![],
            differences_total: 0,
            runs: Runs { varied: vec![], not_varied: vec![], equal: true },
            run_differences: vec![],
            run_differences_total: 0,
            sandbox: Self::sandbox(),
            builder: "b".into(),
            finished: Moment::now(),
        }
    }

    pub(super) fn provenance(&self, facts: &Facts) -> Provenance {
        Provenance {
            build_definition: BuildDefinition {
                build_type: BUILD_TYPE_STEPS.into(),
                external_parameters: ExternalParameters {
                    source: facts.source.clone(),
                    commit: facts.commit.clone(),
                    recipe: ".countersign.toml".into(),
                },
                internal_parameters: InternalParameters {
                    lane: LaneName::Public,
                    project: facts.project.clone(),
                    trial: self.trial,
                    sandbox: Self::sandbox(),
                    packing: 1,
                },
                resolved_dependencies: vec![
                    Subject::commit("source", &facts.commit),
                    Subject::sha256("dossier", &facts.dossier),
                    Subject::sha256(&facts.bases[0].to_string(), &facts.bases[0].digest),
                ],
            },
            run_details: RunDetails {
                builder: Builder { id: "https://b.example".into() },
                metadata: Metadata {
                    invocation_id: facts.nonce.clone(),
                    started_on: Moment::now(),
                    finished_on: Moment::now(),
                },
            },
        }
    }

    /// Evidence, an honest decision on it (at `decided`), the permit recorded: what the coordinator asks with.
    pub(super) fn ask(
        &mut self,
        facts: &Facts,
        results: &[Vec<u8>],
        level: Level,
        previous: Option<Digest>,
        decided: Moment,
    ) -> (ReleaseAsk, u64) {
        let subject = vec![Subject::sha256("hello", &self.rebuild)];
        let comparison = self.comparison(facts, level);
        let c = Statement::new(subject.clone(), comparison.clone()).sign(&self.comparer).unwrap().to_bytes();
        let p = Statement::new(subject, self.provenance(facts)).sign(&self.comparer).unwrap().to_bytes();
        let f = Statement::new(vec![Subject::commit("", &self.commit)], facts.clone())
            .sign(&self.intake)
            .unwrap()
            .to_bytes();
        let rules = self.rules.project(&"hello".parse().unwrap()).unwrap();
        let attested = [Attested { envelope: Digest::of(&c), key: self.comparer.public().id(), says: &comparison }];
        let kept: Vec<facts::TestResult> =
            facts.results.iter().filter(|r| results.iter().any(|b| Digest::of(b) == r.envelope)).cloned().collect();
        let case = Case {
            lane: Public,
            trial: self.trial,
            rules: self.rules.digest(),
            nonce: &facts.nonce,
            facts,
            facts_envelope: Digest::of(&f),
            commit_signature: None,
            results: &kept,
            comparisons: &attested,
            previous,
        };
        let terms = match policy::decide(&case, rules, decided) {
            Decision::Permit(p) => p.into_terms(),
            Decision::Refusal(r) => panic!("{r:?}"),
        };
        let promotion = self.promotion();
        let index = self.append(Permit { promotion, terms }.into());
        let ask = ReleaseAsk {
            project: "hello".parse().unwrap(),
            permit: self.proven(index),
            recorded: vec![],
            consistency: vec![],
            facts: Base64(f),
            commit_object: Base64(self.commit_object.clone()),
            results: results.iter().cloned().map(Base64).collect(),
            comparisons: vec![Base64(c)],
            provenances: vec![Base64(p)],
        };
        (ask, index)
    }

    pub(super) fn promotion(&self) -> PromotionId {
        PromotionId(Digest::of(b"promotion"))
    }

    pub(super) fn append(&mut self, body: audit::entry::Body) -> u64 {
        self.keeper.append(vec![Submission::Body(body)], 0).unwrap().first
    }

    pub(super) fn proven(&mut self, index: u64) -> Proven {
        let receipt = self.keeper.prove(&[index], 0).unwrap().receipts.remove(0);
        let (_, entries) = Log::open(&self.folder.path().join("public/log/tiles"), &self.keys.log).unwrap();
        entries[index as usize].proven(receipt).unwrap()
    }

    /// Proofs as of now, with all that the log holds after the permit.
    pub(super) fn refresh(&mut self, ask: &mut ReleaseAsk, permit: u64) {
        let seen = FileStore::open(&self.folder.path().join("public/signer/own")).unwrap().load().unwrap().seen.size();
        self.refresh_since(ask, permit, seen);
    }

    /// The same, for a signer whose memory has seen so much.
    pub(super) fn refresh_since(&mut self, ask: &mut ReleaseAsk, permit: u64, seen: u64) {
        let (log, entries) = Log::open(&self.folder.path().join("public/log/tiles"), &self.keys.log).unwrap();
        let after: Vec<u64> = (permit + 1..log.checkpoint().size())
            .filter(|i| {
                entries[*i as usize].body().is_none_or(|b| matches!(b.name(), "attempt" | "signature" | "bundle"))
            })
            .collect();
        ask.permit = self.proven(permit);
        ask.recorded = after.iter().map(|i| self.proven(*i)).collect();
        ask.consistency = self.keeper.prove(&[], seen).unwrap().consistency;
    }

    pub(super) fn release(&mut self, ask: &ReleaseAsk, die: Option<(usize, bool)>) -> Result<Answer, Stop> {
        let store = FileStore::open(&self.folder.path().join("public/signer/own")).unwrap();
        let key = FileKey::open(&self.folder.path().join("public/signer/own")).unwrap();
        self.release_by(ask, &key, &store, die)
    }

    /// The same, by another key and another memory.
    pub(super) fn release_by(
        &mut self,
        ask: &ReleaseAsk,
        key: &dyn ImageKey,
        store: &dyn Store,
        die: Option<(usize, bool)>,
    ) -> Result<Answer, Stop> {
        let state = self.folder.path().to_owned();
        let signer =
            Signer { config: &self.config, rules: &self.rules, keys: &self.keys, trial: self.trial, state: &state };
        signer.release(ask, key, store, &mut Carry { keeper: &mut self.keeper, calls: 0, die })
    }

    pub(super) fn kinds(&self) -> Vec<&'static str> {
        let (_, entries) = Log::open(&self.folder.path().join("public/log/tiles"), &self.keys.log).unwrap();
        entries.iter().map(|e| e.body().map_or("rekor", |b| b.name())).collect()
    }

    pub(super) fn count(&self, kind: &str) -> usize {
        self.kinds().iter().filter(|k| **k == kind).count()
    }
}

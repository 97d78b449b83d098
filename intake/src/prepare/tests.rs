use super::*;
use crate::testkit::{Ground, local, test_result};
use artifact::failure::Retry;
use artifact::key::Ed25519Key;
use artifact::recipe;
use artifact::statement::Signed;
use std::fs;

const NONCE: &str = "000102030405060708090a0b0c0d0e0f";

/// A project that is green: a signed commit with a recipe, a test result, a base and a candidate.
struct Project {
    ground: Ground,
    ci: Ed25519Key,
}

impl Project {
    fn new() -> Self {
        let project = Self { ground: Ground::new(), ci: Ed25519Key::generate().unwrap() };
        let ground = &project.ground;
        ground.keygen("ann");
        let staging = ground.staging("ci/hello");
        let base = local(ground.push_image(&ground.staging("bases/b"), "b", "base"));
        let base = format!("{}@{base}", ground.staging("bases/b"));
        ground.write(recipe::PATH, &format!("version = 1\nbase = \"{base}\"\nsteps = [\"true\"]\n"));
        ground.write("main.c", "int main;");
        let intake = format!(
            "[[project]]\nname = \"hello\"\nsource = \"{}\"\nevidence = [\"file://{}\"]\ncandidate = \"{staging}\"\nsubmodules = [\"file://{}\"]\n[registry.\"{}\"]\nplain_http = true\n",
            ground.address(),
            ground.evidence().display(),
            ground.path("lib").display(),
            staging.registry()
        );
        fs::write(ground.config().join("intake.toml"), intake).unwrap();
        let rules = format!(
            "version = 1\n[[project]]\nname = \"hello\"\nbranch = \"main\"\nrepository = \"r.example/hello\"\ntags = [\"latest\"]\nrequired_jobs = [\"build\"]\nproofs = [\"commit-signature\"]\nresult_keys = [\"\"\"\n{}\"\"\"]\nallowed_signers = \"\"\"\nann@x {}\"\"\"\nbases = [\"{base}\"]\nleast_level = \"bit-for-bit\"\nruntimes = [\"runc\"]\n",
            project.ci.public(),
            fs::read_to_string(ground.path("ann.pub")).unwrap(),
        );
        fs::write(ground.config().join("rules.toml"), rules).unwrap();
        project
    }

    /// A signed commit that CI calls green.
    fn green(&self, message: &str) -> CommitId {
        let commit = self.ground.signed_commit(message, "ann");
        self.ground.leave(&format!("{commit}.json"), &test_result(&self.ci, &commit, "PASSED", 1));
        commit
    }

    fn ask(&self, ask: Ask) -> Result<Answer, Failure> {
        let room = self.ground.room();
        match local(room.answer(ask, &self.ground.config(), &mut |_| {})) {
            Answer::Failed(failure) => Err(failure),
            answer => Ok(answer),
        }
    }

    fn prepare(&self, commit: &CommitId) -> Result<(Facts, Answer), Failure> {
        let (project, nonce) = ("hello".parse().unwrap(), NONCE.to_owned());
        self.facts(self.ask(Ask::Prepare { project, commit: commit.clone(), nonce })?)
    }

    fn facts(&self, answer: Answer) -> Result<(Facts, Answer), Failure> {
        let Answer::Prepared { facts, .. } = &answer else { panic!("{answer:?}") };
        let facts = Signed::<Facts>::open(&facts.0, [&self.ground.room().public_key()]).unwrap();
        Ok((facts.says().clone(), answer))
    }

    fn code(&self, commit: &CommitId) -> (String, Retry) {
        let failure = self.prepare(commit).unwrap_err();
        (failure.code, failure.retry)
    }

    fn dossier(&self, digest: &Digest) -> Dossier {
        Dossier::open(&self.ground.room().dossiers, digest).unwrap()
    }
}

#[test]
fn a_green_commit_is_prepared_whole() {
    let project = Project::new();
    let commit = project.green("one");
    let digest = local(project.ground.push_image(&project.ground.staging("ci/hello"), commit.as_str(), "candidate"));
    let (facts, answer) = project.prepare(&commit).unwrap();
    let Answer::Prepared { commit_object, results, dossier, candidate, .. } = answer else { unreachable!() };
    assert_eq!((facts.position, facts.rewritten, facts.trial), (Position::Head, false, true));
    assert_eq!((&facts.commit, &facts.head, facts.nonce.as_str()), (&commit, &commit, NONCE));
    assert_eq!(facts.commit_signature.as_ref().unwrap().principal, "ann@x");
    assert_eq!(facts.results.len(), 1);
    assert_eq!(Digest::of(&results[0].0), facts.results[0].envelope);
    assert_eq!((candidate, facts.candidate.as_ref().unwrap().digest), (Some(digest), digest));
    assert_eq!(Commit::parse(&commit, &commit_object.0).unwrap().tree, facts.tree);
    let sealed = project.dossier(&dossier);
    assert_eq!((facts.dossier, &sealed.commit, sealed.recipe), (dossier, &commit, facts.recipe));
    assert_eq!(sealed.bases.iter().map(|b| b.pinned.clone()).collect::<Vec<_>>(), facts.bases);
    assert_eq!(sealed.evidence.len(), 1);
    // The candidate is in its own store, and not in the one that the builder sees.
    let room = project.ground.room();
    assert!(room.candidates.has(&digest) && !room.dossiers.has(&digest));
    drop(room);
    // The same again gives the same dossier.
    assert_eq!(project.prepare(&commit).unwrap().0.dossier, dossier);
}

#[test]
fn a_look_sees_what_changes() {
    let project = Project::new();
    let look = |commit: Option<&CommitId>| {
        project.ask(Ask::Look { project: "hello".parse().unwrap(), commit: commit.cloned() }).unwrap()
    };
    let first = project.ground.signed_commit("one", "ann");
    let Answer::Looked { head, commit, evidence, candidate, branch } = look(None) else { panic!() };
    assert_eq!((&head, &commit, branch.as_str()), (&first, &first, "main"));
    assert_eq!((evidence, candidate), (None, None));
    project.ground.leave("1.json", &test_result(&project.ci, &first, "PASSED", 1));
    let digest = local(project.ground.push_image(&project.ground.staging("ci/hello"), first.as_str(), "candidate"));
    let Answer::Looked { evidence: before, candidate, .. } = look(None) else { panic!() };
    assert_eq!(candidate, Some(digest));
    project.ground.leave("2.json", &test_result(&project.ci, &first, "FAILED", 2));
    let second = project.ground.commit("two");
    let Answer::Looked { evidence: after, head, commit, .. } = look(Some(&first)) else { panic!() };
    assert!(before.is_some() && after.is_some() && before != after);
    assert_eq!((head, commit), (second, first));
}

#[test]
fn a_commit_is_placed_by_git_and_rewritten_history_is_remembered() {
    let project = Project::new();
    let first = project.green("one");
    let second = project.green("two");
    assert_eq!(project.prepare(&first).unwrap().0.position, Position::FirstParentAncestor);
    // A side branch that was merged: an ancestor, but not by first parents.
    project.ground.run(&["checkout", "--quiet", "-b", "side"]);
    let side = project.green("side");
    project.ground.run(&["checkout", "--quiet", "main"]);
    assert_eq!(project.prepare(&side).unwrap().0.position, Position::Elsewhere);
    let third = project.green("three");
    project.ground.run(&["merge", "--quiet", "--no-edit", "side"]);
    let (facts, _) = project.prepare(&side).unwrap();
    assert_eq!((facts.position, facts.rewritten), (Position::Elsewhere, false));
    // A force-push, and on from there: seen, and not forgotten.
    project.ground.run(&["reset", "--quiet", "--hard", second.as_str()]);
    assert!(project.prepare(&second).unwrap().0.rewritten);
    let fourth = project.green("four");
    assert!(project.prepare(&fourth).unwrap().0.rewritten);
    assert_eq!(project.prepare(&third).unwrap().0.position, Position::Elsewhere);
}

#[test]
fn what_can_not_be_prepared_says_why() {
    let project = Project::new();
    let unknown: CommitId = "00000000000000000000000000000000000000aa".parse().unwrap();
    project.green("one");
    assert_eq!(project.code(&unknown), ("commit-unknown".into(), Retry::Never));
    let recipe = fs::read_to_string(project.ground.path("repo").join(recipe::PATH)).unwrap();
    project.ground.write(recipe::PATH, "version = 2");
    assert_eq!(project.code(&project.green("two")), ("recipe-invalid".into(), Retry::Never));
    fs::remove_file(project.ground.path("repo").join(recipe::PATH)).unwrap();
    assert_eq!(project.code(&project.green("three")), ("recipe-missing".into(), Retry::Never));
    std::os::unix::fs::symlink("main.c", project.ground.path("repo").join(recipe::PATH)).unwrap();
    assert_eq!(project.code(&project.green("four")), ("recipe-missing".into(), Retry::Never));
    fs::remove_file(project.ground.path("repo").join(recipe::PATH)).unwrap();
    project.ground.write(recipe::PATH, &recipe);
    let good = project.green("five");
    assert!(project.prepare(&good).is_ok());
    project.ground.run(&["branch", "-m", "main", "trunk"]);
    assert_eq!(project.code(&good), ("source-unavailable".into(), Retry::Later));
    fs::rename(project.ground.path("repo"), project.ground.path("gone")).unwrap();
    assert_eq!(project.code(&good), ("source-unavailable".into(), Retry::Later));
    let ask = Ask::Look { project: "other".parse().unwrap(), commit: None };
    let failure = project.ask(ask).unwrap_err();
    assert_eq!((failure.code.as_str(), failure.retry), ("usage", Retry::Later));
}

#[test]
fn a_base_that_is_not_allowed_is_stated_and_not_fetched() {
    let project = Project::new();
    let recipe = fs::read_to_string(project.ground.path("repo").join(recipe::PATH)).unwrap();
    let other = format!("{}@{}", project.ground.staging("bases/other"), Digest::of(b"other"));
    project.ground.write(recipe::PATH, &format!("{recipe}[image]\nbase = \"{other}\"\n"));
    let (facts, _) = project.prepare(&project.green("one")).unwrap();
    assert_eq!(facts.bases.len(), 2);
    assert_eq!(facts.bases[1].to_string(), other);
    assert_eq!(project.dossier(&facts.dossier).bases.len(), 1);
    assert_eq!(facts.candidate, None);
}

#[test]
fn an_unsigned_commit_is_stated_as_such() {
    let project = Project::new();
    let commit = project.ground.commit("unsigned");
    let (facts, _) = project.prepare(&commit).unwrap();
    assert_eq!((facts.commit_signature, facts.results.len()), (None, 0));
    project.ground.keygen("eve");
    let commit = project.ground.signed_commit("by a stranger", "eve");
    assert_eq!(project.prepare(&commit).unwrap().0.commit_signature, None);
}

#[test]
fn a_tree_that_tricks_a_checkout_is_refused() {
    let project = Project::new();
    project.green("one");
    let blob = project.ground.blob("x");
    for name in ["..", ".git"] {
        let tree = project.ground.raw_tree(&[("100644", name, &blob)]);
        let commit = project.ground.commit_tree(&tree);
        project.ground.run(&["update-ref", "refs/heads/main", commit.as_str()]);
        assert_eq!(project.code(&commit), ("source-refused".into(), Retry::Never), "{name}");
    }
    // Git itself has nothing against names that differ in case only.
    let tree = project.ground.raw_tree(&[("100644", "A", &blob), ("100644", "a", &blob)]);
    let commit = project.ground.commit_tree(&tree);
    project.ground.run(&["update-ref", "refs/heads/main", commit.as_str()]);
    assert_eq!(project.code(&commit), ("source-refused".into(), Retry::Never));
}

#[test]
fn restating_looks_again_and_keeps_the_dossier() {
    let project = Project::new();
    let commit = project.green("one");
    let (before, _) = project.prepare(&commit).unwrap();
    project.ground.leave("red.json", &test_result(&project.ci, &commit, "FAILED", 2));
    let digest = local(project.ground.push_image(&project.ground.staging("ci/hello"), commit.as_str(), "late"));
    let head = project.green("two");
    let restate = |commit: &CommitId, dossier| {
        let nonce = NONCE.to_owned();
        project.ask(Ask::Restate { project: "hello".parse().unwrap(), commit: commit.clone(), nonce, dossier })
    };
    let (after, answer) = project.facts(restate(&commit, before.dossier).unwrap()).unwrap();
    let Answer::Prepared { results, commit_object, .. } = answer else { unreachable!() };
    assert_eq!((after.position, &after.head), (Position::FirstParentAncestor, &head));
    assert_eq!((before.results.len(), after.results.len(), results.len()), (1, 2, 2));
    assert_eq!(after.candidate.unwrap().digest, digest);
    assert_eq!((after.dossier, after.recipe, after.bases), (before.dossier, before.recipe, before.bases));
    assert_eq!(after.commit_signature, before.commit_signature);
    assert!(Commit::parse(&commit, &commit_object.0).is_ok());
    assert_eq!(restate(&head, before.dossier).unwrap_err().code, "wrong-dossier");
    assert_eq!(restate(&commit, Digest::of(b"none")).unwrap_err().retry, Retry::Halt);
}

#[test]
fn submodules_come_from_listed_addresses_at_their_pinned_commits() {
    let project = Project::new();
    let ground = &project.ground;
    let lib = ground.path("lib");
    ground.run(&["init", "--quiet", "--bare", "-b", "main", lib.to_str().unwrap()]);
    project.green("first");
    ground.run(&["push", "--quiet", lib.to_str().unwrap(), "main"]);
    let pinned = ground.head();
    ground.run(&["submodule", "--quiet", "add", "-b", "main", &format!("file://{}", lib.display()), "third/lib"]);
    let commit = project.green("with a submodule");
    let (facts, _) = project.prepare(&commit).unwrap();
    let submodules = project.dossier(&facts.dossier).submodules;
    assert_eq!((submodules.len(), submodules[0].path.as_str()), (1, "third/lib"));
    assert_eq!(submodules[0].commit, pinned);
    // Outside, the work tree's own clone of it serves; the address is not asked.
    fs::rename(&lib, ground.path("moved")).unwrap();
    let sealed = project.ask(Ask::Seal { source: ground.path("repo"), commit: None }).unwrap();
    let Answer::Sealed { dossier, commit: of, .. } = sealed else { panic!() };
    assert_eq!((project.dossier(&dossier).submodules, of), (submodules, commit));
    let modules = fs::read_to_string(ground.path("repo/.gitmodules")).unwrap();
    ground.write(".gitmodules", &modules.replace(&format!("file://{}\n", lib.display()), "file:///elsewhere\n"));
    assert_eq!(project.code(&project.green("elsewhere")), ("submodule-not-allowed".into(), Retry::Never));
    ground.write(".gitmodules", "");
    assert_eq!(project.code(&project.green("silent")), ("submodules-invalid".into(), Retry::Never));
}

#[test]
fn sealing_needs_no_rules_and_takes_what_is_committed() {
    let project = Project::new();
    let first = project.ground.commit("one");
    fs::remove_file(project.ground.config().join("rules.toml")).unwrap();
    project.ground.write("main.c", "not committed");
    let seal = |source: &str, commit: Option<CommitId>| match project
        .ask(Ask::Seal { source: project.ground.path(source), commit })
        .ok()?
    {
        Answer::Sealed { dossier, commit, tree } => Some((dossier, commit, tree)),
        other => panic!("{other:?}"),
    };
    let (dossier, commit, tree) = seal("repo", None).unwrap();
    assert_eq!(commit, first);
    let sealed = project.dossier(&dossier);
    assert_eq!((sealed.tree, sealed.bases.len(), sealed.evidence.len()), (tree, 1, 0));
    let second = project.ground.commit("two");
    assert_eq!(seal("repo", Some(first.clone())).unwrap().1, first);
    project.ground.run(&["clone", "--quiet", "--bare", ".", project.ground.path("bare copy").to_str().unwrap()]);
    assert_eq!(seal("bare copy", None).unwrap().1, second);
    assert!(seal("evidence", None).is_none());
    assert!(project.ask(Ask::Seal { source: "relative".into(), commit: None }).is_err());
}

#[test]
fn a_repository_of_sha_256_is_read_as_well() {
    let ground = Ground::new();
    fs::remove_dir_all(ground.repository()).unwrap();
    ground.run(&["init", "--quiet", "-b", "main", "--object-format=sha256"]);
    let base = Digest::of(b"base");
    ground.write(recipe::PATH, &format!("version = 1\nbase = \"r.example/b@{base}\"\nsteps = [\"true\"]\n"));
    let commit = ground.commit("one");
    let room = ground.room();
    let ask = Ask::Seal { source: ground.path("repo"), commit: None };
    let Answer::Failed(failure) = local(room.answer(ask, &ground.config(), &mut |_| {})) else { panic!() };
    // As far as the base, which no list has.
    assert_eq!(failure.code, "base-unavailable", "{failure}");
    assert_eq!(commit.as_str().len(), 64);
}

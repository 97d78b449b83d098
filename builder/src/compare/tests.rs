mod properties;

use artifact::Digest;
use artifact::layout::Layout;
use artifact::oci::Platform;
use artifact::recipe;

use super::*;
use crate::image::{Parts, assemble};
use crate::pack::pack;

struct Ground {
    _folder: tempfile::TempDir,
    scratch: Scratch,
    store: Layout,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(folder.path().join("scratch")).unwrap();
        let store = Layout::create(folder.path().join("store")).unwrap();
        Self { _folder: folder, scratch, store }
    }

    fn file(&self, text: &str) -> Node {
        Node { kind: Kind::File(self.scratch.put(text.as_bytes()).unwrap()), ..Node::implied() }
    }

    fn image(&self, tree: &Tree, source_date: i64, command: &str) -> (Image, Tree) {
        let packed = pack(tree, &self.scratch, source_date, 1, &self.store).unwrap();
        let recipe = recipe::Image { cmd: vec![command.into()], ..recipe::Image::default() };
        let platform = Platform { architecture: "amd64".into(), os: "linux".into(), variant: None };
        let parts = Parts { base: None, platform, packed: &packed, recipe: &recipe, source_date };
        let made = assemble(&parts, &self.store).unwrap();
        let image = Image::open(&self.store, &made.digest).unwrap();
        let tree = image.tree(&self.store, &self.scratch).unwrap();
        (image, tree)
    }

    fn told(&self, ours: Node, theirs: Node) -> Vec<(String, String, String)> {
        let tree = |node| Tree::from([(b"f".to_vec(), node)]);
        let found = trees(&tree(ours), &tree(theirs), &self.scratch).unwrap();
        found.listed().into_iter().map(|d| (d.kind, d.rebuild, d.candidate)).collect()
    }
}

fn one(kind: &str, rebuild: &str, candidate: &str) -> Vec<(String, String, String)> {
    vec![(kind.into(), rebuild.into(), candidate.into())]
}

#[test]
fn every_level_is_reached() {
    let ground = Ground::new();
    let mut tree = Tree::from([(b"f".to_vec(), Node { mtime: 7, ..ground.file("x") })]);
    let level = |a: &(Image, Tree), b: &(Image, Tree)| {
        images((&a.0, &a.1), (&b.0, &b.1), &ground.scratch).map(|(level, found)| (level, found.total())).unwrap()
    };
    let ours = ground.image(&tree, 9, "run");
    assert_eq!(level(&ours, &ground.image(&tree, 9, "run")), (Level::BitForBit, 0));
    let mut worded = ground.image(&tree, 9, "run");
    worded.0.config.history.push("words".into());
    worded.0.digest = Digest::of(b"another manifest");
    assert_eq!(level(&ours, &worded), (Level::SameLayers, 0));
    assert_eq!(level(&ours, &ground.image(&tree, 5, "run")), (Level::SameFilesystem, 0));
    assert_eq!(level(&ours, &ground.image(&tree, 9, "other")), (Level::Diverged, 1));
    tree.insert(b"g".to_vec(), ground.file("y"));
    assert_eq!(level(&ours, &ground.image(&tree, 9, "other")), (Level::Diverged, 2));
}

#[test]
fn each_kind_of_difference_is_told() {
    let ground = Ground::new();
    let file = ground.file("same");
    let with = |kind| Node { kind, ..Node::implied() };
    let xattr = |name: &str| Node { xattrs: [(name.into(), b"v\x01".to_vec())].into(), ..file.clone() };
    let mode = |mode| Node { mode, ..file.clone() };
    assert_eq!(ground.told(file.clone(), Node { mtime: 99, ..file.clone() }), []);
    assert_eq!(ground.told(file.clone(), mode(0o700)), one("mode", "0755", "0700"));
    assert_eq!(ground.told(file.clone(), mode(0o4755)), one("setuid", "0755", "4755"));
    assert_eq!(ground.told(file.clone(), Node { uid: 7, ..file.clone() }), one("owner", "0:0", "7:0"));
    let capability = one("capability", "", r"security.capability=v\x01");
    assert_eq!(ground.told(file.clone(), xattr("security.capability")), capability);
    assert_eq!(ground.told(xattr("user.a"), file.clone()), one("xattr", r"user.a=v\x01", ""));
    let links = ground.told(with(Kind::Symlink(b"a".into())), with(Kind::Symlink(b"\x1b".into())));
    assert_eq!(links, one("link-target", "a", r"\x1b"));
    assert_eq!(ground.told(with(Kind::Char(1, 3)), with(Kind::Char(1, 5))), one("device", "1:3", "1:5"));
    let kinds = one("type", "pipe, mode 0755, owner 0:0", "folder, mode 0755, owner 0:0");
    assert_eq!(ground.told(with(Kind::Fifo), with(Kind::Folder)), kinds);
    let long = "=".repeat(65_530) + "at 13:54:3";
    let contents = ground.told(ground.file(&format!("{long}a\n")), ground.file(&format!("{long}{}", "b".repeat(99))));
    let [(kind, ours, theirs)] = &contents[..] else { panic!("{contents:?}") };
    assert_eq!(kind, "content");
    let at = " at 65540, after ==============at 13:54:3: ";
    assert!(ours.ends_with(&format!(r"{at}a\x0a")) && ours.find(at) == Some(12), "{ours}");
    assert!(theirs.ends_with(&format!("{at}{}", "b".repeat(24))), "{theirs}");
    let shorter = ground.told(ground.file("ab"), ground.file("abc"));
    assert!(shorter[0].1.ends_with(" at 2, after ab: ") && shorter[0].2.ends_with(" at 2, after ab: c"), "{shorter:?}");
    let other = ground.told(ground.file(""), ground.file("c"));
    assert!(other[0].1.ends_with(" at 0: ") && other[0].2.ends_with(" at 0: c"), "{other:?}");
}

#[test]
fn hard_links_and_missing_files_are_told() {
    let ground = Ground::new();
    let tree = |groups: [u64; 2]| -> Tree {
        let node = |group| Node { group, ..ground.file("x") };
        [(b"a".to_vec(), node(groups[0])), (b"b".to_vec(), node(groups[1]))].into()
    };
    let found = trees(&tree([1, 1]), &tree([0, 0]), &ground.scratch).unwrap();
    assert_eq!((found.total(), &found.listed()[0].kind[..]), (2, "hard-link"));
    assert!(trees(&tree([1, 1]), &tree([5, 5]), &ground.scratch).unwrap().is_empty());
    let found = trees(&tree([0, 0]), &Tree::new(), &ground.scratch).unwrap().listed();
    assert!(found.iter().all(|d| d.kind == "only-in-rebuild" && d.candidate.is_empty()));
    let found = trees(&Tree::new(), &tree([0, 0]), &ground.scratch).unwrap().listed();
    assert!(found.iter().all(|d| d.kind == "only-in-candidate" && d.rebuild.is_empty()));
    let open = Tree::from([(Vec::new(), Node { mode: 0o777, ..Node::implied() })]);
    assert_eq!(trees(&Tree::new(), &open, &ground.scratch).unwrap().listed()[0].kind, "mode");
}

#[test]
fn what_gives_rights_is_listed_first_and_the_rest_is_counted() {
    let ground = Ground::new();
    let mut theirs: Tree = (0..300).map(|i| (format!("f{i:03}").into_bytes(), ground.file("x"))).collect();
    theirs.insert(b"z".to_vec(), Node { mode: 0o4755, ..ground.file("x") });
    let found = trees(&Tree::new(), &theirs, &ground.scratch).unwrap();
    assert_eq!(found.total(), 301);
    let listed = found.listed();
    assert_eq!((listed.len(), &listed[0].path[..]), (LISTED, "z"));
}

#[test]
fn a_configuration_that_runs_differently_is_told_and_empty_words_are_not() {
    let parse = |config: &str| {
        let whole = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"config":"#;
        ImageConfig::parse(format!("{whole}{config}}}").as_bytes()).unwrap()
    };
    let told = |ours: &str, theirs: &str| {
        let mut found = Differences::default();
        configs(&parse(ours), &parse(theirs), &mut found);
        found.listed().into_iter().map(|d| d.path).collect::<Vec<_>>()
    };
    for (ours, theirs, name) in [
        (r#"{"Env":["A=1","B=2"]}"#, r#"{"Env":["B=2","A=1"]}"#, "Env"),
        (r#"{"Env":["A=1","A=2"]}"#, r#"{"Env":["A=2"]}"#, "Env"),
        (r#"{"Cmd":["a","b"]}"#, r#"{"Cmd":["a b"]}"#, "Cmd"),
        (r#"{"User":"0"}"#, "{}", "User"),
        (r#"{"Volumes":{"/d":{}}}"#, r#"{"Volumes":{}}"#, "Volumes"),
        (r#"{"ExposedPorts":{"1/tcp":{}}}"#, r#"{"ExposedPorts":{"1/udp":{}}}"#, "ExposedPorts"),
        (r#"{"Healthcheck":{"Test":["NONE"]}}"#, "{}", "Healthcheck"),
        (r#"{"ArgsEscaped":true}"#, "{}", "ArgsEscaped"),
        (r#"{"OnBuild":["RUN x"]}"#, "{}", "OnBuild"),
        (r#"{"Shell":["/bin/sh"]}"#, "{}", "Shell"),
        (r#"{"Whatever":1}"#, r#"{"Whatever":2}"#, "Whatever"),
    ] {
        assert_eq!(told(ours, theirs), [format!("config.{name}")]);
    }
    let empty = r#"{"Env":null,"Cmd":[],"Volumes":null,"Labels":{},"ArgsEscaped":false,"OnBuild":null,"User":""}"#;
    assert!(told(empty, "{}").is_empty() && told("{}", "null").is_empty());
}

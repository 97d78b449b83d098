//! People's orders, by the real binaries and the real `ssh-keygen -Y sign`: what counts, what does not, and what comes of it.

mod effects;
mod refusals;
mod resigning;
mod rotation;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use demo::command::{Ran, run};
use demo::perimeter::Orders;
use serde_json::Value;

use crate::scene::Scene;

/// A perimeter in which two people are asked: ann, who has two keys, and ben. Carol's time is over, dan signs commits, and
/// eve is on no line.
pub(crate) struct Office {
    pub(crate) scene: Scene,
    folder: PathBuf,
    keys: PathBuf,
}

impl Office {
    fn new() -> Self {
        Self::of(Scene::new())
    }

    /// In this perimeter.
    pub(crate) fn of(mut scene: Scene) -> Self {
        let above = scene.world.perimeter.state().parent().unwrap().to_owned();
        let (folder, keys) = (above.join("orders"), above.join("people"));
        for made in [&folder, &keys] {
            fs::create_dir(made).unwrap();
            fs::set_permissions(made, fs::Permissions::from_mode(0o755)).unwrap();
        }
        for who in ["ann", "ann-2", "ben", "carol", "dan", "eve"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(keys.join(who))).unwrap();
        }
        let line = |name: &str, options: &str, key: &str| {
            let public = fs::read_to_string(keys.join(format!("{key}.pub"))).unwrap();
            format!("{name}@example.org {options} {public}")
        };
        let ours = "namespaces=\"countersign-order@v1\"";
        let allowed_signers = [
            line("ann", ours, "ann"),
            line("ann", ours, "ann-2"),
            line("ben", ours, "ben"),
            line("carol", &format!("{ours},valid-before=20200101Z"), "carol"),
            line("dan", "namespaces=\"git\"", "dan"),
        ];
        scene.world.settings.orders = Some(Orders {
            folder: folder.clone(),
            allowed_signers: allowed_signers.concat(),
            people: 2,
            resign_per_pass: Some(2),
        });
        scene.world.configure().unwrap();
        Self { scene, folder, keys }
    }

    /// `countersign order …`, however it ends.
    fn try_order(&self, words: &[&str]) -> Ran {
        self.scene.world.perimeter.countersign(&[&["order"], words].concat()).unwrap()
    }

    /// The statement of an order, written into the folder under this name.
    fn order(&self, name: &str, words: &[&str]) -> PathBuf {
        let path = self.folder.join(name);
        let terms = ["--reason", "a test", "--expires", "1h", "--out", path.to_str().unwrap()];
        let ran = self.try_order(&[words, &terms].concat());
        assert_eq!(ran.status, 0, "{}", ran.stderr);
        assert!(ran.stderr.contains("ssh-keygen -Y sign -n countersign-order@v1"), "{}", ran.stderr);
        path
    }

    /// Has people sign what lies there, each beside it.
    fn sign(&self, statement: &Path, people: &[&str]) {
        people.iter().for_each(|who| self.sign_for(statement, who, "countersign-order@v1"));
    }

    fn sign_for(&self, statement: &Path, who: &str, namespace: &str) {
        let signature = PathBuf::from(format!("{}.{who}.sig", statement.display()));
        let signed = Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(self.keys.join(who))
            .stdin(fs::File::open(statement).unwrap())
            .stdout(fs::File::create(signature).unwrap())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(signed.success());
    }

    /// One pass that ends well, and what it said.
    fn pass(&self) -> String {
        self.scene.once(0).stderr
    }

    /// The indexes of the entries of a kind.
    fn indexes(&self, kind: &str) -> Vec<u64> {
        let of_kind = |entry: &Value| (entry["kind"] == kind).then(|| entry["index"].as_u64().unwrap());
        self.scene.entries().iter().filter_map(of_kind).collect()
    }

    /// An entry's body.
    fn body(&self, index: u64) -> Value {
        let shown = self.scene.world.perimeter.countersign(&["log", "show", &index.to_string()]).unwrap();
        assert_eq!(shown.status, 0, "{}", shown.stderr);
        shown.json().unwrap()
    }
}

/// Whether a text is in any file of a folder.
fn holds(folder: &Path, text: &str) -> bool {
    fs::read_dir(folder).unwrap().map(Result::unwrap).any(|entry| match entry.file_type().unwrap() {
        kind if kind.is_dir() => holds(&entry.path(), text),
        kind if kind.is_file() => {
            let bytes = fs::read(entry.path()).unwrap();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        }
        _ => false,
    })
}

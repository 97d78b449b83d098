//! The same tests again, as the user `nobody`, on copies of the binaries where nobody may read them.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Who owns nothing.
const NOBODY: u32 = 65_534;

/// Runs tests of this binary as an ordinary user, one after the other, by these arguments. As an ordinary user it does
/// nothing: then every test was one of an ordinary user.
pub fn repeat(arguments: &[&str], passed: usize) {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let place = |name: &str| folder.path().join(name);
    fs::create_dir_all(place("bin/deps")).unwrap();
    fs::create_dir(place("home")).unwrap();
    chown(place("home"), Some(NOBODY), Some(NOBODY)).unwrap();
    for entry in fs::read_dir(crate::binaries()).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with("countersign") && !name.contains('.') {
            fs::copy(entry.path(), place("bin").join(name)).unwrap();
        }
    }
    fs::copy(std::env::current_exe().unwrap(), place("bin/deps/house")).unwrap();
    let mut command = Command::new(place("bin/deps/house"));
    command.args(arguments).arg("--test-threads=1");
    command.uid(NOBODY).gid(NOBODY).current_dir("/").env_remove("XDG_CACHE_HOME");
    let ran = command.env("HOME", place("home")).env("TMPDIR", place("home")).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success() && said.contains(&format!("{passed} passed")), "{said}");
}

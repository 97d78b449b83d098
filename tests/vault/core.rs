//! The memory of a signer that is done, read from outside as a core would have it.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use artifact::key::P256Key;
use demo::command::run;
use serde_json::json;

use super::signs::{ROLE, Vaulted};

/// How long a process is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// The signer of this state folder, as soon as there is one.
fn signer(state: &Path) -> u32 {
    let state = state.to_string_lossy().into_owned();
    wait("a signer", || {
        let processes = fs::read_dir("/proc").unwrap().flatten().filter_map(|e| e.file_name().to_str()?.parse().ok());
        processes.into_iter().find(|pid: &u32| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line);
            let program = line.split('\0').next().unwrap_or_default();
            program.ends_with("countersign-signer") && line.contains(&state)
        })
    })
}

fn wait<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        match there() {
            Some(found) => return found,
            None => assert!(start.elapsed() < PATIENCE, "no sign of {what}"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn signal(name: &str, pid: u32) {
    run(Command::new("kill").args([name, &pid.to_string()])).unwrap();
}

/// What the process has in memory when it makes a call for the first time from now on. It is stopped afterwards.
fn memory_at(call: &str, numbers: [&str; 2], pid: u32, go: impl FnOnce()) -> Vec<u8> {
    let mut tracer = Command::new("strace");
    let inject = format!("inject={call}:delay_enter=60000000:when=1");
    tracer.args(["-qq", "-f", "-e", &format!("trace={call}"), "-e", &inject, "-p", &pid.to_string()]);
    let mut tracer = tracer.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait("the tracer", || {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        (!status.contains("TracerPid:\t0\n")).then_some(())
    });
    signal("-CONT", pid);
    go();
    // It is held where it enters the call.
    let mut before = String::new();
    wait(call, || {
        let now = fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let same = now == before && numbers.iter().any(|number| now.starts_with(number));
        before = now;
        std::thread::sleep(Duration::from_millis(20));
        same.then_some(())
    });
    let memory = memory(pid);
    signal("-STOP", pid);
    tracer.kill().unwrap();
    tracer.wait().unwrap();
    memory
}

/// All that the process can read: heap, stacks, programs and their data.
fn memory(pid: u32) -> Vec<u8> {
    let mut file = File::open(format!("/proc/{pid}/mem")).unwrap();
    let mut all = Vec::new();
    for line in fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines() {
        let mut words = line.split_ascii_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with('r') || line.contains("[v") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let (from, to) = (u64::from_str_radix(from, 16).unwrap(), u64::from_str_radix(to, 16).unwrap());
        file.seek(SeekFrom::Start(from)).unwrap();
        let before = all.len();
        all.resize(before + usize::try_from(to - from).unwrap(), 0);
        file.read_exact(&mut all[before..]).unwrap();
    }
    all
}

fn holds(memory: &[u8], secret: &[u8]) -> usize {
    assert!(secret.len() >= 8);
    memory.windows(secret.len()).filter(|window| *window == secret).count()
}

#[test]
fn a_core_of_a_signer_that_is_done_holds_neither_token_nor_key_nor_password() {
    let mut vaulted = Vaulted::new("vault-kv");
    let folder = vaulted.vault.ca().parent().unwrap().to_owned();
    let pem = run(Command::new("openssl").args(["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]));
    let pem = pem.unwrap().stdout;
    vaulted.vault.write("secret/data/countersign/key", &json!({ "data": { "private_key": pem } })).unwrap();
    let password = "a password of production's registry";
    let login = json!({ "data": { "username": "countersign", "password": password } });
    vaulted.vault.write("secret/data/countersign/registry/prod", &login).unwrap();
    // The token's letters are known to the test because an agent has it; else it is a token like any other.
    let mut command =
        vaulted.vault.command(&["token", "create", "-format=json", "-orphan", "-no-default-policy", "-ttl=10m"]);
    let made = run(command.arg(format!("-policy={ROLE}"))).unwrap().json().unwrap();
    let token = made["auth"]["client_token"].as_str().unwrap().to_owned();
    let file = folder.join("token");
    fs::write(&file, &token).unwrap();
    let registry = vaulted.scene.world.production.host();
    vaulted.login(
        &format!("[vault.login.agent]\ntoken_file = {file:?}\n[vault.registry]\n\"{registry}\" = \"prod\"\n"),
        &[&file],
    );
    vaulted.vault.policy(ROLE, &vaulted.policy()).unwrap();
    vaulted.scene.world.keys().unwrap();

    // A Vault that is sealed holds the signer up until its tracer is there.
    vaulted.scene.green("one");
    let signer_toml = vaulted.scene.world.perimeter.config().join("signer.toml");
    let patient = fs::read_to_string(&signer_toml).unwrap().replace("wait_seconds = 2\n", "wait_seconds = 60\n");
    vaulted.scene.world.perimeter.write("signer.toml", &patient).unwrap();
    vaulted.vault.seal().unwrap();
    let perimeter = &vaulted.scene.world.perimeter;
    let mut pass = perimeter.command(&["once"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let pid = signer(perimeter.state());
    // Its memory's first file is written when it has the token, the password and the key.
    let during = memory_at("fsync", ["74 ", "82 "], pid, || vaulted.vault.unseal().unwrap());
    let memory = memory_at("exit_group", ["231 ", "94 "], pid, || {});
    // It may be gone already.
    let _ = Command::new("kill").args(["-CONT", &pid.to_string()]).stderr(Stdio::null()).status();
    pass.wait().unwrap();
    vaulted.scene.verify(":latest", 0);

    // Found while it is needed, or this test would find nothing ever.
    for secret in [token.as_bytes(), password.as_bytes()] {
        assert!(holds(&during, secret) > 0, "{}", during.len());
    }
    let mut scalar = P256Key::from_pem(&pem).unwrap().seed().to_vec();
    let letters: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let mut found =
        vec![("token", holds(&memory, token.as_bytes())), ("password", holds(&memory, password.as_bytes()))];
    // Letters of the scalar in PEM, up to the end of a line.
    found.push(("pem", holds(&memory, &letters.as_bytes()[48..64])));
    found.push(("key", holds(&memory, &scalar)));
    scalar.reverse();
    found.push(("key, its words", holds(&memory, &scalar)));
    assert!(found.iter().all(|(_, times)| *times == 0), "{found:?}");
}

//! A real OpenBao on loopback, over TLS: transit with a signing key, KV, AppRole, and an audit log that names attempts.
//!
//! It is driven by its own client, as root. The server is the peer `openbao` of `tests/peers`, fetched when it is not there.

pub mod proxy;
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use artifact::digest::Base64;
use artifact::{Digest, durable};
use serde_json::{Value, json};

use crate::command::{ran, run};
use crate::perimeter::Kept;
use crate::trouble::{During as _, Trouble};

/// The transit engine's signing key.
pub const KEY: &str = "countersign";

/// The request header that the audit log keeps as it is; HTTP knows no case, and the audit log has it in small letters.
pub const HEADER: &str = "x-countersign-attempt";

/// An OpenBao, unsealed, running until it is dropped. What it holds stays in its folder.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    bao: PathBuf,
    ports: server::Ports,
    running: Option<Child>,
    root: String,
    share: String,
}

impl Vault {
    /// A new one in this folder, with the engines `transit` (and the key [`KEY`] of P-256 in it) and `secret` (KV v2), the
    /// login `approle`, and an audit log that keeps [`HEADER`].
    ///
    /// # Errors
    /// When the server can't be fetched, does not start, or refuses one of these.
    pub fn start(folder: &Path) -> Result<Self, Trouble> {
        durable::create_folder(folder).during(folder.display())?;
        let folder = fs::canonicalize(folder).during(folder.display())?;
        let bao = server::program()?;
        server::certificates(&folder)?;
        let (ports, running) = server::first(&bao, &folder)?;
        let (root, share) = (String::new(), String::new());
        let mut vault = Self { folder, bao, ports, running: Some(running), root, share };
        let init = ["operator", "init", "-format=json", "-key-shares=1", "-key-threshold=1"];
        let made = run(&mut vault.command(&init))?.json()?;
        vault.root = text(&made, "/root_token")?;
        vault.share = text(&made, "/unseal_keys_b64/0")?;
        vault.unseal()?;
        vault.set_up()?;
        Ok(vault)
    }

    fn set_up(&self) -> Result<(), Trouble> {
        self.write(&format!("sys/config/auditing/request-headers/{HEADER}"), &json!({ "hmac": false }))?;
        self.write("sys/mounts/transit", &json!({ "type": "transit" }))?;
        self.write(&format!("transit/keys/{KEY}"), &json!({ "type": "ecdsa-p256" }))?;
        self.write("sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "2" } }))?;
        self.write("sys/auth/approle", &json!({ "type": "approle" }))?;
        Ok(())
    }

    /// `https://127.0.0.1:PORT`: the same after a restart.
    pub fn address(&self) -> String {
        server::address(self.ports.api)
    }

    /// The same without TLS, for a [`proxy::Proxy`] that is to see requests.
    pub fn plain(&self) -> std::net::SocketAddr {
        (std::net::Ipv4Addr::LOCALHOST, self.ports.plain).into()
    }

    /// The certificate of the authority that signed the server's, as PEM.
    pub fn ca(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// That authority's key, as PEM: for clients' certificates.
    pub fn ca_key(&self) -> PathBuf {
        self.folder.join("ca.key")
    }

    /// The audit log.
    pub fn audit(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// The token that may do everything.
    pub fn root_token(&self) -> &str {
        &self.root
    }

    /// A command of OpenBao's own client, as root, with nothing of this process' environment.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = server::client(&self.bao, &self.folder, self.ports.api);
        command.args(arguments);
        if !self.root.is_empty() {
            command.env("BAO_TOKEN", &self.root);
        }
        command
    }

    /// Writes to a path, and says what was answered: null when that was nothing.
    ///
    /// # Errors
    /// When it is refused.
    pub fn write(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.write_with(path, body, &[])
    }

    /// Writes to a path, with headers of HTTP.
    ///
    /// # Errors
    /// When it is refused.
    pub fn write_with(&self, path: &str, body: &Value, headers: &[(&str, &str)]) -> Result<Value, Trouble> {
        // The client takes a body from a file; so no secret stands in a command line either.
        let mut file = tempfile::NamedTempFile::new_in(&self.folder).during(self.folder.display())?;
        serde_json::to_writer(&mut file, body).map_err(Trouble::wrong)?;
        let mut command = self.command(&["write", "-format=json"]);
        command.args(headers.iter().map(|(name, value)| format!("-header={name}={value}")));
        answer(command.arg(path).arg(format!("@{}", file.path().display())))
    }

    /// Reads a path.
    ///
    /// # Errors
    /// When it is refused, or nothing is there.
    pub fn read(&self, path: &str) -> Result<Value, Trouble> {
        answer(&mut self.command(&["read", "-format=json", path]))
    }

    /// Has transit sign a digest with [`KEY`]'s latest version, for an attempt or for none; the answer's `data`.
    ///
    /// # Errors
    /// When it is refused.
    pub fn sign(&self, digest: &Digest, attempt: Option<&str>) -> Result<Value, Trouble> {
        let body = json!({
            "input": Base64(digest.raw().to_vec()), "prehashed": true, "marshaling_algorithm": "asn1",
        });
        let headers: Vec<_> = attempt.iter().map(|id| (HEADER, *id)).collect();
        let answer = self.write_with(&format!("transit/sign/{KEY}/sha2-256"), &body, &headers)?;
        answer.get("data").cloned().ok_or_else(|| Trouble::wrong(format!("an answer without data: {answer}")))
    }

    /// Makes a policy, or another of it.
    ///
    /// # Errors
    /// When it is none.
    pub fn policy(&self, name: &str, rules: &str) -> Result<(), Trouble> {
        self.write(&format!("sys/policies/acl/{name}"), &json!({ "policy": rules })).map(drop)
    }

    /// Makes an AppRole of one policy and no other, whose tokens live five minutes; its role id, and the file of mode 600
    /// in which its secret id is.
    ///
    /// # Errors
    /// When it is refused, or the file can't be written.
    pub fn approle(&self, role: &str, policy: &str) -> Result<(String, PathBuf), Trouble> {
        let path = format!("auth/approle/role/{role}");
        let terms = json!({ "token_policies": [policy], "token_no_default_policy": true, "token_ttl": "5m" });
        self.write(&path, &terms)?;
        let id = text(&self.read(&format!("{path}/role-id"))?, "/data/role_id")?;
        let secret = text(&self.write(&format!("{path}/secret-id"), &json!({}))?, "/data/secret_id")?;
        let file = self.folder.join(format!("{role}.secret-id"));
        durable::replace(&file, secret.as_bytes(), 0o600).during(file.display())?;
        Ok((id, file))
    }

    /// What a signer is configured with to have its key (`vault-transit`, `vault-kv`) and its memory here, by an AppRole of
    /// this name, whose policy has that name as well and may be still to come.
    ///
    /// # Errors
    /// As [`Vault::approle`].
    pub fn kept(&self, key: &'static str, role: &str) -> Result<Kept, Trouble> {
        let (id, file) = self.approle(role, role)?;
        // The signer's own uid reads it.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).during(file.display())?;
        let login = by_approle(&id, &file);
        Ok(Kept { key, vault: self.table(key, &login), files: vec![self.ca(), file] })
    }

    /// `[vault]` of `signer.toml`, with this login.
    pub fn table(&self, key: &str, login: &str) -> String {
        let transit = match key {
            "vault-transit" => format!("[vault.transit]\nkey = \"{KEY}\"\nversion = 1\n"),
            _ => String::new(),
        };
        format!(
            "[vault]\naddress = \"{}\"\nca = {:?}\nwait_seconds = 2\n{transit}[vault.kv]\npath = \"countersign\"\n{login}",
            self.address(),
            self.ca()
        )
    }

    /// Makes a new version of [`KEY`], and says which.
    ///
    /// # Errors
    /// When it is refused.
    pub fn rotate(&self) -> Result<u64, Trouble> {
        self.write(&format!("transit/keys/{KEY}/rotate"), &json!({}))?;
        let key = self.read(&format!("transit/keys/{KEY}"))?;
        let latest = key.pointer("/data/latest_version").and_then(Value::as_u64);
        latest.ok_or_else(|| Trouble::wrong(format!("a key without a latest version: {key}")))
    }

    /// Begins another audit log, as logrotate does; the one of before is at this path now.
    ///
    /// # Errors
    /// When a file can't be moved, or the server does not begin another.
    pub fn rotate_audit(&self, aside: &str) -> Result<PathBuf, Trouble> {
        let aside = self.folder.join(aside);
        fs::rename(self.audit(), &aside).during(aside.display())?;
        let number = self.running.as_ref().map(|child| child.id().to_string()).unwrap_or_default();
        run(Command::new("sh").args(["-c", "kill -HUP \"$1\"", "sh", &number]))?;
        server::until("begins another audit log", || Ok(self.audit().exists()))?;
        Ok(aside)
    }

    /// Seals it: it goes on running, and answers 503.
    ///
    /// # Errors
    /// When it is refused.
    pub fn seal(&self) -> Result<(), Trouble> {
        run(&mut self.command(&["operator", "seal"])).map(drop)
    }

    /// Unseals it, and waits until it answers.
    ///
    /// # Errors
    /// When the share is refused, or it does not become active.
    pub fn unseal(&self) -> Result<(), Trouble> {
        run(&mut self.command(&["operator", "unseal", &self.share]))?;
        server::until("is active", || Ok(ran(&mut self.command(&["read", "sys/health"]))?.status == 0))
    }

    /// Stops it as a loss of power does. What it holds stays.
    pub fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }

    /// Starts it again on the same port; it is sealed then, as every OpenBao that was restarted.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&mut self) -> Result<(), Trouble> {
        self.stop();
        self.running = Some(server::serve(&self.bao, &self.folder, self.ports)?);
        Ok(())
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.stop();
    }
}

/// `[vault.login]` by AppRole.
pub fn by_approle(role_id: &str, file: &Path) -> String {
    format!("[vault.login.approle]\nrole_id = \"{role_id}\"\nsecret_id_file = {file:?}\n")
}

/// What the client printed, which is nothing when the server answered nothing.
fn answer(command: &mut Command) -> Result<Value, Trouble> {
    let ran = run(command)?;
    if ran.stdout.trim_start().starts_with('{') { ran.json() } else { Ok(Value::Null) }
}

fn text(answer: &Value, place: &str) -> Result<String, Trouble> {
    let found = answer.pointer(place).and_then(Value::as_str).map(str::to_owned);
    found.ok_or_else(|| Trouble::wrong(format!("OpenBao's answer has no {place}")))
}

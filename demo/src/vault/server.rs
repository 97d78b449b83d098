//! The server itself: where it is from, its certificates, its configuration, and its start.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use artifact::durable;

use crate::command::{ran, run};
use crate::trouble::{During as _, Trouble};

/// How long it may take to be where it is wanted. It takes a second or two; a machine under load takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often ports are looked for that nobody takes before the server does.
const TRIES: usize = 5;

/// Where it listens on loopback: for clients, and for the other servers that it does not have.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// For clients.
    pub api: u16,
    /// For others of its cluster.
    pub cluster: u16,
    /// For clients that stand behind a proxy of the tests: without TLS.
    pub plain: u16,
}

impl Ports {
    /// Two that are free now.
    fn free() -> std::io::Result<Self> {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (first, second, third) = (free()?, free()?, free()?);
        let port = |listener: &TcpListener| listener.local_addr().map(|address| address.port());
        Ok(Self { api: port(&first)?, cluster: port(&second)?, plain: port(&third)? })
    }
}

/// The peer's program.
pub fn program() -> Result<PathBuf, Trouble> {
    let get = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/get");
    let place = run(Command::new(&get).arg("openbao"))?;
    Ok(Path::new(place.stdout.trim()).join("bao"))
}

/// An authority in `ca.pem`, and by it a server's key and certificate for loopback, in `key.pem` and `server.pem`.
pub fn certificates(folder: &Path) -> Result<(), Trouble> {
    let names = folder.join("san");
    fs::write(&names, "subjectAltName=IP:127.0.0.1,DNS:localhost\n").during(names.display())?;
    for line in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out server.csr -subj /CN=vault",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out server.pem -days 2",
    ] {
        run(Command::new("openssl").args(line.split(' ')).current_dir(folder))?;
    }
    Ok(())
}

/// Where it listens.
pub fn address(port: u16) -> String {
    format!("https://127.0.0.1:{port}")
}

/// Its client, which knows the server and nothing of this process' environment.
pub fn client(bao: &Path, folder: &Path, port: u16) -> Command {
    let mut command = Command::new(bao);
    command.env_clear().env("HOME", folder).env("BAO_ADDR", address(port)).env("BAO_CACERT", folder.join("ca.pem"));
    command
}

/// Starts a new server on ports that were free.
pub fn first(bao: &Path, folder: &Path) -> Result<(Ports, Child), Trouble> {
    let mut last = None;
    for _ in 0..TRIES {
        let ports = Ports::free().during("a port on loopback")?;
        match serve(bao, folder, ports) {
            Ok(running) => return Ok((ports, running)),
            Err(why) => last = Some(why),
        }
    }
    Err(last.unwrap_or_else(|| Trouble::wrong("no port was tried")))
}

/// Starts the server of this folder, and waits until it answers, sealed or not.
pub fn serve(bao: &Path, folder: &Path, ports: Ports) -> Result<Child, Trouble> {
    let config = folder.join("openbao.hcl");
    durable::replace(&config, configuration(folder, ports).as_bytes(), 0o600).during(config.display())?;
    let path = folder.join("server.log");
    let log = File::options().create(true).append(true).open(&path).during(path.display())?;
    let errors = log.try_clone().during(path.display())?;
    let mut command = Command::new(bao);
    command.env_clear().env("HOME", folder).arg("server").arg("-config").arg(&config).current_dir(folder);
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    let mut running = command.spawn().map_err(|cause| Trouble::Start { program: bao.display().to_string(), cause })?;
    let up = until("answers", || {
        if let Some(status) = running.try_wait().during("the server")? {
            let said = fs::read_to_string(&path).unwrap_or_default();
            return Err(Trouble::wrong(format!("the server ended ({status}): {said}")));
        }
        // 0 is unsealed and 2 sealed; 1 is that it could not be asked.
        Ok([0, 2].contains(&ran(client(bao, folder, ports.api).arg("status"))?.status))
    });
    if let Err(why) = up {
        let _ = running.kill();
        let _ = running.wait();
        return Err(why);
    }
    Ok(running)
}

/// The audit device stands here, since OpenBao lets nobody make one by its API. Of storages that outlive a restart it has
/// raft alone, which listens on a port of its own.
fn configuration(folder: &Path, ports: Ports) -> String {
    let Ports { api, cluster, plain } = ports;
    let (folder, address) = (folder.display(), address(api));
    format!(
        r#"storage "raft" {{
  path                   = "{folder}/storage"
  node_id                = "only"
  performance_multiplier = 1
}}
listener "tcp" {{
  address         = "127.0.0.1:{api}"
  cluster_address = "127.0.0.1:{cluster}"
  tls_cert_file   = "{folder}/server.pem"
  tls_key_file    = "{folder}/key.pem"
}}
listener "tcp" {{
  address     = "127.0.0.1:{plain}"
  tls_disable = true
}}
audit "file" "file" {{
  options = {{ file_path = "{folder}/audit.log" }}
}}
api_addr     = "{address}"
cluster_addr = "https://127.0.0.1:{cluster}"
"#
    )
}

/// Waits until something is so.
pub fn until(what: &str, mut so: impl FnMut() -> Result<bool, Trouble>) -> Result<(), Trouble> {
    let start = Instant::now();
    while !so()? {
        if start.elapsed() > PATIENCE {
            return Err(Trouble::wrong(format!("OpenBao: no sign after {} s that it {what}", PATIENCE.as_secs())));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

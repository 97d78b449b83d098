//! Peers for tests: a real registry, and a scripted one for what real ones rarely do.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use artifact::name::Repository;
use serde::Deserialize;

use crate::{Client, Hosts, Patience};

/// A patience that does not keep a test waiting.
pub(crate) const QUICK: Patience =
    Patience { answer: Duration::from_secs(20), waiting: Duration::from_secs(20), first: Duration::from_millis(1) };

/// Runs on one thread, as rooms do.
pub(crate) fn local<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

pub(crate) fn hosts(text: &str) -> Hosts {
    #[derive(Deserialize)]
    struct File {
        registry: Hosts,
    }
    toml::from_str::<File>(text).unwrap().registry
}

/// Debian's docker-registry (distribution 2.8) on loopback, with a store of its own.
pub(crate) struct Peer {
    address: String,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Peer {
    pub(crate) fn start() -> Self {
        Self::start_with("", "")
    }

    /// With more lines for the section `http`, and more sections.
    pub(crate) fn start_with(http: &str, more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = folder.path().join("config.yml");
        let store = folder.path().join("store");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage:\n  filesystem: {{rootdirectory: {store:?}}}\nhttp:\n  addr: {address}\n{http}{more}"
        );
        std::fs::write(&config, text).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        Self::run(command, address, folder)
    }

    /// Distribution, version 3: it goes on with an upload in the middle of a chunk.
    pub(crate) fn distribution() -> Self {
        let get = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/peers/get");
        let built = Command::new(get).arg("registries").output().unwrap();
        assert!(built.status.success(), "tests/peers/get registries: {}", String::from_utf8_lossy(&built.stderr));
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let mut command = Command::new(Path::new(String::from_utf8(built.stdout).unwrap().trim()).join("registries"));
        command.args(["distribution", &address]).arg(folder.path().join("store"));
        Self::run(command, address, folder)
    }

    fn run(mut command: Command, address: String, folder: tempfile::TempDir) -> Self {
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.expect("docker-registry (Debian package docker-registry) is needed for these tests");
        let peer = Self { address, process, _folder: folder };
        let start = Instant::now();
        while TcpStream::connect(&peer.address).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "it does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        peer
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with("plain_http = true")
    }

    /// A client that knows this registry by these lines.
    pub(crate) fn client_with(&self, lines: &str) -> Client {
        Client::with_patience(&hosts(&format!("[registry.\"{}\"]\n{lines}", self.address)), QUICK).unwrap()
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    pub(crate) fn repository(&self, path: &str) -> Repository {
        format!("{}/{path}", self.address).parse().unwrap()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An authority in `ca.pem`, and a server's key and certificate for loopback by it, in `key.pem` and `server.pem`.
pub(crate) fn certificates(folder: &Path) {
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
    for line in [
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out server.csr -subj /CN=server",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -extfile san -out server.pem -days 2",
    ] {
        let made = Command::new("openssl").args(line.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
        assert!(made.expect("openssl is needed for these tests").success(), "{line}");
    }
}

/// Answers each request with the next of its lines, whatever was asked, one a connection.
pub(crate) struct Script {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Script {
    pub(crate) fn start(answers: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        // To what leads back to it.
        let answers: Vec<String> = answers
            .iter()
            .map(|a| a.replacen("\r\n", "\r\nconnection: close\r\n", 1).replace("HERE", &address))
            .collect();
        std::thread::spawn(move || {
            for answer in answers {
                let Ok((mut stream, _)) = listener.accept() else { return };
                notes.lock().unwrap().push(request(&mut stream));
                // The client may have seen enough and left.
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { address, heard }
    }

    /// Answers every request with this, a byte at a time with so long between two.
    pub(crate) fn dripping(answer: &str, between: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (notes, answer) = (Arc::clone(&heard), answer.to_owned());
        std::thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                notes.lock().unwrap().push(request(&mut stream));
                for byte in answer.bytes() {
                    std::thread::sleep(between);
                    if stream.write_all(&[byte]).is_err() {
                        break;
                    }
                }
            }
        });
        Self { address, heard }
    }

    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    pub(crate) fn client(&self) -> Client {
        self.client_with(QUICK)
    }

    pub(crate) fn client_with(&self, patience: Patience) -> Client {
        let lines = format!("[registry.\"{}\"]\nplain_http = true", self.address);
        Client::with_patience(&hosts(&lines), patience).unwrap()
    }

    pub(crate) fn repository(&self) -> Repository {
        format!("{}/x", self.address).parse().unwrap()
    }

    /// The heads of the requests so far.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// A line to a registry that breaks: the first so many connections through it are cut when so many bytes have gone to the
/// registry.
pub(crate) fn breaking_line(to: String, after: usize, times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for number in 0.. {
            let Ok((mut here, _)) = listener.accept() else { return };
            let Ok(mut there) = TcpStream::connect(&to) else { return };
            let after = if number < times { after } else { usize::MAX };
            let (mut back, mut answers) = (here.try_clone().unwrap(), there.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
            std::thread::spawn(move || {
                let (mut left, mut buffer) = (after, vec![0; 4096]);
                while let Ok(n @ 1..) = here.read(&mut buffer) {
                    let n = n.min(left);
                    left -= n;
                    if there.write_all(&buffer[..n]).is_err() || left == 0 {
                        break;
                    }
                }
                for wire in [&here, &there] {
                    let _ = wire.shutdown(std::net::Shutdown::Both);
                }
            });
        }
    });
    address
}

/// Reads one request, and gives its head.
fn request(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|l| l.parse().ok()).unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    head
}

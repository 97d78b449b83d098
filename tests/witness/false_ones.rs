//! Witnesses that answer what no witness should: one address each on loopback.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use artifact::key::Ed25519Key;
use audit::cosignature::{WitnessKey, cosign};

/// A witness with a key of its own, and what it makes of a checkpoint's text.
pub struct FalseWitness {
    pub name: String,
    pub vkey: WitnessKey,
    pub url: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl FalseWitness {
    /// `answer` is told the key and a request's body, and gives the whole answer; nothing: it says nothing and keeps the
    /// connection.
    pub fn start(seed: u8, answer: impl Fn(&Ed25519Key, &str) -> Vec<u8> + Send + 'static) -> Self {
        let (name, key) = (format!("false.example/{seed}"), Ed25519Key::from_seed(&[seed; 32]).unwrap());
        let vkey = WitnessKey::new(&name, &key).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/submit", listener.local_addr().unwrap());
        let heard = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { return };
                let body = request(&mut stream);
                let said = answer(&key, &body);
                notes.lock().unwrap().push(body);
                match said.is_empty() {
                    true => kept.push(stream),
                    false => drop(stream.write_all(&said)),
                }
            }
        });
        Self { name, vkey, url, heard }
    }

    /// The bodies of the requests so far.
    pub fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

/// An answer with a status and a body.
pub fn http(status: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The answer of a witness that cosigns this text at this time.
pub fn cosigned(key: &Ed25519Key, name: &str, text: &str, at: u64) -> Vec<u8> {
    http("200 OK", cosign(text, name, key, at).unwrap().as_bytes())
}

/// The checkpoint's text in a request.
pub fn text(body: &str) -> String {
    body.split("\n\n").nth(1).unwrap().to_owned() + "\n"
}

fn request(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|l| l.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.and_then(|l| l.parse().ok()).unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    String::from_utf8(body).unwrap()
}

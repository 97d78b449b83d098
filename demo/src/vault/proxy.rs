//! A proxy before a Vault that spoils one request: on its way there, or its answer on the way back.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It does not get there: the connection ends.
    Dropped,
    /// It does not get there, and the answer says so, in Vault's words.
    NotReady,
    /// It gets there, and its answer does not come back.
    Lost,
    /// It gets there, and half of its answer comes back.
    Cut,
    /// It gets there late.
    Delayed,
    /// It gets there twice; the second answer comes back.
    Doubled,
    /// A page comes back that is not Vault's.
    Html,
}

impl Fault {
    /// Each of them.
    pub const ALL: [Self; 7] =
        [Self::Dropped, Self::NotReady, Self::Lost, Self::Cut, Self::Delayed, Self::Doubled, Self::Html];
}

/// What was asked so far, and what is to be spoilt.
#[derive(Debug, Default)]
struct Plan {
    asked: Vec<String>,
    spoil: Option<(usize, Fault)>,
}

/// A proxy on loopback, until the process ends.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

impl Proxy {
    /// One before this address.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(to: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let plan = Arc::new(Mutex::new(Plan::default()));
        let shared = Arc::clone(&plan);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let plan = Arc::clone(&shared);
                // A client that is gone is nobody's trouble.
                thread::spawn(move || carry(&client, to, &plan).map_err(|_| client.shutdown(Shutdown::Both)));
            }
        });
        Ok(Self { address, plan })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets what was asked; the request of this number is spoilt from now on, counted from 0.
    pub fn spoil(&self, fault: Option<(usize, Fault)>) {
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Plan { asked: Vec::new(), spoil: fault };
    }

    /// What was asked: method and path.
    pub fn asked(&self) -> Vec<String> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).asked.clone()
    }
}

/// One request, and its answer; then the connection ends.
fn carry(client: &TcpStream, to: SocketAddr, plan: &Mutex<Plan>) -> io::Result<()> {
    let (line, request) = read(client)?;
    let fault = {
        let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
        plan.asked.push(line);
        let number = plan.asked.len() - 1;
        plan.spoil.filter(|(at, _)| *at == number).map(|(_, fault)| fault)
    };
    let answer = match fault {
        Some(Fault::Dropped) => Vec::new(),
        Some(Fault::NotReady) => told("503 Service Unavailable", "{\"errors\":[\"Vault is sealed\"]}"),
        Some(Fault::Html) => told("200 OK", "<html>hello</html>"),
        Some(Fault::Lost) => {
            forward(&request, to)?;
            Vec::new()
        }
        Some(Fault::Cut) => {
            let whole = forward(&request, to)?;
            whole[..whole.len() / 2].to_vec()
        }
        Some(Fault::Delayed) => {
            thread::sleep(Duration::from_millis(300));
            forward(&request, to)?
        }
        Some(Fault::Doubled) => {
            forward(&request, to)?;
            forward(&request, to)?
        }
        None => forward(&request, to)?,
    };
    let mut client = client;
    client.write_all(&answer)?;
    client.shutdown(Shutdown::Both)
}

fn told(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}

/// A request's first line, and all of it, to be answered and no more.
fn read(client: &TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut reader = BufReader::new(client);
    let (mut head, mut length) = (Vec::new(), 0);
    let mut first = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first.is_empty() {
            first = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
        }
        if let Some((name, value)) = line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case("content-length")) {
            let _ = name;
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if line == "\r\n" {
            break;
        }
        head.extend_from_slice(line.as_bytes());
    }
    head.extend_from_slice(b"connection: close\r\n\r\n");
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    head.extend(body);
    Ok((first, head))
}

fn forward(request: &[u8], to: SocketAddr) -> io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(to)?;
    upstream.write_all(request)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    Ok(answer)
}

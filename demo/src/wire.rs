//! A line to a registry that does harm to requests: to any one of them, or to all from one on.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use crate::trouble::{During as _, Trouble};

/// An address on loopback that nobody listens at now.
///
/// # Errors
/// When there is none.
pub fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

/// What happens to a request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It does not get there.
    Before,
    /// Half of it gets there.
    Within,
    /// It gets there whole, and half of its answer comes back.
    Answer,
    /// It gets there whole, and no answer comes back.
    After,
    /// It gets there twice, and the second answer comes back.
    Twice,
}

impl Harm {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Before, Self::Within, Self::Answer, Self::After, Self::Twice];
}

/// A line to a registry. Names that are used through it begin with [`Line::host`].
#[derive(Debug)]
pub struct Line {
    address: SocketAddr,
    plan: Arc<Mutex<Plan>>,
}

#[derive(Debug, Default)]
struct Plan {
    /// How many requests came so far.
    seen: usize,
    /// From which on, and to how many.
    harm: Option<(Harm, usize, usize)>,
}

impl Line {
    /// A line to the registry at this `host:port` of loopback.
    ///
    /// # Errors
    /// When there is no port.
    pub fn to(registry: &str) -> Result<Self, Trouble> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).during("a line on loopback")?;
        let address = listener.local_addr().during("a line on loopback")?;
        let plan = Arc::new(Mutex::new(Plan::default()));
        let (registry, shared) = (registry.to_owned(), Arc::clone(&plan));
        std::thread::spawn(move || {
            for here in listener.incoming() {
                let Ok(here) = here else { return };
                let (registry, shared) = (registry.clone(), Arc::clone(&shared));
                // A connection that ends badly is what this is for.
                std::thread::spawn(move || drop(carry(here, &registry, &shared)));
            }
        });
        Ok(Self { address, plan })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Does harm to so many requests, from the one of this number on; counts from 0 again.
    pub fn harm(&self, harm: Harm, from: usize, times: usize) {
        *lock(&self.plan) = Plan { seen: 0, harm: Some((harm, from, times)) };
    }

    /// Does no harm any more; counts from 0 again.
    pub fn mend(&self) {
        *lock(&self.plan) = Plan::default();
    }

    /// How many requests came since.
    pub fn requests(&self) -> usize {
        lock(&self.plan).seen
    }
}

fn lock(plan: &Mutex<Plan>) -> std::sync::MutexGuard<'_, Plan> {
    plan.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plan {
    fn next(&mut self) -> Option<Harm> {
        let number = self.seen;
        self.seen += 1;
        let (harm, from, times) = self.harm?;
        (from..from.saturating_add(times)).contains(&number).then_some(harm)
    }
}

/// Carries one request, and ends its connection: both sides are told so.
fn carry(mut here: TcpStream, registry: &str, plan: &Mutex<Plan>) -> io::Result<()> {
    here.set_nodelay(true)?;
    let mut wire = BufReader::new(here.try_clone()?);
    let Some((head, body)) = request(&mut wire)? else { return Ok(()) };
    let harm = lock(plan).next();
    let whole = [head.as_slice(), &body].concat();
    let answer = match harm {
        Some(Harm::Before) => return Ok(()),
        Some(Harm::Within) => {
            ask(registry, &whole[..head.len().max(4) - 4 + (body.len() + 4) / 2])?;
            return Ok(());
        }
        Some(Harm::After) => return ask(registry, &whole).map(drop),
        Some(Harm::Answer) => {
            let answer = ask(registry, &whole)?;
            return here.write_all(&answer[..answer.len() / 2]);
        }
        Some(Harm::Twice) => {
            ask(registry, &whole)?;
            ask(registry, &whole)?
        }
        None => ask(registry, &whole)?,
    };
    here.write_all(&answer)?;
    here.shutdown(Shutdown::Both)
}

/// One request: its head, which says that the connection ends with it, and its body.
fn request(wire: &mut BufReader<TcpStream>) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let (mut head, mut length) = (Vec::new(), 0);
    loop {
        let mut line = Vec::new();
        if wire.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        if line == b"\r\n" {
            head.extend_from_slice(b"Connection: close\r\n\r\n");
            break;
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        head.extend_from_slice(&line);
    }
    let mut body = vec![0; length];
    wire.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

fn ask(registry: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut there = TcpStream::connect(registry)?;
    there.write_all(request)?;
    there.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    // What was cut in the middle may be answered with a reset.
    let _ = there.read_to_end(&mut answer);
    if let Some(end) = answer.windows(2).position(|w| w == b"\r\n") {
        answer.splice(end..end, *b"\r\nConnection: close");
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each connection with how many bytes came over it.
    fn counting() -> String {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut all = Vec::new();
                stream.read_to_end(&mut all).unwrap();
                stream.write_all(format!("{:04}", all.len()).as_bytes()).unwrap();
            }
        });
        host
    }

    #[test]
    fn harm_is_done_to_the_requests_it_was_told_of() {
        let line = Line::to(&counting()).unwrap();
        let send = || {
            let mut wire = TcpStream::connect(line.host()).unwrap();
            wire.write_all(b"PUT / HTTP/1.1\r\nContent-Length: 10\r\n\r\n0123456789").unwrap();
            let mut answer = String::new();
            let _ = wire.read_to_string(&mut answer);
            answer
        };
        let whole = send();
        assert_eq!(whole.len(), 4);
        for (harm, answer) in [
            (Harm::Before, ""),
            (Harm::Within, ""),
            (Harm::After, ""),
            (Harm::Answer, &whole[..2]),
            (Harm::Twice, &whole),
        ] {
            line.harm(harm, 1, 1);
            assert_eq!([send(), send(), send()], [whole.as_str(), answer, whole.as_str()], "{harm:?}");
            assert_eq!(line.requests(), 3);
        }
        line.harm(Harm::Before, 0, usize::MAX);
        assert_eq!([send(), send()], ["", ""]);
    }
}

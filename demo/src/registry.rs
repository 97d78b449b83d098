//! A registry on loopback: OCI distribution 1.1 over plain HTTP, with a journal of every write and faults on demand.
//!
//! For trying and for tests: anyone on this host may write to it. Stock clients work with it (skopeo, cosign, crane).

mod http;
mod journal;
mod routes;
mod store;

use std::collections::BTreeMap;
use std::io::{self, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use artifact::layout::Layout;
use artifact::name::{Pinned, Repository};
use artifact::oci::Descriptor;
use artifact::{Digest, durable};

pub use journal::{Fault, Harm, Write, bare_tags};

use crate::trouble::{During as _, Trouble};
use http::{Answer, Request};
use journal::Faults;
use store::{Refused, Store};

/// The file in a registry's folder that says on which port it was, so that names stay true when it is started again.
const PORT: &str = "port";

/// A registry, serving until it is dropped. What it holds stays in its folder.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    folder: PathBuf,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    journal: Mutex<Vec<Write>>,
    faults: Mutex<Faults>,
    referrers: AtomicBool,
    stopped: AtomicBool,
}

impl Registry {
    /// Serves what is in a folder: on the port it was on before, or else on a free one.
    ///
    /// # Errors
    /// When the folder can't be read or written, or the port of before is taken.
    pub fn start(folder: impl Into<PathBuf>) -> Result<Self, Trouble> {
        let folder = folder.into();
        let store = Store::open(&folder).during(folder.display())?;
        let file = folder.join(PORT);
        let before = std::fs::read_to_string(&file).ok().and_then(|p| p.trim().parse::<u16>().ok());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, before.unwrap_or(0)));
        let listener = listener.during(format!("a registry on port {} of loopback", before.unwrap_or(0)))?;
        let address = listener.local_addr().during("a port on loopback")?;
        durable::replace(&file, address.port().to_string().as_bytes(), 0o644).during(file.display())?;
        let shared = Arc::new(Shared {
            store: Mutex::new(store),
            journal: Mutex::default(),
            faults: Mutex::default(),
            referrers: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        // The thread owns the listener: when it has ended, the port is free again.
        let accepting = Some(std::thread::spawn(move || accept(listener, &serving)));
        Ok(Self { address, folder, shared, accepting })
    }

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The folder it holds everything in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The OCI layout in which a repository lies.
    pub fn layout(&self, path: &str) -> PathBuf {
        self.shared.store().layout(path)
    }

    /// A repository here, by its path.
    ///
    /// # Errors
    /// When it can't be a repository's name.
    pub fn repository(&self, path: &str) -> Result<Repository, Trouble> {
        format!("{}/{path}", self.host()).parse().map_err(Trouble::wrong)
    }

    /// Whether it has the referrers API, as from the next request; at first it has.
    pub fn set_referrers_api(&self, there: bool) {
        self.shared.referrers.store(there, Ordering::SeqCst);
    }

    /// Every write so far, in the order in which they took effect.
    pub fn journal(&self) -> Vec<Write> {
        lock(&self.shared.journal).clone()
    }

    /// Forgets the writes so far.
    pub fn clear_journal(&self) {
        lock(&self.shared.journal).clear();
    }

    /// Shows a fault, beside those it still has to show.
    pub fn fault(&self, fault: Fault) {
        lock(&self.shared.faults).add(fault);
    }

    /// Answers 503 to the next so many requests of every method that writes.
    pub fn fail_writes(&self, times: usize) {
        for method in ["POST ", "PATCH ", "PUT "] {
            self.fault(Fault::next(Harm::Unavailable, method, times));
        }
    }

    /// Shows no fault any more.
    pub fn mend(&self) {
        lock(&self.shared.faults).clear();
    }

    /// The paths of its repositories.
    pub fn repositories(&self) -> Vec<String> {
        self.shared.store().names()
    }

    /// The tags of a repository, and what they name.
    pub fn tags(&self, path: &str) -> BTreeMap<String, Digest> {
        self.shared.store().tags(path).cloned().unwrap_or_default()
    }

    /// The bytes of a manifest, by tag or digest.
    pub fn manifest(&self, path: &str, reference: &str) -> Option<Vec<u8>> {
        let store = self.shared.store();
        let found = store.find(path, reference)?;
        std::fs::read(store.blob(path, &found.digest)).ok()
    }

    /// The manifests that are about this one.
    ///
    /// # Errors
    /// When its folder can't be read.
    pub fn referrers(&self, path: &str, subject: &Digest) -> Result<Vec<Descriptor>, Trouble> {
        self.shared.store().referrers(path, subject).during(path)
    }

    /// Lets a tag name another manifest of the repository, or none, with no line in the journal: as someone who broke
    /// into the registry would.
    ///
    /// # Errors
    /// When its folder can't be written.
    pub fn set_tag(&self, path: &str, tag: &str, digest: Option<Digest>) -> Result<(), Trouble> {
        self.shared.store().set_tag(path, tag, digest).during(path)
    }

    /// Takes an image from a layout without a request, and says how to name it.
    ///
    /// # Errors
    /// When the layout holds no whole image of that name.
    pub fn import(&self, path: &str, tag: &str, from: &Layout, image: &Descriptor) -> Result<Pinned, Trouble> {
        let repository = self.repository(path)?;
        match self.shared.store().import(path, tag, from, image) {
            Ok(digest) => Ok(Pinned { repository, digest }),
            Err(Refused::Io(cause)) => Err(Trouble::Io { what: format!("{}", from.root().display()), cause }),
            Err(Refused::Invalid(why) | Refused::Unknown(why)) => {
                Err(Trouble::wrong(format!("{}: {why}", from.root().display())))
            }
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection, so that it sees that it is over.
        if TcpStream::connect(self.address).is_ok()
            && let Some(thread) = self.accepting.take()
        {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn store(&self) -> MutexGuard<'_, Store> {
        lock(&self.store)
    }

    fn referrers_api(&self) -> bool {
        self.referrers.load(Ordering::SeqCst)
    }

    fn note(&self, write: Write) {
        lock(&self.journal).push(write);
    }
}

/// A thread that panicked over a request has left a store that is as good as before: every change is one step.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let shared = Arc::clone(shared);
        // A connection that ends badly is the client's to see; there is nobody here to tell.
        std::thread::spawn(move || drop(converse(connection, &shared)));
    }
}

/// Answers the requests of one connection, until it is closed or cut.
fn converse(connection: TcpStream, shared: &Shared) -> io::Result<()> {
    connection.set_nodelay(true)?;
    let mut answers = connection.try_clone()?;
    let mut wire = BufReader::new(connection);
    while let Some(request) = Request::read(&mut wire)? {
        if shared.stopped.load(Ordering::SeqCst) {
            return Ok(());
        }
        let harm = lock(&shared.faults).strike(&request.method, &request.path);
        let answer = match harm {
            Some(Harm::CutBefore) => return Ok(()),
            Some(Harm::Unavailable) => {
                io::copy(&mut request.body(&mut wire)?, &mut io::sink())?;
                shared.unavailable(&request)
            }
            Some(Harm::CutAfter) | None => shared.answer(&request, &mut wire).unwrap_or_else(failed),
            Some(harm) => shared.harmed(harm, &request, &mut wire).unwrap_or_else(failed),
        };
        if harm == Some(Harm::CutAfter) {
            return Ok(());
        }
        answer.write(&mut answers, request.method == "HEAD")?;
    }
    Ok(())
}

fn failed(error: io::Error) -> Answer {
    Answer::error(500, "UNKNOWN", &error.to_string())
}

#[cfg(test)]
mod tests;

//! The signer room: one release, and it ends.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use artifact::failure::Failure;
use artifact::frame::{self, FrameError};
use audit::door::{Appended, Submission};
use audit::keys::HouseKeys;
use hardening::Room;
use hardening::room::{self, Entered, Hello};
use policy::Rules;
use signer::config::SignerConfig;
use signer::door::{Answer, Ask};
use signer::key::{FileKey, FileVersions, ImageKey, Versions};
use signer::sequence::{Recorder, Signer, Stop};
use signer::state::{FileStore, Store};
use signer::vault::{KvVersions, Session, TransitVersions, VaultStore};

/// What was a secret is erased when its memory is given back, whoever had a copy: this program's own code, the HTTP client,
/// TLS.
#[global_allocator]
static MEMORY: zeroizing_alloc::ZeroAlloc<std::alloc::System> = zeroizing_alloc::ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    let done = room::enter(Room::Signer).map_err(|e| e.to_string()).and_then(|entered| serve(&entered));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("countersign-signer: {e}");
            ExitCode::from(3)
        }
    }
}

/// Carries entries to the keeper, through the coordinator.
struct Door<'a>(&'a Entered);

impl Recorder for Door<'_> {
    fn record(&mut self, submissions: Vec<Submission>, since: u64) -> Result<Appended, Failure> {
        let gone = |e: FrameError| Failure::later("coordinator-gone", e);
        frame::send(&self.0.channel, &Answer::Record { submissions, since }).map_err(gone)?;
        match frame::receive(&self.0.channel).map_err(gone)? {
            Ask::Recorded(appended) => Ok(appended),
            _ => Err(Failure::halt("coordinator-out-of-turn", "something else than what was recorded")),
        }
    }

    fn say(&mut self, text: &str) {
        // The coordinator may be gone; then the next entry will find that out.
        let _ = frame::send(&self.0.channel, &Answer::Progress { text: text.to_owned() });
    }
}

/// Says the Hello and answers, by a key and a memory in files or in Vault.
fn serve(entered: &Entered) -> Result<(), String> {
    let config = match config(entered) {
        Ok(config) => config,
        Err(failure) => return refuse(entered, &failure),
    };
    let own = own(entered);
    let Some(vault) = &config.vault else {
        // The lock first: two first starts must not make two keys.
        let store = FileStore::open(&own).map_err(|e| e.to_string())?;
        FileKey::open(&own).map_err(|e| e.to_string())?;
        // A memory that can't be read is for the first question to tell.
        let versions = FileVersions::new(&own, store.load().map_or(1, |memory| memory.key_version(1)));
        let key = versions.version(versions.current()).map_err(|e| e.to_string())?;
        hello(entered, Some(key.public().to_string()))?;
        return Serving { entered, config: &config, key, versions: &versions, store: &store, session: None }.serve();
    };
    let opened = Session::open(vault).and_then(|session| logins(config.clone(), &session).map(|c| (session, c)));
    let (session, config) = match opened {
        Ok(opened) => opened,
        Err(failure) => return refuse(entered, &failure),
    };
    in_session(entered, &config, &session, &own)
}

/// Vault keeps the memory, and keeps or lends the key.
fn in_session(entered: &Entered, config: &SignerConfig, session: &Session, own: &Path) -> Result<(), String> {
    let Some(vault) = &config.vault else { return Err("[vault] is gone".to_owned()) };
    let store = match VaultStore::open(session, &vault.kv, own) {
        Ok(store) => store,
        Err(failure) => {
            session.end().unwrap_or_else(|e| eprintln!("countersign-signer: {e}"));
            return refuse(entered, &failure);
        }
    };
    let transit = vault.transit.as_ref().map(|transit| TransitVersions::new(session, transit));
    let kv = KvVersions::new(session, &vault.kv);
    let versions: &dyn Versions = transit.as_ref().map_or(&kv, |transit| transit);
    let locked = if transit.is_none() { lock_memory(entered) } else { Ok(()) };
    // Which version is in use is in the memory, and nowhere else.
    let version = locked.and_then(|()| store.load()).map(|memory| memory.key_version(versions.first()));
    let key = match version.and_then(|version| versions.version(version)) {
        Ok(key) => key,
        Err(failure) => {
            session.end().unwrap_or_else(|e| eprintln!("countersign-signer: {e}"));
            return refuse(entered, &failure);
        }
    };
    hello(entered, None)?;
    Serving { entered, config, key, versions, store: &store, session: Some(session) }.serve()
}

/// A key that comes here must not end up on a disk: no page of this process is swapped from now on, or there is no swap.
fn lock_memory(entered: &Entered) -> Result<(), Failure> {
    let all = rustix::mm::MlockAllFlags::CURRENT | rustix::mm::MlockAllFlags::FUTURE;
    let Err(e) = rustix::mm::mlockall(all) else { return Ok(()) };
    // One line of titles, and one for each place.
    let swaps = std::fs::read_to_string("/proc/swaps").map(|text| text.lines().count());
    if entered.trial || swaps.is_ok_and(|lines| lines == 1) {
        return Ok(());
    }
    let text = format!(
        "mlockall: {e}, and this host has swap: the key would end up there. Let the launcher raise the limit on locked memory \
         (CAP_SYS_RESOURCE), turn swap off, or have Vault sign: key = \"vault-transit\""
    );
    Err(Failure::later("memory-not-locked", text))
}

/// The registries' logins that lie in Vault.
fn logins(mut config: SignerConfig, session: &Session) -> Result<SignerConfig, Failure> {
    if let Some(vault) = &config.vault {
        for (registry, name) in &vault.registry {
            let login = session.registry_login(&vault.kv, name)?;
            if !config.registry.log_in(registry, login) {
                let text = format!("{name}: the fields username and password are expected, each on one line");
                return Err(Failure::later("vault-registry-login", text));
            }
        }
    }
    Ok(config)
}

/// Says the Hello, and answers each question by why nothing can be done.
fn refuse(entered: &Entered, failure: &Failure) -> Result<(), String> {
    hello(entered, None)?;
    loop {
        match frame::receive::<Ask>(&entered.channel) {
            Ok(_) => frame::send(&entered.channel, &Answer::Failed(failure.clone())).map_err(|e| e.to_string())?,
            Err(FrameError::Closed) => return Ok(()),
            Err(e) => return Err(e.to_string()),
        }
    }
}

fn hello(entered: &Entered, key: Option<String>) -> Result<(), String> {
    frame::send(&entered.channel, &Hello::new(Room::Signer, entered, key)).map_err(|e| e.to_string())
}

fn own(entered: &Entered) -> PathBuf {
    entered.state.join("public/signer/own")
}

fn config(entered: &Entered) -> Result<SignerConfig, Failure> {
    SignerConfig::load(&entered.config.join("signer.toml")).map_err(unconfigured)
}

fn unconfigured(e: String) -> Failure {
    Failure::later("configuration", e)
}

/// A signer that has its key and its memory.
struct Serving<'a> {
    entered: &'a Entered,
    config: &'a SignerConfig,
    key: Box<dyn ImageKey + 'a>,
    versions: &'a dyn Versions,
    store: &'a dyn Store,
    session: Option<&'a Session>,
}

impl Serving<'_> {
    fn serve(&self) -> Result<(), String> {
        let channel = &self.entered.channel;
        loop {
            let answer = match frame::receive(channel) {
                Ok(ask) => self.answer(ask),
                Err(FrameError::Closed) => return Ok(()),
                Err(e) => return Err(e.to_string()),
            };
            if !matches!(answer, Answer::State { .. }) {
                self.end();
            }
            frame::send(channel, &answer).map_err(|e| e.to_string())?;
        }
    }

    fn answer(&self, ask: Ask) -> Answer {
        let (key, store, mut door) = (&*self.key, self.store, Door(self.entered));
        let answer = match ask {
            Ask::Current => Ok(Answer::Key { key: key.public() }),
            Ask::Key { version } => self.versions.offer(version).map(|key| Answer::Key { key }),
            Ask::State => store.load().map(|memory| Answer::State { seen: memory.seen.size() }),
            Ask::Rotate(ask) => self.with(|signer| signer.rotate(&ask, self.versions, store, &mut door)),
            Ask::Resign(ask) => self.with(|signer| signer.resign(&ask, key, store, &mut door)),
            Ask::Release(ask) => match self.with(|signer| signer.release(&ask, key, store, &mut door)) {
                Err(Stop::Refused(reasons)) => Ok(Answer::Refused { reasons }),
                Err(Stop::Failed(failure)) => Err(failure),
                Ok(answer) => Ok(answer),
            },
            Ask::Recorded(_) => Err(Failure::halt("coordinator-out-of-turn", "nothing was asked for")),
        };
        answer.unwrap_or_else(Answer::Failed)
    }

    /// The job is over, however it ended. Before the answer: whoever hears it may end this process.
    fn end(&self) {
        if let Some(Err(e)) = self.session.map(Session::end) {
            // Not the job's failure: it is done, and the token ends by its own time.
            eprintln!("countersign-signer: {e}");
        }
    }

    /// Does something with what is configured.
    fn with<E: From<Failure>>(&self, work: impl FnOnce(&Signer<'_>) -> Result<Answer, E>) -> Result<Answer, E> {
        let entered = self.entered;
        let rules = read(entered, "signer-rules.toml")?;
        let rules = Rules::parse(rules.as_bytes()).map_err(|e| unconfigured(format!("signer-rules.toml: {e}")))?;
        let keys: HouseKeys =
            read(entered, "keys.toml")?.parse().map_err(|e| unconfigured(format!("keys.toml: {e}")))?;
        let signer =
            Signer { config: self.config, rules: &rules, keys: &keys, trial: entered.trial, state: &entered.state };
        work(&signer)
    }
}

fn read(entered: &Entered, name: &str) -> Result<String, Failure> {
    let path = entered.config.join(name);
    std::fs::read_to_string(&path).map_err(|e| unconfigured(format!("{}: {e}", path.display())))
}

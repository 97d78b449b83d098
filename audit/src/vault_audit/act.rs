//! What a request does with the key, by its path.

use artifact::Moment;

use super::body::Value;
use super::line::{Line, Outcome};
use super::{Place, Request};

/// What a request does with the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Signs with it, by the path that the signer uses.
    Sign,
    /// Changes it, in a way that gives it to nobody: makes it, makes a new version, sets its lower versions.
    Administer,
    /// Anything else that is done with it: another way of signing, an HMAC, an export, a backup, a removal.
    Use,
}

impl Act {
    /// `None`: what the key may be asked by anyone, for it tells and does nothing secret.
    fn of(operation: &str, parts: &[&str], key: &str, gives_away: bool) -> Option<Self> {
        let writes = matches!(operation, "update" | "create");
        match parts {
            _ if operation == "help" => None,
            ["keys", name] if *name == key && operation == "read" => None,
            ["verify", name, ..] if *name == key => None,
            ["sign", name, "sha2-256"] if *name == key && writes => Some(Self::Sign),
            ["keys", name] | ["keys", name, "rotate" | "config"] if *name == key && writes && !gives_away => {
                Some(Self::Administer)
            }
            [_, rest @ ..] if rest.contains(&key) => Some(Self::Use),
            _ => None,
        }
    }
}

/// Where a request went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Where {
    pub namespace: String,
    /// As Vault says; `None`: it does not.
    pub mount: Option<String>,
    pub path: String,
    operation: String,
}

impl Where {
    fn join(&mut self, other: Self) -> Result<(), &'static str> {
        let mount = self.mount.take().or_else(|| other.mount.clone());
        let alike = other.mount.is_none() || other.mount == mount;
        self.mount = mount;
        let asked = |place: &Self| (place.namespace.clone(), place.path.clone(), place.operation.clone());
        if alike && asked(self) == asked(&other) { Ok(()) } else { Err("what was asked") }
    }
}

/// What of a path is below a mount.
fn below<'p>(path: &'p str, mount: &str) -> Option<&'p str> {
    path.strip_prefix(mount).filter(|rest| rest.starts_with('/'))
}

/// What lines say of a request.
#[derive(Debug)]
pub(super) struct Told {
    place: Where,
    attempts: Vec<String>,
    /// Whether it asks for a key that Vault would give away.
    gives_away: bool,
    engine: Option<String>,
    at: Moment,
    time: String,
    by: String,
    outcome: Outcome,
}

impl Told {
    pub(super) fn of(line: Line, at: Moment) -> Result<(String, Self), String> {
        let outcome = line.outcome()?;
        let (asked, answered) = (line.request.0, line.response.map(|response| response.0));
        if asked.id.is_empty() {
            return Err("a request without an id: nothing can be said of it".to_owned());
        }
        let attempts = asked.headers.unwrap_or_default().0;
        let namespace = asked.namespace.unwrap_or_default().0.path;
        let mount = asked.mount_point.filter(|m| !m.is_empty());
        // OpenBao writes the namespace before the mount, and not before the path.
        let mount = mount.map(|m| m.strip_prefix(namespace.as_str()).map(str::to_owned).unwrap_or(m));
        let bare = |text: &str| text.trim_matches('/').to_owned();
        let place = Where {
            namespace: bare(&namespace),
            mount: mount.as_deref().map(bare),
            path: bare(&asked.path),
            operation: asked.operation,
        };
        let engine = asked.mount_accessor.or(answered.and_then(|a| a.mount_accessor)).filter(|a| !a.is_empty());
        let gives_away = asked.data.as_ref().is_some_and(Value::gives_away);
        let name = line.auth.map(|auth| auth.0.display_name).filter(|name| !name.is_empty());
        let address = asked.remote_address.as_deref().unwrap_or("an unknown address");
        let by = format!("{} from {address}", name.as_deref().unwrap_or("somebody"));
        Ok((asked.id, Self { place, attempts, gives_away, engine, at, time: line.time, by, outcome }))
    }

    /// Takes what another line says of the same request.
    pub(super) fn join(&mut self, other: Self) -> Result<(), &'static str> {
        self.place.join(other.place)?;
        if self.gives_away != other.gives_away {
            return Err("what was asked");
        }
        if self.attempts != other.attempts {
            return Err("for which attempt");
        }
        match (&self.outcome, &other.outcome) {
            (before, now) if before == now => {}
            (Outcome::Unanswered, _) => self.outcome = other.outcome,
            (_, Outcome::Unanswered) => {}
            // A request that failed its checks has a line that says so, and an answer that says so.
            _ => return Err("what was answered"),
        }
        self.engine = self.engine.take().or(other.engine);
        if other.at < self.at {
            (self.at, self.time, self.by) = (other.at, other.time, other.by);
        }
        Ok(())
    }

    /// What Vault calls the engine, wherever it is mounted.
    pub(super) fn engine(&self) -> Option<String> {
        self.engine.clone()
    }

    /// Whether the engine was mounted there when this was asked.
    pub(super) fn stands_at(&self, place: &Place) -> bool {
        self.place.namespace == place.namespace
            && match &self.place.mount {
                Some(mount) => *mount == place.mount,
                None => below(&self.place.path, &place.mount).is_some(),
            }
    }

    /// The request, when it is about this key of its engine.
    pub(super) fn request(self, id: String, of: &Place) -> Option<Request> {
        let Where { namespace, mount, path, operation } = self.place;
        let below = below(&path, mount.as_deref().unwrap_or(&of.mount)).unwrap_or(&path);
        let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
        let act = Act::of(&operation, &parts, &of.key, self.gives_away)?;
        let path = if namespace.is_empty() { path } else { format!("{namespace}/{path}") };
        let Self { attempts, at, time, by, outcome, .. } = self;
        Some(Request { id, at, time, by, path, act, attempts, outcome })
    }
}

//! One login: a token for one job, measured before it is used and revoked afterwards.

use std::cell::RefCell;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use artifact::failure::Failure;
use reqwest::header::HeaderValue;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::access;
use super::client::{Again, Answer, Client, Request};
use super::settings::{Approle, LoginBy, VaultSettings};

/// The most bytes of a file with a secret.
const SECRET: u64 = 64 << 10;

/// A login. Its token is never printed; it is revoked when the session ends, unless it is an agent's.
pub struct Session {
    client: Client,
    /// Until the session is over.
    token: RefCell<Option<HeaderValue>>,
    /// An agent's token is not ours to revoke.
    lent: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Session({:?})", self.client)
    }
}

#[derive(Serialize)]
struct ApproleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct KubernetesLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Serialize)]
struct CertificateLogin<'a> {
    name: &'a str,
}

#[derive(Deserialize)]
struct LoggedIn {
    auth: Auth,
}

#[derive(Deserialize)]
struct Auth {
    client_token: Zeroizing<String>,
}

impl Session {
    /// Logs in, and measures what the token can do.
    ///
    /// # Errors
    /// Vault does not let us in or can't be asked; or the token can do more than the signer needs, or less.
    pub fn open(settings: &VaultSettings) -> Result<Self, Failure> {
        let client = Client::new(settings)?;
        let (token, lent) = match &settings.login {
            LoginBy::Agent(agent) => (secret_in(&agent.token_file)?, true),
            LoginBy::Approle(login) => {
                let secret_id = &*secret_id(&client, login)?;
                let body = ApproleLogin { role_id: &login.role_id, secret_id };
                (log_in(&client, login.mount.as_str(), &body)?, false)
            }
            LoginBy::Kubernetes(login) => {
                let body = KubernetesLogin { role: login.role.as_str(), jwt: &secret_in(&login.token_file)? };
                (log_in(&client, login.mount.as_str(), &body)?, false)
            }
            LoginBy::Certificate(login) => {
                (log_in(&client, login.mount.as_str(), &CertificateLogin { name: login.role.as_str() })?, false)
            }
        };
        let session = Self { client, token: RefCell::new(Some(header(&token)?)), lent };
        access::measure(&session, settings)?;
        Ok(session)
    }

    /// Reads what is at a path.
    pub(super) fn read(&self, tried: &str, path: &str) -> Result<Answer, Failure> {
        self.ask(tried, path, None, None, Again::Always)
    }

    /// Writes to a path.
    pub(super) fn write<T: Serialize>(
        &self,
        tried: &str,
        path: &str,
        body: &T,
        attempt: Option<&str>,
        again: Again,
    ) -> Result<Answer, Failure> {
        self.ask(tried, path, Some(spelled(body)?), attempt, again)
    }

    fn ask(
        &self,
        tried: &str,
        path: &str,
        body: Option<Zeroizing<Vec<u8>>>,
        attempt: Option<&str>,
        again: Again,
    ) -> Result<Answer, Failure> {
        let token = self.token.borrow();
        if token.is_none() {
            return Err(Failure::later("vault-session-over", format!("{tried}: the job is over")));
        }
        self.client.ask(&Request { tried, body, path, token: token.as_ref(), attempt, again })
    }

    /// Ends the session: the token is good for nothing afterwards.
    ///
    /// # Errors
    /// Vault could not be asked. The token then ends by its own time.
    pub fn end(&self) -> Result<(), Failure> {
        if self.token.borrow().is_none() {
            return Ok(());
        }
        let revoked = match self.lent {
            true => Ok(()),
            false => self.write("revoking the token", "auth/token/revoke-self", &(), None, Again::Always).map(drop),
        };
        self.token.take();
        match revoked {
            // A first answer that was lost leaves a token that is not known any more.
            Err(e) if e.code == "vault-denied" => Ok(()),
            other => other,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Whoever wanted to know has asked `end`.
        let _ = self.end();
    }
}

fn log_in<T: Serialize>(client: &Client, mount: &str, body: &T) -> Result<Zeroizing<String>, Failure> {
    let (tried, path) = ("logging in", format!("auth/{mount}/login"));
    // A secret id may be good for a number of uses: what is not known to have failed is not repeated.
    let request = Request {
        tried,
        body: Some(spelled(body)?),
        path: &path,
        token: None,
        attempt: None,
        again: Again::WhenNotDone,
    };
    let LoggedIn { auth } = client.ask(&request)?.document(tried)?;
    Ok(auth.client_token)
}

/// The secret id: as it lies in the file, or unwrapped.
fn secret_id(client: &Client, login: &Approle) -> Result<Zeroizing<String>, Failure> {
    #[derive(Deserialize)]
    struct Looked {
        data: Wrapping,
    }
    #[derive(Deserialize)]
    struct Wrapping {
        creation_path: String,
    }
    #[derive(Deserialize)]
    struct Unwrapped {
        data: SecretId,
    }
    #[derive(Deserialize)]
    struct SecretId {
        secret_id: Zeroizing<String>,
    }
    #[derive(Serialize)]
    struct Token<'a> {
        token: &'a str,
    }
    let found = secret_in(&login.secret_id_file)?;
    let Some(role) = &login.wrapped_for else { return Ok(found) };
    let file = login.secret_id_file.display();
    let spent = |e: Failure| match e.code.as_str() {
        "vault-refused" | "vault-denied" => Failure::later(
            "wrapping-token-spent",
            format!(
                "{file}: Vault does not know this wrapping token: it was used, or its time is over. A new one is needed for \
                 each job. If nobody of yours used it, somebody else has the secret id: destroy that first ({e})"
            ),
        ),
        _ => e,
    };
    let ask = |tried: &'static str, path: &str, body, token: Option<&HeaderValue>, again| {
        client.ask(&Request { tried, body: Some(body), path, token, attempt: None, again })
    };
    let tried = "looking at the wrapping token";
    let token = spelled(&Token { token: &found })?;
    let looked = ask(tried, "sys/wrapping/lookup", token, None, Again::Always);
    let looked: Looked = looked.and_then(|answer| answer.document(tried)).map_err(spent)?;
    let wanted = format!("auth/{}/role/{role}/secret-id", login.mount);
    if looked.data.creation_path != wanted {
        let text = format!(
            "{file}: the token wraps what came from {}, and not from {wanted}: somebody put another one there",
            artifact::words::one_line(&looked.data.creation_path)
        );
        return Err(Failure::later("wrapping-token-foreign", text));
    }
    let tried = "unwrapping the secret id";
    let unwrapped = ask(tried, "sys/wrapping/unwrap", spelled(&())?, Some(&header(&found)?), Again::WhenNotDone);
    let unwrapped: Unwrapped = unwrapped.and_then(|answer| answer.document(tried)).map_err(spent)?;
    Ok(unwrapped.data.secret_id)
}

/// What lies in a file with one line, which is a secret.
fn secret_in(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let fault = |e: &dyn std::fmt::Display| {
        let text = format!(
            "{}: {e}. Is it exposed to the signer (countersign.toml), and readable for its uid?",
            path.display()
        );
        Failure::later("vault-login", text)
    };
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(|e| fault(&e))?;
    let read = file.take(SECRET).read_to_string(&mut text).map_err(|e| fault(&e))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() || read as u64 == SECRET || !secret.chars().all(|c| c.is_ascii_graphic()) {
        return Err(fault(&"one line with a token or an id is expected"));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}

/// A header that is never printed.
fn header(token: &str) -> Result<HeaderValue, Failure> {
    let mut value = HeaderValue::from_str(token).map_err(|_| {
        Failure::later("vault-talks-nonsense", "a token that is none: control characters, or bytes beyond ASCII")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn spelled<T: Serialize>(body: &T) -> Result<Zeroizing<Vec<u8>>, Failure> {
    serde_json::to_vec(body).map(Zeroizing::new).map_err(|e| Failure::halt("request-broken", e))
}

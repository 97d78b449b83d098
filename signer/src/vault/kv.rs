//! Entries of a KV engine, version 2: read, and put by compare-and-set.

use std::collections::BTreeMap;

use artifact::failure::Failure;
use registry::Login;
use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::client::{Again, Answer, parse, refused};
use super::login::Session;
use super::needs::REGISTRY;
use super::settings::{Kv, Name};

/// What an entry holds: fields of text.
pub(super) type Fields = BTreeMap<String, Zeroizing<String>>;

/// An entry as it is.
#[derive(Debug)]
pub(super) enum Found {
    /// There never was one, by Vault's word.
    Nothing,
    /// It is there, at this version.
    Entry(u64, Fields),
    /// It was there, and was deleted at this version.
    Deleted(u64),
}

#[derive(Deserialize)]
struct Read {
    data: Versioned,
}

#[derive(Deserialize)]
struct Versioned {
    data: Option<Fields>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
}

#[derive(Serialize)]
struct Write<'a> {
    options: Options,
    data: &'a Fields,
}

#[derive(Serialize)]
struct Options {
    cas: u64,
}

#[derive(Deserialize)]
struct Written {
    data: Metadata,
}

/// Reads an entry of the signer's own folder.
pub(super) fn read(session: &Session, kv: &Kv, name: &str) -> Result<Found, Failure> {
    let path = path(kv, name);
    let tried = format!("reading {path}");
    let bytes = match session.read(&tried, &path)? {
        Answer::Done(bytes) => bytes,
        Answer::No(StatusCode::NOT_FOUND, said, bytes) => {
            // Nothing there has no document; what was deleted has one.
            let Ok(Read { data }) = parse::<Read>(&tried, &bytes) else {
                let no_engine = said.contains("no handler for route");
                return if no_engine { Err(refused(&tried, StatusCode::NOT_FOUND, &said)) } else { Ok(Found::Nothing) };
            };
            return Ok(Found::Deleted(data.metadata.version));
        }
        Answer::No(status, said, _) => return Err(refused(&tried, status, &said)),
    };
    let Read { data: Versioned { data, metadata } } = parse(&tried, &bytes)?;
    Ok(data.map_or(Found::Deleted(metadata.version), |fields| Found::Entry(metadata.version, fields)))
}

/// Puts an entry in place of the one at version `cas` (0: of none), and gives its version. `None`: another is there.
pub(super) fn put(session: &Session, kv: &Kv, name: &str, cas: u64, fields: &Fields) -> Result<Option<u64>, Failure> {
    let path = path(kv, name);
    let tried = format!("writing {path}");
    let body = Write { options: Options { cas }, data: fields };
    match session.write(&tried, &path, &body, None, Again::Always)? {
        Answer::Done(bytes) => parse::<Written>(&tried, &bytes).map(|written| Some(written.data.version)),
        Answer::No(StatusCode::BAD_REQUEST, said, _) if said.contains("check-and-set") => {
            // Perhaps by ourselves: an answer that was lost, and the same write again.
            match read(session, kv, name)? {
                Found::Entry(version, there) if version == cas + 1 && there == *fields => Ok(Some(version)),
                _ => Ok(None),
            }
        }
        Answer::No(status, said, _) => Err(refused(&tried, status, &said)),
    }
}

fn path(kv: &Kv, name: &str) -> String {
    format!("{}/data/{}/{name}", kv.mount, kv.path)
}

impl Session {
    /// Reads a registry's login.
    ///
    /// # Errors
    /// It is not there, or is none.
    pub fn registry_login(&self, kv: &Kv, name: &Name) -> Result<Login, Failure> {
        let entry = format!("{REGISTRY}/{name}");
        let wrong =
            |why: &str| Failure::later("vault-registry-login", format!("{}/{}/{entry}: {why}", kv.mount, kv.path));
        let Found::Entry(_, fields) = read(self, kv, &entry)? else { return Err(wrong("no such entry")) };
        let field = |name| fields.get(name).cloned().ok_or_else(|| wrong("it needs the fields username and password"));
        Ok(Login { username: field("username")?.to_string(), password: field("password")? })
    }
}

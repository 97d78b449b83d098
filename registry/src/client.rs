//! The client: the listed registries, each with its own authorities, its own login and its own connections.

use std::collections::BTreeMap;
use std::time::Duration;

use artifact::name::Repository;

use crate::error::{Fault, RegistryError};
use crate::hosts::Hosts;
use crate::patience::{Budget, Patience};
use crate::session::PIECE;
use crate::transport::Endpoint;

/// A client of the listed registries.
#[derive(Debug)]
pub struct Client {
    endpoints: BTreeMap<String, Endpoint>,
    patience: Patience,
    budget: Budget,
    piece: u64,
}

impl Client {
    /// Prepares to contact the listed registries; contacts none. Reads their certificate authorities and passwords.
    ///
    /// # Errors
    /// A certificate authority or a password that can't be read.
    pub fn new(hosts: &Hosts) -> Result<Self, RegistryError> {
        Self::with_patience(hosts, Patience::default())
    }

    /// The same, more or less patient.
    ///
    /// # Errors
    /// A certificate authority or a password that can't be read.
    pub fn with_patience(hosts: &Hosts, patience: Patience) -> Result<Self, RegistryError> {
        let endpoint =
            |(name, host)| Endpoint::new(name, host, patience.answer).map(|endpoint| (name.to_owned(), endpoint));
        let endpoints = hosts.iter().map(endpoint).collect::<Result<_, _>>()?;
        Ok(Self { endpoints, patience, budget: Budget::new(patience.waiting), piece: PIECE })
    }

    /// The same, that sends blobs in pieces of so many bytes, and smaller ones whole.
    #[must_use]
    pub fn in_pieces_of(self, bytes: u64) -> Self {
        Self { piece: bytes.max(1), ..self }
    }

    pub(crate) fn piece(&self) -> u64 {
        self.piece
    }

    pub(crate) fn patience(&self) -> &Patience {
        &self.patience
    }

    /// Whether there is budget to wait so long before another try. It is spent by asking.
    pub(crate) fn may_wait(&self, wait: Duration) -> bool {
        self.budget.take(wait)
    }

    /// The registry of a repository, when it is listed.
    pub(crate) fn endpoint(&self, repository: &Repository, tried: &str) -> Result<&Endpoint, RegistryError> {
        self.listed(repository.registry())
            .ok_or_else(|| RegistryError::new(repository, tried, Fault::Unlisted(repository.registry().to_owned())))
    }

    /// A registry by its `host[:port]`, when it is listed.
    pub(crate) fn listed(&self, registry: &str) -> Option<&Endpoint> {
        self.endpoints.get(registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{hosts, local};

    #[test]
    fn a_host_that_is_not_listed_gets_no_packet() {
        let asked = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        asked.set_nonblocking(true).unwrap();
        let repository: Repository = format!("{}/x", asked.local_addr().unwrap()).parse().unwrap();
        let client = Client::new(&hosts("[registry.\"127.0.0.1:1\"]\nplain_http = true")).unwrap();
        let error = local(client.manifest(&repository, "latest")).unwrap_err();
        assert!(matches!(error.fault(), Fault::Unlisted(_)), "{error}");
        assert!(asked.accept().is_err());
    }

    #[test]
    fn authorities_and_passwords_that_can_not_be_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let empty = folder.path().join("empty");
        std::fs::write(&empty, "").unwrap();
        for line in [
            "ca = \"/nowhere/ca.pem\"".to_owned(),
            format!("ca = {empty:?}"),
            "username = \"u\"\npassword_file = \"/nowhere/password\"".to_owned(),
            format!("username = \"u\"\npassword_file = {empty:?}"),
        ] {
            let error = Client::new(&hosts(&format!("[registry.\"r.example\"]\n{line}"))).unwrap_err();
            assert!(matches!(error.fault(), Fault::Setup(_)), "{error}");
        }
    }
}

//! HTTP as the house speaks it: TLS with pinned authorities, no proxy, no redirect, nothing from the environment.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a server may stay silent within an answer.
const SILENCE: Duration = Duration::from_secs(60);

/// By what a server is known.
#[derive(Debug, Clone, Copy)]
pub enum Trust<'p> {
    /// By a certificate of one of the authorities in this file, in PEM.
    Authorities(&'p Path),
    /// By nothing: it is on this host, and HTTP goes without TLS. No other host is contacted.
    Loopback,
}

/// Who we are to a server that asks for a certificate.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'p> {
    /// The certificate and those that lead to its authority, in PEM.
    pub certificate: &'p Path,
    /// Its key, in PEM.
    pub key: &'p Path,
}

/// A client of one server.
///
/// # Errors
/// A text for a person: a file that can't be read or used, by its name.
pub fn client(trust: Trust<'_>, identity: Option<Identity<'_>>) -> Result<reqwest::Client, String> {
    let loopback_only = matches!(trust, Trust::Loopback);
    let roots = match trust {
        Trust::Authorities(path) => authorities(path)?,
        // Without a root nothing verifies; and nothing is asked to: the scheme is http.
        Trust::Loopback => rustls::RootCertStore::empty(),
    };
    reqwest::Client::builder()
        .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // What is digested must come as it lies there.
        .default_headers(HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]))
        .no_proxy()
        .http1_only()
        .https_only(!loopback_only)
        .connect_timeout(CONNECT)
        .read_timeout(SILENCE)
        .dns_resolver(Arc::new(Resolver { loopback_only }))
        .tls_backend_preconfigured(tls(roots, identity)?)
        .build()
        .map_err(|e| e.to_string())
}

fn authorities(path: &Path) -> Result<rustls::RootCertStore, String> {
    let fault = |e: &dyn std::fmt::Display| format!("certificate authorities in {}: {e}", path.display());
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|e| fault(&e))? {
        let certificate = certificate.map_err(|e| fault(&e))?;
        // A system's bundle may hold an authority whose form rustls does not know: it then counts for nothing.
        let _ = roots.add(certificate);
    }
    if roots.is_empty() { Err(fault(&"none that can be used")) } else { Ok(roots) }
}

/// TLS with these authorities, rustls's own verifier and ring; no provider of the process, no verifier of the platform.
fn tls(roots: rustls::RootCertStore, identity: Option<Identity<'_>>) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|e| e.to_string())?.with_root_certificates(roots);
    let Some(Identity { certificate, key }) = identity else { return Ok(builder.with_no_client_auth()) };
    let fault = |path: &Path, e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let chain: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(certificate).map_err(|e| fault(certificate, &e))?.collect();
    let chain = chain.map_err(|e| fault(certificate, &e))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|e| fault(key, &e))?;
    builder.with_client_auth_cert(chain, secret).map_err(|e| fault(key, &e))
}

/// Which addresses a name has. On this thread: a resolver of its own thread would need calls that rooms don't have; the
/// resolver's own limits (resolv.conf) bound it.
#[derive(Debug)]
struct Resolver {
    loopback_only: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let found = match name.as_str() {
            "localhost" => Ok(vec![SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0)]),
            name => (name, 0).to_socket_addrs().map(Iterator::collect::<Vec<_>>),
        };
        let loopback_only = self.loopback_only;
        let addresses = found.map(|addresses| {
            let usable = addresses.into_iter().filter(move |a| !loopback_only || a.ip().is_loopback());
            Box::new(usable) as Addrs
        });
        Box::pin(std::future::ready(addresses.map_err(Into::into)))
    }
}

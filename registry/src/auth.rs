//! Logging in: HTTP Basic, and the bearer tokens of the distribution project ("Token Authentication Specification").

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use artifact::digest::shortened;
use base64ct::Encoding as _;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Method, Url};
use zeroize::Zeroizing;

use crate::Client;
use crate::answers::{self, Challenge};
use crate::error::{Fault, RegistryError};
use crate::transport::{Payload, Request, body, expect};

/// The most bytes of a token server's answer.
const ANSWER: u64 = 256 << 10;

/// A user's name and password, and what they earned so far.
pub(crate) struct Login {
    basic: Option<HeaderValue>,
    /// By scope. No thread shares them; the lock is for the type's sake.
    earned: Mutex<BTreeMap<String, HeaderValue>>,
}

impl Login {
    pub(crate) fn new(credentials: Option<(String, Zeroizing<String>)>) -> Self {
        let basic = credentials.and_then(|(user, password)| {
            let both = Zeroizing::new(format!("{user}:{}", *password));
            secret("Basic", &base64ct::Base64::encode_string(both.as_bytes()))
        });
        Self { basic, earned: Mutex::default() }
    }

    /// What is sent without being asked: only what this scope has earned before.
    pub(crate) fn header(&self, scope: &str) -> Option<HeaderValue> {
        self.earned.lock().unwrap_or_else(PoisonError::into_inner).get(scope).cloned()
    }

    /// What to send after a 401. `None`: there is nothing to offer.
    pub(crate) async fn answer(
        &self,
        client: &Client,
        request: &Request<'_>,
        headers: &HeaderMap,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        let challenge = headers.get_all(WWW_AUTHENTICATE).iter().find_map(|h| Challenge::parse(h.to_str().ok()?));
        let header = match challenge {
            Some(Challenge::Basic) => self.basic.clone(),
            Some(Challenge::Bearer { realm, service }) => {
                Some(self.token(client, request, &realm, service.as_deref()).await?)
            }
            None => None,
        };
        if let Some(header) = &header {
            let mut earned = self.earned.lock().unwrap_or_else(PoisonError::into_inner);
            earned.insert(request.scope.clone(), header.clone());
        }
        Ok(header)
    }

    /// Asks the token server, which must be a listed host; this registry's own login is sent there and no other: a token
    /// earned with another host's login would end up with whoever runs this registry.
    async fn token(
        &self,
        client: &Client,
        request: &Request<'_>,
        realm: &str,
        service: Option<&str>,
    ) -> Result<HeaderValue, RegistryError> {
        let mut url = Url::parse(realm).map_err(|_| request.error(Fault::Protocol("a realm that is no address")))?;
        let host = authority(&url);
        let endpoint = client.listed(&host).ok_or_else(|| request.error(Fault::Unlisted(shortened(&host))))?;
        if endpoint.own(&url, url.as_str()).is_none() {
            return Err(request.error(Fault::Protocol("a realm whose scheme is not that of the listed host")));
        }
        let scopes = request.scope.split(' ').map(|scope| ("scope", scope));
        url.query_pairs_mut().extend_pairs(service.map(|s| ("service", s))).extend_pairs(scopes);
        let asked = Request {
            place: request.place,
            tried: "asking for a token",
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Nothing,
            scope: String::new(),
            volume: ANSWER,
            repeatable: true,
        };
        let answer = endpoint.once(&asked, self.basic.clone()).await?;
        let answer = body(&asked, expect(&asked, answer, 200).await?, ANSWER).await?;
        answers::token(&answer)
            .map_err(|e| asked.error(e))?
            .and_then(|token| secret("Bearer", &token))
            .ok_or_else(|| asked.error(Fault::Protocol("a token server's answer without a token")))
    }
}

/// A header that is never printed.
fn secret(scheme: &str, word: &str) -> Option<HeaderValue> {
    let text = Zeroizing::new(format!("{scheme} {word}"));
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `host[:port]`, as configurations list it.
pub(crate) fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testkit::{Peer, Script, hosts, local};

    /// A file with a password, and the lines that name it.
    fn login(folder: &std::path::Path, password: &str) -> String {
        let path = folder.join("password");
        std::fs::write(&path, format!("{password}\n")).unwrap();
        format!("plain_http = true\nusername = \"ann\"\npassword_file = {path:?}\n")
    }

    #[test]
    fn a_registry_with_passwords_is_entered_with_the_right_one_only() {
        let folder = tempfile::tempdir().unwrap();
        let users = folder.path().join("htpasswd");
        // The password is `secret`, by bcrypt.
        std::fs::write(&users, "ann:$2b$04$PjammJCIH6wmYBdB6SdoBOy5WTIJwmQqvBzyI8XLAWKdLebxlXJh2\n").unwrap();
        let peer = Peer::start_with("", &format!("auth:\n  htpasswd: {{realm: r, path: {users:?}}}\n"));
        let repository = peer.repository("a");
        local(async {
            let client = peer.client_with(&login(folder.path(), "secret"));
            let blob = client.push_bytes(&repository, b"x").await.unwrap();
            assert_eq!(client.blob(&repository, &blob, 10).await.unwrap(), b"x");
            for client in [peer.client(), peer.client_with(&login(folder.path(), "wrong"))] {
                let error = client.manifest(&repository, "x").await.unwrap_err();
                assert!(
                    error.to_string().contains("HTTP status 401") && !error.to_string().contains("wrong"),
                    "{error}"
                );
                assert!(!format!("{client:?}").contains("wrong"));
            }
        });
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
    }

    fn bearer(realm: &str) -> String {
        format!(
            "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\ncontent-length: 0\r\n\r\n"
        )
    }

    #[test]
    fn a_token_is_asked_for_with_our_own_scope_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Script::start(&[&ok(r#"{"token":"t0ken","expires_in":300}"#)]);
        let missing = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let here = Script::start(&[&bearer(&format!("http://{}/token?x=y", tokens.address())), missing, missing]);
        let lines = login(folder.path(), "secret");
        let both = format!(
            "[registry.\"{}\"]\n{lines}[registry.\"{}\"]\nplain_http = true\n",
            here.address(),
            tokens.address()
        );
        let client = Client::new(&hosts(&both)).unwrap();
        local(async {
            assert_eq!(client.manifest(&here.repository(), "x").await.unwrap(), None);
            assert_eq!(client.manifest(&here.repository(), "y").await.unwrap(), None);
        });
        let asked = tokens.heard().remove(0);
        assert!(asked.starts_with("GET /token?x=y&service=s&scope=repository%3Ax%3Apull "), "{asked}");
        assert!(asked.contains("authorization: Basic YW5uOnNlY3JldA=="), "{asked}");
        assert!(!here.heard()[0].contains("authorization"));
        assert!(here.heard()[1..].iter().all(|h| h.contains("authorization: Bearer t0ken")), "{:?}", here.heard());
    }

    #[test]
    fn a_token_is_not_asked_for_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let tokens = Script::start(&[]);
        let lines = login(folder.path(), "secret");
        for (realm, listed) in [
            (format!("http://{}/token", tokens.address()), false),
            // Listed, but by another scheme; and no address at all.
            (format!("https://{}/token", tokens.address()), true),
            (format!("http://user@{}/token", tokens.address()), true),
            ("token".to_owned(), true),
        ] {
            let here = Script::start(&[&bearer(&realm)]);
            let mut text = format!("[registry.\"{}\"]\n{lines}", here.address());
            if listed {
                text.push_str(&format!("[registry.\"{}\"]\nplain_http = true\n", tokens.address()));
            }
            let client = Client::new(&hosts(&text)).unwrap();
            let error = local(client.manifest(&here.repository(), "x")).unwrap_err();
            match listed {
                false => assert!(matches!(error.fault(), Fault::Unlisted(_)), "{error}"),
                true => assert!(matches!(error.fault(), Fault::Protocol(_)), "{error}"),
            }
        }
        assert!(tokens.heard().is_empty());
    }

    #[test]
    fn a_token_server_that_gives_none_is_an_error() {
        for answer in [r#"{}"#, r#"{"token":""}"#, r#"{"token":"a\nb"}"#, "token"] {
            let tokens = Script::start(&[&ok(answer)]);
            let here = Script::start(&[&bearer(&format!("http://{}/token", tokens.address()))]);
            let list = |address: String| format!("[registry.\"{address}\"]\nplain_http = true\n");
            let client = Client::new(&hosts(&(list(here.address()) + &list(tokens.address())))).unwrap();
            local(client.manifest(&here.repository(), "x")).unwrap_err();
        }
    }
}

//! The requests of OCI distribution 1.1, each answered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader};
use std::net::TcpStream;

use artifact::digest::{HashingReader, hex};
use artifact::name::Tag;
use artifact::oci::{INDEX, Index, MANIFEST, MANIFEST_LIMIT};
use artifact::{Digest, Moment};

use super::Shared;
use super::http::{Answer, Request};
use super::journal::{Harm, Write};
use super::store::Refused;
use std::io::Read as _;

/// What a request asks for: a repository's name, and a thing in it.
#[derive(Debug)]
enum Thing<'a> {
    Blob(&'a str),
    Upload(&'a str),
    Manifest(&'a str),
    Tags,
    Referrers(&'a str),
}

fn parse(path: &str) -> Option<(&str, Thing<'_>)> {
    let path = path.strip_prefix("/v2/")?;
    if let Some(name) = path.strip_suffix("/tags/list") {
        return Some((name, Thing::Tags));
    }
    if let Some((name, id)) = path.split_once("/blobs/uploads/") {
        return Some((name, Thing::Upload(id)));
    }
    let (rest, last) = path.rsplit_once('/')?;
    let (name, kind) = rest.rsplit_once('/')?;
    let thing = match kind {
        "blobs" => Thing::Blob(last),
        "manifests" => Thing::Manifest(last),
        "referrers" => Thing::Referrers(last),
        _ => return None,
    };
    Some((name, thing))
}

/// Whether it can be a repository's name, and so a folder's.
fn is_name(name: &str) -> bool {
    let part = |p: &str| {
        p.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
            && p.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'))
            && !["blobs", "manifests", "tags", "referrers"].contains(&p)
    };
    name.len() <= 200 && name.split('/').all(part)
}

impl Shared {
    /// Answers a request, and writes a write into the journal.
    pub(super) fn answer(&self, request: &Request, wire: &mut BufReader<TcpStream>) -> io::Result<Answer> {
        if request.path.trim_end_matches('/') == "/v2" {
            return Ok(Answer::status(200).with("Content-Type", "application/json").bytes(b"{}".to_vec()));
        }
        let Some((name, thing)) = parse(&request.path).filter(|(name, _)| is_name(name)) else {
            return Ok(Answer::error(404, "NAME_UNKNOWN", "no such path"));
        };
        match (request.method.as_str(), thing) {
            ("GET" | "HEAD", Thing::Blob(digest)) => self.get_blob(name, digest),
            ("GET" | "HEAD", Thing::Manifest(reference)) => self.get_manifest(name, reference),
            ("GET", Thing::Tags) => Ok(self.tags(name, request)),
            ("GET", Thing::Referrers(digest)) => self.referrers(name, digest, request),
            ("PUT", Thing::Manifest(reference)) => self.put_manifest(name, reference, request, wire),
            ("POST", Thing::Upload("")) => self.start_upload(name, request, wire),
            ("GET", Thing::Upload(id)) => Ok(match self.uploaded(id) {
                Some(size) => accepted(204, name, id, size),
                None => unknown_upload(),
            }),
            ("PATCH", Thing::Upload(id)) => self.append(name, id, request, wire),
            ("PUT", Thing::Upload(id)) => self.finish_upload(name, id, request, wire),
            _ => Ok(Answer::error(405, "UNSUPPORTED", "this registry does not do that")),
        }
    }

    /// A write that is refused before it is looked at.
    pub(super) fn unavailable(&self, request: &Request) -> Answer {
        let name = parse(&request.path).map_or("", |(name, _)| name);
        self.note(self.entry(request, name, 503));
        Answer::error(503, "UNAVAILABLE", "told to be unavailable").with("Retry-After", 0)
    }

    /// An answer that is other than the truth, or of a moment with another writer in it.
    pub(super) fn harmed(&self, harm: Harm, request: &Request, wire: &mut BufReader<TcpStream>) -> io::Result<Answer> {
        let (name, tag) = match parse(&request.path) {
            Some((name, Thing::Manifest(tag))) => (name, tag),
            Some((name, _)) => (name, ""),
            None => ("", ""),
        };
        if let Harm::Overwritten(digest) = harm {
            let answer = self.answer(request, wire)?;
            self.store().set_tag(name, tag, Some(digest))?;
            return Ok(answer);
        }
        io::copy(&mut request.body(wire)?, &mut io::sink())?;
        let refused = |status, code| {
            self.note(self.entry(request, name, status));
            Answer::error(status, code, "told to refuse")
        };
        Ok(match harm {
            Harm::Taken(digest) => {
                self.store().set_tag(name, tag, Some(digest))?;
                refused(409, "CONFLICT")
            }
            Harm::Refused(status, code) => refused(status, code),
            // Written to HEAD, of which only the length goes out.
            Harm::Claimed(size) => Answer::status(200).bytes(vec![0; usize::try_from(size).unwrap_or(0)]),
            Harm::Page => Answer::status(200).with("Content-Type", "text/html").bytes(b"<html>Log in</html>".to_vec()),
            _ => Answer::error(404, "UNKNOWN", "told to know nothing"),
        })
    }

    fn entry(&self, request: &Request, name: &str, status: u16) -> Write {
        Write {
            method: request.method.clone(),
            path: request.path.clone(),
            repository: name.to_owned(),
            status,
            digest: None,
            tag: None,
            subject: None,
            at: Moment::now(),
        }
    }

    fn get_blob(&self, name: &str, digest: &str) -> io::Result<Answer> {
        let Ok(digest) = digest.parse::<Digest>() else {
            return Ok(Answer::error(400, "DIGEST_INVALID", "sha256 only"));
        };
        let path = self.store().blob(name, &digest);
        match File::open(path) {
            Ok(file) => {
                let size = file.metadata()?.len();
                let answer = Answer::status(200).with("Content-Type", "application/octet-stream");
                Ok(answer.with("Docker-Content-Digest", digest).file(file, size))
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Answer::error(404, "BLOB_UNKNOWN", "no such blob")),
            Err(e) => Err(e),
        }
    }

    fn get_manifest(&self, name: &str, reference: &str) -> io::Result<Answer> {
        let store = self.store();
        let Some(found) = store.find(name, reference) else {
            return Ok(Answer::error(404, "MANIFEST_UNKNOWN", "no such manifest"));
        };
        let bytes = fs::read(store.blob(name, &found.digest))?;
        let answer = Answer::status(200).with("Content-Type", &found.media_type);
        Ok(answer.with("Docker-Content-Digest", found.digest).bytes(bytes))
    }

    fn tags(&self, name: &str, request: &Request) -> Answer {
        let store = self.store();
        let Some(tags) = store.tags(name) else {
            return Answer::error(404, "NAME_UNKNOWN", "no such repository");
        };
        let after = request.asked("last").unwrap_or("");
        let mut page: Vec<&String> = tags.keys().filter(|t| t.as_str() > after).collect();
        let most = request.asked("n").and_then(|n| n.parse().ok()).unwrap_or(1000);
        let more = page.len() > most;
        page.truncate(most);
        let body = serde_json::json!({"name": name, "tags": page}).to_string();
        let answer = Answer::status(200).with("Content-Type", "application/json").bytes(body.into_bytes());
        match page.last().filter(|_| more) {
            Some(last) => answer.with("Link", format!("</v2/{name}/tags/list?n={most}&last={last}>; rel=\"next\"")),
            None => answer,
        }
    }

    fn referrers(&self, name: &str, digest: &str, request: &Request) -> io::Result<Answer> {
        if !self.referrers_api() {
            return Ok(Answer::error(404, "UNSUPPORTED", "no referrers API here"));
        }
        let Ok(digest) = digest.parse() else {
            return Ok(Answer::error(400, "DIGEST_INVALID", "sha256 only"));
        };
        let mut found = self.store().referrers(name, &digest)?;
        let mut answer = Answer::status(200).with("Content-Type", INDEX);
        if let Some(kind) = request.asked("artifactType") {
            found.retain(|d| d.artifact_type.as_deref() == Some(kind));
            answer = answer.with("OCI-Filters-Applied", "artifactType");
        }
        Ok(answer.bytes(serde_json::to_vec(&Index::of(found))?))
    }

    fn put_manifest(
        &self,
        name: &str,
        reference: &str,
        request: &Request,
        wire: &mut BufReader<TcpStream>,
    ) -> io::Result<Answer> {
        let mut bytes = Vec::new();
        request.body(wire)?.take(MANIFEST_LIMIT + 1).read_to_end(&mut bytes)?;
        let mut write = self.entry(request, name, 400);
        let digest = Digest::of(&bytes);
        write.digest = Some(digest);
        if reference.contains(':') {
            if reference != digest.to_string() {
                self.note(write);
                return Ok(Answer::error(400, "DIGEST_INVALID", "the manifest has another digest"));
            }
        } else if reference.parse::<Tag>().is_ok() {
            write.tag = Some(reference.to_owned());
        } else {
            return Ok(Answer::error(400, "TAG_INVALID", "not a tag"));
        }
        write.subject = serde_json::from_slice::<serde_json::Value>(&bytes)
            .ok()
            .and_then(|m| m.pointer("/subject/digest")?.as_str()?.parse().ok());
        let media = request.header("content-type").unwrap_or(MANIFEST);
        // The store's lock is held until the journal has the line: the journal's order is the order of effects.
        let mut store = self.store();
        match store.put(name, media, &bytes, write.tag.as_deref()) {
            Ok(_) => {
                let mut answer = Answer::status(201)
                    .with("Location", format!("/v2/{name}/manifests/{digest}"))
                    .with("Docker-Content-Digest", digest);
                if let Some(subject) = write.subject.filter(|_| self.referrers_api()) {
                    answer = answer.with("OCI-Subject", subject);
                }
                write.status = 201;
                self.note(write);
                Ok(answer)
            }
            Err(Refused::Io(error)) => Err(error),
            Err(Refused::Invalid(why)) => {
                self.note(write);
                Ok(Answer::error(400, "MANIFEST_INVALID", &why))
            }
            Err(Refused::Unknown(what)) => {
                self.note(write);
                Ok(Answer::error(400, "MANIFEST_BLOB_UNKNOWN", &what))
            }
        }
    }

    fn start_upload(&self, name: &str, request: &Request, wire: &mut BufReader<TcpStream>) -> io::Result<Answer> {
        let mut raw = [0; 16];
        getrandom::fill(&mut raw).map_err(|e| io::Error::other(e.to_string()))?;
        let id = hex(&raw);
        File::create(self.store().upload(&id))?;
        // Neither a mount (202 says: upload it yourself, and is legal) nor a length of 0 says anything more.
        if request.asked("digest").is_some() {
            return self.finish_upload(name, &id, request, wire);
        }
        io::copy(&mut request.body(wire)?, &mut io::sink())?;
        self.note(self.entry(request, name, 202));
        Ok(accepted(202, name, &id, 0))
    }

    /// How many bytes of an upload are there.
    fn uploaded(&self, id: &str) -> Option<u64> {
        let real = id.len() == 32 && id.bytes().all(|c| c.is_ascii_hexdigit());
        real.then(|| fs::metadata(self.store().upload(id)).ok()).flatten().map(|m| m.len())
    }

    fn append(&self, name: &str, id: &str, request: &Request, wire: &mut BufReader<TcpStream>) -> io::Result<Answer> {
        let Some(before) = self.uploaded(id) else { return Ok(unknown_upload()) };
        let begins = request.header("content-range").and_then(|r| r.split('-').next()).map(str::parse::<u64>);
        if begins.is_some_and(|begins| begins != Ok(before)) {
            return Ok(Answer::error(416, "BLOB_UPLOAD_INVALID", "a chunk out of order"));
        }
        let mut file = OpenOptions::new().append(true).open(self.store().upload(id))?;
        let size = before + io::copy(&mut request.body(wire)?, &mut file)?;
        self.note(self.entry(request, name, 202));
        Ok(accepted(202, name, id, size))
    }

    fn finish_upload(
        &self,
        name: &str,
        id: &str,
        request: &Request,
        wire: &mut BufReader<TcpStream>,
    ) -> io::Result<Answer> {
        if self.uploaded(id).is_none() {
            return Ok(unknown_upload());
        }
        let upload = self.store().upload(id);
        io::copy(&mut request.body(wire)?, &mut OpenOptions::new().append(true).open(&upload)?)?;
        let mut reader = HashingReader::new(File::open(&upload)?);
        io::copy(&mut reader, &mut io::sink())?;
        let (digest, _) = reader.finish();
        let mut write = self.entry(request, name, 400);
        write.digest = Some(digest);
        if request.asked("digest").and_then(|d| d.parse().ok()) != Some(digest) {
            self.note(write);
            return Ok(Answer::error(400, "DIGEST_INVALID", "the blob has another digest"));
        }
        let store = self.store();
        store.keep_blob(name, &upload, &digest)?;
        write.status = 201;
        self.note(write);
        let answer = Answer::status(201).with("Location", format!("/v2/{name}/blobs/{digest}"));
        Ok(answer.with("Docker-Content-Digest", digest))
    }
}

fn accepted(status: u16, name: &str, id: &str, size: u64) -> Answer {
    let answer = Answer::status(status).with("Location", format!("/v2/{name}/blobs/uploads/{id}"));
    answer.with("Range", format!("0-{}", size.saturating_sub(1))).with("Docker-Upload-UUID", id)
}

fn unknown_upload() -> Answer {
    Answer::error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_repository_and_a_thing() {
        assert!(matches!(parse("/v2/a/b/manifests/latest"), Some(("a/b", Thing::Manifest("latest")))));
        assert!(matches!(parse("/v2/a/blobs/uploads/"), Some(("a", Thing::Upload("")))));
        assert!(matches!(parse("/v2/a/tags/list"), Some(("a", Thing::Tags))));
        assert!(parse("/v2/a").is_none());
        for wrong in ["..", "a/../b", "A", "", "a//b", ".a", "a/blobs"] {
            assert!(!is_name(wrong), "{wrong}");
        }
    }
}

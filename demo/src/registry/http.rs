//! As much of HTTP/1.1 as a registry needs: requests with a length or in chunks, answers with a length.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The most bytes of a request's line and headers together: clients of registries send some hundred.
const HEAD_LIMIT: u64 = 64 << 10;

/// A request; its body is still on the wire.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `PUT` …
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query's names and values, decoded.
    pub query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
}

impl Request {
    /// Reads the next request's head. `None`: the other side closed the connection between two requests.
    ///
    /// # Errors
    /// As the connection says, or when it is no request.
    pub fn read(wire: &mut BufReader<TcpStream>) -> io::Result<Option<Self>> {
        let mut head = wire.by_ref().take(HEAD_LIMIT);
        let mut line = String::new();
        if head.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(method), Some(target), Some("HTTP/1.1")) = (words.next(), words.next(), words.next()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a request of HTTP/1.1"));
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter(|p| !p.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        });
        let (method, path, query) = (method.to_owned(), decoded(path), query.collect());
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            if head.read_line(&mut line)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = line.trim_end();
            if line.is_empty() {
                return Ok(Some(Self { method, path, query, headers }));
            }
            if let Some((name, value)) = line.split_once(':') {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
        }
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// A value of the query.
    pub fn asked(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// The body, from the wire.
    ///
    /// # Errors
    /// When its length is no number.
    pub fn body<'w>(&self, wire: &'w mut BufReader<TcpStream>) -> io::Result<Body<'w>> {
        if self.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            wire.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        if self.header("transfer-encoding").is_some_and(|t| t.eq_ignore_ascii_case("chunked")) {
            return Ok(Body { wire, left: 0, chunked: true });
        }
        let left = self.header("content-length").map_or(Ok(0), str::parse);
        let left = left.map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        Ok(Body { wire, left, chunked: false })
    }
}

/// The body of a request.
#[derive(Debug)]
pub struct Body<'w> {
    wire: &'w mut BufReader<TcpStream>,
    /// What is left: of the body, or of this chunk.
    left: u64,
    /// Whether another chunk follows this one.
    chunked: bool,
}

impl Body<'_> {
    fn next_chunk(&mut self) -> io::Result<()> {
        let mut line = String::new();
        self.wire.by_ref().take(HEAD_LIMIT).read_line(&mut line)?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        self.left = u64::from_str_radix(size, 16).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
        if self.left == 0 {
            self.chunked = false;
            // Trailers, which nobody sends, and the empty line.
            while self.wire.by_ref().take(HEAD_LIMIT).read_line(&mut line)? > 2 {}
        }
        Ok(())
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && self.chunked {
            self.next_chunk()?;
        }
        if self.left == 0 {
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.wire.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        if self.left == 0 && self.chunked {
            let mut end = [0; 2];
            self.wire.read_exact(&mut end)?;
        }
        Ok(n)
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    headers: Vec<(&'static str, String)>,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Bytes(Vec<u8>),
    File(File, u64),
}

impl Answer {
    /// An answer without a body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: Vec::new(), content: Content::Bytes(Vec::new()) }
    }

    /// An error in the words of OCI distribution.
    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let body = serde_json::json!({"errors": [{"code": code, "message": message}]});
        Self::status(status).with("Content-Type", "application/json").bytes(body.to_string().into_bytes())
    }

    /// The same with a header.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.headers.push((name, value.to_string()));
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn bytes(mut self, bytes: Vec<u8>) -> Self {
        self.content = Content::Bytes(bytes);
        self
    }

    /// The same with a file for a body.
    #[must_use]
    pub fn file(mut self, file: File, size: u64) -> Self {
        self.content = Content::File(file, size);
        self
    }

    /// Puts the answer on the wire; to `HEAD`, its head only.
    ///
    /// # Errors
    /// As the connection says.
    pub fn write(self, wire: &mut TcpStream, head_only: bool) -> io::Result<()> {
        let reason = if self.status < 400 { "OK" } else { "Error" };
        let length = match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(_, size) => *size,
        };
        let mut head = format!("HTTP/1.1 {} {reason}\r\nContent-Length: {length}\r\n", self.status);
        head.push_str("Docker-Distribution-API-Version: registry/2.0\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        match self.content {
            _ if head_only => wire.write_all(&bytes)?,
            Content::Bytes(body) => {
                bytes.extend_from_slice(&body);
                wire.write_all(&bytes)?;
            }
            Content::File(file, size) => {
                wire.write_all(&bytes)?;
                io::copy(&mut file.take(size), wire)?;
            }
        }
        wire.flush()
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let raw = text.as_bytes();
    let mut at = 0;
    while at < raw.len() {
        let hex = (raw[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|h| u8::from_str_radix(h, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                at += 3;
            }
            None => {
                bytes.push(raw[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded() {
        assert_eq!(decoded("sha256%3Aab"), "sha256:ab");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%"), "%zz%");
    }
}

//! A static host: files of a folder over plain http, and nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Serves a folder on loopback until the test's process ends, and gives the port. Who asks for a file again gets the one
/// below `again`, where there is such a one.
pub fn serve(folder: &Path) -> u16 {
    let (folder, listener) = (folder.to_owned(), TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(BTreeSet::new()));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (folder, asked) = (folder.clone(), asked.clone());
            std::thread::spawn(move || answer(&folder, &asked, stream));
        }
    });
    port
}

fn answer(folder: &Path, asked: &Mutex<BTreeSet<PathBuf>>, mut stream: TcpStream) -> Option<()> {
    let mut request = BufReader::new(stream.try_clone().ok()?);
    let mut first = String::new();
    request.read_line(&mut first).ok()?;
    let mut line = String::from("more");
    while line.trim() != "" {
        line.clear();
        request.read_line(&mut line).ok()?;
    }
    let path = first.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let wanted = PathBuf::from(if path.is_empty() { "index.html" } else { &path });
    let kind = match wanted.extension()?.to_str()? {
        "html" => "text/html",
        "js" => "text/javascript",
        _ => "text/css",
    };
    let again = !asked.lock().ok()?.insert(wanted.clone());
    let changed = folder.join("again").join(&wanted);
    let path = if again && changed.exists() { changed } else { folder.join(&wanted) };
    let (status, body) = match fs::read(path) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n"
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).ok()
}

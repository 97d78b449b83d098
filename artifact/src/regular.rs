//! Regular files, opened without waiting: a folder from outside may hold a pipe or a device in a file's place, and opening
//! one of those can take for ever.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Opens a regular file for reading. What is a link, a folder, a pipe, a socket or a device is refused, and named so:
/// nothing of ours writes one where a file belongs.
///
/// # Errors
/// As the kernel says; or it is something else than a file.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|e| match e.raw_os_error() {
        Some(libc::ELOOP) => not_a_file("a link"),
        // A socket can't be opened at all.
        Some(libc::ENXIO) => not_a_file("a socket"),
        _ => e,
    })?;
    let kind = file.metadata()?.file_type();
    match kind.is_file() {
        true => Ok(file),
        false if kind.is_dir() => Err(not_a_file("a folder")),
        false => Err(not_a_file("a pipe or a device")),
    }
}

/// Reads a regular file whole.
///
/// # Errors
/// As [`open`]; or it holds more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {limit} bytes"))),
        false => Ok(bytes),
    }
}

fn not_a_file(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{what}, and a file is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_at_once_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("file"), b"five!").unwrap();
        assert_eq!(read(&at("file"), 5).unwrap(), b"five!");
        assert!(read(&at("file"), 4).unwrap_err().to_string().contains("more than 4 bytes"));
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, at("pipe"), rustix::fs::Mode::RUSR).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (name, said) in [("link", "a link"), ("folder", "a folder"), ("pipe", "a pipe"), ("socket", "a socket")] {
            let error = open(&at(name)).unwrap_err();
            assert!(error.to_string().contains(said), "{name}: {error}");
        }
        assert!(open(Path::new("/dev/zero")).unwrap_err().to_string().contains("a pipe or a device"));
        assert_eq!(open(&at("missing")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}

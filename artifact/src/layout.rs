//! An OCI image layout on disk: a room's store of content by digest. One room writes it; the others read.
//!
//! A blob is there whole or not at all: it is written beside, synced, renamed. A reader hashes while it
//! consumes, and what it consumed counts only when the digest was right at the end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::durable;
use crate::json::{self, JsonError};
use crate::oci::{Descriptor, Index, MANIFEST_LIMIT, OciError};
use crate::regular;

mod collect;

pub use collect::Collected;

/// The annotation that names a manifest in a layout's index.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The most bytes of a layout's marker, which holds one version.
const MARKER_LIMIT: u64 = 4 << 10;

/// Why a store could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file system said no.
    #[error("{path}: {cause}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        #[source]
        cause: io::Error,
    },
    /// The blob's bytes are not what its name says.
    #[error("blob {expected}: {found}")]
    Mismatch {
        /// What was asked for.
        expected: Digest,
        /// What was there.
        found: String,
    },
    /// More bytes than the reader takes.
    #[error("blob {digest}: {size} bytes, and the limit is {limit}")]
    TooLarge {
        /// Which blob.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Nothing of that name.
    #[error("{path}: nothing named {name:?}")]
    NoSuchName {
        /// The layout.
        path: PathBuf,
        /// The name.
        name: String,
    },
    /// The layout's own documents are broken.
    #[error(transparent)]
    Oci(#[from] OciError),
    /// The layout's own documents are broken.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// A store of content by digest.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Opens a store for its writer, and makes it when it is not there.
    ///
    /// # Errors
    /// As the file system says.
    pub fn create(root: impl Into<PathBuf>) -> Result<Self, LayoutError> {
        let layout = Self { root: root.into() };
        let blobs = layout.root.join("blobs/sha256");
        durable::create_folder(&blobs).map_err(|cause| LayoutError::Io { path: blobs, cause })?;
        let marker = layout.root.join("oci-layout");
        if !marker.exists() {
            layout.replace("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        }
        if !layout.root.join("index.json").exists() {
            layout.write_index(&Index::of(Vec::new()))?;
        }
        Ok(layout)
    }

    /// Names a store for a reader. Nothing is read yet.
    pub fn open(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob is, or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    /// Whether a blob is there. Says nothing of its bytes.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Keeps these bytes, durably.
    ///
    /// # Errors
    /// As the file system says.
    pub fn put(&self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, LayoutError> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|cause| self.io("blob", cause))?;
        let (digest, size) = writer.finish()?;
        Ok(Descriptor::new(media_type, digest, size))
    }

    /// Keeps bytes that come piece by piece. Dropped without [`BlobWriter::finish`], nothing is kept.
    ///
    /// # Errors
    /// As the file system says.
    pub fn writer(&self) -> Result<BlobWriter, LayoutError> {
        let mut raw = [0; 12];
        getrandom::fill(&mut raw).map_err(|e| self.io("random name", io::Error::other(e.to_string())))?;
        let part = self.root.join("blobs").join(format!("part-{}", crate::digest::hex(&raw)));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&part);
        let file = file.map_err(|cause| LayoutError::Io { path: part.clone(), cause })?;
        Ok(BlobWriter { folder: self.root.join("blobs/sha256"), part, file, hasher: Sha256::new(), size: 0 })
    }

    /// Reads a blob whole. What comes back has the digest and the size that the descriptor names.
    ///
    /// # Errors
    /// Missing, larger than `limit`, other bytes.
    pub fn read(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
        if descriptor.size > limit {
            return Err(LayoutError::TooLarge { digest: descriptor.digest, size: descriptor.size, limit });
        }
        let mut bytes = Vec::new();
        let mut blob = self.stream(descriptor)?;
        blob.read_to_end(&mut bytes).map_err(|cause| self.io(&descriptor.digest.hex(), cause))?;
        blob.finish()?;
        Ok(bytes)
    }

    /// Reads a blob of unknown size, at most `limit` bytes, by its digest alone.
    ///
    /// # Errors
    /// Missing, larger than `limit`, other bytes.
    pub fn read_digest(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let path = self.path(digest);
        let size = regular::open(&path).and_then(|file| file.metadata());
        let size = size.map_err(|cause| LayoutError::Io { path, cause })?.len();
        self.read(&Descriptor::new("", *digest, size), limit)
    }

    /// Reads a blob piece by piece; only [`BlobReader::finish`] says that it was the right one.
    ///
    /// # Errors
    /// Missing.
    pub fn stream(&self, descriptor: &Descriptor) -> Result<BlobReader, LayoutError> {
        let path = self.path(&descriptor.digest);
        let file = regular::open(&path).map_err(|cause| LayoutError::Io { path: path.clone(), cause })?;
        Ok(BlobReader {
            path,
            file: file.take(descriptor.size.saturating_add(1)),
            hasher: Sha256::new(),
            seen: 0,
            expected: descriptor.digest,
            size: descriptor.size,
        })
    }

    /// The index.
    ///
    /// # Errors
    /// Missing, or not an index.
    pub fn index(&self) -> Result<Index, LayoutError> {
        let path = self.root.join("index.json");
        let bytes = regular::read(&path, MANIFEST_LIMIT).map_err(|cause| LayoutError::Io { path, cause })?;
        Ok(Index::parse(&bytes)?)
    }

    /// Whether its marker says that it is such a layout.
    ///
    /// # Errors
    /// Missing, or another version of the format.
    pub fn check_marker(&self) -> Result<(), LayoutError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Marker {
            image_layout_version: String,
        }
        let path = self.root.join("oci-layout");
        let bytes = regular::read(&path, MARKER_LIMIT).map_err(|cause| LayoutError::Io { path, cause })?;
        let marker: Marker = json::parse_foreign("oci-layout", &bytes)?;
        match marker.image_layout_version.as_str() {
            "1.0.0" => Ok(()),
            other => {
                let why = format!("imageLayoutVersion {:?}; 1.0.0 is expected", crate::digest::shortened(other));
                Err(OciError::Shape { what: "oci-layout", why }.into())
            }
        }
    }

    /// Names a manifest, in place of what had the name before.
    ///
    /// # Errors
    /// As the file system says.
    pub fn tag(&self, descriptor: &Descriptor, name: &str) -> Result<(), LayoutError> {
        let mut index = self.index()?;
        index.manifests.retain(|m| m.annotations.get(REF_NAME).is_none_or(|n| n != name));
        index.manifests.push(descriptor.clone().annotated(REF_NAME, name));
        self.write_index(&index)
    }

    /// Finds a manifest by its name.
    ///
    /// # Errors
    /// No such name, or a broken index.
    pub fn find(&self, name: &str) -> Result<Descriptor, LayoutError> {
        let index = self.index()?;
        let mut named = index.manifests.into_iter().filter(|m| m.annotations.get(REF_NAME).is_some_and(|n| n == name));
        match (named.next(), named.next()) {
            (Some(one), None) => Ok(one),
            _ => Err(LayoutError::NoSuchName { path: self.root.clone(), name: name.to_owned() }),
        }
    }

    fn write_index(&self, index: &Index) -> Result<(), LayoutError> {
        self.replace("index.json", &json::canonical("index", index)?)
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), LayoutError> {
        let path = self.root.join(name);
        durable::replace(&path, bytes, 0o644).map_err(|cause| LayoutError::Io { path, cause })
    }

    fn io(&self, name: &str, cause: io::Error) -> LayoutError {
        LayoutError::Io { path: self.root.join(name), cause }
    }
}

/// A blob on its way into a store.
#[derive(Debug)]
pub struct BlobWriter {
    folder: PathBuf,
    part: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
}

impl BlobWriter {
    /// Keeps what was written, durably, under its digest.
    ///
    /// # Errors
    /// As the file system says; then nothing is kept.
    pub fn finish(self) -> Result<(Digest, u64), LayoutError> {
        let digest = Digest::from_raw(self.hasher.clone().finalize().into());
        let path = self.folder.join(digest.hex());
        let placed = self
            .file
            .sync_all()
            .and_then(|()| fs::rename(&self.part, &path))
            .and_then(|()| durable::sync_folder(&self.folder));
        placed.map_err(|cause| LayoutError::Io { path, cause })?;
        Ok((digest, self.size))
    }

    /// Keeps what was written if it is what was expected.
    ///
    /// # Errors
    /// Other bytes, or as the file system says; then nothing is kept.
    pub fn finish_as(self, expected: &Descriptor) -> Result<(), LayoutError> {
        let found = Digest::from_raw(self.hasher.clone().finalize().into());
        if found != expected.digest || self.size != expected.size {
            let found = format!("{} bytes with digest {found}, {} bytes expected", self.size, expected.size);
            return Err(LayoutError::Mismatch { expected: expected.digest, found });
        }
        self.finish().map(drop)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        // After `finish` the part has been renamed, and this finds nothing.
        let _ = fs::remove_file(&self.part);
    }
}

/// A blob on its way out of a store.
#[derive(Debug)]
pub struct BlobReader {
    path: PathBuf,
    file: io::Take<File>,
    hasher: Sha256,
    seen: u64,
    expected: Digest,
    size: u64,
}

impl BlobReader {
    /// Says whether what was read is what was asked for, to its last byte. What was made of the bytes before
    /// counts only now.
    ///
    /// # Errors
    /// Other bytes, or not all of them read.
    pub fn finish(mut self) -> Result<(), LayoutError> {
        let expected = self.expected;
        // Bytes that the consumer had no use for (padding after a tar's end) count as well.
        let path = self.path.clone();
        io::copy(&mut self, &mut io::sink()).map_err(|cause| LayoutError::Io { path, cause })?;
        let found = Digest::from_raw(self.hasher.finalize().into());
        if found == expected && self.seen == self.size {
            return Ok(());
        }
        let found = format!("{} bytes with digest {found}, {} bytes expected", self.seen, self.size);
        Err(LayoutError::Mismatch { expected, found })
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.hasher.update(&buffer[..n]);
        self.seen += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let put = layout.put("text/plain", b"hello").unwrap();
        assert_eq!(layout.read(&put, 10).unwrap(), b"hello");
        assert!(matches!(layout.read(&put, 4), Err(LayoutError::TooLarge { .. })));
        for lie in [&b"jello"[..], b"hell", b"hello!", b""] {
            fs::write(layout.path(&put.digest), lie).unwrap();
            assert!(matches!(layout.read(&put, 10), Err(LayoutError::Mismatch { .. })));
        }
    }

    #[test]
    fn a_pipe_in_a_files_place_is_refused_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        layout.check_marker().unwrap();
        let put = layout.put("text/plain", b"hello").unwrap();
        for path in [layout.path(&put.digest), folder.path().join("index.json"), folder.path().join("oci-layout")] {
            fs::remove_file(&path).unwrap();
            rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        }
        let errors = [
            layout.read(&put, 10).unwrap_err(),
            layout.read_digest(&put.digest, 10).unwrap_err(),
            layout.index().unwrap_err(),
            layout.check_marker().unwrap_err(),
        ];
        for error in errors {
            assert!(error.to_string().contains("a pipe"), "{error}");
        }
    }

    #[test]
    fn a_blob_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        layout.writer().unwrap().write_all(b"half").unwrap();
        let mut other = layout.writer().unwrap();
        other.write_all(b"other").unwrap();
        assert!(other.finish_as(&Descriptor::of("text/plain", b"expected")).is_err());
        assert_eq!(fs::read_dir(folder.path().join("blobs")).unwrap().count(), 1);
        assert_eq!(fs::read_dir(folder.path().join("blobs/sha256")).unwrap().count(), 0);
    }

    #[test]
    fn a_name_names_one_manifest() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::create(folder.path()).unwrap();
        let (a, b) = (layout.put("a", b"a").unwrap(), layout.put("b", b"b").unwrap());
        layout.tag(&a, "x").unwrap();
        layout.tag(&b, "x").unwrap();
        assert_eq!(layout.find("x").unwrap().digest, b.digest);
        assert!(layout.find("y").is_err());
    }
}

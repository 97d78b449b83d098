//! Where a blob's bytes come from on their way out: memory, or a store that is read from any offset.

use std::io::{self, Read as _};

use artifact::layout::{BlobReader, Layout, LayoutError};
use artifact::oci::Descriptor;
use bytes::Bytes;

/// A blob's bytes, piece by piece. The last piece is given only when the digest of all was right: what a registry got
/// until then is no blob.
pub(crate) struct Source<'a> {
    blob: &'a Descriptor,
    content: Content<'a>,
}

enum Content<'a> {
    Bytes(&'a [u8]),
    /// A store, and where in it the reader stands.
    Store(&'a Layout, Option<(BlobReader, u64)>),
}

impl<'a> Source<'a> {
    /// Bytes that the descriptor was made of.
    pub(crate) fn bytes(blob: &'a Descriptor, bytes: &'a [u8]) -> Self {
        Self { blob, content: Content::Bytes(bytes) }
    }

    pub(crate) fn store(blob: &'a Descriptor, store: &'a Layout) -> Self {
        Self { blob, content: Content::Store(store, None) }
    }

    pub(crate) fn blob(&self) -> &'a Descriptor {
        self.blob
    }

    /// The bytes from an offset, at most so many.
    pub(crate) fn piece(&mut self, from: u64, most: u64) -> Result<Bytes, LayoutError> {
        let end = from.saturating_add(most).min(self.blob.size);
        match &mut self.content {
            Content::Bytes(bytes) => {
                let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                Ok(Bytes::copy_from_slice(&bytes[at(from)..at(end)]))
            }
            Content::Store(store, standing) => {
                let (reader, at) = match standing.take().filter(|(_, at)| *at <= from) {
                    Some(standing) => standing,
                    // Everything before it is read again: the digest is over all of it.
                    None => (store.stream(self.blob)?, 0),
                };
                let (piece, further) = read(reader, from - at, end - from, end == self.blob.size).map_err(|e| {
                    e.unwrap_or_else(|cause| LayoutError::Io { path: store.path(&self.blob.digest), cause })
                })?;
                *standing = further.map(|reader| (reader, end));
                Ok(piece)
            }
        }
    }
}

/// Skips some bytes and reads some; after the last, says whether all of them were the right ones.
fn read(
    mut reader: BlobReader,
    skip: u64,
    length: u64,
    last: bool,
) -> Result<(Bytes, Option<BlobReader>), Result<LayoutError, io::Error>> {
    io::copy(&mut reader.by_ref().take(skip), &mut io::sink()).map_err(Err)?;
    let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    reader.by_ref().take(length).read_to_end(&mut piece).map_err(Err)?;
    // Fewer than there must be: its digest will not be right either.
    if last || (piece.len() as u64) < length {
        reader.finish().map_err(Ok)?;
        return Ok((piece.into(), None));
    }
    Ok((piece.into(), Some(reader)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_from_any_offset_and_the_last_only_when_all_was_right() {
        let folder = tempfile::tempdir().unwrap();
        let store = Layout::create(folder.path()).unwrap();
        let bytes: Vec<u8> = (0..1000_u32).map(|n| (n % 251) as u8).collect();
        let blob = store.put("x", &bytes).unwrap();
        let mut source = Source::store(&blob, &store);
        let mut memory = Source::bytes(&blob, &bytes);
        for (from, most) in [(0, 400), (400, 400), (800, 400), (100, 10), (0, 5000), (999, 1), (1000, 1)] {
            let expected = &bytes[from as usize..(from + most).min(1000) as usize];
            assert_eq!(source.piece(from, most).unwrap(), expected, "{from}");
            assert_eq!(memory.piece(from, most).unwrap(), expected, "{from}");
        }
        for spoilt in [[&bytes[..999], b"?"].concat(), bytes[..900].to_vec(), [&bytes[..], b"?"].concat()] {
            std::fs::write(store.path(&blob.digest), spoilt).unwrap();
            let mut source = Source::store(&blob, &store);
            source.piece(0, 500).unwrap();
            assert!(matches!(source.piece(500, 500), Err(LayoutError::Mismatch { .. })));
        }
    }
}

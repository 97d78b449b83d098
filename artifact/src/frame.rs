//! Frames: how two rooms speak over a socket pair. A length in four bytes, most significant first, then
//! that many bytes of JSON. Content never passes in a frame; it passes by digest, through a store.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json::{self, JsonError};

/// The most bytes of JSON in one frame. A promotion's largest message (facts, attestations and proofs)
/// is some tens of kilobytes.
pub const LIMIT: usize = 4 << 20;

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The other side closed between two frames: the end of the conversation.
    #[error("the other room closed the conversation")]
    Closed,
    /// The other side closed, or failed, in the middle of a frame.
    #[error("a frame was cut: {0}")]
    Cut(#[from] io::Error),
    /// The frame says it is longer than [`LIMIT`].
    #[error("a frame of {0} bytes, and the limit is {LIMIT}")]
    TooLarge(usize),
    /// The JSON in the frame has another shape.
    #[error(transparent)]
    Json(#[from] JsonError),
}

/// Writes one value as one frame.
///
/// # Errors
/// When the value is too large, or the other side is gone.
pub fn send<T: Serialize>(mut to: impl Write, value: &T) -> Result<(), FrameError> {
    let body = json::canonical("frame", value)?;
    if body.len() > LIMIT {
        return Err(FrameError::TooLarge(body.len()));
    }
    let mut frame = Vec::with_capacity(4 + body.len());
    // The limit fits in 32 bits.
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    to.write_all(&frame)?;
    to.flush()?;
    Ok(())
}

/// Reads one frame. It is of our own making, so it has one spelling and no unknown field.
///
/// # Errors
/// [`FrameError::Closed`] at the end; every other error means that the other room is broken.
pub fn receive<T: DeserializeOwned + Serialize>(mut from: impl Read) -> Result<T, FrameError> {
    let mut length = [0; 4];
    match from.read(&mut length[..1])? {
        0 => return Err(FrameError::Closed),
        _ => from.read_exact(&mut length[1..])?,
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > LIMIT {
        return Err(FrameError::TooLarge(length));
    }
    // Grown while it arrives: a lie about the length costs its teller, not us.
    let mut body = Vec::with_capacity(length.min(64 << 10));
    from.take(length as u64).read_to_end(&mut body)?;
    if body.len() != length {
        return Err(FrameError::Cut(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(json::parse_canonical("frame", &body)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_comes_back() {
        let mut wire = Vec::new();
        send(&mut wire, &vec!["a", "b"]).unwrap();
        assert_eq!(receive::<Vec<String>>(&wire[..]).unwrap(), ["a", "b"]);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let mut wire = Vec::new();
        send(&mut wire, &vec!["a", "b"]).unwrap();
        assert!(matches!(receive::<Vec<String>>(&wire[..0]), Err(FrameError::Closed)));
        for end in 1..wire.len() {
            assert!(matches!(receive::<Vec<String>>(&wire[..end]), Err(FrameError::Cut(_))), "{end}");
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_is_read() {
        assert!(matches!(receive::<String>(&[0xff; 8][..]), Err(FrameError::TooLarge(_))));
    }
}

//! Body packs: the bodies of a full bundle's entries, in one file beside it.
//!
//! A body lies in a file of its own while its bundle is partial, and for good when it is large. A log of a million entries
//! would else be a million small files: slow to read, and a pain to copy. 256 slots, one an entry: a length in four bytes,
//! big-endian, and so many bytes, the salt and then the body. An empty slot: nothing of this entry lies here.

use crate::leaf::Salt;
use crate::tile::WIDTH;

/// The most bytes of a body in a pack; a larger one lies apart, so that no reader must hold 256 of those at once.
pub const BODY_LIMIT: usize = 64 << 10;

/// The bytes of a salt.
const SALT: usize = 32;

/// The most bytes of a pack.
pub const LIMIT: usize = WIDTH * (4 + SALT + BODY_LIMIT);

/// A salt and a body.
pub type Salted = (Salt, Vec<u8>);

/// The slots of a pack, one an entry.
pub type Slots = Vec<Option<Salted>>;

/// Whether a body of so many bytes lies in its bundle's pack, once that is full.
pub fn holds(length: usize) -> bool {
    length <= BODY_LIMIT
}

/// The bytes of a pack.
pub fn to_bytes(slots: &[Option<Salted>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for slot in slots {
        let length = slot.as_ref().map_or(0, |(_, body)| SALT + body.len());
        bytes.extend_from_slice(&(length as u32).to_be_bytes());
        if let Some((salt, body)) = slot {
            bytes.extend_from_slice(salt.raw());
            bytes.extend_from_slice(body);
        }
    }
    bytes
}

/// The slots of a pack; `None` when there are more or fewer, or one has a length that none has.
pub fn from_bytes(mut bytes: &[u8]) -> Option<Slots> {
    let mut slots = Vec::with_capacity(WIDTH);
    for _ in 0..WIDTH {
        let (length, rest) = bytes.split_first_chunk()?;
        let (slot, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        bytes = rest;
        slots.push(match slot.split_first_chunk::<SALT>() {
            Some((salt, body)) if !body.is_empty() && holds(body.len()) => Some((Salt::from_raw(*salt), body.to_vec())),
            None if slot.is_empty() => None,
            _ => return None,
        });
    }
    bytes.is_empty().then_some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_is_whole_or_refused() {
        let mut slots: Vec<Option<Salted>> = vec![None; WIDTH];
        slots[0] = Some((Salt::from_raw([1; 32]), b"one".to_vec()));
        slots[255] = Some((Salt::from_raw([2; 32]), vec![7; BODY_LIMIT]));
        let bytes = to_bytes(&slots);
        assert_eq!(from_bytes(&bytes).unwrap(), slots);
        assert_eq!(&bytes[..4], [0, 0, 0, 35]);
        for wrong in [&bytes[..bytes.len() - 1], &[&bytes[..], &[0]].concat(), &to_bytes(&slots[1..]), b""] {
            assert_eq!(from_bytes(wrong), None);
        }
        for (length, what) in
            [(32, "a salt without a body"), (31, "less than a salt"), (SALT + BODY_LIMIT + 1, "large")]
        {
            let mut bytes = (length as u32).to_be_bytes().to_vec();
            bytes.extend(vec![0; length]);
            bytes.extend(to_bytes(&vec![None; WIDTH - 1]));
            assert_eq!(from_bytes(&bytes), None, "{what}");
        }
    }
}

//! The keys that images are signed with, one after the other. The order of time is the log's: a key is in force for a range
//! of entries, and a signature counts when it stands in the log within the range of its key.

use std::fmt;

use artifact::key::{KeyId, PublicKey};
use serde::Deserialize;

/// The most retired keys of a file: one a month for five years.
pub const RETIRED: usize = 64;

/// Why image keys were not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageKeysError {
    /// A key of the wrong kind.
    #[error("{0}: a P-256 key is expected")]
    Kind(&'static str),
    /// More than [`RETIRED`].
    #[error("{0} retired keys, and the limit is {RETIRED}")]
    TooMany(usize),
    /// A range that holds no entry.
    #[error("retired: from {from} until {until} is no range of entries: until is the first that no longer counts")]
    Empty {
        /// The first entry.
        from: u64,
        /// The first that no longer counts.
        until: u64,
    },
    /// Two keys in force at once, or out of order.
    #[error("a key that counts from entry {from} follows one that counts until {until}: write them in the log's order")]
    Overlap {
        /// Where the earlier key ends.
        until: u64,
        /// Where the later one begins.
        from: u64,
    },
    /// A key that comes back: what it signed in between could not be told apart.
    #[error("image key {0} stands there twice")]
    Twice(KeyId),
}

/// A key of earlier, as it stands in `[[retired]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retired {
    /// The key.
    pub key: PublicKey,
    /// The first entry that it counts for.
    pub from: u64,
    /// The first that it no longer counts for.
    pub until: u64,
}

/// The image keys, each with its range: they never overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageKeys {
    retired: Vec<Retired>,
    current: PublicKey,
    from: u64,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InForce<'a> {
    /// The key.
    pub key: &'a PublicKey,
    /// The first entry that it counts for.
    pub from: u64,
    /// The first that it no longer counts for; `None`: it is the one of today.
    pub until: Option<u64>,
}

impl InForce<'_> {
    /// Whether a signature of this key that stands there in the log counts.
    pub fn counts(&self, index: u64) -> bool {
        self.from <= index && self.until.is_none_or(|until| index < until)
    }
}

impl fmt::Display for InForce<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, from, until } = self;
        match until {
            Some(until) => write!(f, "key {}, in force for entries {from} to {}", key.id(), until - 1),
            None => write!(f, "key {}, in force for entries {from} and later", key.id()),
        }
    }
}

/// One key, for all of the log.
impl From<PublicKey> for ImageKeys {
    fn from(current: PublicKey) -> Self {
        Self { retired: Vec::new(), current, from: 0 }
    }
}

impl ImageKeys {
    /// The key of today, from which entry it counts, and those of earlier, the oldest first.
    ///
    /// # Errors
    /// Keys of another kind, a key twice, ranges that overlap or are out of order.
    pub fn new(current: PublicKey, from: u64, retired: Vec<Retired>) -> Result<Self, ImageKeysError> {
        if retired.len() > RETIRED {
            return Err(ImageKeysError::TooMany(retired.len()));
        }
        let keys = Self { retired, current, from };
        let mut ends = 0;
        for (n, one) in keys.all().enumerate() {
            let InForce { key, from, until } = one;
            if matches!(key, PublicKey::Ed25519(_)) {
                return Err(ImageKeysError::Kind(if until.is_some() { "retired" } else { "image" }));
            }
            if from < ends {
                return Err(ImageKeysError::Overlap { until: ends, from });
            }
            if until.is_some_and(|until| until <= from) {
                return Err(ImageKeysError::Empty { from, until: until.unwrap_or_default() });
            }
            if keys.all().take(n).any(|earlier| earlier.key == key) {
                return Err(ImageKeysError::Twice(key.id()));
            }
            ends = until.unwrap_or(from);
        }
        Ok(keys)
    }

    /// The same, and from this entry on another key.
    ///
    /// # Errors
    /// As [`ImageKeys::new`].
    pub fn rotated(&self, key: PublicKey, from: u64) -> Result<Self, ImageKeysError> {
        let mut retired = self.retired.clone();
        retired.push(Retired { key: self.current.clone(), from: self.from, until: from });
        Self::new(key, from, retired)
    }

    /// The key of today: what is signed now is signed with it.
    pub fn current(&self) -> &PublicKey {
        &self.current
    }

    /// The first entry that the key of today counts for.
    pub fn since(&self) -> u64 {
        self.from
    }

    /// Those of earlier, the oldest first.
    pub fn retired(&self) -> &[Retired] {
        &self.retired
    }

    /// Every one, the oldest first.
    pub fn all(&self) -> impl Iterator<Item = InForce<'_>> {
        let retired = self.retired.iter().map(|r| InForce { key: &r.key, from: r.from, until: Some(r.until) });
        retired.chain([InForce { key: &self.current, from: self.from, until: None }])
    }

    /// The one in force at an entry. `None`: no signature that stands there counts.
    pub fn at(&self, index: u64) -> Option<InForce<'_>> {
        self.all().find(|one| one.counts(index))
    }

    /// The one with this name.
    pub fn called(&self, id: &KeyId) -> Option<InForce<'_>> {
        self.all().find(|one| one.key.id() == *id)
    }
}

/// As it stands in a file, beside `image`: nothing where there is nothing to say.
impl fmt::Display for ImageKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image = \"\"\"\n{}\"\"\"", self.current)?;
        if self.from != 0 {
            writeln!(f, "image_from = {}", self.from)?;
        }
        if self.retired.is_empty() {
            return Ok(());
        }
        // No tables: what somebody adds at the end of the file would belong to the last one.
        writeln!(f, "retired = [")?;
        for Retired { key, from, until } in &self.retired {
            writeln!(f, "{{ from = {from}, until = {until}, key = \"\"\"\n{key}\"\"\" }},")?;
        }
        writeln!(f, "]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use artifact::key::{Ed25519Key, P256Key};

    fn key() -> PublicKey {
        P256Key::generate().unwrap().public()
    }

    fn retired(key: &PublicKey, from: u64, until: u64) -> Retired {
        Retired { key: key.clone(), from, until }
    }

    #[test]
    fn a_key_counts_within_its_range_and_nowhere_else() {
        let (one, two, three) = (key(), key(), key());
        let keys = ImageKeys::new(three.clone(), 9, vec![retired(&one, 0, 4), retired(&two, 5, 9)]).unwrap();
        let at = |index| keys.at(index).map(|one| one.key.clone());
        for (index, expected) in [(0, Some(&one)), (3, Some(&one)), (4, None), (5, Some(&two)), (8, Some(&two))] {
            assert_eq!(at(index).as_ref(), expected, "{index}");
        }
        assert_eq!((at(9), at(u64::MAX)), (Some(three.clone()), Some(three.clone())));
        assert_eq!(
            keys.called(&two.id()).unwrap().to_string(),
            format!("key {}, in force for entries 5 to 8", two.id())
        );
        assert_eq!(keys.called(&key().id()), None);
        let rotated = ImageKeys::from(one.clone()).rotated(two.clone(), 4).unwrap();
        assert_eq!(rotated, ImageKeys::new(two, 4, vec![retired(&one, 0, 4)]).unwrap());
    }

    #[test]
    fn ranges_that_overlap_and_keys_that_come_back_are_refused() {
        let (one, two, three) = (key(), key(), key());
        let of_another_kind = Ed25519Key::generate().unwrap().public();
        let new = |current: &PublicKey, from, retired| ImageKeys::new(current.clone(), from, retired).unwrap_err();
        let overlap = |until, from| ImageKeysError::Overlap { until, from };
        let empty = |from, until| ImageKeysError::Empty { from, until };
        for (found, expected) in [
            (new(&two, 3, vec![retired(&one, 0, 4)]), overlap(4, 3)),
            (new(&three, 9, vec![retired(&one, 0, 4), retired(&two, 3, 9)]), overlap(4, 3)),
            (new(&three, 9, vec![retired(&two, 4, 9), retired(&one, 0, 4)]), overlap(9, 0)),
            (new(&two, 4, vec![retired(&one, 4, 4)]), empty(4, 4)),
            (new(&two, 4, vec![retired(&one, 4, 0)]), empty(4, 0)),
            (new(&one, 4, vec![retired(&one, 0, 4)]), ImageKeysError::Twice(one.id())),
            (new(&two, 9, vec![retired(&one, 0, 4), retired(&one, 5, 9)]), ImageKeysError::Twice(one.id())),
            (new(&of_another_kind, 0, vec![]), ImageKeysError::Kind("image")),
            (new(&two, 4, vec![retired(&of_another_kind, 0, 4)]), ImageKeysError::Kind("retired")),
        ] {
            assert_eq!(found, expected);
        }
        let many = (0..=RETIRED as u64).map(|n| retired(&key(), n, n + 1)).collect();
        assert_eq!(new(&one, 99, many), ImageKeysError::TooMany(RETIRED + 1));
        assert!(ImageKeys::from(one.clone()).rotated(one, 7).is_err());
    }
}

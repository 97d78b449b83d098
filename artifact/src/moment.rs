//! Moments: whole seconds of UTC, spelled as RFC 3339 with a `Z`.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::digest::{shortened, text_serde};

/// A second of UTC. Written `2026-11-23T10:00:00Z` and no other way.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(i64);

/// The text is not a moment in the one spelling we accept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a moment: whole seconds of UTC, as in 2026-11-23T10:00:00Z")]
pub struct MomentError(String);

impl Moment {
    /// The last second that RFC 3339 can spell, and so the latest moment we know.
    const LAST: i64 = 253_402_300_799;

    /// Now, by this host's clock.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self((since.as_secs() as i64).min(Self::LAST))
    }

    /// A moment so many seconds after 1970; `None` outside the years 1970 to 9999.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        (0..=Self::LAST).contains(&seconds).then_some(Self(seconds))
    }

    /// Seconds since 1970.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// The moment so many seconds later, or the last one there is.
    pub fn plus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_add_unsigned(seconds).min(Self::LAST))
    }

    /// The moment so many seconds earlier, or the first of 1970.
    pub fn minus_seconds(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub_unsigned(seconds).max(0))
    }

    /// How many seconds `self` is after `earlier`; 0 when it is not.
    pub fn seconds_since(self, earlier: Self) -> u64 {
        u64::try_from(self.0 - earlier.0).unwrap_or(0)
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A moment is always in the range that jiff knows.
        let stamp = jiff::Timestamp::from_second(self.0).map_err(|_| fmt::Error)?;
        write!(f, "{stamp}")
    }
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Moment {
    type Err = MomentError;

    fn from_str(text: &str) -> Result<Self, MomentError> {
        let error = || MomentError(shortened(text));
        let stamp: jiff::Timestamp = text.parse().map_err(|_| error())?;
        let moment = Self::from_unix(stamp.as_second()).ok_or_else(error)?;
        // Parse, print again, compare: one spelling.
        if moment.to_string() == text { Ok(moment) } else { Err(error()) }
    }
}

text_serde!(Moment);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_spelling() {
        let text = "2026-11-23T10:00:00Z";
        assert_eq!(text.parse::<Moment>().unwrap().to_string(), text);
        for wrong in
            ["2026-11-23T10:00:00+00:00", "2026-11-23T10:00:00.5Z", "2026-11-23 10:00:00Z", "1969-01-01T00:00:00Z"]
        {
            assert!(wrong.parse::<Moment>().is_err(), "{wrong}");
        }
    }
}

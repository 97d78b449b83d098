//! Lanes: public promotions and embargoed ones, as types. What is made from an embargoed input is embargoed by
//! construction, because no value changes its lane: a public sink takes `Public` and nothing else.

use std::fmt;
use std::str::FromStr;

use crate::digest::{shortened, text_serde};

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Public {}
    impl Sealed for super::Embargo {}
}

/// One of the two lanes. Sealed: there is no third.
pub trait Lane: sealed::Sealed + Clone + PartialEq + fmt::Debug + Send + Sync + 'static {
    /// The lane as it is written down.
    fn name(&self) -> LaneName;
}

/// The public lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Public;

/// One embargo case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embargo {
    case: String,
}

impl Embargo {
    /// The case this value belongs to, for good.
    pub fn case(&self) -> &str {
        &self.case
    }
}

impl Lane for Public {
    fn name(&self) -> LaneName {
        LaneName::Public
    }
}

impl Lane for Embargo {
    fn name(&self) -> LaneName {
        LaneName::Embargo { case: self.case.clone() }
    }
}

/// A lane as it is written down: `public`, or `embargo/CASE`. A record's claim, compared with the lane of the
/// value at hand; it never makes one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LaneName {
    /// The public lane.
    Public,
    /// An embargo case.
    Embargo {
        /// The case's id: 1 to 64 of a-z, 0-9 and -.
        case: String,
    },
}

/// The text names no lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no lane: public, or embargo/CASE")]
pub struct LaneError(String);

impl fmt::Display for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Embargo { case } => write!(f, "embargo/{case}"),
        }
    }
}

impl fmt::Debug for LaneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for LaneName {
    type Err = LaneError;

    fn from_str(text: &str) -> Result<Self, LaneError> {
        if text == "public" {
            return Ok(Self::Public);
        }
        text.strip_prefix("embargo/")
            .filter(|case| (1..=64).contains(&case.len()))
            .filter(|case| case.bytes().all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'-')))
            .map(|case| Self::Embargo { case: case.to_owned() })
            .ok_or_else(|| LaneError(shortened(text)))
    }
}

text_serde!(LaneName);

//! The time that entries give: it never goes back.
//!
//! Rooms on one host have one clock, and entries are written as things happen. An entry that is much older than one before
//! it was dated back, or a clock was turned; a keeper writes down neither, so a log that has one is not as it was recorded.

use artifact::Moment;

use crate::entry::Body;

/// How much older than the newest before it an entry may be, in seconds: rooms say when they began, and clocks are put right
/// by a little.
pub const SLACK: u64 = 600;

/// The newest time that was given so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    newest: Option<Moment>,
}

/// An entry that would turn the clock back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is dated {at}, and an entry before it {newest}: it was dated back, or a clock was turned back")]
pub struct WentBack {
    /// What it gives.
    pub at: Moment,
    /// What was given before.
    pub newest: Moment,
}

impl Clock {
    /// Takes the next entry.
    ///
    /// # Errors
    /// It is older than the newest before it, by more than [`SLACK`].
    pub fn take(&mut self, body: &Body) -> Result<(), WentBack> {
        let at = body.at();
        match self.newest {
            Some(newest) if newest > at.plus_seconds(SLACK) => return Err(WentBack { at, newest }),
            Some(newest) if newest > at => {}
            _ => self.newest = Some(at),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::door::Submission;
    use crate::entry::Halted;
    use crate::keeper::tests::House;
    use crate::reader::{Log, LogError};
    use artifact::failure::{Failure, Retry};

    fn at(seconds: i64) -> Body {
        Halted { failure: Failure::halt("test", "x"), at: Moment::from_unix(seconds).unwrap() }.into()
    }

    #[test]
    fn time_may_stand_still_or_slip_a_little_and_never_goes_back() {
        let mut clock = Clock::default();
        for good in [1000, 1000, 400, 5000, 4400, 4400] {
            clock.take(&at(good)).unwrap();
        }
        // The slack is counted from the newest, so small steps do not add up.
        assert_eq!(clock.take(&at(4399)).unwrap_err().newest, Moment::from_unix(5000).unwrap());
    }

    #[test]
    fn a_keeper_writes_down_nothing_that_is_dated_back_and_a_log_that_has_it_is_broken() {
        let house = House::new();
        let mut keeper = house.open().unwrap();
        keeper.append(vec![Submission::Body(at(10_000))], 0).unwrap();
        for back in [vec![at(9_000)], vec![at(20_000), at(10_000)]] {
            let back = back.into_iter().map(Submission::Body).collect();
            let failure = keeper.append(back, 0).unwrap_err();
            assert_eq!((failure.code.as_str(), failure.retry), ("clock-went-back", Retry::Later));
        }
        // What was refused moved no clock, and the next start knows the time.
        keeper.append(vec![Submission::Body(at(10_001))], 0).unwrap();
        drop(keeper);
        let mut keeper = house.open().unwrap();
        assert_eq!(keeper.append(vec![Submission::Body(at(9_000))], 0).unwrap_err().code, "clock-went-back");
        let ahead = at(Moment::now().unix() + 3600);
        assert_eq!(keeper.append(vec![Submission::Body(ahead)], 0).unwrap_err().code, "clock-ahead");
        // A broken keeper, as this one is made to be, can write it; every reader says so.
        keeper.forget_the_time();
        keeper.append(vec![Submission::Body(at(9_000))], 0).unwrap();
        let error = Log::open(&house.tiles(), keeper.vkey()).unwrap_err();
        assert!(matches!(error, LogError::Clock { index: 2, .. }), "{error}");
    }
}

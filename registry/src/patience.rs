//! How long a registry is waited for, and how often it is asked again: a budget for all waiting, and a bound for each request.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use artifact::Moment;
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// How often one request is sent, at most.
pub(crate) const TRIES: u32 = 5;

/// How patient a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// How long a request without much content may take, from its first byte to the last of its answer.
    pub answer: Duration,
    /// How long all waiting before another try may take together, over the client's life.
    pub waiting: Duration,
    /// The first wait where a registry names none; each next one is twice as long.
    pub first: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(60), waiting: Duration::from_secs(120), first: Duration::from_millis(100) }
    }
}

impl Patience {
    /// How long to wait after so many tries.
    pub(crate) fn after(&self, tries: u32) -> Duration {
        self.first.saturating_mul(1 << tries.saturating_sub(1).min(10))
    }
}

/// What is left of a client's budget for waiting, in milliseconds.
#[derive(Debug)]
pub(crate) struct Budget(AtomicU64);

impl Budget {
    pub(crate) fn new(all: Duration) -> Self {
        Self(AtomicU64::new(u64::try_from(all.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Takes so much of it; `false`: there is not so much left, and nothing was taken.
    pub(crate) fn take(&self, wait: Duration) -> bool {
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(wait)).is_ok()
    }
}

/// How long an answer asks to be left alone (RFC 9110, "Retry-After"), in seconds. `None`: it does not, or in no way
/// that is understood.
pub(crate) fn asked(headers: &HeaderMap, now: Moment) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u64::MAX));
    }
    Some(date(text)?.seconds_since(now))
}

/// A date of HTTP in the form that is sent today: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn date(text: &str) -> Option<Moment> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, "GMT"] = words[..] else { return None };
    let month = MONTHS.iter().position(|m| *m == month)? + 1;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood_and_nothing_else() {
        let now: Moment = "1994-11-06T08:49:30Z".parse().unwrap();
        let said = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            asked(&headers, now)
        };
        assert_eq!(said("0"), Some(0));
        assert_eq!(said("120"), Some(120));
        assert_eq!(said("99999999999999999999999"), Some(u64::MAX));
        assert_eq!(said("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(said("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0), "a date that is past");
        for none in ["", "-1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37 CET", "Sun, 31 Feb 1994 08:49:37 GMT"] {
            assert_eq!(said(none), None, "{none}");
        }
        assert_eq!(asked(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_budget_is_spent_once() {
        let budget = Budget::new(Duration::from_secs(3));
        assert!(budget.take(Duration::from_secs(2)) && !budget.take(Duration::from_secs(2)));
        assert!(budget.take(Duration::from_secs(1)) && !budget.take(Duration::from_millis(1)));
    }
}

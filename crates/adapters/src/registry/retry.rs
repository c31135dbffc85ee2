//! When to try again, and how long to wait before.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// How often, and after what waits, a request that may pass by itself is made again.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts altogether; at least one is made.
    pub attempts: u32,
    /// Wait after the first failure.
    pub first_wait: Duration,
    /// What each further wait is multiplied by.
    pub factor: f64,
    /// No wait is longer; a registry that asks for more is not waited for.
    pub longest_wait: Duration,
    /// A number in 0..1 that spreads waits, so that replicas do not come back all at once.
    pub jitter: fn() -> f64,
}

/// Part of a wait that jitter may add.
const JITTER_SHARE: f64 = 0.2;

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_wait: Duration::from_secs(1),
            factor: 3.0,
            longest_wait: Duration::from_secs(60),
            jitter: random_share,
        }
    }
}

impl RetryPolicy {
    /// The wait after `failures` failed attempts in a row, or `None` when it is time to give up. `asked`
    /// is the `Retry-After` of the registry.
    pub(super) fn wait(&self, failures: u32, asked: Option<Duration>) -> Option<Duration> {
        if failures >= self.attempts || asked.is_some_and(|asked| asked > self.longest_wait) {
            return None;
        }
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let planned = self.first_wait.as_secs_f64() * self.factor.powi(exponent);
        let planned = planned.max(asked.unwrap_or_default().as_secs_f64());
        let spread = planned * (1.0 + JITTER_SHARE * (self.jitter)());
        Some(Duration::try_from_secs_f64(spread).unwrap_or(self.longest_wait).min(self.longest_wait))
    }
}

/// Whether the same request may succeed later (specification 50, section 8).
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 499) || (status >= 500 && status != 501 && status != 505)
}

/// A registry that asks for a longer pause is understood to mean this.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 3600);

/// Reads `Retry-After`: seconds, or a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str, now_since_epoch: Duration) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(LONGEST_ASKED));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let date = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(date.saturating_sub(now_since_epoch).min(LONGEST_ASKED))
}

/// A share that differs from call to call. Hash seeds are random enough for this.
fn random_share() -> f64 {
    (RandomState::new().hash_one(0) >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(jitter: fn() -> f64) -> RetryPolicy {
        RetryPolicy { attempts: 4, jitter, ..RetryPolicy::default() }
    }

    #[test]
    fn waits_grow_up_to_a_limit() {
        let plain = policy(|| 0.0);
        let seconds = |failures| plain.wait(failures, None).map(|wait| wait.as_secs());
        assert_eq!([seconds(1), seconds(2), seconds(3), seconds(4)], [Some(1), Some(3), Some(9), None]);
        let many = RetryPolicy { attempts: 1000, ..plain };
        assert_eq!(many.wait(900, None), Some(Duration::from_secs(60)));
    }

    #[test]
    fn jitter_only_adds() {
        assert_eq!(policy(|| 1.0).wait(1, None), Some(Duration::from_millis(1200)));
        for _ in 0..100 {
            assert!((0.0..1.0).contains(&random_share()));
        }
    }

    #[test]
    fn a_registry_that_asks_for_a_pause_gets_it_or_is_left_alone() {
        let plain = policy(|| 0.0);
        assert_eq!(plain.wait(1, Some(Duration::from_secs(7))), Some(Duration::from_secs(7)));
        assert_eq!(plain.wait(1, Some(Duration::ZERO)), Some(Duration::from_secs(1)));
        assert_eq!(plain.wait(1, Some(Duration::from_secs(61))), None);
    }

    #[test]
    fn pauses_are_seconds_or_dates() {
        let now = Duration::from_secs(784_111_777);
        assert_eq!(retry_after("120", now), Some(Duration::from_secs(120)));
        assert_eq!(retry_after(" 0 ", now), Some(Duration::ZERO));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:47 GMT", now), Some(Duration::from_secs(10)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:27 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("18446744073709551615", now), Some(LONGEST_ASKED));
        assert_eq!(retry_after("Sun, 06 Nov 9994 08:49:27 GMT", now), Some(LONGEST_ASKED));
        for bad in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(bad, now), None, "{bad}");
        }
    }

    #[test]
    fn what_may_pass() {
        for status in [408, 429, 499, 500, 502, 503, 504, 522] {
            assert!(may_pass(status), "{status}");
        }
        for status in [200, 301, 400, 401, 403, 404, 405, 416, 501] {
            assert!(!may_pass(status), "{status}");
        }
    }
}

//! Whether a request that failed is sent again, and when.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use polytask_core::rng;

use crate::endpoint::LlmPatience;

/// Statuses that may pass: too early, too many, or a machine that is down for now.
const PASSING: [u16; 9] = [408, 409, 425, 429, 500, 502, 503, 504, 529];
/// Words of answers with a passing status that will not pass.
const LASTING: [&str; 2] = ["insufficient_quota", "billing"];

/// Whether a status, with what the answer says, may be another one later.
pub(crate) fn may_pass(status: u16, says: &str) -> bool {
    PASSING.contains(&status) && !LASTING.iter().any(|word| says.contains(word))
}

/// How long to wait after a failed attempt (counted from 1): what the endpoint asked for, else twice as long as last time
/// with up to half of it more, so that requests of one run do not come back together. `None` where it asks for too long.
pub(crate) fn wait(
    patience: LlmPatience,
    attempt: u32,
    asked: Option<Duration>,
    salt: u64,
) -> Option<Duration> {
    if let Some(asked) = asked {
        return (asked <= patience.longest_wait).then_some(asked);
    }
    let doubled = patience.first_wait.saturating_mul(1 << attempt.saturating_sub(1).min(16));
    let share = (rng::at(salt, u64::from(attempt)) >> 11) as f64 / (1_u64 << 53) as f64;
    Some(doubled.mul_f64(1.0 + share / 2.0).min(patience.longest_wait))
}

/// What a header `retry-after` asks for: seconds, or a date.
pub(crate) fn asked(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<f64>() {
        return (0.0..1e9).contains(&seconds).then(|| Duration::from_secs_f64(seconds));
    }
    let now = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    Some(Duration::from_secs(date(header)?.saturating_sub(now)))
}

/// Seconds since 1970 of a date as HTTP writes it: `Wed, 21 Oct 2015 07:28:00 GMT`.
fn date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split(' ').skip(1);
    let day: i64 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok()?;
    let clock: Vec<i64> = words.next()?.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [hours, minutes, seconds] = clock[..] else { return None };
    // Days of the civil calendar, whose year begins in March (Hinnant).
    let y = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + of_year - 719_468;
    u64::try_from(((days * 24 + hours) * 60 + minutes) * 60 + seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_what_is_asked_for_comes_first() {
        let patience = LlmPatience {
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(10),
            ..LlmPatience::default()
        };
        let seconds = |attempt| wait(patience, attempt, None, 7).unwrap().as_secs_f64();
        assert!((1.0..=1.5).contains(&seconds(1)) && (4.0..=6.0).contains(&seconds(3)));
        assert_eq!((seconds(9), seconds(60)), (10.0, 10.0));
        assert_ne!(wait(patience, 1, None, 7), wait(patience, 1, None, 8));
        let asked = |seconds| wait(patience, 1, Some(Duration::from_secs(seconds)), 7);
        assert_eq!((asked(9), asked(11)), (Some(Duration::from_secs(9)), None));
    }

    #[test]
    fn a_quota_that_is_used_up_is_not_waited_for() {
        assert!(may_pass(429, "slow down") && may_pass(503, "") && !may_pass(401, ""));
        assert!(!may_pass(429, r#"{"error": {"code": "insufficient_quota"}}"#));
    }

    #[test]
    fn waits_are_asked_for_in_seconds_or_by_a_date() {
        let now = UNIX_EPOCH + Duration::from_secs(1_445_412_470);
        let of = |text: &str| asked(text, now);
        assert_eq!(of("7"), Some(Duration::from_secs(7)));
        assert_eq!(of("0.25"), Some(Duration::from_millis(250)));
        // 1445412480 by `date -d "Wed, 21 Oct 2015 07:28:00 GMT" +%s`.
        assert_eq!(of("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(of("Wed, 21 Oct 2014 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(
            ["soon", "-1", "1e99", "Wed, 21 Foo 2015 07:28:00 GMT", ""].iter().all(|text| of(text).is_none())
        );
    }
}

//! The wall clock, in the two forms that the agent needs. No time zones: everything is UTC.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix milliseconds now.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// `2024-01-31-23-59-59-123456`, the form in which SkyPilot writes the time in a task's identity.
pub(crate) fn stamp(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    let (year, month, day) = civil(days);
    let seconds = ms / 1000;
    format!(
        "{year:04}-{month:02}-{day:02}-{:02}-{:02}-{:02}-{:06}",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
        ms % 1000 * 1000,
    )
}

/// `2024-01-31 23:59:59 UTC`.
pub(crate) fn date_and_time(unix_ms: u64) -> String {
    let (year, month, day) = civil(unix_ms / 86_400_000);
    let seconds = unix_ms % 86_400_000 / 1000;
    format!(
        "{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60,
    )
}

/// The Gregorian date so many days after 1970-01-01 (Howard Hinnant's algorithm).
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::{date_and_time, stamp};

    #[test]
    fn stamps_are_calendar_dates() {
        assert_eq!(stamp(0), "1970-01-01-00-00-00-000000");
        assert_eq!(stamp(951_868_799_123), "2000-02-29-23-59-59-123000");
        assert_eq!(stamp(1_704_067_200_000), "2024-01-01-00-00-00-000000");
        assert_eq!(date_and_time(951_868_799_123), "2000-02-29 23:59:59 UTC");
    }
}

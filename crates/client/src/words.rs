//! Times, amounts, and what nodes say, as people read them.

use alloy_primitives::{U256, utils::format_units};
use stoa_base::plain;

/// The most characters of a node's words that are shown.
const LENGTH: usize = 1000;

/// An amount as people write it, of a token with so many decimals; in its smallest units where no token has so many.
pub fn decimal(amount: U256, decimals: u8) -> String {
    match format_units(amount, decimals) {
        // There is always a point.
        Ok(digits) => digits.trim_end_matches('0').trim_end_matches('.').to_owned(),
        Err(_) => amount.to_string(),
    }
}

/// An amount of the coin, in wei, for people.
pub fn coins(wei: U256) -> String {
    format!("{} STOA", decimal(wei, 18))
}

/// So many of something, whose word has its plural by an `s`: `1 round`, `2 rounds`.
pub fn counted(count: u64, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

/// A node's words for a terminal: [`plain`], and without what nobody would read.
pub(crate) fn words(text: &str) -> String {
    plain(text.char_indices().nth(LENGTH).map_or(text, |(at, _)| &text[..at]))
}

/// A time in seconds since 1970, and how long ago that was: `2026-11-29 18:47:59 UTC, 12 s ago`.
pub fn when(timestamp: u64, now: u64) -> String {
    let apart = match now.checked_sub(timestamp) {
        Some(ago) => format!("{} ago", long(ago)),
        None => format!("{} ahead of this machine's clock", long(timestamp - now)),
    };
    format!("{}, {apart}", utc(timestamp))
}

/// A time in seconds since 1970 for people: `2026-11-29 18:47:59 UTC`.
pub fn utc(time: u64) -> String {
    iso_8601(time).replace('T', " ").replace('Z', " UTC")
}

fn long(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// A time in seconds since 1970 as ISO 8601 has it, in UTC: `2026-11-25T07:31:00Z`.
///
/// The calendar is counted as in Howard Hinnant's `civil_from_days` (chrono-Compatible Low-Level Date Algorithms): years begin
/// in March, so that a leap day is a year's last.
pub fn iso_8601(time: u64) -> String {
    let (days, seconds) = (time / 86_400, time % 86_400);
    // Days since the first of March of year 0.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_dates_and_how_long_ago_they_were() {
        assert_eq!(when(1_795_978_079, 1_795_978_091), "2026-11-29 18:47:59 UTC, 12 s ago");
        assert_eq!(when(951_787_425, 951_787_425 + 7199), "2000-02-29 01:23:45 UTC, 119 min ago");
        assert_eq!(when(0, 7200), "1970-01-01 00:00:00 UTC, 2 h ago");
        assert_eq!(when(951_868_800, 1_795_978_079), "2000-03-01 00:00:00 UTC, 9769 days ago");
        assert_eq!(when(60, 50), "1970-01-01 00:01:00 UTC, 10 s ahead of this machine's clock");
        // Whatever a node says.
        assert!(when(u64::MAX, 0).ends_with("ahead of this machine's clock"));
    }

    #[test]
    fn one_and_many_are_said_apart() {
        assert_eq!([0, 1, 2].map(|count| counted(count, "round")), ["0 rounds", "1 round", "2 rounds"]);
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        // As `date --utc --date=@…` has them.
        for (time, date) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(iso_8601(time), date);
        }
        // The last time that there is has a year of its own as well.
        assert_eq!(iso_8601(u64::MAX), "584554051223-11-09T07:00:15Z");
    }

    #[test]
    fn what_a_node_says_neither_steers_a_terminal_nor_fills_it() {
        assert_eq!(words("no\u{1b}[2J such\r\nblock"), "no [2J such  block");
        assert_eq!(words(&"x".repeat(1 << 20)).len(), LENGTH);
    }

    #[test]
    fn amounts_have_their_decimals_and_no_zeros_behind_them() {
        let units = |amount: u64| U256::from(amount);
        for (amount, decimals, text) in [
            (units(0), 18, "0"),
            (units(1), 18, "0.000000000000000001"),
            (units(2_500_000), 6, "2.5"),
            (units(10_000_000), 6, "10"),
            (units(100), 0, "100"),
            (units(0), 0, "0"),
            (units(100), 200, "100"),
        ] {
            assert_eq!(decimal(amount, decimals), text);
        }
    }
}

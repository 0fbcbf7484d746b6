//! Times, and what nodes say, as people read them.

/// The most characters of a node's words that are shown.
const LENGTH: usize = 1000;

/// A node's words for a terminal: what would steer it is left out, and so is what nobody would read.
pub fn plain(text: &str) -> String {
    text.chars().take(LENGTH).map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A time in seconds since 1970, and how long ago that was: `2026-11-29 18:47:59 UTC, 12 s ago`.
pub fn when(timestamp: u64, now: u64) -> String {
    let (year, month, day) = date(timestamp / 86_400);
    let (hour, minute, second) = (timestamp / 3600 % 24, timestamp / 60 % 60, timestamp % 60);
    let apart = match now.checked_sub(timestamp) {
        Some(ago) => format!("{} ago", long(ago)),
        None => format!("{} ahead of this machine's clock", long(timestamp - now)),
    };
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC, {apart}")
}

fn long(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// Year, month and day of a day since 1970 (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn date(day: u64) -> (u64, u64, u64) {
    // Years begin in March, so that the day that some of them lack is their last.
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (400 * era + year + u64::from(month <= 2), month, day)
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
    fn what_a_node_says_neither_steers_a_terminal_nor_fills_it() {
        assert_eq!(plain("no\u{1b}[2J such\r\nblock"), "no [2J such  block");
        assert_eq!(plain(&"x".repeat(1 << 20)).len(), LENGTH);
    }
}

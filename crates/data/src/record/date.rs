//! Times for people and programs.

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
}

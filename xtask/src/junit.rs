//! Counting tests in the report that nextest leaves.

use std::{fs, path::Path};

/// How many tests ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed, crashed or took too long.
    pub failed: u64,
}

/// Reads the totals at the head of a JUnit report; nothing if there is no report.
pub fn count(report: &Path) -> Option<Count> {
    totals(&fs::read_to_string(report).ok()?)
}

fn totals(report: &str) -> Option<Count> {
    let head = report.split_once("<testsuites ")?.1.split_once('>')?.0;
    let number =
        |name: &str| -> Option<u64> { head.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0.parse().ok() };
    let failed = number("failures")? + number("errors")?;
    Some(Count { passed: number("tests")?.checked_sub(failed)?, failed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_are_read_from_the_head_of_a_report() {
        let report = "<?xml version=\"1.0\"?>\n<testsuites name=\"run\" tests=\"12\" failures=\"2\" errors=\"1\" uuid=\"x\">\
                      <testsuite name=\"a\" tests=\"3\" failures=\"0\"></testsuite></testsuites>";
        assert_eq!(totals(report), Some(Count { passed: 9, failed: 3 }));
    }

    #[test]
    fn what_is_no_report_has_no_totals() {
        assert_eq!(totals("<testsuite tests=\"1\">"), None);
        assert_eq!(totals("<testsuites name=\"run\" tests=\"1\" failures=\"2\" errors=\"0\">"), None);
    }
}

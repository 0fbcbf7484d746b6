//! Words of others, which may be shown on a terminal.

/// Text of anybody's for a terminal: nothing in it moves the cursor, and no direction of writing is turned.
pub fn plain(text: &str) -> String {
    text.chars().map(|c| if steers(c) { ' ' } else { c }).collect()
}

/// The same of a text that has lines, and columns.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && !matches!(c, '\n' | '\t') { ' ' } else { c }).collect()
}

/// Whether a character does something to a terminal.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_does_not_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\u{202e}c\u{9b}d"), "a [2Jb  c d");
        assert_eq!(lines("a\tb\nc\u{1b}[2Jd\r\n"), "a\tb\nc [2Jd \n");
        assert_eq!(plain("a\u{61c}b\u{2028}c\u{2067}d\u{feff}e"), "a b c d e");
    }
}

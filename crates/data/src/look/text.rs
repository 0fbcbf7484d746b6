//! Text: e-mail addresses and bank accounts within it. What else looks like a person's is too much like other figures where no column
//! says what they are.

use super::{
    Looked, Looking,
    personal::{Personal, Warning, has_email, is_account},
};
use std::io::{self, BufRead as _, BufReader, Read};

/// Bytes of a line that are looked at together.
const MOST_LINE: u64 = 64 << 10;

/// Groups of a bank account's number at most, as people write it.
const GROUPS: usize = 9;

/// Whether a bank account begins with the first of these words, in one word or in groups of four.
fn begins_account(words: &[&str]) -> bool {
    let Some(first) = words.first().filter(|first| first.starts_with(|each: char| each.is_ascii_uppercase())) else {
        return false;
    };
    let most = if first.len() == 4 { words.len().min(GROUPS) } else { 1 };
    (1..=most).any(|count| is_account(&words[..count].join(" ")))
}

/// Looks at a text.
pub(super) fn look(looked: &mut Looked, file: impl Read, looking: Looking) -> io::Result<()> {
    let mut file = BufReader::with_capacity(64 << 10, file.take(looking.most));
    let (mut line, mut emails, mut accounts) = (Vec::new(), 0, 0);
    loop {
        line.clear();
        (&mut file).take(MOST_LINE).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let words = text.split([' ', '\t', '\r', '\n', ',', ';', ':', '"', '(', ')', '<', '>']);
        let words: Vec<_> = words.map(|word| word.trim_end_matches('.')).collect();
        emails += words.iter().filter(|word| has_email(word)).count() as u64;
        accounts += (0..words.len()).filter(|from| begins_account(&words[*from..])).count() as u64;
    }
    looked.whole = file.get_ref().limit() > 0;
    for (kind, values) in [(Personal::Email, emails), (Personal::Account, accounts)] {
        if values > 0 {
            looked.warnings.push(Warning { file: None, column: String::new(), kind, values, by_name: false });
        }
    }
    Ok(())
}

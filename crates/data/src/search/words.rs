//! Texts as words, so that what is written and what is asked for are the same bytes.
//!
//! A word is a run of letters and digits in any script, in lower case and without accents (compatibility decomposition, NFKD,
//! less the combining marks of U+0300 to U+036F). Han, Hiragana and Katakana put no spaces between words: each of their
//! characters is a word. Nothing that comes out of here means anything to SQLite's query language.
//!
//! *Marks* stand beside an asset's words and begin with a colon, which no word has: what it is filtered by. So a filter is one
//! more thing that a row must contain, and a rare one makes a search for common words cheap.

use alloy_primitives::{Address, U256};
use icu_normalizer::DecomposingNormalizerBorrowed;
use std::ops::RangeInclusive;

/// The most bytes of a word; the rest is left out. Nobody types more.
const LONGEST: usize = 64;

/// The words of a text, in order.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    if text.is_ascii() {
        let parts = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        words.extend(parts.map(|part| part[..part.len().min(LONGEST)].to_ascii_lowercase()));
        return words;
    }
    let mut word = String::new();
    let mut end = |word: &mut String| {
        if !word.is_empty() {
            words.push(std::mem::take(word));
        }
    };
    let plain = DecomposingNormalizerBorrowed::new_nfkd().normalize(text);
    for c in plain.chars().flat_map(char::to_lowercase) {
        if ('\u{300}'..='\u{36f}').contains(&c) {
            continue;
        }
        if !c.is_alphanumeric() {
            end(&mut word);
        } else if matches!(c, '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}')
        {
            end(&mut word);
            word.push(c);
            end(&mut word);
        } else if word.len() + c.len_utf8() <= LONGEST {
            word.push(c);
        }
    }
    end(&mut word);
    words
}

/// The words of a text with spaces between them.
pub(super) fn spaced(text: &str) -> String {
    words(text).join(" ")
}

/// What an asset can be filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark<'a> {
    /// A word of its name, which is found first.
    Name(&'a str),
    /// A tag, whole.
    Tag(&'a str),
    /// `dataset`, `algorithm` or whatever else it says that it is.
    Kind(&'a str),
    /// It has a service of this kind.
    Service(&'a str),
    /// It has a column of this name.
    Column(&'a str),
    /// It has a column of this name and type.
    TypedColumn(&'a str, &'a str),
    /// Whose it is.
    Owner(Address),
    /// Somebody can take its datatokens for nothing.
    Free,
    /// It is sold for this token.
    Token(Address),
    /// Its state, but for 0, which nearly all have.
    State(u8),
    /// It is sold at a price of so many bits.
    Bits(u8),
    /// It is sold at a price of 16·n to 16·n + 15 bits.
    SixteenBits(u8),
}

impl Mark<'_> {
    /// As it is written; nothing if what it says has no words.
    pub(super) fn text(self) -> Option<String> {
        let said = |letter: &str, text: &str| {
            let words = words(text);
            (!words.is_empty()).then(|| format!(":{letter}:{}", words.join(":")))
        };
        match self {
            // As short as can be, so that the index of prefixes covers it; all others have a colon in the third place.
            Self::Name(word) => words(word).into_iter().next().map(|word| format!(":{word}")),
            Self::Tag(tag) => said("t", tag),
            Self::Kind(kind) => said("k", kind),
            Self::Service(kind) => said("v", kind),
            Self::Column(name) => said("c", name),
            // Two colons part what may have colons itself.
            Self::TypedColumn(name, kind) => Some(format!("{}::{}", said("c", name)?, words(kind).join(":"))),
            Self::Owner(owner) => Some(format!(":o:{owner:x}")),
            Self::Free => Some(":f:".to_owned()),
            Self::Token(token) => Some(format!(":b:{token:x}")),
            Self::State(state) => Some(format!(":s:{state}")),
            Self::Bits(bits) => Some(format!(":p:{bits:02x}")),
            Self::SixteenBits(high) => Some(format!(":q:{high:x}")),
        }
    }

    /// Whether a mark, as it is written, is of what the ledger says of an asset, and not of what its document says.
    pub(super) fn is_ledgers(text: &str) -> bool {
        [":o:", ":f:", ":b:", ":s:", ":p:", ":q:"].iter().any(|start| text.starts_with(start))
    }
}

/// How many bits a price has, as marks count them: 0 for nothing, and 255 for all that is more.
fn bits(price: U256) -> u8 {
    u8::try_from(price.bit_len()).unwrap_or(u8::MAX)
}

/// The marks of a price.
pub(super) fn price_marks(price: U256) -> [Mark<'static>; 2] {
    [Mark::Bits(bits(price)), Mark::SixteenBits(bits(price) / 16)]
}

/// Marks of which every price in the range has one: few, and those that also have one differ from the range's ends by less
/// than a factor of two.
pub(super) fn range_marks(range: RangeInclusive<U256>) -> Vec<Mark<'static>> {
    let (mut from, to) = (u16::from(bits(*range.start())), u16::from(bits(*range.end())));
    let mut marks = Vec::new();
    while from <= to {
        let whole = from.is_multiple_of(16) && from + 15 <= to;
        marks.push(if whole { Mark::SixteenBits((from / 16) as u8) } else { Mark::Bits(from as u8) });
        from += if whole { 16 } else { 1 };
    }
    marks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_are_what_people_mean_by_them() {
        assert_eq!(words("Heart-disease (UCI), 4.0\u{a0}rows"), ["heart", "disease", "uci", "4", "0", "rows"]);
        assert_eq!(words("Überwachung à Genève"), ["uberwachung", "a", "geneve"]);
        assert_eq!(words("resting_bp"), ["resting", "bp"]);
        assert_eq!(words("心臓 ﬁle"), ["心", "臓", "file"]);
        assert_eq!(words(" \"* : NEAR( "), ["near"]);
        assert_eq!(words(&"é".repeat(100)), ["e".repeat(64)]);
    }

    #[test]
    fn marks_do_not_run_into_each_other() {
        let text = |mark: Mark<'_>| mark.text().unwrap();
        assert_eq!(text(Mark::Tag("Heart disease")), ":t:heart:disease");
        assert_ne!(text(Mark::TypedColumn("a", "b c")), text(Mark::TypedColumn("a b", "c")));
        assert_ne!(text(Mark::TypedColumn("a", "b")), text(Mark::Column("a b")));
        assert_eq!(Mark::Tag("!?").text(), None);
    }

    #[test]
    fn what_the_ledger_says_is_told_from_what_a_document_says() {
        let who = Address::repeat_byte(1);
        let ledgers =
            [Mark::Owner(who), Mark::Free, Mark::Token(who), Mark::State(1), Mark::Bits(0), Mark::SixteenBits(9)];
        assert!(ledgers.into_iter().filter_map(Mark::text).all(|text| Mark::is_ledgers(&text)));
        for text in ["o", "f", "b:", "o:o", "s 1", "q"] {
            let own = [
                Mark::Name(text),
                Mark::Tag(text),
                Mark::Kind(text),
                Mark::Service(text),
                Mark::Column(text),
                Mark::TypedColumn(text, text),
            ];
            assert!(!own.into_iter().filter_map(Mark::text).any(|text| Mark::is_ledgers(&text)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_word_is_one_word_whatever_the_text(text in "\\PC{0,40}") {
            for word in words(&text) {
                prop_assert!(!word.is_empty() && word.len() <= LONGEST && !word.contains([':', '"', '*', '\0']));
                prop_assert_eq!(words(&word), [word]);
            }
        }

        #[test]
        fn a_range_of_prices_is_covered_by_few_marks(
            a in any::<[u8; 32]>(), b in any::<[u8; 32]>(), price in any::<[u8; 32]>(), shifts in any::<[u8; 3]>(),
        ) {
            let [a, b, price] = [(a, shifts[0]), (b, shifts[1]), (price, shifts[2])].map(|(n, by)| U256::from_be_bytes(n) >> by);
            let (from, to) = (a.min(b), a.max(b));
            let marks = range_marks(from..=to);
            prop_assert!(marks.len() <= 46);
            let has = price_marks(price).iter().any(|mark| marks.contains(mark));
            prop_assert!(has || price < from || price > to);
            prop_assert!(!has || (price >= from >> 1 && price >> 1 <= to));
        }
    }
}

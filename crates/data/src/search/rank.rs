//! Which matches come first.
//!
//! The score of an asset is BM25F (S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
//! section 3.6) over its name, tags, columns and description:
//!
//! ```text
//! tf    = Σ over fields: weight · occurrences / (1 − b + b · length / mean length)
//! score = Σ over words: ln(1 + (N − n + ½) / (n + ½)) · tf / (k₁ + tf)          k₁ = 1.2, b = 0.75
//! ```
//!
//! Means are those of the ranked assets, and n, in how many assets a word is, is told from how far back its newest thousand
//! reach: both bounded work, and the same wherever the same assets are.

use super::{
    apply::PARTS,
    index::{Index, SearchError},
    query::Candidate,
};
use std::collections::BTreeSet;

/// How many assets are ranked of those with all words in the name, and of all. Others follow them, the newest first.
pub(super) const RANKED: u64 = 1_000;

/// How many assets with a word are looked at to tell in how many it is.
const SAMPLE: usize = 1_000;

/// What an occurrence in a field counts.
const WEIGHTS: [f64; 4] = [8.0, 4.0, 3.0, 1.0];
const FIELDS: usize = WEIGHTS.len();
const K1: f64 = 1.2;
const B: f64 = 0.75;

/// A word that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub word: String,
    /// Or any that begins with it.
    pub prefix: bool,
}

/// What is in an asset's fields.
struct Counted {
    id: i64,
    lengths: [u32; FIELDS],
    /// For each word, its occurrences in each field.
    occurrences: Vec<[u32; FIELDS]>,
}

impl Counted {
    fn of(id: i64, text: &[u8], terms: &[Term]) -> Self {
        let mut counted = Self { id, lengths: [0; FIELDS], occurrences: vec![[0; FIELDS]; terms.len()] };
        for (field, part) in text.split(|byte| *byte == PARTS as u8).take(FIELDS).enumerate() {
            for word in part.split(|byte| *byte == b' ').filter(|word| !word.is_empty()) {
                counted.lengths[field] += 1;
                for (term, occurrences) in terms.iter().zip(&mut counted.occurrences) {
                    let wanted = term.word.as_bytes();
                    let is = if term.prefix { word.starts_with(wanted) } else { word == wanted };
                    occurrences[field] += u32::from(is);
                }
            }
        }
        counted
    }
}

impl Index {
    /// The ids of `found` and `named` (those with all words in the name), best first.
    pub(super) fn ranked(
        &self,
        terms: &[Term],
        named: &[Candidate],
        found: &[Candidate],
    ) -> Result<Vec<i64>, SearchError> {
        let newest = found.iter().take(RANKED as usize);
        let ids: BTreeSet<_> = named.iter().chain(newest).map(|candidate| candidate.id).collect();
        let mut statement = self.connection.prepare_cached("SELECT c0 FROM search_content WHERE id = ?")?;
        let mut counted = Vec::with_capacity(ids.len());
        for &id in &ids {
            let one = statement.query_row([id], |row| Ok(Counted::of(id, row.get_ref(0)?.as_bytes()?, terms)))?;
            counted.push(one);
        }
        let weights = self.weights(terms)?;
        let mean = |field| {
            let sum: u64 = counted.iter().map(|one: &Counted| u64::from(one.lengths[field])).sum();
            (sum as f64 / counted.len() as f64).max(1.0)
        };
        let means: [f64; FIELDS] = std::array::from_fn(mean);
        let score = |one: &Counted| -> f64 {
            let word = |(occurrences, weight): (&[u32; FIELDS], &f64)| {
                let field = |field| {
                    let length = f64::from(one.lengths[field]) / means[field];
                    WEIGHTS[field] * f64::from(occurrences[field]) / (1.0 - B + B * length)
                };
                let tf: f64 = (0..FIELDS).map(field).sum();
                weight * tf / (K1 + tf)
            };
            one.occurrences.iter().zip(&weights).map(word).sum()
        };
        let mut best: Vec<_> = counted.iter().map(|one| (score(one), one.id)).collect();
        best.sort_by(|(a, first), (b, second)| b.total_cmp(a).then(second.cmp(first)));
        let others = found.iter().map(|candidate| candidate.id).filter(|id| !ids.contains(id));
        Ok(best.iter().map(|(_, id)| *id).chain(others).collect())
    }

    /// How much each word says.
    fn weights(&self, terms: &[Term]) -> Result<Vec<f64>, SearchError> {
        if terms.len() == 1 {
            return Ok(vec![1.0]);
        }
        let newest = self
            .connection
            .prepare_cached("SELECT max(id) FROM assets")?
            .query_one([], |row| row.get::<_, Option<i64>>(0))?;
        let all = newest.unwrap_or_default() as f64;
        let sql = "SELECT rowid FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?";
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut weight = |term: &Term| {
            let expression = format!("\"{}\"{}", term.word, if term.prefix { "*" } else { "" });
            let sample = rusqlite::params![expression, SAMPLE as i64];
            let (mut count, mut last) = (0, 1);
            let mut rows = statement.query(sample)?;
            while let Some(row) = rows.next()? {
                (count, last) = (count + 1, row.get::<_, i64>(0)?);
            }
            let reach = if count < SAMPLE { all } else { all - last as f64 + 1.0 };
            let n = count as f64 * all / reach.max(1.0);
            Ok((1.0 + (all - n + 0.5).max(0.0) / (n + 0.5)).ln())
        };
        terms.iter().map(&mut weight).collect()
    }
}

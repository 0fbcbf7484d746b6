//! Asking.
//!
//! A query is one expression of the full-text index: all words, and a mark for each filter. The index tells matching assets newest
//! first, so what a query costs is bounded by how many are looked at and not by how many there are: [`MOST`] are counted, put in
//! order and paged through. Exact prices, which marks only come near to, and what else they are put in order by are looked up for each.
//! What many assets have, a kind and a range of prices, is looked up as well where that finds all that is counted: the full-text index
//! would walk through all that have it.
//!
//! Search by meaning would come in at [`Index::candidates`]: assets near to a query in a space of embeddings are further
//! candidates, and their distance is one more term of the sum in `rank`.

use super::{
    asset::Asset,
    index::{Amount, Index, SearchError},
    rank::{RANKED, Term},
    words::{Mark, range_marks, words},
};
use alloy_primitives::{Address, U256};
use rusqlite::{ToSql, params_from_iter, types::ToSqlOutput};
use serde::Serialize;
use std::{fmt, ops::RangeInclusive, str::FromStr};

/// How many matches are counted and put in order, the newest. A page beyond them is empty.
pub const MOST: u64 = 10_000;

/// How many matches of the expression are looked at, where prices pass over some; and as many again, where half of all that is
/// counted was among them.
const LOOKED_AT: u64 = 2 * MOST;

/// The most words of a query, alternatives, tags and columns; what is more is left out.
const WORDS: usize = 16;

/// Assets that are told at once, at most.
pub const LARGEST_PAGE: u64 = 100;
/// Assets that are told at once if nothing is said.
pub const PAGE: u64 = 20;

/// What an asset's publisher says about its use (Ocean's DDO specification).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum State {
    /// Found and sold.
    Active = 0,
    /// Found, not sold.
    EndOfLife = 1,
    /// Replaced by another.
    Deprecated = 2,
    /// Taken back by its publisher.
    Revoked = 3,
    /// Found, not sold for now.
    Disabled = 4,
    /// Sold to those who know of it.
    Unlisted = 5,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::EndOfLife, Self::Deprecated, Self::Revoked, Self::Disabled, Self::Unlisted];
    /// Those that a search finds.
    pub const FOUND: [Self; 3] = [Self::Active, Self::EndOfLife, Self::Disabled];
    /// Those that stand in their owner's profile.
    pub const IN_PROFILE: [Self; 3] = [Self::Active, Self::Disabled, Self::Unlisted];

    /// Whether orders are taken.
    pub fn sells(self) -> bool {
        matches!(self, Self::Active | Self::Unlisted)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::EndOfLife => "end-of-life",
            Self::Deprecated => "deprecated",
            Self::Revoked => "revoked",
            Self::Disabled => "disabled",
            Self::Unlisted => "unlisted",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // As Ocean calls it.
        let text = if text == "ordering-disabled" { "disabled" } else { text };
        let own = |state: &&Self| state.name() == text || (**state as u8).to_string() == text;
        let found = Self::ALL.iter().find(own).copied();
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no state is called {text:?}; there is: {names}")
        })
    }
}

/// In which order assets are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// Those first that fit the words best; without words the newest.
    #[default]
    Relevance,
    /// The newest first.
    Newest,
    /// Those first whose metadata changed last.
    Changed,
    /// Those first that were ordered most often.
    Orders,
    /// The cheapest first. What nobody can buy is left out.
    Price,
}

/// What is looked for.
#[derive(Clone, Debug)]
pub struct Query {
    /// Words that must all be in the name, the tags, the columns, the description or the author. One that ends in `*` stands for
    /// all that begin so. Other marks mean nothing.
    pub words: String,
    /// Or all of the words of one of these.
    pub or: Vec<String>,
    /// What kind of service it has: `access`, `compute`.
    pub service: Option<String>,
    /// Tags that it must have, whole.
    pub tags: Vec<String>,
    /// `dataset`, `algorithm` or another type.
    pub kind: Option<String>,
    /// Whose it is.
    pub owner: Option<Address>,
    /// That it can be had at such a price, in parts of 10^18 of a base token.
    pub price: Option<RangeInclusive<U256>>,
    /// That it can be had for nothing.
    pub free: bool,
    /// That it is sold for this token.
    pub token: Option<Address>,
    /// Names of columns that it must have, and of what type.
    pub columns: Vec<(String, Option<String>)>,
    /// The states that it may be in.
    pub states: Vec<State>,
    /// In which order.
    pub sort: Sort,
    /// How many are passed over.
    pub first: u64,
    /// How many are told, at most [`LARGEST_PAGE`].
    pub size: u64,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            words: String::new(),
            or: Vec::new(),
            service: None,
            tags: Vec::new(),
            kind: None,
            owner: None,
            price: None,
            free: false,
            token: None,
            columns: Vec::new(),
            states: State::FOUND.to_vec(),
            sort: Sort::default(),
            first: 0,
            size: PAGE,
        }
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Total {
    /// So many,
    pub count: u64,
    /// or more.
    pub more: bool,
}

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Found {
    /// How many match.
    pub total: Total,
    /// How many were passed over.
    pub first: u64,
    /// Those that follow them.
    pub assets: Vec<Asset>,
}

/// A match, with what it may be put in order by.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub id: i64,
    orders: i64,
    changed: i64,
    price: Option<Amount>,
}

/// A value of a statement.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(u64),
    Text(String),
    Bytes(Vec<u8>),
    Amount(Amount),
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Number(number) => ToSqlOutput::from(number.cast_signed()),
            Self::Text(text) => ToSqlOutput::from(text.as_str()),
            Self::Bytes(bytes) => ToSqlOutput::from(bytes.as_slice()),
            Self::Amount(amount) => amount.to_sql()?,
        })
    }
}

/// A kind as it stands in `standing`, where the two of nearly all assets take no room. Nothing if what it says has no words.
pub(super) fn kept_kind(kind: &str) -> Option<Value> {
    let mark = Mark::Kind(kind).text()?;
    Some(match mark.as_str() {
        ":k:dataset" => Value::Number(0),
        ":k:algorithm" => Value::Number(1),
        _ => Value::Text(mark),
    })
}

/// The words of a query.
fn terms(text: &str) -> Vec<Term> {
    let mut terms = Vec::<Term>::new();
    for part in text.split_whitespace() {
        let mut words = words(part).into_iter().peekable();
        while let Some(word) = words.next() {
            // A single character begins too much to be of use.
            let prefix = part.ends_with('*') && words.peek().is_none() && word.chars().count() > 1;
            let term = Term { word, prefix };
            if !terms.contains(&term) && terms.len() < WORDS {
                terms.push(term);
            }
        }
    }
    terms
}

/// Quoted, it is one thing of the expression, whatever it is. It is one word, or one mark.
fn quoted(text: &str, prefix: bool) -> String {
    format!("\"{text}\"{}", if prefix { "*" } else { "" })
}

fn any(marks: impl IntoIterator<Item = String>) -> String {
    let marks: Vec<_> = marks.into_iter().map(|mark| quoted(&mark, false)).collect();
    format!("({})", marks.join(" OR "))
}

/// What the full-text index is asked beside the words.
struct Marks {
    /// What few have, and what nobody looks up.
    rare: Vec<String>,
    /// What [`Query::condition`] looks up.
    common: Vec<String>,
}

impl Query {
    /// What the full-text index is asked beside the words; nothing if no asset can match.
    fn marks(&self) -> Option<Marks> {
        let (mut all, mut common) = (Vec::new(), Vec::new());
        let mut mark = |mark: Mark<'_>| mark.text().map(|text| all.push(quoted(&text, false)));
        self.tags.iter().take(WORDS).try_for_each(|tag| mark(Mark::Tag(tag)))?;
        self.service.iter().try_for_each(|kind| mark(Mark::Service(kind)))?;
        self.owner.iter().try_for_each(|owner| mark(Mark::Owner(*owner)))?;
        self.token.iter().try_for_each(|token| mark(Mark::Token(*token)))?;
        for (name, kind) in self.columns.iter().take(WORDS) {
            match kind {
                Some(kind) => mark(Mark::TypedColumn(name, kind))?,
                None => mark(Mark::Column(name))?,
            }
        }
        if self.free {
            mark(Mark::Free)?;
        }
        if let Some(range) = self.price.clone() {
            let marks = range_marks(range);
            if marks.is_empty() {
                return None;
            }
            common.push(any(marks.into_iter().filter_map(Mark::text)));
        }
        if let Some(kind) = &self.kind {
            common.push(quoted(&Mark::Kind(kind).text()?, false));
        }
        if !self.states.contains(&State::Active) {
            all.push(any(self.states.iter().filter_map(|state| Mark::State(*state as u8).text())));
        }
        Some(Marks { rare: all, common })
    }

    /// What no match may have: marks of other states, where active ones, which have none, may match.
    fn without(&self) -> Option<String> {
        let other = |state: &&State| self.states.contains(&State::Active) && !self.states.contains(state);
        let marks: Vec<_> =
            State::ALL.iter().filter(other).filter_map(|state| Mark::State(*state as u8).text()).collect();
        (!marks.is_empty()).then(|| any(marks))
    }

    /// What is looked up for each match: a condition, and its values, with `looks_up` whatever common marks would say. Nothing if
    /// marks say all.
    fn condition(&self, looks_up: bool) -> Option<(String, Vec<Value>)> {
        let (mut conditions, mut values) = (Vec::new(), Vec::new());
        if let Some(range) = &self.price {
            // The lowest price tells it of most.
            let number = |number: &U256| Value::Amount(Amount(*number));
            let token = if self.token.is_some() { " AND token = ?" } else { "" };
            let lowest = if self.token.is_some() { "" } else { "price >= ? OR " };
            conditions.push(format!(
                "price <= ? AND ({lowest}EXISTS (SELECT 1 FROM prices WHERE asset = standing.id AND active
                 AND swapper IS NULL AND amount BETWEEN ? AND ?{token}))"
            ));
            values.push(number(range.end()));
            values.extend(self.token.is_none().then(|| number(range.start())));
            values.extend([number(range.start()), number(range.end())]);
            values.extend(self.token.map(|token| Value::Bytes(token.to_vec())));
        }
        if let Some(kind) = self.kind.as_deref().filter(|_| looks_up) {
            conditions.push("kind = ?".to_owned());
            values.extend(kept_kind(kind));
        }
        if self.sort == Sort::Price {
            conditions.push("price IS NOT NULL".to_owned());
        }
        match (conditions.is_empty(), self.sort) {
            (true, Sort::Relevance | Sort::Newest) => None,
            (true, _) => Some(("true".to_owned(), values)),
            (false, _) => Some((conditions.join(" AND "), values)),
        }
    }
}

impl Index {
    /// What matches a query.
    ///
    /// # Errors
    ///
    /// [`SearchError::Damaged`], [`SearchError::Storage`].
    pub fn search(&self, query: &Query) -> Result<Found, SearchError> {
        let (first, size) = (query.first, query.size.min(LARGEST_PAGE));
        let empty = Found { total: Total { count: 0, more: false }, first, assets: Vec::new() };
        let Some(marks) = query.marks().filter(|_| !query.states.is_empty()) else { return Ok(empty) };
        // Some thousand statements follow, each of which would lock the file and let go of it.
        let _at_once = self.connection.unchecked_transaction()?;
        let texts = [&query.words].into_iter().chain(query.or.iter().take(WORDS));
        let alternatives: Vec<_> = texts.map(|text| terms(text)).filter(|terms| !terms.is_empty()).collect();
        let mut terms: Vec<_> = alternatives.concat();
        terms.truncate(2 * WORDS);
        let Marks { rare, common } = marks;
        let (ids, total) = match terms.is_empty() && rare.is_empty() && common.is_empty() {
            true => self.browse(query, first, size)?,
            false => {
                let of = |marks: &[String], named| expression(&alternatives, marks, query.without(), named);
                let mut looked_up = None;
                if !common.is_empty() && (!terms.is_empty() || !rare.is_empty()) {
                    let (found, all) = self.candidates(query, &of(&rare, false), true, MOST + 1)?;
                    looked_up = (all || found.len() as u64 > MOST).then_some(found);
                }
                let looks_up = looked_up.is_some();
                let marks = if looks_up { rare } else { [rare, common].concat() };
                let mut found = match looked_up {
                    Some(found) => found,
                    None => self.candidates(query, &of(&marks, false), false, MOST + 1)?.0,
                };
                let more = found.len() as u64 > MOST;
                found.truncate(MOST as usize);
                let total = Total { count: found.len() as u64, more };
                let mut ids = match (query.sort, terms.is_empty()) {
                    (Sort::Relevance, false) => {
                        let (named, _) = self.candidates(query, &of(&marks, true), looks_up, RANKED)?;
                        self.ranked(&terms, &named, &found)?
                    }
                    (sort, _) => sorted(found, sort),
                };
                ids.truncate(MOST as usize);
                (ids.into_iter().skip(first as usize).take(size as usize).collect(), total)
            }
        };
        let assets = ids.into_iter().map(|id| self.asset_of(id)).collect::<Result<_, _>>()?;
        Ok(Found { total, assets, ..empty })
    }

    /// The newest assets that match an expression and a query's condition, and whether there are no others.
    fn candidates(
        &self,
        query: &Query,
        expression: &str,
        looks_up: bool,
        most: u64,
    ) -> Result<(Vec<Candidate>, bool), SearchError> {
        let matches = "FROM search WHERE search MATCH ? ORDER BY rowid DESC LIMIT ?";
        let (sql, mut values, limit) = match query.condition(looks_up) {
            Some((condition, values)) => {
                let sql = format!(
                    "SELECT standing.id, {condition}, orders, changed, price FROM (SELECT rowid {matches}) AS hit
                     CROSS JOIN standing ON standing.id = hit.rowid"
                );
                (sql, values, 2 * LOOKED_AT)
            }
            None => (format!("SELECT rowid, true, 0, 0, NULL {matches}"), Vec::new(), most),
        };
        values.extend([Value::Text(expression.to_owned()), Value::Number(limit)]);
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let (mut found, mut looked_at, mut all) = (Vec::new(), 0, false);
        while (found.len() as u64) < most && (looked_at != LOOKED_AT || found.len() as u64 >= MOST / 2) {
            let Some(row) = rows.next()? else {
                all = looked_at < limit;
                break;
            };
            looked_at += 1;
            if row.get::<_, Option<bool>>(1)? == Some(true) {
                let (id, orders, changed) = (row.get(0)?, row.get(2)?, row.get(3)?);
                found.push(Candidate { id, orders, changed, price: row.get(4)? });
            }
        }
        found.sort_unstable_by_key(|candidate| std::cmp::Reverse(candidate.id));
        Ok((found, all))
    }

    /// All assets, without words and marks.
    fn browse(&self, query: &Query, first: u64, size: u64) -> Result<(Vec<i64>, Total), SearchError> {
        let states: Vec<_> = query.states.iter().map(|state| (*state as u8).to_string()).collect();
        let priced = if query.sort == Sort::Price { " AND price IS NOT NULL" } else { "" };
        let condition = format!("state IN ({}){priced}", states.join(", "));
        let order = match query.sort {
            Sort::Relevance | Sort::Newest => "id DESC",
            Sort::Changed => "changed DESC, id DESC",
            Sort::Orders => "orders DESC, id DESC",
            Sort::Price => "price, id",
        };
        let count = format!("SELECT count(*) FROM (SELECT 1 FROM standing WHERE {condition} LIMIT ?)");
        let count: i64 =
            self.connection.prepare_cached(&count)?.query_one([(MOST + 1).cast_signed()], |row| row.get(0))?;
        let count = count.cast_unsigned();
        let total = Total { count: count.min(MOST), more: count > MOST };
        let (first, size) = (first.min(MOST), size.min(MOST.saturating_sub(first)));
        let sql = format!("SELECT id FROM standing WHERE {condition} ORDER BY {order} LIMIT ? OFFSET ?");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let ids = statement.query_map([size.cast_signed(), first.cast_signed()], |row| row.get(0))?;
        Ok((ids.collect::<Result<_, _>>()?, total))
    }
}

/// All words of an alternative, and all marks, but for what matches the last; with `named`, all words in the name.
fn expression(alternatives: &[Vec<Term>], marks: &[String], without: Option<String>, named: bool) -> String {
    let word = |term: &Term| {
        let name = named.then(|| Mark::Name(&term.word).text()).flatten();
        quoted(name.as_deref().unwrap_or(&term.word), term.prefix)
    };
    let all = |terms: &Vec<Term>| terms.iter().map(word).collect::<Vec<_>>().join(" AND ");
    let mut parts = marks.to_vec();
    if !alternatives.is_empty() {
        let alternatives: Vec<_> = alternatives.iter().map(|terms| format!("({})", all(terms))).collect();
        parts.insert(0, format!("({})", alternatives.join(" OR ")));
    }
    let all = parts.join(" AND ");
    match without {
        Some(without) => format!("({all}) NOT {without}"),
        None => all,
    }
}

fn sorted(mut found: Vec<Candidate>, sort: Sort) -> Vec<i64> {
    match sort {
        Sort::Relevance | Sort::Newest => {}
        Sort::Changed => found.sort_by_key(|one| std::cmp::Reverse((one.changed, one.id))),
        Sort::Orders => found.sort_by_key(|one| std::cmp::Reverse((one.orders, one.id))),
        Sort::Price => found.sort_by_key(|one| (one.price, one.id)),
    }
    found.into_iter().map(|one| one.id).collect()
}

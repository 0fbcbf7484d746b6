//! Assets as Ocean's indexers tell of them, so that programs written for those need another address and nothing else.
//!
//! [`ddo`] is the document with what the ledger knows beside it: `indexedMetadata` (Ocean's node) and the same at the top
//! (Aquarius, before it). [`Request`] reads the questions that ocean.js and Ocean's market ask, which are Elasticsearch's: a tree of
//! `bool`, `term`, `terms`, `match`, `query_string` and the like over known fields. What a search here cannot do is refused with
//! its name, and never answered with something else.

use super::{
    asset::{Asset, Metadata, Price},
    index::{Index, SearchError},
    query::{Found, LARGEST_PAGE, Query, Sort, State, Total},
};
use crate::{market::abi, record::iso_8601};
use alloy_primitives::Address;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};

/// The most bytes of an answer's documents.
const LARGEST_ANSWER: usize = 16 << 20;

/// How deep a question may be.
const DEPTH: usize = 16;

/// How many assets a question may name.
const NAMED: usize = 100;

/// The fields that say what words are looked for in. All of them are looked in, whichever are named.
const TEXTS: [&str; 5] = ["metadata.name", "metadata.description", "metadata.author", "metadata.tags", "content"];

/// As Ocean's indexers say it: always with a point.
fn decimal(price: &Price) -> String {
    let text = stoa_client::decimal(price.amount, 18);
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// An asset's document as Ocean's indexers give it; nothing if there is none that can be read. Of an asset that is deprecated or
/// revoked they tell that and no more.
pub fn ddo(asset: &Asset, chain_id: u64) -> Option<Value> {
    let Metadata::Readable { document, .. } = &asset.metadata else { return None };
    if matches!(asset.state, State::Deprecated | State::Revoked) {
        let nft = json!({ "state": asset.state as u8 });
        return Some(json!({
            "id": asset.id, "version": "deprecated", "chainId": chain_id, "nftAddress": asset.nft,
            "indexedMetadata": { "nft": nft },
        }));
    }
    let mut document = document.read();
    let inside = document["credentialSubject"].is_object();
    let services = if inside { &document["credentialSubject"]["services"] } else { &document["services"] };
    let service = |token: Address| {
        let own =
            |service: &&Value| service["datatokenAddress"].as_str().and_then(|text| text.parse().ok()) == Some(token);
        services.as_array().and_then(|services| services.iter().find(own)).map(|service| service["id"].clone())
    };
    let price = |token: Address, price: &Price| match price.exchange {
        Some(exchange) => json!({
            "type": "fixedrate", "price": decimal(price), "contract": abi::FIXED_RATE, "token": price.token,
            "exchangeId": exchange,
        }),
        None => json!({ "type": "dispenser", "price": "0", "contract": abi::DISPENSER, "token": token }),
    };
    let (mut stats, mut datatokens) = (Vec::new(), Vec::new());
    for token in &asset.datatokens {
        let prices = token.prices.iter().filter(|price| price.active).map(|one| price(token.address, one));
        let (address, service) = (token.address, service(token.address));
        stats.push(json!({
            "datatokenAddress": address, "name": token.name, "symbol": token.symbol, "serviceId": service,
            "orders": token.orders, "prices": prices.collect::<Vec<_>>(),
        }));
        datatokens
            .push(json!({ "address": address, "name": token.name, "symbol": token.symbol, "serviceId": service }));
    }
    let nft = json!({
        "state": asset.state as u8, "address": asset.nft, "name": asset.token_name, "symbol": asset.symbol,
        "owner": asset.owner, "created": iso_8601(asset.created.time), "tokenURI": asset.uri,
    });
    let published = asset.published.as_ref();
    let event = published.map(|published| {
        json!({
            "txid": published.place.transaction, "from": published.by, "contract": asset.nft,
            "block": published.place.number, "datetime": iso_8601(published.place.time),
        })
    });
    let purgatory = json!({ "state": false });
    if inside {
        document["credentialSubject"]["datatokens"] = json!(datatokens);
    }
    document["datatokens"] = json!(datatokens);
    for (name, value) in [("nft", &nft), ("event", &json!(event)), ("purgatory", &purgatory)] {
        document[name] = value.clone();
    }
    document["stats"] = json!({ "orders": asset.orders });
    document["indexedMetadata"] = json!({ "nft": nft, "event": event, "purgatory": purgatory, "stats": stats });
    Some(document)
}

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Elasticsearch's, as Aquarius gave it and the market reads it: `from` counts assets.
    Hits,
    /// A list of lists of documents, as Ocean's node gives it: `from` counts pages, from 1 on.
    Lists,
}

/// An answer as Elasticsearch gives it.
#[derive(Serialize)]
struct Hits<'a> {
    took: u64,
    timed_out: bool,
    hits: Inner<'a>,
}

#[derive(Serialize)]
struct Inner<'a> {
    total: Value,
    max_score: Option<f64>,
    hits: Vec<Hit<'a>>,
}

#[derive(Serialize)]
struct Hit<'a> {
    #[serde(rename = "_index")]
    index: &'a str,
    #[serde(rename = "_id")]
    id: &'a str,
    #[serde(rename = "_score")]
    score: Option<f64>,
    #[serde(rename = "_source")]
    source: Box<RawValue>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It would be too large.
    #[error("the documents of the answer are larger than {LARGEST_ANSWER} bytes: ask for fewer (size)")]
    TooLarge,
    /// The index is of no use.
    #[error(transparent)]
    Search(#[from] SearchError),
}

/// A question.
#[derive(Clone, Debug)]
pub struct Request {
    query: Query,
    /// The assets that it is about, if it names them.
    named: Option<Vec<Name>>,
    /// Whether nothing can match.
    empty: bool,
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Did(String),
    Nft(Address),
    Datatoken(Address),
}

impl Request {
    /// Reads a question.
    ///
    /// # Errors
    ///
    /// In words, what it asks that cannot be done.
    pub fn read(body: &Value, form: Form, chain_id: u64) -> Result<Self, String> {
        let body = body.as_object().ok_or("want an object with a query")?;
        let known = ["query", "size", "from", "sort", "index", "track_total_hits"];
        if let Some(other) = body.keys().find(|key| !known.contains(&key.as_str())) {
            return Err(format!("{other:?} cannot be asked; there is: {}", known.join(", ")));
        }
        let number = |name: &str| match body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_u64().map(Some).ok_or_else(|| format!("{name}: want a number, got {value}")),
        };
        let size = number("size")?.unwrap_or(if form == Form::Hits { 10 } else { LARGEST_PAGE }).min(LARGEST_PAGE);
        let from = number("from")?.unwrap_or(0);
        let first = match form {
            Form::Hits => from,
            Form::Lists => from.saturating_sub(1).saturating_mul(size),
        };
        let query = Query { size, first, ..Query::default() };
        let mut request = Self { query, named: None, empty: false, form };
        let mut reader = Reader { request: &mut request, chain_id, states: None };
        if let Some(query) = body.get("query") {
            reader.clause(query, 0)?;
        }
        if let Some(states) = reader.states {
            request.query.states = states;
        }
        if let Some(sort) = body.get("sort") {
            request.query.sort = sorted(sort)?;
        }
        let Query { words, or, tags, .. } = &request.query;
        if request.named.is_some() && !(words.is_empty() && or.is_empty() && tags.is_empty()) {
            return Err("words and tags cannot be looked for in assets that are named".to_owned());
        }
        Ok(request)
    }

    /// The answer, as JSON.
    ///
    /// # Errors
    ///
    /// See [`AnswerError`].
    pub fn answer(&self, index: &Index) -> Result<String, AnswerError> {
        let found = match &self.named {
            _ if self.empty => Found { total: Total { count: 0, more: false }, first: 0, assets: Vec::new() },
            Some(names) => self.named(index, names)?,
            None => index.search(&self.query)?,
        };
        let (mut documents, mut bytes) = (Vec::new(), 0);
        for asset in &found.assets {
            // Written at once: as a tree it takes thirty times the memory.
            let Some(document) = ddo(asset, index.chain().id) else { continue };
            let document = serde_json::value::to_raw_value(&document).map_err(|_| AnswerError::TooLarge)?;
            bytes += document.get().len();
            if bytes > LARGEST_ANSWER {
                return Err(AnswerError::TooLarge);
            }
            documents.push((asset.id.as_str(), document));
        }
        let answer = match self.form {
            Form::Lists => {
                let documents: Vec<_> = documents.into_iter().map(|(_, document)| document).collect();
                serde_json::to_string(&[documents])
            }
            Form::Hits => {
                let hit = |(did, document)| Hit { index: "aquarius", id: did, score: None, source: document };
                let relation = if found.total.more { "gte" } else { "eq" };
                serde_json::to_string(&Hits {
                    took: 0,
                    timed_out: false,
                    hits: Inner {
                        total: json!({ "value": found.total.count, "relation": relation }),
                        max_score: None,
                        hits: documents.into_iter().map(hit).collect(),
                    },
                })
            }
        };
        answer.map_err(|_| AnswerError::TooLarge)
    }

    /// Assets that are named, those of them that are in one of the states and of the type and kind of service.
    fn named(&self, index: &Index, names: &[Name]) -> Result<Found, SearchError> {
        let Query { states, kind, service, owner, first, size, .. } = &self.query;
        let mut assets = Vec::<Asset>::new();
        for name in names {
            let asset = match name {
                Name::Did(did) => index.asset_by_did(did)?,
                Name::Nft(nft) => index.asset(*nft)?,
                Name::Datatoken(token) => index.asset_by_datatoken(*token)?,
            };
            let fits = |asset: &Asset| {
                let Metadata::Readable { summary, .. } = &asset.metadata else { return false };
                states.contains(&asset.state)
                    && owner.is_none_or(|owner| owner == asset.owner)
                    && kind.as_ref().is_none_or(|kind| *kind == summary.kind)
                    && service.as_ref().is_none_or(|service| summary.services.contains(service))
                    && !assets.iter().any(|other| other.nft == asset.nft)
            };
            if let Some(asset) = asset.filter(fits) {
                assets.push(asset);
            }
        }
        let total = Total { count: assets.len() as u64, more: false };
        let assets = assets.into_iter().skip(*first as usize).take(*size as usize).collect();
        Ok(Found { total, first: *first, assets })
    }
}

/// In which order. Elasticsearch has several ways to write it: `{field: "desc"}`, `{field: {order: "desc"}}`, lists of them.
fn sorted(sort: &Value) -> Result<Sort, String> {
    let sort = match sort {
        Value::Array(sorts) if sorts.len() == 1 => &sorts[0],
        sort => sort,
    };
    let empty = sort.as_object().is_some_and(|sort| sort.is_empty()) || sort.as_array().is_some_and(Vec::is_empty);
    if empty || sort.is_null() {
        return Ok(Sort::Relevance);
    }
    let (field, order) = match sort {
        Value::String(field) => (field.as_str(), "desc"),
        Value::Object(sort) if sort.len() == 1 => {
            let (field, order) = sort.iter().next().ok_or("sort: want one field")?;
            (field.as_str(), order.as_str().or_else(|| order["order"].as_str()).unwrap_or("desc"))
        }
        other => return Err(format!("sort: want one field, got {other}")),
    };
    match (own(field), order) {
        ("_score", _) => Ok(Sort::Relevance),
        ("nft.created" | "metadata.created", "desc") => Ok(Sort::Newest),
        ("event.block" | "event.datetime" | "metadata.updated", "desc") => Ok(Sort::Changed),
        ("stats.orders", "desc") => Ok(Sort::Orders),
        ("stats.prices.price" | "stats.price.value" | "price.value", "asc") => Ok(Sort::Price),
        (field, order) => Err(format!(
            "sort by {field} {order} cannot be done; there is: _score, nft.created desc, metadata.updated desc, stats.orders desc, \
             stats.prices.price asc"
        )),
    }
}

/// A field's name without what indexers put around it.
fn own(field: &str) -> &str {
    let field = field.split('^').next().unwrap_or_default();
    let field = field.strip_suffix(".keyword").unwrap_or(field);
    let field = field.strip_prefix("indexedMetadata.").unwrap_or(field);
    field.strip_prefix("credentialSubject.").unwrap_or(field)
}

struct Reader<'a> {
    request: &'a mut Request,
    chain_id: u64,
    /// The states that were asked for.
    states: Option<Vec<State>>,
}

impl Reader<'_> {
    /// All of these have to be.
    fn all(&mut self, clauses: &Value, depth: usize) -> Result<(), String> {
        match clauses {
            Value::Array(clauses) => clauses.iter().try_for_each(|clause| self.clause(clause, depth)),
            clause => self.clause(clause, depth),
        }
    }

    fn clause(&mut self, clause: &Value, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err(format!("the query is deeper than {DEPTH}"));
        }
        // The market puts an empty list where it filters by nothing.
        if clause.is_null() || clause.as_array().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let object = clause.as_object().ok_or_else(|| format!("want a clause, got {clause}"))?;
        object.iter().try_for_each(|(name, body)| self.named_clause(name, body, depth))
    }

    fn named_clause(&mut self, name: &str, body: &Value, depth: usize) -> Result<(), String> {
        match name {
            "match_all" => Ok(()),
            "bool" => {
                let body = body.as_object().ok_or("bool: want an object")?;
                for (kind, clauses) in body {
                    match kind.as_str() {
                        "must" | "filter" => self.all(clauses, depth + 1)?,
                        "must_not" => self.none(clauses)?,
                        "should" => self.any(clauses)?,
                        "minimum_should_match" if matches!(clauses.as_u64(), Some(1)) || clauses == "1" => {}
                        other => return Err(format!("bool.{other} with {clauses} cannot be asked")),
                    }
                }
                Ok(())
            }
            "term" | "terms" => self.fields(body, |reader, field, value| reader.filter(field, value)),
            "match" | "match_phrase" => self.fields(body, |reader, field, value| match TEXTS.contains(&own(field)) {
                true => {
                    let text = text_of(name, &json!({ own(field): value }))?;
                    reader.words(text)
                }
                false => reader.filter(field, value.get("query").unwrap_or(value)),
            }),
            "query_string" | "simple_query_string" | "multi_match" => {
                // Tags are looked for in this way.
                let text = body["query"].as_str().unwrap_or_default();
                let inner = text.trim().trim_start_matches('(').trim_end_matches(')');
                match inner.split_once(':').filter(|(field, _)| own(field) == "metadata.tags") {
                    Some((_, tag)) if name == "query_string" => {
                        self.request.query.tags.push(plain(tag));
                        Ok(())
                    }
                    _ => text_of(name, body).and_then(|alternatives| self.words(alternatives)),
                }
            }
            other => Err(format!(
                "{other} cannot be asked; there is: bool, term, terms, match, match_phrase, multi_match, query_string, match_all"
            )),
        }
    }

    fn fields(
        &mut self,
        body: &Value,
        mut one: impl FnMut(&mut Self, &str, &Value) -> Result<(), String>,
    ) -> Result<(), String> {
        let body = body.as_object().ok_or_else(|| format!("want a field and its value, got {body}"))?;
        body.iter().filter(|(field, _)| *field != "boost").try_for_each(|(field, value)| one(self, field, value))
    }

    /// One of these has to be: they are texts.
    fn any(&mut self, clauses: &Value) -> Result<(), String> {
        let clauses = clauses.as_array().map_or_else(|| std::slice::from_ref(clauses), Vec::as_slice);
        if let [clause] = clauses {
            return self.clause(clause, 1);
        }
        let mut alternatives = Vec::new();
        for clause in clauses {
            let object = clause.as_object().filter(|object| object.len() == 1);
            let (name, body) = object.and_then(|object| object.iter().next()).ok_or("should: want clauses")?;
            match name.as_str() {
                "query_string" | "simple_query_string" | "multi_match" | "match" | "match_phrase" => {
                    alternatives.extend(text_of(name, body)?);
                }
                other => return Err(format!("should with {other} cannot be asked: it takes texts to choose from")),
            }
        }
        self.words(alternatives)
    }

    /// None of these may be: they are states.
    fn none(&mut self, clauses: &Value) -> Result<(), String> {
        let clauses = clauses.as_array().map_or_else(|| std::slice::from_ref(clauses), Vec::as_slice);
        for clause in clauses {
            let field = |kind: &str| clause[kind].as_object().and_then(|fields| fields.iter().next());
            let (field, value) = field("term").or_else(|| field("terms")).ok_or("must_not: want term or terms")?;
            match own(field) {
                "nft.state" => {
                    let not = states(value)?;
                    let found = self.states.take().unwrap_or_else(|| State::FOUND.to_vec());
                    self.states = Some(found.into_iter().filter(|state| !not.contains(state)).collect());
                }
                "purgatory.state" if value == true => {}
                other => return Err(format!("must_not with {other} cannot be asked; there is: nft.state")),
            }
        }
        Ok(())
    }

    /// All the words of one of these have to be.
    fn words(&mut self, mut alternatives: Vec<String>) -> Result<(), String> {
        let query = &mut self.request.query;
        alternatives.retain(|text| text.chars().any(char::is_alphanumeric));
        match (alternatives.len(), query.words.is_empty() && query.or.is_empty()) {
            (0, _) => Ok(()),
            (1, true) => {
                query.words = alternatives.remove(0);
                Ok(())
            }
            (_, true) => {
                query.or = alternatives;
                Ok(())
            }
            (1, false) if query.or.is_empty() => {
                query.words = format!("{} {}", query.words, alternatives[0]);
                Ok(())
            }
            _ => Err("two texts that both have alternatives cannot be asked at once".to_owned()),
        }
    }

    fn filter(&mut self, field: &str, value: &Value) -> Result<(), String> {
        let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
        let text =
            |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| format!("{field}: want text, got {value}"));
        let one = || match values {
            [one] => text(one),
            _ => Err(format!("{field}: one value can be asked for, got {}", values.len())),
        };
        let address = |value: &Value| {
            let address = value.as_str().and_then(|text| text.parse::<Address>().ok());
            address.ok_or_else(|| format!("{field}: want an address, got {value}"))
        };
        let query = &mut self.request.query;
        match own(field) {
            "_index" => {}
            "chainId" => self.request.empty |= !values.iter().any(|id| id.as_u64() == Some(self.chain_id)),
            "purgatory.state" => self.request.empty |= value == true,
            "metadata.type" => query.kind = Some(one()?),
            "metadata.tags" => query.tags.push(one()?),
            "services.type" => query.service = Some(one()?),
            "nft.owner" => query.owner = Some(one().and_then(|owner| address(&json!(owner)))?),
            "nft.state" => {
                let asked = states(value)?;
                let still = |state: &State| self.states.as_ref().is_none_or(|states| states.contains(state));
                self.states = Some(asked.into_iter().filter(still).collect());
            }
            "_id" | "id" => self.name(values.iter().map(|did| text(did).map(Name::Did)))?,
            "nftAddress" | "nft.address" => self.name(values.iter().map(|nft| address(nft).map(Name::Nft)))?,
            "services.datatokenAddress" | "datatokens.address" | "stats.datatokenAddress" => {
                self.name(values.iter().map(|token| address(token).map(Name::Datatoken)))?;
            }
            other => {
                return Err(format!(
                    "{other} cannot be filtered by; there is: _id, chainId, datatokens.address, metadata.tags, metadata.type, \
                     nft.owner, nft.state, nftAddress, purgatory.state, services.type"
                ));
            }
        }
        Ok(())
    }

    fn name(&mut self, names: impl Iterator<Item = Result<Name, String>>) -> Result<(), String> {
        let names = names.take(NAMED + 1).collect::<Result<Vec<_>, _>>()?;
        if names.len() > NAMED || self.request.named.is_some() {
            return Err(format!("at most {NAMED} assets can be named, once"));
        }
        self.request.named = Some(names);
        Ok(())
    }
}

fn states(value: &Value) -> Result<Vec<State>, String> {
    let values = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
    let state = |value: &Value| {
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        let state = number.and_then(|number| State::ALL.get(usize::try_from(number).ok()?));
        state.copied().ok_or_else(|| format!("nft.state: want 0 to 5, got {value}"))
    };
    values.iter().map(state).collect()
}

/// Text without the marks of Elasticsearch's language, but for a star at a word's end.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        let letters: String = word.chars().map(|c| if c.is_alphanumeric() { c } else { ' ' }).collect();
        let star = word.trim_end_matches(['"', ')']).ends_with('*') && !word.ends_with("\\*");
        format!("{}{}", letters.trim(), if star { "*" } else { "" })
    };
    text.split_whitespace().map(word).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The texts of a clause, of which one has to fit.
fn text_of(name: &str, body: &Value) -> Result<Vec<String>, String> {
    let body = match name {
        "match" | "match_phrase" => {
            let field = body.as_object().and_then(|fields| fields.iter().next());
            field.map(|(_, value)| value).ok_or_else(|| format!("{name}: want a field and a text"))?
        }
        _ => body,
    };
    let text = body.as_str().or_else(|| body["query"].as_str());
    let text = text.ok_or_else(|| format!("{name}: want a text, got {body}"))?;
    if !name.ends_with("query_string") {
        return Ok(vec![plain(text)]);
    }
    let alternatives = text.split(" OR ").map(|part| plain(&part.replace(" AND ", " ")));
    Ok(alternatives.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &Value) -> Result<Request, String> {
        Request::read(body, Form::Hits, 8996)
    }

    #[test]
    fn what_the_market_asks_is_understood() {
        // As its search page asks for "heart disease" among data sets that can be computed on.
        let should = json!([
            { "query_string": { "query": "heart OR disease", "fields": ["metadata.name^10"], "minimum_should_match": "2<75%" } },
            { "query_string": { "query": "heartdisease*", "fields": ["id"], "boost": 5, "lenient": true } },
            { "match_phrase": { "content": { "query": "heart disease", "boost": 10 } } },
            { "query_string": { "query": "*heart disease*", "fields": ["id"], "default_operator": "AND" } },
        ]);
        let filter = json!([
            { "term": { "services.type": "compute" } }, { "term": { "metadata.type": "dataset" } }, { "terms": { "chainId": [8996] } },
            { "term": { "_index": "aquarius" } }, { "term": { "purgatory.state": false } },
            { "bool": { "must_not": [{ "term": { "nft.state": 5 } }] } },
        ]);
        let query = json!({ "bool": { "must": [{ "bool": { "should": should } }], "filter": filter } });
        let sort = json!({ "indexedMetadata.stats.orders": "desc" });
        let request = read(&json!({ "from": 21, "size": 21, "query": query, "sort": sort })).unwrap();
        assert_eq!(request.query.or, ["heart", "disease", "heartdisease*", "heart disease", "heart disease*"]);
        assert_eq!((request.query.first, request.query.size, request.query.sort), (21, 21, Sort::Orders));
        assert_eq!(request.query.states, State::FOUND);
        assert_eq!(
            (request.query.service.as_deref(), request.query.kind.as_deref()),
            (Some("compute"), Some("dataset"))
        );

        let tags =
            json!({ "query_string": { "query": "(metadata.tags:\"public health\")", "fields": ["metadata.tags"] } });
        assert_eq!(read(&json!({ "query": tags })).unwrap().query.tags, ["public health"]);
        let profile = json!([{ "terms": { "nft.state": [0, 4, 5] } }, { "term": { "nft.owner": Address::ZERO } }]);
        let request = read(&json!({ "query": { "bool": { "filter": profile } } })).unwrap();
        assert_eq!((request.query.states, request.query.owner), (State::IN_PROFILE.to_vec(), Some(Address::ZERO)));
        assert!(read(&json!({ "query": { "term": { "chainId": 1 } } })).unwrap().empty);
        let names = read(&json!({ "query": { "terms": { "_id": ["did:op:1"] } } })).unwrap().named;
        assert_eq!(names, Some(vec![Name::Did("did:op:1".into())]));
        assert_eq!(Request::read(&json!({ "from": 3, "size": 10 }), Form::Lists, 1).unwrap().query.first, 20);
    }

    #[test]
    fn what_cannot_be_asked_is_refused_by_its_name() {
        let mut deep = json!({ "match_all": {} });
        for _ in 0..40 {
            deep = json!({ "bool": { "must": [deep] } });
        }
        for (body, want) in [
            (json!([]), "want an object"),
            (json!({ "aggs": {} }), "aggs"),
            (json!({ "query": { "fuzzy": {} } }), "fuzzy"),
            (json!({ "query": { "term": { "metadata.copyrightHolder": "x" } } }), "metadata.copyrightHolder"),
            (json!({ "query": { "bool": { "must_not": [{ "term": { "metadata.type": "x" } }] } } }), "metadata.type"),
            (
                json!({ "query": { "bool": { "should": [{ "term": { "id": "x" } }, { "term": { "id": "y" } }] } } }),
                "should",
            ),
            (json!({ "query": { "term": { "nft.owner": "nobody" } } }), "want an address"),
            (json!({ "query": { "term": { "nft.state": 6 } } }), "0 to 5"),
            (json!({ "query": { "terms": { "metadata.type": ["a", "b"] } } }), "one value"),
            (json!({ "query": { "terms": { "_id": vec!["did:op:1"; 101] } } }), "at most 100"),
            (
                json!({ "query": { "bool": { "filter": [{ "term": { "_id": "x" } }, { "match": { "metadata.name": "y" } }] } } }),
                "named",
            ),
            (json!({ "sort": { "metadata.name": "asc" } }), "metadata.name asc"),
            (json!({ "size": "many" }), "size"),
            (json!({ "query": deep }), "deeper"),
        ] {
            let why = read(&body).unwrap_err();
            assert!(why.contains(want), "{body}: {why}");
        }
    }
}

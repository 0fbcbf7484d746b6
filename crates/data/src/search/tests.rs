//! Markets that are told to indices, whole and in pieces.

use super::{
    index::{Amount, TABLES},
    query::MOST,
    *,
};
use crate::ddo::{Flags, did, did_v5};
use crate::market::{
    self,
    abi::{FACTORY, FIXED_RATE, IDatatoken, IFactory, IFixedRate, INft},
    exchange_id,
    tests::{self as shared, Made, OWNER, bench, datatoken_data, nft_data, rate_data, whole},
};
use alloy_primitives::{Address, B256, Log, U256};
use alloy_sol_types::{SolCall, SolEvent as _};
use proptest::prelude::*;
use rusqlite::{
    ToSql as _,
    types::{FromSql as _, ToSqlOutput, Value as Sql, ValueRef},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::fs;
use stoa_contract::{bench::Bench, coin, interfaces::IERC721};

const CHAIN: ChainId = ChainId { id: 31337, genesis: B256::repeat_byte(7) };
const NOTHING: [Address; 0] = [];
const HEIR: Address = Address::repeat_byte(0xee);

fn cursor(number: u64) -> Cursor {
    Cursor { number, hash: B256::with_last_byte(number as u8) }
}

fn sha(text: &str) -> B256 {
    B256::from_slice(&Sha256::digest(text))
}

/// A chain with a transaction in each block, and its events.
struct Told {
    bench: Bench,
    logs: Vec<Logged>,
    number: u64,
}

impl Told {
    fn new() -> Self {
        Self { bench: bench(), logs: Vec::new(), number: 0 }
    }

    fn tell(&mut self, logs: Vec<Log>) {
        self.number += 1;
        let (number, time) = (self.number, 1_700_000_000 + self.number);
        let transaction = B256::with_last_byte(number as u8);
        self.logs.extend(logs.into_iter().map(|log| Logged { number, time, transaction, log }));
    }

    fn send<C: SolCall>(&mut self, from: Address, to: Address, call: C) -> C::Return {
        let sent = self.bench.send(from, to, &call).unwrap();
        self.tell(sent.logs);
        sent.value
    }

    /// An asset, without metadata.
    fn publish(&mut self) -> Made {
        let call = IFactory::createNftWithErc20Call { nft: nft_data(), datatoken: datatoken_data() };
        let made = self.send(OWNER, FACTORY, call);
        Made { asset: made.erc721Address, token: made.erc20Address, exchange: B256::ZERO }
    }

    /// An asset whose datatoken costs so much of the chain's coin.
    fn publish_at(&mut self, rate: U256) -> Made {
        let call = IFactory::createNftWithErc20WithFixedRateCall {
            nft: nft_data(),
            datatoken: datatoken_data(),
            fixedRate: rate_data(coin::ADDRESS, 18, rate, 0, true),
        };
        let made = self.send(OWNER, FACTORY, call);
        let exchange = exchange_id(coin::ADDRESS, made.erc20Address);
        Made { asset: made.erc721Address, token: made.erc20Address, exchange }
    }

    fn describe(&mut self, asset: Address, flags: &'static [u8], data: &str, hash: B256) {
        let call = INft::setMetaDataCall {
            state: 0,
            decryptorUrl: "http://node".into(),
            decryptorAddress: String::new(),
            flags: flags.into(),
            data: data.as_bytes().to_vec().into(),
            dataHash: hash,
            proofs: Vec::new(),
        };
        self.send(OWNER, asset, call);
    }

    /// Sets metadata that say this.
    fn document(&mut self, asset: Address, metadata: Value) {
        let text = json!({ "id": did(asset, CHAIN.id), "chainId": CHAIN.id, "metadata": metadata }).to_string();
        self.describe(asset, &[0], &text, sha(&text));
    }

    /// Sets metadata that say this, packed; into how many bytes.
    fn packed(&mut self, asset: Address, text: &str) -> usize {
        let packed = Flags { packed: true, sealed: false }.carry(text.as_bytes()).unwrap();
        let bytes = packed.len();
        let event = INft::MetadataUpdated {
            updatedBy: OWNER,
            state: 0,
            decryptorUrl: String::new(),
            flags: [1].into(),
            metaDataHash: sha(text),
            data: packed.into(),
            timestamp: U256::ZERO,
            blockNumber: U256::ZERO,
        };
        self.tell(vec![Log { address: asset, data: event.encode_log_data() }]);
        bytes
    }

    fn state(&mut self, asset: Address, state: u8) {
        self.send(OWNER, asset, INft::setMetaDataStateCall { state });
    }

    fn order(&mut self, made: Made) {
        let call = IDatatoken::mintCall { account: OWNER, value: whole(1) };
        self.send(OWNER, made.token, call);
        self.send(OWNER, made.token, shared::start(OWNER, shared::no_quote()));
    }

    fn hand_over(&mut self, asset: Address) {
        self.send(OWNER, asset, IERC721::transferFromCall { from: OWNER, to: HEIR, tokenId: U256::ONE });
    }

    fn index(&self) -> Index {
        let mut index = Index::in_memory(CHAIN).unwrap();
        index.apply(0, cursor(self.number), &self.logs).unwrap();
        index
    }
}

/// Everything that is in an index's tables, but for how SQLite lays words out.
fn contents(index: &Index) -> Vec<Vec<Sql>> {
    let tables = TABLES.lines().filter_map(|line| line.trim().strip_prefix("CREATE TABLE ")?.split(' ').next());
    let mut all = Vec::new();
    for table in tables.chain(["search_content"]) {
        let mut statement = index.connection.prepare(&format!("SELECT * FROM {table} ORDER BY 1, 2")).unwrap();
        let columns = statement.column_count();
        let row = |row: &rusqlite::Row<'_>| (0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<Vec<Sql>>>();
        all.push(vec![Sql::Text(table.to_owned())]);
        all.extend(statement.query_map([], row).unwrap().map(Result::unwrap));
    }
    // That SQLite finds what the rows say.
    index.connection.execute("INSERT INTO search (search) VALUES ('integrity-check')", []).unwrap();
    all
}

/// The bytes of a column of a table.
fn room(index: &Index, column: &str, table: &str) -> usize {
    let sql = format!("SELECT sum(length({column})) FROM {table}");
    index.connection.query_one(&sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize
}

fn found(index: &Index, query: &Query) -> Vec<Address> {
    let found = index.search(query).unwrap();
    assert_eq!(found.total.count as usize, found.assets.len());
    found.assets.iter().map(|asset| asset.nft).collect()
}

fn words(text: &str) -> Query {
    Query { words: text.into(), ..Query::default() }
}

#[test]
fn an_asset_is_found_by_what_its_document_says() {
    let mut told = Told::new();
    let (heart, wine) = (told.publish_at(whole(2)), told.publish());
    told.document(
        heart.asset,
        json!({
            "name": "Heart disease of Cleveland", "description": "Patients’ ages and so on", "type": "dataset",
            "author": "UCI", "tags": ["Public health"],
            "additionalInformation": { "stoa": { "columns": [{ "name": "resting_bp", "type": "integer" }] } },
        }),
    );
    told.document(
        wine.asset,
        json!({ "name": "Wine", "description": "of Portugal", "type": "dataset", "tags": ["wine"] }),
    );
    let index = told.index();
    for text in
        ["heart", "HEART of", "cleveland uci", "pat*", "patients ages", "resting", "public", "héart", "of heart*"]
    {
        assert_eq!(found(&index, &words(text)), [heart.asset], "{text}");
    }
    let either = Query { or: vec!["wine portu*".into(), "none".into()], ..words("heart") };
    assert_eq!(found(&index, &either), [wine.asset, heart.asset]);
    assert_eq!(found(&index, &Query { tags: vec!["wine".into()], ..either }), [wine.asset]);
    assert_eq!(found(&index, &words("of")), [heart.asset, wine.asset], "a name says more than a description");
    assert_eq!(found(&index, &words("")), [wine.asset, heart.asset]);
    for text in ["heart wine", "hear", "dataset", ":k:dataset", "pa*nts", "h*"] {
        assert_eq!(found(&index, &words(text)), NOTHING, "{text}");
    }
    let tagged = |tag: &str| Query { tags: vec![tag.into()], ..Query::default() };
    assert_eq!(found(&index, &tagged("public HEALTH")), [heart.asset]);
    assert_eq!(found(&index, &tagged("public")), NOTHING);
    assert_eq!(found(&index, &tagged("!")), NOTHING);
    let column = |name: &str, kind: Option<&str>| Query {
        columns: vec![(name.into(), kind.map(str::to_owned))],
        ..words("heart")
    };
    assert_eq!(found(&index, &column("resting_bp", None)), [heart.asset]);
    assert_eq!(found(&index, &column("resting_bp", Some("integer"))), [heart.asset]);
    assert_eq!(found(&index, &column("resting_bp", Some("float"))), NOTHING);
    assert_eq!(found(&index, &Query { kind: Some("algorithm".into()), ..Query::default() }), NOTHING);
    let shown = index.asset_by_did(&did(heart.asset, CHAIN.id)).unwrap().unwrap();
    assert_eq!(shown, index.asset(heart.asset).unwrap().unwrap());
    assert_eq!(shown.name(), "Heart disease of Cleveland");
    assert_eq!(index.asset_by_did("did:op:00").unwrap(), None);
}

#[test]
fn whatever_is_typed_is_no_error() {
    let mut told = Told::new();
    let made = told.publish();
    told.document(made.asset, json!({ "name": "near and not" }));
    let index = told.index();
    for text in
        ["\"", "AND", "NOT near", "near(", "a:b", "*", "-", "^near", "words : near", "near\" OR \"x", "\0", "{", "()"]
    {
        index.search(&words(text)).unwrap();
        index.search(&Query { tags: vec![text.into()], kind: Some(text.into()), ..words(text) }).unwrap();
    }
    assert_eq!(found(&index, &words("NOT near")), [made.asset]);
}

#[test]
fn prices_filter_and_sort() {
    let mut told = Told::new();
    let (dear, cheap, none) = (told.publish_at(whole(30)), told.publish_at(whole(3)), told.publish());
    let free = told.publish();
    let call = IDatatoken::createDispenserCall {
        dispenser: market::abi::DISPENSER,
        maxTokens: whole(1),
        maxBalance: whole(1),
        withMint: true,
        allowedSwapper: Address::ZERO,
    };
    told.send(OWNER, free.token, call);
    let up_to = |most: u128| Query { price: Some(U256::ZERO..=whole(most)), ..Query::default() };
    let index = told.index();
    assert_eq!(found(&index, &up_to(100)), [free.asset, cheap.asset, dear.asset]);
    assert_eq!(found(&index, &up_to(29)), [free.asset, cheap.asset]);
    assert_eq!(found(&index, &Query { price: Some(whole(4)..=whole(30)), ..Query::default() }), [dear.asset]);
    assert_eq!(found(&index, &Query { token: Some(coin::ADDRESS), ..up_to(29) }), [cheap.asset]);
    assert_eq!(found(&index, &Query { token: Some(OWNER), ..Query::default() }), NOTHING);
    assert_eq!(found(&index, &Query { free: true, ..Query::default() }), [free.asset]);
    let by_price = Query { sort: Sort::Price, ..Query::default() };
    let browsed = index.search(&by_price).unwrap().assets;
    assert_eq!(browsed.iter().map(|asset| asset.nft).collect::<Vec<_>>(), [free.asset, cheap.asset, dear.asset]);
    assert_eq!(found(&index, &Query { sort: Sort::Price, ..words("weather") }), [free.asset, cheap.asset, dear.asset]);

    told.send(OWNER, FIXED_RATE, IFixedRate::setRateCall { exchangeId: dear.exchange, newRate: whole(1) });
    told.send(OWNER, FIXED_RATE, IFixedRate::toggleExchangeStateCall { exchangeId: cheap.exchange });
    told.send(OWNER, market::abi::DISPENSER, crate::market::abi::IDispenser::deactivateCall { datatoken: free.token });
    let index = told.index();
    assert_eq!(found(&index, &up_to(100)), [dear.asset]);
    assert_eq!(index.asset(cheap.asset).unwrap().unwrap().price(), None);
    let only = IFixedRate::setAllowedSwapperCall { exchangeId: dear.exchange, newAllowedSwapper: HEIR };
    told.send(OWNER, FIXED_RATE, only);
    let index = told.index();
    assert_eq!(found(&index, &up_to(100)), NOTHING, "what is for one account is not for sale");
    let prices = index.asset(dear.asset).unwrap().unwrap().datatokens.remove(0).prices;
    assert_eq!((prices[0].amount, prices[0].active, prices[0].only), (whole(1), true, Some(HEIR)));
    assert_eq!(index.asset(none.asset).unwrap().unwrap().price(), None);
}

#[test]
fn a_kind_is_found_whatever_it_is() {
    let mut told = Told::new();
    let kinds = ["dataset", "Algorithm", "AI model", "0"];
    let made = kinds.map(|kind| {
        let asset = told.publish().asset;
        told.document(asset, json!({ "name": "thing", "type": kind }));
        asset
    });
    let none = told.publish().asset;
    told.document(none, json!({ "name": "thing" }));
    let index = told.index();
    for (kind, asset) in kinds.into_iter().zip(made) {
        for text in ["thing", ""] {
            let query = Query { kind: Some(kind.to_owned()), ..words(text) };
            assert_eq!(found(&index, &query), [asset], "{kind}, {text:?}");
        }
    }
    assert_eq!(found(&index, &words("thing")).len(), kinds.len() + 1);
}

#[test]
fn states_are_found_as_oceans_table_says() {
    let mut told = Told::new();
    let made: Vec<_> = (0..6).map(|_| told.publish().asset).collect();
    for (state, asset) in made.iter().enumerate().skip(1) {
        told.state(*asset, state as u8);
    }
    let index = told.index();
    let at = |states: &[usize]| states.iter().map(|state| made[*state]).collect::<Vec<_>>();
    for text in ["", "weather"] {
        let with = |states: &[State]| Query { states: states.to_vec(), ..words(text) };
        assert_eq!(found(&index, &words(text)), at(&[4, 1, 0]));
        assert_eq!(found(&index, &with(&State::IN_PROFILE)), at(&[5, 4, 0]));
        assert_eq!(found(&index, &with(&[State::Revoked])), at(&[3]));
        assert_eq!(found(&index, &with(&State::ALL)).len(), 6);
        assert_eq!(found(&index, &with(&[])), NOTHING);
    }
}

#[test]
fn owners_orders_and_changes_are_followed() {
    let mut told = Told::new();
    let (first, second) = (told.publish(), told.publish());
    told.order(first);
    told.document(first.asset, json!({ "name": "First" }));
    told.hand_over(first.asset);
    let index = told.index();
    let of = |owner| Query { owner: Some(owner), ..Query::default() };
    assert_eq!(found(&index, &of(HEIR)), [first.asset]);
    assert_eq!(found(&index, &of(OWNER)), [second.asset]);
    let sorted = |sort| found(&index, &Query { sort, ..Query::default() });
    assert_eq!(sorted(Sort::Newest), [second.asset, first.asset]);
    assert_eq!(sorted(Sort::Orders), [first.asset, second.asset]);
    assert_eq!(sorted(Sort::Changed), [first.asset, second.asset]);
    let asset = index.asset(first.asset).unwrap().unwrap();
    assert_eq!((asset.orders, asset.datatokens[0].orders, asset.creator, asset.owner), (1, 1, OWNER, HEIR));
    assert_eq!(asset.published.unwrap().place.number, 5);
    assert_eq!(index.owned_by(HEIR).unwrap(), [(first.asset, 1)]);
    told.state(second.asset, 3);
    assert_eq!(told.index().owned_by(OWNER).unwrap(), [(second.asset, 2)], "in whatever state");
}

#[test]
fn an_asset_is_called_as_its_document_calls_it() {
    let mut told = Told::new();
    let (made, sealed) = (told.publish(), told.publish());
    let document = |nft: Address| {
        let id = did_v5(nft, CHAIN.id);
        let subject = json!({ "id": id, "chainId": CHAIN.id, "metadata": { "name": "Fifth" } });
        json!({ "id": id, "version": "5.0.0", "credentialSubject": subject }).to_string()
    };
    let text = document(made.asset);
    told.describe(made.asset, &[0], &text, sha(&text));
    let text = document(sealed.asset);
    told.describe(sealed.asset, &[2], "secret", sha(&text));
    let index = told.index();
    let own = did_v5(made.asset, CHAIN.id);
    for name in [&own, &did(made.asset, CHAIN.id)] {
        assert_eq!(index.asset_by_did(name).unwrap().unwrap().id, own, "found by either");
    }
    let found = index.search(&words("fifth")).unwrap().assets;
    assert_eq!((&found[0].id, &found[0].did), (&own, &did(made.asset, CHAIN.id)));
    assert_eq!(json!(found)[0]["did"], own.as_str());
    let mut asset = index.asset(sealed.asset).unwrap().unwrap();
    assert_eq!(asset.id, did(sealed.asset, CHAIN.id), "what it says is not known");
    asset.open(CHAIN.id, text.as_bytes()).unwrap();
    assert_eq!(asset.id, did_v5(sealed.asset, CHAIN.id));
    told.state(made.asset, 2);
    let asset = told.index().asset(made.asset).unwrap().unwrap();
    assert_eq!(ocean::ddo(&asset, CHAIN.id).unwrap()["id"], own.as_str());
}

#[test]
fn what_cannot_be_read_is_found_by_its_token_and_says_why() {
    let mut told = Told::new();
    let (sealed, bad, none) = (told.publish().asset, told.publish().asset, told.publish().asset);
    told.describe(sealed, &[2], "secret", sha("plain"));
    told.describe(bad, &[0], "{}", sha("else"));
    let index = told.index();
    assert_eq!(found(&index, &words("weather wth")), [none, bad, sealed]);
    let metadata = |nft| index.asset(nft).unwrap().unwrap().metadata;
    assert_eq!(metadata(sealed), Metadata::Sealed);
    assert_eq!(metadata(none), Metadata::None);
    assert!(matches!(metadata(bad), Metadata::Bad { why } if why.contains("hash is")));
    told.document(bad, json!({ "name": "Repaired" }));
    let index = told.index();
    assert_eq!(found(&index, &words("repaired")), [bad]);
    assert_eq!(found(&index, &words("weather")), [none, sealed]);
}

#[test]
fn a_document_takes_the_room_that_its_publisher_paid_for_and_is_told_whole() {
    let mut told = Told::new();
    let nft = told.publish().asset;
    let metadata = json!({ "name": "Heart", "filling": "a".repeat(60_000) });
    let text = json!({ "id": did(nft, CHAIN.id), "metadata": metadata }).to_string();
    let packed = told.packed(nft, &text);
    let index = told.index();
    assert_eq!(found(&index, &words("heart")), [nft]);
    let Metadata::Readable { document, .. } = index.asset(nft).unwrap().unwrap().metadata else { panic!() };
    assert_eq!(document.text(), text);
    assert_eq!(room(&index, "document", "metadata"), packed);
    assert!(packed < text.len() / 10 && room(&index, "c0", "search_content") < 1_000);
}

#[test]
fn columns_take_so_much_room_and_no_more() {
    let mut told = Told::new();
    let nft = told.publish().asset;
    let name = |n: usize| format!("{}{n:04}", "x".repeat(60));
    let columns: Vec<_> = (0..1_024).map(|n| json!({ "name": name(n), "type": "integer" })).collect();
    let metadata = json!({ "name": "Wide", "additionalInformation": { "stoa": { "columns": columns } } });
    told.packed(nft, &json!({ "id": did(nft, CHAIN.id), "metadata": metadata }).to_string());
    let index = told.index();
    let with = |n| Query { columns: vec![(name(n), Some("integer".into()))], ..words("wide") };
    assert_eq!(found(&index, &with(255)), [nft]);
    assert_eq!(found(&index, &with(1_023)), NOTHING);
    assert!(room(&index, "c0", "search_content") < 68_000);
}

#[test]
fn what_the_ledger_says_changes_without_what_the_document_says() {
    let mut told = Told::new();
    let made = told.publish_at(whole(2));
    let columns = json!([{ "name": "age", "type": "integer" }]);
    told.document(
        made.asset,
        json!({
            "name": "Heart", "type": "algorithm", "tags": ["Public health"],
            "additionalInformation": { "stoa": { "columns": columns } },
        }),
    );
    let mut index = told.index();
    let before = told.number;
    told.send(OWNER, FIXED_RATE, IFixedRate::setRateCall { exchangeId: made.exchange, newRate: whole(7) });
    told.state(made.asset, 4);
    told.hand_over(made.asset);
    index.apply(before + 1, cursor(told.number), &told.logs).unwrap();
    assert_eq!(contents(&index), contents(&told.index()));
    let query = Query {
        tags: vec!["public health".into()],
        kind: Some("algorithm".into()),
        columns: vec![("age".into(), Some("integer".into()))],
        owner: Some(HEIR),
        price: Some(whole(7)..=whole(7)),
        ..words("heart")
    };
    assert_eq!(found(&index, &query), [made.asset]);
    assert_eq!(found(&index, &Query { price: Some(whole(2)..=whole(2)), ..query.clone() }), NOTHING);
    assert_eq!(found(&index, &Query { owner: Some(OWNER), ..query }), NOTHING);
}

#[test]
fn of_what_an_asset_says_again_and_again_the_last_alone_is_read() {
    let mut told = Told::new();
    let nft = told.publish().asset;
    told.document(nft, json!({ "name": "Heart" }));
    told.document(nft, json!({ "name": "Wine" }));
    // One that could not be read, for it is none any more when it is looked at.
    told.describe(nft, &[0], "{}", sha("else"));
    told.document(nft, json!({ "name": "Bread" }));
    let mut index = Index::in_memory(CHAIN).unwrap();
    index.apply(0, cursor(1), &told.logs).unwrap();
    let before = index.connection.total_changes();
    index.apply(2, cursor(told.number), &told.logs).unwrap();
    let once = index.connection.total_changes() - before;
    assert_eq!(found(&index, &words("bread")), [nft]);
    let mut each = Index::in_memory(CHAIN).unwrap();
    each.apply(0, cursor(1), &told.logs).unwrap();
    let before = each.connection.total_changes();
    (2..=told.number).for_each(|number| each.apply(number, cursor(number), &told.logs).unwrap());
    assert!(each.connection.total_changes() - before > once + 6);
    assert_eq!(contents(&each), contents(&index));
}

#[test]
fn a_contract_that_is_not_the_factorys_gets_nothing_in() {
    let mut told = Told::new();
    let made = told.publish_at(whole(1));
    told.document(made.asset, json!({ "name": "Mine" }));
    told.order(made);
    let foreign = Address::repeat_byte(0xf0);
    // All that was told before, told by another contract, and of an asset that is known.
    let own: Vec<Log> = told.logs.iter().map(|logged| logged.log.clone()).collect();
    let before = contents(&told.index());
    let copies = own.iter().cloned().map(|log| Log { address: foreign, ..log });
    // An asset that says what datatokens say, and the contracts what others say.
    let crossed = own.iter().flat_map(|log| {
        let places = [FACTORY, FIXED_RATE, market::abi::DISPENSER, made.asset, made.token];
        let kind = |address| if address == made.asset || address == made.token { Some(address) } else { None };
        let others = places.into_iter().filter(move |place| *place != log.address && kind(*place).is_none());
        others.map(|address| Log { address, ..log.clone() })
    });
    let (copies, crossed): (Vec<_>, Vec<_>) = (copies.collect(), crossed.collect());
    told.tell(copies);
    told.tell(crossed);
    let mut after = contents(&told.index());
    // How far it is, is all that differs.
    assert_ne!(after[1], before[1]);
    after[1] = before[1].clone();
    assert_eq!(after, before);
}

#[test]
fn a_transfer_of_another_tokens_number_is_none_of_the_asset() {
    let mut told = Told::new();
    let made = told.publish();
    let event = IERC721::Transfer { from: OWNER, to: HEIR, tokenId: U256::from(2) };
    told.tell(vec![Log { address: made.asset, data: event.encode_log_data() }]);
    assert_eq!(told.index().asset(made.asset).unwrap().unwrap().owner, OWNER);
}

#[test]
fn blocks_that_are_missing_are_refused_and_those_that_are_there_passed_over() {
    let mut told = Told::new();
    let made = told.publish();
    told.order(made);
    let mut index = told.index();
    let before = contents(&index);
    index.apply(0, cursor(told.number), &told.logs).unwrap();
    index.apply(1, cursor(2), &told.logs).unwrap();
    assert_eq!(contents(&index), before);
    let gap = index.apply(told.number + 2, cursor(told.number + 3), &[]);
    assert!(matches!(gap, Err(SearchError::Gap { has: Some(_), .. })));
    assert_eq!(index.cursor().unwrap(), Some(cursor(told.number)));
}

#[test]
fn a_file_that_is_damaged_or_old_or_of_another_chain_is_built_anew() {
    let mut told = Told::new();
    let made = told.publish();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("index.sqlite");
    let fill = || {
        let mut index = Index::open(&path, CHAIN).unwrap();
        assert_eq!(index.cursor().unwrap(), None);
        index.apply(0, cursor(told.number), &told.logs).unwrap();
    };
    fill();
    let kept = Index::open(&path, CHAIN).unwrap();
    assert_eq!(kept.asset(made.asset).unwrap().unwrap().owner, OWNER);
    kept.connection.pragma_update(None, "user_version", 0).unwrap();
    drop(kept);
    fill();
    let other = Index::open(&path, ChainId { genesis: B256::ZERO, ..CHAIN }).unwrap();
    assert_eq!(other.cursor().unwrap(), None);
    drop(other);
    fill();
    fs::write(&path, "no database, but some text that is longer than a header of one hundred bytes would be, surely")
        .unwrap();
    fill();
    // In the middle: that is noticed when it is used.
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    bytes[4096..length].fill(0x5a);
    fs::write(&path, bytes).unwrap();
    let mut damaged = match Index::open(&path, CHAIN) {
        Ok(index) => index,
        Err(error) => panic!("{error}"),
    };
    if damaged.cursor().unwrap().is_some() {
        assert!(matches!(damaged.search(&words("weather")), Err(SearchError::Damaged(_))));
        damaged.renew().unwrap();
    }
    damaged.apply(0, cursor(told.number), &told.logs).unwrap();
    assert_eq!(contents(&damaged), contents(&told.index()));
}

#[test]
fn more_than_can_be_counted_is_said_to_be_more_and_pages_do_not_overlap() {
    let mut index = Index::in_memory(CHAIN).unwrap();
    let logs: Vec<_> = (0..10_050_u64)
        .map(|n| {
            let event = IFactory::NFTCreated {
                newTokenAddress: Address::left_padding_from(&n.to_be_bytes()),
                templateAddress: market::abi::NFT,
                tokenName: if n % 100 == 0 { "rare thing".into() } else { "thing".into() },
                admin: OWNER,
                symbol: "T".into(),
                tokenURI: String::new(),
                transferable: true,
                creator: OWNER,
            };
            let log = Log { address: FACTORY, data: event.encode_log_data() };
            Logged { number: n, time: n, transaction: B256::ZERO, log }
        })
        .collect();
    index.apply(0, cursor(10_050), &logs).unwrap();
    for text in ["", "thing"] {
        let total = index.search(&words(text)).unwrap().total;
        assert_eq!((total.count, total.more), (10_000, true), "{text:?}");
        let last = index.search(&Query { first: 9_980, ..words(text) }).unwrap();
        assert_eq!(last.assets.len(), 20);
        let beyond = index.search(&Query { first: 10_000, ..words(text) }).unwrap();
        assert_eq!(beyond.assets, []);
        assert_eq!(index.search(&Query { first: u64::MAX, size: u64::MAX, ..words(text) }).unwrap().assets, []);
    }
    let pages = [0, 40, 80]
        .into_iter()
        .flat_map(|first| index.search(&Query { first, size: 40, ..words("rare") }).unwrap().assets);
    let mut seen: Vec<_> = pages.map(|asset| asset.nft).collect();
    assert_eq!(seen.len(), 101);
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 101);
    // As many as are ranked of them have the word in their name, and are old.
    let both = index.search(&words("rare thing")).unwrap();
    assert_eq!((both.total.count, both.total.more), (101, false));
}

#[test]
fn kinds_and_prices_filter_the_many_as_they_filter_the_few() {
    // More than are looked at have the first word, fewer the second.
    const ASSETS: u64 = 21_000;
    let mut index = Index::in_memory(CHAIN).unwrap();
    let (name, prices) =
        (|n: u64| if n.is_multiple_of(10) { "rare thing" } else { "thing" }, |n: u64| [n % 97, n % 89]);
    let mut logs = Vec::new();
    for n in 0..ASSETS {
        let [nft, token] = [2 * n, 2 * n + 1].map(|n| Address::left_padding_from(&(n + (1 << 40)).to_be_bytes()));
        let mut tell = |address, data| {
            logs.push(Logged { number: n, time: n, transaction: B256::ZERO, log: Log { address, data } });
        };
        let created = IFactory::NFTCreated {
            newTokenAddress: nft,
            templateAddress: market::abi::NFT,
            tokenName: name(n).into(),
            admin: OWNER,
            symbol: String::new(),
            tokenURI: String::new(),
            transferable: true,
            creator: OWNER,
        };
        tell(FACTORY, created.encode_log_data());
        let created = IFactory::TokenCreated {
            newTokenAddress: token,
            templateAddress: market::abi::DATATOKEN,
            name: String::new(),
            symbol: String::new(),
            cap: U256::MAX,
            creator: nft,
        };
        tell(FACTORY, created.encode_log_data());
        for (base, price) in [coin::ADDRESS, OWNER].into_iter().zip(prices(n)) {
            let created = IFixedRate::ExchangeCreated {
                exchangeId: exchange_id(base, token),
                baseToken: base,
                datatoken: token,
                exchangeOwner: OWNER,
                fixedRate: U256::from(price),
            };
            tell(market::abi::FIXED_RATE, created.encode_log_data());
        }
        if n % 3 > 0 {
            continue;
        }
        let document = json!({
            "id": did(nft, CHAIN.id), "chainId": CHAIN.id, "metadata": { "name": name(n), "type": "algorithm" },
        });
        let text = document.to_string();
        let published = INft::MetadataCreated {
            createdBy: OWNER,
            state: 0,
            decryptorUrl: String::new(),
            flags: [0].into(),
            metaDataHash: sha(&text),
            data: text.into_bytes().into(),
            timestamp: U256::ZERO,
            blockNumber: U256::ZERO,
        };
        tell(nft, published.encode_log_data());
    }
    index.apply(0, cursor(ASSETS), &logs).unwrap();
    for (word, every) in [("thing", 1), ("rare", 10)] {
        // Of a word that many have, the newest suffice for the last range alone.
        for (from, to) in [(0, 30), (20, 50), (60, 200), (96, 96), (0, 96)] {
            for kind in [None, Some("algorithm")] {
                for token in [None, Some(OWNER)] {
                    let price = Some(U256::from(from)..=U256::from(to));
                    let query = Query { kind: kind.map(str::to_owned), price, token, ..words(word) };
                    let within = |price: u64| (from..=to).contains(&price);
                    let expected = (0..ASSETS).filter(|n| {
                        let [first, second] = prices(*n).map(within);
                        n % every == 0 && (kind.is_none() || n % 3 == 0) && (second || first && token.is_none())
                    });
                    let total = index.search(&query).unwrap().total;
                    let told = format!("{word}, {from} to {to}, {kind:?}, {token:?}");
                    let expected = expected.count() as u64;
                    assert_eq!((total.count, total.more), (expected.min(MOST), expected > MOST), "{told}");
                }
            }
        }
    }
}

/// Something that people do in a market.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Publish,
    PublishAt(u8),
    Describe(u8),
    Seal,
    State(u8),
    Order,
    HandOver,
    Rate(u8),
    Toggle,
}

fn deeds() -> impl Strategy<Value = Vec<(Deed, u8)>> {
    let deed = prop_oneof![
        Just(Deed::Publish),
        (1..9_u8).prop_map(Deed::PublishAt),
        (0..4_u8).prop_map(Deed::Describe),
        Just(Deed::Seal),
        (0..6_u8).prop_map(Deed::State),
        Just(Deed::Order),
        Just(Deed::HandOver),
        (1..9_u8).prop_map(Deed::Rate),
        Just(Deed::Toggle),
    ];
    prop::collection::vec((deed, any::<u8>()), 1..25)
}

fn happened(deeds: &[(Deed, u8)]) -> Told {
    let mut told = Told::new();
    let mut made = vec![told.publish_at(whole(5))];
    let mut gone = Vec::new();
    for (deed, which) in deeds {
        let one = made[usize::from(*which) % made.len()];
        let own = !gone.contains(&one.asset);
        match deed {
            Deed::Publish => made.push(told.publish()),
            Deed::PublishAt(rate) => made.push(told.publish_at(whole(u128::from(*rate)))),
            Deed::Describe(words) if own => {
                let name = ["Heart", "Heart disease", "Wine of Portugal", ""][usize::from(*words)];
                told.document(one.asset, json!({ "name": name, "tags": [name], "type": "dataset" }));
            }
            Deed::Seal if own => told.describe(one.asset, &[2], "secret", B256::ZERO),
            Deed::State(state) if own => told.state(one.asset, *state),
            Deed::Order if own => {
                told.state(one.asset, 0);
                told.order(one);
            }
            Deed::HandOver if own => {
                told.hand_over(one.asset);
                gone.push(one.asset);
            }
            Deed::Rate(rate) if own && !one.exchange.is_zero() => {
                let rate = whole(u128::from(*rate));
                told.send(OWNER, FIXED_RATE, IFixedRate::setRateCall { exchangeId: one.exchange, newRate: rate });
            }
            Deed::Toggle if own && !one.exchange.is_zero() => {
                told.send(OWNER, FIXED_RATE, IFixedRate::toggleExchangeStateCall { exchangeId: one.exchange });
            }
            _ => {}
        }
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_index_followed_in_pieces_is_the_index_built_from_the_start(
        deeds in deeds(), cuts in prop::collection::vec(any::<u8>(), 0..8), again in any::<u8>(),
    ) {
        let told = happened(&deeds);
        let mut pieces = Index::in_memory(CHAIN).unwrap();
        let mut ends: Vec<_> = cuts.iter().map(|cut| u64::from(*cut) % (told.number + 1)).chain([told.number]).collect();
        ends.sort_unstable();
        let mut from = 0_u64;
        for end in ends {
            // Some come twice, and a page may have more than was asked for.
            let earlier = from.saturating_sub(u64::from(again % 3));
            pieces.apply(earlier, cursor(end), &told.logs).unwrap();
            from = end + 1;
        }
        let whole = told.index();
        prop_assert_eq!(contents(&pieces), contents(&whole));
        for text in ["", "heart", "wea*", "heart disease"] {
            for query in [words(text), Query { states: State::ALL.to_vec(), sort: Sort::Changed, ..words(text) }] {
                prop_assert_eq!(found(&pieces, &query), found(&whole, &query));
            }
        }
    }

    #[test]
    fn amounts_compare_as_the_bytes_do_that_stand_for_them(
        numbers in any::<[[u8; 32]; 2]>(), shifts in any::<[u8; 2]>(), alike in any::<bool>(),
    ) {
        let bytes = |number: U256| match Amount(number).to_sql().unwrap() {
            ToSqlOutput::Owned(Sql::Blob(bytes)) => bytes,
            other => panic!("{other:?}"),
        };
        let first = U256::from_be_bytes(numbers[0]) >> shifts[0];
        let second = if alike { first } else { U256::from_be_bytes(numbers[1]) >> shifts[1] };
        prop_assert_eq!(bytes(first).cmp(&bytes(second)), first.cmp(&second));
        prop_assert_eq!(Amount::column_result(ValueRef::Blob(&bytes(first))).unwrap(), Amount(first));
    }

    #[test]
    fn no_query_is_an_error(text in "\\PC{0,30}", other in "\\PC{0,10}", low in any::<u64>(), high in any::<u64>(), first in any::<u64>()) {
        let told = happened(&[(Deed::Describe(1), 0)]);
        let query = Query {
            words: text,
            tags: vec![other.clone()],
            columns: vec![(other.clone(), Some(other))],
            price: Some(U256::from(low)..=U256::from(high)),
            first,
            ..Query::default()
        };
        told.index().search(&query).unwrap();
        told.index().search(&Query { tags: Vec::new(), columns: Vec::new(), ..query }).unwrap();
    }
}

#[test]
fn ocean_is_told_what_the_ledger_knows_beside_the_document() {
    let mut told = Told::new();
    let (made, other) = (told.publish_at(whole(2)), told.publish());
    told.order(made);
    let text = json!({
        "id": did(made.asset, CHAIN.id), "version": "4.7.0", "chainId": CHAIN.id, "nftAddress": made.asset,
        "metadata": { "name": "Heart disease", "type": "dataset" },
        "services": [{ "id": "first", "type": "compute", "datatokenAddress": made.token.to_checksum(None) }],
    })
    .to_string();
    told.describe(made.asset, &[0], &text, sha(&text));
    told.describe(other.asset, &[2], "secret", B256::ZERO);
    let index = told.index();
    let asset = index.asset(made.asset).unwrap().unwrap();
    let document = ocean::ddo(&asset, CHAIN.id).unwrap();
    let indexed = &document["indexedMetadata"];
    assert_eq!((&indexed["nft"]["owner"], &indexed["nft"]["symbol"]), (&json!(OWNER), &json!("WTH")));
    assert_eq!(indexed["nft"]["created"], "2023-11-14T22:13:21Z");
    assert_eq!(indexed["event"]["txid"], json!(B256::with_last_byte(5)));
    let stats = &indexed["stats"][0];
    assert_eq!((&stats["orders"], &stats["serviceId"]), (&json!(1), &json!("first")));
    let price = json!({ "type": "fixedrate", "price": "2.0", "contract": FIXED_RATE, "token": coin::ADDRESS, "exchangeId": made.exchange });
    assert_eq!(stats["prices"], json!([price]));
    assert_eq!(document["datatokens"][0]["address"], json!(made.token));

    let ask = |form, query: Value| -> Value {
        let request = ocean::Request::read(&json!({ "query": query }), form, CHAIN.id).unwrap();
        serde_json::from_str(&request.answer(&index).unwrap()).unwrap()
    };
    let hits = ask(ocean::Form::Hits, json!({ "match": { "metadata.name": "disease" } }));
    assert_eq!((&hits["hits"]["total"]["value"], &hits["hits"]["hits"][0]["_source"]), (&json!(1), &document));
    let named = json!({ "bool": { "filter": [
        { "terms": { "datatokens.address": [made.token, other.token] } }, { "term": { "services.type": "compute" } },
    ] } });
    assert_eq!(ask(ocean::Form::Lists, named), json!([[document]]));
    assert_eq!(ask(ocean::Form::Lists, json!({ "term": { "services.type": "access" } })), json!([[]]));

    told.state(made.asset, 3);
    let index = told.index();
    let short = ocean::ddo(&index.asset(made.asset).unwrap().unwrap(), CHAIN.id).unwrap();
    assert_eq!((&short["version"], &short["metadata"]), (&json!("deprecated"), &Value::Null));
    assert_eq!(ocean::ddo(&index.asset(other.asset).unwrap().unwrap(), CHAIN.id), None);
}

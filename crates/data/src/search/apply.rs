//! Taking in what happened.

use super::{
    document::{self, Column, NAME, Reading, Summary, cut},
    event::{CONTRACTS, Event, Logged, Priced},
    index::{Amount, Cursor, Index, SearchError, cursor},
    query::kept_kind,
    words::{Mark, price_marks, spaced, words},
};
use crate::{
    ddo::{Flags, identity},
    market::abi::{
        IFactory::{NFTCreated, TokenCreated},
        INft::MetadataUpdated,
    },
};
use alloy_primitives::{Address, B256, U256};
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::collections::{BTreeMap, BTreeSet};

/// Between an asset's name, tags, columns, description and marks in the full-text index. No word has it.
pub(super) const PARTS: char = '\n';

/// The most bytes that an asset's columns take in the full-text index. Columns beyond them are not found: packed, a thousand with
/// long names cost their publisher a few hundred bytes.
const MOST_COLUMNS: usize = 64 << 10;

/// The most tokens that an asset can be found by as being sold for them.
const MOST_TOKENS: usize = 256;

impl Index {
    /// Takes in the events of blocks `from..=to.number`, in the order in which they happened; others among them are passed
    /// over, and so are blocks that it has already. It takes in all or nothing.
    ///
    /// # Errors
    ///
    /// [`SearchError::Gap`] if blocks before `from` are missing; [`SearchError::Damaged`], [`SearchError::Storage`].
    pub fn apply(&mut self, from: u64, to: Cursor, logs: &[Logged]) -> Result<(), SearchError> {
        let chain_id = self.chain.id;
        // Another program may be at it as well.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let has = cursor(&transaction)?.map(|cursor| cursor.number);
        let next = has.map_or(0, |number| number + 1);
        if from > next {
            return Err(SearchError::Gap { has, from });
        }
        if to.number < next {
            return Ok(());
        }
        let (changed, said) = (BTreeSet::new(), BTreeMap::new());
        let mut writer = Writer { transaction: &transaction, chain_id, changed, said };
        for logged in logs.iter().filter(|logged| (next..=to.number).contains(&logged.number)) {
            writer.take(logged)?;
        }
        writer.finish()?;
        let row = params![to.number.cast_signed(), to.hash.0];
        transaction.execute("UPDATE progress SET number = ?, hash = ?", row)?;
        transaction.commit()?;
        Ok(())
    }
}

/// What an asset says of itself, and where it was published.
struct Said {
    nft: Address,
    number: u64,
    time: u64,
    transaction: B256,
    event: MetadataUpdated,
}

struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    chain_id: u64,
    /// Assets of which words, marks or prices may be others now.
    changed: BTreeSet<i64>,
    /// What those of them say that were published: the last alone is read.
    said: BTreeMap<i64, Said>,
}

impl Writer<'_> {
    fn execute(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, SearchError> {
        Ok(self.transaction.prepare_cached(sql)?.execute(parameters)?)
    }

    /// The id of the asset, or of the asset and the datatoken, that this contract is.
    fn asset(&self, nft: Address) -> Result<Option<i64>, SearchError> {
        let mut statement = self.transaction.prepare_cached("SELECT id FROM assets WHERE nft = ?")?;
        Ok(statement.query_one([nft.0.0], |row| row.get(0)).optional()?)
    }

    fn datatoken(&self, address: Address) -> Result<Option<(i64, i64)>, SearchError> {
        let mut statement = self.transaction.prepare_cached("SELECT asset, id FROM datatokens WHERE address = ?")?;
        Ok(statement.query_one([address.0.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
    }

    fn take(&mut self, logged: &Logged) -> Result<(), SearchError> {
        let address = logged.log.address;
        let (mut asset, mut datatoken) = (None, None);
        // Whoever emits events without being of the market costs a look and no more.
        if !CONTRACTS.contains(&address) {
            asset = self.asset(address)?;
            datatoken = if asset.is_none() { self.datatoken(address)? } else { None };
            if asset.is_none() && datatoken.is_none() {
                return Ok(());
            }
        }
        let Some(event) = Event::of(&logged.log) else { return Ok(()) };
        match (event, asset, datatoken) {
            (Event::Asset(event), ..) => self.new_asset(&event, logged)?,
            (Event::Datatoken(event), ..) => self.new_datatoken(&event)?,
            (Event::Exchange(event), ..) => {
                if let Some(datatoken) = self.datatoken(event.datatoken)? {
                    let (id, token) = (event.exchangeId.0, event.baseToken.0.0);
                    self.new_price(datatoken, Some(id), Some(token), event.fixedRate)?;
                }
            }
            (Event::Dispenser(event), ..) => {
                if let Some(datatoken) = self.datatoken(event.datatokenAddress)? {
                    self.new_price(datatoken, None, None, U256::ZERO)?;
                }
            }
            (Event::ExchangePriced(id, what), ..) => {
                let mut statement =
                    self.transaction.prepare_cached("SELECT asset, id FROM prices WHERE exchange = ?")?;
                let price = statement.query_one([id.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
                if let Some((asset, price)) = price {
                    self.price(asset, price, &what)?;
                }
            }
            (Event::DispenserPriced(token, what), ..) => {
                let Some((asset, datatoken)) = self.datatoken(token)? else { return Ok(()) };
                let sql = "SELECT id FROM prices WHERE datatoken = ? AND exchange IS NULL";
                let mut statement = self.transaction.prepare_cached(sql)?;
                if let Some(price) = statement.query_one([datatoken], |row| row.get(0)).optional()? {
                    self.price(asset, price, &what)?;
                }
            }
            (Event::Metadata(event), Some(asset), _) => {
                let (number, time) = (logged.number, logged.time);
                self.execute("DELETE FROM validators WHERE asset = ?", [asset])?;
                self.execute("UPDATE standing SET changed = ? WHERE id = ?", params![number.cast_signed(), asset])?;
                self.state(asset, event.state)?;
                let said = Said { nft: address, number, time, transaction: logged.transaction, event };
                self.said.insert(asset, said);
            }
            (Event::State(event), Some(asset), _) => self.state(asset, event.state)?,
            (Event::Validated(event), Some(asset), _) => {
                let row = params![asset, event.validator.0.0];
                self.execute("INSERT OR IGNORE INTO validators VALUES (?, ?)", row)?;
            }
            (Event::Uri(event), Some(asset), _) => {
                self.execute("UPDATE assets SET uri = ? WHERE id = ?", params![cut(&event.tokenURI, NAME), asset])?;
            }
            (Event::Transferred(event), Some(asset), _) => {
                self.execute("UPDATE assets SET owner = ? WHERE id = ?", params![event.to.0.0, asset])?;
                self.changed.insert(asset);
            }
            (Event::Ordered, _, Some((asset, datatoken))) => {
                self.execute("UPDATE standing SET orders = orders + 1 WHERE id = ?", [asset])?;
                self.execute("UPDATE datatokens SET orders = orders + 1 WHERE id = ?", [datatoken])?;
            }
            // An asset that emits what datatokens do, or the other way round, is none that the factory makes.
            _ => {}
        }
        Ok(())
    }

    fn new_asset(&mut self, event: &NFTCreated, logged: &Logged) -> Result<(), SearchError> {
        let nft = event.newTokenAddress;
        let (number, time) = (logged.number.cast_signed(), logged.time.cast_signed());
        let row = params![
            nft.0.0,
            identity(nft, self.chain_id).0,
            event.admin.0.0,
            event.creator.0.0,
            cut(&event.tokenName, NAME),
            cut(&event.symbol, NAME),
            cut(&event.tokenURI, NAME),
            number,
            time,
            logged.transaction.0
        ];
        let sql = "INSERT INTO assets (nft, did, owner, creator, name, symbol, uri, number, time, tx)
                   VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
        self.execute(sql, row)?;
        let asset = self.transaction.last_insert_rowid();
        self.execute("INSERT INTO standing VALUES (?, 0, 0, ?, NULL, NULL)", params![asset, number])?;
        self.changed.insert(asset);
        Ok(())
    }

    fn new_datatoken(&mut self, event: &TokenCreated) -> Result<(), SearchError> {
        let Some(asset) = self.asset(event.creator)? else { return Ok(()) };
        let row = params![asset, event.newTokenAddress.0.0, cut(&event.name, NAME), cut(&event.symbol, NAME)];
        self.execute("INSERT INTO datatokens (asset, address, name, symbol, orders) VALUES (?, ?, ?, ?, 0)", row)?;
        Ok(())
    }

    fn new_price(
        &mut self,
        (asset, datatoken): (i64, i64),
        exchange: Option<[u8; 32]>,
        token: Option<[u8; 20]>,
        amount: U256,
    ) -> Result<(), SearchError> {
        let row = params![asset, datatoken, exchange, token, Amount(amount)];
        let sql = "INSERT INTO prices (asset, datatoken, exchange, token, amount, active) VALUES (?, ?, ?, ?, ?, 1)";
        self.execute(sql, row)?;
        self.changed.insert(asset);
        Ok(())
    }

    fn price(&mut self, asset: i64, price: i64, what: &Priced) -> Result<(), SearchError> {
        match what {
            Priced::Costs(amount) => {
                self.execute("UPDATE prices SET amount = ? WHERE id = ?", params![Amount(*amount), price])?
            }
            Priced::Active(active) => {
                self.execute("UPDATE prices SET active = ? WHERE id = ?", params![active, price])?
            }
            Priced::Only(who) => {
                let who = (!who.is_zero()).then_some(who.0.0);
                self.execute("UPDATE prices SET swapper = ? WHERE id = ?", params![who, price])?
            }
        };
        self.changed.insert(asset);
        Ok(())
    }

    fn state(&mut self, asset: i64, state: u8) -> Result<(), SearchError> {
        self.execute("UPDATE standing SET state = ? WHERE id = ?", params![state, asset])?;
        self.changed.insert(asset);
        Ok(())
    }

    /// Writes by what changed assets are found, and what they say: once for each, however often it changed.
    fn finish(&mut self) -> Result<(), SearchError> {
        let mut said = std::mem::take(&mut self.said);
        // In order, as the full-text index likes it best.
        for asset in std::mem::take(&mut self.changed) {
            let summary = said.remove(&asset).map(|said| self.publish(asset, &said)).transpose()?;
            self.index(asset, summary)?;
        }
        Ok(())
    }

    /// Writes what an asset says of itself. Gives by what it is found then.
    fn publish(&self, asset: i64, said: &Said) -> Result<Summary, SearchError> {
        let Said { nft, number, time, transaction, event } = said;
        let hash = event.metaDataHash;
        let (sealed, why, summary) = match document::read(*nft, self.chain_id, &event.flags, &event.data, hash) {
            Reading::Read(_, summary) => (false, None, Some(*summary)),
            Reading::Sealed => (true, None, None),
            Reading::Bad(why) => (false, Some(why), None),
        };
        // As it came: packed, a megabyte may cost its publisher a few hundred bytes, and so it does here.
        let packed = Flags::read(&event.flags).is_ok_and(|flags| flags.packed);
        let document = summary.is_some().then_some(&event.data[..]);
        let row = params![
            asset,
            event.updatedBy.0.0,
            cut(&event.decryptorUrl, NAME),
            hash.0,
            number.cast_signed(),
            time.cast_signed(),
            transaction.0,
            sealed,
            why,
            packed,
            document
        ];
        self.execute("INSERT OR REPLACE INTO metadata VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)?;
        summary.map_or_else(|| self.token(asset), Ok)
    }

    /// What the ledger says of an asset's token: by that it is found when it says nothing that can be read.
    fn token(&self, asset: i64) -> Result<Summary, SearchError> {
        let mut statement = self.transaction.prepare_cached("SELECT name, symbol FROM assets WHERE id = ?")?;
        let (name, description) = statement.query_one([asset], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(Summary { name, description, ..Summary::default() })
    }

    /// Writes an asset's words, marks and lowest price, as they follow from its rows and from what it says. If it has said nothing
    /// since they were written last, they are those that it had, but for what the ledger says of it.
    fn index(&self, asset: i64, said: Option<Summary>) -> Result<(), SearchError> {
        let mut statement = self.transaction.prepare_cached("SELECT c0 FROM search_content WHERE id = ?")?;
        let before: Option<String> = statement.query_one([asset], |row| row.get(0)).optional()?;
        let (texts, mut marks) = match (said, before.as_deref().and_then(|text| text.rsplit_once(PARTS))) {
            (None, Some((texts, marks))) => {
                let own = marks.split(' ').filter(|mark| !Mark::is_ledgers(mark));
                (texts.to_owned(), own.map(str::to_owned).collect())
            }
            (said, _) => {
                let summary = said.map_or_else(|| self.token(asset), Ok)?;
                self.execute("UPDATE standing SET kind = ? WHERE id = ?", params![kept_kind(&summary.kind), asset])?;
                told(&summary)
            }
        };
        let mut mark = |mark: Mark<'_>| marks.extend(mark.text());
        let sql = "SELECT owner, state FROM assets JOIN standing ON standing.id = assets.id WHERE assets.id = ?";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let (owner, state): ([u8; 20], u8) = statement.query_one([asset], |row| Ok((row.get(0)?, row.get(1)?)))?;
        mark(Mark::Owner(owner.into()));
        if state != 0 {
            mark(Mark::State(state));
        }
        let sql =
            "SELECT token, amount FROM prices WHERE asset = ? AND active AND swapper IS NULL ORDER BY datatoken, id";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut prices = statement.query([asset])?;
        let (mut lowest, mut tokens) = (None::<Amount>, BTreeSet::new());
        while let Some(price) = prices.next()? {
            match price.get::<_, Option<[u8; 20]>>(0)? {
                Some(token) if tokens.len() < MOST_TOKENS && tokens.insert(token) => mark(Mark::Token(token.into())),
                Some(_) => {}
                None => mark(Mark::Free),
            }
            let amount = price.get::<_, Amount>(1)?;
            price_marks(amount.0).into_iter().for_each(&mut mark);
            lowest = Some(lowest.map_or(amount, |lowest| lowest.min(amount)));
        }
        let sql = "UPDATE standing SET price = ?1 WHERE id = ?2 AND price IS NOT ?1";
        self.execute(sql, params![lowest, asset])?;
        let text = format!("{texts}{PARTS}{}", marks.into_iter().collect::<Vec<_>>().join(" "));
        match before {
            Some(before) if before == text => {}
            Some(_) => {
                self.execute("UPDATE search SET words = ? WHERE rowid = ?", params![text, asset])?;
            }
            None => {
                self.execute("INSERT INTO search (rowid, words) VALUES (?, ?)", params![asset, text])?;
            }
        }
        Ok(())
    }
}

/// The words of what an asset says of itself, part by part, and the marks of that.
fn told(summary: &Summary) -> (String, BTreeSet<String>) {
    let mut marks = BTreeSet::new();
    let mut mark = |mark: Mark<'_>| marks.extend(mark.text());
    mark(Mark::Kind(&summary.kind));
    words(&summary.name).iter().for_each(|word| mark(Mark::Name(word)));
    summary.tags.iter().for_each(|tag| mark(Mark::Tag(tag)));
    summary.services.iter().for_each(|kind| mark(Mark::Service(kind)));
    let (mut columns, mut room) = (Vec::new(), MOST_COLUMNS);
    for Column { name, kind } in &summary.columns {
        let typed = (!kind.is_empty()).then(|| Mark::TypedColumn(name, kind).text()).flatten();
        let (words, own) = (spaced(name), [Mark::Column(name).text(), typed]);
        let bytes = words.len() + own.iter().flatten().map(String::len).sum::<usize>();
        let Some(left) = room.checked_sub(bytes) else { break };
        room = left;
        columns.push(words);
        marks.extend(own.into_iter().flatten());
    }
    let texts = [
        spaced(&summary.name),
        spaced(&summary.tags.join(" ")),
        columns.join(" "),
        spaced(&format!("{} {}", summary.description, summary.author)),
    ];
    (texts.join(&PARTS.to_string()), marks)
}

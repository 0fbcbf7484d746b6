//! Taking in what happened.

use super::{
    document::{self, NAME, Reading, Summary, cut},
    event::{CONTRACTS, Event, Logged, Priced},
    index::{Amount, Cursor, Index, SearchError, cursor},
    query::kept_kind,
    words::{Mark, price_marks, spaced, words},
};
use crate::{
    ddo::identity,
    market::abi::IFactory::{NFTCreated, TokenCreated},
};
use alloy_primitives::{Address, U256};
use rusqlite::{OptionalExtension as _, Transaction, TransactionBehavior, params};
use std::collections::BTreeSet;

/// Between an asset's name, tags, columns, description and marks in the full-text index. No word has it.
pub(super) const PARTS: char = '\n';

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
        let mut writer = Writer { transaction: &transaction, chain_id, changed: BTreeSet::new() };
        for logged in logs.iter().filter(|logged| (next..=to.number).contains(&logged.number)) {
            writer.take(logged)?;
        }
        // In order, as the full-text index likes it best.
        for asset in std::mem::take(&mut writer.changed) {
            writer.index(asset)?;
        }
        let row = params![to.number.cast_signed(), to.hash.0];
        transaction.execute("UPDATE progress SET number = ?, hash = ?", row)?;
        transaction.commit()?;
        Ok(())
    }
}

struct Writer<'a> {
    transaction: &'a Transaction<'a>,
    chain_id: u64,
    /// Assets of which words or marks may be others now.
    changed: BTreeSet<i64>,
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
                let sql = "SELECT id FROM prices WHERE asset = ? AND datatoken = ? AND exchange IS NULL";
                let mut statement = self.transaction.prepare_cached(sql)?;
                if let Some(price) = statement.query_one([asset, datatoken], |row| row.get(0)).optional()? {
                    self.price(asset, price, &what)?;
                }
            }
            (Event::Metadata(event), Some(asset), _) => {
                let hash = event.metaDataHash;
                let read = document::read(address, self.chain_id, &event.flags, &event.data, hash);
                let (sealed, why, text) = match read {
                    Reading::Read(text, _) => (false, None, Some(text)),
                    Reading::Sealed => (true, None, None),
                    Reading::Bad(why) => (false, Some(why), None),
                };
                let (number, time) = (logged.number.cast_signed(), logged.time.cast_signed());
                let by = event.updatedBy.0.0;
                let row = params![
                    asset,
                    by,
                    cut(&event.decryptorUrl, NAME),
                    hash.0,
                    number,
                    time,
                    logged.transaction.0,
                    sealed,
                    why,
                    text
                ];
                self.execute("INSERT OR REPLACE INTO metadata VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", row)?;
                self.execute("DELETE FROM validators WHERE asset = ?", [asset])?;
                self.execute("UPDATE standing SET changed = ? WHERE id = ?", params![number, asset])?;
                self.state(asset, event.state)?;
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
        self.priced(asset)
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
        self.priced(asset)
    }

    /// Prices of an asset are others now.
    fn priced(&mut self, asset: i64) -> Result<(), SearchError> {
        let lowest = "UPDATE standing SET price =
            (SELECT min(amount) FROM prices WHERE asset = ?1 AND active AND swapper IS NULL) WHERE id = ?1";
        self.execute(lowest, [asset])?;
        self.changed.insert(asset);
        Ok(())
    }

    fn state(&mut self, asset: i64, state: u8) -> Result<(), SearchError> {
        self.execute("UPDATE standing SET state = ? WHERE id = ?", params![state, asset])?;
        self.changed.insert(asset);
        Ok(())
    }

    /// Writes an asset's words and marks, as they follow from its rows.
    fn index(&self, asset: i64) -> Result<(), SearchError> {
        let sql = "SELECT owner, assets.name, symbol, state, document FROM assets
                   JOIN standing ON standing.id = assets.id LEFT JOIN metadata ON asset = assets.id WHERE assets.id = ?";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let row = |row: &rusqlite::Row<'_>| {
            let owner: [u8; 20] = row.get(0)?;
            Ok((owner, row.get::<_, String>(1)?, row.get::<_, String>(2)?, row.get::<_, u8>(3)?, row.get(4)?))
        };
        let (owner, name, symbol, state, document): (_, _, _, _, Option<String>) = statement.query_one([asset], row)?;
        // What cannot be read is found by what the ledger says of its token.
        let summary = match document {
            Some(text) => {
                let document = serde_json::from_str(&text).map_err(|error| SearchError::Damaged(error.to_string()))?;
                Summary::of(&document)
            }
            None => Summary { name, description: symbol, ..Summary::default() },
        };
        let mut marks = BTreeSet::new();
        let mut mark = |mark: Mark<'_>| marks.extend(mark.text());
        mark(Mark::Owner(owner.into()));
        self.execute("UPDATE standing SET kind = ? WHERE id = ?", params![kept_kind(&summary.kind), asset])?;
        mark(Mark::Kind(&summary.kind));
        if state != 0 {
            mark(Mark::State(state));
        }
        words(&summary.name).iter().for_each(|word| mark(Mark::Name(word)));
        summary.tags.iter().for_each(|tag| mark(Mark::Tag(tag)));
        summary.services.iter().for_each(|kind| mark(Mark::Service(kind)));
        for column in &summary.columns {
            mark(Mark::Column(&column.name));
            if !column.kind.is_empty() {
                mark(Mark::TypedColumn(&column.name, &column.kind));
            }
        }
        let sql = "SELECT token, amount FROM prices WHERE asset = ? AND active AND swapper IS NULL";
        let mut statement = self.transaction.prepare_cached(sql)?;
        let mut prices = statement.query([asset])?;
        while let Some(price) = prices.next()? {
            match price.get::<_, Option<[u8; 20]>>(0)? {
                Some(token) => mark(Mark::Token(token.into())),
                None => mark(Mark::Free),
            }
            price_marks(price.get::<_, Amount>(1)?.0).into_iter().for_each(&mut mark);
        }
        let columns: Vec<_> = summary.columns.iter().map(|column| spaced(&column.name)).collect();
        let text = [
            spaced(&summary.name),
            spaced(&summary.tags.join(" ")),
            columns.join(" "),
            spaced(&format!("{} {}", summary.description, summary.author)),
            marks.into_iter().collect::<Vec<_>>().join(" "),
        ];
        let text = text.join(&PARTS.to_string());
        if self.execute("UPDATE search SET words = ? WHERE rowid = ?", params![text, asset])? == 0 {
            self.execute("INSERT INTO search (rowid, words) VALUES (?, ?)", params![asset, text])?;
        }
        Ok(())
    }
}

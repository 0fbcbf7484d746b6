//! Who paid in the tour, who was paid, and for what: counted from every block, and held against the balances that the ledger has.

use super::balance_at;
use alloy_primitives::{Address, B256, Log, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use alloy_sol_types::SolEvent as _;
use eyre::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use stoa_client::{Client, coins, decimal};
use stoa_contract::interfaces::IERC20::Transfer;
use stoa_data::{
    jobs::{
        COIN,
        abi::{
            IJobs::{Bonded, JobChecked, JobExpired, JobFinished, JobStarted, Offered},
            JOBS,
        },
    },
    market::abi::FIXED_RATE,
};

/// How many blocks are asked for at once.
const AT_ONCE: usize = 8;

/// What coins move for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum What {
    /// Datatokens, which give leave to compute.
    Access,
    /// What each job costs that begins.
    Jobs,
    /// What jobs cost by the step.
    Steps,
    /// What a bond pays to whoever runs a job again.
    Checks,
    /// Into a bond, or back.
    Bond,
    /// Into the accounts of one's own nodes.
    Nodes,
    /// To and from others.
    Other,
    /// The fees of transactions.
    Gas,
}

impl What {
    const fn words(self) -> &'static str {
        match self {
            Self::Access => "for leave to compute",
            Self::Jobs => "for computing by the job",
            Self::Steps => "for computing by the step",
            Self::Checks => "for the check of a receipt (from the bond)",
            Self::Bond => "into the bond",
            Self::Nodes => "into its nodes' accounts",
            Self::Other => "to or from others",
            Self::Gas => "for gas",
        }
    }
}

/// How many coins came to an account, and how many went, in wei.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Moved {
    got: U256,
    paid: U256,
}

impl Moved {
    /// What it comes to: one of both is zero.
    fn net(self) -> Self {
        Self { got: self.got.saturating_sub(self.paid), paid: self.paid.saturating_sub(self.got) }
    }

    /// For people, with a sign.
    fn words(self) -> String {
        let Self { got, paid } = self.net();
        if paid.is_zero() { format!("+{}", decimal(got, 18)) } else { format!("-{}", decimal(paid, 18)) }
    }
}

/// Of each account, what came and went for what.
type Moves = BTreeMap<Address, BTreeMap<What, Moved>>;

/// An account whose coins are told of.
pub(super) struct Party {
    pub(super) name: String,
    pub(super) account: Address,
    /// What it had before the first block that is counted.
    pub(super) before: U256,
    /// What of the bonds that it put up is still there.
    pub(super) bond: U256,
    /// The accounts of its nodes.
    pub(super) nodes: Vec<Address>,
}

/// What became of an account's coins, in wei.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Statement {
    pub(super) name: String,
    account: Address,
    before: U256,
    /// What came or went, by what for.
    moved: BTreeMap<What, Moved>,
    after: U256,
    /// What of its bonds is there, and its own.
    bond: U256,
    /// What its nodes have.
    nodes: U256,
}

impl Statement {
    /// # Errors
    ///
    /// If what moved does not lead from what it had to what it has.
    fn new(party: Party, moved: BTreeMap<What, Moved>, after: U256, nodes: U256) -> Result<Self> {
        let Party { name, account, before, bond, .. } = party;
        let moved = moved.into_iter().map(|(what, moved)| (what, moved.net()));
        let moved = moved.filter(|(_, moved)| *moved != Moved::default()).collect();
        let statement = Self { name, account, before, moved, after, bond, nodes };
        let (got, paid) = statement.sum(|_| true);
        ensure!(
            before + got == after + paid,
            "the blocks do not say how {} came from {} to {}: {} came and {} went",
            statement.name,
            coins(before),
            coins(after),
            coins(got),
            coins(paid)
        );
        Ok(statement)
    }

    /// What came and what went for some of it.
    fn sum(&self, of: impl Fn(What) -> bool) -> (U256, U256) {
        let moved = self.moved.iter().filter(|(what, _)| of(**what)).map(|(_, moved)| moved);
        moved.fold((U256::ZERO, U256::ZERO), |(got, paid), moved| (got + moved.got, paid + moved.paid))
    }

    /// What moved, each with what for and how much.
    fn moves(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.moved.iter().map(|(what, moved)| (what.words(), moved.words()))
    }

    /// What is its own although it is not in its account, and how much.
    fn elsewhere(&self) -> impl Iterator<Item = (&'static str, U256)> {
        let places = [("in the bond", self.bond), ("in its nodes' accounts", self.nodes)];
        places.into_iter().filter(|(_, amount)| !amount.is_zero())
    }

    /// By how much it has more than before, or less, what is elsewhere and its own included.
    fn gained(&self) -> String {
        Moved { got: self.after + self.bond + self.nodes, paid: self.before }.words()
    }

    /// For a terminal.
    pub(super) fn lines(&self) -> Vec<String> {
        let [before, after] = [self.before, self.after].map(|amount| decimal(amount, 18));
        let elsewhere = self.elsewhere().map(|(place, amount)| format!("{} {place}", decimal(amount, 18)));
        let elsewhere = elsewhere.collect::<Vec<_>>().join(" and ");
        let own = (!elsewhere.is_empty()).then(|| format!("still its own: {elsewhere}"));
        let mut lines = vec![format!("  {}: {before} before, {after} after", self.name)];
        lines.extend(wrapped(self.moves().map(|(what, amount)| format!("{amount} {what}"))));
        lines.extend(wrapped(own.into_iter().chain([format!("in all {}", self.gained())])));
        lines
    }

    /// For a page: what is in each row, and how much, all of the same number of letters after the point.
    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let plain = |amount| decimal(amount, 18);
        let mut rows = vec![("before".to_owned(), plain(self.before))];
        rows.extend(self.moves().map(|(what, amount)| (what.to_owned(), amount)));
        rows.push(("after".to_owned(), plain(self.after)));
        rows.extend(self.elsewhere().map(|(place, amount)| (format!("still its own, {place}"), plain(amount))));
        rows.push(("in all".to_owned(), self.gained()));
        rows.into_iter().map(|(what, amount)| (what, aligned(&amount))).collect()
    }
}

/// What all together paid for data and for computing on them, and what they got.
pub(super) fn for_data(statements: &[Statement]) -> (U256, U256) {
    let for_data = |what| matches!(what, What::Access | What::Jobs | What::Steps);
    let sums = statements.iter().map(|statement| statement.sum(for_data));
    sums.fold((U256::ZERO, U256::ZERO), |(paid, got), (came, went)| (paid + went, got + came))
}

/// Parts of a sentence in lines that fit a terminal.
fn wrapped(parts: impl IntoIterator<Item = String>) -> Vec<String> {
    const WIDTH: usize = 104;
    let mut lines = Vec::<String>::new();
    for part in parts {
        match lines.last_mut() {
            Some(line) if line.len() + part.len() < WIDTH => *line += &format!(", {part}"),
            Some(line) => {
                line.push(',');
                lines.push(format!("    {part}"));
            }
            None => lines.push(format!("    {part}")),
        }
    }
    lines
}

/// With blanks after it, so that points are below each other where all end at the same place.
fn aligned(amount: &str) -> String {
    let (whole, part) = amount.split_once('.').unwrap_or((amount, ""));
    let point = if part.is_empty() { ' ' } else { '.' };
    format!("{whole}{point}{part:<18}")
}

/// What became of these accounts' coins in the blocks after `first` and up to `last`.
///
/// # Errors
///
/// If the ledger cannot be asked, or its blocks do not say where the coins of one have come from or gone.
pub(super) async fn statements(client: &Client, first: u64, last: u64, parties: Vec<Party>) -> Result<Vec<Statement>> {
    let nodes = parties.iter().flat_map(|party| party.nodes.iter().copied()).collect();
    let mut count = Count { nodes, ..Count::default() };
    let mut blocks = stream::iter(first + 1..=last).map(|number| read(client, number)).buffered(AT_ONCE);
    while let Some(block) = blocks.try_next().await? {
        block.iter().for_each(|transaction| count.transaction(transaction));
    }
    let mut statements = Vec::new();
    for party in parties {
        let mut nodes = U256::ZERO;
        for node in &party.nodes {
            nodes += balance_at(client, *node, last).await?;
        }
        let moved = count.moves.remove(&party.account).unwrap_or_default();
        let after = balance_at(client, party.account, last).await?;
        statements.push(Statement::new(party, moved, after, nodes)?);
    }
    Ok(statements)
}

/// A transaction, as far as it moves coins.
struct Transaction {
    from: Address,
    to: Option<Address>,
    value: U256,
    fee: U256,
    /// Whether it was not reverted: the fee is paid either way.
    done: bool,
    events: Vec<Log>,
}

/// The transactions of a block.
async fn read(client: &Client, number: u64) -> Result<Vec<Transaction>> {
    #[derive(Deserialize)]
    struct Block {
        transactions: Vec<Sent>,
    }
    #[derive(Deserialize)]
    struct Sent {
        value: U256,
    }
    let id = format!("{number:#x}");
    let block: Block = client.call("eth_getBlockByNumber", (&id, true)).await?;
    let receipts: Vec<TransactionReceipt> = client.call("eth_getBlockReceipts", (&id,)).await?;
    ensure!(receipts.len() == block.transactions.len(), "block {number} has not one receipt for each transaction");
    let both = block.transactions.into_iter().zip(receipts);
    let transaction = |(sent, receipt): (Sent, TransactionReceipt)| Transaction {
        from: receipt.from,
        to: receipt.to,
        value: sent.value,
        fee: U256::from(receipt.gas_used) * U256::from(receipt.effective_gas_price),
        done: receipt.status(),
        events: receipt.inner.logs().iter().map(|log| log.inner.clone()).collect(),
    };
    Ok(both.map(transaction).collect())
}

/// What the contract of jobs moves coins for in a transaction, by what else it says there.
fn reason(event: &Log) -> Option<What> {
    let signature = *event.topics().first()?;
    let jobs = [JobStarted::SIGNATURE_HASH, JobFinished::SIGNATURE_HASH, JobExpired::SIGNATURE_HASH];
    match signature {
        _ if jobs.contains(&signature) => Some(What::Steps),
        _ if signature == JobChecked::SIGNATURE_HASH => Some(What::Checks),
        _ if signature == Bonded::SIGNATURE_HASH => Some(What::Bond),
        _ => None,
    }
}

/// Counts what moves.
#[derive(Default)]
struct Count {
    moves: Moves,
    /// Accounts of nodes.
    nodes: BTreeSet<Address>,
    /// Who is paid under each offer, and how much for each job that begins.
    offers: BTreeMap<(B256, u32), (Address, U256)>,
    /// The same of each job.
    jobs: BTreeMap<B256, (Address, U256)>,
}

impl Count {
    fn of(&mut self, account: Address, what: What) -> &mut Moved {
        self.moves.entry(account).or_default().entry(what).or_default()
    }

    fn pass(&mut self, from: Address, to: Address, what: What, amount: U256) {
        if !amount.is_zero() {
            self.of(from, what).paid += amount;
            self.of(to, what).got += amount;
        }
    }

    fn transaction(&mut self, is: &Transaction) {
        self.of(is.from, What::Gas).paid += is.fee;
        if !is.done {
            return;
        }
        if let Some(to) = is.to {
            let what = if self.nodes.contains(&to) { What::Nodes } else { What::Other };
            self.pass(is.from, to, what, is.value);
        }
        let of_jobs = || is.events.iter().filter(|event| event.address == JOBS);
        let why = of_jobs().find_map(reason).unwrap_or(What::Other);
        let transfers = is.events.iter().filter(|event| event.address == COIN);
        for moved in transfers.filter_map(|event| Transfer::decode_log(event).ok()) {
            let with = |contract| moved.from == contract || moved.to == contract;
            let what = if with(JOBS) {
                why
            } else if with(FIXED_RATE) {
                What::Access
            } else {
                What::Other
            };
            self.pass(moved.from, moved.to, what, moved.value);
        }
        of_jobs().for_each(|event| self.job(event));
    }

    /// Tells what a job cost to begin apart from what its steps cost, which its contract pays at once.
    fn job(&mut self, event: &Log) {
        if let Ok(offered) = Offered::decode_log(event) {
            let offer = &offered.offer;
            if offer.token == COIN {
                self.offers.insert((offered.asset, offered.number), (offer.payTo, offer.base));
            }
        } else if let Ok(started) = JobStarted::decode_log(event) {
            if let Some(offer) = self.offers.get(&(started.asset, started.offer)) {
                self.jobs.insert(started.job, *offer);
            }
        } else if let Ok(finished) = JobFinished::decode_log(event)
            && let Some((owner, base)) = self.jobs.get(&finished.job).copied()
        {
            let base = base.min(finished.paid);
            self.pass(owner, finished.buyer, What::Steps, base);
            self.pass(finished.buyer, owner, What::Jobs, base);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoa_data::jobs::abi::IJobs::{Offer, Receipt};

    const BUYER: Address = Address::repeat_byte(1);
    const OWNER: Address = Address::repeat_byte(2);
    const NODE: Address = Address::repeat_byte(3);
    const ASSET: B256 = B256::repeat_byte(4);
    const JOB: B256 = B256::repeat_byte(5);

    fn units(amount: u64) -> U256 {
        U256::from(amount)
    }

    fn event(address: Address, event: &impl alloy_sol_types::SolEvent) -> Log {
        Log { address, data: event.encode_log_data() }
    }

    fn moves(from: Address, to: Address, value: u64) -> Log {
        event(COIN, &Transfer { from, to, value: units(value) })
    }

    fn of(from: Address, events: Vec<Log>) -> Transaction {
        Transaction { from, to: None, value: U256::ZERO, fee: units(1), done: true, events }
    }

    /// A job of which the buyer pays 17 of 50, on data whose owner has put up a bond, after he bought leave.
    fn count() -> Count {
        let offer = Offer { token: COIN, payTo: OWNER, base: units(10), ..Offer::default() };
        let offered = Offered { asset: ASSET, node: B256::ZERO, number: 1, offer };
        let started = JobStarted {
            job: JOB,
            asset: ASSET,
            buyer: BUYER,
            grant: B256::ZERO,
            algorithm: B256::ZERO,
            offer: 1,
            runtime: 1,
            fuel: 9,
            locked: units(50),
            order: B256::ZERO,
        };
        let receipt = Receipt::default();
        let (paid, refunded) = (units(17), units(33));
        let finished = JobFinished { job: JOB, asset: ASSET, buyer: BUYER, receipt, paid, refunded };
        let bonded = Bonded { asset: ASSET, token: COIN, bond: units(100) };
        let checked = JobChecked { job: JOB, state: 3, verdict: B256::ZERO, slashed: U256::ZERO };
        let mut count = Count { nodes: [NODE].into(), ..Count::default() };
        for transaction in [
            Transaction { to: Some(NODE), value: units(20), ..of(OWNER, Vec::new()) },
            of(OWNER, vec![event(JOBS, &offered)]),
            of(OWNER, vec![moves(OWNER, JOBS, 100), event(JOBS, &bonded)]),
            of(BUYER, vec![moves(BUYER, FIXED_RATE, 200)]),
            of(OWNER, vec![moves(FIXED_RATE, OWNER, 200)]),
            of(BUYER, vec![moves(BUYER, JOBS, 50), event(JOBS, &started)]),
            of(NODE, vec![moves(JOBS, OWNER, 17), moves(JOBS, BUYER, 33), event(JOBS, &finished)]),
            of(NODE, vec![moves(JOBS, OWNER, 4), event(JOBS, &checked)]),
            // It was reverted: no coin moves but the fee.
            Transaction { to: Some(OWNER), value: units(1000), done: false, ..of(BUYER, Vec::new()) },
        ] {
            count.transaction(&transaction);
        }
        count
    }

    fn statement(name: &str, account: Address, after: u64, bond: u64, nodes: u64) -> Result<Statement> {
        let party = Party { name: name.into(), account, before: units(1000), bond: units(bond), nodes: Vec::new() };
        Statement::new(party, count().moves[&account].clone(), units(after), units(nodes))
    }

    #[test]
    fn what_came_and_went_is_told_by_what_for_and_comes_to_the_balance_to_the_last_unit() {
        use What::{Access, Bond, Checks, Gas, Jobs, Nodes, Steps};
        let buyer = statement("buyer", BUYER, 1000 - 200 - 10 - 7 - 3, 0, 0).unwrap();
        let owner = statement("owner", OWNER, 1000 + 200 + 10 + 7 + 4 - 100 - 20 - 4, 96, 18).unwrap();
        let paid = |paid| Moved { got: U256::ZERO, paid: units(paid) };
        let got = |got| Moved { got: units(got), paid: U256::ZERO };
        assert_eq!(buyer.moved, [(Access, paid(200)), (Jobs, paid(10)), (Steps, paid(7)), (Gas, paid(3))].into());
        let of_owner = [(Access, got(200)), (Jobs, got(10)), (Steps, got(7)), (Checks, got(4))];
        let put = [(Bond, paid(100)), (Nodes, paid(20)), (Gas, paid(4))];
        assert_eq!(owner.moved, of_owner.into_iter().chain(put).collect());
        assert_eq!(for_data(&[buyer, owner.clone()]), (units(217), units(217)));
        // What is in the bond and with the nodes is no loss.
        assert_eq!(owner.gained(), format!("+{}", decimal(units(200 + 10 + 7 - 4 + 4 - 4 - 2), 18)));
    }

    #[test]
    fn a_balance_that_the_blocks_do_not_explain_is_an_error() {
        let why = statement("buyer", BUYER, 781, 0, 0).unwrap_err().to_string();
        assert!(why.contains("do not say how buyer came from"), "{why}");
    }

    #[test]
    fn a_statement_fits_a_terminal_and_has_its_points_below_each_other() {
        let owner = statement("owner", OWNER, 1097, 96, 18).unwrap();
        let lines = owner.lines();
        assert!(lines.iter().all(|line| line.len() < 110), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("still its own: 0.0")), "{lines:?}");
        let buyer = statement("buyer", BUYER, 780, 0, 0).unwrap().lines();
        assert!(buyer.last().is_some_and(|line| line.ends_with("in all -0.00000000000000022")), "{buyer:?}");
        let rows = owner.rows();
        assert!(rows.iter().all(|(_, amount)| amount.len() - amount.find('.').unwrap() == 19), "{rows:?}");
        assert_eq!([aligned("-2"), aligned("0.5")], [format!("-2{:19}", ""), format!("0.5{:17}", "")]);
    }
}

//! An audit as one page: the graph of what led to the receipt, each step, and the evidence. It fetches nothing and runs nothing.

use super::{Audit, Place, SCRIPT, Step, shown, steps};
use crate::{
    jobs::{
        abi::{CONFIRMED, FALSE, SUCCEEDED, WASM},
        units,
    },
    record::iso_8601,
};
use alloy_primitives::{Address, B256};
use std::fmt::{Display, Write as _};
use stoa_client::counted;

/// A box of the graph.
struct Node {
    x: u32,
    y: u32,
    title: &'static str,
    lines: Vec<String>,
    /// The step whose outcome it shows.
    step: &'static str,
}

const WIDTH: u32 = 290;
const HEIGHT: u32 = 96;

/// Where the columns and rows of the graph begin.
const COLUMNS: [u32; 3] = [10, 365, 720];
const ROWS: [u32; 5] = [10, 150, 290, 430, 570];

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2024; --dim: #60666c; --line: #b9bec4; --card: #fff; --back: #f6f7f8; --good: #18794e; --bad: #c62a2f; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --dim: #a0a6ac; --line: #43484e; --card: #1d2023; --back: #141618; --good: #4cc38a; --bad: #ff6369; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 36px 0 10px; }
p { margin: 6px 0; } .dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); }
code { font: 13px/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; background: var(--card); }
td, th { text-align: left; vertical-align: top; padding: 8px 10px; border: 1px solid var(--line); overflow-wrap: anywhere; }
th { width: 110px; font-weight: 600; } td.mark { width: 70px; font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .title { font-weight: 600; font-size: 14px; } svg .small { fill: var(--dim); font: 12px ui-monospace, monospace; }
svg rect { fill: var(--card); stroke-width: 1.5; } svg path { fill: none; stroke: var(--dim); stroke-width: 1.3; }
svg .label { fill: var(--dim); font-size: 12px; }
pre { background: var(--card); border: 1px solid var(--line); padding: 10px; white-space: pre-wrap; overflow-wrap: anywhere; }
";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A hash of what there was in a job's rounds; zero says that there was none.
fn of_rounds(hash: Option<B256>) -> String {
    match hash {
        Some(hash) if hash.is_zero() => "none".to_owned(),
        Some(hash) => format!("hash {}", short(hash)),
        None => "hash not shown".to_owned(),
    }
}

/// The beginning and end of a hash.
fn short(hash: impl Display) -> String {
    let text = hash.to_string();
    match (text.get(..10), text.get(text.len().saturating_sub(6)..)) {
        (Some(head), Some(tail)) if text.len() > 18 => format!("{head}…{tail}"),
        _ => text,
    }
}

fn account(address: Address) -> String {
    short(address)
}

impl Audit {
    fn outcome(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// What left, and how the job ended if not well.
    fn output(&self) -> Vec<String> {
        let receipt = self.finished.as_ref().map(|found| &found.event.receipt);
        let mut lines = vec![of_rounds(receipt.map(|receipt| receipt.output))];
        let amiss = receipt.filter(|receipt| receipt.ended != SUCCEEDED);
        lines.extend(amiss.and_then(steps::ended).map(|how| format!("the job {how}")));
        lines
    }

    /// What came of a check, so far as the evidence shows.
    fn verdict(&self) -> &'static str {
        let offered = self.offered.as_ref().map(|found| found.event.offer.checks.drawn);
        match self.checked.as_ref().map(|found| found.event.state) {
            Some(CONFIRMED) => "confirmed by another run",
            Some(FALSE) => "found false by another run",
            Some(_) => "undecided",
            None if self.drawn.is_some() => "drawn, and no verdict shown",
            None if self.spared.is_some() => "nobody was drawn",
            None if offered == Some(0) => "none offered",
            None => "not shown",
        }
    }

    /// The boxes of the graph, in the order of [`EDGES`]' numbers.
    fn nodes(&self) -> Vec<Node> {
        let hash = |hash: Option<B256>| hash.map_or_else(|| "not shown".to_owned(), short);
        let block = |at: Option<&Place>| at.map_or_else(String::new, |at| format!("block {}", at.block));
        let (started, finished) = (self.started.as_ref(), self.finished.as_ref());
        let (offered, granted) = (self.offered.as_ref(), self.granted.as_ref());
        let receipt = finished.map(|found| &found.event.receipt);
        let asset = self.registered.as_ref();
        let node = |column: usize, row: usize, title, step, lines: Vec<String>| Node {
            x: COLUMNS[column],
            y: ROWS[row],
            title,
            lines,
            step,
        };
        let offer = offered.map(|found| &found.event.offer);
        let purpose =
            granted.map(|found| found.event.terms.purpose.rsplit(['#', '/']).next().unwrap_or_default().to_owned());
        let paid = finished.zip(offer);
        let order = match (started.map(|found| found.event.order), &self.ordered) {
            (Some(order), Some(found)) => vec![
                block(Some(&found.at)),
                format!("{} paid", account(found.event.payer)),
                format!("order {}", short(order)),
            ],
            (Some(order), None) if order.is_zero() => vec!["none of a datatoken".to_owned()],
            _ => vec!["not shown".to_owned()],
        };
        let source = match &self.sources[..] {
            [] => vec!["not shown".to_owned()],
            [first, more @ ..] => vec![
                match self.end_of(first.event.asset) {
                    Some(end) => format!("block {}, withdrawn in {}", first.at.block, end.block),
                    None => block(Some(&first.at)),
                },
                format!("of {}", account(first.event.publisher)),
                match more.len() {
                    0 => format!("hash {}", short(first.event.source)),
                    more => format!("hash {}, and {more} more", short(first.event.source)),
                },
            ],
        };
        vec![
            node(
                1,
                0,
                "Network key",
                "blocks",
                vec![
                    short(&self.network_key),
                    format!("{} blocks are its network's", self.evidence.transactions.len()),
                ],
            ),
            node(
                0,
                1,
                "Data",
                "data",
                vec![
                    format!("of {}", asset.map_or_else(String::new, |found| account(found.event.owner))),
                    format!("asset {}", hash(asset.map(|found| found.event.asset))),
                    format!("hash {}", hash(receipt.map(|receipt| receipt.data))),
                ],
            ),
            node(
                0,
                2,
                "Offer",
                "offer",
                vec![
                    block(offered.map(|found| &found.at)),
                    format!("node {}", hash(offered.map(|found| found.event.node))),
                    format!("rules {}", hash(offer.map(|offer| offer.rules))),
                ],
            ),
            node(
                0,
                3,
                "Consent",
                "consent",
                vec![
                    block(granted.map(|found| &found.at)),
                    purpose.unwrap_or_default(),
                    format!("grant {}", hash(started.map(|found| found.event.grant))),
                ],
            ),
            node(
                1,
                2,
                "Job",
                "order",
                vec![
                    block(started.map(|found| &found.at)),
                    format!("buyer {}", started.map_or_else(String::new, |found| account(found.event.buyer))),
                    match started.map(|found| found.event.runtime) {
                        Some(WASM) => "WebAssembly, same bits anywhere".to_owned(),
                        Some(_) => "process".to_owned(),
                        None => String::new(),
                    },
                ],
            ),
            node(
                2,
                1,
                "Program",
                "program",
                vec![format!("BLAKE3 {}", hash(started.map(|found| found.event.algorithm)))],
            ),
            node(
                2,
                2,
                "Parameters",
                "parameters",
                vec![
                    of_rounds(receipt.map(|receipt| receipt.params)),
                    receipt.map_or_else(String::new, |receipt| counted(receipt.rounds.into(), "round")),
                ],
            ),
            node(
                1,
                3,
                "Receipt",
                "receipt",
                vec![
                    block(finished.map(|found| &found.at)),
                    receipt.map_or_else(String::new, |receipt| counted(receipt.fuel, "step")),
                    "signed by its node".into(),
                ],
            ),
            node(2, 3, "Output", "output", self.output()),
            node(
                1,
                4,
                "Check",
                "check",
                vec![self.verdict().into(), block(self.checked.as_ref().map(|found| &found.at))],
            ),
            node(
                2,
                4,
                "Payment",
                "payment",
                match paid {
                    Some((finished, offer)) => vec![
                        units(finished.event.paid, offer.token),
                        format!("to {}", account(offer.payTo)),
                        format!("{} back", units(finished.event.refunded, offer.token)),
                    ],
                    None => Vec::new(),
                },
            ),
            node(0, 4, "Order", "order", order),
            node(2, 0, "Source", "source", source),
        ]
    }

    fn graph(&self) -> String {
        let nodes = self.nodes();
        let mut svg = format!(
            r#"<svg viewBox="0 0 1020 {}" role="img" aria-label="What led to the receipt"><defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L8 4L0 8" /></marker></defs>"#,
            ROWS[4] + HEIGHT + 10
        );
        for (from, to, label) in EDGES {
            let (path, x, y) = edge(&nodes[from], &nodes[to]);
            let _ = write!(
                svg,
                r#"<path d="{path}" marker-end="url(#end)" /><text class="label" x="{x}" y="{y}">{label}</text>"#
            );
        }
        for Node { x, y, title, lines, step } in &nodes {
            let colour = match self.outcome(step) {
                Some(Step { holds: true, .. }) => "--good",
                Some(_) => "--bad",
                None => "--line",
            };
            let _ = write!(
                svg,
                r#"<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="8" style="stroke: var({colour})" />"#
            );
            let _ = write!(svg, r#"<text class="title" x="{}" y="{}">{title}</text>"#, x + 14, y + 24);
            let shown = lines.iter().filter(|line| !line.is_empty());
            for (line, number) in shown.zip(0u32..) {
                let _ = write!(
                    svg,
                    r#"<text class="small" x="{}" y="{}">{}</text>"#,
                    x + 14,
                    y + 45 + 18 * number,
                    escape(line)
                );
            }
        }
        svg + "</svg>"
    }

    /// The page. The evidence is in it, so that whoever gets it can check it: `stoa audit FILE --network-key KEY`.
    pub fn page(&self) -> String {
        let (class, verdict) = match self.holds() {
            true => ("good", "Every step holds."),
            false => ("bad", "Not every step holds."),
        };
        let (compared, proven): (Vec<_>, Vec<_>) = self.steps.iter().partition(|step| shown::is_compared(step));
        let (rows, also) = (table(&proven), shown::script(&compared));
        let compared = match &compared[..] {
            [] => String::new(),
            some => format!(
                "<h2>What whoever wrote this page has compared</h2>\n<p>With what he had himself: the evidence does not prove it.</p>\n\
                 <table>{}</table>\n",
                table(some)
            ),
        };
        let mut transactions = String::new();
        for proven in &self.evidence.transactions {
            let _ = write!(
                transactions,
                "<tr><th>block {}</th><td><code>{}</code></td></tr>",
                proven.proof.block_number, proven.transaction
            );
        }
        let when = self.finished.as_ref().map(|found| iso_8601(found.at.time)).unwrap_or_default();
        let (job, key) = (self.evidence.job, &self.network_key);
        let evidence = serde_json::to_string(&self.evidence).unwrap_or_default().replace('<', "\\u003c");
        format!(
            r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Audit of job {job}</title>
<style>{STYLE}</style></head><body><main>
<h1>What led to a receipt</h1>
<p class="dim">Job <code>{job}</code>, finished {when}</p>
<p class="{class}"><strong>{verdict}</strong></p>
{graph}
<h2>Each step</h2>
<table>{rows}</table>
{compared}<h2>Check it yourself</h2>
<p>This page holds the evidence: for each transaction the proof that a block holds it, and the signature of the network under that block.
Nobody has to be asked, and this page need not be believed: whether it shows what its evidence proves is compared as well.
What is not shown may have been left out of it, such as that others ran the job again and what they came to.</p>
<pre>stoa audit THIS-FILE --network-key {key}</pre>
<p>Everything rests on that key. Compare it with the one that people tell you whom you trust, and block 0 as well (<code>--genesis</code>).</p>
<h2>Transactions</h2>
<table>{transactions}</table>
</main>
{SCRIPT}{evidence}</script>
{also}
</body></html>
"#,
            graph = self.graph(),
        )
    }
}

/// Rows of a table of steps.
fn table(steps: &[&Step]) -> String {
    let mut rows = String::new();
    for Step { name, holds, found } in steps {
        let (class, mark) = if *holds { ("good", "holds") } else { ("bad", "fails") };
        let _ =
            write!(rows, r#"<tr><td class="mark {class}">{mark}</td><th>{name}</th><td>{}</td></tr>"#, escape(found));
    }
    rows
}

/// What leads to what, by the numbers of the boxes.
const EDGES: [(usize, usize, &str); 12] = [
    (0, 4, "signed the blocks"),
    (1, 4, ""),
    (2, 4, ""),
    (3, 4, ""),
    (5, 4, ""),
    (6, 4, ""),
    (4, 7, "signed by the node"),
    (7, 8, ""),
    (7, 9, "run again"),
    (7, 10, ""),
    (11, 4, ""),
    (12, 5, "is built to"),
];

/// A line from one box to another, and where its label is.
fn edge(from: &Node, to: &Node) -> (String, u32, u32) {
    let (middle, half) = (|node: &Node| node.x + WIDTH / 2, HEIGHT / 2);
    if from.x == to.x {
        let (x, y, end) = (middle(from), from.y + HEIGHT, to.y);
        return (format!("M{x} {y}L{x} {end}"), x + 10, (y + end) / 2 + 4);
    }
    let (x, end) = if from.x < to.x { (from.x + WIDTH, to.x) } else { (from.x, to.x + WIDTH) };
    // Lines that come in from above or below end there.
    let (y, to_y) = (from.y + half, to.y + half + (from.y / 12).min(36) - (to.y / 12).min(36).min(20));
    let bend = (x + end) / 2;
    (format!("M{x} {y}C{bend} {y} {bend} {to_y} {end} {to_y}"), bend, (y + to_y) / 2 - 8)
}

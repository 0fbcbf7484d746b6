//! The tour's report: one page with what was measured, drawn.

use super::money::{Statement, for_data};
use serde_json::Value;
use std::{f64::consts::LN_2, fmt::Write as _, fs, path::Path};
use stoa_client::coins;
use stoa_data::audit::Audit;

/// The page's file, and that of the audit.
pub(super) const PAGE: &str = "report.html";
pub(super) const AUDIT: &str = "audit.html";

/// What is drawn.
#[derive(Default)]
pub(super) struct Pictures {
    /// Who was how good: accuracy and AUC, from 0 to 1.
    pub(super) scores: Vec<(String, f64, f64)>,
    /// The mean log loss of each hospital's patients, round after round.
    pub(super) losses: Vec<(String, Vec<f64>)>,
    /// What became of everybody's coins.
    pub(super) money: Vec<Statement>,
    /// Where a receipt came from.
    pub(super) audit: Option<Audit>,
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1c2024; --dim: #60666c; --line: #d3d7db; --card: #fff; --back: #f6f7f8; --a: #0b68cb; --b: #9a6700; --c: #18794e; --d: #ad1a5f; }
@media (prefers-color-scheme: dark) { :root { --ink: #edeef0; --dim: #a0a6ac; --line: #3a3f44; --card: #1d2023; --back: #141618; --a: #70b8ff; --b: #ffca16; --c: #4cc38a; --d: #ff8dcc; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 17px; margin: 36px 0 8px; } p { margin: 6px 0; } .dim { color: var(--dim); }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--ink); font: 13px system-ui, sans-serif; } svg .dim { fill: var(--dim); font-size: 12px; }
svg.narrow { display: none; max-width: 480px; }
.bar { display: grid; grid-template-columns: 220px 1fr 140px; gap: 2px 12px; align-items: center; margin: 10px 0; }
.bar .length { height: 22px; border-radius: 4px; background: var(--a); } .bar .length.together { background: var(--c); }
table { border-collapse: collapse; width: 100%; background: var(--card); } caption { text-align: left; font-weight: 600; padding: 6px 0; }
td { text-align: left; padding: 7px 10px; border: 1px solid var(--line); overflow-wrap: break-word; } td.number { text-align: right; font-variant-numeric: tabular-nums; }
td.coins { width: 1%; text-align: right; white-space: pre; font: 12px/1.6 ui-monospace, monospace; }
.accounts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(360px, 100%), 1fr)); gap: 16px; align-items: start; overflow-x: auto; }
@media (max-width: 760px) {
  svg.wide { display: none; } svg.narrow { display: block; }
  .bar { grid-template-columns: 1fr 140px; } .bar .name { grid-column: 1 / -1; }
  td { padding: 6px 7px; }
}
";

/// The colours of the hospitals.
const COLOURS: [&str; 4] = ["--a", "--b", "--c", "--d"];

/// Bars, each with what it is and how long it is.
fn bars(scores: &[(String, f64, f64)]) -> String {
    let bar = |(name, accuracy, auc): &(String, f64, f64)| {
        let (percent, together) = (accuracy * 100.0, if name.contains("network") { " together" } else { "" });
        format!(
            r#"<div class="bar"><span class="name">{name}</span><div><div class="length{together}" style="width: {percent:.1}%"></div></div><span>{percent:.1} % <span class="dim">AUC {auc:.3}</span></span></div>"#
        )
    };
    scores.iter().map(bar).collect()
}

/// Even numbers from zero to this one or above, five or fewer steps apart, as they are written.
fn ticks(most: f64) -> Vec<(f64, String)> {
    let exponent = (most / 5.0).log10().floor();
    let power = 10_f64.powf(exponent);
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power * 5.0 >= most);
    let (step, exponent) = factor.map_or((10.0 * power, exponent + 1.0), |factor| (factor * power, exponent));
    let decimals = (-exponent).max(0.0) as usize;
    let tick = |number: u32| (f64::from(number) * step, format!("{:.decimals$}", f64::from(number) * step));
    (0..=(most / step).ceil() as u32).map(tick).collect()
}

/// How lines are laid out.
struct Layout {
    class: &'static str,
    width: f64,
    /// Where the lines end on the right.
    right: f64,
    /// Where the names of the lines begin.
    names: (f64, f64),
    height: f64,
}

/// With names beside the lines, and below them where there is little room.
const LAYOUTS: [Layout; 2] = [
    Layout { class: "wide", width: 820.0, right: 620.0, names: (645.0, 40.0), height: 316.0 },
    Layout { class: "narrow", width: 340.0, right: 330.0, names: (40.0, 338.0), height: 430.0 },
];

/// Where lines begin on the left, above and below.
const LEFT: f64 = 40.0;
const TOP: f64 = 32.0;
const BOTTOM: f64 = 264.0;

/// Lines over rounds, from zero.
fn lines(losses: &[(String, Vec<f64>)], layout: &Layout) -> String {
    let Layout { class, width, right, names, height } = layout;
    let most = losses.iter().flat_map(|(_, values)| values.iter().copied()).fold(0.0, f64::max);
    let rounds = losses.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    if rounds < 2 || most <= 0.0 || !most.is_finite() {
        return String::new();
    }
    let ticks = ticks(most);
    let top = ticks.last().map_or(most, |(value, _)| *value);
    let mut svg = format!(
        r#"<svg class="{class}" viewBox="0 0 {width} {height}" role="img" aria-label="Mean log loss after each round of training"><text class="dim" x="0" y="14">mean log loss</text>"#
    );
    let x = |round: usize| LEFT + round as f64 * (right - LEFT) / (rounds - 1) as f64;
    let y = |value: f64| BOTTOM - value / top * (BOTTOM - TOP);
    for (value, said) in ticks {
        let _ = write!(
            svg,
            r#"<path d="M{LEFT} {0:.1}H{right}" style="stroke: var(--line)" /><text class="dim" x="{1}" y="{2:.1}" text-anchor="end">{said}</text>"#,
            y(value),
            LEFT - 8.0,
            y(value) + 4.0,
        );
    }
    for round in (0..rounds).step_by(rounds.div_ceil(12)) {
        let _ = write!(
            svg,
            r#"<text class="dim" x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
            x(round),
            BOTTOM + 20.0,
            round + 1
        );
    }
    let _ = write!(
        svg,
        r#"<text class="dim" x="{}" y="{}" text-anchor="middle">round of training</text>"#,
        f64::midpoint(LEFT, *right),
        BOTTOM + 40.0
    );
    for (at, ((name, values), colour)) in losses.iter().zip(COLOURS).enumerate() {
        let points: Vec<_> =
            values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
        let (left, legend) = (names.0, names.1 + 24.0 * at as f64);
        let _ = write!(
            svg,
            r#"<polyline points="{}" style="fill: none; stroke: var({colour}); stroke-width: 2.5" /><path d="M{left} {legend}h22" style="stroke: var({colour}); stroke-width: 2.5" /><text x="{}" y="{}">{name}</text>"#,
            points.join(" "),
            left + 30.0,
            legend + 4.0,
        );
    }
    svg + "</svg>"
}

/// What became of an account's coins, in STOA.
fn account(statement: &Statement) -> String {
    let row = |(what, amount): (String, String)| format!(r#"<tr><td>{what}</td><td class="coins">{amount}</td></tr>"#);
    let rows: String = statement.rows().into_iter().map(row).collect();
    format!("<table><caption>{}</caption>{rows}</table>", statement.name)
}

/// Writes the report and the audit into a folder.
///
/// # Errors
///
/// If it cannot be written to.
pub(super) fn write(folder: &Path, pictures: &Pictures, measured: &Value) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let money: String = pictures.money.iter().map(account).collect();
    let (paid, got) = for_data(&pictures.money);
    let number = |path: &str| measured.pointer(path).map(ToString::to_string).unwrap_or_default();
    let facts = [
        ("validators in this network", number("/validators")),
        ("milliseconds until a payment was final", number("/millisecondsToFinalReceipt")),
        ("payments that became final without a validator that had died", number("/transfersWithoutIt")),
        ("milliseconds that they took", number("/millisecondsWithoutIt")),
        ("milliseconds until a new node had joined", number("/millisecondsToJoin")),
        ("milliseconds to read a shared file with a node dead", number("/millisecondsToRead")),
        ("patients of the four hospitals", number("/trained/patients")),
        ("rounds of each job", number("/trained/rounds")),
        ("rounds of training among them; the others summarize and measure", number("/trained/trainingRounds")),
        ("milliseconds that the four jobs took", number("/trained/milliseconds")),
        ("bytes of evidence for one receipt", number("/trained/evidenceBytes")),
    ];
    let facts: String = facts
        .iter()
        .map(|(name, value)| format!(r#"<tr><td>{name}</td><td class="number">{value}</td></tr>"#))
        .collect();
    let page = format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Stoa: what the tour measured</title>
<style>{STYLE}</style></head><body><main>
<h1>Four hospitals, one model, no row shared</h1>
<p class="dim">Every number and line on this page was computed when the tour ran, on an embedded network on this machine.</p>
<h2>How often the model is right about patients that it has never seen</h2>
<figure>{bars}</figure>
<p>Each hospital's own model, the one that they trained together through the network, and one trained with all rows in one place,
which no hospital would have allowed. All are measured on the same held-out patients of all four. AUC, the area under the ROC curve, is how
often a model gives a patient who has the disease a higher risk than one who has not: who guesses has 0.5, who is never wrong has 1.</p>
<h2>How the model came to fit each hospital</h2>
<figure>{wide}{narrow}</figure>
<p>Mean log loss over each hospital's own patients, as its node let it out after each round of federated averaging. The log loss of a patient is
minus the natural logarithm of the probability that the model gave to what was the case. Lower is better: 0 is certain and right, and who
always says one half has {half:.3}.</p>
<h2>Who paid, who was paid</h2>
<div class="accounts">{money}</div>
<p>All in STOA, counted from the ledger's blocks. For leave to compute and for computing the researcher has paid {paid}, and the hospitals have
got {got}. A job costs something when it begins, and something for each million steps that are begun: a step is an instruction of the program,
which is WebAssembly, and the receipt says how many there were. The bond is what a false receipt would cost, and pays for checks; what is in
it stays the hospital's, which can take it back. So does what is in its nodes' accounts, from which they pay the gas of what they send.
"In all" is the difference to what there was before, with what is still its own.</p>
<h2>Where one receipt came from</h2>
<p>Cleveland's second node was drawn to run its job again, and came to the same bits. <a href="audit.html">The audit</a> follows the receipt
back to data, consent, program and money, and holds the evidence for whoever wants to check it.</p>
<h2>Measured on the way</h2>
<table>{facts}</table>
<p class="dim">Data: heart disease patients of Cleveland, Hungary, Switzerland and VA Long Beach, UCI Machine Learning Repository, CC BY 4.0.</p>
</main></body></html>
"#,
        bars = bars(&pictures.scores),
        wide = lines(&pictures.losses, &LAYOUTS[0]),
        narrow = lines(&pictures.losses, &LAYOUTS[1]),
        half = LN_2,
        paid = coins(paid),
        got = coins(got),
    );
    fs::write(folder.join(PAGE), page)?;
    match &pictures.audit {
        Some(audit) => fs::write(folder.join(AUDIT), audit.page()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_axis_begins_at_zero_and_its_ticks_are_even_as_they_are_written() {
        for (most, wanted) in [
            (0.46, &["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"][..]),
            (0.5, &["0.0", "0.1", "0.2", "0.3", "0.4", "0.5"]),
            (0.7, &["0.0", "0.2", "0.4", "0.6", "0.8"]),
            (0.016, &["0.000", "0.005", "0.010", "0.015", "0.020"]),
            (4.2, &["0", "1", "2", "3", "4", "5"]),
            (31.0, &["0", "10", "20", "30", "40"]),
        ] {
            let ticks = ticks(most);
            let said: Vec<_> = ticks.iter().map(|(_, said)| said.as_str()).collect();
            assert_eq!(said, wanted, "{most}");
            assert!(
                ticks.iter().all(|(value, said)| said.parse::<f64>().is_ok_and(|said| (said - value).abs() < 1e-9))
            );
        }
    }

    #[test]
    fn lines_are_drawn_for_wide_and_for_narrow_pages_with_names_at_both_axes() {
        let losses = [("Cleveland".to_owned(), vec![0.6, 0.4, 0.3]), ("Hungary".to_owned(), vec![0.5, 0.4, 0.2])];
        for layout in &LAYOUTS {
            let svg = lines(&losses, layout);
            for part in ["mean log loss</text>", "round of training</text>", ">0.0</text>", ">Hungary</text>"] {
                assert!(svg.contains(part), "{part} is not in {svg}");
            }
            assert_eq!(svg.matches("<polyline").count(), 2);
        }
        assert!(lines(&losses[..0], &LAYOUTS[0]).is_empty());
    }

    #[test]
    fn rounds_of_training_are_not_those_of_the_job() {
        let folder = tempfile::tempdir().unwrap();
        let measured = json!({ "trained": { "rounds": 12, "trainingRounds": 10 } });
        write(folder.path(), &Pictures::default(), &measured).unwrap();
        let page = fs::read_to_string(folder.path().join(PAGE)).unwrap();
        let row = |what: &str, number: u32| format!(r#"<td>{what}</td><td class="number">{number}</td>"#);
        assert!(page.contains(&row("rounds of each job", 12)));
        assert!(page.contains(&row("rounds of training among them; the others summarize and measure", 10)));
    }
}

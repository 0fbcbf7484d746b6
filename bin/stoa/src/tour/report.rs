//! The tour's report: one page with what was measured, drawn.

use serde_json::Value;
use std::{fmt::Write as _, fs, path::Path};
use stoa_data::audit::Audit;

/// What is drawn.
#[derive(Default)]
pub(super) struct Pictures {
    /// Who was how good: accuracy and AUC, from 0 to 1.
    pub(super) scores: Vec<(String, f64, f64)>,
    /// The mean log loss of each hospital's patients, round after round.
    pub(super) losses: Vec<(String, Vec<f64>)>,
    /// What accounts had before and after, in coins.
    pub(super) money: Vec<(String, f64, f64)>,
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
table { border-collapse: collapse; width: 100%; background: var(--card); }
td, th { text-align: left; padding: 7px 10px; border: 1px solid var(--line); } td.number { text-align: right; font-variant-numeric: tabular-nums; }
";

/// The colours of the hospitals.
const COLOURS: [&str; 4] = ["--a", "--b", "--c", "--d"];

/// Bars, each with what it is and how long it is.
fn bars(scores: &[(String, f64, f64)]) -> String {
    let height = 20 + 38 * scores.len();
    let mut svg = format!(r#"<svg viewBox="0 0 820 {height}" role="img" aria-label="Accuracy of each model">"#);
    for (at, (name, accuracy, auc)) in scores.iter().enumerate() {
        let (y, width) = (12 + 38 * at, accuracy * 420.0);
        let colour = if name.contains("network") { "--c" } else { "--a" };
        let _ = write!(
            svg,
            r#"<text x="0" y="{}">{name}</text><rect x="230" y="{y}" width="{width:.1}" height="24" rx="4" style="fill: var({colour})" /><text x="{:.1}" y="{}">{:.1} %</text><text class="dim" x="{:.1}" y="{}">AUC {auc:.3}</text>"#,
            y + 17,
            238.0 + width,
            y + 17,
            accuracy * 100.0,
            296.0 + width,
            y + 17,
        );
    }
    svg + "</svg>"
}

/// Lines over rounds.
fn lines(losses: &[(String, Vec<f64>)]) -> String {
    let all = || losses.iter().flat_map(|(_, values)| values.iter().copied());
    let (least, most) = (all().fold(f64::INFINITY, f64::min), all().fold(f64::NEG_INFINITY, f64::max));
    let rounds = losses.iter().map(|(_, values)| values.len()).max().unwrap_or_default();
    if rounds < 2 || least >= most {
        return String::new();
    }
    let mut svg = r#"<svg viewBox="0 0 820 300" role="img" aria-label="Log loss after each round">"#.to_owned();
    let x = |round: usize| 60.0 + round as f64 * 560.0 / (rounds - 1) as f64;
    let y = |value: f64| 20.0 + (most - value) / (most - least) * 230.0;
    for step in 0..=4 {
        let value = least + (most - least) * f64::from(step) / 4.0;
        let _ = write!(
            svg,
            r#"<path d="M60 {0:.1}H620" style="stroke: var(--line)" /><text class="dim" x="52" y="{1:.1}" text-anchor="end">{value:.2}</text>"#,
            y(value),
            y(value) + 4.0,
        );
    }
    for round in 0..rounds {
        let _ =
            write!(svg, r#"<text class="dim" x="{:.1}" y="272" text-anchor="middle">{}</text>"#, x(round), round + 1);
    }
    svg += r#"<text class="dim" x="340" y="294" text-anchor="middle">round of training</text>"#;
    for (at, ((name, values), colour)) in losses.iter().zip(COLOURS).enumerate() {
        let points: Vec<_> =
            values.iter().enumerate().map(|(at, value)| format!("{:.1},{:.1}", x(at), y(*value))).collect();
        let legend = 40 + 24 * at;
        let _ = write!(
            svg,
            r#"<polyline points="{}" style="fill: none; stroke: var({colour}); stroke-width: 2.5" /><path d="M645 {legend}h22" style="stroke: var({colour}); stroke-width: 2.5" /><text x="675" y="{}">{name}</text>"#,
            points.join(" "),
            legend + 4,
        );
    }
    svg + "</svg>"
}

/// Writes the report and the audit into a folder.
///
/// # Errors
///
/// If it cannot be written to.
pub(super) fn write(folder: &Path, pictures: &Pictures, measured: &Value) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut money = String::new();
    for (name, before, after) in &pictures.money {
        let _ = write!(
            money,
            r#"<tr><td>{name}</td><td class="number">{before:.4}</td><td class="number">{after:.4}</td><td class="number">{:+.4}</td></tr>"#,
            after - before
        );
    }
    let number = |path: &str| measured.pointer(path).map(ToString::to_string).unwrap_or_default();
    let facts = [
        ("validators in this network", number("/validators")),
        ("milliseconds until a payment was final", number("/millisecondsToFinalReceipt")),
        ("milliseconds until a new node had joined", number("/millisecondsToJoin")),
        ("milliseconds to read a shared file with a node dead", number("/millisecondsToRead")),
        ("rounds of training over four hospitals", number("/trained/rounds")),
        ("milliseconds that they took", number("/trained/milliseconds")),
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
which no hospital would have allowed. All are measured on the same held-out patients of all four.</p>
<h2>How the model came to fit each hospital</h2>
<figure>{lines}</figure>
<p>Mean log loss over each hospital's own patients, as its node let it out after each round of federated averaging. Lower is better.</p>
<h2>Who paid, who was paid</h2>
<table><tr><th>account</th><th>before (STOA)</th><th>after</th><th>change</th></tr>{money}</table>
<p class="dim">Each hospital put 1 STOA into its node's account; Cleveland put 100 into the bond that a false receipt would cost, and 2
into two nodes. The rest is what the researcher paid for access and by the step, and gas.</p>
<h2>Where one receipt came from</h2>
<p>Cleveland's second node was drawn to run its job again, and came to the same bits. <a href="audit.html">The audit</a> follows the receipt
back to data, consent, program and money, and holds the evidence for whoever wants to check it.</p>
<h2>Measured on the way</h2>
<table>{facts}</table>
<p class="dim">Data: heart disease patients of Cleveland, Hungary, Switzerland and VA Long Beach, UCI Machine Learning Repository, CC BY 4.0.</p>
</main></body></html>
"#,
        bars = bars(&pictures.scores),
        lines = lines(&pictures.losses),
    );
    fs::write(folder.join("report.html"), page)?;
    match &pictures.audit {
        Some(audit) => fs::write(folder.join("audit.html"), audit.page()),
        None => Ok(()),
    }
}

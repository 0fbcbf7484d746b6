//! Whether what people and programs read in a file is what its evidence proves: it is made anew from the evidence, and compared.

use super::{Audit, SCRIPT, Step, in_toto, json, prov};
use serde::Deserialize;
use serde_json::Value;

/// Steps that compare what whoever audits has himself: no evidence proves them to anybody else.
const COMPARED: [&str; 6] = ["program", "parameters", "output", "data set", "rerun", "source files"];

/// What begins what a page says of them.
const BEGIN: &str = r#"<script type="application/json" id="compared">"#;

/// What the parts of a page begin with.
const PARTS: [(&str, &str); 9] = [
    ("<!doctype", "the head"),
    ("<h1>", "the heading"),
    ("<p class=\"good\">", "the verdict"),
    ("<p class=\"bad\">", "the verdict"),
    ("<svg", "the graph"),
    ("<h2>Each step", "the steps"),
    ("<h2>Check it yourself", "how to check it"),
    ("<h2>Transactions", "the transactions"),
    (SCRIPT, "the evidence, or behind it"),
];

/// What a file shows beside its evidence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Where it is not what the evidence proves; nothing if it is.
    pub differs: Option<String>,
    /// What whoever wrote it says that he has compared with what he had.
    pub said: Vec<Step>,
}

/// A step as a page says it.
#[derive(Deserialize)]
struct Said {
    name: String,
    holds: bool,
    found: String,
}

/// Whether a step is about what somebody had himself.
pub(super) fn is_compared(step: &Step) -> bool {
    COMPARED.contains(&step.name)
}

/// Such steps within a page, for programs.
pub(super) fn script(steps: &[&Step]) -> String {
    let json = serde_json::to_string(steps).unwrap_or_default().replace('<', "\\u003c");
    format!("{BEGIN}{json}</script>")
}

/// The steps of a page that its evidence says nothing of.
fn said(page: &str) -> Vec<Step> {
    let json = page.split_once(BEGIN).and_then(|(_, rest)| rest.split_once("</script>"));
    let said = json.and_then(|(json, _)| serde_json::from_str::<Vec<Said>>(json).ok()).unwrap_or_default();
    let known = |Said { name, holds, found }| {
        let name = COMPARED.into_iter().find(|known| *known == name)?;
        Some(Step { name, holds, found })
    };
    said.into_iter().filter_map(known).collect()
}

/// The part of a page in which another one differs from it; nothing if they are the same.
fn part(page: &str, other: &str) -> Option<&'static str> {
    if page == other {
        return None;
    }
    let same = page.bytes().zip(other.bytes()).take_while(|(one, other)| one == other).count();
    let begun = PARTS.iter().filter_map(|(begin, name)| Some((page.find(begin)?, *name)));
    Some(begun.filter(|(from, _)| *from <= same).max().map_or("the head", |(_, name)| name))
}

/// Where a document differs from another, as a JSON pointer; nothing if they are the same.
fn place(is: &Value, other: &Value) -> Option<String> {
    match (is, other) {
        (Value::Object(is), Value::Object(other)) => {
            let mut keys = is.keys().chain(other.keys().filter(|key| !is.contains_key(*key)));
            keys.find_map(|key| {
                let within = match (is.get(key), other.get(key)) {
                    (Some(is), Some(other)) => place(is, other)?,
                    _ => String::new(),
                };
                Some(format!("/{}{within}", key.escape_debug()))
            })
        }
        (Value::Array(is), Value::Array(other)) => (0..is.len().max(other.len())).find_map(|at| {
            let within = match (is.get(at), other.get(at)) {
                (Some(is), Some(other)) => place(is, other)?,
                _ => String::new(),
            };
            Some(format!("/{at}{within}"))
        }),
        (is, other) => (is != other).then(String::new),
    }
}

impl Audit {
    /// Compares a file, in which the evidence of this audit was found, with what this audit is written as. To be asked before anything
    /// else is [compared](Self::compare). A file that another version of this program wrote may show the same in other words, and differs.
    pub fn shown(&self, bytes: &[u8]) -> Shown {
        let text = String::from_utf8_lossy(bytes);
        if text.contains(SCRIPT) {
            let said = said(&text);
            let whole = Self { steps: self.steps.iter().chain(&said).cloned().collect(), ..self.clone() };
            let differs = part(&whole.page(), &text).map(|part| format!("the page: {part}"));
            return Shown { differs, said };
        }
        let value = match json::read(text.as_bytes()) {
            Ok(value) => value,
            Err(error) => return Shown { differs: Some(format!("the document: {error}")), said: Vec::new() },
        };
        let is = if value.get("format").is_some() {
            serde_json::to_value(&self.evidence).ok()
        } else if prov::evidence(&value).is_some() {
            self.prov()
        } else {
            in_toto::evidence(&value).and_then(|_| self.in_toto())
        };
        let differs = match is {
            Some(is) => place(&is, &value).map(|place| format!("the document: {place}")),
            None => Some("the document: its evidence shows no receipt".into()),
        };
        Shown { differs, said: Vec::new() }
    }
}

//! What may leave: an owner's rules for what programs make of his data, which the node applies to all that they leave.
//!
//! Output files, the log, how a program ended, when, and after how many steps: all of it can carry data out. So nothing leaves
//! but the files that the rules name, in the shape that they name; the log only if they say so; that a program failed is said,
//! and not how; steps are told in the millions that are paid for. Since many small results are as good as a large one, what
//! leaves to one buyer over all his jobs counts against a budget, and each round counts for what its end alone tells.

use super::{abi::PROCESS, held::LOG};
use alloy_primitives::{Address, B256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::{collections::BTreeMap, time::Duration};
use stoa_sandbox::Limits;

/// Why rules are none.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// They are not JSON of this form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// They let nothing leave, or name files that there cannot be.
    #[error("{0}")]
    Invalid(&'static str),
}

/// What may leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rules {
    /// The files under `/out` that may leave, each in its shape. All others stay.
    pub files: BTreeMap<String, Shape>,
    /// Programs that may run, by the BLAKE3 hash of their file; any that the grant allows if there is none, and no publisher.
    #[serde(default)]
    pub algorithms: Vec<B256>,
    /// Accounts that the owner trusts: programs that they published (`stoa algo publish`) may run as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publishers: Vec<Address>,
    /// Whether what programs print goes to the buyer.
    #[serde(default)]
    pub log: bool,
    /// How often a program may run in one job.
    pub rounds: u32,
    /// How much may leave to one buyer in all, in what the shapes count. Each round counts as well ([`Rules::round`]), and each byte
    /// of a log.
    pub budget: u64,
    /// How much of that may leave on one day (UTC) to all buyers together, since anybody can have many accounts. Any if nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_per_day: Option<u64>,
    /// Whether a person looks at what would leave, and says yes to it each time (`stoa job held`, `approve`, `refuse`).
    #[serde(default, skip_serializing_if = "is_not")]
    pub approval: bool,
    /// For how many days of the ledger's time it waits for that, three if nothing is said; but for no more than half of the time that a
    /// job has. Then it is destroyed, and the job costs nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_days: Option<u32>,
    /// How far the numbers of another run of the same process may be from those that left, in millionths of the larger one, or of 1
    /// if both are smaller: what nodes go by that check receipts of processes. With it `algorithms` or `publishers` says which programs
    /// come so close; others could be written to come to something else each time. None if processes are not checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<u32>,
    /// MiB of memory that a program may take, for the machine that computes has so much. 512 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u32>,
}

/// The most memory that rules may give to a program, in MiB.
const MOST_MEMORY: u32 = 1 << 20;

/// For how many days what would leave waits for its owner, if he says nothing else, and at most.
const APPROVAL_DAYS: u32 = 3;
const MOST_APPROVAL_DAYS: u32 = 365;

/// Bytes of a file of numbers at most: so many, and so many for each number, with its name and the spaces around it. It is read as
/// a whole, and takes many times its length then.
const BESIDE_NUMBERS: u64 = 64 << 10;
const NUMBER: u64 = 256;

/// How much longer than [so many times](Limits::WALL_PER_CPU) what it has computed a process may run: what it computes is paid, and its turn
/// others wait for.
const IDLE: Duration = Duration::from_secs(30);

const fn is_not(flag: &bool) -> bool {
    !*flag
}

/// What a file may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", deny_unknown_fields)]
pub enum Shape {
    /// Any bytes, so many at most; each counts.
    Anything {
        /// Bytes.
        most: u64,
    },
    /// JSON of objects and lists whose leaves are numbers, or texts that are among `words`; each of them counts, and so does each list
    /// and object of fewer than two entries within another. What an object's fields are called is one of `keys`: a name could be data.
    Numbers {
        /// Numbers.
        most: u64,
        /// What fields may be called.
        keys: Vec<String>,
        /// Texts that may stand there, such as the names of columns.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<String>,
        /// A field that has to be there, at the top, and say that the result is of so many rows at least. It is the program's word, so
        /// `algorithms` or `publishers` says which programs are believed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rows: Option<Rows>,
    },
}

/// A result is of so many rows at least, as it says itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rows {
    /// The field that says of how many.
    pub key: String,
    /// How many at least.
    pub least: u64,
}

impl Default for Rules {
    /// To begin others with: `result.json`, 1,000 numbers under one of two names, of ten rows at least, in ten rounds. They name no
    /// program, and how many rows there are is the program's word, so that by themselves they let nothing run ([`usual`](Self::usual)).
    fn default() -> Self {
        let keys = ["rows", "values"].map(str::to_owned).to_vec();
        let rows = Some(Rows { key: "rows".to_owned(), least: 10 });
        let shape = Shape::Numbers { most: 1_000, keys, words: Vec::new(), rows };
        let files = [("result.json".to_owned(), shape)].into();
        Self {
            files,
            algorithms: Vec::new(),
            publishers: Vec::new(),
            log: false,
            rounds: 10,
            budget: 10_000,
            budget_per_day: None,
            approval: false,
            approval_days: None,
            tolerance: None,
            memory: None,
        }
    }
}

/// What leaves, and what it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaving {
    /// The files by their paths under `/out`.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What they count against the budget.
    pub counts: u64,
}

/// How much may still leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// To a buyer, over all his jobs.
    pub own: u64,
    /// To all buyers together on this day, if that is bounded.
    pub day: Option<u64>,
}

impl Remaining {
    /// As much as both let.
    pub fn least(self) -> u64 {
        self.day.map_or(self.own, |day| self.own.min(day))
    }
}

impl From<u64> for Remaining {
    fn from(own: u64) -> Self {
        Self { own, day: None }
    }
}

impl Rules {
    /// Those of an owner who says nothing but which program may run.
    pub fn usual(program: B256) -> Self {
        Self { algorithms: vec![program], ..Self::default() }
    }

    /// Reads them from JSON.
    ///
    /// # Errors
    ///
    /// If they are none.
    pub fn read(json: &[u8]) -> Result<Self, RulesError> {
        serde_json::from_slice::<Self>(json)?.checked()
    }

    /// Reads them as an owner would have them who lets this program run: where they name none, they name it.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_for(json: &[u8], program: B256) -> Result<Self, RulesError> {
        let mut rules: Self = serde_json::from_slice(json)?;
        if !rules.names_programs() {
            rules.algorithms.push(program);
        }
        rules.checked()
    }

    /// Lets rules pass that can be gone by.
    ///
    /// # Errors
    ///
    /// If they let nothing leave, or contradict themselves.
    pub(crate) fn checked(self) -> Result<Self, RulesError> {
        let wrong = match &self {
            Self { files, .. } if files.is_empty() => "they let no file leave",
            Self { files, .. } if files.len() > 100 => "they name more than a hundred files",
            Self { files, .. } if !files.keys().all(|path| is_within(path)) => {
                "they name a file that no program can leave: want a path below /out, such as result.json"
            }
            Self { files, approval: true, log: true, .. } if files.contains_key(LOG) => {
                "they name a file log.txt, which is where the log lies that you look at: call it something else"
            }
            Self { approval: false, approval_days: Some(_), .. } => {
                "they say how long what would leave waits to be looked at (`approvalDays`), and not that it does (`approval`)"
            }
            Self { approval_days: Some(days), .. } if !(1..=MOST_APPROVAL_DAYS).contains(days) => {
                "what would leave waits for 1 to 365 days to be looked at (`approvalDays`)"
            }
            Self { rounds: 0, .. } => "they let no program run",
            Self { budget, budget_per_day, .. }
                if (*budget).min(budget_per_day.unwrap_or(u64::MAX)) < self.least(1) =>
            {
                "they let nothing leave to anybody: each round counts one number, or eight bytes where bytes or a log may leave, and what \
                 leaves counts besides, so let `budget`, and `budgetPerDay` if it is there, be larger"
            }
            Self { memory: Some(0), .. } => "they give programs no memory",
            Self { memory: Some(memory), .. } if *memory > MOST_MEMORY => {
                "they give programs more than a TiB of memory"
            }
            Self { tolerance: Some(_), .. } if !self.names_programs() => {
                "they have processes checked, and name no programs that come to the same again"
            }
            Self { files, .. } if files.values().any(Shape::counts_rows) && !self.names_programs() => {
                "they want results of so many `rows`, which is the program's own word, and name no program that is believed: put the \
                 hashes of programs that count honestly into `algorithms` (`stoa algo test` prints a program's), or accounts that \
                 publish such into `publishers`"
            }
            _ => match self.files.values().find_map(Shape::wrong) {
                Some(wrong) => wrong,
                None => return Ok(self),
            },
        };
        Err(RulesError::Invalid(wrong))
    }

    /// For how many seconds of the ledger's time what would leave waits to be looked at.
    pub fn patience(&self) -> u64 {
        u64::from(self.approval_days.unwrap_or(APPROVAL_DAYS)) * 24 * 3600
    }

    /// Whether they say which programs may run.
    pub const fn names_programs(&self) -> bool {
        !self.algorithms.is_empty() || !self.publishers.is_empty()
    }

    /// What each round counts against the budget, whatever leaves in it: how it ended and why (10 bits: a hundred files, each with some
    /// reasons why it stays), its steps in millions and the millisecond in which it ended (27 bits each, if it ran for a day) are
    /// told. 64 bits are a number, or eight bytes.
    pub fn round(&self) -> u64 {
        let bytes = self.log || self.files.values().any(|shape| matches!(shape, Shape::Anything { .. }));
        if bytes { 8 } else { 1 }
    }

    /// What so many rounds count at least in each of which something leaves.
    pub(crate) fn least(&self, rounds: u32) -> u64 {
        self.round().saturating_add(1).saturating_mul(rounds.into())
    }

    /// Says why so much may not leave any more; `what` says in words what it is. How much a program would have left must not be among
    /// them: it would be as good as something that left. Nor is said how much may still leave to all buyers, which is what others have got.
    pub(crate) fn short(&self, left: Remaining, what: &str, counts: u64) -> String {
        let most = self.budget;
        match left.own {
            0 => format!("what may leave to this buyer is used up: 0 of {most} are left"),
            own if counts > own => format!("{what}: {own} of the {most} that may leave to this buyer are left"),
            _ => format!("{what}: less than that may still leave to all buyers on this day (UTC)"),
        }
    }

    /// As JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// SHA-256 of their JSON, which the offer names.
    pub fn hash(&self) -> B256 {
        B256::new(Sha256::digest(self.to_json()).into())
    }

    /// What a program may use that may take so many steps more (of a process: nanoseconds of a processor).
    pub fn limits(&self, runtime: u8, fuel: u64) -> Limits {
        let usual = Limits::default();
        let usual = Limits { memory: self.memory.map_or(usual.memory, |memory| u64::from(memory) << 20), ..usual };
        match runtime {
            PROCESS => {
                let cpu = Duration::from_nanos(fuel);
                Limits { cpu, idle: IDLE, wall: IDLE + Limits::WALL_PER_CPU * cpu, ..usual }
            }
            _ => Limits { fuel, ..usual },
        }
    }

    /// What may leave of what a program has left under `/out`; why nothing may. The reason says nothing of what is in the files.
    ///
    /// # Errors
    ///
    /// If a file that the rules name has another shape, none is there, or the budget does not suffice.
    pub fn leaving(&self, files: &BTreeMap<String, Vec<u8>>, left: u64) -> Result<Leaving, String> {
        self.leaving_of(files, left.into())
    }

    /// As [`leaving`](Self::leaving), where what may leave on one day is known as well.
    pub(crate) fn leaving_of(&self, files: &BTreeMap<String, Vec<u8>>, left: Remaining) -> Result<Leaving, String> {
        let mut leaving = Leaving { files: BTreeMap::new(), counts: 0 };
        for (path, shape) in &self.files {
            let Some(bytes) = files.get(path) else { continue };
            let (leaves, counts) = shape.leaving(bytes).map_err(|why| format!("{path}: {why}"))?;
            // That a file is there tells something, whatever is in it.
            leaving.counts = leaving.counts.saturating_add(counts.max(1));
            leaving.files.insert(path.clone(), leaves);
        }
        if leaving.files.is_empty() {
            let names: Vec<_> = self.files.keys().map(String::as_str).collect();
            return Err(format!("the program left none of the files that may leave ({})", names.join(", ")));
        }
        if leaving.counts > left.least() {
            return Err(self.short(left, "what would leave counts more", leaving.counts));
        }
        Ok(leaving)
    }
}

/// Whether two files that leave are the same but for numbers that are so close, in millionths.
pub(super) fn is_close(one: &[u8], other: &[u8], tolerance: u32) -> bool {
    if one == other {
        return true;
    }
    match (serde_json::from_slice(one), serde_json::from_slice(other)) {
        (Ok(one), Ok(other)) => are_close(&one, &other, f64::from(tolerance) / 1e6),
        _ => false,
    }
}

fn are_close(one: &Value, other: &Value, tolerance: f64) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            (one - other).abs() <= tolerance * one.abs().max(other.abs()).max(1.0)
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| are_close(one, other, tolerance))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(key, one)| other.get(key).is_some_and(|other| are_close(one, other, tolerance));
            one.len() == other.len() && one.iter().all(same)
        }
        _ => one == other,
    }
}

/// Whether a path leads to a file below the folder in which it is read, wherever that is.
pub(super) fn is_within(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

impl Shape {
    /// Bytes of a file of this shape at most.
    fn longest(&self) -> u64 {
        match self {
            Self::Anything { most } => *most,
            Self::Numbers { most, keys, words, .. } => {
                let longest = keys.iter().chain(words).map(String::len).max().unwrap_or(0) as u64;
                most.saturating_mul(NUMBER + longest).saturating_add(BESIDE_NUMBERS)
            }
        }
    }

    /// Why no file could be of this shape, or any could that has what it asks for.
    fn wrong(&self) -> Option<&'static str> {
        match self {
            Self::Anything { most: 0 } | Self::Numbers { most: 0, .. } => {
                Some("they name a file that may have nothing in it: let `most` be 1 or more")
            }
            Self::Numbers { rows: Some(Rows { key, .. }), keys, .. } if !keys.contains(key) => Some(
                "they name a file that can never leave: the field in which it is to say of how many `rows` it is, is not among its `keys`",
            ),
            Self::Numbers { rows: Some(Rows { least: 0, .. }), .. } => {
                Some("they want results of 0 rows or more, as all are: let `least` be 1 or more, or leave `rows` out")
            }
            _ => None,
        }
    }

    /// Whether what leaves has to say of how many rows it is.
    const fn counts_rows(&self) -> bool {
        matches!(self, Self::Numbers { rows: Some(_), .. })
    }

    /// What leaves of a file of this shape, and what it counts.
    fn leaving(&self, bytes: &[u8]) -> Result<(Vec<u8>, u64), String> {
        let longest = self.longest();
        if bytes.len() as u64 > longest {
            return Err(format!("it has more than {longest} bytes"));
        }
        match self {
            Self::Anything { .. } => Ok((bytes.to_vec(), bytes.len() as u64)),
            Self::Numbers { most, keys, words, rows } => {
                let mut value: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON".to_owned())?;
                let count = numbers(&value, keys, words)?;
                if count > *most {
                    return Err(format!(
                        "it has more than {most} numbers; a list or object of fewer than two entries within another counts as one"
                    ));
                }
                if let Some(Rows { key, least }) = rows {
                    let said = value.get(key);
                    if said.and_then(Value::as_u64).is_none_or(|said| said < *least) {
                        let whole = match said {
                            Some(said) if said.is_f64() => ": a whole number is wanted there, such as 20 and not 20.0",
                            _ => "",
                        };
                        return Err(format!("it does not say in {key:?} that it is of {least} rows or more{whole}"));
                    }
                }
                // Spaces, zeros and the order of fields could carry something: it leaves as this node writes it.
                value.sort_all_objects();
                Ok((serde_json::to_vec(&value).map_err(|error| error.to_string())?, count))
            }
        }
    }
}

/// What is in a value that has nothing but numbers, these texts, and fields of these names: numbers and texts, and lists and objects that
/// are [spare](is_spare). Of other lists and objects there are fewer than of all these, so that nothing can be told by nesting alone.
fn numbers(value: &Value, keys: &[String], words: &[String]) -> Result<u64, String> {
    let add = |sum: u64, value: &Value| -> Result<u64, String> {
        Ok(sum + numbers(value, keys, words)? + u64::from(is_spare(value)))
    };
    match value {
        Value::Number(_) => Ok(1),
        Value::String(text) if words.contains(text) => Ok(1),
        Value::Array(values) => values.iter().try_fold(0, add),
        Value::Object(fields) if fields.keys().all(|key| keys.contains(key)) => fields.values().try_fold(0, add),
        Value::Object(_) => Err("it has a field of a name that the owner did not allow".into()),
        Value::String(_) | Value::Bool(_) | Value::Null => {
            Err("it has something that is no number and no word that the owner allowed".into())
        }
    }
}

/// Whether a value is a list or object of fewer than two entries.
fn is_spare(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.len() < 2,
        Value::Object(fields) => fields.len() < 2,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(files: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
    }

    fn why(rules: &Rules, text: &str) -> String {
        rules.leaving(&left(&[("result.json", text)]), 1000).unwrap_err()
    }

    #[test]
    fn numbers_leave_and_nothing_else_does() {
        let rules = Rules::usual(B256::ZERO);
        let files = left(&[("result.json", r#"{"rows":12,"values":[1,2.5,-3]}"#), ("rows.csv", "63,1,1,145")]);
        let leaving = rules.leaving(&files, 1000).unwrap();
        assert_eq!((leaving.files.len(), leaving.counts), (1, 4), "what is not named stays");
        assert!(why(&rules, r#"{"rows":12,"values":["63,1,1,145"]}"#).contains("no number"));
        assert!(why(&rules, r#"{"rows":12,"values":[null]}"#).contains("no number"));
        assert!(why(&rules, r#"{"rows":12,"values":[true]}"#).contains("no number"));
        assert!(why(&rules, r#"{"63,1,1,145":1,"rows":12}"#).contains("did not allow"));
        // Spaces, zeros, fields that are there twice and their order could tell something as well.
        let spoken = left(&[("result.json", "{\"values\": [1.50,\t2e0], \"rows\":99, \"rows\":12}")]);
        let leaving = rules.leaving(&spoken, 1000).unwrap();
        assert_eq!(leaving.files["result.json"], br#"{"rows":12,"values":[1.5,2.0]}"#);
        assert!(why(&rules, "not json").contains("not JSON"));
        assert!(why(&rules, r#"{"rows":9,"values":[1]}"#).contains("10 rows"));
        assert!(why(&rules, r#"{"values":[1]}"#).contains("10 rows"));
        assert!(why(&rules, r#"{"rows":-12}"#).ends_with("10 rows or more"));
        for float in ["20.0", "2e1", "9.5"] {
            let said = why(&rules, &format!(r#"{{"rows":{float},"values":[1]}}"#));
            assert!(
                said.ends_with("10 rows or more: a whole number is wanted there, such as 20 and not 20.0"),
                "{said}"
            );
        }
        let many = format!(r#"{{"rows":12,"values":[{}1]}}"#, "1,".repeat(1_000));
        assert!(why(&rules, &many).contains("more than 1000"));
        assert!(rules.leaving(&left(&[("rows.csv", "63,1,1,145")]), 1000).unwrap_err().contains("none of the files"));
        // The last that a buyer may have, and one more.
        assert!(rules.leaving(&files, 4).is_ok());
        let said = rules.leaving(&files, 3).unwrap_err();
        assert_eq!(said, "what would leave counts more: 3 of the 10000 that may leave to this buyer are left");
        // How much more is the program's to choose, and would tell something.
        let more = left(&[("result.json", r#"{"rows":12,"values":[1,2,3,4,5,6]}"#)]);
        assert_eq!(rules.leaving(&more, 3).unwrap_err(), said);
    }

    #[test]
    fn what_is_short_is_said_and_nothing_is_used_up_of_which_something_is_left() {
        let rules = Rules { budget: 20, budget_per_day: Some(12), ..Rules::usual(B256::ZERO) };
        let said = |own, day| rules.short(Remaining { own, day: Some(day) }, "it counts more", 7);
        assert_eq!(said(6, 12), "it counts more: 6 of the 20 that may leave to this buyer are left");
        assert_eq!(said(0, 12), "what may leave to this buyer is used up: 0 of 20 are left");
        // What others have got is told to nobody, not even whether it is all.
        for day in [0, 1, 6] {
            assert_eq!(said(20, day), "it counts more: less than that may still leave to all buyers on this day (UTC)");
        }
    }

    #[test]
    fn what_is_nested_counts_so_that_nothing_leaves_by_shape_alone() {
        let keys = ["rows", "values"].map(str::to_owned).to_vec();
        let shape = Shape::Numbers { most: 9, keys, words: Vec::new(), rows: None };
        let rules = Rules { files: [("result.json".to_owned(), shape)].into(), ..Rules::default() };
        let counts = |text: &str| rules.leaving(&left(&[("result.json", text)]), 1000).map(|leaving| leaving.counts);
        for (text, expected) in [
            // What honest programs write: their numbers alone.
            (r#"{"rows":20,"values":[1,2]}"#, 3),
            (r#"{"rows":20}"#, 1),
            (r#"{"rows":[1,2],"values":{"rows":3,"values":4}}"#, 4),
            ("7", 1),
            // Lists of one, of nothing, and within each other.
            (r#"{"rows":20,"values":[1]}"#, 3),
            (r#"{"rows":20,"values":[{},[]]}"#, 3),
            (r#"{"rows":20,"values":[{"rows":{}},{"values":[]},[[[[]]]]]}"#, 9),
            // That there is a file.
            ("{}", 1),
            ("[[]]", 1),
        ] {
            assert_eq!(counts(text), Ok(expected), "{text}");
        }
        let bits = format!(r#"{{"rows":20,"values":[{}[]]}}"#, "{},[],".repeat(4));
        assert!(counts(&bits).unwrap_err().contains("more than 9 numbers"));
        assert!(counts(&format!("{}1{}", "[".repeat(11), "]".repeat(11))).unwrap_err().contains("more than 9 numbers"));
    }

    #[test]
    fn each_file_that_is_there_counts() {
        let files = ["a", "b", "c"].map(|name| (name.to_owned(), Shape::Anything { most: 3 })).into();
        let rules = Rules { files, ..Rules::default() };
        assert_eq!(rules.leaving(&left(&[("a", ""), ("c", "ab")]), 9).unwrap().counts, 3);
        assert!(rules.leaving(&left(&[("a", ""), ("b", ""), ("c", "")]), 2).unwrap_err().contains("counts more: 2 of"));
    }

    #[test]
    fn who_wants_results_of_many_rows_names_the_programs_that_count_them() {
        let program = B256::repeat_byte(7);
        let named = Rules::usual(program);
        assert_eq!(Rules::read(&named.to_json()).unwrap(), named);
        let published = Rules { algorithms: Vec::new(), publishers: vec![Address::ZERO], ..named.clone() };
        assert_eq!(Rules::read(&published.to_json()).unwrap(), published);
        let nobodys = Rules::default();
        let why = Rules::read(&nobodys.to_json()).unwrap_err().to_string();
        assert!(why.contains("the program's own word") && why.contains("`algorithms`"), "{why}");
        // Whoever tries his program under them is believed by himself.
        assert_eq!(Rules::read_for(&nobodys.to_json(), program).unwrap(), named);
        assert_eq!(Rules::read_for(&named.to_json(), B256::ZERO).unwrap(), named);
        assert!(Rules::read_for(b"{}", program).is_err());
    }

    #[test]
    fn the_rules_of_the_hospitals_name_the_program_that_is_here() {
        let rules = Rules::read(include_bytes!("../../../../data/heart/rules.json")).unwrap();
        let program = crate::jobs::algorithm(include_bytes!("../../../../algorithms/federated.wasm"));
        assert_eq!(rules.algorithms, [program], "write the program's hash into data/heart/rules.json");
    }

    #[test]
    fn a_round_counts_as_much_as_its_end_can_tell() {
        assert_eq!(Rules::default().round(), 1, "a number has 64 bits");
        let files = [("model.bin".to_owned(), Shape::Anything { most: 3 })].into();
        for bytes in [Rules { files, ..Rules::default() }, Rules { log: true, ..Rules::default() }] {
            assert_eq!(bytes.round(), 8);
        }
    }

    #[test]
    fn a_file_of_numbers_is_read_only_if_it_is_no_longer_than_so_many_are() {
        let rules = Rules::usual(B256::ZERO);
        // Lists of nothing are no numbers, and take ten times their length once they are read.
        let nothing = format!(r#"{{"rows":12,"values":[{}1]}}"#, "[],".repeat(200_000));
        assert!(why(&rules, &nothing).contains("bytes"), "{}", why(&rules, &nothing));
        let wide = format!(r#"{{"rows":12,"values":[{}1]}}"#, "1e-300,\n                ".repeat(998));
        assert_eq!(rules.leaving(&left(&[("result.json", &wide)]), 1000).unwrap().counts, 1000);
    }

    #[test]
    fn words_that_the_owner_named_leave_among_the_numbers() {
        let (keys, words) = (vec!["features".to_owned()], vec!["age".to_owned()]);
        let shape = Shape::Numbers { most: 10, keys, words, rows: None };
        let rules = Rules { files: [("result.json".to_owned(), shape)].into(), ..Rules::default() };
        let files = left(&[("result.json", r#"{"features":["age","age",1]}"#)]);
        assert_eq!(rules.leaving(&files, 1000).unwrap().counts, 3);
        assert!(why(&rules, r#"{"features":["63,1,1,145"]}"#).contains("no word"));
    }

    #[test]
    fn numbers_of_another_run_may_be_a_little_off_and_nothing_else() {
        let left = r#"{"rows":12,"values":[1000.0,0.001,"age"]}"#;
        let close = |text: &str| is_close(left.as_bytes(), text.as_bytes(), 100);
        assert!(close(left) && close(r#"{"rows":12,"values":[1000.09,0.00109,"age"]}"#));
        for far in [
            r#"{"rows":12,"values":[1000.11,0.001,"age"]}"#,
            r#"{"rows":12,"values":[1000.0,0.0012,"age"]}"#,
            r#"{"rows":12,"values":[1000.0,0.001,"sex"]}"#,
            r#"{"rows":12,"values":[1000.0,0.001]}"#,
            r#"{"rows":12,"value":[1000.0,0.001,"age"]}"#,
            r#"{"rows":12}"#,
            "no JSON",
        ] {
            assert!(!close(far), "{far}");
        }
        assert!(!is_close(b"bytes", b"others", 1_000_000));
    }

    #[test]
    fn programs_get_the_memory_that_the_rules_give_them() {
        let usual = Rules::usual(B256::ZERO);
        let more =
            Rules::read(&[&usual.to_json()[..usual.to_json().len() - 1], br#","memory":2048}"#].concat()).unwrap();
        assert_eq!((more.memory, usual.limits(PROCESS, 1).memory), (Some(2048), 512 << 20));
        for (runtime, fuel, cpu) in
            [(PROCESS, usual.limits(PROCESS, 7).fuel, Duration::from_nanos(7)), (1, 7, Limits::default().cpu)]
        {
            let limits = more.limits(runtime, 7);
            assert_eq!((limits.memory, limits.fuel, limits.cpu), (2 << 30, fuel, cpu));
        }
        // Where nothing is said of it they are the same bytes as before.
        let usual = String::from_utf8(usual.to_json()).unwrap();
        assert!(!usual.contains("memory") && !usual.contains("budgetPerDay"));
    }

    #[test]
    fn a_process_has_little_more_time_than_it_pays_for() {
        let limits = |seconds: u64| Rules::default().limits(PROCESS, seconds * 1_000_000_000);
        for (seconds, wall) in [(0, 30), (1, 38), (600, 4830)] {
            let limits = limits(seconds);
            let is = (limits.cpu.as_secs(), limits.idle.as_secs(), limits.wall.as_secs());
            assert_eq!(is, (seconds, 30, wall), "{seconds}");
        }
        assert!(Rules::default().limits(PROCESS, u64::MAX).wall > Duration::from_secs(1 << 34));
    }

    #[test]
    fn anything_leaves_up_to_its_size() {
        let files = [("model.bin".to_owned(), Shape::Anything { most: 3 })].into();
        let rules = Rules { files, ..Rules::default() };
        assert_eq!(rules.leaving(&left(&[("model.bin", "abc")]), 9).unwrap().counts, 3);
        assert!(rules.leaving(&left(&[("model.bin", "abcd")]), 9).unwrap_err().contains("3 bytes"));
    }

    #[test]
    fn rules_that_let_nothing_leave_or_say_what_nobody_understands_are_refused() {
        let keys = vec!["rows".to_owned()];
        let shape = Shape::Numbers { most: 1, keys, words: Vec::new(), rows: None };
        let anybodys = Rules { files: [("result.json".to_owned(), shape)].into(), ..Rules::default() };
        let json = String::from_utf8(anybodys.to_json()).unwrap();
        assert_eq!(Rules::read(json.as_bytes()).unwrap(), anybodys);
        for (from, to) in [
            (r#""rounds": 10"#, r#""rounds": 0"#),
            (r#""budget": 10000"#, r#""budget": 0"#),
            // The round alone.
            (r#""budget": 10000"#, r#""budget": 1"#),
            (r#""log": false"#, r#""budgetPerDay": 1"#),
            (r#""log": false"#, r#""logs": true"#),
            (r#""kind": "numbers""#, r#""kind": "everything""#),
            (r#""log": false"#, r#""tolerance": 10"#),
            (r#""log": false"#, r#""memory": 0"#),
            (r#""log": false"#, r#""memory": 1048577"#),
            (r#""log": false"#, r#""budgetPerDay": 0"#),
            (r#""result.json""#, r#""/result.json""#),
            (r#""result.json""#, r#""a/../../result.json""#),
            (r#""result.json""#, r#""""#),
            (r#""log": false"#, r#""approvalDays": 2"#),
            (r#""log": false"#, r#""approval": true, "approvalDays": 0"#),
            (r#""log": false"#, r#""approval": true, "approvalDays": 366"#),
        ] {
            assert!(json.contains(from) && Rules::read(json.replace(from, to).as_bytes()).is_err(), "{to}");
        }
        assert!(Rules::read(br#"{"files":{},"rounds":1,"budget":9}"#).is_err());
        let usual = String::from_utf8(Rules::usual(B256::ZERO).to_json()).unwrap();
        for (from, to, why) in [
            (r#""key": "rows""#, r#""key": "n""#, "is not among its `keys`"),
            (r#""least": 10"#, r#""least": 0"#, "of 0 rows or more"),
            (r#""most": 1000"#, r#""most": 0"#, "nothing in it"),
        ] {
            let said = Rules::read(usual.replace(from, to).as_bytes()).map_err(|error| error.to_string());
            assert!(usual.contains(from) && said.is_err_and(|said| said.contains(why)), "{to}");
        }
        for (rest, reads) in
            [(r#""budget":8"#, false), (r#""budget":9"#, true), (r#""budget":9,"budgetPerDay":8"#, false)]
        {
            let bytes = format!(r#"{{"files":{{"a":{{"kind":"anything","most":100}}}},"rounds":1,{rest}}}"#);
            assert_eq!(Rules::read(bytes.as_bytes()).is_ok(), reads, "{bytes}");
            let log = json.replace(r#""log": false"#, r#""log": true"#).replace(r#""budget": 10000"#, rest);
            assert_eq!(Rules::read(log.as_bytes()).is_ok(), reads, "{log}");
        }
        let looked_at = json.replace(r#""log": false"#, r#""log": true, "approval": true"#);
        assert_eq!(Rules::read(looked_at.as_bytes()).unwrap().patience(), 3 * 24 * 3600);
        assert!(Rules::read(looked_at.replace("result.json", "log.txt").as_bytes()).is_err());
        assert_ne!(Rules::default().hash(), Rules { log: true, ..Rules::default() }.hash());
    }
}

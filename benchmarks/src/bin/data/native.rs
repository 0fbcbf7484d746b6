//! The same program compiled for this machine, run as a process.

use crate::variable;
use eyre::{Result, WrapErr as _, ensure};
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// The program, and a folder in which it finds what it reads.
pub struct Native {
    program: PathBuf,
    folder: TempDir,
}

impl Native {
    /// Finds it.
    pub fn new() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::create_dir(folder.path().join("out"))?;
        for step in ["site", "combine/0"] {
            fs::create_dir_all(folder.path().join(step))?;
        }
        Ok(Self { program: variable("STOA_FEDERATED")?, folder })
    }

    /// Puts the table where it is found.
    pub fn put(&self, table: &str) -> Result<()> {
        Ok(fs::write(self.folder.path().join("site/table.csv"), table)?)
    }

    /// A step at a site. Its result, as JSON.
    pub fn step(&self, params: &Value) -> Result<String> {
        self.run(&self.folder.path().join("site"), params)
    }

    /// What the aggregator makes of the result of one site.
    pub fn combine(&self, result: &str) -> Result<Value> {
        let data = self.folder.path().join("combine");
        fs::write(data.join("0/result.json"), result)?;
        Ok(serde_json::from_str(&self.run(&data, &json!({ "step": "combine" }))?)?)
    }

    /// The same rounds as at several sites. The last result.
    pub fn rounds(&self, rounds: &[Map<String, Value>]) -> Result<Value> {
        let mut model = None;
        for params in rounds {
            let mut params = params.clone();
            params.extend(model.take().map(|model| ("model".to_owned(), model)));
            model = Some(self.combine(&self.step(&Value::Object(params))?)?);
        }
        model.ok_or_else(|| eyre::eyre!("there are no rounds"))
    }

    /// As many epochs as those rounds have, at once.
    pub fn at_once(&self, epochs: usize) -> Result<Value> {
        let model = self.combine(&self.step(&json!({ "step": "summarize" }))?)?;
        let model = self.combine(&self.step(&json!({ "step": "train", "epochs": epochs, "model": model }))?)?;
        self.combine(&self.step(&json!({ "step": "evaluate", "model": model }))?)
    }

    fn run(&self, data: &Path, params: &Value) -> Result<String> {
        fs::write(data.join("params.json"), params.to_string())?;
        let out = self.folder.path().join("out");
        let mut command = Command::new(&self.program);
        let status = command.arg(data).arg(&out).stdin(Stdio::null()).status();
        ensure!(status.wrap_err("the native program does not start")?.success(), "the native program failed");
        Ok(fs::read_to_string(out.join("result.json"))?)
    }
}

/// Whether two results are the same but for how numbers are rounded: `exp` is not the same in every library.
pub fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len() && one.iter().all(|(key, value)| other.get(key).is_some_and(|it| alike(value, it)))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
            (Some(one), Some(other)) => (one - other).abs() <= 1e-6 * (1.0 + one.abs()),
            _ => false,
        },
        _ => one == other,
    }
}

//! What is known of a job, as Ocean's clients are told of it and as it lies on the disk, and what it left.

use crate::jobs::Files;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io;
use stoa_base::since_1970;

/// How a job stands, by the numbers and words of Ocean's nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Started = 0,
    Queued = 1,
    Provisioning = 30,
    DataFailed = 31,
    Running = 40,
    Failed = 41,
    Filtering = 50,
    Withheld = 61,
    Finished = 70,
}

impl Status {
    const fn text(self) -> &'static str {
        match self {
            Self::Started => "Job started",
            Self::Queued => "Job queued",
            Self::Provisioning => "Provisioning data",
            Self::DataFailed => "Data provisioning failed",
            Self::Running => "Running algorithm ",
            Self::Failed => "Failed to run algorithm",
            Self::Filtering => "Filtering results",
            Self::Withheld => "Failed to get outputs folder from container",
            Self::Finished => "Job finished",
        }
    }
}

/// Seconds since 1970, as Ocean's nodes tell times: text, with milliseconds.
fn time() -> String {
    format!("{:.3}", since_1970().as_secs_f64())
}

/// A job, in the fields of Ocean's `ComputeJob`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Who started it, with a checksum.
    pub(super) owner: String,
    pub(super) job_id: String,
    pub(super) environment: String,
    #[serde(rename = "inputDID")]
    pub(super) inputs: Vec<String>,
    #[serde(rename = "algoDID")]
    pub(super) algorithm: Option<String>,
    /// The order of the first data set.
    pub(super) agreement_id: String,
    /// Which fee has paid for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) fee: Option<String>,
    pub(super) is_free: bool,
    /// Each with its id and amount.
    pub(super) resources: Vec<Value>,
    pub(super) max_job_duration: u64,
    pub(super) metadata: Value,
    pub(super) stop_requested: bool,
    pub(super) date_created: String,
    pub(super) date_finished: Option<String>,
    pub(super) status: u8,
    pub(super) status_text: String,
    pub(super) algo_start_timestamp: String,
    pub(super) algo_stop_timestamp: String,
    /// In seconds.
    pub(super) algo_duration: u64,
    pub(super) results: Vec<Kept>,
    pub(super) termination_details: Value,
}

/// Something that a job has left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its name, also in the job's folder.
    pub(super) filename: String,
    pub(super) filesize: u64,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) index: usize,
}

impl Record {
    /// It has begun.
    pub(super) fn begun(mut self) -> Self {
        self.date_created = time();
        (self.algo_start_timestamp, self.algo_stop_timestamp) = ("0".to_owned(), "0".to_owned());
        self.termination_details = json!({ "exitCode": null, "OOMKilled": null });
        self.set(Status::Started);
        self
    }

    pub(super) fn set(&mut self, status: Status) {
        (self.status, self.status_text) = (status as u8, status.text().to_owned());
        if status == Status::Running {
            self.algo_start_timestamp = time();
        }
    }

    /// The program has ended. How exactly is told where what it prints is.
    pub(super) fn ran(&mut self, exit: Option<u32>, memory: Option<bool>) {
        self.algo_stop_timestamp = time();
        let [from, to] = [&self.algo_start_timestamp, &self.algo_stop_timestamp].map(|at| at.parse().unwrap_or(0.0));
        self.algo_duration = f64::ceil(to - from) as u64;
        self.termination_details = json!({ "exitCode": exit, "OOMKilled": memory });
    }

    /// It is over, and has left these, each with its kind and size.
    pub(super) fn end(&mut self, status: Status, left: &[(&str, &str, usize)]) {
        self.set(status);
        self.date_finished = Some(time());
        let kept = |(index, (name, kind, size)): (usize, &(&str, &str, usize))| Kept {
            filename: (*name).to_owned(),
            filesize: *size as u64,
            kind: (*kind).to_owned(),
            index,
        };
        self.results = left.iter().enumerate().map(kept).collect();
    }

    pub(super) const fn is_over(&self) -> bool {
        self.date_finished.is_some()
    }

    pub(super) const fn is_running(&self) -> bool {
        self.status == Status::Running as u8
    }

    /// Whether what it would leave waits to be looked at: it needs nothing of the machine then.
    pub(super) const fn is_held(&self) -> bool {
        self.status == Status::Filtering as u8 && !self.is_over()
    }

    /// When it began, in seconds since 1970.
    pub(super) fn began(&self) -> f64 {
        self.date_created.parse().unwrap_or(0.0)
    }

    /// Whether it ended longer ago than so many seconds.
    pub(super) fn is_older(&self, seconds: u64) -> bool {
        let ended = self.date_finished.as_ref().map(|at| at.parse().unwrap_or(0.0));
        ended.is_some_and(|ended: f64| ended + (seconds as f64) < time().parse().unwrap_or(0.0))
    }
}

/// A tar archive of files in a folder of this name, which says nothing but their paths and what is in them.
pub(super) fn tar(folder: &str, files: &Files) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        archive.append_data(&mut header, format!("{folder}/{path}"), &**bytes)?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::Command};

    #[test]
    fn what_is_archived_comes_out_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let long = "deep/".repeat(40) + &"n".repeat(90);
        let files: Files = [
            ("empty".to_owned(), Vec::new()),
            ("result.json".to_owned(), b"{}".to_vec()),
            ("whole.bin".to_owned(), vec![7; 1024]),
            (long, b"far".to_vec()),
        ]
        .into();
        let archive = folder.path().join("outputs.tar");
        fs::write(&archive, tar("outputs", &files).unwrap()).unwrap();
        let status = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()).status().unwrap();
        assert!(status.success());
        for (path, bytes) in &files {
            assert_eq!(&fs::read(folder.path().join("outputs").join(path)).unwrap(), bytes, "{path}");
        }
        assert_eq!(tar("outputs", &files).unwrap(), fs::read(&archive).unwrap(), "no times, no names of people");
    }

    #[test]
    fn a_job_is_told_in_oceans_fields_and_read_again() {
        let inputs = vec!["did:op:01".to_owned()];
        let mut record = Record { owner: "0xA1".into(), job_id: "1-2".into(), inputs, ..Record::default() }.begun();
        assert_eq!((record.status, &*record.status_text), (0, "Job started"));
        assert!(!record.is_over() && !record.is_older(0));
        record.set(Status::Running);
        record.ran(Some(0), Some(false));
        record.end(Status::Finished, &[("algorithm.log", "algorithmLog", 3), ("outputs.tar", "output", 1024)]);
        assert!(record.is_over() && !record.is_older(60));
        let said = serde_json::to_value(&record).unwrap();
        assert_eq!((&said["jobId"], &said["status"]), (&json!("1-2"), &json!(70)));
        assert_eq!((&said["statusText"], &said["algoDID"]), (&json!("Job finished"), &Value::Null));
        assert_eq!(said["inputDID"], json!(["did:op:01"]));
        let output = json!({ "filename": "outputs.tar", "filesize": 1024, "type": "output", "index": 1 });
        assert_eq!(said["results"][1], output);
        assert_eq!(said["terminationDetails"], json!({ "exitCode": 0, "OOMKilled": false }));
        assert_eq!(serde_json::from_value::<Record>(said).unwrap(), record);
    }
}

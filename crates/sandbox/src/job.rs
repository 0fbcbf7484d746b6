//! What is to be run, beside what, and within which bounds.

use crate::Error;
use std::{collections::BTreeSet, fs::File, io::Read as _, path::PathBuf, sync::Arc, time::Duration};

/// Under which name in `/data` the parameters are seen.
pub const PARAMS: &str = "params.json";

/// Bytes of parameters at most.
const MOST_PARAMS: usize = 16 << 20;

/// Bytes or a place on this machine's disk.
#[derive(Clone, Debug)]
pub enum Source {
    /// The bytes themselves.
    Bytes(Arc<[u8]>),
    /// A file or folder.
    Path(PathBuf),
}

impl Source {
    /// The bytes, or those of the file.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or is longer than `most` bytes.
    pub(crate) fn read(&self, most: u64) -> Result<Arc<[u8]>, Error> {
        let too_long = || Error::Code(format!("it has more than {most} bytes"));
        match self {
            Self::Bytes(bytes) if bytes.len() as u64 > most => Err(too_long()),
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::Path(path) => {
                let mut bytes = Vec::new();
                let file = File::open(path).map_err(Error::input(path))?;
                file.take(most + 1).read_to_end(&mut bytes).map_err(Error::input(path))?;
                if bytes.len() as u64 > most { Err(too_long()) } else { Ok(bytes.into()) }
            }
        }
    }
}

impl From<&[u8]> for Source {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<PathBuf> for Source {
    fn from(path: PathBuf) -> Self {
        Self::Path(path)
    }
}

/// A file or folder that the program sees, and cannot change, as `/data/<name>`.
///
/// Links, sockets, pipes and devices within a folder are not followed: a WebAssembly program does not see them, a process
/// sees a link that leads to nothing outside of the sandbox. Whoever gives a folder keeps it unchanged while the job runs.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name: letters, digits, `.`, `_` and `-`, not beginning with a dot, at most 255, and not [`PARAMS`].
    pub name: String,
    /// What is seen there.
    pub source: Source,
}

impl Input {
    /// Whether an input may be called this.
    pub fn is_name(name: &str) -> bool {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        (1..=255).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain) && name != PARAMS
    }
}

/// One run of a program.
#[derive(Clone, Debug)]
pub struct Job {
    /// The program: for [`Wasm`](crate::Wasm) a module or component, for [`Process`](crate::Process) a file or folder, seen in `/code`.
    pub code: Source,
    /// The command line, the program's name first. [`Process`](crate::Process) runs it; a WebAssembly program gets it as its
    /// arguments.
    pub command: Vec<String>,
    /// What it works on.
    pub inputs: Vec<Input>,
    /// JSON, seen as `/data/params.json`. Empty means that there is no such file.
    pub params: Vec<u8>,
    /// Variables of its environment, name and value, beside those that each process has. WebAssembly programs have none.
    pub variables: Vec<(String, String)>,
    /// Where a process finds something a second time, for programs that look for it at a place of their own: links, each with the path
    /// that it leads to. WebAssembly programs have none.
    pub links: Vec<(String, String)>,
    /// What it may use.
    pub limits: Limits,
    /// What all randomness of a WebAssembly program comes from. A process draws its own.
    pub seed: [u8; 32],
    /// Seconds since 1970 at which a WebAssembly program's clock starts. A process sees the machine's.
    pub time: u64,
    /// Whose program it is, if it is somebody's: of each sender's programs one is compiled at a time, so that nobody holds others up.
    pub sender: Option<[u8; 32]>,
}

impl Job {
    /// A job with the limits of [`Limits::default`], without inputs and parameters.
    pub fn new(code: impl Into<Source>) -> Self {
        Self {
            code: code.into(),
            command: Vec::new(),
            inputs: Vec::new(),
            params: Vec::new(),
            variables: Vec::new(),
            links: Vec::new(),
            limits: Limits::default(),
            seed: [0; 32],
            time: 0,
            sender: None,
        }
    }

    /// Checks what can be checked before anything is read.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.params.len() > MOST_PARAMS {
            return Err(Error::Job(format!(
                "parameters may have {MOST_PARAMS} bytes, these have {}",
                self.params.len()
            )));
        }
        if !self.params.is_empty() {
            serde_json::from_slice::<serde::de::IgnoredAny>(&self.params)
                .map_err(|error| Error::Job(format!("the parameters are not JSON: {error}")))?;
        }
        if self.command.iter().map(|word| word.len() + 1).sum::<usize>() > 64 << 10
            || self.command.iter().any(|word| word.contains('\0'))
        {
            return Err(Error::Job("a command line has at most 64 KiB and no zero bytes".into()));
        }
        let mut texts = self.variables.iter().chain(&self.links).flat_map(|(one, other)| [one, other]);
        if texts.any(|text| text.contains('\0'))
            || self.variables.iter().any(|(name, _)| name.is_empty() || name.contains('='))
            || self.links.iter().any(|(link, _)| !link.starts_with('/'))
        {
            return Err(Error::Job("want variables as name and value, and links by their whole path".into()));
        }
        let mut names = BTreeSet::new();
        for Input { name, .. } in &self.inputs {
            if !Input::is_name(name) {
                return Err(Error::Job(format!("{name:?} is no name for an input: letters, digits, '.', '_' and '-'")));
            }
            if !names.insert(name) {
                return Err(Error::Job(format!("two inputs are named {name:?}")));
            }
        }
        Ok(())
    }
}

/// What a program may use. Which of them end it and which are refusals that it sees, [`Ended`](crate::Ended) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps of a WebAssembly program: one an instruction, one for eight bytes moved by the system, and 500 for each call of
    /// it. Processes have none.
    pub fuel: u64,
    /// Processor time of all processes together. WebAssembly has fuel instead.
    pub cpu: Duration,
    /// Time that passes on the wall, without compilation.
    pub wall: Duration,
    /// How much more of it than [so many times](Self::WALL_PER_CPU) the processor time so far, of processes: who waits long without
    /// computing is ended. Without a bound if nothing else is said; a WebAssembly program does not wait.
    pub idle: Duration,
    /// Bytes of memory: of a WebAssembly program's memories and tables, of all processes together and of each one.
    pub memory: u64,
    /// Bytes of all files under `/out`. They are held in memory.
    pub output_bytes: u64,
    /// Files and folders under `/out`.
    pub output_files: u64,
    /// Bytes under `/tmp`, likewise; as many files as under `/out`, and 10,000 more, those under `/dev/shm` included.
    pub scratch_bytes: u64,
    /// Bytes of what is written to standard output and standard error that are kept.
    pub log_bytes: u64,
    /// Processes and threads at one time. WebAssembly has one.
    pub processes: u32,
}

impl Limits {
    /// How many times as long as they compute processes may take, besides [`idle`](Self::idle). Those that have an eighth of a processor, for
    /// others keep the machine busy, do not wait of their own accord.
    pub const WALL_PER_CPU: u32 = 8;
}

impl Default for Limits {
    /// 10^11 steps or two minutes of a processor, five minutes, 512 MiB of memory, 64 MiB in 1,000 files, as many bytes to
    /// work with, a log of 1 MiB, 64 processes.
    fn default() -> Self {
        Self {
            fuel: 100_000_000_000,
            cpu: Duration::from_secs(120),
            wall: Duration::from_secs(300),
            idle: Duration::MAX,
            memory: 512 << 20,
            output_bytes: 64 << 20,
            output_files: 1_000,
            scratch_bytes: 64 << 20,
            log_bytes: 1 << 20,
            processes: 64,
        }
    }
}

/// Files and folders under `/tmp` beyond those that `/out` may have.
pub(crate) const SCRATCH_FILES: u64 = 10_000;

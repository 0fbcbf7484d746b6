//! The command line of `bwrap`: what a program sees, and as whom it runs.

use super::{environment, is_there};
use crate::{Error, Input, Job, PARAMS, Source};
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

/// Folders of the system with programs and libraries. On today's systems all but the first are links into it.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"];
/// What programs need to find libraries and each other.
const SETTINGS: [&str; 3] = ["/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/alternatives"];
/// Bytes under `/dev/shm`, where semaphores are.
const SHARED: u64 = 1 << 20;
/// Bytes that a file in memory takes at least.
const PAGE: u64 = 4096;

/// Builds the command line up to the descriptors, which whoever starts it adds before the last part.
pub(super) struct Arguments {
    /// Namespaces, mounts, environment.
    pub sandbox: Vec<OsString>,
    /// Variables of the job's own.
    pub variables: Vec<(String, String)>,
    /// Where programs and libraries are that the job has not brought itself.
    pub programs: Vec<PathBuf>,
    /// The program's own command line.
    pub command: Vec<OsString>,
}

/// The arguments for a job. What it has as bytes is written into the folder `stage`.
///
/// # Errors
///
/// If an input or the code is not there, or the stage cannot be written.
pub(super) fn arguments(job: &Job, stage: &Path, folders: &[PathBuf]) -> Result<Arguments, Error> {
    let mut sandbox: Vec<OsString> = Vec::new();
    let mut add = |words: &[&dyn AsRef<OsStr>]| sandbox.extend(words.iter().map(|word| word.as_ref().to_owned()));
    for namespace in ["user", "pid", "net", "ipc", "uts"] {
        add(&[&format!("--unshare-{namespace}")]);
    }
    add(&[&"--unshare-cgroup-try", &"--die-with-parent", &"--new-session", &"--cap-drop", &"ALL"]);
    add(&[&"--uid", &"1000", &"--gid", &"1000", &"--hostname", &"sandbox"]);

    add(&[&"--clearenv"]);
    let own = folders.iter().map(|folder| folder.join("bin"));
    let places = own.chain(["/usr/local/bin", "/usr/bin", "/bin"].map(PathBuf::from));
    let path = std::env::join_paths(places).map_err(|error| Error::Machine(format!("a folder shown: {error}")))?;
    add(&[&"--setenv", &"PATH", &path]);
    for (name, value) in [
        ("HOME", "/tmp"),
        ("TMPDIR", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("USER", "user"),
        // One thread for each processor is many threads, with much memory each.
        ("OMP_NUM_THREADS", "4"),
        ("OPENBLAS_NUM_THREADS", "4"),
    ] {
        add(&[&"--setenv", &name, &value]);
    }

    for place in SYSTEM {
        match fs::read_link(place) {
            Ok(target) => add(&[&"--symlink", &target, &place]),
            Err(_) if is_there(Path::new(place)) => add(&[&"--ro-bind", &place, &place]),
            Err(_) => {}
        }
    }
    for place in SETTINGS {
        add(&[&"--ro-bind-try", &place, &place]);
    }
    add(&[&"--proc", &"/proc", &"--dev", &"/dev"]);
    // What the machine was started with names disks and hosts.
    add(&[&"--ro-bind", &"/dev/null", &"/proc/cmdline"]);

    add(&[&"--dir", &"/data"]);
    for Input { name, source } in &job.inputs {
        let from = place(source, &stage.join("data").join(name), 0o444)?;
        add(&[&"--ro-bind", &from, &format!("/data/{name}")]);
    }
    if !job.params.is_empty() {
        let from = place(&Source::from(&job.params[..]), &stage.join("data").join(PARAMS), 0o444)?;
        add(&[&"--ro-bind", &from, &format!("/data/{PARAMS}")]);
    }
    let code = place(&job.code, &stage.join("main"), 0o555)?;
    if code.is_dir() {
        add(&[&"--ro-bind", &code, &"/code"]);
    } else {
        let name = code.file_name().unwrap_or(OsStr::new("main"));
        add(&[&"--dir", &"/code", &"--ro-bind", &code, &Path::new("/code").join(name)]);
    }

    for (link, to) in &job.links {
        add(&[&"--symlink", to, link]);
    }

    let limits = &job.limits;
    // Every file takes whole pages, and what is more than allowed has to fit, so that it is noticed.
    let out = limits.output_bytes.saturating_add(limits.output_files.saturating_add(2).saturating_mul(PAGE));
    for (size, place) in [(out, "/out"), (limits.scratch_bytes.max(PAGE), "/tmp"), (SHARED, "/dev/shm")] {
        // Beyond this bubblewrap takes a size for none.
        add(&[&"--size", &size.min(i64::MAX.cast_unsigned() / 2).to_string(), &"--tmpfs", &place]);
    }
    // Last, for they may lie below one of these.
    let bases = folders.iter().filter_map(|folder| environment::base(folder));
    let bases = bases.filter(|base| !SYSTEM.iter().any(|place| base.starts_with(place)));
    let mut programs: Vec<_> = bases.chain(folders.iter().cloned()).collect();
    for folder in &programs {
        let from = fs::canonicalize(folder).map_err(Error::input(folder))?;
        add(&[&"--ro-bind", &from, folder]);
    }
    programs.extend(SYSTEM.map(PathBuf::from));
    // The system's own switches among them: root's would be writable.
    for place in ["/proc", "/dev", "/"] {
        add(&[&"--remount-ro", &place]);
    }
    add(&[&"--chdir", &"/tmp"]);
    let command = job.command.iter().map(OsString::from).collect();
    Ok(Arguments { sandbox, variables: job.variables.clone(), programs, command })
}

/// Where something lies on this machine: where it is, or staged.
fn place(source: &Source, staged: &Path, mode: u32) -> Result<PathBuf, Error> {
    match source {
        Source::Path(path) => fs::canonicalize(path).map_err(Error::input(path)),
        Source::Bytes(bytes) => {
            let write = || {
                fs::create_dir_all(staged.parent().unwrap_or(staged))?;
                fs::write(staged, bytes)?;
                fs::set_permissions(staged, fs::Permissions::from_mode(mode))
            };
            write().map_err(Error::input(staged)).map(|()| staged.to_owned())
        }
    }
}

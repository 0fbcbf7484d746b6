//! Landlock: what a program may do with what it sees, kept by a part of the kernel that knows nothing of mounts and namespaces.
//!
//! It stands behind bubblewrap's walls, for the case that one of them has a hole, and forbids what they do not: to open
//! terminals (`/dev/ptmx`) and to make other calls of devices (`ioctl`), to look into the sandbox's own first process, to
//! execute what lies under `/data` and `/out`.
//!
//! Whoever is under it may mount nothing, so bubblewrap cannot be. This side makes the rules once its mounts are there, on
//! the folders as the sandbox has them; inside, [`launch()`](super::launch()) takes them upon itself and becomes the program.

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2},
    io::Errno,
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    path::{Path, PathBuf},
    ptr,
};

// `LANDLOCK_ACCESS_FS_*` of linux/landlock.h.
const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_FOLDER: u64 = 1 << 3;
/// Removes folders and files.
const REMOVE: u64 = (1 << 4) | (1 << 5);
/// Makes folders, files, sockets, pipes and links: all but devices.
const MAKE: u64 = (1 << 7) | (1 << 8) | (1 << 9) | (1 << 10) | (1 << 12);
/// Moves and links between folders.
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;

/// What may be allowed on a file; the rest is about folders.
const OF_A_FILE: u64 = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;
const READ: u64 = READ_FILE | READ_FOLDER;
const RUN: u64 = READ | EXECUTE;
const WRITE: u64 = READ | WRITE_FILE | REMOVE | MAKE | REFER | TRUNCATE;

/// What may be done below which folder, beside running programs. What is allowed for a folder is allowed for those below it.
const PLACES: [(&str, u64); 8] = [
    ("/", READ_FOLDER),
    ("/etc", READ),
    ("/proc", READ),
    ("/data", READ),
    ("/code", RUN),
    ("/out", WRITE),
    // What compiles programs runs them here.
    ("/tmp", WRITE | EXECUTE),
    ("/dev/shm", WRITE),
];
/// Devices that are no more than files. No terminal is among them.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// The first version of the interface under which files can be moved between folders, which programs do (Linux 5.19).
const LEAST: u32 = 2;
/// `LANDLOCK_CREATE_RULESET_VERSION`: tells the version, and makes nothing.
const VERSION: libc::c_uint = 1;
/// `LANDLOCK_RULE_PATH_BENEATH`.
const BENEATH: libc::c_uint = 1;
const NO_FLAGS: libc::c_uint = 0;

/// `struct landlock_ruleset_attr`: all that is refused unless a rule allows it.
#[repr(C)]
struct Refused {
    files: u64,
    network: u64,
    scopes: u64,
}

impl Refused {
    /// All that a version knows and there is a reason to refuse.
    fn under(version: u32) -> Self {
        let files = match version {
            ..=2 => 14,
            3 | 4 => 15,
            // Calls of devices.
            5.. => 16,
        };
        Self {
            files: (1 << files) - 1,
            // TCP: to listen, to connect.
            network: if version >= 4 { 0b11 } else { 0 },
            // Outside of the program and its children: sockets without a file, signals.
            scopes: if version >= 6 { 0b11 } else { 0 },
        }
    }
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    folder: RawFd,
}

/// The version of the interface that the kernel has, if it has one that is of use.
#[expect(unsafe_code, reason = "calls of the kernel")]
pub(super) fn version() -> Option<u32> {
    // SAFETY: with this flag there are no attributes.
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, ptr::null::<Refused>(), 0_usize, VERSION) };
    u32::try_from(version).ok().filter(|version| *version >= LEAST)
}

/// Rules, which bind nobody until somebody takes them upon himself.
pub(super) struct Rules {
    descriptor: OwnedFd,
    refused: Refused,
}

impl Rules {
    /// Rules that allow nothing, for a version of the interface that the kernel has.
    ///
    /// # Errors
    ///
    /// If the kernel refuses.
    #[expect(unsafe_code, reason = "calls of the kernel")]
    pub fn new(version: u32) -> io::Result<Self> {
        let refused = Refused::under(version);
        // SAFETY: the attributes are as long as is said; those that a version does not know yet are zero, which it takes.
        let made = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, ptr::from_ref(&refused), size_of::<Refused>(), NO_FLAGS)
        };
        match RawFd::try_from(made) {
            // SAFETY: the kernel has just opened it, closed in programs that are executed, and nobody else knows it.
            Ok(made @ 0..) => Ok(Self { descriptor: unsafe { OwnedFd::from_raw_fd(made) }, refused }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Their descriptor, for [`take`].
    pub fn descriptor(&self) -> RawFd {
        self.descriptor.as_raw_fd()
    }

    /// Allows what a sandbox with this root is for, and to run what lies in these folders.
    ///
    /// # Errors
    ///
    /// If a place cannot be opened, or the kernel refuses.
    pub fn allow(&self, root: &OwnedFd, programs: &[PathBuf]) -> io::Result<()> {
        let places = PLACES.iter().map(|(place, allowed)| (Path::new(place), *allowed));
        let devices = DEVICES.iter().map(|place| (Path::new(place), READ_FILE | WRITE_FILE));
        let programs = programs.iter().map(|place| (place.as_path(), RUN));
        for (place, allowed) in places.chain(devices).chain(programs) {
            // No link leads out of the sandbox.
            match openat2(root, place, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT) {
                Ok(found) => self.add(&found, allowed)?,
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[expect(unsafe_code, reason = "calls of the kernel")]
    fn add(&self, place: &OwnedFd, allowed: u64) -> io::Result<()> {
        let is_folder = FileType::from_raw_mode(fstat(place)?.st_mode).is_dir();
        let allowed = self.refused.files & if is_folder { allowed } else { allowed & OF_A_FILE };
        let rule = Beneath { allowed, folder: place.as_fd().as_raw_fd() };
        // SAFETY: the kernel reads one rule, and knows the length of this kind.
        let added = unsafe {
            libc::syscall(libc::SYS_landlock_add_rule, self.descriptor(), BENEATH, ptr::from_ref(&rule), NO_FLAGS)
        };
        if added == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

/// Takes rules upon this thread and all that it starts from now on. Of its descriptors the first three alone go to what it
/// executes.
///
/// # Errors
///
/// If the kernel refuses: these are no rules, or the process might still get rights by what it executes.
#[expect(unsafe_code, reason = "calls of the kernel")]
pub(super) fn take(rules: RawFd) -> io::Result<()> {
    // SAFETY: these calls take numbers and touch no memory.
    let taken = unsafe {
        libc::syscall(libc::SYS_landlock_restrict_self, rules, NO_FLAGS) == 0
            && libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) == 0
    };
    if taken { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_version_does_not_know_is_not_asked_of_it() {
        let refused = [2, 3, 4, 5, 6, 7, 100].map(Refused::under);
        let bits = refused.map(|Refused { files, network, scopes }| (files.count_ones(), network, scopes));
        assert_eq!(bits, [(14, 0, 0), (15, 0, 0), (15, 3, 0), (16, 3, 0), (16, 3, 3), (16, 3, 3), (16, 3, 3)]);
    }

    #[test]
    fn rules_are_none_for_the_kernel_unless_they_are() {
        assert!(take(-1).is_err());
        let Some(version) = version() else { return };
        // Each of the older ones as well, which a newer kernel takes as they are.
        for version in LEAST..=version {
            let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
            Rules::new(version).unwrap().allow(&root, &["/usr".into(), "/no-such-folder".into()]).unwrap();
        }
    }
}

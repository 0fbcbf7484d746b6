//! The values that calls take and give, as the declarations have them.

use super::resources::Failure;
use crate::wasm::errno::Errno;
use wasmtime::component::{ComponentType, Lift, Lower, Resource, flags};

/// An enumeration of the declarations: of names in their order.
macro_rules! enumeration {
    ($(#[$attribute:meta])* $name:ident { $($case:ident = $text:literal,)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
        #[component(enum)]
        #[repr(u8)]
        #[allow(dead_code, reason = "what a declaration has and nothing here says")]
        pub(in crate::wasm) enum $name {
            $(#[component(name = $text)] $case,)*
        }
    };
}
pub(super) use enumeration;

enumeration! { ErrorCode {
    Access = "access",
    WouldBlock = "would-block",
    Already = "already",
    BadDescriptor = "bad-descriptor",
    Busy = "busy",
    Deadlock = "deadlock",
    Quota = "quota",
    Exist = "exist",
    FileTooLarge = "file-too-large",
    IllegalByteSequence = "illegal-byte-sequence",
    InProgress = "in-progress",
    Interrupted = "interrupted",
    Invalid = "invalid",
    Io = "io",
    IsDirectory = "is-directory",
    Loop = "loop",
    TooManyLinks = "too-many-links",
    MessageSize = "message-size",
    NameTooLong = "name-too-long",
    NoDevice = "no-device",
    NoEntry = "no-entry",
    NoLock = "no-lock",
    InsufficientMemory = "insufficient-memory",
    InsufficientSpace = "insufficient-space",
    NotDirectory = "not-directory",
    NotEmpty = "not-empty",
    NotRecoverable = "not-recoverable",
    Unsupported = "unsupported",
    NoTty = "no-tty",
    NoSuchDevice = "no-such-device",
    Overflow = "overflow",
    NotPermitted = "not-permitted",
    Pipe = "pipe",
    ReadOnly = "read-only",
    InvalidSeek = "invalid-seek",
    TextFileBusy = "text-file-busy",
    CrossDevice = "cross-device",
} }

impl From<Errno> for ErrorCode {
    fn from(error: Errno) -> Self {
        match error {
            Errno::TooBig => Self::Overflow,
            Errno::BadFile => Self::BadDescriptor,
            Errno::Exists => Self::Exist,
            Errno::Fault | Errno::Invalid => Self::Invalid,
            Errno::FileTooBig => Self::FileTooLarge,
            Errno::BadText => Self::IllegalByteSequence,
            Errno::Io => Self::Io,
            Errno::IsFolder => Self::IsDirectory,
            Errno::TooManyFiles => Self::InsufficientMemory,
            Errno::NameTooLong => Self::NameTooLong,
            Errno::NotFound => Self::NoEntry,
            Errno::NoSpace => Self::InsufficientSpace,
            Errno::NotFolder => Self::NotDirectory,
            Errno::NotEmpty => Self::NotEmpty,
            Errno::NotSocket | Errno::NotSupported => Self::Unsupported,
            Errno::ReadOnly => Self::ReadOnly,
            Errno::NotSeekable => Self::InvalidSeek,
            Errno::OtherFileSystem => Self::CrossDevice,
            Errno::NotCapable => Self::NotPermitted,
        }
    }
}

enumeration! { DescriptorType {
    Unknown = "unknown",
    BlockDevice = "block-device",
    CharacterDevice = "character-device",
    Directory = "directory",
    Fifo = "fifo",
    SymbolicLink = "symbolic-link",
    RegularFile = "regular-file",
    Socket = "socket",
} }

enumeration! { Advice {
    Normal = "normal",
    Sequential = "sequential",
    Random = "random",
    WillNeed = "will-need",
    DontNeed = "dont-need",
    NoReuse = "no-reuse",
} }

flags! { DescriptorFlags {
    #[component(name = "read")]
    const READ;
    #[component(name = "write")]
    const WRITE;
    #[component(name = "file-integrity-sync")]
    const FILE_INTEGRITY_SYNC;
    #[component(name = "data-integrity-sync")]
    const DATA_INTEGRITY_SYNC;
    #[component(name = "requested-write-sync")]
    const REQUESTED_WRITE_SYNC;
    #[component(name = "mutate-directory")]
    const MUTATE_DIRECTORY;
} }

flags! { PathFlags {
    #[component(name = "symlink-follow")]
    const SYMLINK_FOLLOW;
} }

flags! { OpenFlags {
    #[component(name = "create")]
    const CREATE;
    #[component(name = "directory")]
    const DIRECTORY;
    #[component(name = "exclusive")]
    const EXCLUSIVE;
    #[component(name = "truncate")]
    const TRUNCATE;
} }

#[derive(Clone, Copy, Debug, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct Datetime {
    #[component(name = "seconds")]
    seconds: u64,
    #[component(name = "nanoseconds")]
    nanoseconds: u32,
}

impl Datetime {
    pub fn from_nanoseconds(time: u64) -> Self {
        const SECOND: u64 = 1_000_000_000;
        // What is left of a second fits.
        Self { seconds: time / SECOND, nanoseconds: (time % SECOND) as u32 }
    }
}

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(variant)]
#[allow(dead_code, reason = "files have the time that they have")]
pub(super) enum NewTimestamp {
    #[component(name = "no-change")]
    NoChange,
    #[component(name = "now")]
    Now,
    #[component(name = "timestamp")]
    Timestamp(Datetime),
}

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct DescriptorStat {
    #[component(name = "type")]
    pub kind: DescriptorType,
    #[component(name = "link-count")]
    pub link_count: u64,
    #[component(name = "size")]
    pub size: u64,
    #[component(name = "data-access-timestamp")]
    pub accessed: Option<Datetime>,
    #[component(name = "data-modification-timestamp")]
    pub modified: Option<Datetime>,
    #[component(name = "status-change-timestamp")]
    pub changed: Option<Datetime>,
}

#[derive(Clone, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct DirectoryEntry {
    #[component(name = "type")]
    pub kind: DescriptorType,
    #[component(name = "name")]
    pub name: String,
}

#[derive(Clone, Copy, Debug, ComponentType, Lift, Lower)]
#[component(record)]
pub(super) struct MetadataHash {
    #[component(name = "lower")]
    pub lower: u64,
    #[component(name = "upper")]
    pub upper: u64,
}

#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
pub(super) enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Failure>),
    #[component(name = "closed")]
    Closed,
}

use crate::{BlobHash, InvalidFolder, InvalidManifest, ObjectId, Owner, Report};
use std::{io, path::PathBuf};

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The index could not be read or written. After a failed write it takes no more until the store is opened anew.
    #[error("the store's index: {0}; what was stored before is safe, open the store again once the disk has room")]
    Index(#[from] fjall::Error),
    /// The index holds what nobody wrote.
    #[error("the store's index is damaged: {0}")]
    Damaged(&'static str),
    /// Another process has the store open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The disk has too little room for what would be promised.
    #[error(
        "the disk is full: {needed} bytes are needed, {free} of its free bytes are not promised to others or kept as a margin"
    )]
    DiskFull {
        /// Bytes asked for.
        needed: u64,
        /// Bytes that could be had.
        free: u64,
    },
    /// The store is not allowed to take more.
    #[error(
        "the store is full: {needed} bytes are needed, {free} of its {limit} are free; remove objects or raise its limit"
    )]
    StoreFull {
        /// Bytes asked for.
        needed: u64,
        /// Bytes that could be had.
        free: u64,
        /// Bytes in all.
        limit: u64,
    },
    /// The store is not allowed to take more for those whom nobody knows.
    #[error(
        "those who are no registered nodes may fill this store up to {limit} bytes, {free} of which are free, and {needed} are \
         needed: ask another node"
    )]
    Strangers {
        /// Bytes asked for.
        needed: u64,
        /// Bytes that could be had.
        free: u64,
        /// Bytes in all.
        limit: u64,
    },
    /// Somebody is charged for as much as he may be.
    #[error(
        "{owner} may have {limit} bytes kept here, for itself and for others, and has {free} left: {needed} are needed"
    )]
    Quota {
        /// Who: the owner, or whoever asks in his name.
        owner: Owner,
        /// Bytes asked for.
        needed: u64,
        /// Bytes that could be had.
        free: u64,
        /// Bytes in all.
        limit: u64,
    },
    /// There is no such blob here.
    #[error("blob {0} is not here")]
    NotHere(BlobHash),
    /// A blob on this disk is not what it was.
    #[error("blob {0} is damaged on this disk: what is read there has another hash")]
    Corrupt(BlobHash),
    /// Bytes from outside are not the blob's.
    #[error("these are not the bytes of blob {hash}: {why}")]
    Refused {
        /// Which blob.
        hash: BlobHash,
        /// What is wrong.
        why: String,
    },
    /// A file was written to while it was read.
    #[error("{0} changed while it was read: nothing was stored, put it again")]
    Changed(PathBuf),
    /// Pieces are missing.
    #[error("{have} of the {needed} pieces that object {id} needs are here")]
    TooFewPieces {
        /// Which object.
        id: ObjectId,
        /// Pieces that are here.
        have: usize,
        /// Pieces that suffice.
        needed: usize,
    },
    /// The pieces, each what the manifest says, don't make the content that it says.
    #[error("the pieces of object {0} do not make its content: whoever made its manifest made it wrong")]
    Inconsistent(ObjectId),
    /// Such an object cannot be.
    #[error("an object may have at most 1 PiB, this one is longer")]
    TooLarge,
    /// What was to be read has another length.
    #[error("expected {expected} bytes, came {came}")]
    Length {
        /// Bytes announced.
        expected: u64,
        /// Bytes that came.
        came: u64,
    },
    /// Nobody who was asked gave enough of it.
    #[error("object {id} cannot be had: {why}; faults of those who were asked: {}", faults(.reports))]
    NotFetched {
        /// Which object.
        id: ObjectId,
        /// What is missing.
        why: String,
        /// What each one did.
        reports: Vec<Report>,
    },
    /// Strangers would be able to read it.
    #[error("object {0} is not sealed: whoever keeps pieces of it could read it; seal it, or say that it is public")]
    NotSealed(ObjectId),
    /// The nodes are not known.
    #[error("the registry of nodes cannot be read: {0}")]
    NoMembers(String),
    /// Pieces cannot be put anywhere.
    #[error("pieces of object {0} are gone, and no other node has room for them")]
    NoRoom(ObjectId),
    /// Too few nodes have room.
    #[error(transparent)]
    NoPlace(#[from] crate::NoPlace),
    /// It has no pieces.
    #[error("object {0} is kept whole: it cannot be spread over nodes")]
    NotCoded(ObjectId),
    /// More would have to be moved than may be.
    #[error("{needed} bytes would have to be moved, {allowed} may be")]
    TooMuchTraffic {
        /// Bytes to move.
        needed: u64,
        /// Bytes allowed.
        allowed: u64,
    },
    /// A manifest is none.
    #[error(transparent)]
    Manifest(#[from] InvalidManifest),
    /// A folder is none.
    #[error(transparent)]
    Folder(#[from] InvalidFolder),
    /// A folder that would fill the disk or has no end.
    #[error("the folder is beyond its bounds: only so many {0}")]
    FolderBounds(&'static str),
    /// What was asked for is of the other kind.
    #[error("object {0} is no folder")]
    NotAFolder(ObjectId),
}

fn faults(reports: &[Report]) -> String {
    if reports.is_empty() {
        return "none".into();
    }
    reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl Error {
    /// With the file that it happened to.
    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |error| Self::File { path, error }
    }
}

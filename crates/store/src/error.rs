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
    #[error("the store's index: {}", unusable(.0))]
    Index(#[from] fjall::Error),
    /// The index holds what nobody wrote.
    #[error("the store's index is damaged: {0}")]
    Damaged(&'static str),
    /// Another process has the store open.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The disk has too little room for what would be promised.
    #[error(
        "the disk is full: the next {needed} bytes find no room. Its last {margin} bytes stay free, for the index and for others on \
         the machine, and {free} are left that are neither those nor promised"
    )]
    DiskFull {
        /// Bytes asked for: of what is written, the next ones only.
        needed: u64,
        /// Bytes that could be had.
        free: u64,
        /// Bytes that stay free.
        margin: u64,
    },
    /// The store is not allowed to take more.
    #[error(
        "the store is full: the next {needed} bytes find no room, {free} of its {limit} are free; remove objects or raise its limit"
    )]
    StoreFull {
        /// Bytes asked for: of what is written, the next ones only.
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
    /// The pieces make the content that the manifest says, and not these, by the hashes that it has for them.
    #[error("the hashes of {} of the pieces of object {id} are none of pieces that make its content", .pieces.len())]
    WrongPieces {
        /// Which object.
        id: ObjectId,
        /// Numbers of the pieces.
        pieces: Vec<usize>,
    },
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

/// Why the index could not be used, and what to do about it.
fn unusable(error: &fjall::Error) -> String {
    let Some(cause) = system(error) else {
        return format!("{error}; what was stored before is as it was, open the store again when its disk has room");
    };
    let remedy = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "what was stored before is safe, open the store again once the disk has room"
        }
        io::ErrorKind::PermissionDenied => "whoever opens a store has to be allowed to read and write all of it",
        io::ErrorKind::ReadOnlyFilesystem => {
            "a store can be opened only where it can be written: mount its disk for writing, or open a copy"
        }
        _ => "what was stored before is as it was, open the store again once the disk can be used",
    };
    format!("{cause}; {remedy}")
}

/// The operating system's error that is behind another.
fn system<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a io::Error> {
    error.downcast_ref::<io::Error>().or_else(|| system(error.source()?))
}

impl Error {
    /// With the file that it happened to.
    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        |error| Self::File { path, error }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_the_index_cannot_be_used_says_what_to_do() {
        for (kind, remedy) in [
            (io::ErrorKind::StorageFull, "once the disk has room"),
            (io::ErrorKind::ReadOnlyFilesystem, "for writing"),
            (io::ErrorKind::PermissionDenied, "allowed"),
            (io::ErrorKind::NotADirectory, "as it was"),
        ] {
            let error = || io::Error::new(kind, "no");
            for error in [fjall::Error::from(error()), fjall::Error::Storage(error().into())] {
                let said = Error::from(error).to_string();
                assert!(said.contains("no; ") && said.contains(remedy), "{said}");
                assert_eq!(said.contains("has room"), kind == io::ErrorKind::StorageFull, "{said}");
            }
        }
        assert!(Error::from(fjall::Error::Poisoned).to_string().contains("open the store again"));
    }
}

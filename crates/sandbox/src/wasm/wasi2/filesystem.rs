//! Which call on files leads where.

use super::{
    files,
    link::interface,
    resources::{Descriptor, Failure, InputStream, Listing, OutputStream, close},
    types::{
        Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, ErrorCode, MetadataHash, NewTimestamp,
        OpenFlags, PathFlags,
    },
};
use crate::wasm::{errno::Errno, run::Run, system::Stop};
use wasmtime::{
    Result,
    component::{Linker, Resource},
};

/// What a call tells: what it did, or why not.
fn told<T>(done: Result<T, Errno>) -> Result<Result<T, ErrorCode>> {
    Ok(done.map_err(ErrorCode::from))
}

type This = Resource<Descriptor>;
type Told<T> = Result<T, ErrorCode>;

pub(super) fn link(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "filesystem/types";
        resource "descriptor": Descriptor => |system, gone| close(system, gone.id);
        resource "directory-entry-stream": Listing => |system, gone| close(system, gone.id);
        "[method]descriptor.read-via-stream"(this: This, offset: u64) -> Told<Resource<InputStream>> =>
            |system| told(files::read_via_stream(system, &this, offset));
        "[method]descriptor.write-via-stream"(this: This, offset: u64) -> Told<Resource<OutputStream>> =>
            |system| told(files::write_via_stream(system, &this, Some(offset)));
        "[method]descriptor.append-via-stream"(this: This) -> Told<Resource<OutputStream>> =>
            |system| told(files::write_via_stream(system, &this, None));
        "[method]descriptor.advise"(this: This, _offset: u64, _length: u64, _advice: Advice) -> Told<()> =>
            |system| told(files::nothing(system, &this));
        "[method]descriptor.sync-data"(this: This) -> Told<()> => |system| told(files::nothing(system, &this));
        "[method]descriptor.get-flags"(this: This) -> Told<DescriptorFlags> =>
            |system| told(files::flags(system, &this));
        "[method]descriptor.get-type"(this: This) -> Told<DescriptorType> =>
            |system| told(files::kind_of(system, &this));
        "[method]descriptor.set-size"(this: This, size: u64) -> Told<()> =>
            |system| told(files::set_size(system, &this, size));
        "[method]descriptor.set-times"(this: This, _accessed: NewTimestamp, _modified: NewTimestamp) -> Told<()> =>
            |system| told(files::nothing(system, &this));
        "[method]descriptor.read"(this: This, length: u64, offset: u64) -> Told<(Vec<u8>, bool)> =>
            |system| told(files::read(system, &this, length, offset));
        "[method]descriptor.write"(this: This, bytes: Vec<u8>, offset: u64) -> Told<u64> =>
            |system| told(files::write(system, &this, &bytes, offset));
        "[method]descriptor.read-directory"(this: This) -> Told<Resource<Listing>> =>
            |system| told(files::read_directory(system, &this));
        "[method]descriptor.sync"(this: This) -> Told<()> => |system| told(files::nothing(system, &this));
        "[method]descriptor.create-directory-at"(this: This, path: String) -> Told<()> => |system| {
            let found = files::locate(system, &this, &path);
            told(found.and_then(|found| system.files.create_folder_at(&found)))
        };
        "[method]descriptor.stat"(this: This) -> Told<DescriptorStat> => |system| told(files::stat(system, &this));
        "[method]descriptor.stat-at"(this: This, _follow: PathFlags, path: String) -> Told<DescriptorStat> =>
            |system| told(files::stat_at(system, &this, &path));
        "[method]descriptor.set-times-at"(
            this: This, _follow: PathFlags, path: String, _accessed: NewTimestamp, _modified: NewTimestamp
        ) -> Told<()> => |system| told(files::set_times_at(system, &this, &path));
        "[method]descriptor.link-at"(_this: This, _follow: PathFlags, path: String, _to: This, new: String) -> Told<()> =>
            |system| told(files::no_link(system, [&path, &new]));
        "[method]descriptor.open-at"(
            this: This, _follow: PathFlags, path: String, how: OpenFlags, flags: DescriptorFlags
        ) -> Told<This> => |system| told(files::open_at(system, &this, &path, how, flags));
        "[method]descriptor.readlink-at"(this: This, path: String) -> Told<String> =>
            |system| told(files::readlink_at(system, &this, &path));
        "[method]descriptor.remove-directory-at"(this: This, path: String) -> Told<()> => |system| {
            let found = files::locate(system, &this, &path);
            told(found.and_then(|found| system.files.remove_folder_at(&found)))
        };
        "[method]descriptor.rename-at"(this: This, path: String, to: This, new: String) -> Told<()> =>
            |system| told(files::rename_at(system, (&this, &path), (&to, &new)));
        "[method]descriptor.symlink-at"(_this: This, path: String, new: String) -> Told<()> =>
            |system| told(files::no_link(system, [&path, &new]));
        "[method]descriptor.unlink-file-at"(this: This, path: String) -> Told<()> => |system| {
            let found = files::locate(system, &this, &path);
            told(found.and_then(|found| system.files.unlink_at(&found)))
        };
        "[method]descriptor.is-same-object"(this: This, other: This) -> bool =>
            |system| Ok(files::is_same(system, &this, &other)?);
        "[method]descriptor.metadata-hash"(this: This) -> Told<MetadataHash> =>
            |system| told(files::hash(system, &this));
        "[method]descriptor.metadata-hash-at"(this: This, _follow: PathFlags, path: String) -> Told<MetadataHash> =>
            |system| told(files::hash_at(system, &this, &path));
        "[method]directory-entry-stream.read-directory-entry"(this: Resource<Listing>) -> Told<Option<DirectoryEntry>> =>
            |system| told(files::next_entry(system, &this));
        "filesystem-error-code"(error: Resource<Failure>) -> Option<ErrorCode> =>
            |system| Ok(Some(system.resources.get(&error)?.0.into()));
    }
    interface! { linker, "filesystem/preopens";
        "get-directories"() -> Vec<(This, String)> =>
            |system| files::preopened(system).map_err(|_| Stop::TooManyResources.into());
    }
    Ok(())
}

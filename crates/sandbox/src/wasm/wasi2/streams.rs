//! Streams: of files, of the log, and one that is empty. None of them ever waits.

use super::{
    files::{read_at, write_at},
    link::interface,
    resources::{Failure, InputStream, OutputStream, Pollable, close},
    types::StreamError,
};
use crate::wasm::{
    errno::Errno,
    run::Run,
    system::{Stop, System},
};
use wasmtime::{
    Result,
    component::{Linker, Resource},
};

/// Bytes that one call reads, or writes of zeros, at most, and that it says may be written.
pub(super) const MOST_MOVED: u64 = 1 << 20;

type Told<T> = Result<Result<T, StreamError>>;

/// Puts what failed where a component can ask for it.
fn told<T>(system: &mut System, done: Result<T, Errno>) -> Told<T> {
    match done {
        Ok(done) => Ok(Ok(done)),
        Err(error) => Ok(Err(StreamError::LastOperationFailed(system.resources.must_add(Failure(error))?))),
    }
}

pub(super) fn read(system: &mut System, this: &Resource<InputStream>, length: u64) -> Told<Vec<u8>> {
    let InputStream::File { id, offset } = *system.resources.get(this)? else { return Ok(Err(StreamError::Closed)) };
    let (read, end) = match read_at(system, id, offset, length) {
        Ok(read) => read,
        Err(error) => return told(system, Err(error)),
    };
    if read.is_empty() && end {
        return Ok(Err(StreamError::Closed));
    }
    advance(system, this, read.len() as u64)?;
    Ok(Ok(read))
}

pub(super) fn skip(system: &mut System, this: &Resource<InputStream>, length: u64) -> Told<u64> {
    let InputStream::File { id, offset } = *system.resources.get(this)? else { return Ok(Err(StreamError::Closed)) };
    let left = system.files.stat(id)?.size.saturating_sub(offset);
    if left == 0 {
        return Ok(Err(StreamError::Closed));
    }
    let skipped = length.min(left);
    advance(system, this, skipped)?;
    Ok(Ok(skipped))
}

fn advance(system: &mut System, this: &Resource<InputStream>, by: u64) -> Result<()> {
    if let InputStream::File { offset, .. } = system.resources.get_mut(this)? {
        *offset = offset.saturating_add(by);
    }
    Ok(())
}

pub(super) fn write(system: &mut System, this: &Resource<OutputStream>, bytes: &[u8]) -> Told<()> {
    system.charge(bytes.len());
    let OutputStream::File { id, offset } = *system.resources.get(this)? else {
        system.say(bytes);
        return Ok(Ok(()));
    };
    let written = write_at(system, id, offset, bytes);
    if let (Ok(end), OutputStream::File { offset: Some(offset), .. }) = (&written, system.resources.get_mut(this)?) {
        *offset = *end;
    }
    told(system, written.map(|_| ()))
}

fn write_zeros(system: &mut System, this: &Resource<OutputStream>, length: u64) -> Told<()> {
    if length > MOST_MOVED {
        return Err(Stop::Misuse("more zeros at once than 1 MiB").into());
    }
    write(system, this, &vec![0; usize::try_from(length)?])
}

pub(super) fn splice(
    system: &mut System,
    to: &Resource<OutputStream>,
    from: &Resource<InputStream>,
    length: u64,
) -> Told<u64> {
    match read(system, from, length)? {
        Ok(bytes) => Ok(write(system, to, &bytes)?.map(|()| bytes.len() as u64)),
        Err(error) => Ok(Err(error)),
    }
}

fn ready(system: &mut System) -> Result<Resource<Pollable>> {
    system.resources.must_add(Pollable(0))
}

fn input_dropped(system: &mut System, stream: InputStream) {
    if let InputStream::File { id, .. } = stream {
        close(system, id);
    }
}

pub(super) fn output_dropped(system: &mut System, stream: OutputStream) {
    if let OutputStream::File { id, .. } = stream {
        close(system, id);
    }
}

type In = Resource<InputStream>;
type Out = Resource<OutputStream>;

pub(super) fn link(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "io/error";
        resource "error": Failure => |_, _| {};
        "[method]error.to-debug-string"(this: Resource<Failure>) -> String =>
            |system| Ok(format!("{:?}", system.resources.get(&this)?.0));
    }
    interface! { linker, "io/streams";
        resource "input-stream": InputStream => input_dropped;
        resource "output-stream": OutputStream => output_dropped;
        "[method]input-stream.read"(this: In, length: u64) -> Result<Vec<u8>, StreamError> =>
            |system| read(system, &this, length);
        "[method]input-stream.blocking-read"(this: In, length: u64) -> Result<Vec<u8>, StreamError> =>
            |system| read(system, &this, length);
        "[method]input-stream.skip"(this: In, length: u64) -> Result<u64, StreamError> =>
            |system| skip(system, &this, length);
        "[method]input-stream.blocking-skip"(this: In, length: u64) -> Result<u64, StreamError> =>
            |system| skip(system, &this, length);
        "[method]input-stream.subscribe"(_this: In) -> Resource<Pollable> => |system| ready(system);
        "[method]output-stream.check-write"(_this: Out) -> Result<u64, StreamError> => |_system| Ok(Ok(MOST_MOVED));
        "[method]output-stream.write"(this: Out, bytes: Vec<u8>) -> Result<(), StreamError> =>
            |system| write(system, &this, &bytes);
        "[method]output-stream.blocking-write-and-flush"(this: Out, bytes: Vec<u8>) -> Result<(), StreamError> =>
            |system| write(system, &this, &bytes);
        "[method]output-stream.flush"(_this: Out) -> Result<(), StreamError> => |_system| Ok(Ok(()));
        "[method]output-stream.blocking-flush"(_this: Out) -> Result<(), StreamError> => |_system| Ok(Ok(()));
        "[method]output-stream.subscribe"(_this: Out) -> Resource<Pollable> => |system| ready(system);
        "[method]output-stream.write-zeroes"(this: Out, length: u64) -> Result<(), StreamError> =>
            |system| write_zeros(system, &this, length);
        "[method]output-stream.blocking-write-zeroes-and-flush"(this: Out, length: u64) -> Result<(), StreamError> =>
            |system| write_zeros(system, &this, length);
        "[method]output-stream.splice"(this: Out, from: In, length: u64) -> Result<u64, StreamError> =>
            |system| splice(system, &this, &from, length);
        "[method]output-stream.blocking-splice"(this: Out, from: In, length: u64) -> Result<u64, StreamError> =>
            |system| splice(system, &this, &from, length);
    }
    Ok(())
}

//! Which call of a program leads to which function, what each costs, and what ends the program in between.

use super::{memory::Memory, paths::Place, system::Done};
use crate::wasm::{
    errno::Errno,
    run::Run,
    system::{Stop, System},
};
use wasmtime::{Caller, Extern, Linker, Result, Trap};

/// Does a call: counts its cost, and gives it the program's memory.
fn call(caller: &mut Caller<'_, Run>, does: impl FnOnce(&mut System, &mut Memory<'_>) -> Done) -> Result<i32> {
    let before = caller.get_fuel()?;
    let run = caller.data_mut();
    run.begin(before)?;
    let memory = match run.memory {
        Some(memory) => memory,
        None => {
            let Some(Extern::Memory(memory)) = caller.get_export("memory") else {
                return Err(Stop::NoExport.into());
            };
            caller.data_mut().memory = Some(memory);
            memory
        }
    };
    let (bytes, run) = memory.data_and_store_mut(&mut *caller);
    let done = does(&mut run.system, &mut Memory(bytes));
    let left = before.checked_sub(run.system.cost);
    caller.set_fuel(left.unwrap_or(0))?;
    left.ok_or(Trap::OutOfFuel)?;
    Ok(done.err().map_or(0, |error| error as i32))
}

/// Defines calls: their names, what WebAssembly gives (all of it unsigned here), and what they do.
macro_rules! calls {
    ($linker:ident; $($name:ident($($argument:ident: $type:ty),*) => |$system:ident, $memory:ident| $does:expr;)*) => {
        $($linker.func_wrap(
            "wasi_snapshot_preview1",
            stringify!($name),
            |mut caller: Caller<'_, Run>, $($argument: $type),*| {
                call(&mut caller, |$system, $memory| $does)
            },
        )?;)*
    };
}

/// Defines all calls.
pub(crate) fn link(linker: &mut Linker<Run>) -> Result<()> {
    calls! { linker;
        args_get(list: u32, text: u32) => |system, memory| system.args_get(memory, list, text);
        args_sizes_get(count: u32, bytes: u32) => |system, memory| system.args_sizes_get(memory, count, bytes);
        clock_res_get(clock: u32, to: u32) => |system, memory| system.clock_res_get(memory, clock, to);
        clock_time_get(clock: u32, precision: u64, to: u32) =>
            |system, memory| system.clock_time_get(memory, clock, precision, to);
        environ_get(_list: u32, _text: u32) => |_system, _memory| Ok(());
        environ_sizes_get(count: u32, bytes: u32) =>
            |_system, memory| memory.write_u32(count, 0).and_then(|()| memory.write_u32(bytes, 0));
        fd_advise(fd: u32, _offset: u64, _length: u64, _advice: u32) => |system, memory| system.fd_nothing(memory, fd);
        fd_allocate(fd: u32, offset: u64, length: u64) => |system, memory| system.fd_allocate(memory, fd, offset, length);
        fd_close(fd: u32) => |system, memory| system.fd_close(memory, fd);
        fd_datasync(fd: u32) => |system, memory| system.fd_nothing(memory, fd);
        fd_fdstat_get(fd: u32, to: u32) => |system, memory| system.fd_fdstat_get(memory, fd, to);
        fd_fdstat_set_flags(fd: u32, flags: u32) => |system, memory| system.fd_fdstat_set_flags(memory, fd, flags);
        fd_fdstat_set_rights(fd: u32, _base: u64, _inheriting: u64) => |system, memory| system.fd_nothing(memory, fd);
        fd_filestat_get(fd: u32, to: u32) => |system, memory| system.fd_filestat_get(memory, fd, to);
        fd_filestat_set_size(fd: u32, size: u64) => |system, memory| system.fd_filestat_set_size(memory, fd, size);
        fd_filestat_set_times(fd: u32, _access: u64, _change: u64, _which: u32) =>
            |system, memory| system.fd_nothing(memory, fd);
        fd_pread(fd: u32, list: u32, count: u32, offset: u64, told: u32) =>
            |system, memory| system.fd_pread(memory, fd, list, count, offset, told);
        fd_prestat_dir_name(fd: u32, to: u32, room: u32) => |system, memory| system.fd_prestat_dir_name(memory, fd, to, room);
        fd_prestat_get(fd: u32, to: u32) => |system, memory| system.fd_prestat_get(memory, fd, to);
        fd_pwrite(fd: u32, list: u32, count: u32, offset: u64, told: u32) =>
            |system, memory| system.fd_pwrite(memory, fd, list, count, offset, told);
        fd_read(fd: u32, list: u32, count: u32, told: u32) => |system, memory| system.fd_read(memory, fd, list, count, told);
        fd_readdir(fd: u32, to: u32, room: u32, cookie: u64, told: u32) =>
            |system, memory| system.fd_readdir(memory, fd, to, room, cookie, told);
        fd_renumber(from: u32, to: u32) => |system, memory| system.fd_renumber(memory, from, to);
        fd_seek(fd: u32, by: i64, from: u32, told: u32) => |system, memory| system.fd_seek(memory, fd, by, from, told);
        fd_sync(fd: u32) => |system, memory| system.fd_nothing(memory, fd);
        fd_tell(fd: u32, told: u32) => |system, memory| system.fd_tell(memory, fd, told);
        fd_write(fd: u32, list: u32, count: u32, told: u32) => |system, memory| system.fd_write(memory, fd, list, count, told);
        path_create_directory(folder: u32, pointer: u32, length: u32) =>
            |system, memory| system.path_create_directory(memory, Place { folder, pointer, length });
        path_filestat_get(folder: u32, _follow: u32, pointer: u32, length: u32, to: u32) =>
            |system, memory| system.path_filestat_get(memory, Place { folder, pointer, length }, to);
        path_filestat_set_times(
            folder: u32, _follow: u32, pointer: u32, length: u32, _access: u64, _change: u64, _which: u32
        ) => |system, memory| system.path_filestat_set_times(memory, Place { folder, pointer, length });
        path_link(
            _from: u32, _follow: u32, _pointer: u32, _length: u32, _to: u32, _to_pointer: u32, _to_length: u32
        ) => |_system, _memory| Err(Errno::NotSupported);
        path_open(
            folder: u32, _follow: u32, pointer: u32, length: u32, how: u32, rights: u64, _inheriting: u64, flags: u32,
            told: u32
        ) => |system, memory| {
            system.path_open(memory, Place { folder, pointer, length }, how, rights, flags & 1 == 1, told)
        };
        path_readlink(folder: u32, pointer: u32, length: u32, _to: u32, _room: u32, _told: u32) =>
            |system, memory| system.path_readlink(memory, Place { folder, pointer, length });
        path_remove_directory(folder: u32, pointer: u32, length: u32) =>
            |system, memory| system.path_remove_directory(memory, Place { folder, pointer, length });
        path_rename(from: u32, pointer: u32, length: u32, to: u32, to_pointer: u32, to_length: u32) =>
            |system, memory| {
                let from = Place { folder: from, pointer, length };
                system.path_rename(memory, from, Place { folder: to, pointer: to_pointer, length: to_length })
            };
        path_symlink(_from: u32, _length: u32, _folder: u32, _to: u32, _to_length: u32) =>
            |_system, _memory| Err(Errno::NotSupported);
        path_unlink_file(folder: u32, pointer: u32, length: u32) =>
            |system, memory| system.path_unlink_file(memory, Place { folder, pointer, length });
        poll_oneoff(from: u32, to: u32, count: u32, told: u32) =>
            |system, memory| system.poll_oneoff(memory, from, to, count, told);
        proc_raise(_signal: u32) => |_system, _memory| Err(Errno::NotSupported);
        random_get(pointer: u32, length: u32) => |system, memory| system.random_get(memory, pointer, length);
        sched_yield() => |_system, _memory| Ok(());
        sock_accept(_fd: u32, _flags: u32, _told: u32) => |_system, _memory| Err(Errno::NotSocket);
        sock_recv(_fd: u32, _list: u32, _count: u32, _flags: u32, _told: u32, _told_flags: u32) =>
            |_system, _memory| Err(Errno::NotSocket);
        sock_send(_fd: u32, _list: u32, _count: u32, _flags: u32, _told: u32) => |_system, _memory| Err(Errno::NotSocket);
        sock_shutdown(_fd: u32, _how: u32) => |_system, _memory| Err(Errno::NotSocket);
    }
    linker
        .func_wrap("wasi_snapshot_preview1", "proc_exit", |code: u32| -> Result<()> { Err(Stop::Exit(code).into()) })?;
    Ok(())
}

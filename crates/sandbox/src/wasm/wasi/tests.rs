//! Calls with arguments that mean nothing.

use super::{memory::Memory, paths::Place, system::Done};
use crate::{
    Job, Source,
    wasm::{fs::Files, system::System},
};
use proptest::prelude::*;

const MEMORY: usize = 512;

fn system() -> System {
    let mut job = Job::new(Source::from(&b""[..]));
    job.command = vec!["program".into(), "argument".into()];
    job.params = b"{}".to_vec();
    (job.limits.output_bytes, job.limits.scratch_bytes) = (4096, 4096);
    (job.limits.output_files, job.limits.log_bytes) = (8, 100);
    System::new(&job, Files::new(&job).unwrap())
}

/// Numbers as programs would give them: small ones, those at the ends, and any.
fn number() -> impl Strategy<Value = u32> {
    prop_oneof![6 => 0..16_u32, 3 => 0..MEMORY as u32 + 8, 1 => any::<u32>(), 1 => (0..64_u32).prop_map(|less| u32::MAX - less)]
}

fn call(system: &mut System, memory: &mut Memory<'_>, which: u8, [a, b, c, d, e]: [u32; 5], wide: u64) -> Done {
    let (one, two) = (Place { folder: a, pointer: b, length: c }, Place { folder: d, pointer: e, length: c });
    match which % 32 {
        0 => system.args_get(memory, a, b),
        1 => system.args_sizes_get(memory, a, b),
        2 => system.clock_res_get(memory, a, b),
        3 => system.clock_time_get(memory, a, wide, b),
        4 => system.fd_allocate(memory, a, wide, b.into()),
        5 => system.fd_close(memory, a),
        6 => system.fd_fdstat_get(memory, a, b),
        7 => system.fd_fdstat_set_flags(memory, a, b),
        8 => system.fd_filestat_get(memory, a, b),
        9 => system.fd_filestat_set_size(memory, a, wide),
        10 => system.fd_nothing(memory, a),
        11 => system.fd_pread(memory, a, b, c, wide, d),
        12 => system.fd_prestat_dir_name(memory, a, b, c),
        13 => system.fd_prestat_get(memory, a, b),
        14 => system.fd_pwrite(memory, a, b, c, wide, d),
        15 => system.fd_read(memory, a, b, c, d),
        16 => system.fd_readdir(memory, a, b, c, wide, d),
        17 => system.fd_renumber(memory, a, b),
        18 => system.fd_seek(memory, a, wide.cast_signed(), b, c),
        19 => system.fd_tell(memory, a, b),
        20 => system.fd_write(memory, a, b, c, d),
        21 => system.path_create_directory(memory, one),
        22 => system.path_filestat_get(memory, one, d),
        23 => system.path_filestat_set_times(memory, one),
        24 | 25 => system.path_open(memory, one, d % 16, wide, e % 2 == 1, e),
        26 => system.path_readlink(memory, one),
        27 => system.path_remove_directory(memory, one),
        28 => system.path_rename(memory, one, two),
        29 => system.path_unlink_file(memory, one),
        30 => system.poll_oneoff(memory, a, b, c, d),
        _ => system.random_get(memory, a, b),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_call_panics_or_leaves_the_bounds_whatever_it_is_given(
        bytes in prop::collection::vec(prop_oneof![2 => Just(b'/'), 2 => Just(b'.'), 4 => 0..9_u8, 1 => any::<u8>()], MEMORY),
        calls in prop::collection::vec(
            (any::<u8>(), prop::array::uniform5(number()), prop_oneof![0..9_u64, 64..70_u64, any::<u64>()]), 1..64),
    ) {
        let (mut bytes, mut system) = (bytes, system());
        for (which, arguments, wide) in calls {
            // What was refused is one answer; that there is one is what counts.
            let _ = call(&mut system, &mut Memory(&mut bytes), which, arguments, wide);
        }
        prop_assert!(system.log.bytes.len() <= 100);
        let output = system.files.into_output();
        prop_assert!(output.len() <= 8 && output.values().map(Vec::len).sum::<usize>() <= 4096);
        prop_assert!(output.keys().all(|path| path.split('/').all(|name| !["", ".", ".."].contains(&name))));
    }
}

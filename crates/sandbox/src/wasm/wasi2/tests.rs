//! Calls in any order, with arguments that mean nothing.

use super::{
    files,
    resources::{Descriptor, InputStream, Listing, OutputStream},
    streams,
    types::{DescriptorFlags, OpenFlags},
};
use crate::{
    Input, Job, Source,
    wasm::{errno::Errno, fs::Files, system::System},
};
use proptest::prelude::*;
use wasmtime::component::Resource;

fn system() -> System {
    let mut job = Job::new(Source::from(&b""[..]));
    job.params = b"{}".to_vec();
    (job.limits.output_bytes, job.limits.scratch_bytes) = (4096, 4096);
    (job.limits.output_files, job.limits.log_bytes) = (8, 100);
    System::new(&job, Files::new(&job).unwrap())
}

/// What a component has, as wasmtime would: each handle leads to what it was given for.
#[derive(Default)]
struct Has {
    descriptors: Vec<u32>,
    inputs: Vec<u32>,
    outputs: Vec<u32>,
    listings: Vec<u32>,
}

fn pick<T: 'static>(of: &[u32], which: u8) -> Option<Resource<T>> {
    (!of.is_empty()).then(|| Resource::new_borrow(of[usize::from(which) % of.len()]))
}

fn keep<T: 'static>(to: &mut Vec<u32>, got: Result<Resource<T>, Errno>) {
    to.extend(got.ok().map(|resource| resource.rep()));
}

fn call(system: &mut System, has: &mut Has, [what, a, b]: [u8; 3], wide: u64, path: &str) -> Option<()> {
    let this: Resource<Descriptor> = pick(&has.descriptors, a)?;
    let other: Resource<Descriptor> = pick(&has.descriptors, b)?;
    let bytes = vec![a; usize::from(b)];
    // What was refused is one answer; that there is one is what counts.
    match what % 20 {
        0..3 => {
            let how = [OpenFlags::CREATE, OpenFlags::DIRECTORY, OpenFlags::TRUNCATE, OpenFlags::EXCLUSIVE];
            let how = how.into_iter().enumerate().filter(|(at, _)| b >> at & 1 == 1);
            let how = how.fold(OpenFlags::default(), |all, (_, one)| all | one);
            let flags =
                DescriptorFlags::READ | if b & 16 == 0 { DescriptorFlags::WRITE } else { DescriptorFlags::READ };
            keep(&mut has.descriptors, files::open_at(system, &this, path, how, flags));
        }
        3 => keep(&mut has.inputs, files::read_via_stream(system, &this, wide)),
        4 => keep(&mut has.outputs, files::write_via_stream(system, &this, (b % 2 == 0).then_some(wide))),
        5 => keep(&mut has.listings, files::read_directory(system, &this)),
        6 => drop(files::next_entry(system, &pick(&has.listings, a)?)),
        7 => drop(streams::read(system, &pick(&has.inputs, a)?, wide).unwrap()),
        8 => drop(streams::skip(system, &pick(&has.inputs, a)?, wide).unwrap()),
        9 => drop(streams::write(system, &pick(&has.outputs, a)?, &bytes)),
        10 => drop(streams::splice(system, &pick(&has.outputs, a)?, &pick(&has.inputs, b)?, wide)),
        11 => drop(files::write(system, &this, &bytes, wide)),
        12 => drop(files::read(system, &this, wide, wide)),
        13 => drop(files::set_size(system, &this, wide)),
        14 => drop(files::rename_at(system, (&this, path), (&other, path))),
        15 => {
            let found = files::locate(system, &this, path).ok()?;
            let _ = if b % 2 == 0 { system.files.unlink_at(&found) } else { system.files.remove_folder_at(&found) };
        }
        16 => {
            let found = files::locate(system, &this, path).ok()?;
            let _ = system.files.create_folder_at(&found);
        }
        17 => drop((files::stat_at(system, &this, path), files::hash_at(system, &this, path))),
        18 => {
            let at = usize::from(a) % has.descriptors.len();
            let gone = system.resources.take(Resource::<Descriptor>::new_own(has.descriptors.remove(at))).unwrap();
            system.files.close(gone.id).unwrap();
        }
        _ => {
            let at = usize::from(a) % has.outputs.len().max(1);
            let gone: OutputStream = system.resources.take(Resource::new_own(*has.outputs.get(at)?)).unwrap();
            has.outputs.remove(at);
            streams::output_dropped(system, gone);
        }
    }
    Some(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn no_call_panics_or_leaves_the_bounds_whatever_it_is_given(
        calls in prop::collection::vec((
            prop::array::uniform3(any::<u8>()),
            prop_oneof![4 => 0..9_u64, 1 => 4090..5000_u64, 1 => any::<u64>()],
            prop_oneof![6 => "[abc]", 2 => "[abc]/[abc]", 1 => "[./a]{0,6}", 1 => any::<String>()],
        ), 1..200),
    ) {
        let (mut system, mut has) = (system(), Has::default());
        has.descriptors.extend(files::preopened(&mut system).unwrap().iter().map(|(folder, _)| folder.rep()));
        for (what, wide, path) in calls {
            if has.descriptors.is_empty() {
                has.descriptors.extend(files::preopened(&mut system).unwrap().iter().map(|(folder, _)| folder.rep()));
            }
            call(&mut system, &mut has, what, wide, &path);
        }
        // What is left of what it had goes: files without a name are gone then.
        for number in has.descriptors {
            let gone: Descriptor = system.resources.take(Resource::new_own(number)).unwrap();
            system.files.close(gone.id).unwrap();
        }
        for number in has.inputs {
            let InputStream::File { id, .. } = system.resources.take(Resource::new_own(number)).unwrap() else { continue };
            system.files.close(id).unwrap();
        }
        for number in has.outputs {
            let OutputStream::File { id, .. } = system.resources.take(Resource::new_own(number)).unwrap() else { continue };
            system.files.close(id).unwrap();
        }
        for number in has.listings {
            let gone: Listing = system.resources.take(Resource::new_own(number)).unwrap();
            system.files.close(gone.id).unwrap();
        }
        prop_assert!(system.log.bytes.is_empty());
        let output = system.files.into_output();
        prop_assert!(output.len() <= 8 && output.values().map(Vec::len).sum::<usize>() <= 4096);
        prop_assert!(output.keys().all(|path| path.split('/').all(|name| !["", ".", ".."].contains(&name))));
    }
}

#[test]
fn inputs_that_are_open_at_one_time_are_bounded() {
    let mut job = Job::new(Source::from(&b""[..]));
    let input = |number| Input { name: format!("input{number}"), source: Source::from(&b"text"[..]) };
    job.inputs = (0..130).map(input).collect();
    let mut system = System::new(&job, Files::new(&job).unwrap());
    let (data, _) = files::preopened(&mut system).unwrap().swap_remove(0);
    let open = |system: &mut System, number: u32| {
        let path = format!("input{number}");
        files::open_at(system, &data, &path, OpenFlags::default(), DescriptorFlags::READ)
    };
    let mut opened: Vec<_> = (0..128).map(|number| open(&mut system, number).unwrap()).collect();
    assert_eq!(open(&mut system, 128).err(), Some(Errno::TooManyFiles));
    // One that is open already is not another.
    opened.push(open(&mut system, 7).unwrap());
    let gone = system.resources.take(opened.swap_remove(3)).unwrap();
    system.files.close(gone.id).unwrap();
    open(&mut system, 128).unwrap();
}

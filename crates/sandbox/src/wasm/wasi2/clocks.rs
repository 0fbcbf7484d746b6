//! Time, which steps and waiting make, and randomness, which follows from the seed.

use super::{link::interface, resources::Pollable, types::Datetime};
use crate::wasm::{
    run::Run,
    system::{Stop, System},
};
use wasmtime::{
    Result,
    component::{Linker, Resource},
};

/// What is waited for in one call at most.
const MOST_AWAITED: usize = 1024;
/// Bytes of randomness in one call at most.
const MOST_RANDOM: u64 = super::MOST_GIVEN as u64;

fn due(system: &System, pollable: &Resource<Pollable>) -> Result<u64> {
    Ok(system.resources.get(pollable)?.0)
}

/// Waits for the first of several, and tells which are ready.
fn poll(system: &mut System, pollables: &[Resource<Pollable>]) -> Result<Vec<u32>> {
    if pollables.is_empty() || pollables.len() > MOST_AWAITED {
        return Err(Stop::Misuse("to wait for nothing, or for more than 1024 at once").into());
    }
    system.charge(pollables.len() * 80);
    let dues = pollables.iter().map(|pollable| due(system, pollable)).collect::<Result<Vec<_>>>()?;
    system.wait_until(dues.iter().copied().min().unwrap_or(0));
    let now = system.elapsed();
    Ok((0..).zip(dues).filter(|(_, due)| *due <= now).map(|(at, _)| at).collect())
}

fn random(system: &mut System, length: u64) -> Result<Vec<u8>> {
    if length > MOST_RANDOM {
        return Err(Stop::Misuse("more randomness at once than 32 MiB").into());
    }
    let mut bytes = vec![0; usize::try_from(length)?];
    system.random(&mut bytes);
    Ok(bytes)
}

fn random_number(system: &mut System) -> u64 {
    let mut bytes = [0; 8];
    system.random(&mut bytes);
    u64::from_le_bytes(bytes)
}

pub(super) fn link(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "io/poll";
        resource "pollable": Pollable => |_, _| {};
        "[method]pollable.ready"(this: Resource<Pollable>) -> bool =>
            |system| Ok(due(system, &this)? <= system.elapsed());
        "[method]pollable.block"(this: Resource<Pollable>) => |system| {
            let due = due(system, &this)?;
            system.wait_until(due);
            Ok(())
        };
        "poll"(pollables: Vec<Resource<Pollable>>) -> Vec<u32> => |system| poll(system, &pollables);
    }
    interface! { linker, "clocks/monotonic-clock";
        "now"() -> u64 => |system| Ok(system.elapsed());
        "resolution"() -> u64 => |_system| Ok(1);
        "subscribe-instant"(when: u64) -> Resource<Pollable> => |system| system.resources.must_add(Pollable(when));
        "subscribe-duration"(when: u64) -> Resource<Pollable> => |system| {
            let due = system.elapsed().saturating_add(when);
            system.resources.must_add(Pollable(due))
        };
    }
    interface! { linker, "clocks/wall-clock";
        "now"() -> Datetime => |system| Ok(Datetime::from_nanoseconds(system.now()));
        "resolution"() -> Datetime => |_system| Ok(Datetime::from_nanoseconds(1));
    }
    interface! { linker, "random/random";
        "get-random-bytes"(length: u64) -> Vec<u8> => |system| random(system, length);
        "get-random-u64"() -> u64 => |system| Ok(random_number(system));
    }
    interface! { linker, "random/insecure";
        "get-insecure-random-bytes"(length: u64) -> Vec<u8> => |system| random(system, length);
        "get-insecure-random-u64"() -> u64 => |system| Ok(random_number(system));
    }
    interface! { linker, "random/insecure-seed";
        "insecure-seed"() -> (u64, u64) => |system| Ok((random_number(system), random_number(system)));
    }
    Ok(())
}

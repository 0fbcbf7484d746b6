//! What a call costs, how it is offered, and which there are.

use super::{cli, clocks, filesystem, sockets, streams};
use crate::wasm::{run::Run, system::System};
use wasmtime::{
    Result, StoreContextMut, Trap,
    component::{Linker, LinkerInstance, Resource, ResourceType},
};

/// Does a call, and counts its cost.
pub(super) fn call<T>(mut store: StoreContextMut<'_, Run>, does: impl FnOnce(&mut System) -> Result<T>) -> Result<T> {
    let before = store.get_fuel()?;
    let run = store.data_mut();
    run.begin(before)?;
    let done = does(&mut run.system);
    let left = before.checked_sub(run.system.cost);
    store.set_fuel(left.unwrap_or(0))?;
    left.ok_or(Trap::OutOfFuel)?;
    done
}

/// Offers a kind of resource, and what is to be done when one is dropped.
pub(super) fn resource<T: Send + 'static>(
    interface: &mut LinkerInstance<'_, Run>,
    name: &str,
    dropped: fn(&mut System, T),
) -> Result<()> {
    interface.resource(name, ResourceType::host::<T>(), move |store, number| {
        call(store, |system| {
            let gone = system.resources.take(Resource::<T>::new_own(number))?;
            dropped(system, gone);
            Ok(())
        })
    })
}

/// Defines an interface: its resources, and its functions as the declarations have them, with what they do.
macro_rules! interface {
    (@told $told:ident) => { $told };
    (@told $told:ident $result:ty) => { ($told,) };
    ($linker:ident, $name:literal;
        $(resource $resource:literal: $kind:ty => $dropped:expr;)*
        $($function:literal($($argument:ident: $type:ty),*) $(-> $result:ty)? => |$system:ident| $does:expr;)*
    ) => {{
        #[allow(unused_mut)]
        let mut interface = $linker.instance(concat!("wasi:", $name, "@0.2.12"))?;
        $($crate::wasm::wasi2::link::resource::<$kind>(&mut interface, $resource, $dropped)?;)*
        $(interface.func_wrap(
            $function,
            |store: wasmtime::StoreContextMut<'_, $crate::wasm::run::Run>, ($($argument,)*): ($($type,)*)| {
                let told $(: $result)? = $crate::wasm::wasi2::link::call(store, |$system| $does)?;
                wasmtime::Result::Ok(interface!(@told told $($result)?))
            },
        )?;)*
    }};
}
pub(super) use interface;

/// Defines all calls.
pub(crate) fn link(linker: &mut Linker<Run>) -> Result<()> {
    cli::link(linker)?;
    clocks::link(linker)?;
    streams::link(linker)?;
    filesystem::link(linker)?;
    sockets::link(linker)
}

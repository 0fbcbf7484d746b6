//! What a component may be: core modules that are linked into one program.
//!
//! A program that was compiled to a component has one to some dozens of modules, and little components within that give its
//! exports their form and have no code. A component of several with code of their own is refused: what they pass to each
//! other is copied by no instruction, so that it would cost no steps, and components that have each other twice would double
//! with each line.

use super::{at_most, damaged, refused};
use crate::Error;
use wasmparser::{
    CanonicalFunction, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, ComponentTypeRef, Instance,
    Payload,
};

/// Instances of modules at most.
pub(in crate::wasm) const MOST_INSTANCES: usize = 200;
/// Functions, globals and so on of all instances together, and each 64 bytes of what is copied to their memories.
const MOST_INSTANTIATED: u64 = 2_000_000;

/// How many of each thing a component has.
#[derive(Default)]
pub(super) struct Parts {
    imports: u64,
    exports: u64,
    types: u64,
    aliases: u64,
    components: u64,
    component_instances: u64,
    instances: u64,
    lifts: u64,
    canonical: u64,
    /// Entries of each module.
    modules: Vec<u64>,
    instantiated: u64,
}

fn count(slot: &mut u64, more: u32, what: &str, most: u64) -> Result<(), Error> {
    *slot += u64::from(more);
    at_most(what, most, *slot)
}

fn composed<T>() -> Result<T, Error> {
    refused("it is composed of several components: link what it needs into one program")
}

impl Parts {
    pub fn module(&mut self, entries: u64) -> Result<(), Error> {
        self.modules.push(entries);
        at_most("modules", 200, self.modules.len() as u64)
    }

    /// A part of the component, or of one within it.
    pub fn add(&mut self, payload: Payload<'_>, within: bool) -> Result<(), Error> {
        match payload {
            Payload::ComponentTypeSection(section) => count(&mut self.types, section.count(), "types", 5_000),
            Payload::CoreTypeSection(section) => count(&mut self.types, section.count(), "types", 5_000),
            Payload::ComponentImportSection(section) => {
                count(&mut self.imports, section.count(), "imports", 500)?;
                for import in section {
                    if let ComponentTypeRef::Module(_) | ComponentTypeRef::Component(_) = import.map_err(damaged)?.ty {
                        return composed();
                    }
                }
                Ok(())
            }
            Payload::ComponentExportSection(section) => count(&mut self.exports, section.count(), "exports", 500),
            Payload::ComponentAliasSection(section) => {
                count(&mut self.aliases, section.count(), "aliases", 100_000)?;
                for alias in section {
                    match alias.map_err(damaged)? {
                        ComponentAlias::InstanceExport {
                            kind: ComponentExternalKind::Module | ComponentExternalKind::Component,
                            ..
                        }
                        | ComponentAlias::Outer {
                            kind: ComponentOuterAliasKind::CoreModule | ComponentOuterAliasKind::Component,
                            ..
                        } => return composed(),
                        _ => {}
                    }
                }
                Ok(())
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } if within => composed(),
            Payload::InstanceSection(_)
            | Payload::ComponentInstanceSection(_)
            | Payload::ComponentCanonicalSection(_)
            | Payload::ComponentStartSection { .. }
                if within =>
            {
                composed()
            }
            Payload::ComponentSection { .. } => count(&mut self.components, 1, "components within it", 100),
            Payload::ComponentInstanceSection(section) => {
                count(&mut self.component_instances, section.count(), "instances of components", 500)
            }
            Payload::InstanceSection(section) => {
                count(&mut self.instances, section.count(), "instances of modules", MOST_INSTANCES as u64)?;
                for instance in section {
                    let entries = match instance.map_err(damaged)? {
                        Instance::Instantiate { module_index, .. } => {
                            self.modules.get(module_index as usize).copied().unwrap_or(0)
                        }
                        Instance::FromExports(exports) => exports.len() as u64,
                    };
                    self.instantiated += entries;
                    at_most(
                        "functions, globals, data and so on in all instances",
                        MOST_INSTANTIATED,
                        self.instantiated,
                    )?;
                }
                Ok(())
            }
            Payload::ComponentCanonicalSection(section) => {
                count(&mut self.canonical, section.count(), "canonical functions", 5_000)?;
                for function in section {
                    match function.map_err(damaged)? {
                        CanonicalFunction::Lower { .. } | CanonicalFunction::ResourceDrop { .. } => {}
                        CanonicalFunction::Lift { .. } => {
                            count(&mut self.lifts, 1, "functions for others to call", 100)?;
                        }
                        CanonicalFunction::ResourceNew { .. } | CanonicalFunction::ResourceRep { .. } => {
                            return refused("it has resources of its own: build a command, not a library");
                        }
                        _ => return refused("it uses threads or asynchronous calls, which components here have not"),
                    }
                }
                Ok(())
            }
            Payload::ComponentStartSection { .. } => refused("it starts before it is run: build a command"),
            _ => Ok(()),
        }
    }
}

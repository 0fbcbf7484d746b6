//! A program as it was compiled: a module of WASI preview 1 or a component of WASI preview 2.

use super::{
    run::Run,
    system::Stop,
    wasi,
    wasi2::{self, MOST_GIVEN, MOST_HANDLES},
};
use crate::Error;
use wasmparser::Parser;
use wasmtime::{
    Engine, InstancePre, Linker, Module, Result, Store,
    component::{
        self, Component, ComponentExportIndex,
        types::{ComponentItem, Type},
    },
};

/// The interface that a command exports. Every 0.2 is the same.
const RUN: &str = "wasi:cli/run@0.2.0";

/// What was compiled.
pub(super) enum Compiled {
    Module(Module),
    Component(Component),
}

impl Compiled {
    /// Compiles bytes, by their header.
    pub fn new(engine: &Engine, code: &[u8]) -> Result<Self> {
        if Parser::is_component(code) {
            Component::from_binary(engine, code).map(Self::Component)
        } else {
            Module::from_binary(engine, code).map(Self::Module)
        }
    }

    pub fn serialize(&self) -> Result<Vec<u8>> {
        match self {
            Self::Module(module) => module.serialize(),
            Self::Component(component) => component.serialize(),
        }
    }

    /// What was compiled of `code` before.
    ///
    /// # Safety
    ///
    /// The bytes have to come from [`Self::serialize`].
    #[expect(unsafe_code, reason = "what was compiled is machine code")]
    pub unsafe fn deserialize(engine: &Engine, code: &[u8], compiled: &[u8]) -> Result<Self> {
        // SAFETY: as the caller's.
        unsafe {
            if Parser::is_component(code) {
                Component::deserialize(engine, compiled).map(Self::Component)
            } else {
                Module::deserialize(engine, compiled).map(Self::Module)
            }
        }
    }
}

/// What programs may call.
pub(super) struct Linkers {
    modules: Linker<Run>,
    components: component::Linker<Run>,
}

/// A program, ready to start.
#[derive(Clone)]
pub(super) enum Program {
    Module(InstancePre<Run>),
    /// With the function that runs it.
    Component(component::InstancePre<Run>, ComponentExportIndex),
}

fn unfit(error: wasmtime::Error) -> Error {
    Error::Code(format!("{error:#}"))
}

impl Linkers {
    pub fn new(engine: &Engine) -> Result<Self> {
        let (mut modules, mut components) = (Linker::new(engine), component::Linker::new(engine));
        wasi::link(&mut modules)?;
        wasi2::link(&mut components)?;
        Ok(Self { modules, components })
    }

    /// Fits a program to what it may call. What a module wants beyond that traps when it is called; a component that wants
    /// more is refused.
    pub fn link(&self, compiled: &Compiled) -> Result<Program, Error> {
        match compiled {
            Compiled::Module(module) => self.link_module(module),
            Compiled::Component(component) => self.link_component(component),
        }
    }

    fn link_module(&self, module: &Module) -> Result<Program, Error> {
        let start = module.get_export("_start");
        let start = start.as_ref().and_then(|start| start.func());
        if !start.is_some_and(|start| start.params().len() == 0 && start.results().len() == 0) {
            let why = "it exports no function \"_start\" without arguments and results: build a command, not a library";
            return Err(Error::Code(why.into()));
        }
        let mut linker = self.modules.clone();
        linker.define_unknown_imports_as_traps(module).map_err(unfit)?;
        linker.instantiate_pre(module).map_err(unfit).map(Program::Module)
    }

    fn link_component(&self, component: &Component) -> Result<Program, Error> {
        let run = component.get_export_index(None, RUN);
        let run = run.and_then(|interface| component.get_export(Some(&interface), "run"));
        let Some((ComponentItem::ComponentFunc(kind), run)) = run else {
            let why = "it is a component that exports no \"wasi:cli/run\" 0.2: build a command, not a library";
            return Err(Error::Code(why.into()));
        };
        let mut results = kind.results();
        let plain = |kind: &Type| matches!(kind, Type::Result(kind) if kind.ok().is_none() && kind.err().is_none());
        let fits =
            kind.params().len() == 0 && results.next().is_some_and(|kind| plain(&kind)) && results.next().is_none();
        if !fits {
            return Err(Error::Code(
                "its \"wasi:cli/run\" is none: \"run\" takes nothing and tells success or not".into(),
            ));
        }
        let linked = self.components.instantiate_pre(component).map_err(unfit)?;
        Ok(Program::Component(linked, run))
    }
}

impl Program {
    pub fn is_component(&self) -> bool {
        matches!(self, Self::Component(..))
    }

    /// Runs it to its end.
    pub async fn run(&self, store: &mut Store<Run>) -> Result<()> {
        match self {
            Self::Module(module) => {
                let instance = module.instantiate_async(&mut *store).await?;
                let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
                start.call_async(store, ()).await
            }
            Self::Component(component, run) => {
                store.set_hostcall_fuel(MOST_GIVEN);
                store.set_max_component_handles(MOST_HANDLES);
                let instance = component.instantiate_async(&mut *store).await?;
                let run = instance.get_typed_func::<(), (Result<(), ()>,)>(&mut *store, run)?;
                let (ended,) = run.call_async(store, ()).await?;
                ended.map_err(|()| Stop::Exit(1).into())
            }
        }
    }
}

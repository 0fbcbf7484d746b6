//! Arguments, standard streams, the end.

use super::{
    link::interface,
    resources::{InputStream, OutputStream, TerminalInput, TerminalOutput},
};
use crate::wasm::{
    run::Run,
    system::{Stop, System},
};
use wasmtime::{
    Result,
    component::{Linker, Resource},
};

fn exit(code: u32) -> Result<()> {
    Err(Stop::Exit(code).into())
}

fn arguments(system: &mut System) -> Vec<String> {
    system.charge(system.arguments.iter().map(String::len).sum());
    system.arguments.clone()
}

/// The log counts as a terminal, so that lines are written as they come.
fn terminal(system: &mut System) -> Result<Option<Resource<TerminalOutput>>> {
    system.resources.must_add(TerminalOutput).map(Some)
}

pub(super) fn link(linker: &mut Linker<Run>) -> Result<()> {
    interface! { linker, "cli/environment";
        "get-environment"() -> Vec<(String, String)> => |_system| Ok(Vec::new());
        "get-arguments"() -> Vec<String> => |system| Ok(arguments(system));
        "initial-cwd"() -> Option<String> => |_system| Ok(None);
    }
    interface! { linker, "cli/exit";
        "exit"(status: Result<(), ()>) => |_system| exit(status.is_err().into());
        "exit-with-code"(code: u8) => |_system| exit(code.into());
    }
    interface! { linker, "cli/stdin";
        "get-stdin"() -> Resource<InputStream> => |system| system.resources.must_add(InputStream::Nothing);
    }
    interface! { linker, "cli/stdout";
        "get-stdout"() -> Resource<OutputStream> => |system| system.resources.must_add(OutputStream::Log);
    }
    interface! { linker, "cli/stderr";
        "get-stderr"() -> Resource<OutputStream> => |system| system.resources.must_add(OutputStream::Log);
    }
    interface! { linker, "cli/terminal-input";
        resource "terminal-input": TerminalInput => |_, _| {};
    }
    interface! { linker, "cli/terminal-output";
        resource "terminal-output": TerminalOutput => |_, _| {};
    }
    interface! { linker, "cli/terminal-stdin";
        "get-terminal-stdin"() -> Option<Resource<TerminalInput>> =>
            |system| system.resources.must_add(TerminalInput).map(Some);
    }
    interface! { linker, "cli/terminal-stdout";
        "get-terminal-stdout"() -> Option<Resource<TerminalOutput>> => |system| terminal(system);
    }
    interface! { linker, "cli/terminal-stderr";
        "get-terminal-stderr"() -> Option<Resource<TerminalOutput>> => |system| terminal(system);
    }
    Ok(())
}

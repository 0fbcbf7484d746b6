//! Sample rows that owners publish, and programs that are tried on them; the listings of the documentation.

use eyre::{ContextCompat as _, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use stoa_tests::{
    Network, Node,
    stage::{copies, stoa},
};

/// Runs the program in a folder: the object that it printed, or what it complained of.
fn run(folder: &Path, words: &[&str]) -> Result<std::result::Result<Value, String>> {
    let output = stoa(folder, words)?.output()?;
    let (said, errors) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    Ok(if output.status.success() { Ok(serde_json::from_str(&said)?) } else { Err(said + &errors) })
}

#[test]
fn a_program_is_tried_on_the_rows_that_an_owner_has_published() -> Result<()> {
    let (node, place) = (Node::start(Network::Dev)?, tempfile::tempdir()?);
    let at = place.path();
    fs::create_dir(at.join("data"))?;
    let [key, program] = ["11", "22"].map(|byte| format!("0x{}", byte.repeat(32)));
    let publish = |file: &str, more: &[&str]| {
        fs::write(at.join(file), r#"{"rows":7654321}"#)?;
        let how = ["data", "publish", file, "--compute", "--data", "data", "--node", &key, "--free", "--yes"];
        let says = ["--name", "Hearts", "--description", "Rows of people and their hearts.", "--license", "CC0-1.0"];
        let program = ["--algorithm", &program, "--http", node.http(), "--account", "7"];
        run(at, &[&how[..], &says, &program, more].concat())
    };
    let test = |asset: &str, program: &str| run(at, &["algo", "test", program, "--on", asset, "--http", node.http()]);
    fs::write(at.join("sample.json"), r#"{"rows":12}"#)?;
    fs::write(at.join("copy.wasm"), copies("sample.json")?)?;
    fs::write(at.join("steal.wasm"), copies("real.json")?)?;

    // What is too much, or no text, is refused before anything is sent.
    fs::write(at.join("long.csv"), "1\n".repeat(40_000))?;
    fs::write(at.join("sample.bin"), [0xff, 0xfe, 0xfd])?;
    for (file, want) in [("long.csv", "fewer rows will do"), ("sample.bin", "a sample is a text")] {
        let why = publish("real.json", &["--sample", file])?.err().wrap_err("it was published")?;
        ensure!(why.contains(want) && !at.join(".stoa/sales").exists(), "{why}");
    }
    let listing = publish("real.json", &["--sample", "sample.json"])?.map_err(eyre::Report::msg)?;
    let did = listing["did"].as_str().wrap_err("a DID")?;
    let shown = run(at, &["data", "show", did, "--http", node.http()])?.map_err(eyre::Report::msg)?;
    let sample = &shown["document"]["metadata"]["additionalInformation"]["stoa"]["sample"];
    ensure!(sample["name"] == "sample.json" && sample["text"] == r#"{"rows":12}"#, "{sample}");
    ensure!(!shown.to_string().contains("7654321"), "a value of the data is public: {shown}");

    // The program sees the sample and nothing of the data.
    let ran = test(did, "copy.wasm")?.map_err(eyre::Report::msg)?;
    ensure!(ran["leaves"]["result.json"] == r#"{"rows":12}"#, "{ran}");
    let why = test(did, "steal.wasm")?.err().wrap_err("it found the data")?;
    ensure!(why.contains("with code 7"), "{why}");
    // An edit leaves it there.
    let edit = ["data", "edit", did, "--name", "Hearts of 1988", "--http", node.http(), "--account", "7"];
    run(at, &edit)?.map_err(eyre::Report::msg)?;
    test(did, "copy.wasm")?.map_err(eyre::Report::msg)?;
    let listing = publish("other.json", &[])?.map_err(eyre::Report::msg)?;
    let nft = listing["nft"].as_str().wrap_err("an NFT")?;
    let why = test(nft, "copy.wasm")?.err().wrap_err("there is a sample")?;
    ensure!(why.contains("no sample rows"), "{why}");
    Ok(())
}

/// Each listing in the documentation is a part of the template of its language, so that what is read is what `stoa algo new` makes.
#[test]
fn the_listings_of_the_documentation_are_parts_of_the_templates() -> Result<()> {
    let repository = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("..");
    let docs = fs::read_to_string(repository.join("docs/algorithms.md"))?;
    let templates = repository.join("crates/algorithms/templates");
    for (language, file) in [
        ("rust", "rust/src/main.rs"),
        ("c", "c/src/main.c"),
        ("ts", "assemblyscript/assembly/main.ts"),
        ("js", "javascript/main.js"),
        ("python", "python/main.py"),
    ] {
        let file: PathBuf = templates.join(file);
        let template = fs::read_to_string(&file)?;
        let begin = format!("```{language}\n");
        let mut parts = docs.split(&begin).skip(1).peekable();
        ensure!(parts.peek().is_some(), "there is no listing in {language}");
        for part in parts {
            let (listing, _) = part.split_once("```").wrap_err("a listing that ends")?;
            ensure!(template.contains(listing), "{} has another text than the listing:\n{listing}", file.display());
        }
    }
    Ok(())
}

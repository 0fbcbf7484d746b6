//! Files that somebody wants to publish.

use crate::Target;
use std::io::Cursor;
use stoa_data::look::{Format, Looked, Looking, look_into};

/// Files that somebody wants to publish.
pub const TARGET: Target = Target { name: "look", run, seeds };

/// What a file may be called. The first byte says which.
const NAMES: [&str; 9] =
    ["file", "a.csv", "a.tsv", "a.jsonl", "a.json", "a.onnx", "README.md", "LICENSE", "a.safetensors"];

fn run(bytes: &[u8]) -> bool {
    let Some((name, content)) = bytes.split_first() else { return false };
    let Some(name) = NAMES.get(usize::from(*name)) else { return false };
    let found = look_into(name, content.len() as u64, Cursor::new(content), Looking::default(), &|_| ());
    let found = found.expect("bytes in memory can be read");
    assert_eq!((found.bytes, found.files), (content.len() as u64, 1));
    let said = serde_json::to_string(&found).expect("what was found can be written");
    let again: Looked = serde_json::from_str(&said).expect("what was written can be read");
    assert_eq!(again, found);
    if let Some(table) = &found.table {
        assert!(table.columns.len() as u64 <= table.width);
        for column in &table.columns {
            assert!(column.name.len() <= 128 && !column.name.chars().any(char::is_control));
            assert!(column.missing.is_none_or(|missing| {
                table.rows.is_none_or(|rows| missing <= rows || found.format == Format::Parquet)
            }));
        }
    }
    let model = found.model.as_ref().and_then(|model| model.parameters);
    assert!(model.is_none_or(|numbers| numbers / 8 <= found.bytes), "a model is not larger than its file");
    found.table.is_some() || found.model.is_some() || found.picture.is_some() || found.licence.is_some()
}

fn seeds() -> Vec<Vec<u8>> {
    let tensors = r#"{"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"__metadata__":{"format":"pt"}}"#;
    let safetensors = [&(tensors.len() as u64).to_le_bytes()[..], tensors.as_bytes(), &[0; 12]].concat();
    let string = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let number = |number: u32| number.to_le_bytes().to_vec();
    let gguf = [
        b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec(),
        string("general.architecture"),
        number(8),
        string("llama"),
        string("tokens"),
        [number(9), number(8), vec![1, 0, 0, 0, 0, 0, 0, 0], string("a")].concat(),
        string("w"),
        [number(1), vec![16, 0, 0, 0, 0, 0, 0, 0], number(0), vec![0; 8], vec![0; 64]].concat(),
    ];
    let footer = [
        &b"\x15\x02\x19\x2c\x48\x06schema\x15\x02\0\x15\x04\x25\x02\x18\x02id\0\x16\x0a"[..],
        b"\x19\x1c\x19\x0c\x16\0\x16\x0a\0\0",
    ]
    .concat();
    let parquet = [b"PAR1", &footer[..], &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat();
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &[0, 0, 2, 128, 0, 0, 1, 224, 8, 2, 0, 0, 0]].concat();
    let onnx = b"\x08\x09\x12\x07pytorch\x3a\x0b\x12\x03net\x2a\x04\0\0\0\0\x42\x02\x10\x11".to_vec();
    let jpeg = b"\xff\xd8\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0\xff\xc0\0\x11\x08\0\x10\0\x20\x03\x01\"\0\x02\x11\x01\x03\x11\x01";
    [
        (0, b"age;mail;born\n63;ann@example.org;1950-01-02\n12,5;\"b \"\"c\"\" ; d\";2001-01-02\n".to_vec()),
        (1, b"\xef\xbb\xbfage,sick\r\n63,yes\r\n?,no\r\n".to_vec()),
        (2, b"a\tb\n1\t+49 30 901820\n2\t4111 1111 1111 1111\n".to_vec()),
        (3, b"{\"id\":1,\"tags\":[1,{\"x\":null}]}\n{\"id\":2.5,\"day\":\"2020-01-02T10:00:00Z\"}\n".to_vec()),
        (4, b"[{\"id\":1,\"host\":\"10.0.0.1\"},{\"acct\":\"DE89 3704 0044 0532 0130 00\"}]".to_vec()),
        (5, onnx),
        (6, b"---\ntags: x\nlicense: cc-by-4.0\n---\n# Data\n".to_vec()),
        (7, b"MIT License\n\nPermission is hereby granted".to_vec()),
        (8, safetensors),
        (0, gguf.concat()),
        (0, parquet),
        (0, png),
        (0, jpeg.to_vec()),
        (0, b"GIF89a\x0a\0\x14\0\0\0\0".to_vec()),
        (0, b"RIFF\x24\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x7f\x02\0\xdf\x01\0".to_vec()),
    ]
    .into_iter()
    .map(|(name, content)| [&[name], &content[..]].concat())
    .collect()
}

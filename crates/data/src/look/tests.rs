use super::{table::MOST_COLUMNS, *};
use polars_parquet_format::{
    ColumnChunk, ColumnMetaData, CompressionCodec, ConvertedType, Encoding, FieldRepetitionType, FileMetaData,
    RowGroup, SchemaElement, Statistics, Type, thrift::protocol::TCompactOutputProtocol,
};
use std::{cell::Cell, fs, io::Cursor};

fn looked(name: &str, content: &[u8]) -> Looked {
    looked_as(name, content, Looking::default())
}

fn looked_as(name: &str, content: &[u8], looking: Looking) -> Looked {
    look_into(name, content.len() as u64, Cursor::new(content), looking, &|_| ()).unwrap()
}

/// The columns of a table with their types and missing values.
fn columns(looked: &Looked) -> Vec<(&str, Kind, Option<u64>)> {
    let table = looked.table.as_ref().unwrap_or_else(|| panic!("a table: {looked:?}"));
    table.columns.iter().map(|column| (column.name.as_str(), column.kind, column.missing)).collect()
}

fn kinds(looked: &Looked) -> Vec<(&str, Personal, bool)> {
    looked.warnings.iter().map(|warning| (warning.column.as_str(), warning.kind, warning.by_name)).collect()
}

#[test]
fn a_table_is_known_whatever_separates_its_values() {
    let rows =
        "age,chol,sick,seen,city,none\n63,233.5,yes,2020-01-02,Basel,\n?,NA,no,2021-01-02T10:00:00Z,\"Bern, old\",\n";
    for (delimiter, name) in [(',', "a.csv"), (';', "a.csv"), ('\t', "a.tsv"), ('|', "table")] {
        let text = rows.replace("Bern, old", "Bern").replace(',', &delimiter.to_string());
        let found = looked(name, text.as_bytes());
        assert_eq!(found.format, Format::Csv, "{delimiter}");
        assert_eq!(found.table.as_ref().unwrap().delimiter, Some(delimiter));
    }
    let found = looked("a.csv", rows.as_bytes());
    let wanted = [
        ("age", Kind::Integer, Some(1)),
        ("chol", Kind::Number, Some(1)),
        ("sick", Kind::Boolean, Some(0)),
        ("seen", Kind::Date, Some(0)),
        ("city", Kind::Text, Some(0)),
        ("none", Kind::Empty, Some(2)),
    ];
    assert_eq!(columns(&found), wanted);
    let table = found.table.as_ref().unwrap();
    assert!(table.header && table.rows == Some(2) && found.whole && found.problem.is_none(), "{found:?}");
    // As it is published, and read again.
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Looked>(&json).unwrap(), found);
}

/// The programs that `stoa algo new` makes read the same cells as numbers, and refuse the same.
#[test]
fn what_is_called_a_number_is_what_programs_read_as_one() {
    for cell in ["5", " 5", "5 ", "\t7\t", "+5", "-0.5", ".5", "5.", "1e2", "1E-2", "2.5e+1", "007", "1.e1"] {
        assert!(matches!(Kind::of(cell), Some(Kind::Integer | Kind::Number)), "{cell:?}");
    }
    for cell in
        ["0x10", "0b11", "1_000", "1 000", "1'000", "1,5", "inf", "1e999", "1e", "e5", ".", "+-5", "1-2", "1.2.3", "5f"]
    {
        assert_eq!(Kind::of(cell), Some(Kind::Text), "{cell:?}");
    }
}

#[test]
fn the_name_of_a_column_that_is_cut_ends_with_a_mark() {
    let name = |length: usize| "ä".repeat(length);
    let found = looked("a.csv", format!("{},{},a\n1,2,3\n", name(64), name(65)).as_bytes());
    let cut = format!("{}…", name(62));
    let names: Vec<_> = columns(&found).into_iter().map(|(name, ..)| name.to_owned()).collect();
    assert_eq!(names, [name(64), cut.clone(), "a".to_owned()]);
    let found = looked("a.jsonl", format!("{{\"{}\":1}}\n{{\"{}\":2}}\n", name(65), name(70)).as_bytes());
    assert_eq!(columns(&found), [(cut.as_str(), Kind::Integer, Some(0))], "names that look the same are one");
}

#[test]
fn the_heart_data_are_what_their_description_says() {
    let path = Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
        .join("../../data/heart/cleveland.csv");
    let read = Cell::new(0);
    let found = look(&path, Looking::default(), &|bytes| read.set(read.get() + bytes)).unwrap();
    let table = found.table.as_ref().unwrap();
    let lines = fs::read_to_string(&path).unwrap().lines().count() as u64;
    assert_eq!((found.format, table.rows, table.header), (Format::Csv, Some(lines - 1), true));
    assert_eq!(table.columns[0].name, "age");
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
    assert!(read.get() >= found.bytes);
}

#[test]
fn values_of_a_table_without_a_header_are_no_names_of_columns() {
    for row in ["63,1,145", "ann@example.org,Ann", "Ann,1980-02-01", "Ann,+49 30 901820", "a,a"] {
        let found = looked("a.csv", format!("{row}\n{row}\n").as_bytes());
        let table = found.table.as_ref().unwrap();
        assert!(!table.header && table.rows == Some(2), "{row}: {found:?}");
        assert!(table.columns.iter().all(|column| column.name.starts_with("column ")));
        assert!(!serde_json::to_string(&found).unwrap().contains("Ann"));
    }
    // Words that stand there twice, and days or years, are of another kind than what stands below them, or no names.
    for (text, rows, names) in [
        ("name,dob,dob\nMax,1,1\nEva,2,2\n", 2, ["name", "dob", "dob"]),
        ("country,2019,2020\nDE,83,84\nFR,67,68\n", 2, ["country", "2019", "2020"]),
        ("country,2020-01-22,2020-01-23\nDE,0,1\n", 1, ["country", "2020-01-22", "2020-01-23"]),
        ("Ann,2019,2020\nBob,2018,2021\n", 2, ["column 1", "column 2", "column 3"]),
        ("Ann,Basel,Basel\nBob,Bern,Bern\n", 2, ["column 1", "column 2", "column 3"]),
        ("Ann,63,145\nBob,1,2\n", 2, ["column 1", "column 2", "column 3"]),
        ("ann@example.org,sick,sick\n1,2,3\n", 2, ["column 1", "column 2", "column 3"]),
    ] {
        let found = looked("a.csv", text.as_bytes());
        let called: Vec<_> = columns(&found).into_iter().map(|(name, ..)| name).collect();
        assert_eq!((called, found.table.as_ref().unwrap().rows), (names.to_vec(), Some(rows)), "{text}");
    }
    let found = looked("a.csv", b"name,dob,dob\nMax,1,1\nEva,2,2\n");
    assert!(kinds(&found).contains(&("dob", Personal::Birth, true)), "{found:?}");
    // Nobody can tell names of people from names of columns: the owner says so.
    let names = b"Ann,Basel\nBob,Bern\n";
    assert!(looked("a.csv", names).table.unwrap().header);
    let said = looked_as("a.csv", names, Looking { header: Header::None, ..Looking::default() });
    assert_eq!(columns(&said)[0].0, "column 1");
    let said = looked_as("a.csv", b"1,2\n3,4\n", Looking { header: Header::First, ..Looking::default() });
    assert_eq!((columns(&said)[0].0, said.table.as_ref().unwrap().rows), ("1", Some(1)));
}

#[test]
fn what_looks_personal_is_told_by_column_and_kind_and_never_by_value() {
    let text = "Full Name,contact,ref,host,acct,card,born,note\n\
        Ann Meier,ann@example.org,078-05-1120,10.1.2.3,DE89 3704 0044 0532 0130 00,4111 1111 1111 1111,1950-03-04,x\n\
        Bob Moser,bob@example.org,078-05-1121,10.1.2.4,DE89 3704 0044 0532 0130 00,4111-1111-1111-1111,1999-03-04,call +49 30 901820\n";
    let found = looked("people.csv", text.as_bytes());
    let wanted = [
        ("Full Name", Personal::Name, true),
        ("contact", Personal::Email, false),
        ("ref", Personal::Identity, false),
        ("host", Personal::Ip, false),
        ("acct", Personal::Account, false),
        ("card", Personal::Card, false),
        ("born", Personal::Birth, true),
    ];
    assert_eq!(kinds(&found), wanted);
    assert_eq!(found.warnings[1].values, 2);
    let said = serde_json::to_string(&found).unwrap();
    for value in ["Ann", "example", "078", "10.1", "DE89", "4111", "1950", "901820"] {
        assert!(!said.contains(value), "{value} in {said}");
    }
    let roles = "patient,patients,doctor_id,client_version,ward\nAnn Meier,3,17,1.2.0,A\nBob Moser,4,18,1.3.0,B\n";
    let wanted = [("patient", Personal::Name, true), ("doctor_id", Personal::Identity, true)];
    assert_eq!(kinds(&looked("wards.csv", roles.as_bytes())), wanted);
    // Ordinary figures are nobody's.
    let figures: String = (0..100_u64).map(|row| format!("{},{},{}.5\n", 1_000_000_000 + 7 * row, row, row)).collect();
    assert!(looked("a.csv", format!("id,count,value\n{figures}").as_bytes()).warnings.is_empty());
}

#[test]
fn a_quote_that_is_never_closed_is_told_and_one_that_is_closed_at_the_end_is_none() {
    let problem = |rows: &str| looked("a.csv", format!("a,b\n{rows}").as_bytes()).problem;
    assert!(problem("1,\"unclosed\n2,3\n4,5\n").is_some_and(|why| why.contains("never closed")));
    for rows in ["1,\"x\"", "1,\"x\"\n", "1,\"x\"\r\n", "1,\"x\"\"y\"", "1,", "1,2\r", "1,x\"y\n", ""] {
        assert_eq!(problem(rows), None, "{rows:?}");
        let wanted = u64::from(!rows.is_empty());
        let found = looked("a.csv", format!("a,b\n{rows}").as_bytes());
        assert_eq!(found.table.unwrap().rows, Some(wanted), "{rows:?}");
    }
}

#[test]
fn json_is_read_behind_a_mark_and_past_a_number_that_is_out_of_range() {
    for (name, text) in
        [("a.jsonl", "{\"a\":1}\n{\"a\":2}\n"), ("a", "{\"a\":1}\n{\"a\":2}\n"), ("a.json", "[{\"a\":1},{\"a\":2}]")]
    {
        let found = looked(name, format!("\u{feff}{text}").as_bytes());
        assert_eq!((&found.problem, found.table.as_ref().unwrap().rows), (&None, Some(2)), "{name}: {found:?}");
        assert_eq!(columns(&found), [("a", Kind::Integer, Some(0))]);
    }
    let marked = looked("a.csv", "\u{feff}a,b\n1,2\n".as_bytes());
    assert_eq!(columns(&marked)[0].0, "a");
    let found = looked("a.jsonl", b"{\"a\":1,\"b\":1e999}\n{\"a\":2,\"b\":3}\n");
    assert_eq!(found.table.as_ref().unwrap().rows, Some(2), "{found:?}");
    assert!(found.problem.is_some_and(|why| why.contains("line 1 has a number that is out of range")) && !found.whole);
    let found = looked("a.json", b"[{\"a\":1e999}]");
    assert!(found.problem.is_some_and(|why| why.contains("out of range at line 1")));
}

#[test]
fn lines_and_arrays_of_objects_are_tables() {
    let lines =
        "{\"id\":1,\"mail\":\"ann@example.org\",\"tags\":[1]}\n\n{\"id\":2.5,\"day\":\"2020-01-02\",\"mail\":null}\n";
    let wanted = [
        ("id", Kind::Number, Some(0)),
        ("mail", Kind::Text, Some(1)),
        ("tags", Kind::Other, Some(1)),
        ("day", Kind::Date, Some(1)),
    ];
    for name in ["a.jsonl", "a"] {
        let found = looked(name, lines.as_bytes());
        assert_eq!((found.format, found.table.as_ref().unwrap().rows), (Format::JsonLines, Some(2)), "{name}");
        assert_eq!(columns(&found), wanted);
        assert_eq!(kinds(&found), [("mail", Personal::Email, true)]);
    }
    let array = format!("[{}]", lines.trim().replace("\n\n", ","));
    let found = looked("a.json", array.as_bytes());
    assert_eq!((found.format, columns(&found)), (Format::Json, wanted.to_vec()));
    // What is no table is none.
    for document in ["{\"a\":[1,2]}", "[1,2]", "[{\"a\":1},2]", "\"x\"", "null"] {
        let found = looked("a.json", document.as_bytes());
        assert!(found.table.is_none() && found.problem.is_none(), "{document}: {found:?}");
    }
    assert!(looked("a.json", b"{\"a\":").problem.is_some());
    let found = looked("a.jsonl", b"{\"a\":1}\n{\"a\"\n");
    assert!(found.problem.as_ref().is_some_and(|why| why.contains("line 2")) && found.table.unwrap().rows.is_none());
}

/// A Parquet file without values, with this footer.
fn parquet(footer: &FileMetaData) -> Vec<u8> {
    let mut bytes = Vec::new();
    footer.write_to_out_protocol(&mut TCompactOutputProtocol::new(&mut bytes)).unwrap();
    framed(&bytes)
}

fn framed(footer: &[u8]) -> Vec<u8> {
    [b"PAR1", footer, &(footer.len() as u32).to_le_bytes(), b"PAR1"].concat()
}

fn element(name: &str, kind: Option<Type>, children: Option<i32>) -> SchemaElement {
    SchemaElement {
        type_: kind,
        type_length: None,
        repetition_type: Some(FieldRepetitionType::OPTIONAL),
        name: name.into(),
        num_children: children,
        converted_type: (kind == Some(Type::BYTE_ARRAY)).then_some(ConvertedType::UTF8),
        scale: None,
        precision: None,
        field_id: None,
        logical_type: None,
    }
}

fn chunk(name: &str, nulls: Option<i64>) -> ColumnChunk {
    let statistics = Statistics::new(b"ann@example.org".to_vec(), None, nulls, None, None, None, None, None);
    let is = ColumnMetaData {
        type_: Type::INT64,
        encodings: vec![Encoding::PLAIN],
        path_in_schema: vec![name.into()],
        codec: CompressionCodec::UNCOMPRESSED,
        num_values: 10,
        total_uncompressed_size: 0,
        total_compressed_size: 0,
        key_value_metadata: None,
        data_page_offset: 4,
        index_page_offset: None,
        dictionary_page_offset: None,
        statistics: Some(statistics),
        encoding_stats: None,
        bloom_filter_offset: None,
        bloom_filter_length: None,
        size_statistics: None,
    };
    ColumnChunk {
        file_path: None,
        file_offset: 4,
        meta_data: Some(is),
        offset_index_offset: None,
        offset_index_length: None,
        column_index_offset: None,
        column_index_length: None,
        crypto_metadata: None,
        encrypted_column_metadata: None,
    }
}

fn group(rows: i64, columns: Vec<ColumnChunk>) -> RowGroup {
    RowGroup {
        columns,
        total_byte_size: 0,
        num_rows: rows,
        sorting_columns: None,
        file_offset: None,
        total_compressed_size: None,
        ordinal: None,
    }
}

fn footer(schema: Vec<SchemaElement>, num_rows: i64, row_groups: Vec<RowGroup>) -> FileMetaData {
    FileMetaData {
        version: 1,
        schema,
        num_rows,
        row_groups,
        key_value_metadata: None,
        created_by: Some("a test".into()),
        column_orders: None,
        encryption_algorithm: None,
        footer_signing_key_metadata: None,
    }
}

#[test]
fn a_parquet_files_footer_tells_columns_rows_and_missing_values() {
    let schema = vec![
        element("schema", None, Some(3)),
        element("id", Some(Type::INT64), None),
        element("email", Some(Type::BYTE_ARRAY), None),
        element("list", None, Some(1)),
        element("item", Some(Type::DOUBLE), None),
    ];
    let groups = vec![
        group(10, vec![chunk("id", Some(2)), chunk("email", Some(1))]),
        group(5, vec![chunk("id", Some(1)), chunk("email", None)]),
    ];
    let found = looked("a.parquet", &parquet(&footer(schema, 15, groups)));
    assert_eq!(
        (found.format, found.table.as_ref().and_then(|table| table.rows)),
        (Format::Parquet, Some(15)),
        "{found:?}"
    );
    assert_eq!(
        columns(&found),
        [("id", Kind::Integer, Some(3)), ("email", Kind::Text, None), ("list", Kind::Other, None)]
    );
    assert_eq!(kinds(&found), [("email", Personal::Email, true)]);
    assert!(!serde_json::to_string(&found).unwrap().contains("ann"));
}

#[test]
fn a_parquet_footer_that_lies_is_a_problem_and_costs_nothing() {
    let one = || vec![element("schema", None, Some(1)), element("id", Some(Type::INT64), None)];
    // Rows that no group has; more children than there are elements, and fewer than none; no root; groups that are too deep.
    let deep = (0..10_000).map(|_| element("g", None, Some(1))).collect();
    for (schema, rows, groups) in [
        (one(), i64::MAX, vec![group(1, vec![])]),
        (one(), -1, vec![]),
        (vec![element("schema", None, Some(-1))], 0, vec![]),
        (vec![element("schema", None, None), element("id", Some(Type::INT64), None)], 0, vec![]),
        (deep, 0, vec![]),
    ] {
        let found = looked("a.parquet", &parquet(&footer(schema, rows, groups)));
        assert!(found.table.is_none() && found.problem.is_some(), "{found:?}");
    }
    // A schema that claims 2^31 children is that of those that are there.
    let found =
        looked("a", &parquet(&footer(vec![element("schema", None, Some(i32::MAX)), one().remove(1)], 0, vec![])));
    assert_eq!(found.table.unwrap().columns.len(), 1);
    // A list of 2^32 elements; a footer that is longer than the file, or than anybody's; a file that is cut.
    let list = framed(&[0x15, 2, 0x19, 0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f, 0x48, 1, b'a', 0]);
    let mut long = framed(&[0; 100]);
    let end = long.len();
    long[end - 8..end - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let whole = parquet(&footer(one(), 0, vec![]));
    for bytes in [&list[..], &long, &whole[..whole.len() - 1], b"PAR1", b"PAR1PAR1", &whole[..12]] {
        let found = looked("a", bytes);
        assert_eq!((found.format, found.table), (Format::Parquet, None));
        assert!(found.problem.is_some());
    }
}

/// A file that is made while it is read: `head`, then `body` again and again, until it has so many bytes.
struct Endless<'a> {
    head: &'a [u8],
    body: &'a [u8],
    at: u64,
    bytes: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (head, left) = (self.head.len() as u64, self.bytes - self.at);
        let part = match self.at < head {
            true => &self.head[self.at as usize..],
            false => &self.body[((self.at - head) % self.body.len() as u64) as usize..],
        };
        let count = part.len().min(buffer.len()).min(usize::try_from(left).unwrap_or(usize::MAX));
        buffer[..count].copy_from_slice(&part[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Endless<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.at = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.bytes.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput)?,
        };
        Ok(self.at)
    }
}

fn endless(name: &str, head: &[u8], body: &[u8], bytes: u64) -> Looked {
    look_into(name, bytes, Endless { head, body, at: 0, bytes }, Looking::default(), &|_| ()).unwrap()
}

#[test]
fn a_million_columns_a_line_without_end_and_a_value_without_end_are_passed_through() {
    let wide = endless("a.csv", b"a,b\n", b"1,", 4 + 2_000_000);
    let table = wide.table.as_ref().unwrap();
    assert_eq!((table.width, table.columns.len(), table.rows), (1_000_001, MOST_COLUMNS, Some(1)));
    assert!(wide.problem.is_some());
    // A quote that nothing ends takes the rest of the file for one value.
    let quoted = endless("a.csv", b"a,b\n1,\"", b"x,y\n", 16 << 20);
    assert_eq!((columns(&quoted)[1].1, quoted.table.as_ref().unwrap().rows), (Kind::Text, Some(1)));
    assert!(quoted.problem.is_some_and(|why| why.contains("never closed")));
    let line = endless("a.jsonl", b"{\"a\":\"", b"x", 16 << 20);
    assert!(line.problem.is_some_and(|why| why.contains("line 1 is longer")) && line.table.is_none());
    // Keys that are all others: so many columns, and no more.
    let keys: String = (0..2 * MOST_COLUMNS).map(|key| format!("{{\"{key}{}\":1}}\n", "k".repeat(500))).collect();
    let table = looked("a.jsonl", keys.as_bytes()).table.unwrap();
    assert_eq!((table.width, table.columns.len()), (2 * MOST_COLUMNS as u64, MOST_COLUMNS));
    assert!(table.columns.iter().all(|column| column.name.len() <= 128));
    // The same in each row are counted once.
    let row: String = (0..MOST_COLUMNS + 3).map(|key| format!("\"{key}\":1,")).collect();
    let rows = format!("{{{row}\"last\":1}}\n").repeat(20);
    let table = looked("a.jsonl", rows.as_bytes()).table.unwrap();
    assert_eq!((table.width, table.columns.len(), table.rows), (MOST_COLUMNS as u64 + 4, MOST_COLUMNS, Some(20)));
}

#[test]
fn json_within_itself_without_end_ends() {
    for (head, body, name) in
        [(&b"["[..], &b"["[..], "a.json"), (b"{\"a\":", b"[", "a.jsonl"), (b"{\"a\":", b"{\"a\":", "a")]
    {
        let found = endless(name, head, body, 8 << 20);
        assert!(found.table.is_none(), "{name}: {found:?}");
    }
    let deep = [&b"[{\"a\":"[..], &[b'['; 1_000_000], &[b']'; 1_000_000], b"}]"].concat();
    assert_eq!(columns(&looked("a.json", &deep)), [("a", Kind::Other, Some(0))]);
}

#[test]
fn rows_of_a_table_that_is_longer_than_is_read_are_not_counted() {
    let looking = Looking { most: 100_000, ..Looking::default() };
    let file = || Endless { head: b"a,b\n", body: b"1,x\n", at: 0, bytes: 1 << 40 };
    let found = look_into("a.csv", 1 << 40, file(), looking, &|_| ()).unwrap();
    let table = found.table.as_ref().unwrap();
    assert!(!found.whole && table.rows.is_none() && table.columns[1].missing.is_none(), "{found:?}");
    assert_eq!(table.columns[0].kind, Kind::Integer);
}

#[test]
fn pictures_have_so_many_pixels() {
    let png = [&b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"[..], &640_u32.to_be_bytes(), &480_u32.to_be_bytes(), &[8, 2, 0, 0, 0]]
        .concat();
    let gif = [&b"GIF89a"[..], &[10, 0, 20, 0], &[0; 3]].concat();
    assert_eq!(looked("a", &png).picture, Some(Picture { width: 640, height: 480 }));
    assert_eq!(looked("a", &gif).picture, Some(Picture { width: 10, height: 20 }));
    let cut = looked("a", &png[..14]);
    assert!(cut.format == Format::Png && cut.problem.is_some() && cut.picture.is_none());
}

fn safetensors(header: &str, numbers: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; numbers]].concat()
}

#[test]
fn safetensors_tell_tensors_and_parameters_and_are_not_believed_more_than_there_is() {
    let header = r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"b":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}"#;
    let found = looked("m.safetensors", &safetensors(header, 16));
    let model = found.model.as_ref().unwrap();
    assert_eq!((found.format, model.tensors, model.parameters), (Format::Safetensors, Some(2), Some(7)));
    let tensor =
        |shape: &str, offsets: &str| format!(r#"{{"w":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#);
    for (header, numbers) in [
        (tensor("[2]", "[0,9]"), 8),
        (tensor("[4611686018427387904,4]", "[0,8]"), 8),
        (tensor("[2]", "[8,0]"), 8),
        (tensor("[1000000]", "[0,4000000]"), 8),
        (tensor("[2]", "[0,8]"), 7),
        (tensor("[-1]", "[0,8]"), 8),
        ("[".repeat(100_000), 0),
    ] {
        let found = looked("m.safetensors", &safetensors(&header, numbers));
        assert!(found.model.is_none(), "{header:.100}: {found:?}");
        assert!(found.problem.is_some() || found.format != Format::Safetensors, "{header:.100}");
    }
    // A header that is longer than the file.
    let mut long = safetensors(header, 16);
    long[..8].copy_from_slice(&(1_u64 << 26).to_le_bytes());
    assert!(looked("m", &long).problem.is_some_and(|why| why.contains("longer than the file")));
}

fn gguf(tensors: u64, values: u64, rest: &[u8]) -> Vec<u8> {
    [b"GGUF", &3_u32.to_le_bytes()[..], &tensors.to_le_bytes(), &values.to_le_bytes(), rest].concat()
}

fn string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

#[test]
fn gguf_tells_its_architecture_and_counts_that_lie_are_a_problem() {
    let kind = |kind: u32| kind.to_le_bytes().to_vec();
    let list = |of: u32, count: u64| [kind(9), kind(of), count.to_le_bytes().to_vec()].concat();
    let words = [string("tokenizer.ggml.tokens"), list(8, 2), string("a"), string("b")].concat();
    let said = [string("general.architecture"), kind(8), string("llama")].concat();
    let tensor =
        [string("w"), kind(2), 2_u64.to_le_bytes().to_vec(), 8_u64.to_le_bytes().to_vec(), kind(0), vec![0; 8]]
            .concat();
    let whole = gguf(1, 2, &[&words[..], &said, &tensor, &[0; 64]].concat());
    let found = looked("m", &whole);
    let model = found.model.as_ref().unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!((model.architecture.as_deref(), model.tensors, model.parameters), (Some("llama"), Some(1), Some(16)));
    for (tensors, values, rest) in [
        (u64::MAX, 0, vec![]),
        (0, u64::MAX, vec![]),
        (1 << 40, 1 << 40, vec![0; 1_000]),
        (0, 1, [(u64::MAX - 3).to_le_bytes().to_vec(), vec![0; 100]].concat()),
        (0, 1, [string("l"), list(8, u64::MAX), vec![0; 100]].concat()),
        (0, 1, [string("l"), list(10, u64::MAX / 2), vec![0; 100]].concat()),
        (0, 1, [string("l"), (0..100).flat_map(|_| list(9, 1)).skip(4).collect(), vec![0; 100]].concat()),
        (1, 0, [string("w"), kind(u32::MAX), vec![0; 100]].concat()),
        (1, 0, [string("w"), kind(2), vec![0xff; 16], vec![0; 100]].concat()),
    ] {
        let found = looked("m.gguf", &gguf(tensors, values, &rest));
        assert!(found.model.is_none() && found.problem.is_some(), "{tensors} {values}: {found:?}");
    }
}

#[test]
fn onnx_tells_its_graph_and_its_operators() {
    let field = |tag: u8, content: &[u8]| [&[tag, content.len() as u8][..], content].concat();
    let graph = [field(0x12, b"net"), field(0x2a, &[0; 20]), field(0x0a, b"node")].concat();
    let model = [&[0x08, 9][..], &field(0x12, b"pytorch"), &field(0x3a, &graph), &field(0x42, &[0x10, 17])].concat();
    let found = looked("m.onnx", &model);
    let said = found.model.as_ref().unwrap_or_else(|| panic!("{found:?}"));
    assert_eq!((said.architecture.as_deref(), said.tensors, said.version), (Some("net"), Some(1), Some(17)));
    let lies = [&[0x08, 9, 0x3a, 0xff, 0xff, 0xff, 0x7f][..], &graph].concat();
    assert!(looked("m.onnx", &lies).problem.is_some());
    assert_eq!(looked("m", &model).format, Format::Other);
}

#[test]
fn a_folder_is_counted_and_links_in_it_are_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("data");
    fs::create_dir_all(root.join("more")).unwrap();
    fs::write(root.join("a.csv"), "age,mail\n1,ann@example.org\n2,?\n").unwrap();
    fs::write(root.join("more/b.csv"), "age,mail\n1.5,bob@example.org\n").unwrap();
    fs::write(root.join("notes.txt"), "hello").unwrap();
    fs::write(root.join("LICENSE"), "Creative Commons Attribution 4.0 International").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
    std::os::unix::fs::symlink(&root, root.join("more/loop")).unwrap();
    let found = look(&root, Looking::default(), &|_| ()).unwrap();
    assert_eq!((found.format, found.files, found.skipped), (Format::Folder, 4, 2));
    assert_eq!(found.unkept.as_deref(), Some("link: it is neither a file nor a folder"));
    assert_eq!(found.formats[&Format::Csv].files, 2);
    assert_eq!(columns(&found), [("age", Kind::Number, Some(0)), ("mail", Kind::Text, Some(1))]);
    assert_eq!(found.table.as_ref().unwrap().rows, Some(3));
    let warning = &found.warnings[..];
    assert!(matches!(warning, [one] if one.file.as_deref() == Some("a.csv") && one.values == 2), "{warning:?}");
    assert_eq!(found.licence.unwrap().name.as_deref(), Some("CC-BY-4.0"));
    // Tables that differ are no table together.
    fs::write(root.join("c.csv"), "other,columns\n1,2\n").unwrap();
    assert!(look(&root, Looking::default(), &|_| ()).unwrap().table.is_none());
    assert!(matches!(look(&root.join("link"), Looking::default(), &|_| ()), Err(LookError::Link(_))));
    assert!(matches!(look(&root.join("none"), Looking::default(), &|_| ()), Err(LookError::Io { .. })));
}

#[test]
fn names_under_which_nothing_is_kept_for_others_are_told() {
    use std::os::unix::ffi::OsStrExt as _;
    let folder = tempfile::tempdir().unwrap();
    let unkept = || look(folder.path(), Looking::default(), &|_| ()).unwrap().unkept;
    fs::create_dir(folder.path().join("more")).unwrap();
    fs::write(folder.path().join("more/rows.csv"), "a,b\n1,2\n").unwrap();
    assert_eq!(unkept(), None);
    for (name, why) in [(&b"\xff.csv"[..], "not UTF-8"), (b"a\nb.csv", "control characters")] {
        let file = folder.path().join("more").join(OsStr::from_bytes(name));
        fs::write(&file, "a,b\n1,2\n").unwrap();
        assert!(unkept().is_some_and(|said| said.starts_with("more/") && said.contains(why)));
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn what_is_no_text_and_nothing_that_is_known_is_other() {
    assert_eq!(looked("a.csv", &[0, 1, 2, 255]).format, Format::Other);
    assert_eq!(looked("a.bin", &[0; 100]).format, Format::Other);
    assert_eq!(looked("a", b"Dear all,\nthis is a text.\n").format, Format::Text);
    assert_eq!(looked("a.md", b"# Title").format, Format::Text);
    let empty = looked("a.csv", b"");
    assert_eq!((empty.format, empty.table.unwrap().rows), (Format::Csv, Some(0)));
}

#[test]
fn what_is_not_looked_into_for_personal_data_is_said() {
    let why = |name: &str, content: &[u8]| -> Vec<String> {
        looked(name, content).unseen.into_iter().map(|unseen| unseen.why).collect()
    };
    let text = "name,mail\nJosé,jose@example.org\n";
    let latin: Vec<u8> = text.chars().map(|each| each as u8).collect();
    let wide: Vec<u8> = [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(
        (why("a.csv", &latin), why("a.csv", &wide)),
        (vec!["it is not UTF-8".into()], vec!["it is not UTF-8".into()])
    );
    assert_eq!(why("a.csv", text.as_bytes()), Vec::<String>::new());
    assert_eq!(why("a.jpg", &[0xff, 0xd8, 0xff, 0xe0]), ["pictures are not looked into"]);
    assert_eq!(why("a.bin", &[0, 1, 2, 255]), ["its format is none that is looked into"]);
    assert_eq!(why("a.json", br#"{"ann":1}"#), ["no list of objects was read in it"]);
    for within in [r#"{"mail":"ann@example.org"}"#, r#"["ann@example.org"]"#] {
        let nested = format!("{{\"visit\":{within}}}\n").repeat(12);
        assert_eq!(why("a.jsonl", nested.as_bytes()), ["lists and objects in a column are not looked into"]);
    }
    assert_eq!(why("a.jsonl", b"{\"age\":1}\n{\"age\":2}\n"), Vec::<String>::new());
    // Of a folder it is said once.
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("a.csv", &latin[..]), ("b.csv", &wide), ("c.csv", text.as_bytes())] {
        fs::write(folder.path().join(name), content).unwrap();
    }
    let found = look(folder.path(), Looking::default(), &|_| ()).unwrap();
    let wanted = Unseen { why: "it is not UTF-8".into(), files: 2, file: Some("a.csv".into()) };
    assert_eq!(found.unseen, [wanted]);
}

#[test]
fn addresses_and_accounts_are_found_in_text_and_other_figures_are_not() {
    let text = "Dear Ann,\nwrite to ann.b@example.org, or pay DE89 3704 0044 0532 0130 00.\nBob: <bob@example.org>; DE89370400440532013000\n\
                Call 2024-01-02 @home, ISBN 978 3 16 148410 0.\n";
    let found = looked("letter.txt", text.as_bytes());
    let kinds: Vec<_> = found.warnings.iter().map(|warning| (warning.kind, warning.values)).collect();
    assert_eq!((kinds, found.whole), (vec![(Personal::Email, 2), (Personal::Account, 2)], true));
    assert!(looked("letter.txt", b"Dear all,\nthis is a text of version 1.2.3.\n").warnings.is_empty());
}

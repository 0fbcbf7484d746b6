//! Models: what their headers say. Numbers in them are held against the file's length before anything is made of them.

use super::Looked;
use serde::{
    Deserialize, Serialize,
    de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor},
};
use std::{
    collections::BTreeMap,
    fmt,
    io::{self, BufReader, Read, Seek},
};

/// Bytes of a header of safetensors at most that is read: a name in it may be as long as it is.
const MOST_HEADER: u64 = 16 << 20;

/// Values of a GGUF header, and parts of an ONNX graph, that are passed at most.
const MOST_PARTS: u64 = 4_000_000;

/// Bytes of a name in GGUF and ONNX at most.
const MOST_NAME: u64 = 256;

/// Arrays within each other in GGUF at most.
const MOST_DEPTH: u32 = 4;

/// A model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Model {
    /// What kind it says it is: the architecture (GGUF), or the graph's name (ONNX).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// How many tensors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensors: Option<u64>,
    /// How many numbers they have in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// The version of the format, or the set of operators (ONNX).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// Why a header is not believed, or not read.
enum Bad {
    /// It says what cannot be.
    Wrong(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Wrong("its header says more than there is"),
            _ => Self::Io(error),
        }
    }
}

/// Keeps what a header said, or why it is not believed.
fn keep(looked: &mut Looked, found: Result<Model, Bad>) -> io::Result<()> {
    match found {
        Ok(model) => looked.model = Some(model),
        Err(Bad::Wrong(what)) => (looked.problem, looked.whole) = (Some(what.to_owned()), false),
        Err(Bad::Io(error)) => return Err(error),
    }
    Ok(())
}

/// The tensors of a header of safetensors, and the bytes that come after it.
struct Tensors(u64);

#[derive(Deserialize)]
struct Tensor<'a> {
    #[serde(borrow)]
    dtype: std::borrow::Cow<'a, str>,
    shape: Shape,
    data_offsets: (u64, u64),
}

/// How many numbers a tensor has; nothing if that is more than can be.
struct Shape(Option<u64>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Sizes;
        impl<'de> Visitor<'de> for Sizes {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a shape")
            }

            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut sizes: A) -> Result<Shape, A::Error> {
                let mut product = Some(1_u64);
                while let Some(size) = sizes.next_element::<u64>()? {
                    product = product.and_then(|product| product.checked_mul(size));
                }
                Ok(Shape(product))
            }
        }
        from.deserialize_seq(Sizes)
    }
}

/// Bits of one number of a type.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E5M2" | "F8_E4M3" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "I16" | "U16" | "F16" | "BF16" => 16,
        "I32" | "U32" | "F32" => 32,
        "I64" | "U64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

impl<'de> Visitor<'de> for Tensors {
    type Value = Model;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by their names")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Model, A::Error> {
        let (mut tensors, mut parameters, mut covered) = (0_u64, 0_u64, 0_u64);
        while let Some(name) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let Tensor { dtype, shape: Shape(count), data_offsets: (from, to) } = map.next_value()?;
            let length = to.checked_sub(from).filter(|_| to <= self.0);
            let (Some(length), Some(count)) = (length, count) else { return Err(A::Error::custom("offsets")) };
            if bits(&dtype).is_some_and(|bits| count.checked_mul(bits).map(|bits| bits.div_ceil(8)) != Some(length)) {
                return Err(A::Error::custom("length"));
            }
            (tensors, parameters) = (tensors + 1, parameters.saturating_add(count));
            covered = covered.saturating_add(length);
        }
        // Tensors that share bytes would make a small file a large model.
        if covered > self.0 {
            return Err(A::Error::custom("overlap"));
        }
        Ok(Model { tensors: Some(tensors), parameters: Some(parameters), ..Model::default() })
    }
}

impl<'de> DeserializeSeed<'de> for Tensors {
    type Value = Model;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Model, D::Error> {
        from.deserialize_map(self)
    }
}

/// Looks at safetensors: a length, a header in JSON, the numbers.
pub(super) fn safetensors(looked: &mut Looked, mut file: impl Read) -> io::Result<()> {
    let found = (|| {
        let length = u64::from_le_bytes(array(&mut file)?);
        let after = looked.bytes.checked_sub(8).and_then(|rest| rest.checked_sub(length));
        let after = after.ok_or(Bad::Wrong("its header says that it is longer than the file"))?;
        if length > MOST_HEADER {
            return Err(Bad::Wrong("its header is longer than 16 MiB, and is not looked into"));
        }
        let mut header = Vec::new();
        (&mut file).take(length).read_to_end(&mut header)?;
        let mut from = serde_json::Deserializer::from_slice(&header);
        let model = Tensors(after).deserialize(&mut from).and_then(|model| from.end().map(|()| model));
        model.map_err(|_| Bad::Wrong("its header says what is not in the file"))
    })();
    keep(looked, found)
}

fn array<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A file that is passed over without being read, and not beyond its end.
struct Parts<F> {
    file: BufReader<F>,
    at: u64,
    end: u64,
    /// How many parts may still be passed.
    left: u64,
}

impl<F: Read + Seek> Parts<F> {
    fn new(file: F, bytes: u64) -> Self {
        Self { file: BufReader::with_capacity(16 << 10, file), at: 0, end: bytes, left: MOST_PARTS }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Bad> {
        self.at += N as u64;
        Ok(array(&mut self.file)?)
    }

    fn u32(&mut self) -> Result<u32, Bad> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Bad> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn part(&mut self) -> Result<(), Bad> {
        self.left = self.left.checked_sub(1).ok_or(Bad::Wrong("its header has more parts than are looked at"))?;
        Ok(())
    }

    fn pass(&mut self, bytes: u64) -> Result<(), Bad> {
        let to = self.at.checked_add(bytes).filter(|to| *to <= self.end);
        self.at = to.ok_or(Bad::Wrong("its header says more than there is"))?;
        // The file is shorter than `i64::MAX`, and so is this.
        let bytes = i64::try_from(bytes).map_err(|_| Bad::Wrong("its header says more than there is"))?;
        Ok(self.file.seek_relative(bytes)?)
    }

    /// So many bytes of text; one that is longer than a name is passed over.
    fn text(&mut self, length: u64) -> Result<Option<String>, Bad> {
        if length > MOST_NAME {
            self.pass(length)?;
            return Ok(None);
        }
        let mut text = Vec::new();
        (&mut self.file).take(length).read_to_end(&mut text)?;
        self.at += length;
        if (text.len() as u64) < length {
            return Err(Bad::Wrong("its header says more than there is"));
        }
        Ok(String::from_utf8(text).ok())
    }

    fn varint(&mut self) -> Result<u64, Bad> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Bad::Wrong("a number in it has no end"))
    }

    /// Passes a value of GGUF.
    fn pass_value(&mut self, kind: u32, depth: u32) -> Result<(), Bad> {
        self.part()?;
        match kind {
            8 => {
                let length = self.u64()?;
                self.pass(length)
            }
            9 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                match (width(kind), depth) {
                    (Some(width), _) => {
                        let bytes = count.checked_mul(width);
                        self.pass(bytes.ok_or(Bad::Wrong("its header says more than there is"))?)
                    }
                    (None, 0) => Err(Bad::Wrong("lists in it are too deep")),
                    // Each has eight bytes at least.
                    (None, _) if count > (self.end - self.at.min(self.end)) / 8 => {
                        Err(Bad::Wrong("its header says more than there is"))
                    }
                    (None, depth) => (0..count).try_for_each(|_| self.pass_value(kind, depth - 1)),
                }
            }
            kind => self.pass(width(kind).ok_or(Bad::Wrong("a value in it is of no known type"))?),
        }
    }
}

/// Bytes of a value of GGUF; nothing if they differ.
const fn width(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// Looks at GGUF: a mark, a version, how many tensors and values, the values by their names, the tensors.
pub(super) fn gguf(looked: &mut Looked, file: impl Read + Seek) -> io::Result<()> {
    let mut parts = Parts::new(file, looked.bytes);
    let found = (|| {
        parts.pass(4)?;
        let version = parts.u32()?;
        if !(2..=3).contains(&version) {
            return Err(Bad::Wrong("it is of a version of GGUF that is not known, or its bytes are in another order"));
        }
        let (tensors, values) = (parts.u64()?, parts.u64()?);
        // A tensor takes 24 bytes at least, a value 13.
        let least = tensors.checked_mul(24).zip(values.checked_mul(13)).and_then(|(one, other)| one.checked_add(other));
        if least.is_none_or(|least| least > looked.bytes) {
            return Err(Bad::Wrong("its header says more than there is"));
        }
        let mut architecture = None;
        for _ in 0..values {
            let length = parts.u64()?;
            let (name, kind) = (parts.text(length)?, parts.u32()?);
            if kind == 8 && name.as_deref() == Some("general.architecture") {
                let length = parts.u64()?;
                architecture = parts.text(length)?.map(|name| super::table::cut(&name));
            } else {
                parts.pass_value(kind, MOST_DEPTH)?;
            }
        }
        let mut parameters = 0_u64;
        for _ in 0..tensors {
            parts.part()?;
            let length = parts.u64()?;
            parts.pass(length)?;
            let dimensions = parts.u32()?;
            if dimensions > 8 {
                return Err(Bad::Wrong("a tensor in it has more than 8 dimensions"));
            }
            let mut count = 1_u64;
            for _ in 0..dimensions {
                count = count.saturating_mul(parts.u64()?);
            }
            parts.pass(12)?;
            parameters = parameters.saturating_add(count);
        }
        // No way of packing numbers takes less than a bit for each.
        if parameters / 8 > looked.bytes {
            return Err(Bad::Wrong("its tensors are larger than the file"));
        }
        Ok(Model { architecture, tensors: Some(tensors), parameters: Some(parameters), version: Some(version.into()) })
    })();
    keep(looked, found)
}

/// Looks at ONNX: `ModelProto`, of which field 7 is the graph, whose field 2 is its name and field 5 its tensors, and field 8 a set of
/// operators.
pub(super) fn onnx(looked: &mut Looked, file: impl Read + Seek) -> io::Result<()> {
    let mut parts = Parts::new(file, looked.bytes);
    let (mut model, mut tensors) = (Model::default(), 0);
    // Where the message ends that is being read: the model, the graph in it, or a set of operators.
    let mut within: Vec<(u64, u64)> = vec![(0, looked.bytes)];
    let found = (|| {
        let mut domains = BTreeMap::new();
        let mut set = (true, 0);
        while let Some((what, end)) = within.last().copied() {
            if parts.at >= end {
                if parts.at > end {
                    return Err(Bad::Wrong("a part of it is longer than the whole"));
                }
                if what == 8 {
                    domains.insert(set.0, set.1);
                }
                within.pop();
                continue;
            }
            parts.part()?;
            let tag = parts.varint()?;
            let (field, wire) = (tag >> 3, tag & 7);
            match wire {
                0 => {
                    let value = parts.varint()?;
                    if what == 8 && field == 2 {
                        set.1 = value;
                    }
                }
                1 => parts.pass(8)?,
                2 => {
                    let length = parts.varint()?;
                    let inner = parts.at.checked_add(length).filter(|inner| *inner <= end);
                    let inner = inner.ok_or(Bad::Wrong("a part of it is longer than the whole"))?;
                    match (what, field) {
                        (0, 7 | 8) => {
                            set = (true, 0);
                            within.push((field, inner));
                        }
                        (7, 2) => model.architecture = parts.text(length)?.map(|name| super::table::cut(&name)),
                        (8, 1) => {
                            set.0 = parts.text(length)?.is_some_and(|domain| domain.is_empty() || domain == "ai.onnx")
                        }
                        (7, 5) => {
                            tensors += 1;
                            parts.pass(length)?;
                        }
                        _ => parts.pass(length)?,
                    }
                }
                5 => parts.pass(4)?,
                _ => return Err(Bad::Wrong("it is no message")),
            }
        }
        // That of the operators everybody has.
        model.version = domains.get(&true).copied();
        Ok(Model { tensors: Some(tensors), ..model })
    })();
    keep(looked, found)
}

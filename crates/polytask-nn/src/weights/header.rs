//! The header of a safetensors file, believed only after every number in it was checked.
//!
//! Format: `u64` little-endian N, N bytes of JSON, data. The JSON maps a tensor's name to its type, shape and
//! place in the data. Files come from strangers, so nothing is allocated or read by a number of the header
//! before it was held against the file's length. Kept apart from the ecosystem's parser because that one reads
//! names into a map, where a second tensor of a name silently replaces the first, and wants the whole file in
//! memory.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use safetensors::Dtype;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Longest header read; that of the largest published models is below a tenth of it.
const LONGEST_HEADER: u64 = 100_000_000;

/// One tensor of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorEntry {
    /// Dotted name.
    pub name: String,
    /// Type of its values.
    pub dtype: Dtype,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// First byte, counted from the start of the file.
    pub begin: u64,
    /// One past its last byte.
    pub end: u64,
}

impl TensorEntry {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The checked header of one file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Free words of the writer, `format` among them.
    pub metadata: BTreeMap<String, String>,
    /// The tensors by their place in the file.
    pub entries: Vec<TensorEntry>,
}

/// Reads and checks the header of a file of `length` bytes; the error says what was found and expected.
pub fn read_header(file: &mut impl Read, length: u64) -> Result<Header, String> {
    let mut prefix = [0; 8];
    file.read_exact(&mut prefix).map_err(|_| format!("the file has {length} bytes, expected at least 8"))?;
    let size = u64::from_le_bytes(prefix);
    let room = length.saturating_sub(8);
    if size > room || size > LONGEST_HEADER {
        let most = room.min(LONGEST_HEADER);
        return Err(format!(
            "the header claims {size} bytes, expected at most {most}; truncated or not safetensors"
        ));
    }
    let mut bytes = vec![0; size as usize];
    file.read_exact(&mut bytes).map_err(|error| format!("the header could not be read: {error}"))?;
    let text = std::str::from_utf8(&bytes).map_err(|error| format!("the header is not UTF-8: {error}"))?;
    let raw: RawHeader =
        serde_json::from_str(text).map_err(|error| format!("the header is malformed: {error}"))?;
    raw.checked(8 + size, length)
}

/// The header as written, in its order and with every repetition.
struct RawHeader {
    metadata: BTreeMap<String, String>,
    tensors: Vec<(String, RawEntry)>,
}

#[derive(serde::Deserialize)]
struct RawEntry {
    dtype: Dtype,
    shape: Vec<u64>,
    data_offsets: (u64, u64),
}

impl RawHeader {
    /// Checks names, sizes and places; `start` is where the data begins.
    fn checked(self, start: u64, length: u64) -> Result<Header, String> {
        let mut entries = Vec::with_capacity(self.tensors.len());
        for (name, raw) in self.tensors {
            entries.push(raw.checked(name, start, length)?);
        }
        unique_names(&entries)?;
        entries.sort_by_key(|entry| (entry.begin, entry.end));
        contiguous(&entries, start, length)?;
        Ok(Header { metadata: self.metadata, entries })
    }
}

impl RawEntry {
    fn checked(self, name: String, start: u64, length: u64) -> Result<TensorEntry, String> {
        let (begin, end) = self.data_offsets;
        let data = length - start;
        if begin > end || end > data {
            return Err(format!(
                "tensor `{name}` lies at bytes {begin}..{end} of {data} bytes of data; truncated?"
            ));
        }
        let bits = self.dtype.bitsize() as u64;
        let needed = self.shape.iter().try_fold(bits, |size, &n| size.checked_mul(n));
        if needed != (end - begin).checked_mul(8) {
            let shape = &self.shape;
            let found = end - begin;
            return Err(format!(
                "tensor `{name}` of shape {shape:?} and type {:?} has {found} bytes",
                self.dtype
            ));
        }
        let shape = self.shape.into_iter().map(|n| n as usize).collect();
        Ok(TensorEntry { name, dtype: self.dtype, shape, begin: start + begin, end: start + end })
    }
}

fn unique_names(entries: &[TensorEntry]) -> Result<(), String> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two tensors are named `{}`", pair[0])),
        None => Ok(()),
    }
}

/// The format allows neither holes nor overlaps: either could carry what no reader sees.
fn contiguous(entries: &[TensorEntry], start: u64, length: u64) -> Result<(), String> {
    let mut end = start;
    for entry in entries {
        if entry.begin != end {
            let kind = if entry.begin < end { "overlaps the one before" } else { "leaves a hole before it" };
            return Err(format!("tensor `{}` {kind}", entry.name));
        }
        end = entry.end;
    }
    if end == length {
        Ok(())
    } else {
        Err(format!("{} bytes follow the last tensor, expected none", length - end))
    }
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(HeaderVisitor)
    }
}

struct HeaderVisitor;

impl<'de> Visitor<'de> for HeaderVisitor {
    type Value = RawHeader;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
        let mut header = RawHeader { metadata: BTreeMap::new(), tensors: Vec::new() };
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                header.metadata = map.next_value()?;
            } else {
                header.tensors.push((name, map.next_value()?));
            }
        }
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(header: &str, data: usize) -> Result<Header, String> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend_from_slice(header.as_bytes());
        bytes.resize(bytes.len() + data, 0);
        read_header(&mut bytes.as_slice(), bytes.len() as u64)
    }

    #[test]
    fn a_sound_header_comes_back_in_file_order() {
        let text = r#"{"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]},"__metadata__":{"format":"pt"},
            "a":{"dtype":"I64","shape":[1,1],"data_offsets":[0,8]},
            "c":{"dtype":"F32","shape":[0,4],"data_offsets":[16,16]}}  "#;
        let header = read(text, 16).unwrap();
        let names: Vec<_> = header.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "c"]);
        assert_eq!(header.entries[1].begin, 8 + text.len() as u64 + 8);
        assert_eq!(header.metadata["format"], "pt");
    }

    #[test]
    fn each_kind_of_hostile_header_is_refused_with_its_reason() {
        let one = |shape: &str, offsets: &str| {
            format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
        };
        let two =
            |second: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[1],"data_offsets":[0,4]}},{second}}}"#);
        let cases = [
            (one("[2]", "[0,4]"), 4, "shape [2]"),
            (one("[1]", "[0,8]"), 4, "0..8 of 4 bytes"),
            (one("[1]", "[4,0]"), 4, "4..0"),
            (one("[1]", "[0,4]"), 8, "4 bytes follow"),
            (one("[18446744073709551615,18446744073709551615]", "[0,4]"), 4, "has 4 bytes"),
            (one("[4294967296,4294967296,4]", "[0,0]"), 0, "has 0 bytes"),
            (one("[-1]", "[0,4]"), 4, "malformed"),
            (one("[1]", "[0,18446744073709551615]"), 4, "of 4 bytes"),
            (two(r#""a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#), 8, "two tensors are named `a`"),
            (two(r#""b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}"#), 6, "overlaps"),
            (two(r#""b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#), 4, "overlaps"),
            (two(r#""b":{"dtype":"F32","shape":[1],"data_offsets":[6,10]}"#), 10, "hole"),
            (two(r#""b":{"dtype":"Q7","shape":[1],"data_offsets":[4,8]}"#), 8, "malformed"),
            (r#"{"__metadata__":{"format":7}}"#.into(), 0, "malformed"),
            ("[1,2]".into(), 0, "malformed"),
            ("{".into(), 0, "malformed"),
        ];
        for (text, data, reason) in cases {
            let error = read(&text, data).unwrap_err();
            assert!(error.contains(reason), "{text}\n{error}");
        }
    }

    #[test]
    fn headers_longer_than_the_file_or_not_text_are_refused() {
        for bytes in [&b"1234567"[..], &[0xff; 8], &[9, 0, 0, 0, 0, 0, 0, 0, b'{', b'}']] {
            assert!(read_header(&mut &bytes[..], bytes.len() as u64).is_err());
        }
        let bytes = [3, 0, 0, 0, 0, 0, 0, 0, b'"', 0xff, b'"'];
        assert!(read_header(&mut &bytes[..], 11).unwrap_err().contains("UTF-8"));
        let huge = LONGEST_HEADER + 1;
        let error = read_header(&mut &huge.to_le_bytes()[..], u64::MAX).unwrap_err();
        assert!(error.contains("at most 100000000"), "{error}");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_header(&mut bytes.as_slice(), bytes.len() as u64);
        }

        #[test]
        fn no_damage_to_a_sound_file_makes_the_reader_panic(at in 0_usize..80, with: u8, cut in 0_usize..90) {
            let text = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
            let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
            bytes.extend_from_slice(text.as_bytes());
            bytes.extend_from_slice(&[0; 4]);
            let last = bytes.len() - 1;
            bytes[at.min(last)] = with;
            bytes.truncate(cut);
            let _ = read_header(&mut bytes.as_slice(), bytes.len() as u64);
        }
    }
}

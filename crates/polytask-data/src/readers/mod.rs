//! Readers: every data file becomes a stream of [`Record`]s (column → [`Cell`]), whatever its format.
//!
//! A format is one file here and one line in [`FORMATS`]; compression is apart, so each format also comes
//! as `.gz` and `.zst`. Readers stream: memory holds a row, not the file (Parquet: a row group). A mistake
//! names file and line, and a reader goes on after it where it can, so that many can be shown at once.

mod conll;
mod csv;
pub mod idx;
mod image_table;
mod input;
mod jsonl;
mod libsvm;
mod parquet;
pub mod qrels;
mod record;
pub mod trec;
mod tsv;
mod vectors;

use std::collections::{HashSet, VecDeque};
use std::path::Path;

use polytask_core::{Place, Problem, Result};

/// Endings of compressed files.
pub use polytask_core::suite::COMPRESSIONS;

pub use input::RawInput;
pub use polytask_core::cell::Cell;
pub(crate) use polytask_core::cell::shorten;
pub use record::{Columns, Record};
pub use vectors::{TextVectors, text_column, text_of};

/// A file format.
#[derive(Debug)]
pub struct Format {
    /// Name in messages.
    pub name: &'static str,
    /// Endings of file names, without the dot and without the compression's ending.
    pub extensions: &'static [&'static str],
    /// Starts reading.
    open: fn(RawInput) -> Result<Reader>,
}

/// All formats, sorted by name.
pub static FORMATS: &[Format] = &[
    Format { name: "conll", extensions: &["conll", "bio", "iob", "iob2"], open: conll::open },
    Format { name: "csv", extensions: &["csv"], open: csv::open },
    Format { name: "jsonl", extensions: &["jsonl", "ndjson", "json"], open: jsonl::open },
    Format { name: "libsvm", extensions: &["libsvm", "svm", "svmlight"], open: libsvm::open },
    Format { name: "parquet", extensions: &["parquet"], open: parquet::open },
    Format { name: "tsv", extensions: &["tsv", "tab"], open: tsv::open },
];

/// Records looked at to find the columns of a format without a header.
const AHEAD: usize = 100;
/// Cells beyond which no further record is looked at for that: rows with many keys would fill the memory.
const AHEAD_CELLS: usize = 1 << 20;
/// Columns that a message names.
const SHOWN: usize = 20;

type Records = Box<dyn Iterator<Item = Result<Record>> + Send>;

/// A stream of records. After an error it goes on with the next row where that is possible.
pub struct Reader {
    header: Option<Columns>,
    ahead: VecDeque<Result<Record>>,
    rest: Records,
    said: Option<String>,
}

impl Reader {
    fn new(header: Option<Columns>, rest: Records) -> Self {
        Self { header, ahead: VecDeque::new(), rest, said: None }
    }

    /// A stream of rows of these columns that are made of something else.
    pub(crate) fn of_rows(columns: Columns, rows: Records) -> Self {
        Self::new(Some(columns), rows)
    }

    /// The same with something that a user should know.
    fn saying(self, said: Option<String>) -> Self {
        Self { said, ..self }
    }

    /// What a user should know of how the file is read.
    pub fn said(&self) -> Option<&str> {
        self.said.as_deref()
    }

    /// Whether the file declares its columns, so that no row can have others.
    pub fn has_header(&self) -> bool {
        self.header.is_some()
    }

    /// The columns: those declared, else those of the first records, in the order of first appearance.
    pub fn columns(&mut self) -> Vec<String> {
        if let Some(header) = &self.header {
            return header.to_vec();
        }
        let mut n_cells: usize = self.ahead.iter().flatten().map(|record| record.columns().len()).sum();
        while self.ahead.len() < AHEAD && n_cells < AHEAD_CELLS {
            let Some(record) = self.rest.next() else { break };
            n_cells += record.as_ref().map_or(0, |record| record.columns().len());
            self.ahead.push_back(record);
        }
        let mut met = HashSet::new();
        let names = self.ahead.iter().flatten().flat_map(Record::columns);
        names.filter(|name| met.insert(*name)).cloned().collect()
    }
}

/// Column names in a message: the first ones, shortened, and how many more there are.
pub(crate) fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{}`", shorten(name))).collect();
    let more = names.len().saturating_sub(SHOWN);
    shown.join(", ") + &if more > 0 { format!(" and {more} more") } else { String::new() }
}

/// What to do about a file whose header has a wanted column only when it is split at another character than its
/// format's.
pub fn other_separator(file: &Path, names: &[String], wanted: &[&str]) -> Option<String> {
    let separators = [(';', "semicolons"), ('\t', "tabs"), ('|', "bars"), (',', "commas")];
    let is_wanted = |part: &str| wanted.contains(&part.trim().trim_matches('"'));
    let has =
        |separator: char| names.iter().any(|n| n.contains(separator) && n.split(separator).any(is_wanted));
    let (separator, word) = separators.into_iter().find(|(separator, _)| has(*separator))?;
    let advice = match (separator, format_of(file)?.name) {
        ('\t', "csv") => "name the file .tsv, or write it with commas",
        (',', "tsv") => "name the file .csv, or write it with tabs",
        (_, "tsv") => "write it with tabs",
        (_, "csv") => {
            "write it with commas: `pandas.read_csv(FILE, sep=SEPARATOR).to_csv(FILE, index=False)`"
        }
        _ => return None,
    };
    let shown = if separator == '\t' { "\\t".to_owned() } else { separator.to_string() };
    Some(format!("the header is separated by {word}; {}", advice.replace("SEPARATOR", &format!("'{shown}'"))))
}

impl Iterator for Reader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        self.ahead.pop_front().or_else(|| self.rest.next())
    }
}

/// The format of a file, by the ending of its name (a compression's ending put aside).
pub fn format_of(file: &Path) -> Option<&'static Format> {
    let name = file.file_name()?.to_str()?.to_ascii_lowercase();
    let stem = COMPRESSIONS.iter().find_map(|c| name.strip_suffix(&format!(".{c}"))).unwrap_or(&name);
    let (_, ending) = stem.rsplit_once('.')?;
    FORMATS.iter().find(|format| format.extensions.contains(&ending))
}

/// Opens a file for reading; its name tells format and compression. Files of images in idx format, and folders with
/// a folder per class, are tables of images and labels.
pub fn open(file: &Path) -> Result<Reader> {
    if file.is_dir() {
        return image_table::of_classes(file);
    }
    if idx::is_images(file) {
        return image_table::of_idx(file);
    }
    let format = format_of(file).ok_or_else(|| unknown_format(file))?;
    (format.open)(RawInput::from_file(file)?)
}

/// Reads bytes as if they were the content of `file`, whose name tells format and compression.
pub fn open_bytes(file: &str, bytes: Vec<u8>) -> Result<Reader> {
    let path = Path::new(file);
    let format = format_of(path).ok_or_else(|| unknown_format(path))?;
    (format.open)(RawInput::from_bytes(path, bytes))
}

/// All records of bytes read as if they were the content of `file`, up to the first mistake.
pub fn read_bytes(file: &str, bytes: &[u8]) -> Result<Vec<Record>> {
    open_bytes(file, bytes.to_vec())?.collect()
}

fn unknown_format(file: &Path) -> polytask_core::Error {
    let known: Vec<&str> = FORMATS.iter().flat_map(|f| f.extensions).copied().collect();
    let what =
        format!("unknown file format, expected a name ending in .{} (and .gz or .zst)", known.join(", ."));
    Problem::at(Place::file(file), what).try_this("rename the file, or convert it").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_are_sorted_and_no_ending_is_claimed_twice() {
        assert!(FORMATS.windows(2).all(|pair| pair[0].name < pair[1].name));
        let mut endings: Vec<_> = FORMATS.iter().flat_map(|f| f.extensions).collect();
        let n = endings.len();
        endings.sort_unstable();
        endings.dedup();
        assert_eq!(n, endings.len());
    }

    #[test]
    fn the_endings_are_those_that_suite_files_may_name() {
        let mut read: Vec<&str> = FORMATS.iter().flat_map(|format| format.extensions).copied().collect();
        let mut named = polytask_core::suite::FORMATS.to_vec();
        read.sort_unstable();
        named.sort_unstable();
        assert_eq!(read, named);
    }

    #[test]
    fn the_ending_before_the_compression_tells_the_format() {
        let name = |file: &str| format_of(Path::new(file)).map(|f| f.name);
        assert_eq!(name("a/train.csv.gz"), Some("csv"));
        assert_eq!(name("TRAIN.TSV.zst"), Some("tsv"));
        assert_eq!(name("train-00000-of-00001.parquet"), Some("parquet"));
        assert_eq!(name("train.xlsx"), None);
        assert_eq!(name("train"), None);
    }

    #[test]
    fn an_unknown_ending_and_a_missing_file_are_explained() {
        let error = open(Path::new("a.xlsx")).err().unwrap().to_string();
        assert!(error.contains("a.xlsx") && error.contains(".csv"), "{error}");
        let error = open(Path::new("/nowhere/a.csv")).err().unwrap().to_string();
        assert!(error.contains("/nowhere/a.csv") && error.contains("check the path"), "{error}");
    }

    fn compressed(bytes: &[u8], how: &str) -> Vec<u8> {
        use std::io::Write;
        match how {
            "gz" => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                writer.write_all(bytes).unwrap();
                writer.finish().unwrap()
            }
            _ => zstd::encode_all(bytes, 1).unwrap(),
        }
    }

    #[test]
    fn compressed_files_read_as_plain_ones() {
        let plain = b"text,label\nhello,a\n\"x, y\",b\n";
        let expected = read_bytes("t.csv", plain).unwrap();
        assert_eq!(expected.len(), 2);
        for how in COMPRESSIONS {
            assert_eq!(read_bytes(&format!("t.csv.{how}"), &compressed(plain, how)).unwrap(), expected);
        }
    }

    #[test]
    fn truncated_compressed_files_are_errors_not_short_data() {
        let plain: String = (0..2000).map(|i| format!("{{\"text\":\"row {}\"}}\n", i * 7919)).collect();
        for how in COMPRESSIONS {
            let bytes = compressed(plain.as_bytes(), how);
            let error =
                read_bytes(&format!("t.jsonl.{how}"), &bytes[..bytes.len() / 2]).unwrap_err().to_string();
            assert!(error.contains("t.jsonl") && error.contains("truncated"), "{error}");
        }
        let error = read_bytes("t.csv.gz", b"not gzip at all").unwrap_err().to_string();
        assert!(error.contains("t.csv.gz"), "{error}");
    }

    #[test]
    fn columns_of_headerless_formats_are_those_of_the_first_records() {
        let mut reader = open_bytes("t.jsonl", b"{\"a\":1}\n{\"b\":2,\"a\":3}\n".to_vec()).unwrap();
        assert_eq!(reader.columns(), ["a", "b"]);
        assert_eq!(reader.count(), 2, "looking ahead loses no record");
    }

    #[test]
    fn wide_files_are_read_in_time_that_grows_with_their_size() {
        let n = 200_000;
        let names: Vec<String> = (0..n).map(|i| format!("c{i}")).collect();
        let ones = vec!["1"; n];
        let table = |separator: &str| format!("{}\n{}\n", names.join(separator), ones.join(separator));
        let object: Vec<String> = names.iter().map(|name| format!("\"{name}\":1")).collect();
        let files = [
            ("t.csv", table(",")),
            ("t.tsv", table("\t")),
            ("t.jsonl", format!("{{{}}}\n", object.join(","))),
        ];
        for (file, content) in files {
            let start = std::time::Instant::now();
            let mut reader = open_bytes(file, content.into_bytes()).unwrap();
            assert_eq!(reader.columns().len(), n);
            let row = reader.next().unwrap().unwrap();
            // A search through all names for each of these would be 4e10 comparisons.
            assert!(names.iter().all(|name| row.get(name).is_some()) && row.get("c").is_none());
            assert!(start.elapsed().as_secs() < 30, "{file}: {:?}", start.elapsed());
        }
    }

    #[test]
    fn rows_that_are_looked_at_for_their_columns_are_bounded_by_cells() {
        let row = |r: usize| {
            let keys: Vec<String> = (0..AHEAD_CELLS / 4).map(|i| format!("\"k{r}_{i}\":1")).collect();
            format!("{{{}}}\n", keys.join(","))
        };
        let content: String = (0..6).map(row).collect();
        let mut reader = open_bytes("t.jsonl", content.into_bytes()).unwrap();
        assert_eq!(reader.columns().len(), AHEAD_CELLS);
        assert_eq!((reader.ahead.len(), reader.count()), (4, 6));
    }

    #[test]
    fn the_first_of_equal_names_is_found_among_few_and_among_many() {
        for n in [3, 40] {
            let names = (0..n).map(|i| if i % 2 == 0 { String::new() } else { format!("c{i}") });
            let columns: Columns = names.collect();
            assert_eq!(
                (columns.place(""), columns.place("c1"), columns.place("c2")),
                (Some(0), Some(1), None)
            );
        }
    }

    #[test]
    fn a_header_at_another_separator_is_told_by_its_name_and_only_when_it_helps() {
        let told = |file: &str, header: &str, wanted: &[&str]| {
            let names = open_bytes(file, format!("{header}\n").into_bytes()).unwrap().columns();
            other_separator(Path::new(file), &names, wanted)
        };
        let cases = [
            ("t.csv", "id\ttext", "tabs"),
            ("t.csv", "a|text|b", "bars"),
            ("t.tsv", "text,label", "commas"),
            ("t.csv", "text;label, more", "semicolons"),
        ];
        for (file, header, word) in cases {
            let said = told(file, header, &["text", "sentence"]).unwrap();
            assert!(said.contains(word), "{said}");
        }
        for (file, header) in
            [("t.csv", "text,label"), ("t.csv", "a;b"), ("t.csv", "textlabel"), ("t.tsv", "a\tb")]
        {
            assert_eq!(told(file, header, &["sentence"]), None, "{header}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn arbitrary_bytes_never_panic_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for file in ["a.csv", "a.tsv", "a.jsonl", "a.conll", "a.csv.gz", "a.tsv.zst", "a.parquet", "a.libsvm"] {
                if let Ok(reader) = open_bytes(file, bytes.clone()) {
                    let _ = reader.take(10_000).count();
                }
            }
            let _ = qrels::read_bytes("q.tsv", &bytes);
        }

        #[test]
        fn arbitrary_text_never_panics_a_reader(text in "[\\{\\}\\[\\]\",:\t\n\r aé1NaN]{0,200}") {
            for file in ["a.csv", "a.tsv", "a.jsonl", "a.conll", "a.svm"] {
                if let Ok(reader) = open_bytes(file, text.clone().into_bytes()) {
                    let _ = reader.take(10_000).count();
                }
            }
        }
    }
}

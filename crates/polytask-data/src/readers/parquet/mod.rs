//! Parquet by rows, without arrow.
//!
//! Pages are checked before they are decoded (`pages`); a panic of the decoders on what the checks let through is
//! caught (`guard`) and reported as a damaged file, because a data file is input.

mod guard;
mod pages;

use std::path::{Path, PathBuf};

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::reader::RowIter;
use ::parquet::record::{Field, Row};
use polytask_core::{Error, Place, Problem, Result};

use super::{Cell, Columns, RawInput, Reader, Record};
use pages::{Checked, Disk};

/// Starts reading a Parquet file.
pub(super) fn open(input: RawInput) -> Result<Reader> {
    let file = input.file.clone();
    let whole = input.whole()?;
    let opened = decode(&file, 0, || -> Result<_, ParquetError> {
        let reader: Box<dyn FileReader> = match whole {
            Ok(disk) => Box::new(SerializedFileReader::new(Disk(disk))?),
            Err(bytes) => Box::new(SerializedFileReader::new(bytes::Bytes::from(bytes))?),
        };
        let schema = reader.metadata().file_metadata().schema();
        let columns: Vec<String> = schema.get_fields().iter().map(|f| f.name().to_owned()).collect();
        Ok((columns, RowIter::from_file_into(Box::new(Checked(reader)))))
    })?;
    let header = super::csv::check_header(&file, opened.0)?;
    let rows = Rows { rest: Some(opened.1), header: header.clone(), file, line: 0 };
    Ok(Reader::new(Some(header), Box::new(rows)))
}

/// Runs a part of the decoder; its errors and panics become problems of the file.
fn decode<T>(file: &Path, row: usize, part: impl FnOnce() -> Result<T, ParquetError>) -> Result<T> {
    let what = match guard::quietly(part) {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => format!("Parquet file is damaged or unsupported: {error}"),
        Err(panic) => format!("file is damaged: its parts contradict each other ({panic})"),
    };
    let remedy = "write the file again, with snappy, zstd, gzip or no compression";
    Err(Error::from(Problem::at(Place::line(file, row), what).try_this(remedy)))
}

struct Rows {
    rest: Option<RowIter<'static>>,
    header: Columns,
    file: PathBuf,
    line: usize,
}

impl Iterator for Rows {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rest.as_mut()?;
        self.line += 1;
        match decode(&self.file, self.line, || rows.next().transpose()) {
            Ok(Some(row)) => Some(Ok(record(self.line, &self.header, row))),
            Ok(None) => {
                self.rest = None;
                None
            }
            Err(error) => {
                self.rest = None;
                Some(Err(error))
            }
        }
    }
}

fn record(line: usize, header: &Columns, row: Row) -> Record {
    let mut cells: Vec<Cell> = row.into_columns().into_iter().map(|(_, field)| cell(field)).collect();
    cells.resize(header.len(), Cell::Null);
    Record::new(line, header.clone(), cells)
}

fn cell(field: Field) -> Cell {
    match field {
        Field::Null => Cell::Null,
        Field::Bool(b) => Cell::Bool(b),
        Field::Str(text) => Cell::Text(text),
        Field::Byte(i) => Cell::Number(i.into()),
        Field::Short(i) => Cell::Number(i.into()),
        Field::Int(i) => Cell::Number(i.into()),
        Field::UByte(i) => Cell::Number(i.into()),
        Field::UShort(i) => Cell::Number(i.into()),
        Field::UInt(i) => Cell::Number(i.into()),
        Field::Long(i) => Cell::from_json(i.into()),
        Field::ULong(i) => Cell::from_json(i.into()),
        Field::Float16(x) => Cell::Number(x.to_f64()),
        // The shortest number that is this one: 0.1 is a label of its own, not 0.10000000149011612.
        Field::Float(x) => Cell::Number(x.to_string().parse().unwrap_or(x.into())),
        // A decimal of scale 0 is printed with its point: `1000.`.
        Field::Decimal(_) => Cell::Text(field.to_string().trim_end_matches('.').to_owned()),
        Field::Double(x) => Cell::Number(x),
        Field::ListInternal(list) => Cell::List(list.elements().iter().cloned().map(cell).collect()),
        Field::Bytes(bytes) => match bytes.as_utf8() {
            Ok(text) => Cell::Text(text.to_owned()),
            Err(_) => Cell::Null,
        },
        other => Cell::Text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Record, read_bytes};
    use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    /// Two rows: (text, score, id), the second without a score.
    fn example() -> Vec<u8> {
        let schema =
            "message rows { required binary text (UTF8); optional double score; required int64 id; }";
        let schema = Arc::new(parse_message_type(schema).unwrap());
        let mut bytes = Vec::new();
        let properties = Arc::new(WriterProperties::builder().build());
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, properties).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let texts = [ByteArray::from("hello"), ByteArray::from("")];
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&texts, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<DoubleType>().write_batch(&[2.5], Some(&[1, 0]), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<Int64Type>().write_batch(&[7, 12_345_678_901_234_567], None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    fn check(rows: &[Record]) {
        assert_eq!(rows[0].get("text").unwrap(), &Cell::Text("hello".into()));
        assert_eq!(rows[0].get("score").unwrap(), &Cell::Number(2.5));
        assert_eq!(rows[1].get("text").unwrap(), &Cell::Text(String::new()));
        assert_eq!(rows[1].get("score").unwrap(), &Cell::Null);
        assert_eq!(rows[1].get("id").unwrap(), &Cell::Text("12345678901234567".into()));
        assert_eq!((rows.len(), rows[1].line), (2, 2));
    }

    #[test]
    fn rows_come_with_types_and_nulls_from_memory_disk_and_compressed() {
        check(&read_bytes("t.parquet", &example()).unwrap());
        check(&read_bytes("t.parquet.zst", &zstd::encode_all(&example()[..], 1).unwrap()).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("t.parquet");
        std::fs::write(&file, example()).unwrap();
        let rows: Vec<Record> = super::super::open(&file).unwrap().map(Result::unwrap).collect();
        check(&rows);
    }

    #[test]
    fn the_seed_of_the_fuzz_target_is_a_file_that_can_be_read() {
        let seed = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/seeds/parquet/rows.parquet");
        check(&read_bytes("rows.parquet", &std::fs::read(seed).unwrap()).unwrap());
    }

    #[test]
    fn every_file_that_fuzzing_found_is_an_error_that_names_it() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/readers/parquet/found");
        let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            let error = read_bytes("t.parquet", &std::fs::read(&file).unwrap()).unwrap_err().to_string();
            let whole =
                error.contains("t.parquet") && error.contains("damaged") && error.contains("write the file");
            assert!(whole, "{}: {error}", file.display());
        }
    }

    #[test]
    fn a_column_before_the_file_s_start_is_an_error_although_the_decoder_panics() {
        let error = read_bytes("t.parquet", include_bytes!("found/negative-start.parquet")).unwrap_err();
        assert!(error.to_string().contains("file is damaged: its parts contradict each other"), "{error}");
    }

    #[test]
    fn a_panic_of_the_decoder_is_an_error_with_place_and_remedy() {
        let error = super::decode::<()>("t.parquet".as_ref(), 3, || panic!("lost")).unwrap_err().to_string();
        assert!(error.contains("t.parquet:3") && error.contains("file is damaged: "), "{error}");
        assert!(error.contains("(lost)") && error.contains("write the file again"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_an_error_wherever_the_damage_is() {
        let whole = example();
        for cut in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
            let error = read_bytes("t.parquet", &whole[..cut]).unwrap_err().to_string();
            assert!(error.contains("t.parquet") && error.contains("damaged"), "{error}");
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let _ = read_bytes("t.parquet", &bytes);
        }
    }
}

//! A Parquet file whose claims are held against its bytes before memory is taken for them.
//!
//! The format's decoders reserve room for as many values as a page says it has; in a hostile file that number is
//! free of charge. Every page goes through [`check`] first.

use std::fs::File;
use std::io::BufReader;

use ::parquet::basic::Encoding;
use ::parquet::bloom_filter::Sbbf;
use ::parquet::column::page::{Page, PageMetadata, PageReader};
use ::parquet::errors::{ParquetError, Result};
use ::parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use ::parquet::file::reader::{ChunkReader, FileReader, Length, RowGroupReader};
use ::parquet::record::reader::RowIter;
use ::parquet::schema::types::{ColumnDescPtr, Type};
use bytes::Bytes;

use super::guard::loudly;

/// Most values of one page; writers cut pages at some ten thousand.
const MAX_VALUES: u32 = 1 << 24;

/// A file on disk that hands out no range beyond its end.
pub(super) struct Disk(pub(super) File);

impl Length for Disk {
    fn len(&self) -> u64 {
        Length::len(&self.0)
    }
}

impl ChunkReader for Disk {
    type T = BufReader<File>;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        self.0.get_read(start)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > Length::len(self)) {
            return Err(wrong(format!("a part of {length} bytes at {start} lies beyond the end")));
        }
        self.0.get_bytes(start, length)
    }
}

/// A reader whose pages are checked.
pub(super) struct Checked(pub(super) Box<dyn FileReader>);

impl FileReader for Checked {
    fn metadata(&self) -> &ParquetMetaData {
        self.0.metadata()
    }

    fn num_row_groups(&self) -> usize {
        self.0.num_row_groups()
    }

    fn get_row_group(&self, i: usize) -> Result<Box<dyn RowGroupReader + '_>> {
        Ok(Box::new(Group(self.0.get_row_group(i)?)))
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_file(projection, self)
    }
}

struct Group<'a>(Box<dyn RowGroupReader + 'a>);

impl RowGroupReader for Group<'_> {
    fn metadata(&self) -> &RowGroupMetaData {
        self.0.metadata()
    }

    fn num_columns(&self) -> usize {
        self.0.num_columns()
    }

    fn get_column_page_reader(&self, i: usize) -> Result<Box<dyn PageReader>> {
        let column = self.metadata().schema_descr().column(i);
        Ok(Box::new(Pages { inner: self.0.get_column_page_reader(i)?, column, has_dictionary: false }))
    }

    fn get_column_bloom_filter(&self, i: usize) -> Option<&Sbbf> {
        self.0.get_column_bloom_filter(i)
    }

    fn get_row_iter(&self, projection: Option<Type>) -> Result<RowIter<'_>> {
        RowIter::from_row_group(projection, self)
    }
}

struct Pages {
    inner: Box<dyn PageReader>,
    column: ColumnDescPtr,
    /// Whether the column's dictionary has come.
    has_dictionary: bool,
}

impl Pages {
    /// Refuses a page that refers to a dictionary that has not come, and one that [`check`] refuses.
    fn admit(&mut self, page: &Page) -> Result<()> {
        self.has_dictionary |= matches!(page, Page::DictionaryPage { .. });
        let refers = matches!(page.encoding(), Encoding::PLAIN_DICTIONARY | Encoding::RLE_DICTIONARY);
        if refers && !self.has_dictionary {
            let column = self.column.path().string();
            return Err(wrong(format!(
                "a page of column `{column}` refers to a dictionary, but none precedes it"
            )));
        }
        check(page, &self.column)
    }
}

impl Iterator for Pages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        page.iter().try_for_each(|page| loudly(|| self.admit(page)))?;
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }

    fn at_record_boundary(&mut self) -> Result<bool> {
        self.inner.at_record_boundary()
    }
}

/// Refuses a page that says it has more values than its bytes can hold.
fn check(page: &Page, column: &ColumnDescPtr) -> Result<()> {
    let (n, room) = (page.num_values(), page.buffer().len());
    if n > MAX_VALUES {
        return Err(wrong(format!("a page claims {n} values, expected at most {MAX_VALUES}")));
    }
    // Entries of a dictionary lie one after the other, each a byte at least.
    if matches!(page, Page::DictionaryPage { .. }) && n as usize > room {
        return Err(wrong(format!("a dictionary of {room} bytes claims {n} entries")));
    }
    let n_streams = match page.encoding() {
        Encoding::DELTA_LENGTH_BYTE_ARRAY => 1,
        // Lengths of prefixes, then lengths of suffixes.
        Encoding::DELTA_BYTE_ARRAY => 2,
        _ => return Ok(()),
    };
    let mut rest = values(page, column).ok_or_else(|| wrong("a page ends within its levels".into()))?;
    for _ in 0..n_streams {
        let end = delta_end(rest, u64::from(n));
        let end = end.ok_or_else(|| wrong(format!("lengths do not fit the {n} values of their page")))?;
        rest = &rest[end..];
    }
    Ok(())
}

/// A page's bytes after the levels.
fn values<'a>(page: &'a Page, column: &ColumnDescPtr) -> Option<&'a [u8]> {
    match page {
        Page::DataPage { buf, num_values, rep_level_encoding, def_level_encoding, .. } => {
            let rest = after_levels(buf, column.max_rep_level(), *rep_level_encoding, *num_values)?;
            after_levels(rest, column.max_def_level(), *def_level_encoding, *num_values)
        }
        Page::DataPageV2 { buf, def_levels_byte_len, rep_levels_byte_len, .. } => {
            buf.get(*def_levels_byte_len as usize + *rep_levels_byte_len as usize..)
        }
        Page::DictionaryPage { buf, .. } => Some(buf),
    }
}

/// What follows one sort of levels in a page of the first version.
fn after_levels(bytes: &[u8], max_level: i16, encoding: Encoding, n: u32) -> Option<&[u8]> {
    if max_level == 0 {
        return Some(bytes);
    }
    if encoding != Encoding::RLE {
        // The format's old way: as many bits for each level as the highest one needs.
        let bits = u64::from(n) * u64::from(16 - max_level.unsigned_abs().leading_zeros());
        return bytes.get(bits.div_ceil(8) as usize..);
    }
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.get(u32::from_le_bytes(*length) as usize..)
}

/// Where a stream of delta-packed numbers ends; `None` when it is cut or has more than `most`.
fn delta_end(bytes: &[u8], most: u64) -> Option<usize> {
    let mut at = 0;
    let (block, per_block, n) = (varint(bytes, &mut at)?, varint(bytes, &mut at)?, varint(bytes, &mut at)?);
    varint(bytes, &mut at)?;
    if n > most || per_block == 0 || per_block > block || block > 1 << 32 {
        return None;
    }
    let per_part = block / per_block;
    let mut left = n.saturating_sub(1);
    while left > 0 {
        varint(bytes, &mut at)?;
        let widths = bytes.get(at..at.checked_add(usize::try_from(per_block).ok()?)?)?;
        at += widths.len();
        for &width in widths {
            if left == 0 {
                break;
            }
            at = at.checked_add(usize::try_from((per_part * u64::from(width)).div_ceil(8)).ok()?)?;
            left = left.saturating_sub(per_part);
        }
    }
    (at <= bytes.len()).then_some(at)
}

/// An unsigned number of seven bits per byte, lowest first.
fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn wrong(what: String) -> ParquetError {
    ParquetError::General(what)
}

#[cfg(test)]
mod tests {
    use super::super::super::read_bytes;
    use super::*;
    use ::parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
    use ::parquet::file::metadata::{ParquetMetaDataBuilder, ParquetMetaDataWriter};
    use ::parquet::file::properties::{WriterProperties, WriterVersion};
    use ::parquet::file::reader::SerializedFileReader;
    use ::parquet::file::writer::SerializedFileWriter;
    use ::parquet::schema::parser::parse_message_type;
    use std::sync::Arc;

    const N: usize = 10_000;

    /// A file of `N` numbers, all different, in a dictionary.
    fn numbers() -> Vec<u8> {
        let schema = Arc::new(parse_message_type("message rows { required int32 n; }").unwrap());
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::default()).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let values: Vec<i32> = (0..N as i32).collect();
        column.typed::<Int32Type>().write_batch(&values, None, None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    /// A file of optional texts packed by this encoding; every third is unknown.
    fn texts(encoding: Encoding, version: WriterVersion) -> Vec<u8> {
        let schema = Arc::new(parse_message_type("message rows { optional binary t (UTF8); }").unwrap());
        let properties = WriterProperties::builder()
            .set_dictionary_enabled(false)
            .set_encoding(encoding)
            .set_writer_version(version)
            .build();
        let mut bytes = Vec::new();
        let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
        let mut group = writer.next_row_group().unwrap();
        let levels: Vec<i16> = (0..N).map(|i| i16::from(i % 3 != 0)).collect();
        let known = (0..N).filter(|i| i % 3 != 0);
        let values: Vec<ByteArray> = known.map(|i| ByteArray::from("x".repeat(i % 7).as_str())).collect();
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
        writer.close().unwrap();
        bytes
    }

    /// The file with a footer that claims this many rows and values.
    fn claiming(bytes: &[u8], n_rows: i64) -> Vec<u8> {
        let reader = SerializedFileReader::new(Bytes::copy_from_slice(bytes)).unwrap();
        let old = reader.metadata();
        let group = old.row_group(0);
        let column = group.column(0).clone().into_builder().set_num_values(n_rows).build().unwrap();
        let group = group.clone().into_builder().set_num_rows(n_rows).set_column_metadata(vec![column]);
        let file = old.file_metadata();
        let file = ::parquet::file::metadata::FileMetaData::new(
            file.version(),
            n_rows,
            None,
            None,
            file.schema_descr_ptr(),
            None,
        );
        let new = ParquetMetaDataBuilder::new(file).add_row_group(group.build().unwrap()).build();
        let footer = u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
        let mut out = bytes[..bytes.len() - 8 - footer].to_vec();
        ParquetMetaDataWriter::new(&mut out, &new).finish().unwrap();
        out
    }

    fn message(bytes: &[u8]) -> String {
        read_bytes("t.parquet", bytes).unwrap_err().to_string()
    }

    #[test]
    fn a_footer_that_claims_billions_of_rows_ends_where_the_pages_end() {
        let honest = claiming(&numbers(), N as i64);
        assert_eq!(read_bytes("t.parquet", &honest).unwrap().len(), N);
        for n in [N as i64 + 1, 4_000_000_000, i64::MAX] {
            let error = message(&claiming(&numbers(), n));
            assert!(error.contains("t.parquet") && error.contains("damaged"), "{error}");
        }
    }

    #[test]
    fn a_dictionary_that_claims_more_entries_than_its_bytes_hold_is_refused() {
        let mut bytes = numbers();
        // 10,000 as the format writes it: doubled, seven bits per byte; the last byte raised makes a million.
        let entries = [0xa0, 0x9c, 0x01];
        let at = bytes.windows(3).position(|w| w == entries).unwrap();
        bytes[at + 2] = 0x7f;
        let error = message(&bytes);
        assert!(error.contains("a dictionary of 40000 bytes claims 1042192"), "{error}");
    }

    #[test]
    fn values_that_refer_to_a_dictionary_that_is_not_there_are_refused() {
        let error = message(include_bytes!("found/no-dictionary.parquet"));
        assert!(error.contains("column `") && error.contains("refers to a dictionary"), "{error}");
        assert!(!error.contains("contradict"), "the decoder panicked: {error}");
    }

    #[test]
    fn a_page_that_claims_more_values_than_any_page_has_is_refused() {
        let column = column();
        let page = |num_values, encoding, buf: &[u8]| Page::DataPage {
            buf: Bytes::copy_from_slice(buf),
            num_values,
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        assert!(check(&page(4_000_000_000, Encoding::PLAIN, &[]), &column).is_err());
        // A stream of 2^35 lengths, all alike: seven bytes.
        let many = [0, 0, 0, 0, 0x80, 1, 4, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0];
        let error = check(&page(2, Encoding::DELTA_LENGTH_BYTE_ARRAY, &many), &column).unwrap_err();
        assert!(error.to_string().contains("2 values"), "{error}");
        let none = [0, 0, 0, 0, 0x80, 1, 4, 0, 0];
        assert!(check(&page(2, Encoding::DELTA_LENGTH_BYTE_ARRAY, &none), &column).is_ok());
        let second = [&none[..], &many[4..]].concat();
        assert!(check(&page(2, Encoding::DELTA_BYTE_ARRAY, &second), &column).is_err());
        assert!(check(&page(2, Encoding::DELTA_BYTE_ARRAY, &none[..6]), &column).is_err());
    }

    /// An optional text column.
    fn column() -> ColumnDescPtr {
        let bytes = texts(Encoding::PLAIN, WriterVersion::PARQUET_1_0);
        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        reader.metadata().file_metadata().schema_descr().column(0)
    }

    #[test]
    fn honest_pages_of_every_packing_pass() {
        for version in [WriterVersion::PARQUET_1_0, WriterVersion::PARQUET_2_0] {
            for encoding in [Encoding::PLAIN, Encoding::DELTA_LENGTH_BYTE_ARRAY, Encoding::DELTA_BYTE_ARRAY] {
                let rows = read_bytes("t.parquet", &texts(encoding, version)).unwrap();
                assert_eq!(rows.len(), N, "{encoding} {version:?}");
            }
        }
    }

    #[test]
    fn a_part_beyond_the_end_of_a_file_on_disk_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"0123").unwrap();
        let disk = Disk(File::open(&path).unwrap());
        assert_eq!(disk.get_bytes(1, 3).unwrap(), &b"123"[..]);
        assert!(disk.get_bytes(1, 4).is_err() && disk.get_bytes(u64::MAX, 1 << 40).is_err());
    }
}

//! Rows of a table: a symbol per column, of its number or its category.
//!
//! The first known cell of a column in train says whether it holds numbers or categories; `categories` in the suite
//! says so of columns whose categories are written as numbers. What there is of numbers and categories is told by the
//! rows of train as they are in the end, when valid has been cut from them.

mod encoded;
mod form;
mod named;
mod odd;
mod reader;
mod seen;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use polytask_core::hash::text64;
use polytask_core::input::table::{MISSING, TableSpec, category_text};
use polytask_core::input::{InputSpec, KnownInput};
use polytask_core::suite::SourceSpec;
use polytask_core::{Error, Place, Problem, Purpose, Result, Split, Suite, rng};

use super::{Content, Fault, Finished, InputCells, SourceColumns, SymbolBytes, View};
use crate::readers::{Cell, Record, listed, text_column};
use crate::{Dataset, Tokenize};
pub use encoded::CellReader;
use named::{differing, otherwise, renamed, target_read, targets_elsewhere, unknown_names};
pub use reader::RowReader;
use seen::SeenRows;

/// Columns of numbers of rows that programs write beside the data.
const INDEXES: [&str; 2] = ["", "Unnamed: 0"];

/// The view of tables: of the columns a trained network reads, else of those that the first source has.
pub(super) fn open(_suite: &Suite, tokenizer: &dyn Tokenize) -> Box<dyn View> {
    let known = match tokenizer.input() {
        KnownInput::Table(spec) => Some(spec),
        _ => None,
    };
    let reader = known.as_ref().map_or_else(RowReader::default, RowReader::new);
    Box::new(Table {
        reader,
        cells: tokenizer.cells().as_ref().map(CellReader::new),
        known,
        first: None,
        id: None,
        texts: Vec::new(),
        notes: Vec::new(),
        met: HashMap::new(),
        unread: BTreeSet::new(),
    })
}

struct Table {
    reader: RowReader,
    /// What reads texts and images; without it these are not read.
    cells: Option<CellReader>,
    /// What a trained network reads.
    known: Option<TableSpec>,
    /// The source that said what the columns are.
    first: Option<First>,
    /// The column of ids of the source that is read.
    id: Option<String>,
    /// Its columns of texts.
    texts: Vec<String>,
    notes: Vec<String>,
    /// How often each row of the source that is read was met.
    met: HashMap<(Split, u64), u64>,
    /// Keys of rows of train that came too late to be read.
    unread: BTreeSet<String>,
}

/// The source that said what the columns are, and its file.
struct First {
    source: SourceSpec,
    file: PathBuf,
}

impl View for Table {
    fn columns(&mut self, of: &SourceColumns<'_>) -> Option<std::result::Result<Vec<String>, Vec<Problem>>> {
        // Rows are counted within their source: another task on the same file has the same rows in each split.
        self.met.clear();
        self.id = of.id.map(str::to_owned);
        self.texts.clone_from(&of.source.texts);
        let problems = if let Some(spec) = self.known.clone() {
            self.check_known(&spec, of)
        } else if let Some(first) = &self.first {
            [differing(&first.source, of), self.lacking(&first.source, of)].concat()
        } else {
            self.choose(of)
        };
        let fields = self.fields(of);
        let problems: Vec<Problem> = problems.into_iter().chain(target_read(&fields, of)).collect();
        Some(if problems.is_empty() { Ok(fields) } else { Err(problems) })
    }

    fn read(&mut self, row: &InputCells<'_>, wrong: &mut dyn FnMut(usize, Fault)) -> Vec<Content> {
        let learns = row.is_train && self.known.is_none();
        if learns {
            self.note_unread(row);
        }
        let (mut symbols, mut is_whole) = (Vec::with_capacity(row.cells.len()), true);
        for (c, cell) in row.cells.iter().enumerate() {
            if learns {
                self.reader.learn(c, *cell);
            }
            if let Err(fault) = self.append((c, *cell), row.file, &mut symbols) {
                // A row with a wrong cell is left out.
                is_whole = false;
                wrong(c, fault);
            }
        }
        let bytes = symbols.iter().flat_map(|symbol| symbol.to_le_bytes()).collect();
        is_whole.then_some(Content::Symbols(SymbolBytes { bytes, width: 4 })).into_iter().collect()
    }

    /// The id of a row; without one, all that stands in it, whichever of it is read, and how many rows before are equal:
    /// in a table of few categories equal rows are not one row twice.
    fn identity(&mut self, split: Split, record: &Record) -> Option<u64> {
        let known =
            |name: &String| record.get(name).filter(|cell| !cell.is_missing()).and_then(category_text);
        if let Some(id) = self.id.as_ref().and_then(known) {
            return Some(text64(&id));
        }
        let cell = |name: &String| Some(format!("{name}\u{1f}{}", known(name)?));
        // A text says all that its numbers do.
        let is_own = |name: &&String| self.texts.is_empty() || text_column(name, &self.texts).is_none();
        let mut cells: Vec<String> = record.columns().iter().filter(is_own).filter_map(cell).collect();
        cells.sort_unstable();
        let key = text64(&cells.join("\u{1e}"));
        let n = self.met.entry((split, key)).or_default();
        *n += 1;
        Some(if *n == 1 { key } else { rng::key(0, Purpose::Split, &[key, *n]) })
    }

    /// Rows of train show what there is, unless a trained network says so.
    fn may_lack(&self, split: Split) -> bool {
        split != Split::Train || self.known.is_some()
    }

    fn finish(&mut self, dataset: &Dataset) -> Result<Finished> {
        let mut notes = std::mem::take(&mut self.notes);
        if let Some(spec) = &self.known {
            notes.extend(odd::unknown(spec, dataset));
            return Ok(Finished { input: InputSpec::Table(spec.clone()), notes });
        }
        let file = self.first.as_ref().map(|first| first.file.as_path());
        let mixed: Vec<Problem> = odd::mixed(&self.reader, file.unwrap_or(Path::new("")));
        if !mixed.is_empty() {
            return Err(Error::Invalid(mixed));
        }
        let seen = SeenRows::of_train(dataset, &self.reader);
        let image = self.cells.as_ref().and_then(CellReader::image_size);
        let spec = TableSpec { image, ..seen.spec(&self.reader) };
        notes.extend(odd::unread(&self.unread));
        notes.extend(odd::columns(&self.reader, &seen, &spec));
        notes.extend(odd::unknown(&spec, dataset));
        if spec.n_values() == 0 && !spec.columns.is_empty() && spec.encoded().is_empty() {
            let what = "every column that is read has one value in train, expected one that differs";
            return Err(Problem::new(what).try_this("give the files a column that says something").into());
        }
        Ok(Finished { input: InputSpec::Table(spec), notes })
    }
}

impl Table {
    /// Appends the symbols of a cell.
    fn append(
        &mut self,
        cell: (usize, Option<&Cell>),
        file: &Path,
        symbols: &mut Vec<u32>,
    ) -> std::result::Result<(), Fault> {
        if let Some(cells) = &mut self.cells {
            return self.reader.append(cell, (file, cells), symbols);
        }
        symbols.push(self.reader.symbol(cell.0, cell.1).map_err(Fault::Cell)?);
        Ok(())
    }

    /// The columns by the names that the files of a source have for them.
    fn fields(&self, of: &SourceColumns<'_>) -> Vec<String> {
        let field = |name: String| of.source.columns.get(&name).cloned().unwrap_or(name);
        self.reader.names().into_iter().map(field).collect()
    }

    /// Takes the columns that the first source says.
    fn choose(&mut self, of: &SourceColumns<'_>) -> Vec<Problem> {
        let SourceSpec { features, ignore, categories, missing, group, texts, images, .. } = of.source;
        let others = targets_elsewhere(of);
        // What is read of a text are the numbers beside it.
        let is_read = |name: &&String| {
            !ignore.contains(name)
                && !INDEXES.contains(&name.as_str())
                && !others.contains(name.as_str())
                && !texts.contains(name)
                && !images.contains(name)
        };
        let is_feature = |name: &&String| {
            let text = || text_column(name, texts).map(|(text, _)| text.to_owned());
            !texts.contains(name)
                && !images.contains(name)
                && (features.contains(name) || text().is_some_and(|t| features.contains(&t)))
        };
        let mut names: Vec<String> = if features.is_empty() {
            of.rest.iter().filter(is_read).cloned().collect()
        } else if texts.is_empty() && images.is_empty() {
            features.clone()
        } else {
            of.rest.iter().filter(is_feature).cloned().collect()
        };
        // A group is a name, however it is written, and is read whatever is listed.
        let categories: Vec<String> = categories.iter().chain(group).cloned().collect();
        names.extend(group.iter().filter(|group| !names.contains(group)).cloned().collect::<Vec<_>>());
        let mut problems = unknown_names(of);
        if names.is_empty() && texts.is_empty() && images.is_empty() {
            let what = format!("source `{}` has no column left to read beside its targets", of.source.name);
            let remedy = "give the files a column of numbers or categories, or shorten `ignore`";
            problems.push(Problem::at(Place::file(of.file), what).try_this(remedy));
        }
        self.reader = RowReader::open(&names, &categories, missing);
        if self.cells.is_some() {
            let is_chosen = |name: &&String| features.is_empty() || features.contains(name);
            let left_out = texts.iter().chain(images).filter(|name| !is_chosen(name));
            let said = |name: &String| format!("column `{name}` is not read, as `features` does not name it");
            self.notes.extend(left_out.map(said));
            let [texts, images] =
                [texts, images].map(|names| names.iter().filter(is_chosen).cloned().collect());
            self.reader = std::mem::take(&mut self.reader).with_encoded(texts, images);
        }
        self.first = Some(First { source: of.source.clone(), file: of.file.to_path_buf() });
        problems
    }

    /// Columns that a further source lacks.
    fn lacking(&self, first: &SourceSpec, of: &SourceColumns<'_>) -> Vec<Problem> {
        let names = self.fields(of);
        let absent = names.iter().filter(|name| of.is_complete && !of.names.contains(name));
        let problem = |name: &String| {
            let what = format!(
                "no column `{name}`, which source `{}` has: found {}; one network reads the same columns of all",
                first.name,
                listed(of.names)
            );
            Problem::at(Place::file(of.file), what)
                .try_this(renamed(name, &names, of).unwrap_or_else(|| format!("ignore = [{name:?}] in both")))
        };
        absent.map(problem).collect()
    }

    /// What a trained network reads is there, and the suite says nothing else.
    fn check_known(&mut self, spec: &TableSpec, of: &SourceColumns<'_>) -> Vec<Problem> {
        let names = self.fields(of);
        let absent: Vec<&String> = names.iter().filter(|name| !of.names.contains(name)).collect();
        if absent.len() == names.len() {
            let what = format!(
                "none of the columns that the network reads: expected {}, found {}",
                listed(&names),
                listed(of.names)
            );
            let remedy = crate::readers::other_separator(of.file, of.names, &[&names[0]]);
            let remedy = remedy.or_else(|| renamed(&names[0], &names, of));
            let remedy = remedy.unwrap_or_else(|| "a file with the columns the model was trained on".into());
            return vec![Problem::at(Place::file(of.file), what).try_this(remedy)];
        }
        let (mut problems, mut unknown) = (otherwise(spec, of, self.cells.is_some()), Vec::new());
        for name in absent.into_iter().filter(|_| of.is_complete) {
            match renamed(name, &names, of) {
                Some(remedy) => {
                    let what =
                        format!("no column `{name}`, which the network reads: found {}", listed(of.names));
                    problems.push(Problem::at(Place::file(of.file), what).try_this(remedy));
                }
                None => unknown.push(format!(
                    "column `{name}` is not in {}: unknown in all its rows",
                    of.file.display()
                )),
            }
        }
        self.notes.extend(unknown);
        problems
    }

    /// Notes the keys of a row that the first rows did not have.
    fn note_unread(&mut self, row: &InputCells<'_>) {
        let Some(first) = row.first_keys else { return };
        let late = row.record.columns().iter().filter(|name| !first.contains(*name));
        self.unread.extend(late.cloned());
    }
}

/// Whether a symbol is of a known number or category.
pub(crate) fn is_known(symbol: u32) -> bool {
    symbol != MISSING
}

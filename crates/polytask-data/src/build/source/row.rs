//! One record as a row: its texts, its weight and the targets of all tasks, not yet tokenised.

use std::collections::HashSet;
use std::path::Path;

use polytask_core::target::{CellMistake, MistakeSort, TargetCell, TargetRow};
use polytask_core::{Error, Place, Problem, Purpose, Result, Split, plural, rng};

use super::super::columns::{Columns, TaskColumns};
use super::super::weights;
use super::{Judged, Reading};
use crate::readers::qrels::Qrel;
use crate::readers::{self, Cell, Record};
use crate::views::{Content, Fault, InputCells};

/// A row as read, its texts not yet tokenised.
pub(super) struct Row {
    pub(super) line: usize,
    pub(super) hash: u64,
    /// What tells it from others, where that is more than its texts.
    pub(super) key: Option<u64>,
    pub(super) texts: Vec<Content>,
    /// The same as they are in the file, where a teacher will read them.
    pub(super) raw: Vec<String>,
    pub(super) weight: f32,
    pub(super) targets: Vec<TargetCell>,
    pub(super) task_weights: Vec<Option<f32>>,
}

/// The mistakes of one row.
#[derive(Default)]
struct Mistakes {
    /// All of single cells.
    problems: Vec<Problem>,
    /// Whether others are held for their columns.
    are_held: bool,
    /// The first that is none of the data's.
    other: Option<Error>,
}

impl Mistakes {
    /// The value, or nothing with its mistake noted.
    fn keep<T>(&mut self, read: Result<T>) -> Option<T> {
        match read {
            Ok(value) => return Some(value),
            Err(Error::Invalid(problems)) => self.problems.extend(problems),
            Err(other) => self.other = self.other.take().or(Some(other)),
        }
        None
    }

    /// An error when there was any, with those that are not held.
    fn check(self) -> Result<()> {
        match self.other {
            Some(error) => Err(error),
            None if self.problems.is_empty() && !self.are_held => Ok(()),
            None => Err(Error::Invalid(self.problems)),
        }
    }
}

/// What is wrong with a cell, with its place.
fn misread(file: &Path, record: &Record, column: &str, wrong: &CellMistake) -> Problem {
    let what = format!("column `{column}`: {}", wrong.what);
    Problem::at(Place::line(file, record.line), what).try_this(wrong.remedy.clone())
}

impl Reading<'_, '_> {
    /// A record as a row; `None` for a query that the split does not judge.
    pub(super) fn row(
        &mut self,
        split: Split,
        file: &Path,
        record: &Record,
        judged: Option<&mut Judged>,
        met: &mut HashSet<String>,
    ) -> Result<Option<Row>> {
        let columns = self.columns.take().expect("columns are found before rows are read");
        let answers = match judged {
            Some(judged) => {
                let found = answers(&columns, record, judged, met)
                    .map_err(|e| misread(file, record, "id", &e).into());
                found.map(Some)
            }
            None => Ok(None),
        };
        let row = answers.and_then(|answers| match answers {
            Some(None) if !self.spec.files.contains_key(&split) => Ok(None),
            answers => self.cells(&columns, split, file, record, answers.flatten().as_deref()).map(Some),
        });
        self.columns = Some(columns);
        row
    }

    /// The cells of a record that has a place in the split.
    fn cells(
        &mut self,
        columns: &Columns,
        split: Split,
        file: &Path,
        record: &Record,
        answers: Option<&[Qrel]>,
    ) -> Result<Row> {
        let mut wrong = Mistakes::default();
        let texts = self.texts(columns, split, file, record, &mut wrong);
        // Tags of words that could not be read fit any number of them.
        let n_words = match texts.first() {
            Some(Content::Words(words)) => Some(words.len()),
            _ => None,
        };
        let mut weight = |name: &Option<String>| {
            let name = name.as_ref()?;
            let weight = weights::weight(record.get(name));
            wrong.keep(weight.map_err(|e| misread(file, record, name, &e).into()))
        };
        let row_weight = weight(&columns.weight);
        let task_weights = columns.tasks.iter().map(|own| weight(&own.weight)).collect();
        let mut targets = Vec::with_capacity(self.tasks.len());
        for (t, own) in columns.tasks.iter().enumerate() {
            match self.target(t, own, record, answers, n_words) {
                Ok(target) => targets.push(target),
                Err(error) => {
                    let name = own.target.as_deref().unwrap_or_default();
                    let cell = record.get(name);
                    let error = tags_or_labels(error, cell, &texts);
                    self.targets[t].hold(cell, &error, misread(file, record, name, &error));
                    wrong.are_held = true;
                }
            }
        }
        wrong.check()?;
        let hashes = || texts.iter().map(Content::hash).collect::<Vec<u64>>();
        let key = self.builder.view.identity(split, record);
        Ok(Row {
            line: record.line,
            hash: key.unwrap_or_else(|| rng::key(0, Purpose::Split, &hashes())),
            key,
            raw: self.raw(columns, split, record),
            texts,
            weight: row_weight.unwrap_or(1.0),
            targets,
            task_weights,
        })
    }

    /// The inputs of a record of train as they are in the file, where a teacher will read them.
    fn raw(&self, columns: &Columns, split: Split, record: &Record) -> Vec<String> {
        if split != Split::Train || !self.tasks.iter().any(|task| task.teacher.is_some()) {
            return Vec::new();
        }
        let text = |name: &String| record.get(name).and_then(Cell::to_text).unwrap_or_default();
        columns.inputs.iter().map(text).collect()
    }

    /// The inputs of a record that can be read.
    fn texts(
        &mut self,
        columns: &Columns,
        split: Split,
        file: &Path,
        record: &Record,
        wrong: &mut Mistakes,
    ) -> Vec<Content> {
        let node = match self.node(columns, file, record) {
            Ok(node) => node,
            Err(problem) => {
                wrong.keep::<()>(Err(problem.into()));
                return Vec::new();
            }
        };
        let mut cells: Vec<Option<&Cell>> = columns.inputs.iter().map(|name| record.get(name)).collect();
        if let (Some(node), Some(first)) = (&node, cells.first_mut()) {
            *first = Some(node);
        }
        self.inputs.iter_mut().zip(&cells).for_each(|(column, cell)| column.see(*cell));
        let row = InputCells {
            file,
            cells: cells.clone(),
            as_words: self.as_words,
            is_train: split == Split::Train,
            record,
            first_keys: columns.first_keys.as_ref(),
        };
        let inputs = &mut self.inputs;
        let texts = self.builder.view.read(&row, &mut |i, fault| match fault {
            Fault::Cell(error) => {
                inputs[i].hold(cells[i], &error, misread(file, record, &columns.inputs[i], &error));
                wrong.are_held = true;
            }
            Fault::Named(error) => drop(wrong.keep::<()>(Err(error))),
        });
        let prompts = self.prompts.iter().map(Option::as_ref).chain(std::iter::repeat(None));
        let mut texts: Vec<Content> =
            texts.into_iter().zip(prompts).map(|(text, prompt)| text.after(prompt)).collect();
        if self.joins_texts() && texts.len() == 2 {
            let second = texts.pop();
            let first = texts.pop();
            texts.extend(first.zip(second).map(|(first, second)| Content::joined(first, second)));
        }
        texts
    }

    /// The text of the node that the first input names; none where that is a text itself.
    fn node(&self, columns: &Columns, file: &Path, record: &Record) -> Result<Option<Cell>, Problem> {
        let (Some(left), Some(column)) = (&self.left, columns.inputs.first()) else { return Ok(None) };
        let id = record.get(column).and_then(Cell::to_text).unwrap_or_default();
        let found = left.get(&id).map(|text| Some(Cell::Text(text.clone())));
        found.ok_or_else(|| {
            let name = self.spec.left.as_deref().unwrap_or_default();
            let what =
                format!("column `{column}`: `{}` is no id of node set `{name}`", readers::shorten(&id));
            Problem::at(Place::line(file, record.line), what).try_this("add the node, or remove the row")
        })
    }

    /// The target of the `t`-th task of the source.
    fn target(
        &mut self,
        t: usize,
        own: &TaskColumns,
        record: &Record,
        judged: Option<&[Qrel]>,
        n_words: Option<usize>,
    ) -> Result<TargetCell, CellMistake> {
        let form = self.tasks[t].kind.form;
        let cell = |name: &Option<String>| name.as_ref().and_then(|name| record.get(name));
        let (cell, negatives) = (cell(&own.target), cell(&own.negatives));
        self.targets[t].see(cell);
        if form.reads_plain_numbers() {
            self.builder.merged[self.members[t]].note(cell);
        }
        let row = TargetRow { cell, negatives, judged, are_ids: self.corpora[t].from_file, n_words };
        let read = form.read(&row, &mut self.labels[t])?;
        if !read.is_of(form.target_type()) {
            let what = format!("the form of targets `{}` read another type of target", form.name());
            return Err(CellMistake::new(what, "this is a bug of polytask: report it"));
        }
        check_width(read, &mut self.widths[t], form.width())
    }
}

/// The judgements of a query, taken out; `None` for one without.
fn answers(
    columns: &Columns,
    record: &Record,
    judged: &mut Judged,
    met: &mut HashSet<String>,
) -> Result<Option<Vec<Qrel>>, CellMistake> {
    let id = query_id(columns, record)?;
    if !met.insert(id.clone()) {
        let what = format!("two queries have the id `{}`", readers::shorten(&id));
        return Err(CellMistake::new(what, "give each query an id of its own"));
    }
    Ok(judged.remove(&id))
}

/// A list in the place of a label is one of tags only where it is as long as the words of the row's one text.
fn tags_or_labels(wrong: CellMistake, cell: Option<&Cell>, texts: &[Content]) -> CellMistake {
    let n_words = match texts {
        [Content::Text(text) | Content::Prompted(_, text)] => Some(text.split_whitespace().count()),
        [Content::Words(words)] => Some(words.len()),
        _ => None,
    };
    let n_items = cell.and_then(Cell::to_items).map(|items| items.len());
    let is_tags = n_items.is_some() && n_items == n_words;
    if wrong.sort == MistakeSort::Tags && !is_tags { wrong.of(MistakeSort::Other) } else { wrong }
}

/// The id of a query that judgements name.
fn query_id(columns: &Columns, record: &Record) -> Result<String, CellMistake> {
    let cell = columns.id.as_ref().and_then(|name| record.get(name)).filter(|cell| !cell.is_missing());
    cell.and_then(Cell::to_text).ok_or_else(|| {
        CellMistake::new(
            "query has no id, expected one that the judgements name",
            "columns = { id = \"...\" }",
        )
    })
}

/// All rows of a task have as many numbers; those of some forms always have.
fn check_width(
    read: TargetCell,
    width: &mut Option<usize>,
    fixed: Option<usize>,
) -> Result<TargetCell, CellMistake> {
    if let TargetCell::Numbers(values) = &read {
        let expected = fixed.unwrap_or_else(|| *width.get_or_insert(values.len()));
        if values.len() != expected {
            let what = format!("row has {}, expected {expected}", plural(values.len(), "number"));
            return Err(CellMistake::new(what, "write null for each unknown number of a list"));
        }
    }
    Ok(read)
}

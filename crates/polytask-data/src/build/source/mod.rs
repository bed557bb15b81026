//! Reads one source: its splits, row by row, with the targets of all its tasks.

mod by_hash;
mod ends;
mod install;
mod open;
mod prompts;
mod row;
mod sides;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use polytask_core::suite::{SourceSpec, TaskSpec};
use polytask_core::target::{LabelTable, TargetCell};
use polytask_core::{Error, Place, Problem, Result, Split};

use super::columns::Columns;
use super::corpus::Corpus;
use super::problems::enough;
use super::sums::sum_of;
use super::table::{Table, Target};
use super::whole::Whole;
use super::{Builder, Progress};
use crate::SourceData;
use crate::readers::qrels::{self, Qrel};
use crate::readers::{self, Reader};
use crate::views::{Content, Prompt};
use by_hash::{cut, keep_lowest};
use prompts::{input_prompts, ranking_prompts};
use row::Row;

/// Rows held before they are tokenised.
const HELD: usize = 4096;
/// Bytes of their texts, beyond which they are tokenised at once.
const HELD_BYTES: usize = 1 << 26;

impl<'a> Builder<'a> {
    /// Reads all splits of a source.
    pub(super) fn read_source(&mut self, index: usize) -> Result<()> {
        let suite = self.suite;
        let spec = &suite.sources[index];
        self.dataset.sources.push(SourceData { name: spec.name.clone(), splits: BTreeMap::new() });
        let members: Vec<usize> =
            (0..suite.tasks.len()).filter(|&t| suite.tasks[t].from == spec.name).collect();
        if members.is_empty() {
            return Ok(());
        }
        let tasks: Vec<&'a TaskSpec> = members.iter().map(|&t| &suite.tasks[t]).collect();
        let labels = tasks.iter().map(|task| label_table(task, spec)).collect();
        let reads_words = |task: &&TaskSpec| task.reads_words || task.kind.tags_words();
        let n_tasks = tasks.len();
        let reading = Reading {
            spec,
            as_words: tasks.iter().any(reads_words),
            members,
            labels,
            columns: None,
            corpora: tasks.iter().map(|task| Corpus::new(ranking_prompts(spec, task))).collect(),
            prompts: input_prompts(spec, &tasks),
            left: None,
            widths: vec![None; n_tasks],
            inputs: Vec::new(),
            targets: Vec::new(),
            ids: vec![None; n_tasks],
            is_told: vec![false; n_tasks],
            builder: self,
            tasks,
        };
        reading.read(index)
    }

    /// The file a suite names, with its hash noted.
    fn file(&mut self, named: &Path) -> Result<PathBuf> {
        let file = self.suite.folder.join(named);
        let sum = sum_of(&file).map_err(|error| self.absent(named, error))?;
        self.dataset.files.insert(named.display().to_string(), sum);
        Ok(file)
    }

    /// A file the suite names and that is gone, as a mistake of the suite.
    fn absent(&self, named: &Path, error: Error) -> Error {
        match error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
                let what = format!("file `{}` does not exist", named.display());
                let remedy = "check the path; relative paths start at the suite file's folder";
                Problem::at(Place::file(&self.suite.file), what).try_this(remedy).into()
            }
            error => error,
        }
    }
}

/// The judgements of a split by query.
type Judged = HashMap<String, Vec<Qrel>>;

/// The state of reading one source.
struct Reading<'b, 'a> {
    builder: &'b mut Builder<'a>,
    spec: &'a SourceSpec,
    tasks: Vec<&'a TaskSpec>,
    /// Their indices in the suite.
    members: Vec<usize>,
    columns: Option<Columns>,
    labels: Vec<LabelTable>,
    corpora: Vec<Corpus>,
    /// Words before the texts of each input.
    prompts: Vec<Option<Prompt>>,
    /// Texts by id that the first input names, where it is a node set.
    left: Option<HashMap<String, String>>,
    /// Numbers per row, by task.
    widths: Vec<Option<usize>>,
    /// What the split that is read shows of the columns of inputs, and of the targets by task.
    inputs: Vec<Whole>,
    targets: Vec<Whole>,
    /// Columns of labels that look like ids, as mistakes, by task.
    ids: Vec<Option<Problem>>,
    /// Whether the target's column is a mistake as a whole, by task.
    is_told: Vec<bool>,
    /// Whether texts are words that carry tags.
    as_words: bool,
}

impl Reading<'_, '_> {
    fn read(mut self, index: usize) -> Result<()> {
        self.read_corpus()?;
        self.read_nodes()?;
        let has_train = self.has(Split::Train);
        if !has_train && !self.builder.suite.is_to_judge {
            let place = Place::line(&self.builder.suite.file, self.spec.line);
            let what = format!("source `{}` has no train file", self.spec.name);
            return self
                .builder
                .problems
                .add(Problem::at(place, what).try_this("files = { train = \"...\" }"));
        }
        if let Some(problem) = self.lacks_valid() {
            return self.builder.problems.add(problem);
        }
        let mut tables = BTreeMap::new();
        let mut train = if has_train { self.read_split(Split::Train)? } else { self.table(1) };
        self.close_labels(&mut train);
        if self.has(Split::Valid) {
            tables.insert(Split::Valid, self.read_split(Split::Valid)?);
        } else if let Some(is_train) = cut(&train.hashes, self.spec.valid).filter(|_| has_train) {
            let (rest, mut valid) = train.partition(&is_train);
            valid.raw.clear();
            train = rest;
            tables.insert(Split::Valid, valid);
        }
        if self.has(Split::Test) {
            tables.insert(Split::Test, self.read_split(Split::Test)?);
        }
        if has_train {
            tables.insert(Split::Train, train);
        }
        self.install(index, tables);
        Ok(())
    }

    /// A table without rows.
    fn table(&self, n_inputs: usize) -> Table {
        Table::new(n_inputs, self.tasks.iter().map(|task| task.kind.target_type()))
    }

    /// Whether the texts of a row are one sequence; all tasks of a source read rows alike.
    fn joins_texts(&self) -> bool {
        self.tasks[0].kind.joins_texts()
    }

    fn has(&self, split: Split) -> bool {
        self.spec.files.contains_key(&split) || self.spec.qrels.contains_key(&split)
    }

    fn read_corpus(&mut self) -> Result<()> {
        let Some(named) = &self.spec.corpus else { return Ok(()) };
        let prompts = ranking_prompts(self.spec, self.tasks[0]);
        let file = self.builder.file(named)?;
        let Builder { interner, problems, progress, .. } = &mut *self.builder;
        let source = &self.spec.name;
        let mut tell = |rows, texts| progress(Progress { source, split: None, rows, texts });
        match Corpus::read(&file, prompts, interner, problems, &mut tell) {
            Ok(corpus) => self.corpora = vec![corpus; self.tasks.len()],
            Err(error) => {
                self.builder.problems.add_error(error)?;
                // Without its passages every row of the task would be one more mistake.
                return Err(enough());
            }
        }
        Ok(())
    }

    /// Reads the rows of a split; mistakes are noted and leave their row out.
    fn read_split(&mut self, split: Split) -> Result<Table> {
        let named = self.spec.files.get(&split).or(self.spec.queries.as_ref());
        let Some(named) = named else {
            let place = Place::line(&self.builder.suite.file, self.spec.line);
            let what = format!("source `{}` has judgements but no queries", self.spec.name);
            self.builder.problems.add(Problem::at(place, what).try_this("queries = \"queries.jsonl\""))?;
            return Ok(self.table(1));
        };
        let opened = self.builder.file(named).and_then(|file| Ok((self.open(&file, split)?, file)));
        let judged = self.read_judgements(split)?;
        let (mut reader, file) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.builder.problems.add_error(error)?;
                return Ok(self.table(1));
            }
        };
        self.builder.dataset.warnings.extend(reader.said().map(str::to_owned));
        let Some(found) = self.find_columns(split, &file, &mut reader, judged.is_some())? else {
            return Ok(self.table(1));
        };
        let n_inputs =
            if self.joins_texts() { 1 } else { self.columns.as_ref().map_or(1, |columns| columns.n_inputs) };
        let mut table = self.table(n_inputs);
        let before = self.builder.problems.len();
        let mark = self.begin_columns();
        let all = self.read_rows(split, &file, reader, judged, &mut table);
        match &all {
            Ok(_) => self.end_columns(split, &found, mark)?,
            // What a part of the rows lacks says nothing of the column.
            Err(_) => self.end_cells(),
        }
        if all? == 0 && self.builder.problems.len() == before {
            let what = format!(
                "{} split of source `{}` has no rows, expected at least one",
                split.name(),
                self.spec.name
            );
            let problem = Problem::at(Place::file(&file), what);
            self.builder.problems.add(problem.try_this("check that the file was written whole"))?;
        }
        Ok(table)
    }

    fn read_judgements(&mut self, split: Split) -> Result<Option<Judged>> {
        let Some(named) = self.spec.qrels.get(&split) else { return Ok(None) };
        let file = self.builder.file(named)?;
        let mut judged = Judged::new();
        match qrels::read(&file) {
            Ok(list) => {
                let corpus = self.corpora.first().filter(|corpus| corpus.from_file);
                for qrel in list {
                    if corpus.is_some_and(|corpus| corpus.place(&qrel.passage).is_none()) {
                        let what =
                            format!("passage `{}` is not in the corpus", readers::shorten(&qrel.passage));
                        let problem = Problem::at(Place::line(&file, qrel.line), what);
                        let remedy = "add the passage to the corpus, or remove its judgement";
                        self.builder.problems.add(problem.try_this(remedy))?;
                        continue;
                    }
                    judged.entry(qrel.query.clone()).or_default().push(qrel);
                }
            }
            Err(error) => self.builder.problems.add_error(error)?,
        }
        Ok(Some(judged))
    }

    /// Reads rows into a table and gives their number before any limit.
    fn read_rows(
        &mut self,
        split: Split,
        file: &Path,
        reader: Reader,
        mut judged: Option<Judged>,
        table: &mut Table,
    ) -> Result<usize> {
        let limit = self.spec.limit;
        let (mut held, mut held_bytes, mut all) = (Vec::new(), 0, 0);
        let mut met = HashSet::new();
        for record in reader {
            let row = record.and_then(|record| self.row(split, file, &record, judged.as_mut(), &mut met));
            match row {
                Ok(None) => continue,
                Ok(Some(row)) => {
                    held_bytes += row.texts.iter().map(Content::n_bytes).sum::<usize>();
                    held.push(row);
                }
                Err(error) => self.builder.problems.add_error(error)?,
            }
            all += 1;
            if limit == 0 && (held.len() == HELD || held_bytes > HELD_BYTES) {
                held_bytes = 0;
                self.push_all(std::mem::take(&mut held), file, table)?;
            } else if limit > 0 && held.len() >= 2 * limit + HELD {
                keep_lowest(&mut held, limit);
            }
            if all % HELD == 0 {
                let (source, texts) = (self.spec.name.as_str(), self.builder.interner.len());
                (self.builder.progress)(Progress { source, split: Some(split), rows: all, texts });
            }
        }
        if limit > 0 {
            keep_lowest(&mut held, limit);
        }
        self.push_all(held, file, table)?;
        self.check_judged(split, judged)?;
        let (source, texts) = (self.spec.name.as_str(), self.builder.interner.len());
        (self.builder.progress)(Progress { source, split: Some(split), rows: all, texts });
        Ok(all)
    }

    /// Every judged query is among the queries.
    fn check_judged(&mut self, split: Split, judged: Option<Judged>) -> Result<()> {
        let (Some(judged), Some(named)) = (judged, self.spec.qrels.get(&split)) else { return Ok(()) };
        let file = self.builder.suite.folder.join(named);
        let mut left: Vec<(usize, String)> =
            judged.into_iter().map(|(query, list)| (list[0].line, query)).collect();
        left.sort_unstable();
        for (line, query) in left {
            let what = format!("judged query `{}` is not among the queries", readers::shorten(&query));
            let problem = Problem::at(Place::line(&file, line), what);
            self.builder.problems.add(problem.try_this("add the query, or remove its judgements"))?;
        }
        Ok(())
    }

    fn push_all(&mut self, rows: Vec<Row>, file: &Path, table: &mut Table) -> Result<()> {
        rows.into_iter().try_for_each(|row| self.push(row, file, table))
    }

    fn push(&mut self, row: Row, file: &Path, table: &mut Table) -> Result<()> {
        for text in row.texts {
            table.texts.push(self.builder.interner.id(text)?);
        }
        table.weights.push(row.weight);
        table.hashes.push(row.hash);
        table.keys.extend(row.key);
        table.raw.extend(row.raw);
        for (t, read) in row.targets.into_iter().enumerate() {
            let target = match read {
                TargetCell::Unknown => Target::Unknown,
                TargetCell::Label(label) => Target::Label(label),
                TargetCell::Labels(labels) => Target::Labels(labels),
                TargetCell::Tags(tags) => Target::Tags(tags),
                TargetCell::Numbers(values) => Target::Numbers(values),
                TargetCell::Passages { positives, negatives, query } => {
                    let interner = &mut self.builder.interner;
                    let (mut relevance, unknown) =
                        self.corpora[t].relevance(positives, negatives, interner)?;
                    relevance.own = query.as_ref().and_then(|id| self.corpora[t].place(id));
                    relevance.query = query.map(String::into_boxed_str);
                    for id in unknown {
                        let problem = names_nothing(&id, self.spec.right.as_deref());
                        let place = Some(Place::line(file, row.line));
                        self.builder.problems.add(Problem { place, ..problem })?;
                    }
                    Target::Passages(relevance)
                }
            };
            table.targets[t].push(target);
        }
        for (weights, weight) in table.task_weights.iter_mut().zip(row.task_weights) {
            weights.extend(weight);
        }
        Ok(())
    }

    /// Ends the reading of train: labels get their final order.
    fn close_labels(&mut self, train: &mut Table) {
        for (t, labels) in self.labels.iter_mut().enumerate() {
            train.renumber(t, &labels.close());
        }
    }
}

/// The mistake of an id that names no passage, or no node of a set.
fn names_nothing(id: &str, nodes: Option<&str>) -> Problem {
    let shown = readers::shorten(id);
    match nodes {
        None => Problem::new(format!("passage `{shown}` is not in the corpus"))
            .try_this("add the passage to the corpus"),
        Some(nodes) => Problem::new(format!("no node `{shown}` in node set `{nodes}`"))
            .try_this("add the node, or remove its edges; several ids are joined by |"),
    }
}

/// The labels of a task whose rows are a source's.
fn label_table(task: &TaskSpec, source: &SourceSpec) -> LabelTable {
    let table = task.labels.as_deref().map_or_else(LabelTable::open, LabelTable::declared);
    let missing = task.missing.iter().chain(&source.missing).cloned().collect();
    table.missing(missing).separated(task.separator.clone()).counted(task.counts_labels)
}

//! Passages of a retrieval task: a corpus file, or the distinct texts that stand in the rows themselves.

use std::collections::HashMap;
use std::path::Path;

use polytask_core::{Error, Place, Problem, Result};

use super::columns::{IDS, TEXTS, first_of};
use super::found::Found;
use super::intern::Interner;
use super::nodes::NodeText;
use super::problems::Problems;
use crate::readers::{self, Cell, Record};
use crate::views::{Content, Key, Prompt};
use crate::{Relevance, TextId};

/// Prompts of what is asked and of what is ranked.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RankingPrompts {
    pub(super) query: Option<Prompt>,
    pub(super) passage: Option<Prompt>,
}

/// The passages of a task.
#[derive(Debug, Clone, Default)]
pub(super) struct Corpus {
    prompts: RankingPrompts,
    /// Of each passage, the key its text has as a query; empty where both have the same prompt.
    as_query: Vec<Key>,
    /// Whether passages are named by ids of a file (else by their texts).
    pub(super) from_file: bool,
    pub(super) texts: Vec<TextId>,
    pub(super) ids: Vec<String>,
    by_id: HashMap<String, u32>,
    by_text: HashMap<TextId, u32>,
}

impl Corpus {
    /// Without passages.
    pub(super) fn new(prompts: RankingPrompts) -> Self {
        Self { prompts, ..Self::default() }
    }

    /// Of each passage, the query of the same text, where there is one; empty where queries and passages have the same
    /// prompt, so that equal texts are one.
    pub(super) fn twins(&self, interner: &Interner<'_>) -> Vec<Option<TextId>> {
        self.as_query.iter().map(|key| interner.known(key)).collect()
    }

    /// The id of a passage's text, which is the next one where it is new.
    fn intern(&self, text: String, interner: &mut Interner<'_>) -> Result<(TextId, Option<Key>)> {
        let RankingPrompts { query, passage } = &self.prompts;
        let content = Content::Text(text);
        let as_query = (query != passage).then(|| content.clone().after(query.as_ref()).key());
        Ok((interner.id(content.after(passage.as_ref()))?, as_query))
    }

    fn push(&mut self, (text, as_query): (TextId, Option<Key>), id: String) {
        self.texts.push(text);
        self.as_query.extend(as_query);
        self.ids.push(id);
    }

    /// Reads a corpus file: columns for id, title (may be absent) and text.
    pub(super) fn read(
        file: &Path,
        prompts: RankingPrompts,
        interner: &mut Interner<'_>,
        problems: &mut Problems,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self> {
        let mut reader = readers::open(file)?;
        let found = Found { file, names: reader.columns(), is_complete: true };
        let id = first_of(IDS, &found).ok_or_else(|| no_column("id", IDS, &found))?;
        let title = first_of(&["title"], &found);
        let text = first_of(TEXTS, &found);
        if title.is_none() && text.is_none() {
            return Err(no_column("text", TEXTS, &found));
        }
        let columns: Vec<String> = title.into_iter().chain(text).collect();
        let mut corpus = Self { from_file: true, ..Self::new(prompts) };
        for record in reader {
            let added = record.and_then(|record| corpus.add(file, &record, &id, &columns, interner));
            if let Err(error) = added {
                problems.add_error(error)?;
            }
            if corpus.texts.len().is_multiple_of(4096) {
                progress(corpus.texts.len(), interner.len());
            }
        }
        if corpus.texts.is_empty() && problems.len() == 0 {
            let problem = Problem::at(Place::file(file), "corpus has no passages, expected at least one");
            problems.add(problem.try_this("check that the file was written whole"))?;
        }
        Ok(corpus)
    }

    /// The texts of a node set.
    pub(super) fn of_nodes(
        nodes: Vec<NodeText>,
        prompts: RankingPrompts,
        interner: &mut Interner<'_>,
    ) -> Result<Self> {
        let mut corpus = Self { from_file: true, ..Self::new(prompts) };
        for node in nodes {
            corpus.by_id.insert(node.id.clone(), corpus.texts.len() as u32);
            let text = corpus.intern(node.text, interner)?;
            corpus.push(text, node.id);
        }
        Ok(corpus)
    }

    fn add(
        &mut self,
        file: &Path,
        record: &Record,
        id: &str,
        columns: &[String],
        interner: &mut Interner<'_>,
    ) -> Result<()> {
        let id = record.get(id).filter(|cell| !cell.is_missing()).and_then(Cell::to_text);
        let id = id.ok_or_else(|| Problem::at(Place::line(file, record.line), "passage has no id"))?;
        let parts = columns.iter().filter_map(|column| record.get(column).and_then(Cell::to_text));
        let text = parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ");
        let index = self.texts.len() as u32;
        if self.by_id.insert(id.clone(), index).is_some() {
            let what = format!("two passages have the id `{}`", readers::shorten(&id));
            let problem = Problem::at(Place::line(file, record.line), what);
            return Err(problem.try_this("give each passage an id of its own").into());
        }
        let text = self.intern(text, interner)?;
        self.push(text, id);
        Ok(())
    }

    /// The index of the passage with an id of the file.
    pub(super) fn place(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The index of a passage named by its id (corpus file) or its text; `None` for an unknown id.
    fn index_of(&mut self, name: String, interner: &mut Interner<'_>) -> Result<Option<u32>> {
        if self.from_file {
            return Ok(self.by_id.get(&name).copied());
        }
        let text = self.intern(name, interner)?;
        let next = self.texts.len() as u32;
        let index = *self.by_text.entry(text.0).or_insert(next);
        if index == next {
            self.push(text, next.to_string());
        }
        Ok(Some(index))
    }

    /// What answers a query, as indices; unknown ids are given apart.
    pub(super) fn relevance(
        &mut self,
        positives: Vec<(String, f32)>,
        negatives: Vec<String>,
        interner: &mut Interner<'_>,
    ) -> Result<(Relevance, Vec<String>)> {
        let (mut relevance, mut unknown) = (Relevance::default(), Vec::new());
        for (name, grade) in positives {
            match self.index_of(name.clone(), interner)? {
                Some(index) => relevance.positives.push((index, grade)),
                None => unknown.push(name),
            }
        }
        for name in negatives {
            match self.index_of(name.clone(), interner)? {
                Some(index) => relevance.negatives.push(index),
                None => unknown.push(name),
            }
        }
        relevance.positives.sort_by(|a, b| (a.0, b.1).partial_cmp(&(b.0, a.1)).expect("grades are finite"));
        relevance.positives.dedup_by_key(|(index, _)| *index);
        relevance.negatives.sort_unstable();
        relevance.negatives.dedup();
        let positives = &relevance.positives;
        relevance.negatives.retain(|index| positives.binary_search_by_key(index, |(i, _)| *i).is_err());
        Ok((relevance, unknown))
    }
}

fn no_column(role: &str, names: &[&str], found: &Found<'_>) -> Error {
    let what = format!(
        "corpus has no column for a passage's {role}: found {}, expected `{}`",
        readers::listed(&found.names),
        names.join("` or `")
    );
    let remedy = readers::other_separator(found.file, &found.names, names);
    let remedy = remedy.unwrap_or_else(|| "rename the column".into());
    Problem::at(Place::line(found.file, 1), what).try_this(remedy).into()
}

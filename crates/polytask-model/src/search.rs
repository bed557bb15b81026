//! Exact search by the score of a model: cosines of vectors, or scores of token states.

use std::ops::Range;

use polytask_nn::scores::{Ragged, TokenScoring, pieces, top_k};
use polytask_nn::{States, topk};

use crate::input::{Content, Distinct, Read};
use crate::pass::for_passes;
use crate::prompts::{PASSAGE, QUERY};
use crate::{Model, Result};

/// Values of token states of a corpus in memory at once: 128 MiB.
const VALUES: usize = 1 << 25;

/// What a search asks, and how.
#[derive(Debug, Clone, Copy, Default)]
pub struct SearchOptions<'a> {
    /// Passages per query.
    pub k: usize,
    /// The task that looks, where each has states of its own.
    pub task: Option<&'a str>,
    /// The model's prompt before each query, by name; without one, the task's or the one called `query`, where the model
    /// has it.
    pub prompt: Option<&'a str>,
    /// The same before each passage; the usual names are `document`, `passage` and `corpus`.
    pub corpus_prompt: Option<&'a str>,
}

/// The best `k` of `corpus` for each of `queries`, by cosine, best first: (row of the corpus, cosine).
pub fn search(queries: States, corpus: States, k: usize) -> Result<Vec<Vec<(u32, f32)>>> {
    let width = corpus.width;
    let (queries, corpus) = (topk::normalised(queries.values, width), topk::normalised(corpus.values, width));
    topk::top_k(&queries, &corpus, width, k)
}

impl Model {
    /// The best passages of `corpus` for each of `queries` by the model's own score, best first: (place in the corpus,
    /// score).
    ///
    /// # Errors
    /// When the model has no such task or prompt.
    pub fn search<S: AsRef<str>, P: AsRef<str>>(
        &self,
        queries: &[S],
        corpus: &[P],
        options: SearchOptions<'_>,
    ) -> Result<Vec<Vec<(u32, f32)>>> {
        let SearchOptions { k, task, .. } = options;
        if self.only_reads_pairs(task) {
            return queries.iter().map(|query| self.rank(query.as_ref(), corpus, options)).collect();
        }
        let (of_queries, of_passages) =
            (self.query_prompt(options.prompt, task), self.passage_prompt(options.corpus_prompt, task));
        let (prompt, corpus_prompt) = (of_queries.as_deref(), of_passages.as_deref());
        let options = SearchOptions { prompt, corpus_prompt, ..options };
        match self.encoder.scoring()? {
            Some(scoring) => self.search_states(&*scoring, queries, corpus, options),
            None => search(self.embed(queries, task, prompt)?, self.embed(corpus, task, corpus_prompt)?, k),
        }
    }

    /// Name of the prompt before each query: the `given` one, else the task's or the one called `query`, where the model
    /// has it.
    pub fn query_prompt(&self, given: Option<&str>, task: Option<&str>) -> Option<String> {
        given.map(str::to_owned).or_else(|| self.usual_prompt(task, &[QUERY]))
    }

    /// The same before each passage; the usual names are `document`, `passage` and `corpus`.
    pub fn passage_prompt(&self, given: Option<&str>, task: Option<&str>) -> Option<String> {
        given.map(str::to_owned).or_else(|| self.usual_prompt(task, PASSAGE))
    }

    /// The first prompt of these names that the model has, the task's own first.
    fn usual_prompt(&self, task: Option<&str>, names: &[&str]) -> Option<String> {
        let of_task =
            task.into_iter().flat_map(|task| names.iter().map(move |name| format!("{task}-{name}")));
        let mut all = of_task.chain(names.iter().map(|name| (*name).to_owned()));
        all.find(|name| self.encoder.includes_prompt() && self.prompt(Some(name)).is_ok())
    }

    fn search_states<S: AsRef<str>, P: AsRef<str>>(
        &self,
        scoring: &dyn TokenScoring,
        queries: &[S],
        corpus: &[P],
        options: SearchOptions<'_>,
    ) -> Result<Vec<Vec<(u32, f32)>>> {
        let SearchOptions { k, task, prompt, corpus_prompt } = options;
        let queries = self.read_texts(queries, prompt)?;
        let corpus = self.read_texts(corpus, corpus_prompt)?;
        let of_corpus = |piece: Range<usize>| self.token_states(&corpus[piece], task);
        let mut found = Vec::new();
        for piece in self.state_pieces(&queries) {
            let queries = self.token_states(&queries[piece], task)?;
            found.extend(top_k(scoring, &queries, self.state_pieces(&corpus), k, of_corpus)?);
        }
        Ok(found)
    }

    /// Token ids of each text, with a prompt.
    fn read_texts<S: AsRef<str>>(&self, texts: &[S], prompt: Option<&str>) -> Result<Vec<Vec<u32>>> {
        let mut contents = Distinct::new();
        let numbers: Vec<usize> =
            texts.iter().map(|text| contents.number(Content::Text(text.as_ref().into()))).collect();
        let read = Read::new(&self.symbols, contents.into_items(), self.prompt(prompt)?)?;
        Ok(numbers.into_iter().map(|content| read.sequences[read.sequence_of[content]].clone()).collect())
    }

    /// Consecutive texts whose states lie in memory at once.
    fn state_pieces(&self, sequences: &[Vec<u32>]) -> Vec<Range<usize>> {
        let width = self.encoder.trunk.d_hidden();
        pieces(sequences.iter().map(|sequence| sequence.len() * width), VALUES)
    }

    /// States of all tokens of some sequences, in order; as `task` sees them where each task has states of its own.
    ///
    /// # Errors
    /// When the model has no such task.
    pub fn token_states(&self, sequences: &[Vec<u32>], task: Option<&str>) -> Result<Ragged> {
        let view = self.view(task)?;
        let mut states = vec![Vec::new(); sequences.len()];
        for_passes(self, sequences, &[view], |pass| {
            for (i, &sequence) in pass.sequences.iter().enumerate() {
                states[sequence] = pass.states_of(view, i).to_vec();
            }
            Ok(())
        })?;
        let mut ragged = Ragged::new(self.encoder.trunk.d_hidden());
        states.iter().for_each(|text| ragged.push(text));
        Ok(ragged)
    }
}

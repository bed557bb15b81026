//! `bm25`: passages by the words they share with the query, and so the least a model that searches must beat.
//!
//! Terms are the tokens of the encoder's tokenizer, special ones left out: what a run keeps of its texts.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use polytask_core::{Family, MethodInfo, Split, atomic};
use polytask_data::{Dataset, Targets, TextId};
use polytask_eval::{Predictions, Ranking};
use polytask_retrieve::{Bm25, Bm25Params};

use super::{Fitted, Learner};
use crate::Result;
use crate::context::Run;
use crate::evaluate::known;
use crate::observe::Observer;
use crate::ranking::{DEPTH, queries};

const INFO: MethodInfo = MethodInfo {
    id: "bm25",
    title: "BM25",
    paper: "https://doi.org/10.1561/1500000019",
    family: Family::Learner,
    about: "passages by the tokens they share with the query, rare ones first (retrieval alone)",
    cost: "an index of the corpus",
    kinds: &[],
    params: &[],
};

/// File that says which tasks it ranked, for people: an index is made again of the data.
const FILE: &str = "bm25.json";

/// The learner that ranks by terms.
pub(super) struct Terms;

/// The tasks of a run that have a corpus, by suite index.
struct Ranked<'r> {
    run: &'r Run<'r>,
    tasks: Vec<usize>,
}

impl Learner for Terms {
    fn info(&self) -> &'static MethodInfo {
        &INFO
    }

    fn fit<'r>(&self, run: &'r Run, tasks: &[usize], _: &mut dyn Observer) -> Result<Box<dyn Fitted + 'r>> {
        let data = &run.prepared().dataset.tasks;
        let is_ranked = |task: &usize| !data[*task].corpus.is_empty();
        Ok(Box::new(Ranked { run, tasks: tasks.iter().copied().filter(is_ranked).collect() }))
    }

    /// An index is a function of the data: it is made again.
    fn read<'r>(&self, run: &'r Run, _: &Path) -> Result<Box<dyn Fitted + 'r>> {
        let data = &run.prepared().dataset.tasks;
        let tasks = (0..data.len()).filter(|&task| !data[task].corpus.is_empty()).collect();
        Ok(Box::new(Ranked { run, tasks }))
    }
}

impl Fitted for Ranked<'_> {
    fn predict(&self, split: Split) -> Result<BTreeMap<usize, Predictions>> {
        let engine = &self.run.single().engine;
        let ranked = |&task: &usize| {
            let data = engine.dataset.tasks.get(task)?;
            let (rows, targets) = known(engine, data, split)?;
            let Targets::Passages(relevance) = targets else { return None };
            let shown: Vec<usize> = (0..targets.len()).filter(|&row| targets.is_known(row)).collect();
            let told_apart = engine.heads[task].told_apart.contains(&split);
            let asked = queries(rows, relevance, &shown, told_apart);
            let terms = Content::new(engine.dataset, &data.corpus);
            let corpus: Vec<Vec<u32>> = data.corpus.iter().map(|&text| terms.of(text)).collect();
            let index = Bm25::new(&corpus, Bm25Params::default());
            let texts: Vec<Vec<u32>> = asked.iter().map(|query| terms.of(query.text)).collect();
            // One more than is kept, for the query itself may be among them.
            let found = index.search_all(&texts, DEPTH + 1);
            let ranking = |(query, mut retrieved): (crate::ranking::Query, Vec<(u32, f32)>)| {
                retrieved.retain(|&(passage, _)| query.allows(passage, data));
                retrieved.truncate(DEPTH);
                Ranking { retrieved, relevant: query.relevant }
            };
            let rankings = asked.into_iter().zip(found).map(ranking).collect();
            Some((task, Predictions::Rankings { rankings, ids: data.corpus_ids.clone() }))
        };
        Ok(self.tasks.iter().filter_map(ranked).collect())
    }

    fn write(&self, folder: &Path) -> Result<()> {
        atomic::create_dir(folder)?;
        Ok(atomic::write_json(&folder.join(FILE), &self.tasks)?)
    }
}

/// The tokens of texts without those that stand in every text of a corpus: the tokenizer's own.
struct Content<'d> {
    dataset: &'d Dataset,
    everywhere: Vec<u32>,
}

impl<'d> Content<'d> {
    fn new(dataset: &'d Dataset, corpus: &[TextId]) -> Self {
        let mut counts: HashMap<u32, usize> = HashMap::new();
        for &text in corpus {
            let mut tokens = dataset.texts.tokens(text).to_vec();
            tokens.sort_unstable();
            tokens.dedup();
            tokens.into_iter().for_each(|token| *counts.entry(token).or_default() += 1);
        }
        let is_everywhere = |(_, n): &(&u32, &usize)| **n == corpus.len() && corpus.len() > 1;
        Self { dataset, everywhere: counts.iter().filter(is_everywhere).map(|(token, _)| *token).collect() }
    }

    fn of(&self, text: TextId) -> Vec<u32> {
        let tokens = self.dataset.texts.tokens(text).iter().copied();
        tokens.filter(|token| !self.everywhere.contains(token)).collect()
    }
}

//! Texts scored by the states of all their tokens, from the weights of a training.

use std::collections::BTreeMap;
use std::sync::Arc;

use polytask_core::Split;
use polytask_data::{Rows, Targets, TextId};
use polytask_eval::Predictions;
use polytask_nn::scores::{Ragged, TokenScoring, pieces, top_k};
use polytask_nn::{Params, objective};

use crate::Result;
use crate::engine::{Engine, Weights};
use crate::pooled::for_batches;
use crate::ranking::{self, DEPTH, Query};
use crate::units::read_outputs;

/// Values of token states in memory at once: 128 MiB.
const VALUES: usize = 1 << 25;

/// Predictions of a task whose head reads states.
pub(crate) fn predict(
    engine: &Engine,
    weights: Weights,
    (task, scoring): (usize, &Arc<dyn TokenScoring>),
    (split, rows, targets): (Split, &Rows, &Targets),
) -> Result<Predictions> {
    let data = &engine.dataset.tasks[task];
    let shown: Vec<usize> = (0..targets.len()).filter(|&i| targets.is_known(i)).collect();
    let of_task = States { engine, trunk: weights.trunk, view: engine.view_of(task) };
    if let Targets::Passages(relevance) = targets {
        let told_apart = engine.heads[task].told_apart.contains(&split);
        let queries = ranking::queries(rows, relevance, &shown, told_apart);
        let found = of_task.search(&**scoring, &queries, &data.corpus)?;
        return Ok(ranking::rankings(data, queries, found));
    }
    let (head, block) = (&*engine.heads[task].head, &weights.heads[task]);
    let of_row = |&i: &usize| rows.inputs(i).iter().map(|&text| of_task.size(text)).sum();
    let mut output = Vec::new();
    for piece in pieces(shown.iter().map(of_row), VALUES) {
        let n = piece.len() as u32;
        let input = |input: usize| shown[piece.clone()].iter().map(move |&i| rows.inputs(i)[input]);
        let texts: Vec<TextId> = (0..rows.n_inputs).flat_map(input).collect();
        let inputs: Vec<Vec<u32>> =
            (0..rows.n_inputs as u32).map(|i| (i * n..(i + 1) * n).collect()).collect();
        output.extend(objective::text_output(head, block, &of_task.encode(&texts)?.rows(), &inputs)?);
    }
    Ok(read_outputs(engine.heads[task].kind, data, targets, &shown, &output))
}

/// Token states of a view.
struct States<'a> {
    engine: &'a Engine<'a>,
    trunk: &'a Params,
    view: usize,
}

impl States<'_> {
    /// Values of a text's states.
    fn size(&self, text: TextId) -> usize {
        self.engine.dataset.texts.tokens(text).len() * self.engine.trunk.d_hidden()
    }

    /// The states of some texts, in order; each distinct text is encoded once.
    fn encode(&self, texts: &[TextId]) -> Result<Ragged> {
        let mut distinct = texts.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let mut states_of: BTreeMap<TextId, Vec<f32>> = BTreeMap::new();
        for_batches(self.engine, self.trunk, self.view, &distinct, |places, layout, states| {
            for (i, &at) in places.iter().enumerate() {
                let rows = layout.rows(self.view * places.len() + i);
                let values = &states.values[rows.start * states.width..rows.end * states.width];
                states_of.insert(distinct[at], values.to_vec());
            }
            Ok(())
        })?;
        let mut ragged = Ragged::new(self.engine.trunk.d_hidden());
        texts.iter().for_each(|text| ragged.push(&states_of[text]));
        Ok(ragged)
    }

    /// The best passages of each query, more than are kept for the query itself may be among them.
    fn search(
        &self,
        scoring: &dyn TokenScoring,
        queries: &[Query],
        corpus: &[TextId],
    ) -> Result<Vec<Vec<(u32, f32)>>> {
        let asked: Vec<TextId> = queries.iter().map(|query| query.text).collect();
        let parts = |texts: &[TextId]| pieces(texts.iter().map(|&text| self.size(text)), VALUES);
        let mut found = Vec::new();
        for piece in parts(&asked) {
            let queries = self.encode(&asked[piece])?;
            let states = |piece: std::ops::Range<usize>| self.encode(&corpus[piece]);
            let k = (DEPTH + 1).min(corpus.len());
            found.extend(top_k(scoring, &queries, parts(corpus), k, states)?);
        }
        Ok(found)
    }
}

//! States of the frozen part, computed once and read at every step.
//!
//! A frozen prefix runs without dropout, so its states depend on the text alone: a joint run and all its
//! baselines read each text often, and pay for the frozen part once.

use std::sync::{Arc, Mutex, PoisonError};

use polytask_core::{PackedBatch, hash};
use polytask_data::{Dataset, TextId};
use polytask_nn::encoder::Encoder;
use polytask_nn::{Params, States, Trunk};

use crate::Result;
use crate::observe::{Event, Observer};

/// Most sets of states kept between trainings: of tasks that share the encoder, and of tasks alone.
const MOST_KEPT: usize = 2;
/// Inputs by which the memory of all is estimated.
const SAMPLED: usize = 64;

/// States of the frozen part as trainings of one process hand them on: the next one of the same encoder on the same
/// texts does not compute them again.
#[derive(Debug, Clone, Default)]
pub struct FrozenStates(Arc<Mutex<Vec<Kept>>>);

/// The states of an encoder on some texts, and the key that names both.
type Kept = (String, Arc<FrozenCache>);

impl FrozenStates {
    /// The states of every text below block `lowest`, computed unless kept; `settings` names what shapes them beside
    /// weights and texts.
    pub(crate) fn get(
        &self,
        (dataset, encoder, settings): (&Dataset, &Encoder, &str),
        lowest: usize,
        observer: &mut dyn Observer,
    ) -> Result<Arc<FrozenCache>> {
        let key = format!("{settings} {} {}", encoder.hash_below(lowest), texts_hash(dataset));
        let cache = match self.take(&key) {
            Some(cache) => cache,
            None => FrozenCache::fill(dataset, &*encoder.trunk, &encoder.params, lowest, observer)?.into(),
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(MOST_KEPT - 1);
        kept.insert(0, (key, Arc::clone(&cache)));
        Ok(cache)
    }

    /// Takes out what is kept under a key.
    fn take(&self, key: &str) -> Option<Arc<FrozenCache>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|(of, _)| of == key)?;
        Some(kept.remove(place).1)
    }
}

/// One hash over the symbols of all inputs.
pub(crate) fn texts_hash(dataset: &Dataset) -> String {
    let of_text = |text: usize| {
        let tokens = dataset.texts.tokens(text as TextId);
        hash::sha256(&tokens.iter().flat_map(|token| token.to_le_bytes()).collect::<Vec<u8>>())
    };
    hash::sha256((0..dataset.texts.len()).map(of_text).collect::<String>().as_bytes())
}

/// States `[rows, d_hidden]` of every text below the lowest trained block.
#[derive(Debug)]
pub struct FrozenCache {
    values: Vec<f32>,
    /// First row of each text, `[texts + 1]`.
    starts: Vec<usize>,
    width: usize,
}

impl FrozenCache {
    /// Whether a cache pays: something is frozen and all states fit into `limit_mb`.
    pub fn pays(dataset: &Dataset, trunk: &dyn Trunk, lowest: usize, limit_mb: usize) -> bool {
        let (_, width) = trunk.layout_below(&PackedBatch::default(), lowest);
        // Trunks with a fixed number of states above have any number of rows below: some inputs tell how many.
        let rows = match trunk.rows_per_sequence() {
            None => dataset.texts.n_tokens(),
            Some(_) => rows_below(dataset, trunk, lowest),
        };
        let bytes = rows as u128 * width as u128 * 4;
        lowest > 0 && bytes <= limit_mb as u128 * (1 << 20)
    }

    /// Runs the frozen part over every text.
    pub fn fill(
        dataset: &Dataset,
        trunk: &dyn Trunk,
        params: &Params,
        lowest: usize,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let (n, width) = (dataset.texts.len(), trunk.layout_below(&PackedBatch::default(), lowest).1);
        let mut cache = Self { values: Vec::new(), starts: vec![0], width };
        observer.event(Event::Phase { name: "frozen layers", total: n as u64, done: 0 });
        while cache.n_texts() < n {
            let (packed, tokens) = next_texts(dataset, cache.n_texts(), trunk.symbols_per_pass());
            let states = trunk.forward_below(params, &packed, lowest)?;
            cache.values.extend_from_slice(&states.values);
            let base = cache.starts[cache.n_texts()];
            let (layout, _) = trunk.layout_below(&packed, lowest);
            cache.starts.extend(layout.starts[1..].iter().map(|&end| base + end as usize));
            observer.event(Event::Step {
                done: cache.n_texts() as u64,
                losses: &[],
                lr: 0.0,
                tokens,
                observed: &[],
            });
        }
        observer.event(Event::Done);
        Ok(cache)
    }

    fn n_texts(&self) -> usize {
        self.starts.len() - 1
    }

    /// The states of some texts laid end to end.
    pub fn gather(&self, texts: &[TextId]) -> States {
        let rows =
            |t: &TextId| self.starts[*t as usize] * self.width..self.starts[*t as usize + 1] * self.width;
        let mut values = Vec::with_capacity(texts.iter().map(|t| rows(t).len()).sum());
        texts.iter().for_each(|t| values.extend_from_slice(&self.values[rows(t)]));
        States { values, width: self.width }
    }
}

/// Rows of the states of all inputs below a block, from those of some spread over them.
fn rows_below(dataset: &Dataset, trunk: &dyn Trunk, lowest: usize) -> usize {
    let n = dataset.texts.len();
    let some: Vec<usize> = (0..n).step_by(n.div_ceil(SAMPLED).max(1)).collect();
    let packed = PackedBatch::pack(some.iter().map(|text| dataset.texts.tokens(*text as TextId)));
    (trunk.layout_below(&packed, lowest).0.n_rows() * n).div_ceil(some.len().max(1))
}

/// The next texts that fit into one forward, at least one.
fn next_texts(dataset: &Dataset, first: usize, most: usize) -> (PackedBatch, usize) {
    let mut packed = PackedBatch::default();
    for text in first..dataset.texts.len() {
        let tokens = dataset.texts.tokens(text as TextId);
        if packed.n_rows() > 0 && packed.n_rows() + tokens.len() > most {
            break;
        }
        packed.push(tokens);
    }
    let n_rows = packed.n_rows();
    (packed, n_rows)
}

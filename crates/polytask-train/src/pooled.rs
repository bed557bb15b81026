//! Sentence vectors of texts from the weights of a training.

use std::collections::BTreeMap;

use polytask_core::{Layout, PackedBatch};
use polytask_data::TextId;
use polytask_model::by_length;
use polytask_nn::{Mode, Params, States};

use crate::Result;
use crate::engine::Engine;
use crate::observe::{Event, Observer, Silent};

/// Sentence vectors of some texts (pooled, before any normalisation).
pub(crate) struct Pooled {
    place: BTreeMap<TextId, u32>,
    states: States,
}

impl Pooled {
    /// Encodes each distinct text once as a view sees it, longest first so that batches are even.
    pub(crate) fn encode(
        engine: &Engine,
        trunk: &Params,
        view: usize,
        texts: impl IntoIterator<Item = TextId>,
    ) -> Result<Self> {
        Self::encode_told(engine, trunk, view, texts, &mut Silent)
    }

    /// The same, telling how many texts are done.
    pub(crate) fn encode_told(
        engine: &Engine,
        trunk: &Params,
        view: usize,
        texts: impl IntoIterator<Item = TextId>,
        observer: &mut dyn Observer,
    ) -> Result<Self> {
        let mut done = 0;
        let mut texts: Vec<TextId> = texts.into_iter().collect();
        texts.sort_unstable();
        texts.dedup();
        let place = texts.iter().enumerate().map(|(i, &t)| (t, i as u32)).collect();
        let width = engine.pooling.width(engine.trunk);
        let mut states = States { values: vec![0.0; texts.len() * width], width };
        for_batches(engine, trunk, view, &texts, |first_of, layout, batch_states| {
            let pooled = engine.pooling.forward(batch_states, layout);
            for (i, &at) in first_of.iter().enumerate() {
                let row = pooled.row(view * first_of.len() + i);
                states.values[at * width..(at + 1) * width].copy_from_slice(row);
            }
            done += first_of.len() as u64;
            let tokens = batch_states.values.len() / batch_states.width.max(1);
            observer.event(Event::Step { done, losses: &[], lr: 0.0, tokens, observed: &[] });
            Ok(())
        })?;
        Ok(Self { place, states })
    }

    /// Values per vector.
    pub(crate) fn width(&self) -> usize {
        self.states.width
    }

    /// The vector of a text.
    pub(crate) fn vector(&self, text: TextId) -> &[f32] {
        self.states.row(self.place[&text] as usize)
    }

    /// The vectors of some texts laid end to end, `[texts, width]`.
    pub(crate) fn gather(&self, texts: &[TextId]) -> Vec<f32> {
        texts.iter().flat_map(|t| self.states.row(self.place[t] as usize).iter().copied()).collect()
    }
}

/// Runs the trunk over `texts` as a view sees them; `visit` gets each batch's positions in `texts`, its states and their
/// layout.
pub(crate) fn for_batches(
    engine: &Engine,
    trunk: &Params,
    view: usize,
    texts: &[TextId],
    mut visit: impl FnMut(&[usize], &Layout, &States) -> Result<()>,
) -> Result<()> {
    let store = &engine.dataset.texts;
    for now in by_length(texts.len(), engine.trunk.symbols_per_pass(), |i| store.tokens(texts[i]).len()) {
        let ids: Vec<TextId> = now.iter().map(|&i| texts[i]).collect();
        let packed = PackedBatch::pack(ids.iter().map(|&t| store.tokens(t)));
        let mut wanted = vec![Vec::new(); engine.trunk.n_views()];
        wanted[view] = (0..ids.len() as u32).collect();
        let (states, _) = engine.forward_for(trunk, &packed, &ids, Mode::EVAL, &wanted)?;
        visit(&now, &engine.trunk.layout(&packed), &states)?;
    }
    Ok(())
}

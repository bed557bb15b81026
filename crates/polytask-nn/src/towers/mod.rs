//! Networks on rows whose columns have several types: a *tower* (an encoder of its own) for texts and one for images, and
//! layers above all columns together.
//!
//! The *wide* vector of a row holds its numbers and categories as [`TableValues`] has them, and beside them the pooled
//! vector of every column that a tower reads, zeros where the cell is missing. Layers with ReLU make the *deep* vector of
//! it. The state of a row is both, end to end: a head sees what stands in the row as it is, and what follows from several
//! columns together (Wide & Deep, Cheng et al. 2016, <https://arxiv.org/abs/1606.07792>).
//!
//! Blocks are those of the towers, lowest first, then one for each layer (`join.0`, ...).

mod backward;
mod below;
mod config;
mod join;
mod rows;
#[cfg(test)]
mod tests;
mod tower;

use polytask_core::input::table::{TableSpec, TableValues};
use polytask_core::{Layout, PackedBatch};

pub use self::config::TowersConfig;
pub(crate) use self::config::{TOWERS, wrong};
use self::join::Join;
use self::rows::Parts;
pub(crate) use self::tower::Tower;
use self::tower::TowerSaved;
use crate::Result;
use crate::params::Params;
use crate::trunk::shape_error::shape;
use crate::trunk::{Cotangent, GradSink, LaidOut, Mode, SavedForward, States, Trunk};

/// Rows of a pass that keeps nothing.
const ROWS_PER_PASS: usize = 256;

/// Towers and the layers above them, as one trunk.
pub struct TowersTrunk {
    table: TableSpec,
    values: TableValues,
    towers: Vec<Tower>,
    join: Join,
    /// Where the vector of each column that a tower reads stands in the wide vector.
    places: Vec<usize>,
    /// Sizes of all blocks.
    sizes: Vec<usize>,
}

/// What a pass keeps for its backward.
struct TowersSaved {
    mode: Mode,
    parts: Parts,
    towers: Vec<TowerSaved>,
    /// Wide vectors, then the output of each layer: `[rows, width]`.
    layers: Vec<Vec<f32>>,
}

/// Towers with weights laid out.
struct TowersLaidOut(Vec<(Params, LaidOut)>);

impl TowersTrunk {
    /// Towers over the columns of a table and fresh layers above them; `params` are those of the towers, and get those of
    /// the layers.
    pub(crate) fn fresh(
        config: &TowersConfig,
        towers: Vec<Tower>,
        mut params: Params,
        seed: u64,
    ) -> (Self, Params) {
        let (table, mut places) = (&config.table, Vec::new());
        let mut d_wide = table.n_values();
        for column in 0..table.encoded().len() {
            places.push(d_wide);
            let tower = towers.iter().find(|tower| tower.columns.contains(&column));
            d_wide += tower.map_or(0, Tower::width);
        }
        let join = Join::new(params.blocks.len(), d_wide, &config.widths);
        params.blocks.extend(join.init(seed));
        let sizes = params.blocks.iter().map(|block| block.values.len()).collect();
        let trunk =
            Self { table: table.clone(), values: TableValues::new(table), towers, join, places, sizes };
        (trunk, params)
    }

    fn check(&self, params: &Params, lowest: usize) -> Result<()> {
        let found: Vec<usize> = params.blocks.iter().map(|block| block.values.len()).collect();
        if found != self.sizes {
            return shape("towers", format!("blocks of {found:?} values"), format!("{:?}", self.sizes));
        }
        if lowest > self.sizes.len() {
            let expected = format!("at most {}", self.sizes.len());
            return shape("towers", format!("lowest block {lowest}"), expected);
        }
        Ok(())
    }

    /// Writes the pooled vectors of a tower into the wide vectors of their rows.
    fn place(&self, tower: &Tower, (parts, pooled): (&Parts, &States), wide: &mut [f32]) {
        let d = self.join.d_wide();
        for (part, vector) in parts.of(tower).zip(pooled.values.chunks_exact(pooled.width.max(1))) {
            let start = part.row * d + self.places[part.column];
            wide[start..start + vector.len()].copy_from_slice(vector);
        }
    }

    /// A pass; `below` are the states that [`Trunk::forward_below`] gave for `mode.lowest`.
    fn pass(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: Option<&States>,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        self.check(params, mode.lowest)?;
        let parts = Parts::cut(&self.table, batch)?;
        let mut wide = self.wide(&parts, batch);
        let mut saved = Vec::new();
        for (number, tower) in self.towers.iter().enumerate() {
            let below = below.filter(|_| number == 0 && mode.lowest > 0);
            if let Some(pooled) = below.filter(|_| mode.lowest >= tower.end()) {
                self.place_cached(tower, &parts, pooled, &mut wide);
                saved.push(TowerSaved::default());
                continue;
            }
            let sequences = parts.batch(tower, batch);
            let own = tower.pass(params, &sequences, below, (number, mode))?;
            self.place(tower, (&parts, &own.pooled(tower)), &mut wide);
            saved.push(own);
        }
        let layers = self.join.forward(params, wide, parts.n_rows);
        let states = self.join.states(&layers, parts.n_rows);
        if !mode.save {
            return Ok((states, Box::new(())));
        }
        Ok((states, Box::new(TowersSaved { mode, parts, towers: saved, layers })))
    }

    /// The wide vectors of rows, with zeros where those of towers will stand: `[rows, d_wide]`.
    fn wide(&self, parts: &Parts, batch: &PackedBatch) -> Vec<f32> {
        let (d, n_values) = (self.join.d_wide(), self.table.n_values());
        let mut wide = vec![0.0; parts.n_rows * d];
        for (row, values) in wide.chunks_exact_mut(d.max(1)).enumerate() {
            self.values.write(&batch.ids[batch.rows(row)], &mut values[..n_values]);
        }
        wide
    }
}

impl Trunk<f32> for TowersTrunk {
    fn d_hidden(&self) -> usize {
        self.join.d_state()
    }

    fn max_positions(&self) -> usize {
        u32::MAX as usize
    }

    fn vocab_size(&self) -> usize {
        u32::MAX as usize + 1
    }

    fn n_blocks(&self) -> usize {
        self.sizes.len()
    }

    fn symbols_per_pass(&self) -> usize {
        let image = self.table.image.map_or(0, |size| ROWS_PER_PASS.saturating_mul(size.len()));
        8192.max(image)
    }

    fn is_coupled(&self) -> bool {
        self.towers.iter().any(|tower| tower.trunk.is_coupled())
    }

    fn rows_per_sequence(&self) -> Option<usize> {
        Some(1)
    }

    fn layout(&self, batch: &PackedBatch) -> Layout {
        Layout::even(batch.n_sequences(), 1)
    }

    fn forward(&self, params: &Params, batch: &PackedBatch, mode: Mode) -> Result<(States, SavedForward)> {
        self.pass(params, batch, None, mode)
    }

    fn lay_out(&self, params: &Params) -> Result<LaidOut> {
        self.check(params, 0)?;
        let of = |tower: &Tower| {
            let own = tower.params(params);
            let laid_out = tower.trunk.lay_out(&own)?;
            Ok((own, laid_out))
        };
        Ok(Box::new(TowersLaidOut(self.towers.iter().map(of).collect::<Result<_>>()?)))
    }

    fn infer(&self, params: &Params, laid_out: &LaidOut, batch: &PackedBatch) -> Result<States> {
        let Some(TowersLaidOut(laid_out)) = laid_out.downcast_ref() else {
            return shape("forward", "weights that another trunk laid out", "what `lay_out` returned");
        };
        self.check(params, 0)?;
        let parts = Parts::cut(&self.table, batch)?;
        let mut wide = self.wide(&parts, batch);
        for (tower, (own, laid_out)) in self.towers.iter().zip(laid_out) {
            let sequences = parts.batch(tower, batch);
            let states = tower.trunk.infer(own, laid_out, &sequences)?;
            let pooled = tower.pooling.forward(&states, &tower.trunk.layout(&sequences));
            self.place(tower, (&parts, &pooled), &mut wide);
        }
        Ok(self.join.states(&self.join.forward(params, wide, parts.n_rows), parts.n_rows))
    }

    fn layout_below(&self, batch: &PackedBatch, lowest: usize) -> (Layout, usize) {
        self.states_below(batch, lowest)
    }

    fn forward_below(&self, params: &Params, batch: &PackedBatch, lowest: usize) -> Result<States> {
        self.below(params, batch, lowest)
    }

    fn forward_from(
        &self,
        params: &Params,
        batch: &PackedBatch,
        below: &States,
        mode: Mode,
    ) -> Result<(States, SavedForward)> {
        let (layout, width) = self.states_below(batch, mode.lowest);
        if mode.lowest > 0 && below.values.len() != layout.n_rows() * width {
            let found = format!("{} cached values", below.values.len());
            return shape("towers", found, format!("states [rows {}, width {width}]", layout.n_rows()));
        }
        self.pass(params, batch, Some(below), mode)
    }

    fn vjp(
        &self,
        params: &Params,
        saved: &SavedForward,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let Some(saved) = saved.downcast_ref::<TowersSaved>() else {
            return shape("backward", "nothing saved by this trunk", "what a forward with `save` returned");
        };
        self.sweep(params, saved, cotangents, sink)
    }

    fn update_statistics(&self, params: &mut Params, saved: &SavedForward) {
        let Some(saved) = saved.downcast_ref::<TowersSaved>() else { return };
        for (tower, own) in self.towers.iter().zip(&saved.towers) {
            tower.update_statistics(params, own);
        }
    }

    fn is_fresh(&self, block: usize) -> bool {
        self.towers.iter().find(|tower| tower.range().contains(&block)).is_none_or(|tower| tower.is_fresh)
    }
}

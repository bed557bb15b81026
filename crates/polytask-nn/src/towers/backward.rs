//! The backward: from states to the layers above all columns, then down through each tower.

use std::collections::BTreeMap;
use std::sync::Arc;

use polytask_core::Layout;

use super::rows::Part;
use super::{Tower, TowerSaved, TowersSaved, TowersTrunk};
use crate::Result;
use crate::params::Params;
use crate::trunk::kernels::{Mat, MatMut, Threads, matmul};
use crate::trunk::{BlockGrad, Cotangent, GradSink, TaskGrad, check};

/// A cotangent on its way down.
struct Falling<'a> {
    of: &'a Cotangent,
    /// dL/d wide vectors of its rows.
    wide: Vec<f32>,
    /// dL/d output of the layer it has reached.
    deep: Vec<f32>,
}

impl TowersTrunk {
    /// Sends cotangents down block by block.
    pub(super) fn sweep(
        &self,
        params: &Params,
        saved: &TowersSaved,
        cotangents: &[Cotangent],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        check::cotangents(self.join.d_state(), &Layout::even(saved.parts.n_rows, 1), cotangents)?;
        let mut falling: Vec<Falling<'_>> = cotangents.iter().map(|of| self.split(of)).collect();
        falling.sort_by_key(|falling| falling.of.task);
        for layer in (0..self.join.n_layers()).rev() {
            self.through_layer(params, saved, layer, &mut falling, sink)?;
        }
        for (tower, own) in self.towers.iter().zip(&saved.towers).rev() {
            self.through_tower(params, saved, (tower, own), &falling, sink)?;
        }
        Ok(())
    }

    /// A cotangent as its wide and its deep part.
    fn split<'a>(&self, of: &'a Cotangent) -> Falling<'a> {
        let (mut wide, mut deep) = (Vec::new(), Vec::new());
        for row in of.values.chunks_exact(self.join.d_state().max(1)) {
            wide.extend_from_slice(&row[..self.join.d_wide()]);
            deep.extend_from_slice(&row[self.join.d_wide()..]);
        }
        Falling { of, wide, deep }
    }

    /// The gradients of a layer to the sink, and cotangents to what goes into it.
    fn through_layer(
        &self,
        params: &Params,
        saved: &TowersSaved,
        layer: usize,
        falling: &mut [Falling<'_>],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let (block, (d_in, d_out)) = (self.join.first + layer, self.join.sides(layer));
        let is_trained = block >= saved.mode.lowest;
        let weight = Mat::new(params.blocks[block].tensor(0), d_out, d_in);
        let mut grads: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
        for Falling { of, wide, deep } in falling {
            let n = of.sequences.len();
            let y = gathered(&saved.layers[layer + 1], &of.sequences, d_out);
            deep.iter_mut().zip(&y).for_each(|(g, y)| *g = if *y > 0.0 { *g } else { 0.0 });
            if is_trained && of.lowest <= block {
                let x = gathered(&saved.layers[layer], &of.sequences, d_in);
                let grad = grads.entry(of.task).or_insert_with(|| vec![0.0; d_out * (d_in + 1)]);
                let (matrix, bias) = grad.split_at_mut(d_out * d_in);
                let (g, x) = (Mat::new(deep, n, d_out), Mat::new(&x, n, d_in));
                matmul(MatMut::new(matrix, d_out, d_in), true, g.t(), x, 1.0, Threads::All);
                deep.chunks_exact(d_out).for_each(|g| bias.iter_mut().zip(g).for_each(|(b, g)| *b += g));
            }
            let mut below = vec![0.0; n * d_in];
            let g = Mat::new(deep, n, d_out);
            matmul(MatMut::new(&mut below, n, d_in), false, g, weight, 1.0, Threads::All);
            if layer == 0 {
                wide.iter_mut().zip(&below).for_each(|(sum, g)| *sum += g);
            } else {
                *deep = below;
            }
        }
        if grads.is_empty() {
            return Ok(());
        }
        let grads: Vec<TaskGrad<'_>> =
            grads.iter().map(|(&task, grad)| TaskGrad { task, grad: BlockGrad::Dense(grad) }).collect();
        sink.block(block, &grads)
    }

    /// Cotangents down through a tower.
    fn through_tower(
        &self,
        params: &Params,
        saved: &TowersSaved,
        (tower, own): (&Tower, &TowerSaved),
        falling: &[Falling<'_>],
        sink: &mut dyn GradSink<f32>,
    ) -> Result<()> {
        let Some(kept) = &own.saved else { return Ok(()) };
        let reaching = falling.iter().filter(|falling| falling.of.lowest < tower.end());
        let cotangents: Vec<Cotangent> =
            reaching.filter_map(|falling| self.cotangent(saved, (tower, own), falling)).collect();
        if cotangents.is_empty() {
            return Ok(());
        }
        tower.vjp(params, kept, &cotangents, sink)
    }

    /// A cotangent at the states of a tower; none where its rows have no cell for it.
    fn cotangent(
        &self,
        saved: &TowersSaved,
        (tower, own): (&Tower, &TowerSaved),
        falling: &Falling<'_>,
    ) -> Option<Cotangent> {
        let Falling { of, wide, .. } = falling;
        let (d, width) = (self.join.d_wide(), tower.width());
        let (mut sequences, mut pooled) = (Vec::new(), Vec::new());
        let place = |part: &Part| of.sequences.binary_search(&(part.row as u32)).ok();
        for (number, part) in saved.parts.of(tower).enumerate() {
            let Some(place) = place(part) else { continue };
            sequences.push(number as u32);
            pooled.extend_from_slice(&wide[place * d + self.places[part.column]..][..width]);
        }
        if sequences.is_empty() {
            return None;
        }
        let values = tower.pooling.vjp(&own.states, &own.layout, &sequences, &pooled);
        let lowest = tower.own_block(of.lowest);
        Some(Cotangent { task: of.task, sequences, values: Arc::new(values), lowest })
    }
}

/// Some rows, end to end.
fn gathered(values: &[f32], rows: &[u32], width: usize) -> Vec<f32> {
    rows.iter().flat_map(|&row| &values[row as usize * width..(row as usize + 1) * width]).copied().collect()
}

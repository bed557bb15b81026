//! Heads: from vectors of texts (or words) to a task's outputs.
//!
//! A head is a small autodiff graph on leaf rows; its parameters are one flat [`Block`]. Which head a kind of
//! task takes is [`HeadForm`]; [`build`] is the one place that maps it to a head.

mod cosine;
mod late;
mod linear;
mod mlp;
mod pair_features;
mod pair_linear;
mod pair_mlp;
mod rows;

use std::sync::Arc;

use candle_core::Tensor;
use polytask_core::{HeadForm, Purpose, Rng, hash};

use crate::scores::TokenScoring;
use crate::{Block, Error, Result};

pub use cosine::Cosine;
pub use late::LateInteraction;
pub use linear::Linear;
pub use mlp::Mlp;
pub use pair_linear::PairLinear;
pub use pair_mlp::PairMlp;
pub use rows::HeadRows;

/// How the rows of two inputs meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// Row i of one with row i of the other.
    Rows,
    /// Every row of the first with every row of the second.
    Cross,
}

/// What turns leaf rows into outputs.
pub trait Head: Send + Sync {
    /// Number of inputs it reads: 1 (text) or 2 (a and b, queries and passages).
    fn n_inputs(&self) -> usize;

    /// Values per leaf row.
    fn d_in(&self) -> usize;

    /// Outputs per row (with [`Pairing::Rows`]).
    fn n_outputs(&self) -> usize;

    /// Shapes of its parameter tensors, in the order of its block; by default there are none.
    fn shapes(&self) -> Vec<Vec<usize>> {
        Vec::new()
    }

    /// Fresh parameters, drawn from `seed` and the block's name; empty for a head without parameters.
    fn block(&self, name: &str, _seed: u64) -> Block {
        Block::zeros(name, &[])
    }

    /// The score by which it compares all states of texts; `None` where it reads single rows.
    fn scoring(&self) -> Option<Arc<dyn TokenScoring>> {
        None
    }

    /// Whether it reads all states of a text in the place of its vector.
    fn reads_states(&self) -> bool {
        self.scoring().is_some()
    }

    /// Whether the outputs of two inputs are others with the roles swapped.
    fn is_directed(&self) -> bool {
        false
    }

    /// Whether its first map reads `[u, v, |u − v|, u · v]` of two vectors, so that it can be split.
    fn reads_pair_features(&self) -> bool {
        false
    }

    /// Number of features that the outputs are a linear map of, weights first and bias last in its block; `None` where
    /// they are no such map.
    fn n_features(&self) -> Option<usize> {
        None
    }

    /// Appends the features of a row, whose inputs are `vectors`, `[inputs][d_in]`: by default what it reads, as it is.
    fn features(&self, vectors: &[&[f32]], to: &mut Vec<f32>) {
        vectors.iter().for_each(|vector| to.extend_from_slice(vector));
    }

    /// The outputs.
    ///
    /// # Shapes
    /// `weights`: the block's tensors; each of `inputs` `[rows, d_in]` → `[rows, n_outputs]`, or for
    /// [`Pairing::Cross`] `[rows of the first, rows of the second]`.
    fn output(&self, weights: &[Tensor], inputs: &[HeadRows], pairing: Pairing) -> Result<Tensor>;

    /// How the outputs change as the inputs move along `directions`, as a graph of weights and inputs: its backward
    /// gives second derivatives. At a kink it takes the slope that the backward of [`Head::output`] takes.
    ///
    /// # Shapes
    /// `directions`: as `inputs`; the result is as the output.
    fn jvp(
        &self,
        weights: &[Tensor],
        inputs: &[HeadRows],
        directions: &[HeadRows],
        pairing: Pairing,
    ) -> Result<Tensor>;
}

/// The head of a form on leaf rows of `d_in` values.
pub fn build(form: HeadForm, d_in: usize, n_outputs: usize) -> Box<dyn Head> {
    match form {
        HeadForm::Cosine => Box::new(Cosine { d_in }),
        HeadForm::Linear | HeadForm::CrossLinear | HeadForm::TokenLinear => {
            Box::new(Linear { d_in, n_outputs })
        }
        HeadForm::PairLinear => Box::new(PairLinear { d_in, n_outputs }),
    }
}

/// What a head may have beside its form.
#[derive(Debug, Clone, Default)]
pub struct HeadOptions {
    /// Width of a hidden layer in place of a linear map.
    pub hidden: Option<usize>,
    /// Whether a layer with tanh, as wide as what it reads, stands before the map: the pooler of BERT.
    pub is_pooler: bool,
    /// A score of token states in the place of a cosine.
    pub scoring: Option<Arc<dyn TokenScoring>>,
}

/// As [`build`], with options where they fit the form.
pub fn build_with(form: HeadForm, d_in: usize, n_outputs: usize, options: HeadOptions) -> Box<dyn Head> {
    match (form, options) {
        (HeadForm::Linear | HeadForm::CrossLinear, HeadOptions { hidden: Some(hidden), .. }) => {
            Box::new(Mlp { d_in, hidden, n_outputs, is_tanh: false })
        }
        (HeadForm::Linear | HeadForm::CrossLinear, HeadOptions { is_pooler: true, .. }) => {
            Box::new(Mlp { d_in, hidden: d_in, n_outputs, is_tanh: true })
        }
        (HeadForm::PairLinear, HeadOptions { hidden: Some(hidden), .. }) => {
            Box::new(PairMlp::new(d_in, hidden, n_outputs))
        }
        (HeadForm::Cosine, HeadOptions { scoring: Some(scoring), .. }) => {
            Box::new(LateInteraction { d_in, scoring })
        }
        _ => build(form, d_in, n_outputs),
    }
}

/// Standard deviation of fresh weights (BERT's `initializer_range`).
const INIT_STD: f64 = 0.02;

/// Brings the output weights of a fresh head to the variance of PyTorch's linear layers, 1 / (3 · fan-in): for image
/// networks that start fresh too. The small weights that suit a pre-trained encoder leave such a head almost without
/// gradient to pass on, and a sharpness-aware ball of usual radius is then larger than the head itself.
pub fn start_wide(block: &mut Block) {
    let Some(i) = block.tensors.iter().rposition(|tensor| tensor.shape.len() == 2) else { return };
    let fan_in = block.tensors[i].shape[1].max(1) as f64;
    let factor = (1.0 / (3.0 * fan_in).sqrt() / INIT_STD) as f32;
    block.tensor_mut(i).iter_mut().for_each(|w| *w *= factor);
}

/// A weight `[n_outputs, d_in]` drawn from N(0, 0.02²) and a bias `[n_outputs]` of zeros.
fn linear_block(name: &str, seed: u64, d_in: usize, n_outputs: usize) -> Block {
    let mut block =
        Block::zeros(name, &[("weight", &[n_outputs, d_in], true), ("bias", &[n_outputs], false)]);
    let mut rng = Rng::new(seed, Purpose::Init, &[hash::text64(name)]);
    for value in block.tensor_mut(0) {
        *value = (INIT_STD * rng.normal()) as f32;
    }
    block
}

/// `x Wᵀ + b`: `x` `[rows, d]`, `weights` W `[n_outputs, d]` and b `[n_outputs]` → `[rows, n_outputs]`.
fn affine(x: &Tensor, weights: &[Tensor]) -> Result<Tensor> {
    let [weight, bias] = weights else {
        return Err(shape("linear head", &format!("{} tensors", weights.len()), "2 tensors: weight, bias"));
    };
    Ok(x.matmul(&weight.t()?)?.broadcast_add(bias)?)
}

/// The two inputs of a head that reads pairs.
fn pair<'a>(part: &str, inputs: &'a [HeadRows]) -> Result<(&'a Tensor, &'a Tensor)> {
    match inputs {
        [a, b] => Ok((a, b)),
        _ => Err(shape(part, &format!("{} inputs", inputs.len()), "2 inputs")),
    }
}

fn shape(part: &str, found: &str, expected: &str) -> Error {
    Error::Shape { part: part.into(), found: found.into(), expected: expected.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objective::output;

    fn hidden(width: usize) -> HeadOptions {
        HeadOptions { hidden: Some(width), ..HeadOptions::default() }
    }

    #[test]
    fn fresh_weights_have_their_moments_and_follow_seed_and_name() {
        let head = build(HeadForm::PairLinear, 100, 20);
        let block = head.block("head.a", 1);
        assert_eq!(block, head.block("head.a", 1));
        assert_ne!(block.values, head.block("head.b", 1).values);
        assert_ne!(block.values, head.block("head.a", 2).values);
        let weight = block.tensor(0);
        let square = weight.iter().map(|x| f64::from(x * x)).sum::<f64>() / weight.len() as f64;
        assert!((square.sqrt() - INIT_STD).abs() < 1e-3);
        assert!(block.tensor(1).iter().all(|&x| x == 0.0));
        assert!(block.tensors[0].decays && !block.tensors[1].decays);
        assert!(build(HeadForm::Cosine, 8, 1).block("head.c", 1).values.is_empty());
    }

    #[test]
    fn a_wide_start_gives_output_weights_the_variance_of_their_fan_in() {
        for head in [build(HeadForm::Linear, 300, 40), build_with(HeadForm::Linear, 20, 40, hidden(300))] {
            let mut block = head.block("head.a", 1);
            start_wide(&mut block);
            let weights = block.tensor(block.tensors.len() - 2);
            let variance = weights.iter().map(|w| f64::from(w * w)).sum::<f64>() / weights.len() as f64;
            assert!((variance * 900.0 - 1.0).abs() < 0.05, "{variance}");
        }
    }

    #[test]
    fn blocks_have_the_shapes_their_heads_expect() {
        for form in [HeadForm::Cosine, HeadForm::Linear, HeadForm::PairLinear, HeadForm::TokenLinear] {
            let head = build(form, 3, 2);
            let found: Vec<_> = head.block("h", 1).tensors.iter().map(|spec| spec.shape.clone()).collect();
            assert_eq!(found, head.shapes());
        }
    }

    #[test]
    fn a_hidden_layer_cuts_at_zero_before_the_linear_map() {
        use crate::objective::{Target, TaskInput, gradient, value};
        let head = build_with(HeadForm::Linear, 2, 1, hidden(2));
        let mut block = head.block("h", 1).cast::<f64>();
        assert!(block.tensor(0).iter().all(|&w| w != 0.0));
        // Hidden: x₀ − x₁ and x₀ + x₁ − 10.
        block.values = vec![1.0, -1.0, 1.0, 1.0, 0.0, -10.0, 3.0, 7.0, 0.5];
        let z = vec![3.0, 1.0];
        assert_eq!(output(&*head, &block, &z, 2, &[vec![0]]).unwrap(), [6.5]);
        let loss = crate::losses::make(&polytask_core::method::Choice::named("mse"), &[], &[]).unwrap();
        let target = Target::Numbers { width: 1, values: vec![2.0] };
        let input = TaskInput { z, width: 2, starts: vec![], inputs: vec![vec![0]], target, weights: vec![] };
        let found = gradient(&*head, &block, &*loss, &input).unwrap().d_head;
        for (i, found) in found.iter().enumerate() {
            let at = |h: f64| {
                let mut block = block.clone();
                block.values[i] += h;
                value(&*head, &block, &*loss, &input).unwrap()
            };
            assert!((found - (at(1e-6) - at(-1e-6)) / 2e-6).abs() < 1e-6);
        }
    }

    #[test]
    fn outputs_are_those_of_the_formulas() {
        let z = [1.0_f64, 2.0, -1.0, 0.5, 3.0, 4.0];
        let linear = build(HeadForm::Linear, 2, 1);
        let mut block = linear.block("h", 1).cast::<f64>();
        block.values = vec![2.0, -1.0, 0.25];
        assert_eq!(output(&*linear, &block, &z, 2, &[vec![2, 0]]).unwrap(), [2.25, 0.25]);

        let pair = build(HeadForm::PairLinear, 2, 1);
        let mut block = pair.block("h", 1).cast::<f64>();
        block.values = vec![1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 0.5];
        // u = (1, 2), v = (−1, 0.5): |u − v| = (2, 1.5), u · v = (−1, 1).
        let expected = 1.0 + 20.0 - 100.0 + 500.0 + 2e4 + 1.5e5 - 1e6 + 1e7 + 0.5;
        assert_eq!(output(&*pair, &block, &z, 2, &[vec![0], vec![1]]).unwrap(), [expected]);

        let cosine = build(HeadForm::Cosine, 2, 1);
        let block = cosine.block("h", 1).cast::<f64>();
        let found = output(&*cosine, &block, &z, 2, &[vec![0, 2], vec![1, 2]]).unwrap();
        assert!(found[0].abs() < 1e-15 && (found[1] - 1.0).abs() < 1e-15, "{found:?}");
    }

    #[test]
    fn equal_vectors_pull_neither_way_through_their_distance() {
        use crate::objective::{Target, TaskInput, gradient};
        let head = build(HeadForm::PairLinear, 2, 1);
        let mut block = head.block("h", 1).cast::<f64>();
        block.values = vec![0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 0.0]; // only |u − v| counts
        let loss = crate::losses::make(&polytask_core::method::Choice::named("mse"), &[], &[]).unwrap();
        let input = TaskInput {
            z: vec![1.0, 2.0, 1.0, 2.0],
            width: 2,
            starts: vec![],
            inputs: vec![vec![0], vec![1]],
            target: Target::Numbers { width: 1, values: vec![3.0] },
            weights: vec![],
        };
        assert_eq!(gradient(&*head, &block, &*loss, &input).unwrap().d_z, [0.0; 4]);
    }
}

//! A head between texts and descriptions of labels (Luo et al., LREC-COLING 2024): descriptions attend to the tokens of a
//! text, and what they find is matched with what they say.
//!
//! ```text
//! X = LN(H Wx)   L = LN(mean(H_d) Wl)   Z = L + MHA(query L, key X, value X) Wo   U = Z + GELU(LN(Z) W3) W4
//! score_c = w2 · tanh(W1 [U_c ; L_c ; U_c * L_c ; |U_c − L_c|]) + κ cos(x, l_c)
//! ```
//!
//! All weights are shared by all labels, so labels may come and go. The paper's own formulas are not public: those from Z
//! on are a reconstruction, and the last term is new here: with w2 = 0 a fresh head is the zero-shot classifier.

use candle_core::{D, Device, Tensor, Var};
use polytask_core::rng::{self, Purpose};
use polytask_core::{Rng, hash};

use crate::losses::LossFn;
use crate::params::{Block, Real};
use crate::target::Target;
use crate::{Error, Result};

/// Added to variances.
const EPS: f64 = 1e-5;
/// Factor of cosines that a fresh head has.
pub const START_KAPPA: f32 = 10.0;
/// Place of κ among the tensors, the last one.
const KAPPA: usize = 12;

/// The head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LabelCross {
    /// Values per token state.
    pub d_in: usize,
    /// Width of the head, which its attention heads share evenly.
    pub width: usize,
    /// Attention heads.
    pub heads: usize,
}

/// Texts by the states of their tokens.
#[derive(Debug, Clone, Copy)]
pub struct CrossTexts<'a, T> {
    /// States of all tokens, `[tokens, d_in]`.
    pub states: &'a [T],
    /// First token of each text, and the number of all tokens.
    pub starts: &'a [u32],
    /// Means of the token states of each description, `[labels, d_in]`.
    pub labels: &'a [T],
    /// Cosines of texts and descriptions, `[texts, labels]`; empty without a prior.
    pub cosines: &'a [T],
}

/// What a head is to learn of some texts.
pub struct CrossTask<'a> {
    /// The right labels.
    pub target: &'a Target,
    /// Weight of each text.
    pub weights: &'a [f32],
    /// The loss of scores.
    pub loss: &'a dyn LossFn,
    /// Share of values dropped, and the key of the masks.
    pub dropout: (f64, u64),
}

impl<T> CrossTexts<'_, T> {
    /// Number of texts.
    pub fn n_texts(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }
}

impl LabelCross {
    /// A head of at most this width, a multiple of its attention heads.
    pub fn new(d_in: usize, width: usize, heads: usize) -> Self {
        let width = width.min(d_in).max(1);
        let heads = heads.clamp(1, width);
        Self { d_in, width: width / heads * heads, heads }
    }

    /// Fresh parameters: matrices drawn with variance 1 / rows, w2 = 0, κ as cosines start with.
    pub fn block(&self, name: &str, seed: u64) -> Block {
        let (d, m) = (self.d_in, self.width);
        let mut block = Block::zeros(
            name,
            &[
                ("text.weight", &[d, m], true),
                ("label.weight", &[d, m], true),
                ("query.weight", &[m, m], true),
                ("key.weight", &[m, m], true),
                ("value.weight", &[m, m], true),
                ("output.weight", &[m, m], true),
                ("wide.weight", &[m, 2 * m], true),
                ("narrow.weight", &[2 * m, m], true),
                ("match.text.weight", &[m, m], true),
                ("match.label.weight", &[m, m], true),
                ("match.rest.weight", &[2 * m, m], true),
                ("score.weight", &[m, 1], true),
                ("kappa", &[1], false),
            ],
        );
        let mut rng = Rng::new(seed, Purpose::Init, &[hash::text64(name)]);
        for tensor in 0..KAPPA - 1 {
            // The four parts of W1 are the rows of one matrix.
            let rows = if (8..=10).contains(&tensor) { 4 * m } else { block.tensors[tensor].shape[0] };
            let std = 1.0 / (rows.max(1) as f64).sqrt();
            block.tensor_mut(tensor).fill_with(|| (std * rng.normal()) as f32);
        }
        block.tensor_mut(KAPPA)[0] = START_KAPPA;
        block
    }

    /// The score of every label for every text, `[texts, labels]`.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn scores<T: Real>(&self, block: &Block<T>, texts: &CrossTexts<'_, T>) -> Result<Vec<T>> {
        self.check(block, texts)?;
        Ok(self.graph(&tensors(block)?, texts, None)?.flatten_all()?.to_vec1()?)
    }

    /// The loss of some texts and its gradient by the parameters, laid out as the block.
    ///
    /// # Errors
    /// When shapes do not fit.
    pub fn gradient<T: Real>(
        &self,
        block: &Block<T>,
        texts: &CrossTexts<'_, T>,
        task: &CrossTask<'_>,
    ) -> Result<(f64, Vec<T>)> {
        self.check(block, texts)?;
        let vars = tensors(block)?.iter().map(Var::from_tensor).collect::<Result<Vec<_>, _>>()?;
        let weights: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
        let scores = self.graph(&weights, texts, Some(task.dropout))?;
        let mut gradient = vec![T::ZERO; block.values.len()];
        let Some(loss) = task.loss.loss(&scores, task.target, task.weights)? else {
            return Ok((0.0, gradient));
        };
        let store = loss.backward()?;
        for (spec, var) in block.tensors.iter().zip(&vars) {
            if let Some(found) = store.get(var.as_tensor()) {
                gradient[spec.range()].copy_from_slice(&found.flatten_all()?.to_vec1::<T>()?);
            }
        }
        Ok((loss.to_scalar::<T>()?.f64(), gradient))
    }

    fn check<T: Real>(&self, block: &Block<T>, texts: &CrossTexts<'_, T>) -> Result<()> {
        let expected: usize = self.block("", 0).values.len();
        let (n, d) = (texts.n_texts(), self.d_in.max(1));
        let n_labels = texts.labels.len() / d;
        let tokens = texts.starts.last().map_or(0, |&end| end as usize);
        let fits = block.values.len() == expected
            && texts.states.len() == tokens * d
            && texts.labels.len() == n_labels * d
            && n_labels > 0
            && n > 0
            && texts.starts.windows(2).all(|pair| pair[0] < pair[1])
            && (texts.cosines.is_empty() || texts.cosines.len() == n * n_labels);
        if fits {
            return Ok(());
        }
        let found = format!(
            "{} states, {} label values, {} cosines",
            texts.states.len(),
            texts.labels.len(),
            texts.cosines.len()
        );
        Err(Error::Shape {
            part: "label-cross head".into(),
            found,
            expected: format!("{tokens} tokens of {d} values in {n} texts"),
        })
    }

    /// The scores as a graph of the weights.
    fn graph<T: Real>(
        &self,
        w: &[Tensor],
        texts: &CrossTexts<'_, T>,
        drop: Option<(f64, u64)>,
    ) -> Result<Tensor> {
        let (n, n_labels) = (texts.n_texts(), texts.labels.len() / self.d_in);
        let states = leaf(texts.states, self.d_in)?;
        let x = dropped::<T>(norm(&states.matmul(&w[0])?)?, drop, 0)?; // [tokens, width]
        let labels = norm(&leaf(texts.labels, self.d_in)?.matmul(&w[1])?)?; // [labels, width]
        let found = self.attend::<T>(w, &x, &labels, texts.starts)?; // [texts · labels, width]
        let each = labels.unsqueeze(0)?.broadcast_as((n, n_labels, self.width))?.reshape(found.shape())?;
        let z = (&each + found.matmul(&w[5])?)?;
        let u = (&z + norm(&z)?.matmul(&w[6])?.gelu_erf()?.matmul(&w[7])?)?;
        let of_labels = labels.matmul(&w[9])?.unsqueeze(0)?.broadcast_as((n, n_labels, self.width))?;
        let rest = Tensor::cat(&[(&u * &each)?, (&u - &each)?.abs()?], D::Minus1)?.matmul(&w[10])?;
        let hidden = (u.matmul(&w[8])? + of_labels.reshape(u.shape())? + rest)?.tanh()?;
        let scores = dropped::<T>(hidden, drop, 1)?.matmul(&w[11])?.reshape((n, n_labels))?;
        if texts.cosines.is_empty() {
            return Ok(scores);
        }
        Ok((scores + leaf(texts.cosines, n_labels)?.broadcast_mul(&w[KAPPA])?)?)
    }

    /// What each description finds in each text, `[texts · labels, width]`.
    fn attend<T: Real>(&self, w: &[Tensor], x: &Tensor, labels: &Tensor, starts: &[u32]) -> Result<Tensor> {
        let (n, n_labels, k) = (starts.len() - 1, labels.dim(0)?, self.width / self.heads);
        let (places, mask, longest) = padded::<T>(starts);
        let places = Tensor::from_vec(places, n * longest, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, (n, 1, 1, longest), &Device::Cpu)?;
        let split = |rows: Tensor| -> Result<Tensor> {
            let rows = rows.index_select(&places, 0)?.reshape((n, longest, self.heads, k))?;
            Ok(rows.transpose(1, 2)?.contiguous()?) // [texts, heads, tokens, k]
        };
        let (keys, values) = (split(x.matmul(&w[3])?)?, split(x.matmul(&w[4])?)?);
        let queries = labels.matmul(&w[2])?.reshape((n_labels, self.heads, k))?.transpose(0, 1)?;
        let queries = queries.unsqueeze(0)?.broadcast_as((n, self.heads, n_labels, k))?.contiguous()?;
        let logits = (queries.matmul(&keys.transpose(2, 3)?.contiguous()?)? / (k as f64).sqrt())?;
        let logits = logits.broadcast_add(&mask)?; // [texts, heads, labels, tokens]
        let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?.detach())?.exp()?;
        let shares = shifted.broadcast_div(&shifted.sum_keepdim(D::Minus1)?)?;
        let found = shares.matmul(&values)?.transpose(1, 2)?.contiguous()?;
        Ok(found.reshape((n * n_labels, self.width))?)
    }
}

/// Rows of texts laid out as long as the longest: the place of each, what is added to its logit, and that length.
fn padded<T: Real>(starts: &[u32]) -> (Vec<u32>, Vec<T>, usize) {
    let lengths = || starts.windows(2).map(|pair| (pair[0], pair[1] - pair[0]));
    let longest = lengths().map(|(_, n)| n).max().unwrap_or(1);
    let place = |(first, n): (u32, u32)| (0..longest).map(move |i| first + i.min(n - 1));
    let mask =
        |(_, n): (u32, u32)| (0..longest).map(move |i| T::of(if i < n { 0.0 } else { f64::NEG_INFINITY }));
    (lengths().flat_map(place).collect(), lengths().flat_map(mask).collect(), longest as usize)
}

fn leaf<T: Real>(values: &[T], width: usize) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, (values.len() / width, width), &Device::Cpu)?)
}

fn tensors<T: Real>(block: &Block<T>) -> Result<Vec<Tensor>> {
    let tensor =
        |i: usize| Ok(Tensor::from_slice(block.tensor(i), block.tensors[i].shape.as_slice(), &Device::Cpu)?);
    (0..block.tensors.len()).map(tensor).collect()
}

/// Rows of mean 0 and variance 1.
fn norm(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
    let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
    Ok(centred.broadcast_div(&(variance + EPS)?.sqrt()?)?)
}

/// Values with a share of them dropped, the rest larger by as much.
fn dropped<T: Real>(x: Tensor, drop: Option<(f64, u64)>, site: u64) -> Result<Tensor> {
    let Some((rate, key)) = drop.filter(|(rate, _)| *rate > 0.0) else { return Ok(x) };
    let key = rng::key(key, Purpose::Dropout, &[site]);
    let threshold = (rate * u64::MAX as f64) as u64;
    let keep = T::of(1.0 / (1.0 - rate));
    let mask: Vec<T> = (0..x.elem_count() as u64)
        .map(|i| if rng::at(key, i) >= threshold { keep } else { T::ZERO })
        .collect();
    Ok((&x * Tensor::from_vec(mask, x.shape(), &Device::Cpu)?)?)
}

#[cfg(test)]
mod tests {
    use polytask_core::method::Choice;
    use serde::Deserialize;

    use super::*;
    use crate::params::num_like::Float;

    type Matrix = Vec<Vec<f64>>;

    #[derive(Deserialize)]
    #[allow(non_snake_case, reason = "the names of the golden file are those of the formulas")]
    struct Golden {
        weights: std::collections::BTreeMap<String, serde_json::Value>,
        heads: usize,
        Hx: Matrix,
        mask: Vec<u8>,
        Hd: Vec<Matrix>,
        scores: Vec<f64>,
        cross_entropy_label1: f64,
        scores_pooled_backend_first_token_only: Vec<f64>,
    }

    struct Case {
        head: LabelCross,
        block: Block<f64>,
        states: Vec<f64>,
        labels: Vec<f64>,
        golden: Golden,
    }

    fn flat(value: &serde_json::Value) -> Vec<f64> {
        match value {
            serde_json::Value::Array(items) => items.iter().flat_map(flat).collect(),
            other => vec![other.as_f64().unwrap()],
        }
    }

    fn case() -> Case {
        // From xtask/parity/crosstune.py.
        let golden: Golden = serde_json::from_str(include_str!("label_cross_golden.json")).unwrap();
        let head = LabelCross { d_in: 3, width: 4, heads: golden.heads };
        let mut block = head.block("head.t", 1).cast::<f64>();
        for (i, name) in ["Wx", "Wl", "Wq", "Wk", "Wv", "Wo", "W3", "W4"].into_iter().enumerate() {
            block.tensor_mut(i).copy_from_slice(&flat(&golden.weights[name]));
        }
        let first = flat(&golden.weights["W1"]);
        block.tensor_mut(8).copy_from_slice(&first[..16]);
        block.tensor_mut(9).copy_from_slice(&first[16..32]);
        block.tensor_mut(10).copy_from_slice(&first[32..]);
        block.tensor_mut(11).copy_from_slice(&flat(&golden.weights["w2"]));
        let known = golden.mask.iter().filter(|known| **known == 1).count();
        let states = golden.Hx[..known].concat();
        let mean = |rows: &Matrix| {
            (0..3).map(|c| rows.iter().map(|row| row[c]).sum::<f64>() / rows.len() as f64).collect()
        };
        let labels = golden.Hd.iter().map(mean).collect::<Matrix>().concat();
        Case { head, block, states, labels, golden }
    }

    impl Case {
        fn scores(&self, states: &[f64], starts: &[u32], labels: &[f64]) -> Vec<f64> {
            let texts = CrossTexts { states, starts, labels, cosines: &[] };
            self.head.scores(&self.block, &texts).unwrap()
        }
    }

    fn near(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        found.iter().zip(expected).for_each(|(a, b)| assert!((a - b).abs() < 1e-6, "{found:?} {expected:?}"));
    }

    fn cross_entropy() -> Box<dyn LossFn> {
        crate::losses::make(&Choice::named("cross-entropy"), &[], &[]).unwrap()
    }

    #[test]
    fn scores_are_those_of_the_independent_program() {
        let case = case();
        near(&case.scores(&case.states, &[0, 3], &case.labels), &case.golden.scores);
        near(
            &case.scores(&case.states[..3], &[0, 1], &case.labels),
            &case.golden.scores_pooled_backend_first_token_only,
        );
    }

    #[test]
    fn the_loss_is_that_of_the_independent_program() {
        let case = case();
        let texts = CrossTexts { states: &case.states, starts: &[0, 3], labels: &case.labels, cosines: &[] };
        let (loss, target) = (cross_entropy(), Target::Label(vec![1]));
        let task = CrossTask { target: &target, weights: &[1.0], loss: &*loss, dropout: (0.0, 0) };
        let (value, _) = case.head.gradient(&case.block, &texts, &task).unwrap();
        assert!((value - case.golden.cross_entropy_label1).abs() < 1e-6);
    }

    #[test]
    fn a_longer_text_beside_it_changes_nothing_labels_commute_and_one_less_leaves_the_others() {
        let case = case();
        let both: Vec<f64> =
            [&case.states[..], &[0.3, -0.2, 0.9, 1.0, 0.1, 0.2, 0.5, 0.5, -1.0, 0.7, 0.2, 0.4]].concat();
        near(&case.scores(&both, &[0, 3, 7], &case.labels)[..3], &case.golden.scores);
        near(&case.scores(&case.states, &[0, 3], &case.labels[..6]), &case.golden.scores[..2]);
        let turned = [&case.labels[6..], &case.labels[..6]].concat();
        let expected = [case.golden.scores[2], case.golden.scores[0], case.golden.scores[1]];
        near(&case.scores(&case.states, &[0, 3], &turned), &expected);
    }

    #[test]
    fn every_parameter_has_the_gradient_of_finite_differences() {
        let case = case();
        let starts = [0, 1, 3];
        let cosines = [0.3, -0.4, 0.8, 0.1, 0.2, -0.7];
        let texts =
            CrossTexts { states: &case.states, starts: &starts, labels: &case.labels, cosines: &cosines };
        let (loss, target) = (cross_entropy(), Target::Label(vec![2, 0]));
        let task = CrossTask { target: &target, weights: &[1.0, 0.5], loss: &*loss, dropout: (0.2, 7) };
        let mut block = case.block.clone();
        block.tensor_mut(KAPPA)[0] = 1.5;
        let (_, found) = case.head.gradient(&block, &texts, &task).unwrap();
        for (i, found) in found.iter().enumerate() {
            let at = |step: f64| {
                let mut moved = block.clone();
                moved.values[i] += step;
                case.head.gradient(&moved, &texts, &task).unwrap().0
            };
            let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((found - slope).abs() < 1e-6, "{i}: {found} {slope}");
        }
        for spec in &block.tensors {
            assert!(
                found[spec.range()].iter().any(|slope| slope.abs() > 1e-9),
                "{} gets no gradient",
                spec.name
            );
        }
    }

    #[test]
    fn a_fresh_head_is_the_zero_shot_classifier() {
        let case = case();
        let block = case.head.block("head.t", 5).cast::<f64>();
        let cosines = [0.3, -0.4, 0.8];
        let texts =
            CrossTexts { states: &case.states, starts: &[0, 3], labels: &case.labels, cosines: &cosines };
        near(
            &case.head.scores(&block, &texts).unwrap(),
            &cosines.map(|c| c * Float::f64(f64::from(START_KAPPA))),
        );
    }

    #[test]
    fn widths_are_multiples_of_the_heads_and_wrong_shapes_are_refused() {
        assert_eq!(LabelCross::new(384, 256, 4).width, 256);
        assert_eq!(LabelCross::new(30, 256, 4).width, 28);
        let case = case();
        let texts =
            CrossTexts { states: &case.states[1..], starts: &[0, 3], labels: &case.labels, cosines: &[] };
        assert!(case.head.scores(&case.block, &texts).is_err());
        let texts =
            CrossTexts { states: &case.states, starts: &[0, 0, 3], labels: &case.labels, cosines: &[] };
        assert!(case.head.scores(&case.block, &texts).is_err());
    }
}

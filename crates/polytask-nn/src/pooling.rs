//! Pooling: from the states of a sequence's rows to one vector.
//!
//! Works on the trunk's plain buffers, outside the autodiff graph: its backward is a copy or a scaling, and the
//! cotangent it gives has the layout [`Cotangent`](crate::trunk::Cotangent) asks for. Modes and their
//! configuration names are those of sentence-transformers' pooling module.

use std::fmt;
use std::str::FromStr;

use polytask_core::{Layout, Problem};
use rayon::prelude::*;

use crate::params::Real;
use crate::trunk::{States, Trunk};

/// How the states `x_1 … x_n` of a sequence become one vector; in the order sentence-transformers concatenates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PoolMode {
    /// `x_1`.
    Cls,
    /// The maximum of each column.
    Max,
    /// `Σ x_i / n`.
    Mean,
    /// `Σ x_i / √n`.
    MeanSqrtLen,
    /// `Σ i x_i / Σ i` (Muennighoff 2022): later tokens, which have read more, count more.
    WeightedMean,
    /// `x_n`.
    LastToken,
    /// All of `x_1 … x_n` end to end: for trunks that give every sequence as many states.
    Flatten,
}

impl PoolMode {
    /// All modes that take any number of states, in order.
    pub const ALL: [Self; 6] =
        [Self::Cls, Self::Max, Self::Mean, Self::MeanSqrtLen, Self::WeightedMean, Self::LastToken];

    /// Values per pooled vector, from `rows` states of `d_hidden`.
    const fn width(self, d_hidden: usize, rows: usize) -> usize {
        if matches!(self, Self::Flatten) { d_hidden * rows } else { d_hidden }
    }

    /// The name in configuration files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cls => "cls",
            Self::Max => "max",
            Self::Mean => "mean",
            Self::MeanSqrtLen => "mean_sqrt_len_tokens",
            Self::WeightedMean => "weightedmean",
            Self::LastToken => "lasttoken",
            Self::Flatten => "flatten",
        }
    }

    /// The factor of row `i` of `n`, for the modes that are a weighted sum of all rows.
    fn factor(self, i: usize, n: usize) -> f64 {
        let n_real = n as f64;
        match self {
            Self::MeanSqrtLen => 1.0 / n_real.sqrt(),
            Self::WeightedMean => (i + 1) as f64 / (n_real * (n_real + 1.0) / 2.0),
            _ => 1.0 / n_real,
        }
    }
}

impl fmt::Display for PoolMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PoolMode {
    type Err = polytask_core::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().chain([Self::Flatten]).find(|mode| mode.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Problem::new(format!("unknown pooling `{name}`, expected one of {names}")).into()
        })
    }
}

/// One or several modes, concatenated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooling {
    /// The modes, in the order of their columns.
    pub modes: Vec<PoolMode>,
}

impl From<PoolMode> for Pooling {
    fn from(mode: PoolMode) -> Self {
        Self { modes: vec![mode] }
    }
}

impl fmt::Display for Pooling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.modes.iter().map(|mode| mode.name()).collect::<Vec<_>>().join("+"))
    }
}

impl FromStr for Pooling {
    type Err = polytask_core::Error;

    /// Names joined by `+`: `mean`, `cls+max`.
    fn from_str(names: &str) -> Result<Self, Self::Err> {
        let modes = names.split('+').map(|name| name.trim().parse()).collect::<Result<_, _>>()?;
        Ok(Self { modes })
    }
}

impl Pooling {
    /// Values per pooled vector of a trunk's states.
    pub fn width<T: Real>(&self, trunk: &dyn Trunk<T>) -> usize {
        self.columns(trunk.d_hidden(), trunk.rows_per_sequence().unwrap_or(1))
    }

    /// Refuses a mode that needs a fixed number of states where a trunk gives as many as there are tokens.
    pub fn check<T: Real>(&self, trunk: &dyn Trunk<T>) -> Result<(), polytask_core::Error> {
        if trunk.rows_per_sequence().is_some() || !self.modes.contains(&PoolMode::Flatten) {
            return Ok(());
        }
        let what = "pooling `flatten` needs as many states for every input, but texts differ in length";
        Err(Problem::new(what).try_this("pooling = \"mean\"").into())
    }

    /// Values per pooled vector, from `rows` states of `d_hidden`.
    pub(crate) fn columns(&self, d_hidden: usize, rows: usize) -> usize {
        self.modes.iter().map(|mode| mode.width(d_hidden, rows)).sum()
    }

    /// The modes with their columns of a pooled vector.
    fn parts<'a, V>(&'a self, vector: V, d: usize, rows: usize) -> impl Iterator<Item = (PoolMode, V)> + 'a
    where
        V: Cut + 'a,
    {
        let mut rest = Some(vector);
        self.modes.iter().map_while(move |mode| {
            let (front, behind) = rest.take()?.cut(mode.width(d, rows));
            rest = Some(behind);
            Some((*mode, front))
        })
    }

    /// One vector per sequence; zeros for an empty one.
    ///
    /// # Shapes
    /// `states`: `[rows, d_hidden]` → `[sequences, width]`.
    pub fn forward<T: Real>(&self, states: &States<T>, layout: &Layout) -> States<T> {
        self.jvp(states, states, layout)
    }

    /// How the vectors change as the states move along `direction`: every mode is linear once the largest values of
    /// columns are found.
    ///
    /// # Shapes
    /// `states`, `direction`: `[rows, d_hidden]` → `[sequences, width]`.
    pub fn jvp<T: Real>(&self, states: &States<T>, direction: &States<T>, layout: &Layout) -> States<T> {
        let (d, n_rows) = (states.width, rows_of(layout));
        let width = self.columns(d, n_rows);
        let mut values = vec![T::ZERO; layout.n_sequences() * width];
        values.par_chunks_mut(width.max(1)).enumerate().for_each(|(s, pooled)| {
            let rows = layout.rows(s);
            let at = rows.start * d..rows.end * d;
            for (mode, out) in self.parts(pooled, d, n_rows) {
                pool(mode, &states.values[at.clone()], &direction.values[at.clone()], d, out);
            }
        });
        States { values, width }
    }

    /// dL/d states of the rows of `sequences` laid end to end, from dL/d pooled.
    ///
    /// # Shapes
    /// `states`: `[rows, d_hidden]`, `d_pooled`: `[len(sequences), width]` → `[rows of those sequences, d_hidden]`.
    pub fn vjp<T: Real>(
        &self,
        states: &States<T>,
        layout: &Layout,
        sequences: &[u32],
        d_pooled: &[T],
    ) -> Vec<T> {
        let (d, fixed) = (states.width, rows_of(layout));
        let width = self.columns(d, fixed);
        let n_rows: usize = sequences.iter().map(|&s| layout.length(s as usize)).sum();
        let mut values = vec![T::ZERO; n_rows * d];
        let mut rest = &mut values[..];
        for (&s, d_vector) in sequences.iter().zip(d_pooled.chunks(width.max(1))) {
            let rows = layout.rows(s as usize);
            let x = &states.values[rows.start * d..rows.end * d];
            let (dx, behind) = rest.split_at_mut(x.len());
            for (mode, d_out) in self.parts(d_vector, d, fixed) {
                pool_vjp(mode, x, d, d_out, dx);
            }
            rest = behind;
        }
        values
    }
}

/// A vector that is cut in two.
trait Cut: Sized {
    fn cut(self, at: usize) -> (Self, Self);
}

impl<T> Cut for &[T] {
    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at(at)
    }
}

impl<T> Cut for &mut [T] {
    fn cut(self, at: usize) -> (Self, Self) {
        self.split_at_mut(at)
    }
}

/// States of a sequence where all have the same number of them.
fn rows_of(layout: &Layout) -> usize {
    if layout.n_sequences() == 0 { 1 } else { layout.length(0) }
}

/// One mode on one sequence: `x` `[n, d]` → `out` `[d]` (`[n · d]` flat), which comes as zeros; the largest values are
/// sought among `states` `[n, d]`.
fn pool<T: Real>(mode: PoolMode, states: &[T], x: &[T], d: usize, out: &mut [T]) {
    let n = x.len() / d.max(1);
    if n == 0 {
        return;
    }
    match mode {
        PoolMode::Cls => out.copy_from_slice(&x[..d]),
        PoolMode::LastToken => out.copy_from_slice(&x[(n - 1) * d..]),
        PoolMode::Flatten => out.copy_from_slice(x),
        PoolMode::Max => {
            for (column, value) in out.iter_mut().enumerate() {
                *value = x[highest(states, d, column)];
            }
        }
        _ => {
            for (i, row) in x.chunks(d).enumerate() {
                let factor = T::of(mode.factor(i, n));
                out.iter_mut().zip(row).for_each(|(sum, value)| *sum += factor * *value);
            }
        }
    }
}

/// Adds dL/dx of one mode on one sequence to `dx` `[n, d]`.
fn pool_vjp<T: Real>(mode: PoolMode, x: &[T], d: usize, d_out: &[T], dx: &mut [T]) {
    let n = x.len() / d.max(1);
    if n == 0 {
        return;
    }
    let add = |row: &mut [T], factor: T| {
        row.iter_mut().zip(d_out).for_each(|(sum, value)| *sum += factor * *value);
    };
    match mode {
        PoolMode::Cls => add(&mut dx[..d], T::ONE),
        PoolMode::LastToken => add(&mut dx[(n - 1) * d..], T::ONE),
        PoolMode::Flatten => add(dx, T::ONE),
        PoolMode::Max => {
            for (column, value) in d_out.iter().enumerate() {
                dx[highest(x, d, column)] += *value;
            }
        }
        _ => {
            for (i, row) in dx.chunks_mut(d).enumerate() {
                add(row, T::of(mode.factor(i, n)));
            }
        }
    }
}

/// Index into `x` `[n, d]` of the first largest value of a column.
fn highest<T: Real>(x: &[T], d: usize, column: usize) -> usize {
    (column..x.len()).step_by(d).fold(column, |best, i| if x[i] > x[best] { i } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use polytask_core::{PackedBatch, Purpose, Rng};
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Golden {
        pooling: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        modes: Vec<String>,
        lengths: Vec<usize>,
        states: Vec<f64>,
        pooled: Vec<f64>,
    }

    fn layout(lengths: &[usize]) -> Layout {
        PackedBatch::pack(lengths.iter().map(|&n| vec![0; n])).layout()
    }

    #[test]
    fn pooled_vectors_equal_sentence_transformers() {
        // From xtask/parity/heads_losses.py.
        let golden: Golden = serde_json::from_str(include_str!("golden.json")).unwrap();
        for case in golden.pooling {
            let pooling: Pooling = case.modes.join("+").parse().unwrap();
            let pooled = pooling.forward(&States { values: case.states, width: 4 }, &layout(&case.lengths));
            assert_eq!(pooled.width, pooling.columns(4, 1));
            for (a, b) in pooled.values.iter().zip(&case.pooled) {
                assert!((a - b).abs() < 1e-8, "{pooling}: {a} {b}");
            }
        }
    }

    #[test]
    fn the_backward_of_every_mode_equals_finite_differences() {
        let layout = layout(&[3, 0, 1, 4]);
        let mut rng = Rng::new(1, Purpose::Bench, &[]);
        let mut draws = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f64>>();
        let mut states = States { values: draws(8 * 3), width: 3 };
        let all = Pooling { modes: PoolMode::ALL.to_vec() };
        for pooling in PoolMode::ALL.map(Pooling::from).into_iter().chain([all]) {
            let width = pooling.columns(3, 1);
            // Sequences 1 (empty), 0 and 3, in this order; sequence 2 has no gradient.
            let touched = [1, 0, 3];
            let d_pooled = draws(3 * width);
            let found = pooling.vjp(&states, &layout, &touched, &d_pooled);
            let mut objective = |row: usize, column: usize, h: f64| {
                let i = row * 3 + column;
                states.values[i] += h;
                let pooled = pooling.forward(&states, &layout);
                states.values[i] -= h;
                let of = |(k, &s): (usize, &u32)| -> f64 {
                    let d = &d_pooled[k * width..(k + 1) * width];
                    pooled.row(s as usize).iter().zip(d).map(|(a, b)| a * b).sum()
                };
                touched.iter().enumerate().map(of).sum::<f64>()
            };
            let rows: Vec<usize> = touched.iter().flat_map(|&s| layout.rows(s as usize)).collect();
            assert_eq!(found.len(), rows.len() * 3);
            for (k, &row) in rows.iter().enumerate() {
                for column in 0..3 {
                    let slope = (objective(row, column, 1e-6) - objective(row, column, -1e-6)) / 2e-6;
                    let got = found[k * 3 + column];
                    assert!((got - slope).abs() < 1e-7, "{pooling} row {row}: {got} {slope}");
                }
            }
        }
    }

    #[test]
    fn a_direction_of_the_states_is_handed_on_as_the_backward_hands_gradients_back() {
        let layout = layout(&[3, 0, 1, 4]);
        let mut rng = Rng::new(2, Purpose::Bench, &[]);
        let mut draws = |n: usize| (0..n).map(|_| rng.normal()).collect::<Vec<f64>>();
        let [states, direction] = [0, 1].map(|_| States { values: draws(8 * 3), width: 3 });
        let pooling = Pooling { modes: PoolMode::ALL.to_vec() };
        let d_pooled = draws(4 * pooling.columns(3, 1));
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let forth = dot(&pooling.jvp(&states, &direction, &layout).values, &d_pooled);
        let back = dot(&pooling.vjp(&states, &layout, &[0, 1, 2, 3], &d_pooled), &direction.values);
        assert!((forth - back).abs() < 1e-12 && forth.abs() > 1e-3, "{forth} {back}");
    }

    #[test]
    fn flat_states_stand_end_to_end_beside_other_columns() {
        let pooling: Pooling = "flatten+mean".parse().unwrap();
        let states = States { values: vec![1.0_f64, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0], width: 2 };
        let layout = Layout::even(2, 2);
        let pooled = pooling.forward(&states, &layout);
        assert_eq!(pooled.row(1), [5.0, 6.0, 7.0, 8.0, 6.0, 7.0]);
        let d_states = pooling.vjp(&states, &layout, &[1], &[1.0, 2.0, 3.0, 4.0, 10.0, 20.0]);
        assert_eq!(d_states, [6.0, 12.0, 8.0, 14.0]);
    }

    #[test]
    fn an_empty_sequence_pools_to_zeros() {
        let pooling = Pooling { modes: PoolMode::ALL.to_vec() };
        let pooled = pooling.forward(&States { values: vec![1.0_f32, 2.0], width: 2 }, &layout(&[0, 1]));
        assert!(pooled.row(0).iter().all(|&x| x == 0.0));
        assert_eq!(pooled.row(1), [1.0, 2.0].repeat(6));
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = "median".parse::<Pooling>().unwrap_err().to_string();
        assert!(error.contains("`median`") && error.contains("mean_sqrt_len_tokens"), "{error}");
    }
}

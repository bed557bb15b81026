//! One tensor of several models, read block by block: what a method sees of the files.
//!
//! Blocks have a fixed size and sums over them a fixed order, so the result is the same for any number of threads.
//! A tensor that fits is kept in memory between passes; a larger one is read again in each.

mod gram;

use std::borrow::Cow;
use std::ops::Range;

use polytask_nn::weights::OpenWeights;
use rayon::prelude::*;

pub(crate) use gram::gram;

use crate::Result;

/// Entries of a block, where rows allow.
const BLOCK: usize = 1 << 17;
/// Blocks that are worked on before their results are added up: more than there are threads on most machines.
const AT_ONCE: usize = 8;
/// Bytes of all inputs of a tensor that are kept between passes.
const KEPT: usize = 48 << 20;

/// Where the values of an input come from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Input<'a> {
    pub(crate) weights: &'a OpenWeights,
    /// Name of the tensor in the files.
    pub(crate) name: &'a str,
}

enum Values<'a> {
    Held(Cow<'a, [f32]>),
    OnDisk(Input<'a>),
}

impl Values<'_> {
    fn read(&self, range: &Range<usize>) -> Result<Cow<'_, [f32]>> {
        match self {
            Self::Held(all) => Ok(Cow::Borrowed(&all[range.clone()])),
            Self::OnDisk(input) => {
                let mut out = vec![0.0; range.len()];
                input.weights.read(input.name, range.start, &mut out)?;
                Ok(Cow::Owned(out))
            }
        }
    }
}

/// A tensor of a base and of models.
pub(crate) struct Tensor<'a> {
    /// Name it will have.
    pub(crate) name: &'a str,
    pub(crate) shape: &'a [usize],
    base: Option<Values<'a>>,
    models: Vec<Values<'a>>,
}

/// Entries of a tensor, of each input.
pub(crate) struct Block<'a> {
    /// Which entries of the flat tensor.
    pub(crate) range: Range<usize>,
    pub(crate) base: Option<Cow<'a, [f32]>>,
    pub(crate) models: Vec<Cow<'a, [f32]>>,
}

impl Block<'_> {
    /// The base's entries; zeros where there is none.
    pub(crate) fn base(&self) -> Cow<'_, [f32]> {
        match &self.base {
            Some(base) => Cow::Borrowed(base),
            None => Cow::Owned(vec![0.0; self.range.len()]),
        }
    }

    /// What a model adds to the base; all of it where there is none.
    pub(crate) fn delta(&self, model: usize) -> Vec<f32> {
        match &self.base {
            Some(base) => self.models[model].iter().zip(base.iter()).map(|(m, b)| m - b).collect(),
            None => self.models[model].to_vec(),
        }
    }

    /// The same of all models.
    pub(crate) fn deltas(&self) -> Vec<Vec<f32>> {
        (0..self.models.len()).map(|model| self.delta(model)).collect()
    }
}

impl<'a> Tensor<'a> {
    /// A tensor of files; read once where it is small.
    pub(crate) fn open(
        name: &'a str,
        shape: &'a [usize],
        base: Option<Input<'a>>,
        models: &[Input<'a>],
    ) -> Result<Self> {
        let len: usize = shape.iter().product();
        let is_held = (models.len() + usize::from(base.is_some())) * len * 4 <= KEPT;
        let values = |input: Input<'a>| {
            if !is_held {
                return Ok(Values::OnDisk(input));
            }
            let mut values = vec![0.0; len];
            // In pieces: all threads read.
            let pieces = values.par_chunks_mut(BLOCK).enumerate();
            pieces.try_for_each(|(i, out)| input.weights.read(input.name, i * BLOCK, out))?;
            Ok(Values::Held(Cow::Owned(values)))
        };
        let base = base.map(values).transpose()?;
        let models = models.iter().map(|&input| values(input)).collect::<Result<_>>()?;
        Ok(Self { name, shape, base, models })
    }

    /// A tensor of values.
    #[cfg(test)]
    pub(crate) fn held(shape: &'a [usize], base: Option<&'a [f32]>, models: &[&'a [f32]]) -> Self {
        let held = |values: &'a [f32]| Values::Held(Cow::Borrowed(values));
        let models = models.iter().map(|values| held(values)).collect();
        Self { name: "w", shape, base: base.map(held), models }
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.iter().product()
    }

    pub(crate) fn n_models(&self) -> usize {
        self.models.len()
    }

    pub(crate) fn has_base(&self) -> bool {
        self.base.is_some()
    }

    /// Entries of a slice along the first axis: a row of a matrix, the whole of a vector.
    pub(crate) fn slice(&self) -> usize {
        match self.shape {
            [_, rest @ ..] if !rest.is_empty() => rest.iter().product::<usize>().max(1),
            _ => self.len().max(1),
        }
    }

    /// Entries along the last axis: a row; the whole of a vector.
    pub(crate) fn row(&self) -> usize {
        self.shape.last().copied().unwrap_or(1).max(1)
    }

    /// Ranges of whole `unit`s.
    fn ranges(&self, unit: usize) -> Vec<Range<usize>> {
        let (size, len) = ((BLOCK / unit).max(1) * unit, self.len());
        (0..len.div_ceil(size)).map(|i| i * size..((i + 1) * size).min(len)).collect()
    }

    fn read(&self, range: &Range<usize>) -> Result<Block<'_>> {
        let base = self.base.as_ref().map(|values| values.read(range)).transpose()?;
        let models = self.models.iter().map(|values| values.read(range)).collect::<Result<_>>()?;
        Ok(Block { range: range.clone(), base, models })
    }

    /// Maps blocks of whole `unit`s on all threads, and takes the results in the order of the tensor.
    pub(crate) fn fold<T: Send>(
        &self,
        unit: usize,
        map: impl Fn(&Block<'_>) -> T + Sync,
        mut take: impl FnMut(T) -> Result<()>,
    ) -> Result<()> {
        for ranges in self.ranges(unit).chunks(AT_ONCE) {
            let mapped: Vec<Result<T>> =
                ranges.par_iter().map(|range| self.read(range).map(|block| map(&block))).collect();
            for value in mapped {
                take(value?)?;
            }
        }
        Ok(())
    }

    /// Sums of `n` values over all blocks.
    pub(crate) fn sums(&self, n: usize, of: impl Fn(&Block<'_>) -> Vec<f64> + Sync) -> Result<Vec<f64>> {
        let mut sums = vec![0.0; n];
        self.fold(1, of, |part| {
            sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
            Ok(())
        })?;
        Ok(sums)
    }
}

/// Sum of products in wide numbers.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Eight sums side by side: the order is fixed and the additions do not wait for each other.
    let mut sums = [0.0_f64; 8];
    let (a8, a_rest) = a.as_chunks::<8>();
    let (b8, b_rest) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        (0..8).for_each(|i| sums[i] += f64::from(a[i]) * f64::from(b[i]));
    }
    let rest: f64 = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
    sums.iter().sum::<f64>() + rest
}

/// Sum of absolute values in wide numbers.
pub(crate) fn length_1(a: &[f32]) -> f64 {
    a.iter().map(|v| f64::from(v.abs())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_whole_rows_and_cover_a_tensor_once() {
        let values = vec![1.0; 3 * 100_000];
        let shape = [3, 100_000];
        let tensor = Tensor::held(&shape, None, &[&values]);
        assert_eq!(tensor.ranges(tensor.slice()).len(), 3);
        let ranges = tensor.ranges(1);
        assert_eq!((ranges.len(), ranges[2].end), (3, 300_000));
        let sums = tensor.sums(1, |block| vec![block.models[0].len() as f64]).unwrap();
        assert_eq!(sums, [300_000.0]);
        assert!(Tensor::held(&[0, 5], None, &[&[]]).ranges(5).is_empty());
    }

    #[test]
    fn wide_sums_are_those_worked_by_hand() {
        let a: Vec<f32> = (0..19).map(|i| i as f32).collect();
        assert_eq!(dot(&a, &a), (0..19).map(|i| f64::from(i * i)).sum::<f64>());
        assert_eq!(length_1(&[-1.5, 2.0]), 3.5);
    }
}

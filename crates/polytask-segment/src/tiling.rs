//! `TextTiling` (Hearst 1997) on sentence vectors: how deep the similarity of neighbours falls between two peaks.
//!
//! Departures: blocks are sentences and their vectors, not bags of words; similarities are not smoothed; a boundary is a
//! place whose depth is a peak among its neighbours and above the threshold.

use serde::{Deserialize, Serialize};

use crate::Boundaries;

/// From which depth on a place is a boundary.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TilingThreshold {
    /// Above the mean depth of the document and so many standard deviations.
    Deviations(f64),
    /// Above a depth.
    Depth(f64),
}

impl Default for TilingThreshold {
    /// Half a deviation above the mean.
    fn default() -> Self {
        Self::Deviations(0.5)
    }
}

impl TilingThreshold {
    /// The depth it means in a document of these depths.
    pub fn depth(self, depths: &[f64]) -> f64 {
        match self {
            Self::Depth(depth) => depth,
            Self::Deviations(n) => {
                let (mean, deviation) = moments(depths);
                mean + n * deviation
            }
        }
    }
}

/// Mean and standard deviation of all values (not of a sample).
fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / n;
    (mean, variance.sqrt())
}

/// How far the similarity of every place lies below the peaks to its left and right, taken together.
pub fn depths(similarities: &[f64]) -> Vec<f64> {
    let left = peaks(similarities.iter().copied());
    let right = peaks(similarities.iter().rev().copied());
    let pair = left.iter().zip(right.iter().rev());
    similarities.iter().zip(pair).map(|(own, (left, right))| left + right - 2.0 * own).collect()
}

/// For every value the one that is reached going back as long as values do not fall.
fn peaks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let (mut before, mut peak) = (f64::NAN, f64::NAN);
    let reached = values.map(|value| {
        // A first value, and one above the value before it, is its own peak.
        if before.is_nan() || before < value {
            peak = value;
        }
        before = value;
        peak
    });
    reached.collect()
}

/// Cosines of the mean vectors of up to `width` sentences on both sides of every place between two sentences, made as
/// vectors come in; memory holds those of `2 · width` sentences.
#[derive(Debug, Clone)]
pub struct Similarities {
    d: usize,
    width: usize,
    /// Vectors of the last sentences, end to end.
    rows: Vec<f32>,
    /// Number of the first of them.
    base: usize,
    made: Vec<f64>,
}

impl Similarities {
    /// Of vectors of `d` numbers.
    pub fn new(d: usize, width: usize) -> Self {
        Self { d, width: width.max(1), rows: Vec::new(), base: 0, made: Vec::new() }
    }

    /// Takes the vectors of further sentences.
    ///
    /// # Shapes
    /// `[sentences, d]`, each of length 1.
    pub fn push(&mut self, vectors: &[f32]) {
        for vector in vectors.chunks_exact(self.d) {
            self.rows.extend_from_slice(vector);
            let n = self.n_seen();
            // The place whose right side is full now.
            if n > self.width {
                self.make(n - self.width);
            }
        }
        let keep_from = self.n_seen().saturating_sub(2 * self.width).max(self.base);
        self.rows.drain(..(keep_from - self.base) * self.d);
        self.base = keep_from;
    }

    /// All similarities, one per place.
    pub fn finish(mut self) -> Vec<f64> {
        let n = self.n_seen();
        (self.made.len() + 1..n).for_each(|gap| self.make(gap));
        self.made
    }

    fn n_seen(&self) -> usize {
        self.base + self.rows.len() / self.d.max(1)
    }

    /// The similarity before the sentence `gap`.
    fn make(&mut self, gap: usize) {
        let left = self.sum(gap.saturating_sub(self.width)..gap);
        let right = self.sum(gap..(gap + self.width).min(self.n_seen()));
        self.made.push(cosine(&left, &right));
    }

    fn sum(&self, sentences: std::ops::Range<usize>) -> Vec<f64> {
        let mut sum = vec![0.0_f64; self.d];
        for sentence in sentences {
            let row = &self.rows[(sentence - self.base) * self.d..][..self.d];
            sum.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        sum
    }
}

/// The same of all vectors at once.
///
/// # Shapes
/// `vectors` `[sentences, d]` → `[sentences − 1]`.
pub fn similarities(vectors: &[f32], d: usize, width: usize) -> Vec<f64> {
    let mut made = Similarities::new(d, width);
    made.push(vectors);
    made.finish()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let length = (dot(a, a) * dot(b, b)).sqrt();
    if length > 0.0 { dot(a, b) / length } else { 0.0 }
}

/// Whether every place is a boundary: above `threshold`, and no neighbour deeper (of equal ones the first).
pub fn deepest(depths: &[f64], threshold: f64) -> Vec<bool> {
    let at = |i: Option<usize>| i.and_then(|i| depths.get(i)).copied().unwrap_or(f64::NEG_INFINITY);
    let is_peak = |i: usize| depths[i] > at(i.checked_sub(1)) && depths[i] >= at(Some(i + 1));
    (0..depths.len()).map(|i| depths[i] > threshold && is_peak(i)).collect()
}

/// The segments of a document whose neighbours are this similar.
pub fn tile(similarities: &[f64], threshold: TilingThreshold) -> Boundaries {
    let depths = depths(similarities);
    let threshold = threshold.depth(&depths);
    Boundaries::of_gaps(deepest(&depths, threshold))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIMILARITIES: [f64; 8] = [0.8, 0.7, 0.2, 0.6, 0.65, 0.3, 0.7, 0.75];

    /// Numbers of `xtask/parity/segmentation.py`.
    #[test]
    fn depths_and_thresholds_equal_the_reference() {
        let found = depths(&SIMILARITIES);
        let expected = [0.0, 0.1, 1.05, 0.05, 0.0, 0.8, 0.05, 0.0];
        assert!(found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        for (n, expected) in [(-0.5, 0.060_021), (0.5, 0.452_479)] {
            assert!((TilingThreshold::Deviations(n).depth(&found) - expected).abs() < 1e-6);
        }
        assert_eq!(tile(&SIMILARITIES, TilingThreshold::default()).places(), [2, 5]);
        assert_eq!(tile(&SIMILARITIES, TilingThreshold::Depth(0.9)).places(), [2]);
    }

    #[test]
    fn similarities_are_cosines_of_the_means_of_both_sides() {
        let vectors = [1.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
        assert_eq!(similarities(&vectors, 2, 1), [1.0, 0.0, 1.0]);
        let wide = similarities(&vectors, 2, 2);
        assert!(wide[1].abs() < 1e-12 && (wide[0] - 0.5_f64.sqrt()).abs() < 1e-12, "{wide:?}");
        let (mut parts, wide) = (Similarities::new(2, 3), similarities(&vectors, 2, 3));
        vectors.chunks(2).for_each(|vector| parts.push(vector));
        assert_eq!(parts.finish(), wide);
        assert!(similarities(&[], 2, 1).is_empty() && similarities(&[1.0, 0.0], 2, 3).is_empty());
    }

    #[test]
    fn documents_without_places_and_flat_ones_have_one_segment() {
        assert_eq!(tile(&[], TilingThreshold::default()).segments().len(), 1);
        assert_eq!(tile(&[0.5; 9], TilingThreshold::default()).count(), 0);
    }
}

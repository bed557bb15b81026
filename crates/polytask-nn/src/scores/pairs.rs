//! Scores of many pairs of texts, and the way back from their gradients to token states.
//!
//! Inner products of all tokens come from one matrix product per block of first texts, so that memory stays bounded
//! however many texts there are. Their slopes are made from the same products computed again: nothing is kept between.

use std::ops::Range;

use candle_core::{Device, Tensor};
use rayon::prelude::*;

use super::pieces::pieces;
use super::{TokenPair, TokenRows, TokenScore, TokenScoring};
use crate::Result;
use crate::params::Real;

/// Inner products in memory at once, where a text and all it meets have no more.
const BLOCK: usize = if cfg!(test) { 40 } else { 1 << 22 };

/// Squared lengths up to this count as zero.
const SMALLEST_SQUARE: f64 = 1e-24;

/// Gradients of token states.
pub(super) struct TokenGradients<T> {
    pub(super) left: Vec<T>,
    pub(super) right: Vec<T>,
}

/// The score of each of `left` with each of `right`; 0 where one of them has no tokens.
///
/// # Shapes
/// `[left, right]`, row-major.
pub fn all_pairs<T: Real, S: TokenScoring + TokenScore<T> + ?Sized>(
    scoring: &S,
    left: &TokenRows<'_, T>,
    right: &TokenRows<'_, T>,
) -> Result<Vec<T>> {
    let table = Table::new(left, seen(scoring, right));
    let n_right = right.n_texts();
    let mut scores = vec![T::ZERO; left.n_texts() * n_right];
    for texts in table.blocks() {
        let products = table.products(&texts)?;
        let rows = scores[texts.start * n_right..texts.end * n_right].par_chunks_mut(n_right);
        rows.zip(texts).for_each_init(Scratch::default, |scratch, (row, i)| {
            let products = table.of_text(&products, i);
            for (j, score) in row.iter_mut().enumerate() {
                if let Some(pair) = scratch.cut(&table, products, (i, j)) {
                    *score = scoring.score(pair);
                }
            }
        });
    }
    Ok(scores)
}

/// Gradients of the token states from those of [`all_pairs`].
pub(super) fn all_pairs_vjp<T: Real, S: TokenScoring + TokenScore<T> + ?Sized>(
    scoring: &S,
    left: &TokenRows<'_, T>,
    right: &TokenRows<'_, T>,
    d_scores: &[T],
) -> Result<TokenGradients<T>> {
    let table = Table::new(left, seen(scoring, right));
    let mut gradients = TokenGradients {
        left: vec![T::ZERO; left.values.len()],
        right: vec![T::ZERO; table.right.values.len()],
    };
    for texts in table.blocks() {
        table.block_vjp(scoring, texts, d_scores, &mut gradients)?;
    }
    if scoring.pools_second() {
        gradients.right = right.means_vjp(&gradients.right);
    }
    Ok(gradients)
}

/// The score of each of `left` with the text of `right` at its place, `[texts]`.
pub fn row_pairs<T: Real, S: TokenScoring + TokenScore<T> + ?Sized>(
    scoring: &S,
    left: &TokenRows<'_, T>,
    right: &TokenRows<'_, T>,
) -> Result<Vec<T>> {
    let score = |i| Ok(all_pairs(scoring, &left.text(i), &right.text(i))?[0]);
    (0..left.n_texts()).into_par_iter().map(score).collect()
}

/// Gradients of the token states from those of [`row_pairs`].
pub(super) fn row_pairs_vjp<T: Real, S: TokenScoring + TokenScore<T> + ?Sized>(
    scoring: &S,
    left: &TokenRows<'_, T>,
    right: &TokenRows<'_, T>,
    d_scores: &[T],
) -> Result<TokenGradients<T>> {
    let of_pair = |i: usize| all_pairs_vjp(scoring, &left.text(i), &right.text(i), &d_scores[i..=i]);
    let pairs: Vec<_> = (0..left.n_texts()).into_par_iter().map(of_pair).collect::<Result<_>>()?;
    let mut all = TokenGradients { left: Vec::new(), right: Vec::new() };
    for pair in pairs {
        all.left.extend(pair.left);
        all.right.extend(pair.right);
    }
    Ok(all)
}

/// The second texts as the score sees them.
fn seen<'a, T: Real, S: TokenScoring + ?Sized>(scoring: &S, right: &'a TokenRows<'_, T>) -> TokenRows<'a, T> {
    if scoring.pools_second() { right.means() } else { right.borrowed() }
}

/// First and second texts, with what cosines are made of.
struct Table<'a, T: Real> {
    left: &'a TokenRows<'a, T>,
    right: TokenRows<'a, T>,
    /// One over the length of each state; 0 where that is 0.
    left_scales: Vec<T>,
    right_scales: Vec<T>,
}

impl<'a, T: Real> Table<'a, T> {
    fn new(left: &'a TokenRows<'_, T>, right: TokenRows<'a, T>) -> Self {
        let (left_scales, right_scales) = (scales(left), scales(&right));
        Self { left, right, left_scales, right_scales }
    }

    /// Tokens of all second texts.
    fn n_right(&self) -> usize {
        self.right_scales.len()
    }

    /// First texts whose inner products lie in memory at once.
    fn blocks(&self) -> Vec<Range<usize>> {
        let lengths = (0..self.left.n_texts()).map(|i| self.left.span(i).len() * self.n_right());
        pieces(lengths, BLOCK)
    }

    /// Tokens of some first texts.
    fn tokens(&self, texts: &Range<usize>) -> Range<usize> {
        self.left.starts[texts.start] as usize..self.left.starts[texts.end] as usize
    }

    /// Inner products of the tokens of some first texts with those of all second ones, `[tokens, tokens]`.
    fn products(&self, texts: &Range<usize>) -> Result<Products<T>> {
        let tokens = self.tokens(texts);
        if tokens.is_empty() || self.n_right() == 0 {
            return Ok(Products { first: tokens.start, values: Vec::new() });
        }
        let values = self.left_matrix(&tokens)?.matmul(&self.right_matrix()?.t()?)?;
        Ok(Products { first: tokens.start, values: values.flatten_all()?.to_vec1()? })
    }

    fn left_matrix(&self, tokens: &Range<usize>) -> Result<Tensor> {
        let width = self.left.width;
        matrix(&self.left.values[tokens.start * width..tokens.end * width], width)
    }

    fn right_matrix(&self) -> Result<Tensor> {
        matrix(&self.right.values, self.right.width)
    }

    /// The products of a first text.
    fn of_text<'p>(&self, products: &'p Products<T>, i: usize) -> &'p [T] {
        let (span, m) = (self.left.span(i), self.n_right());
        products.values.get((span.start - products.first) * m..(span.end - products.first) * m).unwrap_or(&[])
    }

    /// Adds the gradients of a block of first texts.
    fn block_vjp<S: TokenScoring + TokenScore<T> + ?Sized>(
        &self,
        scoring: &S,
        texts: Range<usize>,
        d_scores: &[T],
        gradients: &mut TokenGradients<T>,
    ) -> Result<()> {
        let products = self.products(&texts)?;
        if products.values.is_empty() {
            return Ok(());
        }
        let n_texts = self.right.n_texts();
        let of_text = |scratch: &mut Scratch<T>, i: usize| {
            let d_row = &d_scores[i * n_texts..(i + 1) * n_texts];
            self.text_slopes(scoring, scratch, (i, self.of_text(&products, i)), d_row)
        };
        let slopes: Vec<TextSlopes<T>> =
            texts.clone().into_par_iter().map_init(Scratch::default, of_text).collect();
        self.add(&self.tokens(&texts), slopes, gradients)
    }

    /// The slopes of a first text against all second ones.
    fn text_slopes<S: TokenScore<T> + ?Sized>(
        &self,
        scoring: &S,
        scratch: &mut Scratch<T>,
        (i, products): (usize, &[T]),
        d_scores: &[T],
    ) -> TextSlopes<T> {
        let m = self.n_right();
        let mut slopes = TextSlopes::zeros(self.left.span(i).len(), m);
        for (j, &factor) in d_scores.iter().enumerate().filter(|(_, d)| **d != T::ZERO) {
            scratch.zero_slopes(self, (i, j));
            let Some((pair, d_dots, d_cosines)) = scratch.cut_with_slopes(self, products, (i, j)) else {
                continue;
            };
            scoring.slopes(pair, d_dots, d_cosines);
            let at = PairPlace { first: self.left.span(i).start, others: self.right.span(j) };
            self.add_pair(&mut slopes, factor, &at, (pair.cosines, d_dots, d_cosines));
        }
        slopes
    }

    /// Adds the slopes of a pair, by inner products and by cosines.
    fn add_pair(
        &self,
        slopes: &mut TextSlopes<T>,
        factor: T,
        at: &PairPlace,
        (cosines, d_dots, d_cosines): (&[T], &[T], &[T]),
    ) {
        let (all, m) = (self.n_right(), at.others.len());
        for k in 0..cosines.len() / m {
            let own = self.left_scales[at.first + k];
            for (l, other) in at.others.clone().enumerate() {
                let cell = k * m + l;
                let along = factor * d_cosines[cell] * cosines[cell];
                slopes.left[k] += along;
                slopes.right[other] += along;
                slopes.pairs[k * all + other] =
                    factor * (d_dots[cell] + d_cosines[cell] * own * self.right_scales[other]);
            }
        }
    }

    /// From slopes of pairs of states to gradients of states: a cosine changes only across each of its states.
    fn add(
        &self,
        tokens: &Range<usize>,
        slopes: Vec<TextSlopes<T>>,
        gradients: &mut TokenGradients<T>,
    ) -> Result<()> {
        let (width, m) = (self.left.width, self.n_right());
        let mut pairs = Vec::with_capacity(tokens.len() * m);
        let (mut left, mut right) = (Vec::with_capacity(tokens.len()), vec![T::ZERO; m]);
        for text in slopes {
            pairs.extend(text.pairs);
            left.extend(text.left);
            right.iter_mut().zip(&text.right).for_each(|(sum, v)| *sum += *v);
        }
        let pairs = Tensor::from_vec(pairs, (tokens.len(), m), &Device::Cpu)?;
        let d_left = pairs.matmul(&self.right_matrix()?)?.flatten_all()?.to_vec1::<T>()?;
        let d_right = pairs.t()?.matmul(&self.left_matrix(tokens)?)?.flatten_all()?.to_vec1::<T>()?;
        let to = &mut gradients.left[tokens.start * width..tokens.end * width];
        to.copy_from_slice(&d_left);
        let states = &self.left.values[tokens.start * width..tokens.end * width];
        take_along(to, states, width, left.iter().zip(&self.left_scales[tokens.clone()]));
        gradients.right.iter_mut().zip(&d_right).for_each(|(sum, v)| *sum += *v);
        take_along(&mut gradients.right, &self.right.values, width, right.iter().zip(&self.right_scales));
        Ok(())
    }
}

/// Inner products of the tokens from `first` on.
struct Products<T> {
    first: usize,
    values: Vec<T>,
}

/// Where a pair stands: the first text's first token, and the second one's tokens.
struct PairPlace {
    first: usize,
    others: Range<usize>,
}

/// What the scores of a first text say about its states and all second ones.
struct TextSlopes<T> {
    /// Slope of each inner product, the change of cosines by it within, `[tokens, tokens]`.
    pairs: Vec<T>,
    /// For each of its states, cosines times their slopes.
    left: Vec<T>,
    /// The same for each second state.
    right: Vec<T>,
}

impl<T: Real> TextSlopes<T> {
    fn zeros(n: usize, m: usize) -> Self {
        Self { pairs: vec![T::ZERO; n * m], left: vec![T::ZERO; n], right: vec![T::ZERO; m] }
    }
}

/// Buffers of a pair.
#[derive(Default)]
struct Scratch<T> {
    dots: Vec<T>,
    cosines: Vec<T>,
    d_dots: Vec<T>,
    d_cosines: Vec<T>,
}

impl<T: Real> Scratch<T> {
    /// A pair cut out of a first text's products; none where a text has no tokens.
    fn cut(
        &mut self,
        table: &Table<'_, T>,
        products: &[T],
        (i, j): (usize, usize),
    ) -> Option<TokenPair<'_, T>> {
        let (own, others) = (table.left.span(i), table.right.span(j));
        if own.is_empty() || others.is_empty() {
            return None;
        }
        self.dots.clear();
        self.cosines.clear();
        let scales = &table.right_scales[others.clone()];
        for (row, scale) in products.chunks(table.n_right()).zip(&table.left_scales[own]) {
            let row = &row[others.clone()];
            self.dots.extend_from_slice(row);
            self.cosines.extend(row.iter().zip(scales).map(|(dot, other)| *dot * *scale * *other));
        }
        Some(TokenPair { dots: &self.dots, cosines: &self.cosines, m: others.len() })
    }

    fn zero_slopes(&mut self, table: &Table<'_, T>, (i, j): (usize, usize)) {
        let n = table.left.span(i).len() * table.right.span(j).len();
        for slopes in [&mut self.d_dots, &mut self.d_cosines] {
            slopes.clear();
            slopes.resize(n, T::ZERO);
        }
    }

    /// The same with buffers for its slopes.
    fn cut_with_slopes(
        &mut self,
        table: &Table<'_, T>,
        products: &[T],
        pair: (usize, usize),
    ) -> Option<(TokenPair<'_, T>, &mut [T], &mut [T])> {
        let m = self.cut(table, products, pair)?.m;
        let Self { dots, cosines, d_dots, d_cosines } = self;
        Some((TokenPair { dots, cosines, m }, d_dots, d_cosines))
    }
}

/// Takes from each gradient what lies along its state.
fn take_along<'a, T: Real>(
    gradients: &mut [T],
    states: &[T],
    width: usize,
    factors: impl Iterator<Item = (&'a T, &'a T)>,
) {
    let rows = gradients.chunks_mut(width.max(1)).zip(states.chunks(width.max(1)));
    for ((gradient, state), (along, scale)) in rows.zip(factors) {
        let factor = *along * *scale * *scale;
        gradient.iter_mut().zip(state).for_each(|(g, v)| *g -= factor * *v);
    }
}

fn scales<T: Real>(rows: &TokenRows<'_, T>) -> Vec<T> {
    let scale = |square: T| if square > T::of(SMALLEST_SQUARE) { T::ONE / square.sqrt() } else { T::ZERO };
    rows.squares().into_iter().map(scale).collect()
}

fn matrix<T: Real>(values: &[T], width: usize) -> Result<Tensor> {
    Ok(Tensor::from_slice(values, (values.len() / width.max(1), width), &Device::Cpu)?)
}

//! How much of an answer a ranking of passages holds, however documents were cut.

use std::ops::Range;

use polytask_core::report::Interval;
use polytask_eval::interval::of_mean;

use super::collection::Span;

/// Passages that are looked at.
pub(super) const DEPTH: usize = 10;
/// Words a reader takes in.
pub(super) const WORDS: usize = 200;

/// A passage and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed {
    pub(super) at: Span,
    /// The character after each of its words, counted from its first.
    pub(super) word_ends: Vec<usize>,
}

impl Placed {
    /// A passage with the places of its words.
    pub(super) fn new(document: usize, chars: Range<usize>, text: &str) -> Self {
        let (mut word_ends, mut n, mut is_word) = (Vec::new(), 0, false);
        for letter in text.chars() {
            if letter.is_whitespace() && is_word {
                word_ends.push(n);
            }
            is_word = !letter.is_whitespace();
            n += 1;
        }
        if is_word {
            word_ends.push(n);
        }
        Self { at: Span { document, chars }, word_ends }
    }
}

/// What of some answers was seen so far.
struct Seen<'a> {
    answers: &'a [Span],
    chars: Vec<Vec<bool>>,
}

impl<'a> Seen<'a> {
    fn new(answers: &'a [Span]) -> Self {
        Self { answers, chars: answers.iter().map(|answer| vec![false; answer.chars.len()]).collect() }
    }

    /// The shares of answers that a place holds and none before it did, added up.
    fn read(&mut self, document: usize, place: &Range<usize>) -> f64 {
        let mut gain = 0.0;
        for (answer, seen) in self.answers.iter().zip(&mut self.chars) {
            let start = place.start.max(answer.chars.start);
            let end = place.end.min(answer.chars.end);
            if answer.document != document || start >= end {
                continue;
            }
            let own = &mut seen[start - answer.chars.start..end - answer.chars.start];
            let new = own.iter().filter(|seen| !**seen).count();
            own.fill(true);
            gain += new as f64 / answer.chars.len() as f64;
        }
        gain
    }
}

/// nDCG over the first passages: the gain of each is the share of an answer that it holds and none before it did; best is
/// every answer whole, one after the other.
pub(super) fn ndcg(ranked: &[&Placed], answers: &[Span]) -> f64 {
    let mut seen = Seen::new(answers);
    let discount = |rank: usize| 1.0 / (rank as f64 + 2.0).log2();
    let gains = ranked.iter().take(DEPTH).enumerate();
    let gained: f64 = gains.map(|(rank, at)| seen.read(at.at.document, &at.at.chars) * discount(rank)).sum();
    let best: f64 = (0..answers.len().min(DEPTH)).map(discount).sum();
    gained / best
}

/// The share of all answers that stands in the first words of a ranking.
pub(super) fn recall(ranked: &[&Placed], answers: &[Span]) -> f64 {
    let (mut seen, mut left, mut gained) = (Seen::new(answers), WORDS, 0.0);
    for placed in ranked {
        let n = placed.word_ends.len().min(left);
        let Some(last) = n.checked_sub(1) else { continue };
        let Range { start, .. } = placed.at.chars;
        gained += seen.read(placed.at.document, &(start..start + placed.word_ends[last]));
        left -= n;
        if left == 0 {
            break;
        }
    }
    gained / answers.len() as f64
}

/// How much larger the values of one way are than those of another, query by query, with its 95 % interval.
pub(super) fn difference(a: &[f64], b: &[f64]) -> Option<Interval> {
    of_mean(a.iter().zip(b).map(|(a, b)| a - b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placed(document: usize, chars: Range<usize>) -> Placed {
        Placed::new(document, chars.clone(), &"abcd ".repeat(chars.len() / 5))
    }

    #[test]
    fn a_whole_answer_at_the_first_rank_is_best_and_what_was_seen_counts_once() {
        let answers = [Span { document: 1, chars: 100..200 }];
        let (whole, half) = (placed(1, 100..200), placed(1, 100..150));
        assert_eq!(ndcg(&[&whole], &answers), 1.0);
        assert_eq!(ndcg(&[&half, &half], &answers), 0.5);
        let second = ndcg(&[&half, &whole], &answers);
        assert!((second - (0.5 + 0.5 / 3.0_f64.log2())).abs() < 1e-12);
        assert_eq!(ndcg(&[&placed(0, 100..200), &placed(1, 200..300)], &answers), 0.0);
        let two = [answers[0].clone(), Span { document: 2, chars: 0..10 }];
        assert!(ndcg(&[&whole], &two) < 1.0 && ndcg(&[&whole, &placed(2, 0..10)], &two) == 1.0);
    }

    #[test]
    fn recall_ends_after_so_many_words_within_a_passage() {
        let answers = [Span { document: 0, chars: 1000..2000 }];
        let (other, own) = (placed(0, 0..500), placed(0, 1000..2000));
        assert_eq!(other.word_ends[..2], [4, 9]);
        // A hundred words are read of what answers: all but the space after the last.
        let found = recall(&[&other, &own], &answers);
        assert!((found - 0.499).abs() < 1e-12, "{found}");
        assert!((recall(&[&own], &answers) - 0.999).abs() < 1e-12);
    }
}

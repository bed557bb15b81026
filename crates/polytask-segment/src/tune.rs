//! A threshold chosen on documents whose segments are known.

/// A place between two sentences: how likely a boundary is there, and whether one is.
pub type ScoredPlace = (f64, bool);

/// The threshold above which a score is a boundary so that F1 is best, and that F1; `n_true` boundaries are there in all,
/// also where no score could find them. Of equally good ones the highest; `None` without places or boundaries.
pub fn best_threshold(mut places: Vec<ScoredPlace>, n_true: usize) -> Option<(f64, f64)> {
    places.retain(|(score, _)| score.is_finite());
    places.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut best, mut hits) = (None::<(f64, f64)>, 0);
    for (at, &(score, is_true)) in places.iter().enumerate() {
        hits += usize::from(is_true);
        let next = places.get(at + 1).map(|next| next.0);
        if next == Some(score) {
            continue;
        }
        let f1 = 2.0 * hits as f64 / (at + 1 + n_true) as f64;
        if hits > 0 && best.is_none_or(|(_, best)| f1 > best) {
            // Half-way, so that scores a little off on other documents fall on the right side.
            best =
                Some((next.map_or(score - score.abs() * 0.5 - 1e-9, |next| f64::midpoint(score, next)), f1));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_threshold_lies_half_way_below_the_last_place_it_takes() {
        let places = vec![(0.9, true), (0.2, false), (0.7, true), (0.5, false), (0.4, true)];
        let (threshold, f1) = best_threshold(places, 4).unwrap();
        assert!((threshold - 0.3).abs() < 1e-12 && (f1 - 6.0 / 8.0).abs() < 1e-12, "{threshold} {f1}");
        assert_eq!(best_threshold(vec![(0.5, false)], 0), None);
        let all = best_threshold(vec![(0.5, true), (0.5, true)], 2).unwrap();
        assert!(all.0 < 0.5 && all.1 == 1.0);
        assert_eq!(best_threshold(vec![(f64::NAN, true)], 1), None);
    }
}

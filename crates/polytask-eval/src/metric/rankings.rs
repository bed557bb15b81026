//! nDCG, MAP, MRR, recall, precision and their kin of ranked lists, cut at k or whole.
//!
//! Reference: `trec_eval` through `pytrec_eval`: `ndcg_cut` (linear gain, log₂(rank + 1) discount), `map_cut`
//! (divided by all relevant passages), `recip_rank` of the first k, `recall`. Equal scores are ordered by
//! passage id, descending, as there. A query without a known relevant passage is left out of the mean.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::{Metric, PreparedMetric, Unit, info, ratio};
use crate::predictions::{Predictions, Ranking};

/// Normalised discounted cumulative gain.
pub(super) static NDCG: Metric = Metric {
    info: info("ndcg@k", "nDCG@k", "Discounted gain of the first k passages over the best possible."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval ndcg_cut",
    prepare: |predictions, k| per_query(predictions, k, ndcg),
};

/// Mean average precision.
pub(super) static MAP: Metric = Metric {
    info: info(
        "map@k",
        "MAP@k",
        "Mean over relevant passages of the precision at their rank, in the first k.",
    ),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval map_cut",
    prepare: |predictions, k| per_query(predictions, k, average_precision),
};

/// Mean average precision over the whole list.
pub(super) static MAP_WHOLE: Metric = Metric {
    info: info(
        "map",
        "MAP",
        "Mean over relevant passages of the precision at their rank, in the first 1,000.",
    ),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval map",
    prepare: |predictions, _| per_query(predictions, usize::MAX, average_precision),
};

/// Whether one of the first passages is relevant.
pub(super) static HIT: Metric = Metric {
    info: info("hit@k", "Hit@k", "Share of the queries with a relevant passage among the first k."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval success",
    prepare: |predictions, k| per_query(predictions, k, hit),
};

/// Precision.
pub(super) static PRECISION: Metric = Metric {
    info: info("precision@k", "Precision@k", "Share of the first k passages that are relevant."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval P",
    prepare: |predictions, k| per_query(predictions, k, precision),
};

/// Precision at as many passages as are relevant.
pub(super) static R_PRECISION: Metric = Metric {
    info: info("r-precision", "R-precision", "Precision of as many first passages as are relevant."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval Rprec",
    prepare: |predictions, _| per_query(predictions, usize::MAX, r_precision),
};

/// Precision of the first k, over the best that is possible.
pub(super) static RP: Metric = Metric {
    info: info(
        "rp@k",
        "RP@k",
        "Relevant passages among the first k, over k or all relevant ones where these are fewer.",
    ),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "WorkRB RP@k",
    prepare: |predictions, k| per_query(predictions, k, rp),
};

/// Mean reciprocal rank.
pub(super) static MRR: Metric = Metric {
    info: info("mrr@k", "MRR@k", "Mean of 1 / rank of the first relevant passage, 0 beyond k."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval recip_rank",
    prepare: |predictions, k| per_query(predictions, k, reciprocal_rank),
};

/// Recall.
pub(super) static RECALL: Metric = Metric {
    info: info("recall@k", "Recall@k", "Share of the relevant passages among the first k."),
    unit: Unit::Share,
    higher_is_better: true,
    reference: "pytrec_eval recall",
    prepare: |predictions, k| per_query(predictions, k, recall),
};

/// A query's grades: those of the first k passages found, and all relevant ones, falling.
struct Grades {
    found: Vec<f64>,
    relevant: Vec<f64>,
}

type Measure = fn(&Grades, usize) -> f64;

/// The value of each query; `None` = left out.
struct PerQuery(Vec<Option<f64>>);

impl PreparedMetric for PerQuery {
    fn value(&self, counts: &[u32]) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for (value, &count) in self.0.iter().zip(counts).filter_map(|(v, c)| Some((v.as_ref()?, c))) {
            sum += value * f64::from(count);
            n += f64::from(count);
        }
        ratio(sum, n, f64::NAN)
    }
}

fn per_query(predictions: &Predictions, k: usize, measure: Measure) -> Option<Box<dyn PreparedMetric>> {
    let Predictions::Rankings { rankings, ids } = predictions else { return None };
    let one = |ranking| grades(ranking, ids, k).map(|grades| measure(&grades, k));
    Some(Box::new(PerQuery(rankings.iter().map(one).collect())))
}

fn grades(ranking: &Ranking, ids: &[String], k: usize) -> Option<Grades> {
    let graded = |&&(_, grade): &&(u32, f32)| grade > 0.0;
    let by_passage: BTreeMap<u32, f64> =
        ranking.relevant.iter().filter(graded).map(|&(passage, grade)| (passage, f64::from(grade))).collect();
    let mut relevant: Vec<f64> = by_passage.values().copied().collect();
    relevant.sort_by(|a, b| b.total_cmp(a));
    let mut retrieved = ranking.retrieved.clone();
    retrieved.sort_by(|a, b| trec_order(*a, *b, ids));
    let grade = |(passage, _): &(u32, f32)| by_passage.get(passage).copied().unwrap_or(0.0);
    let found = retrieved.iter().take(k).map(grade).collect();
    (!ranking.relevant.is_empty()).then_some(Grades { found, relevant })
}

/// Falling score (NaN last), then falling id.
fn trec_order(a: (u32, f32), b: (u32, f32), ids: &[String]) -> Ordering {
    let score = |s: f32| if s.is_nan() { f32::NEG_INFINITY } else { s };
    let by_score = score(b.1).partial_cmp(&score(a.1)).unwrap_or(Ordering::Equal);
    let id = |passage: u32| ids.get(passage as usize);
    by_score.then_with(|| id(b.0).cmp(&id(a.0))).then_with(|| b.0.cmp(&a.0))
}

fn gain(grades: &[f64]) -> f64 {
    grades.iter().enumerate().map(|(i, grade)| grade / (i as f64 + 2.0).log2()).sum()
}

fn ndcg(grades: &Grades, k: usize) -> f64 {
    let best = &grades.relevant[..k.min(grades.relevant.len())];
    ratio(gain(&grades.found), gain(best), 0.0)
}

fn average_precision(grades: &Grades, _: usize) -> f64 {
    let (mut sum, mut hits) = (0.0, 0.0);
    for (i, _) in grades.found.iter().enumerate().filter(|(_, grade)| **grade > 0.0) {
        hits += 1.0;
        sum += hits / (i + 1) as f64;
    }
    ratio(sum, grades.relevant.len() as f64, 0.0)
}

fn reciprocal_rank(grades: &Grades, _: usize) -> f64 {
    grades.found.iter().position(|&grade| grade > 0.0).map_or(0.0, |i| 1.0 / (i + 1) as f64)
}

fn recall(grades: &Grades, _: usize) -> f64 {
    ratio(hits(grades), grades.relevant.len() as f64, 0.0)
}

fn hits(grades: &Grades) -> f64 {
    grades.found.iter().filter(|grade| **grade > 0.0).count() as f64
}

fn hit(grades: &Grades, _: usize) -> f64 {
    f64::from(u8::from(hits(grades) > 0.0))
}

fn precision(grades: &Grades, k: usize) -> f64 {
    hits(grades) / k as f64
}

fn r_precision(grades: &Grades, _: usize) -> f64 {
    let first = &grades.found[..grades.relevant.len().min(grades.found.len())];
    ratio(first.iter().filter(|grade| **grade > 0.0).count() as f64, grades.relevant.len() as f64, 0.0)
}

fn rp(grades: &Grades, k: usize) -> f64 {
    ratio(hits(grades), k.min(grades.relevant.len()) as f64, 0.0)
}

#[cfg(test)]
mod tests {
    use crate::predictions::{Predictions, Ranking};
    use crate::score;

    fn one(retrieved: &[(u32, f32)], relevant: &[(u32, f32)], ids: &[&str]) -> Predictions {
        let ranking = Ranking { retrieved: retrieved.to_vec(), relevant: relevant.to_vec() };
        Predictions::Rankings { rankings: vec![ranking], ids: ids.iter().map(ToString::to_string).collect() }
    }

    #[test]
    fn equal_scores_fall_by_id() {
        let tied = [(0, 1.0), (1, 1.0)];
        assert_eq!(score("mrr@10", &one(&tied, &[(1, 1.0)], &["a", "b"])).unwrap(), 1.0);
        assert_eq!(score("mrr@10", &one(&tied, &[(1, 1.0)], &["b", "a"])).unwrap(), 0.5);
        assert_eq!(score("mrr@10", &one(&tied, &[(1, 1.0)], &[])).unwrap(), 1.0);
    }

    #[test]
    fn a_query_without_known_answers_is_left_out() {
        let mut two = one(&[(0, 1.0)], &[(0, 1.0)], &[]);
        if let Predictions::Rankings { rankings, .. } = &mut two {
            rankings.push(Ranking { retrieved: vec![(1, 1.0)], relevant: vec![] });
        }
        assert_eq!(score("ndcg@10", &two).unwrap(), 1.0);
        assert!(score("ndcg@10", &one(&[], &[], &[])).unwrap().is_nan());
    }

    #[test]
    fn nothing_found_or_a_score_that_is_no_number_is_no_crash() {
        assert_eq!(score("recall@10", &one(&[], &[(0, 1.0)], &[])).unwrap(), 0.0);
        let nan_first = one(&[(0, f32::NAN), (1, -5.0)], &[(1, 1.0)], &[]);
        assert_eq!(score("mrr@10", &nan_first).unwrap(), 1.0);
    }
}

//! Planted structure: four similarity tasks on the same pairs, of which anyone can say who must hurt whom.

use std::path::Path;

use anyhow::{Context, Result};
use polytask_core::hash::text64;

use super::read::Row;
use super::sample::{pick, tsv_file};
use super::{Set, note, sick};

const HEADER: &[&str] = &["sentence1", "sentence2", "sts", "twin", "permuted", "opposite"];

/// Rows of train, valid and test.
const ROWS: [usize; 3] = [1200, 200, 600];

/// The cut: pairs of the demo's SICK with their scores as they are, once more, shuffled, and reversed.
pub(super) fn make(data: &Path) -> Result<Set> {
    let files = sick::cut(data)?.into_iter().zip(ROWS).zip(FILES);
    let file = |((rows, n), (name, about)): ((Vec<Row>, usize), (&'static str, &'static str))| {
        Ok(tsv_file(name, about, HEADER, &planted(&pick(&rows, n, sick::pair))?))
    };
    Ok(Set { folder: "planted", note: NOTE, files: files.map(file).collect::<Result<_>>()? })
}

const FILES: [(&str, &str); 3] = [
    ("train.tsv", "pairs of the set's train file"),
    ("valid.tsv", "pairs of the set's valid file"),
    ("test.tsv", "pairs of the set's test file"),
];

fn planted(rows: &[Row]) -> Result<Vec<Row>> {
    let score = |row: &Row| row[3].parse::<f64>().with_context(|| format!("score `{}`", row[3]));
    let scores = rows.iter().map(score).collect::<Result<Vec<_>>>()?;
    let shuffled = shuffled(rows, &scores);
    let row = |(i, row): (usize, &Row)| {
        let numbers = [scores[i], scores[i], shuffled[i], 6.0 - scores[i]];
        let texts = row[1..3].iter().cloned();
        // One digit, as most of the source's scores have; the reversed ones come out as they should.
        texts.chain(numbers.map(|x| format!("{}", (x * 1000.0).round() / 1000.0))).collect()
    };
    Ok(rows.iter().enumerate().map(row).collect())
}

/// The scores in the order of a hash of the pairs they belong to.
fn shuffled(rows: &[Row], scores: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&i| text64(&format!("permuted {}", sick::pair(&rows[i]))));
    order.into_iter().map(|i| scores[i]).collect()
}

const NOTE: note::Note = note::Note {
    title: "Planted conflict",
    about: "Four similarity tasks on the same pairs of SICK, for trying `polytask conflict`: `sts` has the scores as they are, \
            `twin` the same scores, `permuted` the scores of other pairs (nothing can be learned), `opposite` 6 minus the \
            score. A similarity task has no head, so `opposite` cannot be told apart from `sts` by one and must pull the \
            encoder the other way. **For non-commercial use only.**",
    credit: "Marco Marelli, Stefano Menini, Marco Baroni, Luisa Bentivogli, Raffaella Bernardi, Roberto Zamparelli: A SICK \
             cure for the evaluation of compositional distributional semantic models, LREC 2014.",
    origin: "the demo's `sick`",
    licence: note::CC_BY_NC_SA_3,
    changes: "1,200 train, 200 valid and 600 test pairs, chosen by a hash of the pair; the columns `twin`, `permuted` and \
              `opposite` were made from the scores. Texts and `sts` are as in the source.",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tasks_are_what_their_names_say() {
        let row = |i: usize| -> Row {
            vec![i.to_string(), format!("a {i}"), format!("b {i}"), format!("{}", 1.0 + (i % 9) as f64 / 2.0)]
        };
        let rows: Vec<Row> = (0..200).map(row).collect();
        let made = planted(&rows).unwrap();
        let column = |c: usize| made.iter().map(|row| row[c].parse::<f64>().unwrap()).collect::<Vec<_>>();
        let [sts, twin, permuted, opposite] = [2, 3, 4, 5].map(column);
        assert_eq!(sts, twin);
        assert!(sts.iter().zip(&opposite).all(|(a, b)| (a + b - 6.0).abs() < 1e-9));
        let sorted = |mut scores: Vec<f64>| {
            scores.sort_by(f64::total_cmp);
            scores
        };
        assert_eq!(sorted(sts.clone()), sorted(permuted.clone()));
        let same = sts.iter().zip(&permuted).filter(|(a, b)| a == b).count();
        assert!(same < 50, "{same} of 200 kept their score");
    }
}

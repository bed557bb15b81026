//! Labels whose descriptions are known vectors: the mean of each label's rows is a distorted image of its description and
//! a part of its own, with noise around it. What descriptions are worth at few rows, what made-up rows do, and what a
//! filter repairs, is known to follow from that.

use polytask_core::outputs::{largest, softmax};
use polytask_core::{Problem, Purpose, Rng};
use polytask_nn::linear_fit::bilinear::{self, BilinearData, BilinearStart};
use polytask_nn::objective::Target;
use polytask_train::Result;

use crate::paper::{OracleRequest, OracleScore, OracleScores};

/// Labels, labels that nobody learns, and values of a description.
const LABELS: usize = 8;
const UNSEEN: usize = 4;
const WIDTH: usize = 24;
/// Size of what a description does not say, and of the noise.
const OWN: f64 = 0.4;
const NOISE: f64 = 1.6;
/// Made-up rows of a label, and the share of them that is wrong.
const MADE: usize = 16;
const WRONG: f64 = 0.4;
/// Rows of a label that are judged.
const JUDGED: usize = 100;
const JUDGED_UNSEEN: usize = 50;
/// Least probability a row's label has to pass the filter.
const LEAST: f32 = 0.5;
/// How fits start, as in the independent program.
const START: BilinearStart = BilinearStart { scale: 1.0, pull: 0.02, diagonal: 0.3 };

/// Rows with their labels.
#[derive(Clone)]
struct Drawn {
    values: Vec<f32>,
    labels: Vec<u32>,
}

struct World {
    /// `[labels, width]`, those that nobody learns last.
    descriptions: Vec<f32>,
    means: Vec<f64>,
    rng: Rng,
}

/// Fits an arm on few rows and judges it on fresh ones.
///
/// # Errors
/// An arm that is none of the experiment.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let shots = request.count("shots", 1..=10_000)?;
    let mut world = World::new(request.seed);
    let (test, train) = (world.draw(0..LABELS, JUDGED), world.draw(0..LABELS, shots));
    let (unseen, made) = (world.draw(LABELS..LABELS + UNSEEN, JUDGED_UNSEEN), world.draw(0..LABELS, MADE));
    let wrong = world.spoilt(&made);
    let random = world.random();
    let known = &world.descriptions[..LABELS * WIDTH];
    let descriptions = |rows: &Drawn| accuracy(&fit(rows, known, START), &test, known);
    let of_known = match request.arm {
        "zero-shot" => cosine_accuracy(&test, known),
        "descriptions" => descriptions(&train),
        "logistic" => blind(&train, &test, &unit_vectors()),
        "random label vectors" => blind(&train, &test, &random),
        "made-up rows" => descriptions(&train.with(&made)),
        "made-up rows, 40 % wrong" => descriptions(&train.with(&wrong)),
        "made-up rows, wrong, filtered" => {
            descriptions(&train.with(&passing(&fit(&train, known, START), &wrong, known)))
        }
        other => return Err(Problem::new(format!("no arm `{other}` of this world")).into()),
    };
    let score = |task, value| OracleScore { task, metric: "accuracy", value };
    let mut tasks = vec![score("known labels", of_known)];
    if request.arm == "descriptions" {
        let later = &world.descriptions[LABELS * WIDTH..];
        let mut asked = unseen;
        asked.labels.iter_mut().for_each(|label| *label -= LABELS as u32);
        tasks.push(score("unseen labels", accuracy(&fit(&train, known, START), &asked, later)));
    }
    Ok(OracleScores { tasks, measured: Vec::new(), steps: 1 })
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, Purpose::Method, &[5]);
        let n = LABELS + UNSEEN;
        let root = (WIDTH as f64).sqrt();
        let descriptions: Vec<f64> = (0..n * WIDTH).map(|_| 3.0 * rng.normal() / root).collect();
        let image: Vec<f64> = (0..WIDTH * WIDTH)
            .map(|i| f64::from(u8::from(i % (WIDTH + 1) == 0)) + 0.5 * rng.normal() / root)
            .collect();
        let mean = |description: &[f64], rng: &mut Rng| -> Vec<f64> {
            let row = |i: usize| description.iter().zip(&image[i * WIDTH..]).map(|(d, a)| d * a).sum::<f64>();
            (0..WIDTH).map(|i| row(i) + OWN * rng.normal()).collect()
        };
        let means = descriptions.chunks(WIDTH).flat_map(|d| mean(d, &mut rng)).collect();
        Self { descriptions: descriptions.iter().map(|v| *v as f32).collect(), means, rng }
    }

    fn draw(&mut self, labels: std::ops::Range<usize>, n: usize) -> Drawn {
        let mut drawn = Drawn { values: Vec::new(), labels: Vec::new() };
        for label in labels {
            for _ in 0..n {
                let mean = &self.means[label * WIDTH..(label + 1) * WIDTH];
                drawn.values.extend(mean.iter().map(|m| (m + NOISE * self.rng.normal()) as f32));
                drawn.labels.push(label as u32);
            }
        }
        drawn
    }

    /// The same rows, a share of them with another label.
    fn spoilt(&mut self, rows: &Drawn) -> Drawn {
        let mut spoilt = rows.clone();
        for label in &mut spoilt.labels {
            if self.rng.uniform() < WRONG {
                *label = (*label + 1 + self.rng.below(LABELS - 1) as u32) % LABELS as u32;
            }
        }
        spoilt
    }

    fn random(&mut self) -> Vec<f32> {
        (0..LABELS * WIDTH).map(|_| self.rng.normal() as f32).collect()
    }
}

impl Drawn {
    fn with(&self, other: &Self) -> Self {
        let values = [&self.values[..], &other.values].concat();
        Self { values, labels: [&self.labels[..], &other.labels].concat() }
    }
}

fn fit(rows: &Drawn, labels: &[f32], start: BilinearStart) -> Vec<f32> {
    let target = Target::Label(rows.labels.clone());
    let weights = vec![1.0; rows.labels.len()];
    let data = BilinearData { texts: &rows.values, labels, width: WIDTH, target: &target, weights: &weights };
    data.fit(start)
}

fn scores(matrix: &[f32], rows: &Drawn, labels: &[f32]) -> Vec<f32> {
    bilinear::scores(matrix, &rows.values, labels, (WIDTH, START.scale))
}

fn accuracy(matrix: &[f32], rows: &Drawn, labels: &[f32]) -> f64 {
    share_right(&scores(matrix, rows, labels), rows)
}

fn share_right(scores: &[f32], rows: &Drawn) -> f64 {
    let n_labels = scores.len() / rows.labels.len();
    let hits = scores.chunks(n_labels).zip(&rows.labels).filter(|(row, label)| largest(row) == **label);
    hits.count() as f64 / rows.labels.len() as f64
}

/// A fit from zeros, whose label vectors say nothing of what labels mean.
fn blind(train: &Drawn, test: &Drawn, labels: &[f32]) -> f64 {
    accuracy(&fit(train, labels, BilinearStart { diagonal: 0.0, ..START }), test, labels)
}

/// A vector of its own for each label: the fit is a logistic regression.
fn unit_vectors() -> Vec<f32> {
    (0..LABELS * WIDTH).map(|i| f32::from(u8::from(i % WIDTH == i / WIDTH))).collect()
}

fn cosine_accuracy(test: &Drawn, labels: &[f32]) -> f64 {
    let unit: Vec<f32> = labels
        .chunks(WIDTH)
        .flat_map(|row| {
            let norm = row.iter().map(|v| v * v).sum::<f32>().sqrt();
            row.iter().map(move |v| v / norm)
        })
        .collect();
    let dots = |row: &[f32]| -> Vec<f32> {
        unit.chunks(WIDTH).map(|label| row.iter().zip(label).map(|(a, b)| a * b).sum()).collect()
    };
    share_right(&test.values.chunks(WIDTH).flat_map(dots).collect::<Vec<_>>(), test)
}

/// The rows whose label a fit gives first, with enough probability.
fn passing(matrix: &[f32], rows: &Drawn, labels: &[f32]) -> Drawn {
    let found = scores(matrix, rows, labels);
    let passes = |(row, label): (&[f32], u32)| largest(row) == label && softmax(row)[label as usize] >= LEAST;
    let kept: Vec<usize> = (0..rows.labels.len())
        .filter(|&i| passes((&found[i * LABELS..(i + 1) * LABELS], rows.labels[i])))
        .collect();
    Drawn {
        values: kept.iter().flat_map(|&i| rows.values[i * WIDTH..(i + 1) * WIDTH].iter().copied()).collect(),
        labels: kept.iter().map(|&i| rows.labels[i]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Mean over worlds of an arm's accuracy.
    fn mean(arm: &str, shots: f64, task: usize) -> f64 {
        let numbers = BTreeMap::from([("shots".to_owned(), shots)]);
        let of = |seed| run(&OracleRequest { arm, numbers: &numbers, seed }).unwrap().tasks[task].value;
        (1..=8).map(of).sum::<f64>() / 8.0
    }

    #[test]
    fn descriptions_win_at_few_rows_and_lose_later_as_in_the_independent_program() {
        // From xtask/parity/crosstune_mechanism.py, means of 8 worlds of another generator: .601, .535, .325, .310, .697;
        // .700, .728, .640 at 64. Worlds differ by about .03 in such a mean.
        let near = |found: f64, expected: f64| assert!((found - expected).abs() < 0.06, "{found} {expected}");
        for (arm, expected) in [
            ("zero-shot", 0.601),
            ("descriptions", 0.535),
            ("logistic", 0.325),
            ("random label vectors", 0.310),
        ] {
            near(mean(arm, 1.0, 0), expected);
        }
        near(mean("descriptions", 1.0, 1), 0.697);
        // The program's .640 of random vectors is a descent that oscillates; run to its end at a tenth of the rate it gives
        // .69 where a logistic regression gives .71.
        for (arm, expected) in [("descriptions", 0.700), ("logistic", 0.728), ("random label vectors", 0.700)]
        {
            near(mean(arm, 64.0, 0), expected);
        }
    }

    #[test]
    fn wrong_made_up_rows_hurt_and_the_filter_repairs_them() {
        let [clean, wrong, filtered] =
            ["made-up rows", "made-up rows, 40 % wrong", "made-up rows, wrong, filtered"]
                .map(|arm| mean(arm, 4.0, 0));
        assert!(clean > wrong + 0.15 && filtered > wrong + 0.15, "{clean} {wrong} {filtered}");
        assert!(filtered > mean("descriptions", 4.0, 0) - 0.01);
    }

    #[test]
    fn an_unknown_arm_is_refused() {
        let numbers = BTreeMap::from([("shots".to_owned(), 1.0)]);
        assert!(run(&OracleRequest { arm: "none", numbers: &numbers, seed: 1 }).is_err());
    }
}

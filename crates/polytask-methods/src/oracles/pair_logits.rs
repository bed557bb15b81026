//! A world in which the logit of a pair is known: what a teacher's logits add to labels, and what the form of the head caps.
//!
//! Labels are drawn from a linear map of `[u, v, |u − v|, u · v]` of two random vectors. A head of this program is fitted to
//! `(1 − α)` of the labels' loss and `α` of the distance from a teacher's logits, by full batches to the end.

use polytask_core::method::Choice;
use polytask_core::{Problem, Purpose, Rng};
use polytask_nn::distil::{self, OutputSort, Taught};
use polytask_nn::heads::{Head, PairLinear};
use polytask_nn::objective::{Target, TaskInput, gradient, output};
use polytask_nn::{Block, losses};
use polytask_train::Result;

use super::MOST_STEPS;
use super::adam::Adam;
use crate::paper::{OracleRequest, OracleScore, OracleScores};

/// Values per vector.
const WIDTH: usize = 12;
/// Features of a pair.
const FEATURES: usize = 4 * WIDTH;
/// Pairs that are tested on.
const TEST: usize = 4000;
/// Standard deviation of the true weights.
const TRUE_WEIGHT: f64 = 0.6;
/// First rate of a fit; it falls to 0.
const RATE: f64 = 0.1;
/// Penalty on the weights.
const DECAY: f64 = 1e-3;
/// Standard deviations of a teacher's noise that may be asked for.
const MOST_NOISE: f64 = 100.0;

/// Which features a head may use.
#[derive(Debug, Clone, Copy)]
enum Form {
    All,
    /// `[u, v]`.
    Apart,
    /// `u · v`.
    Product,
}

impl Form {
    fn of(number: usize) -> Self {
        [Self::All, Self::Apart, Self::Product][number]
    }

    /// Whether it uses the feature of this place.
    fn uses(self, place: usize) -> bool {
        match self {
            Self::All => true,
            Self::Apart => place < 2 * WIDTH,
            Self::Product => place >= 3 * WIDTH,
        }
    }
}

/// Pairs with their true logits and labels.
struct Pairs {
    /// First texts, then second ones, `[2 · pairs, WIDTH]`.
    vectors: Vec<f64>,
    logits: Vec<f64>,
    labels: Vec<f32>,
}

/// Fits an arm; the score is the accuracy on pairs it has not seen.
///
/// # Errors
/// An arm that is none of this world.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let n = request.count("labels", 10..=100_000)?;
    let (noise, is_fitted) =
        (request.number("spread", 0.0..=MOST_NOISE)?, request.count("fitted", 0..=1)? == 1);
    let steps = request.count("steps", 1..=MOST_STEPS)?;
    let form = Form::of(request.count("form", 0..=2)?);
    let mut rng = Rng::new(request.seed, Purpose::Method, &[25]);
    let pairs = Pairs::draw(n + TEST, &mut rng);
    let teacher: Vec<f64> = if is_fitted {
        let block = fit(&pairs, (n, steps), &vec![0.0; n], 0.0, Form::All)?;
        pairs.outputs(&block)?
    } else {
        pairs.logits.iter().map(|logit| logit + noise * rng.normal()).collect()
    };
    let accuracy = match request.arm {
        "truth" => pairs.accuracy(n, &pairs.logits),
        "teacher" => pairs.accuracy(n, &teacher),
        arm => {
            let block = fit(&pairs, (n, steps), &teacher[..n], alpha(arm)?, form)?;
            pairs.accuracy(n, &pairs.outputs(&block)?)
        }
    };
    let score = OracleScore { task: "pairs", metric: "accuracy", value: accuracy };
    Ok(OracleScores { tasks: vec![score], measured: Vec::new(), steps: steps as u64 })
}

/// The weight of the teacher in an arm.
fn alpha(arm: &str) -> Result<f64> {
    match arm {
        "labels alone" => Ok(0.0),
        "labels and teacher" => Ok(0.5),
        "teacher alone" => Ok(1.0),
        other => Err(Problem::new(format!("no arm `{other}` of this world")).into()),
    }
}

impl Pairs {
    fn draw(n: usize, rng: &mut Rng) -> Self {
        let vectors: Vec<f64> = (0..2 * n * WIDTH).map(|_| rng.normal()).collect();
        let weights: Vec<f64> = (0..FEATURES).map(|_| TRUE_WEIGHT * rng.normal()).collect();
        let mut logits: Vec<f64> = (0..n).map(|i| inner(&weights, &features(&vectors, n, i))).collect();
        let mean = logits.iter().sum::<f64>() / n as f64;
        logits.iter_mut().for_each(|logit| *logit -= mean);
        let label = |logit: &f64| f32::from(u8::from(rng.uniform() < 1.0 / (1.0 + (-logit).exp())));
        let labels = logits.iter().map(label).collect();
        Self { vectors, logits, labels }
    }

    fn len(&self) -> usize {
        self.labels.len()
    }

    /// The vectors of the first `n` pairs.
    fn first(&self, n: usize) -> Vec<f64> {
        let (first, second) = self.vectors.split_at(self.len() * WIDTH);
        [&first[..n * WIDTH], &second[..n * WIDTH]].concat()
    }

    fn outputs(&self, block: &Block<f64>) -> Result<Vec<f64>> {
        let all = self.len() as u32;
        let inputs = [(0..all).collect(), (all..2 * all).collect()];
        Ok(output(&head(), block, &self.vectors, WIDTH, &inputs)?)
    }

    /// Share of right signs beyond the first `n` pairs.
    fn accuracy(&self, n: usize, outputs: &[f64]) -> f64 {
        let right = (n..self.len()).filter(|&i| (outputs[i] > 0.0) == (self.labels[i] > 0.5)).count();
        right as f64 / (self.len() - n) as f64
    }
}

fn head() -> PairLinear {
    PairLinear { d_in: WIDTH, n_outputs: 1 }
}

/// `[u, v, |u − v|, u · v]`.
fn features(vectors: &[f64], n: usize, i: usize) -> Vec<f64> {
    let (u, v) = (&vectors[i * WIDTH..][..WIDTH], &vectors[(n + i) * WIDTH..][..WIDTH]);
    let distance = u.iter().zip(v).map(|(a, b)| (a - b).abs());
    let product = u.iter().zip(v).map(|(a, b)| a * b);
    u.iter().chain(v).copied().chain(distance).chain(product).collect()
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The head fitted to the first `n` pairs.
fn fit(
    pairs: &Pairs,
    (n, steps): (usize, usize),
    teacher: &[f64],
    alpha: f64,
    form: Form,
) -> Result<Block<f64>> {
    let loss = Taught {
        own: losses::make(&Choice::named("bce"), &[], &[])?,
        distil: distil::make(&Choice::named("logit-mse"), OutputSort::Each, "pairs")?,
        alpha,
    };
    let own = Target::Numbers { width: 1, values: pairs.labels[..n].to_vec() };
    let values = teacher.iter().map(|&logit| logit as f32).collect();
    let input = TaskInput {
        z: pairs.first(n),
        width: WIDTH,
        starts: Vec::new(),
        inputs: vec![(0..n as u32).collect(), (n as u32..2 * n as u32).collect()],
        target: Target::Taught { own: Box::new(own), width: 1, values },
        weights: Vec::new(),
    };
    let mut block: Block<f64> = head().block("pairs", 0).cast();
    block.values.fill(0.0);
    let mut adam = Adam::new(block.values.len(), RATE);
    for step in 0..steps {
        let mut slope = gradient(&head(), &block, &loss, &input)?.d_head;
        for (place, (slope, weight)) in slope.iter_mut().zip(&block.values).enumerate() {
            let is_used = place >= FEATURES || form.uses(place);
            *slope = if is_used { *slope + DECAY * weight } else { 0.0 };
        }
        adam.set_rate(RATE * (1.0 - step as f64 / steps as f64));
        adam.step(&mut block.values, &slope);
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Mean accuracy of an arm over seeds, in hundredths.
    fn mean(arm: &str, numbers: [(&str, f64); 5]) -> f64 {
        let numbers: BTreeMap<String, f64> =
            numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let one = |seed| run(&OracleRequest { arm, numbers: &numbers, seed }).unwrap().tasks[0].value;
        100.0 * (1..=5).map(one).sum::<f64>() / 5.0
    }

    /// Each figure of the independent program (`25-mechanism.json`, other draws) within two points.
    #[test]
    fn accuracies_are_those_of_the_independent_program() {
        let world = |labels: f64, noise: f64, fitted: f64, form: f64| {
            [("labels", labels), ("spread", noise), ("fitted", fitted), ("form", form), ("steps", 300.0)]
        };
        for (numbers, expected) in [
            (world(100.0, 0.0, 0.0, 0.0), [75.3, 87.0, 87.1]),
            (world(400.0, 0.0, 0.0, 0.0), [83.2, 86.9, 86.8]),
            (world(100.0, 2.0, 0.0, 0.0), [75.3, 80.7, 80.4]),
            (world(100.0, 0.0, 1.0, 0.0), [75.3, 75.2, 75.2]),
        ] {
            let found = ["labels alone", "labels and teacher", "teacher alone"].map(|arm| mean(arm, numbers));
            for (found, expected) in found.iter().zip(expected) {
                assert!((found - expected).abs() < 2.0, "{numbers:?}: {found} {expected}");
            }
            let [labels, both, _] = found;
            if numbers[2].1 > 0.0 {
                assert!((both - labels).abs() < 1.0, "a teacher of the same labels adds nothing: {found:?}");
            }
        }
    }
}

//! A world of sentences whose likeness is known: what two forms of one model gain by labelling pairs for each other.
//!
//! 300 words have true vectors, a sentence is the mean of five of them, and the likeness of two sentences is the cosine. The
//! sentence form starts from disturbed vectors; the pair form has a copy of its own, disturbed independently, and an untrained
//! scale and shift. Each labels pairs for the other, the sentence form beginning anew in every cycle.

use polytask_core::outputs::sigmoid;
use polytask_core::{Problem, Purpose, Rng};
use polytask_eval::{Predictions, score};
use polytask_train::Result;

use super::MOST_STEPS;
use super::adam::Adam;
use crate::paper::{OracleRequest, OracleScore, OracleScores};

const WORDS: usize = 300;
const WIDTH: usize = 8;
const LENGTH: usize = 5;
const TRAIN: usize = 3000;
const TEST: usize = 2000;
const BATCH: usize = 64;
const CYCLES: usize = 2;
/// Share of the second sentence's words that are words of the first.
const SHARED: f64 = 0.4;
const RATE: f64 = 0.01;
const HEAD_RATE: f64 = 0.05;
/// Factor of the cosine before the learned scale.
const SCALE: f64 = 5.0;
/// Standard deviations of a disturbance that may be asked for.
const MOST_NOISE: f64 = 100.0;

/// A sentence by its words.
type Sentence = [usize; LENGTH];
/// Two sentences.
type Pair = [Sentence; 2];

/// Word vectors, `[WORDS, WIDTH]`.
type Vectors = Vec<f64>;

/// What an arm asks after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start,
    Cross(usize),
    Bi(usize),
}

/// Spearman's correlation with the truth of what a form says at a stage.
///
/// # Errors
/// An arm that is none of this world.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let wanted = stage(request.arm)?;
    let noise = request.number("spread", 0.0..=MOST_NOISE)?;
    let (is_same, is_mutual) = (request.count("same", 0..=1)? == 1, request.count("mutual", 0..=1)? == 1);
    let is_mse = request.count("mse", 0..=1)? == 1;
    let n_steps = request.count("steps", 1..=MOST_STEPS)?;
    let mut rng = Rng::new(request.seed, Purpose::Method, &[6]);
    let truth = draws(&mut rng);
    let (train, test) = (pairs(TRAIN, &mut rng), pairs(TEST, &mut rng));
    let n = if is_mutual { 2 } else { 1 };
    let disturbed = |noise: f64, rng: &mut Rng| -> Vectors {
        truth.iter().map(|value| value + noise * rng.normal()).collect()
    };
    let starts: Vec<Vectors> = (0..n).map(|_| disturbed(1.0, &mut rng)).collect();
    let views: Vec<Vectors> =
        if is_same { starts.clone() } else { (0..n).map(|_| disturbed(noise, &mut rng)).collect() };
    let mut world = World { train, test, truth, is_mse, n_steps, rng };
    let (value, steps) = world.cycles(&starts, &views, wanted)?;
    let score = OracleScore { task: "pairs", metric: "spearman", value };
    Ok(OracleScores { tasks: vec![score], measured: Vec::new(), steps })
}

fn stage(arm: &str) -> Result<Stage> {
    Ok(match arm {
        "start" => Stage::Start,
        "pair form, cycle 1" => Stage::Cross(1),
        "sentence form, cycle 1" => Stage::Bi(1),
        "pair form, cycle 2" => Stage::Cross(2),
        "sentence form, cycle 2" => Stage::Bi(2),
        other => return Err(Problem::new(format!("no arm `{other}` of this world")).into()),
    })
}

fn draws(rng: &mut Rng) -> Vectors {
    (0..WORDS * WIDTH).map(|_| rng.normal()).collect()
}

/// Pairs whose second sentence has some of the words of the first.
fn pairs(n: usize, rng: &mut Rng) -> Vec<Pair> {
    let pair = |_| {
        let first: Sentence = std::array::from_fn(|_| rng.below(WORDS));
        let mut order: Vec<usize> = (0..LENGTH).collect();
        rng.shuffle(&mut order);
        let second =
            std::array::from_fn(|i| if rng.uniform() < SHARED { first[order[i]] } else { rng.below(WORDS) });
        [first, second]
    };
    (0..n).map(pair).collect()
}

/// A sentence's vector.
fn mean(vectors: &[f64], sentence: &Sentence) -> [f64; WIDTH] {
    std::array::from_fn(|d| {
        sentence.iter().map(|word| vectors[word * WIDTH + d]).sum::<f64>() / LENGTH as f64
    })
}

fn inner(a: &[f64; WIDTH], b: &[f64; WIDTH]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cosine(vectors: &[f64], [a, b]: &Pair) -> f64 {
    let (a, b) = (mean(vectors, a), mean(vectors, b));
    inner(&a, &b) / (inner(&a, &a) * inner(&b, &b)).sqrt().max(1e-12)
}

fn cosines(vectors: &[f64], pairs: &[Pair]) -> Vec<f64> {
    pairs.iter().map(|pair| cosine(vectors, pair)).collect()
}

/// Adds `slope` times the cosine's derivative by the word vectors.
fn add_slope(vectors: &[f64], [a, b]: &Pair, slope: f64, to: &mut [f64]) {
    let (u, v) = (mean(vectors, a), mean(vectors, b));
    let (uu, vv, uv) = (inner(&u, &u), inner(&v, &v), inner(&u, &v));
    let length = (uu * vv).sqrt().max(1e-12);
    for (sentence, own, other, square) in [(a, &u, &v, uu), (b, &v, &u, vv)] {
        for word in sentence {
            for d in 0..WIDTH {
                let along = other[d] / length - uv / length * own[d] / square.max(1e-12);
                to[word * WIDTH + d] += slope * along / LENGTH as f64;
            }
        }
    }
}

/// The pair form: vectors of its own, a scale and a shift.
struct CrossForm {
    vectors: Vectors,
    head: [f64; 2],
}

impl CrossForm {
    fn logit(&self, cosine: f64) -> f64 {
        self.head[0] * SCALE * cosine + self.head[1]
    }

    fn shares(&self, pairs: &[Pair]) -> Vec<f64> {
        let share = |cosine: f64| 1.0 / (1.0 + (-self.logit(cosine)).exp());
        cosines(&self.vectors, pairs).into_iter().map(share).collect()
    }
}

struct World {
    train: Vec<Pair>,
    test: Vec<Pair>,
    truth: Vectors,
    /// Whether the pair form learns by the squared error of its shares.
    is_mse: bool,
    /// Steps of each training.
    n_steps: usize,
    rng: Rng,
}

impl World {
    /// The wanted stage's score, and the steps taken to it.
    fn cycles(&mut self, starts: &[Vectors], views: &[Vectors], wanted: Stage) -> Result<(f64, u64)> {
        let mut steps = 0;
        if wanted == Stage::Start {
            return Ok((self.agrees(&cosines(&starts[0], &self.test))?, steps));
        }
        let mut labels: Vec<Vec<f64>> = starts.iter().map(|start| cosines(start, &self.train)).collect();
        for cycle in 1..=CYCLES {
            let targets = average(&labels);
            let crosses: Vec<CrossForm> = views.iter().map(|view| self.cross(view, &targets)).collect();
            steps += (self.n_steps * crosses.len()) as u64;
            if wanted == Stage::Cross(cycle) {
                return Ok((self.agrees(&crosses[0].shares(&self.test))?, steps));
            }
            let said: Vec<Vec<f64>> = crosses.iter().map(|cross| cross.shares(&self.train)).collect();
            let targets = average(&said);
            let forms: Vec<Vectors> = starts.iter().map(|start| self.bi(start, &targets)).collect();
            steps += (self.n_steps * forms.len()) as u64;
            if wanted == Stage::Bi(cycle) {
                return Ok((self.agrees(&cosines(&forms[0], &self.test))?, steps));
            }
            labels = forms.iter().map(|form| cosines(form, &self.train)).collect();
        }
        Err(Problem::new("a stage beyond the last cycle").into())
    }

    /// Spearman's correlation with the truth on pairs that nobody learnt from.
    fn agrees(&self, said: &[f64]) -> Result<f64> {
        let truth = cosines(&self.truth, &self.test);
        let both = Predictions::Numbers { width: 1, truth, predicted: said.to_vec() };
        Ok(score("spearman", &both)?)
    }

    /// The pair form trained on labels.
    fn cross(&mut self, view: &[f64], targets: &[f64]) -> CrossForm {
        let mut form = CrossForm { vectors: view.to_vec(), head: [1.0, 0.0] };
        let (mut adam, mut head_adam) = (Adam::new(view.len(), RATE), Adam::new(2, HEAD_RATE));
        for _ in 0..self.n_steps {
            let (mut slopes, mut of_head) = (vec![0.0; view.len()], [0.0; 2]);
            for _ in 0..BATCH {
                let i = self.rng.below(TRAIN);
                let cosine = cosine(&form.vectors, &self.train[i]);
                let share = f64::from(sigmoid(form.logit(cosine) as f32));
                let miss = (share - targets[i]) / BATCH as f64;
                let slope = if self.is_mse { 2.0 * miss * share * (1.0 - share) } else { miss };
                of_head[0] += slope * SCALE * cosine;
                of_head[1] += slope;
                add_slope(&form.vectors, &self.train[i], slope * SCALE * form.head[0], &mut slopes);
            }
            adam.step(&mut form.vectors, &slopes);
            head_adam.step(&mut form.head, &of_head);
        }
        form
    }

    /// The sentence form trained on labels, from its start.
    fn bi(&mut self, start: &[f64], targets: &[f64]) -> Vectors {
        let mut vectors = start.to_vec();
        let mut adam = Adam::new(start.len(), RATE);
        for _ in 0..self.n_steps {
            let mut slopes = vec![0.0; start.len()];
            for _ in 0..BATCH {
                let i = self.rng.below(TRAIN);
                let miss = cosine(&vectors, &self.train[i]) - targets[i];
                add_slope(&vectors, &self.train[i], 2.0 * miss / BATCH as f64, &mut slopes);
            }
            adam.step(&mut vectors, &slopes);
        }
        vectors
    }
}

/// The mean of several lists of labels, between 0 and 1.
fn average(all: &[Vec<f64>]) -> Vec<f64> {
    let mean = |i: usize| all.iter().map(|values| values[i]).sum::<f64>() / all.len() as f64;
    (0..all[0].len()).map(|i| mean(i).clamp(0.0, 1.0)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn mean_of(arm: &str, [noise, same, mutual]: [f64; 3]) -> f64 {
        let numbers = [("spread", noise), ("same", same), ("mutual", mutual), ("mse", 0.0), ("steps", 300.0)];
        let numbers: BTreeMap<String, f64> =
            numbers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let one = |seed| run(&OracleRequest { arm, numbers: &numbers, seed }).unwrap().tasks[0].value;
        100.0 * (1..=4).map(one).sum::<f64>() / 4.0
    }

    #[test]
    fn the_slope_of_a_cosine_is_its_difference() {
        let mut rng = Rng::new(1, Purpose::Method, &[6]);
        let (vectors, pair) = (draws(&mut rng), pairs(1, &mut rng)[0]);
        let mut slopes = vec![0.0; vectors.len()];
        add_slope(&vectors, &pair, 1.0, &mut slopes);
        for at in [pair[0][0] * WIDTH, pair[1][2] * WIDTH + 3] {
            let moved = |h: f64| {
                let mut vectors = vectors.clone();
                vectors[at] += h;
                cosine(&vectors, &pair)
            };
            assert!((slopes[at] - (moved(1e-6) - moved(-1e-6)) / 2e-6).abs() < 1e-7);
        }
    }

    /// The gains of the independent program (`06-mechanism.json`, other draws) within 1.5 points, and its signs.
    #[test]
    fn gains_are_those_of_the_independent_program() {
        for (world, cross, bi) in [
            ([1.0, 0.0, 0.0], 2.7, 0.7),
            ([1.0, 1.0, 0.0], -0.1, -0.9),
            ([1.0, 0.0, 1.0], 4.1, 0.9),
            ([2.0, 0.0, 0.0], -16.2, -1.9),
            ([0.5, 0.0, 0.0], 17.3, 2.9),
        ] {
            let start = mean_of("start", world);
            let gains =
                ["pair form, cycle 1", "sentence form, cycle 1"].map(|arm| mean_of(arm, world) - start);
            let tolerance = if world[0] == 1.0 { 1.5 } else { 3.0 };
            assert!(
                (gains[0] - cross).abs() < tolerance && (gains[1] - bi).abs() < 1.5,
                "{world:?}: {gains:?}"
            );
            assert_eq!(gains[1] > 0.0, bi > 0.0, "{world:?}: {gains:?}");
        }
    }
}

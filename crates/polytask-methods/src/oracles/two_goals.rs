//! A world of texts that two tasks look at in two ways: how alike their fine parts are (graded), and which documents share
//! a query's topic. One small encoder serves both, told the task by a flag or not, trained by the losses of this program.

use polytask_core::method::Choice;
use polytask_core::{Problem, Purpose, Rng};
use polytask_eval::{Predictions, score};
use polytask_nn::Block;
use polytask_nn::heads::{Cosine, Head};
use polytask_nn::losses::{self, LossFn};
use polytask_nn::objective::{Relation, Target, TaskInput, UNKNOWN, gradient};
use polytask_train::Result;
use serde_json::{Value, json};

use super::MOST_STEPS;
use super::mlp::SmallEncoder;
use crate::paper::{OracleRequest, OracleScore, OracleScores};

/// Values of the fine part, the topic and what matters to no task.
const FINE: usize = 8;
const TOPIC: usize = 4;
const NOISE: usize = 12;
/// Rows to train on, rows and documents to test on, rows of a step.
const TRAIN: usize = 4000;
const TEST: usize = 1000;
const BATCH: usize = 32;
/// Least score of a pair that counts as an answer where one loss serves both tasks.
const ANSWER: f64 = 0.8;

type Text = Vec<f64>;

/// Pairs with the likeness of their fine parts, and queries with documents of their topic.
struct Rows {
    pairs: Vec<(Text, Text, f64)>,
    queries: Vec<(Text, Text)>,
}

/// What a step asks of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Likeness,
    Search,
}

/// A part of a step: texts of a task and the loss on them.
struct Part {
    goal: Goal,
    loss: Box<dyn LossFn>,
    form: Form,
}

/// How a task's rows become a loss's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Pairs with scores.
    Scores,
    /// Every first text against all second ones.
    Answers,
}

/// Trains an arm; similarity is Spearman's correlation, search the mean reciprocal rank among all documents.
///
/// # Errors
/// An arm that is none of this world.
pub(crate) fn run(request: &OracleRequest) -> Result<OracleScores> {
    let steps = request.count("steps", 0..=MOST_STEPS)? as u64;
    let mut rng = Rng::new(request.seed, Purpose::Method, &[15]);
    let (top, is_told) = (request.number("top", 0.1..=1.0)?, request.count("told", 0..=1)? == 1);
    let (train, test) = (Rows::new(TRAIN, top, &mut rng), Rows::new(TEST, top, &mut rng));
    let plan = plan(request.arm)?;
    let d_in = FINE + TOPIC + NOISE + 2;
    let mut world = World { encoder: SmallEncoder::new((d_in, 48, 8), 3e-3, &mut rng), is_told };
    let n_steps = steps * plan.len() as u64;
    for step in 0..n_steps {
        world.step(&train, &plan[step as usize % plan.len()], &mut rng)?;
    }
    Ok(OracleScores { tasks: world.scores(&test)?, steps: n_steps, ..OracleScores::default() })
}

/// The steps of an arm, taken in turn; each adds up its parts.
fn plan(arm: &str) -> Result<Vec<Vec<Part>>> {
    let order = |pearson: f64, pro: f64, rank_kl: f64| {
        part(
            Goal::Likeness,
            Form::Scores,
            &json!({"name": "order", "pearson": pearson, "pro": pro, "rank_kl": rank_kl}),
        )
    };
    let (all, search) =
        (|| order(2.0, 0.5, 5.0), || part(Goal::Search, Form::Answers, &json!({"name": "info-nce"})));
    let cosent = |goal| part(goal, Form::Scores, &json!({"name": "cosent"}));
    let in_turn = |a: Result<Part>, b: Result<Part>| Ok(vec![vec![a?], vec![b?]]);
    match arm {
        "similarity only" => Ok(vec![vec![all()?]]),
        "search only" => Ok(vec![vec![search()?]]),
        "InfoNCE for both" => {
            in_turn(part(Goal::Likeness, Form::Answers, &json!({"name": "info-nce"})), search())
        }
        "CoSENT for both" => in_turn(cosent(Goal::Likeness), cosent(Goal::Search)),
        "a loss each" => in_turn(all(), search()),
        "both in every step" => Ok(vec![vec![all()?, search()?]]),
        "minus Pearson" => in_turn(order(0.0, 0.5, 5.0), search()),
        "minus PRO" => in_turn(order(2.0, 0.0, 5.0), search()),
        "minus RankKL" => in_turn(order(2.0, 0.5, 0.0), search()),
        other => Err(Problem::new(format!("no arm `{other}` of this world")).into()),
    }
}

fn part(goal: Goal, form: Form, loss: &Value) -> Result<Part> {
    let choice = Choice::from_json(loss).expect("the losses of this world are written out here");
    Ok(Part { goal, form, loss: losses::make(&choice, &[], &[])? })
}

impl Rows {
    /// `n` pairs whose fine parts correlate by up to `top`, and as many queries.
    fn new(n: usize, top: f64, rng: &mut Rng) -> Self {
        let (mut pairs, mut queries) = (Vec::new(), Vec::new());
        for _ in 0..n {
            let (fine, share) = (draws(FINE, rng), top * rng.uniform());
            let other = draws(FINE, rng);
            let near: Text =
                fine.iter().zip(&other).map(|(a, b)| share * a + (1.0 - share * share).sqrt() * b).collect();
            let likeness = cosine(&fine, &near).clamp(0.0, 1.0);
            let mut of_fine = |fine: Text| [fine, draws(TOPIC, rng), draws(NOISE, rng)].concat();
            pairs.push((of_fine(fine), of_fine(near), likeness));
            let topic = draws(TOPIC, rng);
            let mut about = || {
                let own = draws(TOPIC, rng).into_iter().zip(&topic).map(|(r, t)| t + 0.2 * r).collect();
                [draws(FINE, rng), own, draws(NOISE, rng)].concat()
            };
            queries.push((about(), about()));
        }
        Self { pairs, queries }
    }
}

struct World {
    encoder: SmallEncoder,
    /// Whether a text says which task asks.
    is_told: bool,
}

impl World {
    /// A text with its flag, as the encoder reads it.
    fn told(&self, text: &[f64], goal: Goal) -> Text {
        let flag = |of: Goal| if self.is_told && goal == of { 1.0 } else { 0.0 };
        [text, &[flag(Goal::Likeness), flag(Goal::Search)]].concat()
    }

    fn step(&mut self, train: &Rows, parts: &[Part], rng: &mut Rng) -> Result<()> {
        let mut sum = Vec::new();
        for part in parts {
            let gradient = self.part_gradient(train, part, rng)?;
            sum.resize(gradient.len(), 0.0);
            sum.iter_mut().zip(&gradient).for_each(|(s, g)| *s += g);
        }
        self.encoder.step(&sum);
        Ok(())
    }

    fn part_gradient(&self, train: &Rows, part: &Part, rng: &mut Rng) -> Result<Vec<f64>> {
        let rows: Vec<usize> = (0..BATCH).map(|_| rng.below(TRAIN)).collect();
        let pair = |&i: &usize| match part.goal {
            Goal::Likeness => (&train.pairs[i].0, &train.pairs[i].1, train.pairs[i].2),
            Goal::Search => (&train.queries[i].0, &train.queries[i].1, 1.0),
        };
        let mut pairs: Vec<(&Text, &Text, f64)> = rows.iter().map(pair).collect();
        if part.goal == Goal::Search && part.form == Form::Scores {
            // Each query with the document of the row before it, which is none of its own.
            let others: Vec<_> =
                (0..BATCH).map(|i| (pairs[i].0, pairs[(i + BATCH - 1) % BATCH].1, 0.0)).collect();
            pairs.extend(others);
        }
        let texts: Vec<Text> = pairs
            .iter()
            .map(|(a, ..)| a)
            .chain(pairs.iter().map(|(_, b, _)| b))
            .map(|text| self.told(text, part.goal))
            .collect();
        let n = pairs.len() as u32;
        let input = TaskInput {
            z: self.encoder.encode(&texts),
            width: self.encoder.width(),
            starts: Vec::new(),
            inputs: vec![(0..n).collect(), (n..2 * n).collect()],
            target: target(part.form, &pairs),
            weights: Vec::new(),
        };
        let head = Cosine { d_in: input.width };
        let block: Block<f64> = head.block("oracle", 0).cast();
        let found = gradient(&head, &block, &*part.loss, &input)?;
        Ok(self.encoder.gradient(&texts, &found.d_z))
    }

    fn scores(&self, test: &Rows) -> Result<Vec<OracleScore>> {
        let vectors = |texts: Vec<&Text>, goal: Goal| -> Vec<Vec<f64>> {
            let texts: Vec<Text> = texts.into_iter().map(|text| self.told(text, goal)).collect();
            self.encoder.encode(&texts).chunks(self.encoder.width()).map(<[f64]>::to_vec).collect()
        };
        let first = vectors(test.pairs.iter().map(|pair| &pair.0).collect(), Goal::Likeness);
        let second = vectors(test.pairs.iter().map(|pair| &pair.1).collect(), Goal::Likeness);
        let said = Predictions::Numbers {
            width: 1,
            truth: test.pairs.iter().map(|pair| pair.2).collect(),
            predicted: first.iter().zip(&second).map(|(a, b)| cosine(a, b)).collect(),
        };
        let queries = vectors(test.queries.iter().map(|query| &query.0).collect(), Goal::Search);
        let documents = vectors(test.queries.iter().map(|query| &query.1).collect(), Goal::Search);
        let rank = |(i, query): (usize, &Vec<f64>)| {
            let own = cosine(query, &documents[i]);
            documents.iter().filter(|document| cosine(query, document) >= own).count().max(1) as f64
        };
        let reciprocal =
            queries.iter().enumerate().map(|row| 1.0 / rank(row)).sum::<f64>() / queries.len() as f64;
        Ok(vec![
            OracleScore { task: "similarity", metric: "spearman", value: score("spearman", &said)? },
            OracleScore { task: "search", metric: "mrr", value: reciprocal },
        ])
    }
}

/// What the outputs of some pairs should be.
fn target(form: Form, pairs: &[(&Text, &Text, f64)]) -> Target {
    match form {
        Form::Scores => {
            Target::Numbers { width: 1, values: pairs.iter().map(|(.., score)| *score as f32).collect() }
        }
        Form::Answers => {
            let answer = |(i, (.., score)): (usize, &(&Text, &Text, f64))| {
                if *score >= ANSWER { i as u32 } else { UNKNOWN }
            };
            Target::Passages {
                positive: pairs.iter().enumerate().map(answer).collect(),
                relations: vec![Relation::Negative; pairs.len() * pairs.len()],
            }
        }
    }
}

fn draws(n: usize, rng: &mut Rng) -> Text {
    (0..n).map(|_| rng.normal()).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn scores(arm: &str, steps: f64) -> Vec<f64> {
        let numbers =
            [("steps", steps), ("top", 1.0), ("told", 1.0)].map(|(name, value)| (name.to_owned(), value));
        let numbers = BTreeMap::from(numbers);
        let found = run(&OracleRequest { arm, numbers: &numbers, seed: 1 }).unwrap();
        found.tasks.iter().map(|score| score.value).collect()
    }

    #[test]
    fn a_loss_each_teaches_both_tasks_and_one_task_alone_only_its_own() {
        let (start, both) = (scores("a loss each", 0.0), scores("a loss each", 120.0));
        assert!(both[0] > start[0] + 0.2 && both[1] > 3.0 * start[1], "{start:?} {both:?}");
        let alone = scores("similarity only", 120.0);
        assert!(alone[0] > start[0] + 0.2 && alone[1] < 0.5 * both[1], "{alone:?}");
    }

    #[test]
    fn every_arm_takes_a_step() {
        for arm in ["InfoNCE for both", "CoSENT for both", "both in every step", "minus Pearson", "minus PRO"]
        {
            assert!(scores(arm, 1.0).iter().all(|score| score.is_finite()), "{arm}");
        }
        assert!(plan("none").is_err());
    }
}

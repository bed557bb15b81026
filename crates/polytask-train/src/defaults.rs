//! Settings of `[train]` that the data decide where the suite does not: how long to train, in which steps, how fast.
//!
//! They are chosen once, when the data have been read, and written into the run's `suite.toml` like any other setting.
//! Measured choices, not rules of nature: docs/defaults.md shows what they were chosen on.

use std::collections::BTreeMap;

use polytask_core::method::Choice;
use polytask_core::suite::{Schedule, Start};
use polytask_core::{Split, Suite, plural};
use polytask_data::dataset::SourceData;
use polytask_data::{Dataset, Plan, TaskData, TextId, Tokenizer};
use polytask_nn::encoder::Encoder;
use polytask_nn::tune;
use serde_json::json;

use crate::Result;
use crate::prepared::is_fresh;
use crate::scales;

/// Rows of a step, per source.
const BATCH_ROWS: usize = 32;
/// Peak rate of the trunk under heads that fit already: three times as much lost what the probe knew.
const LR: f64 = 1e-4;
/// The same where tasks tag words: their heads start small, and more than a direction of a sentence has to change.
const LR_OF_WORDS: f64 = 2e-4;
/// Rows of the largest source that training wants to see in all, and how often it sees each at least and at most.
const VISITS: f64 = 24_000.0;
const FEWEST_EPOCHS: f64 = 1.0;
const MOST_EPOCHS: f64 = 8.0;
/// How many times the usual number of passes a given time may give a fresh network.
const FIT_EPOCHS: f64 = 4.0;
/// Steps taken however few the rows are.
const FEWEST_STEPS: f64 = 36.0;
/// Share of a given time that goes to reading, probes, evaluations and intervals.
const OVERHEAD: f64 = 0.15;
/// Evaluations after the last step: of weights between it and the probes, and of those that are kept.
const LAST_EVALUATIONS: u64 = 4;
/// Tokens a joint training reads at most unless somebody says how long it may take: about six minutes of a small encoder
/// on two cores, and as much again for the single-task models.
const MOST_TOKENS: f64 = 2e6;
/// Evaluations on valid beside the one before the first step, and the share of the training's work they may take.
const EVALUATIONS: u64 = 6;
const EVALUATION_SHARE: f64 = 0.3;

/// Seconds that parts of a run take.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    /// A joint step.
    pub(crate) step: f64,
    /// A step of each single-task training, together; 0 where there is none.
    pub(crate) steps_alone: f64,
    /// An evaluation on valid by the joint training, and by the single-task trainings together.
    pub(crate) looks: f64,
}

/// A setting that was chosen, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The key of `[train]`.
    pub key: &'static str,
    /// Its value, as a suite file would have it.
    pub value: String,
    /// The reason, in words.
    pub why: String,
}

/// Fills the open keys of a suite; what was chosen, in the order it was.
pub fn choose(suite: &mut Suite, dataset: &Dataset, encoder: &Encoder) -> Result<Vec<Chosen>> {
    let open = std::mem::take(&mut suite.train.open);
    let mut chosen = Vec::new();
    for &(key, choose) in CHOICES.iter().filter(|(key, _)| open.contains(key)) {
        let found = choose(suite, (dataset, encoder))?;
        chosen.extend(found.map(|Reasoned { value, why }| Chosen { key, value, why }));
    }
    Ok(chosen)
}

/// As [`choose`], before any encoder is there: lengths are those of the small tokenizer.
pub fn preview(suite: &mut Suite) -> Result<Vec<Chosen>> {
    if suite.train.open.is_empty() {
        return Ok(Vec::new());
    }
    let dataset = polytask_data::build(suite, &Tokenizer::tiny())?;
    choose(suite, &dataset, &Encoder::tiny(polytask_data::TINY_VOCAB, suite.seed)?)
}

/// Plans the steps of a suite to the time it may take, from what its parts take.
///
/// Evaluations are planned, too, unless the suite says how often (`plans_evaluations` is false).
pub(crate) fn plan_time(
    suite: &mut Suite,
    dataset: &Dataset,
    (seconds, pace): (f64, Pace),
    plans_evaluations: bool,
) -> Vec<Chosen> {
    let free = seconds * (1.0 - OVERHEAD);
    let looks = EVALUATION_SHARE * free / pace.looks.max(1e-6);
    let evaluations = (looks as u64).saturating_sub(LAST_EVALUATIONS).clamp(1, EVALUATIONS);
    let looks = pace.looks * (evaluations + LAST_EVALUATIONS) as f64;
    let affordable = ((free - looks) / (pace.step + pace.steps_alone)).floor().max(1.0);
    let steps = affordable.min(most_steps(suite, dataset));
    suite.train.steps = Some(steps as u64);
    let passes = steps * MeanStep::of(suite, dataset).rows / largest(dataset).max(1.0);
    let planned = steps * (pace.step + pace.steps_alone) + looks + seconds * OVERHEAD;
    let spared = if steps < affordable { " (more would only fit its rows)" } else { "" };
    let late = if planned > 1.5 * seconds { format!(", rather {planned:.0} s") } else { String::new() };
    let why = format!(
        "{passes:.1} passes over the largest source{spared} in {seconds:.0} s{late}; a joint step takes {:.2} s, one of every \
         single-task model {:.2} s, an evaluation by all {:.2} s",
        pace.step, pace.steps_alone, pace.looks
    );
    let mut chosen = vec![Chosen { key: "steps", value: steps.to_string(), why }];
    if plans_evaluations {
        suite.train.eval_every = (steps as u64).div_ceil(evaluations).max(1);
        let why = format!("{} beside the first", plural(evaluations as usize, "evaluation"));
        chosen.push(Chosen { key: "eval_every", value: suite.train.eval_every.to_string(), why });
    }
    chosen
}

/// Steps beyond which a network that starts from nothing only fits the rows it has seen so often.
fn most_steps(suite: &Suite, dataset: &Dataset) -> f64 {
    let Some(fresh) = suite.input().fresh.filter(|_| is_fresh(suite)) else { return f64::INFINITY };
    (FIT_EPOCHS * fresh.most_epochs * largest(dataset) / MeanStep::of(suite, dataset).rows.max(1.0)).ceil()
}

/// A value and its reason.
struct Reasoned {
    value: String,
    why: String,
}

type Data<'a> = (&'a Dataset, &'a Encoder);

type Choose = fn(&mut Suite, Data) -> Result<Option<Reasoned>>;

/// How each open key is chosen, later ones on top of earlier ones.
const CHOICES: &[(&str, Choose)] = &[
    ("batch_rows", |suite, _| Ok(Some(batch_rows(suite)))),
    ("lr", |suite, _| Ok(Some(lr(suite)))),
    ("schedule", |suite, _| Ok(schedule(suite))),
    ("steps", |suite, (dataset, _)| Ok(Some(steps(suite, dataset)))),
    ("eval_every", |suite, (dataset, _)| Ok(Some(eval_every(suite, dataset)))),
    ("weighting", weighting),
];

fn reasoned(value: &impl ToString, why: impl Into<String>) -> Reasoned {
    Reasoned { value: value.to_string(), why: why.into() }
}

fn batch_rows(suite: &mut Suite) -> Reasoned {
    suite.train.batch_rows = Some(BATCH_ROWS);
    reasoned(&BATCH_ROWS, "rows per source and step: small steps, so that little data give many of them")
}

fn lr(suite: &mut Suite) -> Reasoned {
    if let Some(lr) = tune::lr(&suite.model.tune) {
        suite.train.lr = lr;
        return reasoned(&lr, "adapters have further to go than weights that are there already");
    }
    let tag_words = suite.tasks.iter().any(|task| task.kind.tags_words());
    if tag_words && suite.train.start == Start::Probe {
        suite.train.lr = LR_OF_WORDS;
        return reasoned(
            &LR_OF_WORDS,
            "tasks that tag words: their heads point the right way, but start small",
        );
    }
    suite.train.lr = LR;
    reasoned(&LR, "heads fit before the first step, so the encoder may move at once, but not far")
}

fn schedule(suite: &mut Suite) -> Option<Reasoned> {
    suite.train.seconds?;
    suite.train.schedule = Schedule::Cosine;
    Some(reasoned(&"cosine", "a time is given: the rate stays high for longer and ends at 0 with it"))
}

fn steps(suite: &mut Suite, dataset: &Dataset) -> Reasoned {
    let step = MeanStep::of(suite, dataset);
    let rows = largest(dataset);
    let fresh = suite.input().fresh.filter(|_| is_fresh(suite));
    let (wanted, most) = fresh.map_or((VISITS, MOST_EPOCHS), |fresh| (fresh.visits, fresh.most_epochs));
    let visits = wanted.clamp(FEWEST_EPOCHS * rows, (most * rows).max(1.0));
    let by_rows = (visits / step.rows.max(1.0)).max(FEWEST_STEPS);
    // Pixels and columns are no tokens: what they cost depends on the network.
    let by_tokens = if fresh.is_some() { f64::INFINITY } else { MOST_TOKENS / step.tokens.max(1.0) };
    let steps = by_rows.min(by_tokens).ceil().max(1.0);
    suite.train.steps = Some(steps as u64);
    let passes = steps * step.rows / rows.max(1.0);
    let tokens = if fresh.is_some() { String::new() } else { format!(", {:.0} tokens", steps * step.tokens) };
    let why = format!("{passes:.1} passes over the {rows} rows of the largest source{tokens}");
    let limit = if by_tokens < by_rows { "; `--time 30m` or `train.epochs` for more" } else { "" };
    reasoned(&steps, why + limit)
}

fn eval_every(suite: &mut Suite, dataset: &Dataset) -> Reasoned {
    let (plan, step) = (Plan::new(suite, dataset), MeanStep::of(suite, dataset));
    // A training token costs about three times what a token of an evaluation does: forward and backward.
    let work = 3.0 * plan.n_steps() as f64 * step.tokens;
    let affordable = EVALUATION_SHARE * work / evaluation_tokens(dataset).max(1.0);
    let last = if suite.train.start == Start::Probe { LAST_EVALUATIONS } else { 0 };
    let n = (affordable as u64).saturating_sub(last).clamp(2, EVALUATIONS);
    suite.train.eval_every = plan.n_steps().div_ceil(n).max(1);
    let after =
        if last > 0 { format!(", and {last} of interpolated weights at the end") } else { String::new() };
    reasoned(&suite.train.eval_every, format!("{n} evaluations on valid beside the first{after}"))
}

/// Several tasks: losses of different kinds are brought to one scale.
fn weighting(suite: &mut Suite, (dataset, encoder): Data) -> Result<Option<Reasoned>> {
    if suite.tasks.len() < 2 {
        return Ok(None);
    }
    let weights: BTreeMap<String, f64> = scales::weights(suite, dataset, encoder)?;
    suite.train.weighting =
        Choice { name: "constant".into(), params: BTreeMap::from([("weights".into(), json!(weights))]) };
    let shown =
        weights.iter().map(|(task, weight)| format!("{task} {weight}")).collect::<Vec<_>>().join(", ");
    let tags = if scales::favours_words(suite) { " (tags: 4 times that)" } else { "" };
    let why = format!("1 / the loss of outputs that know nothing{tags}, so that no task is loud by its unit");
    Ok(Some(reasoned(&format!("constant: {shown}"), why)))
}

/// What a mean step of the plan draws.
struct MeanStep {
    /// Rows of the largest source.
    rows: f64,
    /// Tokens of all inputs.
    tokens: f64,
}

/// Steps a mean is taken over.
const SAMPLED: u64 = 40;

impl MeanStep {
    fn of(suite: &Suite, dataset: &Dataset) -> Self {
        let mut suite = suite.clone();
        suite.train.steps = Some(SAMPLED);
        let plan = Plan::new(&suite, dataset);
        let (mut rows, mut tokens) = (0, 0);
        let largest = largest_source(dataset);
        for (source, drawn) in (0..plan.n_steps()).flat_map(|step| plan.step(step)) {
            rows += if source == largest { drawn.len() } else { 0 };
            tokens += row_tokens(dataset, source, &drawn);
        }
        let n = plan.n_steps().max(1) as f64;
        Self { rows: rows as f64 / n, tokens: tokens as f64 / n }
    }
}

/// Tokens of the inputs of some train rows; a query brings a passage of mean length.
fn row_tokens(dataset: &Dataset, source: usize, rows: &[u32]) -> usize {
    let Some(inputs) = dataset.sources[source].splits.get(&Split::Train) else { return 0 };
    let length = |text: &TextId| dataset.n_tokens(*text);
    let own: usize = rows.iter().flat_map(|&row| inputs.inputs(row as usize)).map(length).sum();
    let of_source = dataset.tasks.iter().filter(|task| task.source == source && !task.corpus.is_empty());
    own + of_source.map(|task| corpus_tokens(dataset, task) / task.corpus.len() * rows.len()).sum::<usize>()
}

fn corpus_tokens(dataset: &Dataset, task: &TaskData) -> usize {
    task.corpus.iter().map(|text| dataset.texts.tokens(*text).len()).sum()
}

/// Tokens an evaluation on valid reads.
fn evaluation_tokens(dataset: &Dataset) -> f64 {
    let inputs = |source: &SourceData| {
        let texts = source.splits.get(&Split::Valid).map_or(&[][..], |rows| &rows.texts);
        texts.iter().map(|text| dataset.n_tokens(*text)).sum::<usize>()
    };
    let corpora: usize = dataset.tasks.iter().map(|task| corpus_tokens(dataset, task)).sum();
    (dataset.sources.iter().map(inputs).sum::<usize>() + corpora) as f64
}

fn n_rows(dataset: &Dataset, source: usize) -> usize {
    dataset.sources[source].splits.get(&Split::Train).map_or(0, polytask_data::Rows::len)
}

/// The source with most train rows; the first of equals.
fn largest_source(dataset: &Dataset) -> usize {
    (0..dataset.sources.len()).rev().max_by_key(|&source| n_rows(dataset, source)).unwrap_or(0)
}

fn largest(dataset: &Dataset) -> f64 {
    (0..dataset.sources.len()).map(|source| n_rows(dataset, source)).max().unwrap_or(0) as f64
}

//! A task of a run: its rows encoded, its heads fitted, calibrated and judged.

use polytask_core::method::Choice;
use polytask_core::report::{GeneratedReport, LabelTask, Point};
use polytask_core::suite::{DescribedLabel, TaskSpec};
use polytask_core::{Problem, Split, Suite};
use polytask_eval::Predictions;
use polytask_nn::Result;

use crate::calibration::{Calibration, calibration_error, reliability};
use crate::encoder::TextEncoder;
use crate::facts::{LabelRun, RunPhase};
use crate::features::Features;
use crate::generated::Judge;
use crate::heads::{CONTRASTIVE, Examples, FitRows, fit, reads_states};
use crate::labels::LabelTexts;
use crate::model::MatchedTask;
use crate::rows::{KnownRows, Right, is_set};
use crate::said::{answers, predictions};
use crate::scope;
use crate::side::{Side, Tuning, learners};

/// Rows that are encoded and scored together.
const PART: usize = 512;
/// Rows of valid per label below which what is fitted on them is told to be shaky.
const FEWEST_VALID: usize = 5;

/// A task that was fitted and judged.
pub(crate) struct Judged {
    pub(crate) matched: MatchedTask,
    pub(crate) report: LabelTask,
    pub(crate) notes: Vec<String>,
    pub(crate) losses: Vec<Point>,
    /// Predictions on the split it is reported on, the chosen head's first, each with its learner.
    pub(crate) predictions: Vec<(String, Predictions)>,
    /// The encoder, where the chosen head tuned it.
    pub(crate) tuned: Option<Box<TextEncoder>>,
}

/// What a task is fitted on.
pub(crate) struct Fitting<'a> {
    of: LabelRun<'a>,
    task: usize,
    spec: &'a TaskSpec,
    described: Vec<DescribedLabel>,
    labels: LabelTexts,
    /// Known rows of train and of valid, and those of them that have a label.
    train: Option<KnownRows>,
    train_rows: Examples,
    valid: Option<(KnownRows, Features)>,
    valid_rows: Option<Examples>,
}

impl<'a> Fitting<'a> {
    pub(crate) fn new(of: LabelRun<'a>, task: usize) -> Result<Self> {
        let spec = &of.suite.tasks[task];
        let described = described_labels(spec, &of.dataset.tasks[task].labels);
        let n = described.len();
        let mut labels = LabelTexts::new(of.encoder, &described)?;
        let with_states = reads_states(&spec.head.name)
            || spec.beside.as_ref().is_some_and(|beside| reads_states(&beside.name));
        let known = |split| KnownRows::of(of.dataset, task, split, n);
        let encoded = |rows: &KnownRows| {
            check_memory(of.suite, of.encoder, rows, with_states)?;
            of.encoder.encode(&rows.sequences, with_states)
        };
        let train = known(Split::Train);
        let features =
            train.as_ref().map(encoded).transpose()?.unwrap_or(of.encoder.nothing(labels.d_vector));
        let train_rows = match &train {
            Some(rows) => rows.examples(&features, &rows.scoped(n).0, n),
            None if is_set(spec) => Examples { features, right: Right::Any(Vec::new()), weights: Vec::new() },
            None => Examples::of_labels(features, Vec::new()),
        };
        let valid = match known(Split::Valid) {
            Some(rows) => Some((encoded(&rows)?, rows)).map(|(features, rows)| (rows, features)),
            None => None,
        };
        let valid_rows = valid.as_ref().map(|(rows, features)| rows.examples(features, &rows.scoped(n).0, n));
        if is_set(spec) {
            labels.offset = offset(&labels, &train_rows);
        }
        Ok(Self { of, task, spec, described, labels, train, train_rows, valid, valid_rows })
    }

    pub(crate) fn judged(&self, observe: &mut dyn FnMut(RunPhase<'_>)) -> Result<Judged> {
        let (train, generated) = match self.generated()? {
            Some((Some(made), report)) => (self.train_rows.with(&made), Some(report)),
            Some((None, report)) => (self.train_rows.clone(), Some(report)),
            None => (self.train_rows.clone(), None),
        };
        let mut losses = Vec::new();
        let mut sides = Vec::new();
        for choice in learners(self.of.suite, self.spec, !train.is_empty()) {
            let is_chosen = sides.is_empty();
            sides.push(self.side(&choice, &train, &mut |done, total, loss| {
                if is_chosen {
                    losses.push(Point { step: done as u64, value: loss });
                }
                if is_chosen || choice.name == CONTRASTIVE {
                    let name = if is_chosen { &self.spec.name } else { &choice.name };
                    observe(RunPhase { name, done, total, loss });
                }
            })?);
        }
        let scored = self.scored(&sides, observe)?;
        let predictions = self.predictions(&sides, scored.as_ref());
        let report = LabelTask { generated, ..self.report(&sides[0], scored.as_ref()) };
        let matched = self.matched(&sides[0])?;
        let notes = self.notes();
        let tuned = sides.swap_remove(0).tuned;
        Ok(Judged { matched, report, notes, losses, predictions, tuned })
    }

    /// A learner, fitted and calibrated.
    fn side(
        &self,
        choice: &Choice,
        train: &Examples,
        observe: &mut dyn FnMut(usize, usize, f64),
    ) -> Result<Side> {
        if let (CONTRASTIVE, Some(rows)) =
            (choice.name.as_str(), self.train.as_ref().filter(|_| !train.is_empty()))
        {
            let tuning = Tuning {
                encoder: self.of.encoder,
                described: &self.described,
                labels: &self.labels,
                train: rows,
                valid: self.valid.as_ref().map(|(rows, _)| rows),
                rate: self.spec.out_of_scope,
                seed: self.of.suite.seed,
            };
            return tuning.side(choice, observe);
        }
        let head = fit(choice, self.fit_rows(train), observe)?;
        let calibration =
            Calibration::of(&head, &self.labels, self.valid_rows.as_ref(), self.spec.out_of_scope)?;
        Ok(Side { learner: choice.name.clone(), head, calibration, tuned: None })
    }

    fn fit_rows<'b>(&'b self, train: &'b Examples) -> FitRows<'b> {
        FitRows { labels: &self.labels, train, valid: self.valid_rows.as_ref(), seed: self.of.suite.seed }
    }

    fn generated(&self) -> Result<Option<(Option<Examples>, GeneratedReport)>> {
        let Some(rows) = &self.spec.generated else { return Ok(None) };
        let train = self.train.as_ref().map_or(&[][..], |rows| &rows.sequences);
        let on = self.fit_rows(&self.train_rows);
        let (suite, encoder, head) = (self.of.suite, self.of.encoder, &self.spec.head);
        Judge { suite, encoder, rows, head, on, train, prompt: self.prompt() }.rows().map(Some)
    }

    fn prompt(&self) -> Option<&str> {
        self.of.suite.source_of(self.spec).prompts.get("text").map(String::as_str)
    }

    /// Scores of all sides on the split the task is reported on, `[sides][rows, labels]`.
    fn scored(
        &self,
        sides: &[Side],
        observe: &mut dyn FnMut(RunPhase<'_>),
    ) -> Result<Option<(KnownRows, Vec<Vec<f32>>)>> {
        let split = self.of.dataset.report_split(self.task);
        let Some(rows) = KnownRows::of(self.of.dataset, self.task, split, self.labels.len()) else {
            return Ok(None);
        };
        let with_states = sides.iter().any(|side| side.head.reads_states());
        let mut scores = vec![Vec::new(); sides.len()];
        let parts = rows.len().div_ceil(PART);
        for (part, sequences) in rows.sequences.chunks(PART).enumerate() {
            let features = self.of.encoder.encode(sequences, with_states)?;
            for (side, to) in sides.iter().zip(&mut scores) {
                to.extend(match &side.tuned {
                    Some(tuned) => side.head.scores(&self.labels, &tuned.encode(sequences, false)?)?,
                    None => side.head.scores(&self.labels, &features)?,
                });
            }
            observe(RunPhase { name: split.name(), done: part + 1, total: parts, loss: f64::NAN });
        }
        Ok(Some((rows, scores)))
    }

    fn predictions(
        &self,
        sides: &[Side],
        scored: Option<&(KnownRows, Vec<Vec<f32>>)>,
    ) -> Vec<(String, Predictions)> {
        let Some((rows, scores)) = scored else { return Vec::new() };
        let n_all = self.of.dataset.tasks[self.task].labels.len();
        let of_side = |(side, scores): (&Side, &Vec<f32>)| {
            (side.learner.clone(), predictions(rows, scores, &side.calibration, (self.labels.len(), n_all)))
        };
        let mut all: Vec<(String, Predictions)> = sides.iter().zip(scores).map(of_side).collect();
        if self.of.suite.train.compares("prior") && !self.train_rows.is_empty() {
            all.push(("prior".into(), self.prior(rows, n_all)));
        }
        all
    }

    /// What needs no text: the most frequent label, and the share of each.
    fn prior(&self, rows: &KnownRows, n_all: usize) -> Predictions {
        let n = self.labels.len();
        let counts = self.train_rows.right.counts(n);
        let share = |count: &usize| *count as f32 / self.train_rows.len().max(1) as f32;
        let shares: Vec<f32> = counts.iter().map(share).collect();
        match &rows.right {
            Right::One(truth) => Predictions::Labels {
                truth: truth.clone(),
                predicted: vec![polytask_core::outputs::largest(&shares); truth.len()],
                n_labels: n_all,
            },
            Right::Any(truth) => Predictions::LabelSets {
                n_labels: n,
                truth: truth.clone(),
                scores: shares.repeat(rows.len()),
            },
        }
    }

    fn report(&self, side: &Side, scored: Option<&(KnownRows, Vec<Vec<f32>>)>) -> LabelTask {
        let (n, calibration) = (self.labels.len(), &side.calibration);
        let mut report = LabelTask {
            task: self.spec.name.clone(),
            head: self.spec.head.to_string(),
            labels: n,
            rows: self.train_rows.len(),
            calibrated: calibration.is_fitted,
            temperature: calibration.temperature,
            ..LabelTask::default()
        };
        let Some((rows, scores)) = scored else { return report };
        let (known, none) = rows.scoped(n);
        let row = |place: &usize| &scores[0][place * n..(place + 1) * n];
        let right = rows.right.pick(&known, n);
        let of_known: Vec<&[f32]> = known.iter().map(row).collect();
        let error = |calibration: &Calibration| {
            let (confidence, right) = answers(&of_known, &right, calibration);
            let bins = reliability(&confidence, &right);
            (calibration_error(&bins), bins)
        };
        let ((before, _), (after, bins)) = (error(&Calibration::default()), error(calibration));
        report.calibration_error = Some([before, after]);
        report.reliability = bins;
        report.scope = scope::report(
            calibration,
            self.spec.out_of_scope,
            &of_known,
            &none.iter().map(row).collect::<Vec<_>>(),
        );
        report
    }

    fn matched(&self, side: &Side) -> Result<MatchedTask> {
        let labels = match &side.tuned {
            Some(tuned) => LabelTexts::new(tuned, &self.described)?,
            None => self.labels.clone(),
        };
        Ok(MatchedTask {
            name: self.spec.name.clone(),
            kind: self.spec.kind,
            metric: self.spec.metric.clone(),
            described: self.described.clone(),
            none: self.spec.none.clone(),
            n_fitted: self.described.len(),
            columns: self.of.suite.source_of(self.spec).columns.clone(),
            prompt: self.prompt().map(str::to_owned),
            calibration: side.calibration,
            labels,
            head: side.head.clone(),
        })
    }

    /// What a reader should know of the task.
    fn notes(&self) -> Vec<String> {
        let (name, n) = (&self.spec.name, self.labels.len());
        let mut notes = self.labels.warnings(name, &self.described);
        if self.train_rows.is_empty() {
            notes.push(format!(
                "task `{name}` has no row to train on: its answers are the zero-shot classifier's"
            ));
        } else {
            let counts = self.train_rows.right.counts(n);
            let without = counts.iter().filter(|count| **count == 0).count();
            if without > 0 {
                let of = polytask_core::plural(without, "label");
                notes.push(format!(
                    "task `{name}`: {of} without a row in train, known by the description alone"
                ));
            }
        }
        match &self.valid_rows {
            Some(valid) if !valid.is_empty() => {
                if valid.len() < FEWEST_VALID * n {
                    notes.push(format!(
                        "task `{name}`: valid has {} rows for {n} labels: probabilities and thresholds fitted on so few are rough",
                        valid.len()
                    ));
                }
            }
            _ => notes.push(format!("task `{name}` has no valid rows: probabilities are not calibrated, no row is answered by \"none of these\", and no gate is asked")),
        }
        let strange = self.valid.as_ref().is_some_and(|(rows, _)| !rows.scoped(n).1.is_empty());
        if strange {
            notes.push(format!(
                "task `{name}`: the threshold of \"none of these\" is fitted on rows of known labels alone"
            ));
        }
        notes
    }
}

/// The labels a task is asked about: those of its file, else those of its data by their names.
fn described_labels(spec: &TaskSpec, names: &[String]) -> Vec<DescribedLabel> {
    if !spec.descriptions.is_empty() {
        return spec.descriptions.clone();
    }
    let named = names.iter().filter(|name| spec.none.as_ref() != Some(*name));
    named
        .map(|name| DescribedLabel { name: name.clone(), description: name.clone(), is_described: false })
        .collect()
}

/// The cosine above which as many labels lie as hold in train.
fn offset(labels: &LabelTexts, train: &Examples) -> f32 {
    let Right::Any(holds) = &train.right else { return 0.0 };
    let mut cosines = labels.cosines(&train.features);
    cosines.sort_by(|a, b| b.total_cmp(a));
    let n = holds.iter().filter(|holds| **holds).count();
    cosines.get(n.min(cosines.len().saturating_sub(1))).copied().unwrap_or(0.0)
}

/// Refuses to keep more states than the suite allows.
fn check_memory(suite: &Suite, encoder: &TextEncoder, rows: &KnownRows, with_states: bool) -> Result<()> {
    // The only state of a text from elsewhere is its vector.
    let Some(d_state) = encoder.d_state() else { return Ok(()) };
    let tokens: usize = rows.sequences.iter().map(Vec::len).sum();
    let mib = (tokens * d_state * size_of::<f32>()) >> 20;
    if !with_states || mib <= suite.train.cache_mb {
        return Ok(());
    }
    let what = format!(
        "the token states of {} take {mib} MiB, more than `train.cache_mb` ({})",
        polytask_core::plural(rows.len(), "row"),
        suite.train.cache_mb
    );
    Err(Problem::new(what)
        .try_this("head = \"bilinear\", fewer rows (`limit`), or a larger `train.cache_mb`")
        .into())
}

//! Rows that somebody or something made up: cleaned, filtered by a teacher that was fitted on train alone, and used only
//! where valid is better with them.

use std::collections::{BTreeMap, BTreeSet};

use polytask_core::method::Choice;
use polytask_core::outputs::{largest, softmax};
use polytask_core::report::GeneratedReport;
use polytask_core::suite::GeneratedRows;
use polytask_core::{Error, Place, Problem, Suite, files, near};
use polytask_nn::Result;
use serde::Deserialize;

use crate::encoder::TextEncoder;
use crate::heads::{FitRows, PROBE, fit, info_of, reads_states};
use crate::rows::Examples;
use crate::writing::FEWEST_WORDS;

/// Mistakes of a file that are told.
const MOST_MISTAKES: usize = 20;
/// Trainings whose median the gate looks at, where a head hangs on its random start: on a small valid one or two rows
/// decide.
const SEEDS: u64 = 3;

/// A row of the file.
#[derive(Debug, Deserialize)]
struct MadeRow {
    text: String,
    label: String,
}

/// What a head reaches on valid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    /// Accuracy.
    pub accuracy: f64,
    /// Mean loss.
    pub loss: f64,
}

/// Whether made-up rows are used: valid is better with them, or as good at a lower loss.
pub fn use_generated(without: Gate, with: Gate) -> bool {
    with.accuracy > without.accuracy || with.accuracy == without.accuracy && with.loss < without.loss
}

/// Whether a row passes: the teacher's first choice is its label, with at least this probability; 0 lets all pass.
fn passes(shares: &[f32], label: u32, least: f64) -> bool {
    least == 0.0 || largest(shares) == label && f64::from(shares[label as usize]) >= least
}

/// What made-up rows are judged with.
pub(crate) struct Judge<'a> {
    pub(crate) suite: &'a Suite,
    pub(crate) encoder: &'a TextEncoder,
    pub(crate) rows: &'a GeneratedRows,
    pub(crate) head: &'a Choice,
    pub(crate) on: FitRows<'a>,
    /// Symbols of the texts of train.
    pub(crate) train: &'a [Vec<u32>],
    pub(crate) prompt: Option<&'a str>,
}

impl Judge<'_> {
    /// The rows to train on beside those of train, and what became of all.
    pub(crate) fn rows(&self) -> Result<(Option<Examples>, GeneratedReport)> {
        let made = self.read()?;
        let n_all = made.len();
        let (kept, sequences) = self.cleaned(&made)?;
        // As rows of train are, with which they will lie.
        let with_states = !self.on.train.features.states.is_empty() || reads_states(&self.head.name);
        let features = self.encoder.encode(&sequences, with_states)?;
        let made = Examples::of_labels(features, kept);
        let passed = self.filtered(&made)?;
        let mut report = GeneratedReport {
            left_out: n_all - made.len(),
            labels: self.counts(&made, &passed),
            ..Default::default()
        };
        let made = made.pick(&passed, self.on.labels.len());
        if made.is_empty() {
            return Ok((None, report));
        }
        let gate = self.gate(&made)?;
        report.used = gate.is_none_or(|[without, with]| use_generated(without, with));
        report.gate = gate.map(|sides| sides.map(|side| (side.accuracy, side.loss)));
        Ok((report.used.then_some(made), report))
    }

    /// The rows of the file with their labels.
    fn read(&self) -> Result<Vec<(String, u32)>> {
        let path = self.suite.path(&self.rows.file);
        let text = files::read_text(&path, files::LARGE).map_err(Error::io("read", &path))?;
        let (mut rows, mut problems) = (Vec::new(), Vec::new());
        for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match self.row(line) {
                Ok(row) => rows.push(row),
                Err((what, remedy)) => {
                    problems.push(Problem::at(Place::line(&path, i + 1), what).try_this(remedy));
                }
            }
            if problems.len() >= MOST_MISTAKES {
                break;
            }
        }
        if problems.is_empty() { Ok(rows) } else { Err(Error::Invalid(problems).into()) }
    }

    fn row(&self, line: &str) -> Result<(String, u32), (String, String)> {
        let row: MadeRow = serde_json::from_str(line).map_err(|error| {
            (format!("not a row: {error}"), r#"{"text": "...", "label": "..."}"#.to_owned())
        })?;
        let names = &self.on.labels.names;
        let label = names.iter().position(|name| *name == row.label.trim());
        let label = label.ok_or_else(|| {
            let what = format!("label `{}` is not in the label set of {}", row.label, names.len());
            (what, near::advice(&row.label, &names.iter().map(String::as_str).collect::<Vec<_>>()))
        })?;
        Ok((row.text, label as u32))
    }

    /// Rows without repetitions, rows of train, texts that are too short, and more than the most of a label.
    fn cleaned(&self, made: &[(String, u32)]) -> Result<(Vec<u32>, Vec<Vec<u32>>)> {
        let texts: Vec<&str> = made.iter().map(|(text, _)| text.trim()).collect();
        let sequences = self.encoder.sequences(&texts, self.prompt)?;
        let mut seen: BTreeSet<&[u32]> = self.train.iter().map(Vec::as_slice).collect();
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        let (mut labels, mut kept) = (Vec::new(), Vec::new());
        for ((text, label), sequence) in made.iter().zip(&sequences) {
            let n = counts.entry(*label).or_default();
            if text.split_whitespace().count() >= FEWEST_WORDS && *n < self.rows.most && seen.insert(sequence)
            {
                *n += 1;
                labels.push(*label);
                kept.push(sequence.clone());
            }
        }
        Ok((labels, kept))
    }

    /// Places of the rows that the teacher lets pass.
    fn filtered(&self, made: &Examples) -> Result<Vec<usize>> {
        // The teacher is never the head that is judged, and has seen train alone.
        let teacher = fit(&Choice::named(PROBE), FitRows { valid: None, ..self.on }, &mut |_, _, _| ())?;
        let n = self.on.labels.len();
        let scores = teacher.scores(self.on.labels, &made.features)?;
        let crate::rows::Right::One(labels) = &made.right else { return Ok(Vec::new()) };
        let rows = scores.chunks(n).zip(labels).enumerate();
        let passing = rows.filter(|(_, (scores, label))| passes(&softmax(scores), **label, self.rows.filter));
        Ok(passing.map(|(place, _)| place).collect())
    }

    fn counts(&self, made: &Examples, passed: &[usize]) -> BTreeMap<String, (usize, usize)> {
        let n = self.on.labels.len();
        let (all, kept) = (made.right.counts(n), made.right.pick(passed, n).counts(n));
        let names = self.on.labels.names.iter().cloned();
        names.zip(kept.into_iter().zip(all).map(|(kept, all)| (kept, all - kept))).collect()
    }

    /// What the head reaches on valid without the rows and with them; `None` where no gate is asked, or no valid is there.
    fn gate(&self, made: &Examples) -> Result<Option<[Gate; 2]>> {
        let Some(valid) = self.on.valid.filter(|valid| self.rows.gate && !valid.is_empty()) else {
            return Ok(None);
        };
        let with = self.on.train.with(made);
        let reached = |train: &Examples| -> Result<Gate> {
            let seeds = if hangs_on_chance(self.head) { SEEDS } else { 1 };
            let mut found = Vec::new();
            for seed in 0..seeds {
                let on = FitRows { train, seed: self.on.seed.wrapping_add(seed), ..self.on };
                let scores = fit(self.head, on, &mut |_, _, _| ())?.scores(on.labels, &valid.features)?;
                found.push(valid.judged(&scores, on.labels.len()));
            }
            Ok(Gate {
                accuracy: median(found.iter().map(|one| one.0)),
                loss: median(found.iter().map(|one| one.1)),
            })
        };
        Ok(Some([reached(self.on.train)?, reached(&with)?]))
    }
}

/// Whether a head hangs much on its random start: cross-attention that does not start from a matrix that was fitted.
fn hangs_on_chance(head: &Choice) -> bool {
    let prior = info_of(&head.name).map(|info| head.param(info, "prior"));
    reads_states(&head.name) && prior.is_ok_and(|prior| prior.as_str() != Some("bilinear"))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the golden file says of filter and gate.
    #[derive(Deserialize)]
    struct Golden {
        switch: Switch,
        gate: Vec<GateCase>,
    }

    #[derive(Deserialize)]
    struct Switch {
        rows: Vec<(u32, Vec<f32>)>,
        #[serde(rename = "theta0.5")]
        half: Vec<u8>,
        #[serde(rename = "theta0.4")]
        less: Vec<u8>,
    }

    #[derive(Deserialize)]
    #[allow(non_snake_case, reason = "the names of the golden file")]
    struct GateCase {
        A: f64,
        B: f64,
        lossA: f64,
        lossB: f64,
        r#use: bool,
    }

    #[test]
    fn filter_and_gate_decide_as_the_independent_program() {
        // From xtask/parity/crosstune.py.
        let golden: Golden = serde_json::from_str(include_str!("generated_golden.json")).unwrap();
        for (least, expected) in [(0.5, &golden.switch.half), (0.4, &golden.switch.less)] {
            let found: Vec<u8> = golden
                .switch
                .rows
                .iter()
                .map(|(label, shares)| u8::from(passes(shares, *label, least)))
                .collect();
            assert_eq!(found, *expected, "{least}");
        }
        for GateCase { A, B, lossA, lossB, r#use } in golden.gate {
            let (without, with) = (Gate { accuracy: A, loss: lossA }, Gate { accuracy: B, loss: lossB });
            assert_eq!(use_generated(without, with), r#use);
        }
    }

    #[test]
    fn a_filter_of_nothing_lets_all_pass() {
        assert!(passes(&[0.1, 0.9], 0, 0.0) && !passes(&[0.1, 0.9], 0, 0.01));
    }
}

//! What came out: a row per half-cycle, kept in `distill.json` and shown as a table.

use std::path::{Path, PathBuf};

use anyhow::Result;
use polytask_core::{atomic, files, plural};
use polytask_eval::table::aligned;
use serde::{Deserialize, Serialize};

use polytask_terminal::output;

const FILE: &str = "distill.json";

/// What came out of all cycles.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Distilled {
    /// Differs where pairs, starts or settings do.
    key: String,
    pairs: usize,
    doubles: usize,
    finished: bool,
    half_cycles: Vec<HalfCycle>,
}

/// One training of a form.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct HalfCycle {
    pub(super) cycle: usize,
    /// `bi` or `cross`.
    pub(super) form: String,
    /// Folder of each side's model.
    pub(super) models: Vec<PathBuf>,
    /// Mean of the labels it learnt from.
    pub(super) label_mean: f64,
    pub(super) label_deviation: f64,
    /// Labels outside of 0 to 1 before they were clamped.
    pub(super) clamped: usize,
    /// Spearman's correlation of its scores with these labels.
    pub(super) agreement: Option<f64>,
    /// Score on dev of each side's model.
    pub(super) dev: Vec<f64>,
}

/// The model that is kept of a form.
pub(super) struct Best {
    pub(super) folder: PathBuf,
    cycle: usize,
}

impl Distilled {
    pub(super) fn new(key: String, pairs: usize, doubles: usize) -> Self {
        Self { key, pairs, doubles, finished: false, half_cycles: Vec::new() }
    }

    /// Refuses a folder that holds something else, or the same without `--resume`.
    pub(super) fn check_folder(&self, out: &Path, resume: bool) -> Result<()> {
        let is_empty = std::fs::read_dir(out).map_or(true, |mut entries| entries.next().is_none());
        if is_empty {
            return Ok(());
        }
        let before = files::read(&out.join(FILE), files::LARGE).ok();
        let before: Option<Self> = before.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        match before {
            Some(before) if before.key != self.key => {
                let what = format!("the run in {} began with other pairs, starts or settings", out.display());
                output::refuse(what, "what it began with, or another `--out`")
            }
            Some(_) if !resume => {
                let what = format!("output folder {} exists and is not empty", out.display());
                output::refuse(what, "`--resume` to go on, or another `--out`")
            }
            Some(_) => Ok(()),
            None => {
                let what = format!("folder {} holds files but no run of `polytask distill`", out.display());
                output::refuse(what, "another `--out`")
            }
        }
    }

    pub(super) fn push(&mut self, half: HalfCycle) {
        self.half_cycles.push(half);
    }

    /// Notes how well the last student says what its labels say.
    pub(super) fn last_agrees(&mut self, agreement: f64) {
        if let Some(last) = self.half_cycles.last_mut() {
            last.agreement = Some(agreement);
        }
    }

    pub(super) fn finish(&mut self) {
        self.finished = true;
    }

    pub(super) fn write(&self, out: &Path) -> Result<()> {
        Ok(atomic::write_json(&out.join(FILE), self)?)
    }

    /// The best model of a form on dev, the first of equals; without dev the last one's first side.
    pub(super) fn best(&self, form: &str) -> Option<Best> {
        let halves = || self.half_cycles.iter().filter(|half| half.form == form);
        let best = |half: &HalfCycle, folder: &PathBuf| Best { folder: folder.clone(), cycle: half.cycle };
        let mut found: Option<(f64, Best)> = None;
        for half in halves() {
            for (score, folder) in half.dev.iter().zip(&half.models) {
                if found.as_ref().is_none_or(|(highest, _)| score > highest) {
                    found = Some((*score, best(half, folder)));
                }
            }
        }
        let last = || halves().next_back().and_then(|half| Some(best(half, half.models.first()?)));
        found.map(|(_, best)| best).or_else(last)
    }

    pub(super) fn print(&self, out: &Path) -> Result<()> {
        let mut rows = vec![
            ["cycle", "form", "labels", "deviation", "clamped", "agreement", "dev"]
                .map(str::to_owned)
                .to_vec(),
        ];
        for half in &self.half_cycles {
            let dev: Vec<String> = half.dev.iter().map(|score| format!("{:.1}", 100.0 * score)).collect();
            rows.push(vec![
                half.cycle.to_string(),
                half.form.clone(),
                format!("{:.3}", half.label_mean),
                format!("{:.3}", half.label_deviation),
                half.clamped.to_string(),
                half.agreement.map_or("–".into(), |value| format!("{:.1}", 100.0 * value)),
                if dev.is_empty() { "–".into() } else { dev.join(" ") },
            ]);
        }
        output::line(counted(self.pairs, self.doubles))?;
        aligned(&rows).iter().try_for_each(output::line)?;
        output::line(
            "\nLabels: mean of what the students of this row learnt from. Agreement: Spearman × 100 of what they say with that.",
        )?;
        for form in ["bi", "cross"] {
            if let Some(best) = self.best(form) {
                let place = out.join(format!("best-{form}"));
                output::line(format!("best-{form:<6} {} (cycle {})", place.display(), best.cycle))?;
            }
        }
        Ok(())
    }
}

/// How many pairs there are, in words.
fn counted(pairs: usize, doubles: usize) -> String {
    let rows = plural(pairs, "pair");
    if doubles > 0 { format!("{rows} ({doubles} doubles left out)") } else { rows }
}

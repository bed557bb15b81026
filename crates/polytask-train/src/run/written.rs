//! What a run writes when it is finished: pages, card, results, and the notes that stand on them.

use polytask_core::Split;
use polytask_core::atomic;
use polytask_core::report::{RunReport, Sizes, TaskReport};
use polytask_data::Plan;
use polytask_data::plan::NeverDrawn;
use polytask_eval::{JudgedRows, ModelFacts, MtebRun, words};

use crate::columns;
use crate::judged;

use super::{Prepared, Result, Run, Side, share, suite_compares};

impl Run<'_> {
    /// Things a reader of the scores should know.
    pub(super) fn notes(&self, tasks: &[TaskReport]) -> Vec<String> {
        let mut notes = self.prepared.dataset.warnings.clone();
        notes.retain(|note| !note.starts_with(polytask_data::NO_TEST));
        notes.extend(self.never_drawn());
        notes.extend(share::note(&self.prepared.suite, self.joint.parts.encoder));
        let on_valid = tasks.iter().filter(|task| task.split == Split::Valid.name());
        notes.extend(words::on_valid(&on_valid.map(|task| task.task.as_str()).collect::<Vec<_>>()));
        let compared = suite_compares(&self.prepared.suite);
        for task in tasks.iter().filter(|task| compared && task.single.is_empty()) {
            notes.push(format!("task `{}` is not compared: its single-task training diverged", task.task));
        }
        notes
    }

    /// Says which rows of train no step draws.
    pub(super) fn never_drawn(&self) -> Option<String> {
        let Prepared { suite, dataset, .. } = self.prepared;
        let never = Plan::new(suite, dataset).never_drawn();
        let of_source = |never: &NeverDrawn| {
            let name = &dataset.sources[never.source].name;
            format!("{} of {} of `{name}`", never.rows, never.of)
        };
        let all: Vec<String> = never.iter().map(of_source).collect();
        (!all.is_empty()).then(|| format!("rows of train that no step draws: {}", all.join(", ")))
    }

    /// Parameters of the joint model and of one model for each task; none where tasks read vectors of their own.
    pub(super) fn sizes(&self) -> Option<Sizes> {
        let heads = |side: Side| -> usize {
            side.parts.heads.iter().map(|head| head.block(self.prepared.suite.seed).values.len()).sum()
        };
        let n = self.prepared.suite.tasks.len();
        let is_one_encode = self.joint.engine.trunk.n_views() < 2;
        (n > 1 && is_one_encode).then(|| Sizes {
            joint: self.joint.parts.encoder.params.len() + heads(self.joint),
            single: n * self.single.parts.encoder.params.len() + heads(self.single),
        })
    }

    /// What the model card says beside the report.
    fn facts(&self) -> ModelFacts {
        let (Prepared { suite, symbols, .. }, encoder) = (self.prepared, self.joint.parts.encoder);
        ModelFacts {
            name: suite.name.clone(),
            encoder: columns::trained_from(suite).to_owned(),
            folder: "model".into(),
            dimensions: Some(encoder.d_embedding()),
            max_length: symbols.text().ok().map(polytask_data::Tokenizer::max_length),
            parameters: Some(encoder.params.len()),
            input: Some(suite.input()),
            sharing: encoder.sharing.as_ref().map(|by| by.choice.name.clone()),
            score: encoder.score.as_ref().map(|by| by.choice.name.clone()),
            ..ModelFacts::default()
        }
    }

    /// Report, card, benchmark-shaped results; the checkpoints are no longer needed then.
    pub(super) fn write(&self, report: &RunReport, rows: &[JudgedRows]) -> Result<()> {
        let out = &self.options.out;
        polytask_eval::html::write(report, &out.join("report.html"))?;
        let facts = self.facts();
        polytask_eval::card::write(report, &facts, &out.join("CARD.md"))?;
        let revision = report.lineage.suite.chars().take(12).collect();
        let mteb = MtebRun { revision, date: polytask_eval::mteb::now(), ..MtebRun::default() };
        polytask_eval::mteb::write(&out.join("mteb"), report, &facts, &mteb)?;
        judged::write(rows, &out.join(polytask_eval::judged::FOLDER))?;
        // Last: its presence says that the run is finished.
        atomic::write_json(&out.join("report.json"), report)?;
        let checkpoints = out.join("checkpoint");
        std::fs::remove_dir_all(&checkpoints).map_err(polytask_core::Error::io("remove", &checkpoints))?;
        Ok(())
    }
}

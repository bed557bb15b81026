//! From a teacher's outputs to the outputs its student should have.

use polytask_core::{KindInfo, Problem, TargetType};
use polytask_data::{TaskData, TeacherOutputs};
use polytask_model::ModelTask;

use crate::Result;

/// Shares are kept this far from 0 and 1, where log-odds end.
const LEAST_SHARE: f64 = 1e-6;

/// The task that learns.
pub(super) struct Student<'a> {
    pub(super) kind: &'static KindInfo,
    pub(super) data: &'a TaskData,
}

/// Whether a task's outputs can be those of a task of another kind.
pub(super) fn fits(teacher: &ModelTask, kind: &KindInfo) -> bool {
    teacher.kind.target_type() == kind.target_type() && teacher.kind.inputs.len() == kind.inputs.len()
}

impl Student<'_> {
    /// Refuses a teacher that answers another question.
    pub(super) fn check(&self, teacher: &ModelTask, name: &str) -> Result<()> {
        let of = &teacher.info.name;
        if !fits(teacher, self.kind) {
            let what = format!(
                "task `{name}` ({}) cannot learn from task `{of}` of its teacher ({})",
                self.kind.name, teacher.kind.name
            );
            return Err(Problem::new(what).try_this("a task with targets of the same sort").into());
        }
        let (own, theirs) = (&self.data.labels, &teacher.info.labels);
        let (n_own, n_theirs) = (own.len(), theirs.len());
        if let Some(label) = own.iter().find(|label| !theirs.contains(label)) {
            let what = format!(
                "label `{label}` of task `{name}` is none of the {n_theirs} labels of task `{of}` of its teacher \
                 ({n_own} here)"
            );
            return Err(Problem::new(what).try_this("a teacher of the same labels").into());
        }
        if own.is_empty() && teacher.info.n_outputs != self.data.scale.len() {
            let (n, expected) = (teacher.info.n_outputs, self.data.scale.len());
            let what =
                format!("task `{of}` of the teacher gives {n} numbers, task `{name}` learns {expected}");
            return Err(Problem::new(what).try_this("a teacher of the same numbers").into());
        }
        Ok(())
    }

    /// A teacher's outputs of each row as those of the student.
    pub(super) fn outputs<'s>(
        &self,
        teacher: &ModelTask,
        rows: impl Iterator<Item = Option<&'s [f32]>>,
    ) -> TeacherOutputs {
        let width = self.kind.n_outputs(self.data.labels.len(), self.data.scale.len());
        let place = |label: &String| teacher.info.labels.iter().position(|of| of == label);
        let places: Vec<Option<usize>> = self.data.labels.iter().map(place).collect();
        let mut values = Vec::new();
        for row in rows {
            match row {
                None => values.extend(std::iter::repeat_n(f32::NAN, width)),
                Some(row) if self.kind.target_type() == TargetType::Numbers => {
                    values.extend(row.iter().enumerate().map(|(i, &output)| self.number(teacher, i, output)));
                }
                Some(row) => values.extend(places.iter().map(|place| place.map_or(f32::NAN, |at| row[at]))),
            }
        }
        TeacherOutputs { width, values }
    }

    /// A number of the teacher as the student's output: through the units of the targets, which both scale in their way.
    fn number(&self, teacher: &ModelTask, i: usize, output: f32) -> f32 {
        let scale = |scales: &[(f64, f64)]| scales.get(i).copied().unwrap_or((0.0, 1.0));
        let ((shift, span), own) = (scale(&teacher.info.scale), scale(&self.data.scale));
        let both_odds = self.kind.form.gives_log_odds() && teacher.kind.form.gives_log_odds();
        if both_odds && (shift, span) == own {
            return output;
        }
        let value = f64::from(teacher.kind.form.link(output)) * span + shift;
        let share = (value - own.0) / own.1;
        if !self.kind.form.gives_log_odds() {
            return share as f32;
        }
        let share = share.clamp(LEAST_SHARE, 1.0 - LEAST_SHARE);
        (share / (1.0 - share)).ln() as f32
    }
}
